"""Sessions with fields: less on the wire, at the same revision, under a cursor of their own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed, InvalidStatus

from jobctl._clock import now
from jobctl.core import transitions as jobs
from jobctl.core.cursor import ZERO, Cursor
from jobctl.core.filters import EVERYTHING, Filter
from jobctl.core.job import Job
from jobctl.core.jobset import Delta
from jobctl.core.projection import PartialJob
from jobctl.core.protocol import FEATURES, Dialect, parse_from_hub
from jobctl.errors import ProtocolError
from jobctl.hub import http as http_module
from jobctl.hub.access import AccessRequest, Grant, Rights
from jobctl.hub.handshake import HUB_HEADERS
from jobctl.reader.client import Client
from jobctl.reader.follow import follow
from jobctl.reader.once import read
from tests.hub.network import hasty, new_job, plain, running_hub, said, until, v1
from tests.hub.test_http import get
from tests.hub.world import V1Client, World
from tests.strategies import moved_jobs

TITLE = Filter.make(fields=["title"])
HISTORY = [{"stage": "pending", "at": "2025-01-01T00:00:00.000Z"}] * 8


class Partial(V1Client):
    """A client with fields, whose messages have at most ``limit`` bytes."""

    limit = 30_000

    def take(self, message: bytes) -> None:
        assert len(message) <= self.limit
        delta = parse_from_hub(message, self.filter.fields)
        assert isinstance(delta, Delta)
        assert all(isinstance(job, PartialJob) for job in delta.jobs)
        assert self.set.apply(delta)
        if delta.digest is not None:
            assert delta.digest == self.set.digest(), "it is over ids and revisions"
        self.deltas.append(delta)
        self.messages.append(message)

    @property
    def sent(self) -> list[dict[str, Any]]:
        return [job for message in self.messages for job in json.loads(message)["jobs"]]


def titled(world: World, id: int, filter: Filter = TITLE, **options: Any) -> Partial:
    """A client with fields, connected."""
    client: Partial = world.connect(id, filter=filter, client=Partial(filter), **options)
    return client


# -- without sockets --------------------------------------------------------------------------


def test_a_session_gets_the_keys_that_it_asked_for():
    """Sessions beside it get whole jobs, as ever."""
    world = World()
    world.put("a1", title="orders", result={"rows": 3}, history=HISTORY)
    some, whole = titled(world, 1), world.connect(2)
    world.pump()
    assert some.sent == [
        {"id": "a1", "type": "etl", "stage": "pending", "createdAt": "2025-01-01T00:00:00.001Z",
         "title": "orders", "revision": 1}
    ]  # fmt: skip
    assert whole.set.get("a1").result == {"rows": 3}
    assert some.set.get("a1").fields == {"title"}


def test_a_change_of_other_keys_moves_the_revision():
    """So every reader is at the same one, and its cursor never lags."""
    world = World()
    world.put("a1", title="orders")
    client = titled(world, 1)
    world.pump()
    world.put("a1", title="orders", result={"rows": 3})
    world.pump()
    assert [job["revision"] for job in client.sent] == [1, 2]
    assert client.cursor == Cursor("e1", 2, TITLE.tag)
    assert world.hub.sessions[1].position.sent == 2


def test_it_resumes_with_its_own_fields_only():
    """A cursor of other fields gets everything anew."""
    world = World()
    for number in range(3):
        world.put(f"a{number}", title="x")
    client = titled(world, 1)
    world.pump()
    world.put("a1", title="y")
    world.resume(1)
    world.pump()
    assert [delta.since for delta in client.deltas] == [0, 3]
    for number, other in enumerate((EVERYTHING, Filter.make(fields=["title", "error"])), 2):
        fresh = (V1Client if other is EVERYTHING else Partial)(other)
        world.connect(number, client.cursor, other, client=fresh)
        world.pump()
        assert fresh.deltas[0].since == 0
        assert fresh.stages == world.expected()


def test_sessions_of_equal_fields_share_their_messages():
    """Made once, whatever the order of the names."""
    world = World()
    world.put("a1", title="x")
    titled(world, 1, Filter.make(fields=["title", "error"]))
    titled(world, 2, Filter.make(fields=["error", "title", "id"]))
    titled(world, 3)
    shared = [outgoing.sessions for outgoing in world.pump()]
    assert sorted(shared) == [(1, 2), (3,)]


def test_a_subscription_names_fields():
    """And one without them has whole jobs again."""
    world = World()
    world.put("a1", title="x", error="no")
    client = world.connect(1)
    world.pump()
    message = {"type": "jobs:subscribe", "since": str(client.cursor), "fields": ["error"]}
    world.hub.receive(1, json.dumps(message))
    world.clients[1] = client = Partial(Filter.make(fields=["error"]))
    world.pump()
    assert (client.deltas[0].since, client.sent[0].get("title")) == (0, None)
    del message["fields"]
    message["since"] = str(client.cursor)
    world.hub.receive(1, json.dumps(message))
    world.clients[1] = client = V1Client(EVERYTHING)
    world.pump()
    assert client.set.get("a1").title == "x"


@pytest.mark.parametrize("fields", ["title", [""], ["x" * 65], ["a,b"], [1], ["x"] * 65, {}])
def test_a_subscription_of_none_is_refused(fields):
    """The reason is that of the close frame."""
    world = World()
    world.connect(1)
    with pytest.raises(ProtocolError, match="fields") as raised:
        world.hub.receive(1, json.dumps({"type": "jobs:subscribe", "fields": fields}))
    assert len(str(raised.value)) <= 100


@settings(max_examples=30)
@given(
    made=st.lists(moved_jobs(), min_size=2, max_size=5),
    fields=st.sampled_from([[], ["title"], ["history"], ["error", "retryCount"]]),
    limit=st.sampled_from([4096, 5000, 30_000]),
)
def test_facts_count_in_a_message(made: list[Job], fields: list[str], limit: int):
    """No message is longer than the client's limit, whatever stands beside the jobs."""
    world = World()
    for number, job in enumerate(made * 12, 1):
        values = {"id": f"a{number}", "revision": number}
        world.store.put(job.replace(**values, title="t" * 50))
    world.feed()
    client = Partial(Filter.make(fields=fields))
    client.limit = limit
    world.clients[1] = client
    world.hub.open(1, Dialect.V1, ZERO, client.filter, max_bytes=limit, digest=True)
    world.pump()
    assert len(client.set) == 12 * len(made)
    for job in world.store:
        found = client.set.get(job.id)
        assert (found.is_cancelled, found.began_ms) == (job.is_cancelled, job.began_ms)


# -- over sockets -----------------------------------------------------------------------------


async def test_the_query_names_fields(served):
    """Separated by commas, repeated, or none at all."""
    served.create(new_job("a1", title="x", message="m", labels={"a": "b"}))
    always = {"id", "type", "stage", "createdAt", "revision"}
    async with running_hub(served) as hub:
        for query, keys in (
            ("fields=title,labels", {"title", "labels"}),
            ("fields=title&fields=labels", {"title", "labels"}),
            ("fields=", set()),
            ("fields=id,nothing", set()),
        ):
            async with v1(f"{hub.url}?{query}") as one:
                [job] = (await said(one))["jobs"]
                assert set(job) == always | keys
        rows = json.loads((await get(hub, "/api/clients")).body)["clients"]
        assert all("fields" not in row for row in rows)
        async with v1(f"{hub.url}?fields=title,labels") as one:
            await said(one)
            [row] = json.loads((await get(hub, "/api/clients")).body)["clients"]
            assert row["fields"] == ["labels", "title"]


@pytest.mark.parametrize("query", ["fields=a,,b", "fields=" + "x" * 65, "fields=" + "a," * 65])
async def test_a_query_of_none_is_refused(query, served):
    """By one sentence, on the socket and over HTTP."""
    async with running_hub(served) as hub:
        with pytest.raises(InvalidStatus) as raised:
            async with v1(f"{hub.url}?{query}"):
                pass
        assert raised.value.response.status_code == 400
        assert b"fields" in raised.value.response.body
        answer = await get(hub, f"/api/jobs?{query}")
        assert answer.status == 400
        assert answer.body.count(b"\n") == 1
        assert b"fields" in answer.body
        async with v1(hub.url) as one:
            await said(one)
            await one.send(json.dumps({"type": "jobs:subscribe", "fields": ["a,b"]}))
            with pytest.raises(ConnectionClosed) as closed:
                await said(one)
            assert closed.value.rcvd.code == 4400
            assert "fields" in closed.value.rcvd.reason


async def test_a_plain_client_gets_whole_jobs(served):
    """Whatever stands in its query."""
    served.create(new_job("a1", title="x", message="m"))
    async with running_hub(served) as hub, plain(f"{hub.url}?fields=title") as one:
        [job] = (await said(one))["jobs"]
        assert (job["message"], job["retryCount"]) == ("m", 0)
        served.update("a1", lambda job: jobs.advance(job, "load", now=now()))
        job = (await said(one))["job"]
        assert (job["stage"], len(job["history"])) == ("load", 2)


async def test_a_reader_without_details_gets_none_by_naming_it(served):
    """On the socket and over HTTP."""
    run = {"argv": ["curl", "hidden"], "cwd": "/hidden", "exitCode": 1}
    served.create(new_job("a1", title="curl hidden", run=run, host="hidden"))
    async with running_hub(served) as hub:

        async def admit(access_request: AccessRequest) -> Grant:
            return Grant(Rights.VIEW)

        hub.server._access.authenticate = admit
        query = "fields=run,title,host,user"
        async with v1(f"{hub.url}?{query}") as one:
            [job] = (await said(one))["jobs"]
        [listed] = json.loads((await get(hub, f"/api/jobs?{query}")).body)["jobs"]
        assert job == listed
        assert (job["run"], job["title"]) == ({"exitCode": 1}, "curl")
        assert "hidden" not in json.dumps(job)


async def test_http_has_the_fields_of_each_page(served, monkeypatch):
    """Page by page, with a tag and a cursor of these fields."""
    for number in range(7):
        served.create(new_job(f"a{number}", title="x", result=5))
    served.update("a3", lambda job: jobs.fail(job, "Cancelled by user", now=now()))
    monkeypatch.setattr(http_module, "_MAX_RESPONSE", 400)
    async with running_hub(served) as hub:
        found, since, tags = [], "0", set()
        while True:
            answer = await get(hub, f"/api/jobs?fields=title&since={since}")
            tags.add(answer.headers["ETag"])
            page = json.loads(answer.body)
            found += page["jobs"]
            since = page["cursor"]
            if "a3" in [job["id"] for job in page["jobs"]]:
                assert page["derived"]["a3"]["cancelled"] is True
            if not page["more"]:
                break
        assert len(tags) > 2
        assert {job["id"] for job in found} == {f"a{number}" for number in range(7)}
        assert {tuple(sorted(job)) for job in found} == {
            ("createdAt", "id", "revision", "stage", "title", "type")
        }
        tag = answer.headers["ETag"]
        for query, status in (("fields=title", 304), ("fields=error", 200), ("", 200)):
            again = await get(
                hub, f"/api/jobs?{query}&since={since}", headers={"If-None-Match": tag}
            )
            if status == 304:
                again = await get(
                    hub, f"/api/jobs?{query}&since={since}",
                    headers={"If-None-Match": again.headers["ETag"]},
                )  # fmt: skip
            assert again.status == status
            if status == 200:
                assert json.loads(again.body)["since"] == 0, "a cursor of other fields"
        synced = json.loads((await get(hub, f"/api/jobs?fields=title&since={since}")).body)
        assert (synced["jobs"], synced["since"]) == ([], page["through"])


# -- the client -------------------------------------------------------------------------------


async def deltas_of(client: Client, enough: Callable[[list[Delta]], bool]) -> list[Delta]:
    """The first deltas, until there are enough."""
    found: list[Delta] = []
    async with aclosing(client.events()) as events:
        async for event in events:
            if isinstance(event, Delta):
                found.append(event)
                if enough(found):
                    break
    return found


async def test_the_client_reads_with_fields_and_resumes(served):
    """Over a restart of the hub, with the digest checked."""
    for number in range(3):
        served.create(new_job(f"a{number}", title="x", result=5))
    client: Client | None = None
    async with running_hub(served) as hub:
        port = hub.port
        client = Client(hub.url, fields=["title"], verify=True, backoff=hasty())
        [first] = await deltas_of(client, bool)
        assert {job.title for job in first.jobs} == {"x"}
        assert {job.result for job in first.jobs} == {None}
        assert client.cursor == first.cursor(client.filter)
    served.update("a1", lambda job: jobs.fail(job, "no", now=now()))
    async with running_hub(served, port=port) as hub:
        again = Client(hub.url, fields=["title"], cursor=client.cursor, verify=True)
        [second] = await deltas_of(again, bool)
        assert (second.since, [job.stage for job in second.jobs]) == (first.through, ["failed"])
        assert again.mismatches == 0
        other = Client(hub.url, fields=["error"], cursor=client.cursor)
        assert (await deltas_of(other, bool))[0].since == 0


async def test_read_and_follow_take_fields(served):
    """A hub sends them; a store that is read directly has whole jobs."""
    served.create(new_job("a1", title="x", result=5))
    async with running_hub(served) as hub:
        delta = await read(hub.url, fields=["title"])
        assert (delta.jobs[0].title, delta.jobs[0].result) == ("x", None)
        assert (await followed(url=hub.url)).jobs[0].result is None
    assert (await followed(store=served)).jobs[0].result == 5


async def followed(**options: Any) -> Delta:
    """The first delta."""
    async with aclosing(follow(**options, fields=["title"])) as events:
        async for event in events:
            if isinstance(event, Delta):
                return event
    raise AssertionError


@asynccontextmanager
async def older(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Hubs in the block are of a version that knows no fields."""
    from jobctl.core import protocol
    from jobctl.hub import handshake

    features = ", ".join(name for name in FEATURES if name != "fields")
    headers = tuple((key, features if key.endswith("es") else text) for key, text in HUB_HEADERS)
    with monkeypatch.context() as patch:
        patch.setattr(handshake, "HUB_HEADERS", headers)
        patch.setattr(protocol, "fields_of", lambda names: None)
        yield


async def test_an_older_hub_sends_whole_jobs(served, monkeypatch):
    """The client takes them, and its cursor is that of the hub: it resumes there."""
    served.create(new_job("a1", title="x", result=5))
    async with older(monkeypatch), running_hub(served) as hub:
        client = Client(hub.url, fields=["title"], verify=True, backoff=hasty())
        seen: list[Delta] = []

        async def follow_on() -> None:
            async for event in client:
                if isinstance(event, Delta):
                    seen.append(event)

        task = asyncio.create_task(follow_on())
        await until(lambda: seen)
        assert (seen[0].jobs[0].result, seen[0].jobs[0].fields) == (5, None)
        for connection in list(hub.server.clients.open):
            connection.abort()
        await until(lambda: hub.server.counts.starts["resumed"] == 1)
        served.update("a1", lambda job: jobs.advance(job, "load", now=now()))
        await until(lambda: seen[-1].jobs and seen[-1].jobs[0].stage == "load")
        assert [delta.since == 0 for delta in seen].count(True) == 1
        port = hub.port
    # A newer one in its place knows them, and that the cursor is of whole jobs.
    async with running_hub(served, port=port):
        await until(lambda: isinstance(seen[-1].jobs[0] if seen[-1].jobs else None, PartialJob))
        assert seen[-1].since == 0
    task.cancel()
