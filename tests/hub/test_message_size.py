"""No message is longer than what the client takes: all of it counts, not the jobs alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed, InvalidStatus

from jobctl.core.codec import parse_wire
from jobctl.core.cursor import Cursor
from jobctl.core.filters import EVERYTHING, Filter
from jobctl.core.jobset import DAMAGED, Delta, JobSet
from jobctl.core.protocol import BadFiles, DeadOwners, Dialect, parse_from_hub
from jobctl.hub.session import EndedSince
from tests.hub.network import new_job, plain, running_hub, said, v1
from tests.hub.world import PLAIN, World, make_job

ACTIVE = Filter(active=True)
DEFAULT = 30_000
MIB = 1024 * 1024
HISTORY = [{"stage": "pending", "at": "2025-01-01T00:00:00.000Z"}] * 200


class V1:
    """A jobctl.v1 client that fails if a message is longer than its limit."""

    def __init__(self, limit: int = DEFAULT) -> None:
        self.limit = limit
        self.set = JobSet()
        self.filter = EVERYTHING
        self.sizes: list[int] = []
        self.values: list[dict[str, Any]] = []
        self.dead: list[DeadOwners] = []

    @property
    def cursor(self) -> Cursor:
        return Cursor(self.set.epoch, self.set.revision, self.filter.tag)

    @property
    def jobs(self) -> dict[str, dict[str, Any]]:
        """The last version of each job that was sent."""
        return {job["id"]: job for value in self.values for job in value.get("jobs", ())}

    @property
    def stages(self) -> dict[str, str]:
        return {job.id: job.stage for job in self.set}

    @property
    def resets(self) -> int:
        return [value.get("since") for value in self.values].count(0)

    def take(self, message: bytes) -> None:
        assert len(message) <= self.limit
        self.sizes.append(len(message))
        self.values.append(json.loads(message))
        read = parse_from_hub(message)
        if isinstance(read, DeadOwners):
            self.dead.append(read)
        elif not isinstance(read, BadFiles):
            assert isinstance(read, Delta)
            assert self.set.apply(read)


class Plain:
    """A client of the original program, whose store merges; with its own limit."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.jobs: dict[str, dict[str, Any]] = {}
        self.types: list[str] = []
        self.sizes: list[int] = []

    def take(self, message: bytes) -> None:
        assert len(message) <= self.limit
        self.sizes.append(len(message))
        value = json.loads(message)
        self.types.append(value["type"])
        for job in value.get("jobs", [value.get("job")]):
            self.jobs[job["id"]] = self.jobs.get(job["id"], {}) | job


def joins(world: World, id: int, client: Any, filter: Filter = EVERYTHING, **options: Any) -> Any:
    """The client connects, with its own limit if it is not the default."""
    dialect = PLAIN if isinstance(client, Plain) else Dialect.V1
    default = MIB if isinstance(client, Plain) else DEFAULT
    max_bytes = None if client.limit == default else client.limit
    cursor = client.cursor if isinstance(client, V1) else Cursor("", 0)
    client.filter = filter
    world.clients[id] = client
    world.hub.open(id, dialect, cursor, filter, details=True, max_bytes=max_bytes, **options)
    return client


# -- the whole message ------------------------------------------------------------------------


def test_a_snapshot_comes_in_messages_of_thirty_thousand_bytes():
    """Envelope included, and they are well filled."""
    world = World()
    for number in range(300):
        world.put(f"a{number}", title="t" * 400)
    client = joins(world, 1, V1(), digest=True)
    world.pump()
    assert client.stages == world.expected()
    assert len(client.sizes) > 5
    assert min(client.sizes[:-1]) > 29_000


def test_what_is_odd_in_files_counts():
    """Remarks stand beside the jobs, and take as much room."""
    world = World()
    for number in range(300):
        revision = world.store.revision + 1
        odd = {"remarks": [f"progress: {'é' * 80} is ignored"] * 5}
        job = make_job(f"a{number}", revision)
        world.store.put(job.replace(reading=reading_of(odd)))
        world.feed()
    client = joins(world, 1, V1())
    world.pump()
    assert client.stages == world.expected()
    assert len(client.values[0]["odd"]) > 10


def reading_of(odd: dict[str, Any]) -> Any:
    """What a file with these remarks gives."""
    at = "2025-01-01T00:00:00.000Z"
    wire = {"id": "x", "type": "etl", "stage": "pending", "createdAt": at, "updatedAt": at}
    return parse_wire({**wire, "revision": 1}, odd).reading


@pytest.mark.parametrize("filter", [EVERYTHING, ACTIVE])
def test_what_is_gone_is_paged_and_not_a_reset(filter):
    """A reader of the active jobs that was stalled while 1,500 of them ended."""
    world = World()
    names = [f"{'n' * 50}-{number}" for number in range(1500)]
    for name in names:
        world.put(name)
    world.put("a9999")
    client = joins(world, 1, V1(), filter)
    world.pump()
    world.hub.stall(1)
    before = len(client.values)
    for name in names:
        if filter is ACTIVE:
            world.put(name, stage="completed", error=None)
        else:
            world.delete(name)
    world.put("b1", title="t" * 500)
    world.hub.recover(1)
    world.pump()
    assert client.stages == world.expected(filter) == {"a9999": "pending", "b1": "pending"}
    assert client.resets == 1
    assert len(client.values) - before > 3


def test_a_reader_that_is_cut_off_amid_what_is_gone_gets_all_of_it():
    """Its cursor has not moved; and what comes back or leaves meanwhile is right."""
    world = World()
    names = [f"{'n' * 50}-{number}" for number in range(1000)]
    for name in names:
        world.put(name)
    client = joins(world, 1, V1(4096), ACTIVE)
    world.pump()
    world.hub.stall(1)
    for name in names:
        world.put(name, stage="completed")
    world.hub.recover(1)
    for _ in range(5):
        world.pump_once()
    assert client.values[-1]["gone"]
    assert client.values[-1]["since"] == client.values[-1]["through"]
    world.put(names[0], stage="extract")  # it was gone
    world.put(names[1], stage="failed")  # it was gone, and changes again
    world.put(names[-1], stage="extract")  # it was not told yet
    for _ in range(3):
        world.pump_once()
    world.hub.close(1)
    world.put(names[2], stage="extract")
    joins(world, 2, client, ACTIVE)
    for _ in range(4):
        world.pump_once()
    world.put(names[-2], stage="extract")
    world.put(names[-2], stage="completed")
    world.delete(names[3])
    world.pump()
    assert client.stages == world.expected(ACTIVE)
    assert set(client.stages) == {names[0], names[-1], names[2]}
    assert client.resets == 1


def test_reasons_for_what_is_gone_count():
    """They are longer than the ids."""
    world = World()
    for number in range(300):
        world.put(f"a{number}")
    client = joins(world, 1, V1(8192))
    world.pump()
    world.hub.stall(1)
    for number in range(300):
        world.store.delete(f"a{number}", world.store.revision + 1, DAMAGED + "é" * 300)
        world.feed()
    world.hub.recover(1)
    world.pump()
    assert client.stages == {}
    assert client.values[-1]["why"]


@pytest.mark.parametrize("limit", [DEFAULT, 4096])
def test_the_dead_owners_are_paged(limit):
    """The last message of a list says that it is the last."""
    world = World()
    world.put("a1")
    dead = frozenset(f"{number}-0123456789ab" for number in range(3000))
    client = joins(world, 1, V1(limit))
    world.pump()
    world.hub.set_dead_owners(dead)
    world.pump()
    assert [each.more for each in client.dead] == [True] * (len(client.dead) - 1) + [False]
    assert len(client.dead) > 1
    assert frozenset().union(*(each.dead for each in client.dead)) == dead


def test_the_files_that_are_no_jobs_fit_into_one_message():
    """It says how many it leaves out."""
    world = World()
    world.put("a1")
    client = V1(4096)
    world.clients[1] = client
    world.hub.open(1, details=True, max_bytes=4096, bad_files=True)
    world.hub.set_bad_files({f"é{number}.json": "not JSON" for number in range(1000)})
    world.pump()
    bad = client.values[-1]
    assert bad["type"] == "jobs:bad"
    assert 10 < len(bad["files"]) == 1000 - bad["omitted"]


# -- a job that is too large ------------------------------------------------------------------


def test_a_client_without_a_limit_gets_a_large_job_whole_and_alone():
    """As before; what stands before and after it has messages of its own."""
    world = World()
    world.put("a1")
    world.put("a2", result="r" * 50_000)
    world.put("a3")
    client = world.clients[1] = V1(60_000)
    world.hub.open(1, details=True)
    world.pump()
    assert [[job["id"] for job in value["jobs"]] for value in client.values] == [
        ["a1"], ["a2"], ["a3"],
    ]  # fmt: skip
    assert client.jobs["a2"]["result"] == "r" * 50_000
    assert "omitted" not in client.jobs["a2"]


def test_a_large_job_is_alone_also_after_what_is_gone():
    """Under a filter, all that is gone comes first."""
    world = World()
    world.put("a1")
    world.put("a2")
    client = world.clients[1] = V1(60_000)
    world.hub.open(1, details=True, filter=ACTIVE)
    world.pump()
    world.hub.stall(1)
    world.put("a1", stage="completed")
    world.put("a2", result="r" * 50_000)
    world.hub.recover(1)
    world.pump()
    assert [(value["gone"], len(value["jobs"])) for value in client.values[1:]] == [
        (["a1"], 0), ([], 1),
    ]  # fmt: skip
    assert client.resets == 1


@pytest.mark.parametrize("limit", [4096, 8192, 100_000, MIB])
def test_a_client_with_a_limit_gets_it_without_the_large_keys(limit):
    """They are named, and the small jobs are whole."""
    world = World()
    world.put("a1", result="small", history=HISTORY[:2])
    world.put("a2", result="r" * (limit + 10), history=HISTORY[:1], run={"argv": ["x"]}, title="t")
    client = joins(world, 1, V1(limit))
    world.pump()
    assert client.jobs["a1"]["result"] == "small"
    large = client.jobs["a2"]
    assert large["omitted"] == ["result", "history", "run"]
    assert not large.keys() & {"result", "history", "run"}
    assert large["title"] == "t"
    assert client.stages == world.expected()


def test_a_plain_client_with_a_limit_merges_what_it_gets():
    """What is left out is null, and so is the list of it once the job is whole again."""
    world = World()
    world.put("a1", result="r" * 5000, history=HISTORY[:2])
    world.put("a2", title="t")
    client = joins(world, 1, Plain(4096))
    world.pump()
    assert (client.jobs["a1"]["result"], client.jobs["a1"]["history"]) == (None, None)
    assert client.jobs["a1"]["omitted"] == ["result", "history"]
    assert client.jobs["a2"]["omitted"] is None
    world.put("a1", result="small", history=HISTORY[:2])
    world.pump()
    assert (client.jobs["a1"]["result"], client.jobs["a1"]["omitted"]) == ("small", None)
    world.delete("a1")
    world.pump()
    assert client.jobs["a1"]["error"] == "Removed"


@pytest.mark.parametrize("limit", [4096, 20_000, MIB])
def test_the_first_message_of_a_plain_client_has_its_limit(limit):
    """1 MiB if it named none, all of the message; the rest follows as updates."""
    world = World(max_init=MIB, max_page=DEFAULT)
    for number in range(1000):
        world.put(f"a{number}", title="t" * 800)
    for number in range(50):
        world.put(f"e{number}", title="t" * 800, stage="completed", result="r" * 3000)
    client = joins(world, 1, Plain(limit), ended=EndedSince(time_ms=0))
    world.pump()
    assert client.jobs.keys() == {job.id for job in world.store}
    assert client.types == ["jobs:init"] + ["jobs:update"] * (len(client.types) - 1)
    assert limit - 2500 < client.sizes[0] <= limit


def test_a_subscription_may_have_another_limit():
    """One that names none leaves it as it is."""
    world = World()
    for number in range(100):
        world.put(f"a{number}", title="t" * 400)
    client = joins(world, 1, V1(8192))
    world.pump()
    assert max(client.sizes) > 7000
    client.limit = 4096
    world.hub.receive(1, json.dumps({"type": "jobs:subscribe", "max": 4096}))
    client.sizes.clear()
    world.pump()
    assert len(client.sizes) > 10
    world.hub.receive(1, json.dumps({"type": "jobs:subscribe"}))
    world.pump()
    assert client.stages == world.expected()


texts = st.text(max_size=3000)
some_jobs = st.fixed_dictionaries(
    {},
    optional={
        "title": texts, "message": texts, "error": texts, "result": st.lists(texts, max_size=3),
        "history": st.integers(0, 100).map(lambda count: HISTORY[:count] or None),
        "owner": texts, "foreign": st.dictionaries(texts, texts, max_size=3),
        "stage": st.sampled_from(["pending", "completed"]),
    },
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    st.lists(some_jobs, min_size=1, max_size=12),
    st.lists(st.tuples(st.integers(0, 11), st.none() | some_jobs), max_size=12),
    st.sampled_from([EVERYTHING, ACTIVE]),
    st.sampled_from([4096, 5000, 9000, DEFAULT + 1]),
)
def test_no_message_is_too_long_whatever_is_in_the_jobs(first, changes, filter, limit):
    """In both dialects, for snapshots, changes, and deletions."""
    world = World(max_init=MIB, max_page=DEFAULT)
    for number, fields in enumerate(first):
        world.put(f"a{number}", **fields)
    one = joins(world, 1, V1(limit), filter, digest=True)
    two = joins(world, 2, Plain(limit), filter)
    world.pump()
    world.hub.stall(1)
    for number, fields in changes:
        if fields is not None:
            world.put(f"a{number}", **fields)
        else:
            world.delete(f"a{number}")
        world.pump()
    world.hub.recover(1)
    world.pump()
    assert one.stages == world.expected(filter)
    held = {id: job["stage"] for id, job in two.jobs.items() if job["stage"] == "pending"}
    assert held == {id: stage for id, stage in world.expected(filter).items() if stage == "pending"}


# -- on a socket ------------------------------------------------------------------------------


async def test_a_client_that_takes_32_kib_reads_all_jobs(served):
    """As Go's coder/websocket does by default: it closes the connection otherwise."""
    for number in range(100):
        served.create(new_job(f"a{number}", title="t" * 900))
    async with running_hub(served) as hub, v1(hub.url, max_size=32 * 1024) as one:
        ids: list[str] = []
        while True:
            delta = await said(one)
            ids += [job["id"] for job in delta["jobs"]]
            if not delta["more"]:
                break
    assert len(set(ids)) == 100


@pytest.mark.parametrize("dial", [v1, plain])
async def test_the_limit_stands_in_the_query(served, dial):
    """For a client that takes less still, in both dialects."""
    for number in range(20):
        served.create(new_job(f"a{number}", title="t" * 900))
    served.create(new_job("large", result="r" * 20_000))
    async with running_hub(served) as hub, dial(f"{hub.url}?max=4096", max_size=4096) as one:
        jobs: dict[str, Any] = {}
        while len(jobs) < 21:
            value = await said(one)
            jobs |= {job["id"]: job for job in value.get("jobs", [value.get("job")])}
    assert jobs["large"]["omitted"] == ["result", *(["history"] if jobs["a0"]["history"] else [])]


@pytest.mark.parametrize("limit", ["4095", "0", "-1", "x", "", "1e6", "9" * 5000 + "x"])
async def test_a_limit_that_is_none_is_refused(served, limit):
    """With the smallest one."""
    async with running_hub(served) as hub:
        with pytest.raises(InvalidStatus) as refused:
            async with v1(f"{hub.url}?max={limit}"):
                pass
        assert refused.value.response.status_code == 400
        assert refused.value.response.body == b"max is a number of bytes, at least 4096\n"
        async with v1(hub.url) as one:
            await said(one)
            await one.send('{"type":"jobs:subscribe","max":4095}')
            with pytest.raises(ConnectionClosed) as closed:
                await said(one)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4400
    assert "at least 4096" in closed.value.rcvd.reason


async def test_a_larger_limit_than_the_largest_is_that(served):
    """A client says what it takes, and takes less gladly."""
    async with running_hub(served) as hub, v1(f"{hub.url}?max={'9' * 2000}") as one:
        await said(one)
        [session] = hub.server.hub.sessions.values()
        assert session.max_bytes == MIB


async def test_a_client_may_acknowledge_each_page(served):
    """With small pages it sends more messages than its rate allows otherwise."""
    for number in range(1200):
        served.create(new_job(f"a{number}", title="t" * 3400))
    async with running_hub(served) as hub, v1(f"{hub.url}?max=4096") as one:
        pages, more = 0, True
        while more:
            delta = await said(one)
            pages, more = pages + 1, delta["more"]
            await one.send(json.dumps({"type": "jobs:ack", "through": delta["through"]}))
        assert pages > 1100
        await one.send('{"type":"jobs:ping","at":1}')
        assert (await said(one))["type"] == "jobs:pong"
