"""The client: it resumes, it backs off, it knows when to give up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as websockets_serve
from websockets.typing import Subprotocol

from jobctl._clock import now
from jobctl.core import transitions as jobs
from jobctl.core.cursor import ZERO
from jobctl.core.filters import Filter
from jobctl.core.jobset import Delta, JobSet
from jobctl.core.protocol import (
    SUBPROTOCOL,
    DeadOwners,
    close_reason_with_retry,
    delta_message,
)
from jobctl.errors import HubError, TimedOut, UsageError
from jobctl.reader.backoff import Backoff
from jobctl.reader.client import Client, hub_url
from jobctl.reader.status import Status
from tests.hub.network import Reader, hasty, new_job, running_hub, stored, until

EMPTY = '{"type":"jobs:delta","epoch":"e1","since":0,"through":0,"more":false,"jobs":[],"gone":[]}'


@asynccontextmanager
async def fake_hub(
    handle: Callable[[ServerConnection], Any], *, subprotocol: str | None = SUBPROTOCOL
) -> AsyncIterator[str]:
    """A server that accepts and then does what the test wants."""
    offered = [Subprotocol(subprotocol)] if subprotocol else None
    async with websockets_serve(handle, "127.0.0.1", 0, subprotocols=offered) as server:
        yield f"127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


async def first(client: Client, state: str, count: int = 1) -> list[Status]:
    """The first so many statuses of this state."""
    found: list[Status] = []
    async for event in client:
        if isinstance(event, Status) and event.state == state:
            found.append(event)
            if len(found) == count:
                break
    return found


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("127.0.0.1:8765", "ws://127.0.0.1:8765/ws/jobs"),
        ("http://host", "ws://host/ws/jobs"),
        ("https://host/", "wss://host/ws/jobs"),
        ("ws://host:1/other?x=1", "ws://host:1/other?x=1"),
        ("WSS://[::1]:1", "wss://[::1]:1/ws/jobs"),
    ],
)
def test_url_is_what_a_person_writes(text, url):
    """Scheme and path may be left out."""
    assert hub_url(text) == url


@pytest.mark.parametrize("text", ["", "ftp://host", "ws://", "ws://u:p@host", "ws://host:x", "[::"])
def test_what_is_no_url_of_a_hub_is_a_usage_error(text):
    """It is said before anything is tried."""
    with pytest.raises(UsageError, match="write ws://HOST:PORT"):
        hub_url(text)


async def test_status_tells_connecting_open_and_closed_with_the_wait(served):
    """Open comes with the first delta, and the end says when the next try is."""
    async with running_hub(served) as hub:
        reader = Reader.of_hub(hub.url)
        await until(lambda: reader.deltas)
    await until(lambda: len(reader.statuses) > 3)
    await reader.leave()
    assert [status.state for status in reader.statuses[:4]] == [
        "connecting",
        "open",
        "closed",
        "connecting",
    ]
    assert "come back" in reader.statuses[2].detail
    assert reader.statuses[2].retry_s is not None


@pytest.mark.parametrize(
    ("reason", "retry_s", "detail"),
    [
        (
            close_reason_with_retry("the hub goes away", 7.5),
            7.5,
            "the hub goes away; come back in ",
        ),
        ("the hub goes away; come back in 7.5 s", 7.5, "the hub goes away; come back in "),
        ("retry-after=1000; too many", 30.0, "too many"),
        ("retry-after=1e3; too many", 0.0, "retry-after=1e3; too many"),
        ("come back in a minute", 0.0, "come back in a minute"),
    ],
)
async def test_the_hub_says_when_to_reconnect(reason, retry_s, detail):
    """In its reason for closing; a hub of 0.1.0 in words. Nonsense leaves it to the backoff."""

    async def close(connection: ServerConnection) -> None:
        await connection.close(4000, reason)

    async with fake_hub(close) as url:
        client = Client(url, backoff=Backoff(lambda: 0.0))
        status = (await first(client, "error", 1))[0]
    assert status.detail.startswith(detail)
    assert "retry-after=7" not in status.detail
    assert status.retry_s == retry_s if retry_s else status.retry_s < 1


async def test_backoff_grows_while_a_hub_accepts_and_closes():
    """FAULTS row 35: a bare accept is no sense; the waits go on doubling."""

    async def accept_then_close(connection: ServerConnection) -> None:
        await connection.close(1011, "no")

    async with fake_hub(accept_then_close) as url:
        backoff = Backoff(lambda: 0.0)
        client = Client(url, backoff=backoff)
        statuses = await first(client, "error", 4)
        assert backoff.tries == 4
        assert {status.detail for status in statuses} == {"no"}


async def test_backoff_is_reset_by_a_valid_message_only():
    """FAULTS row 35: what is no message of ours does not count either."""
    messages = ["nonsense", "nonsense", EMPTY, "nonsense"]

    async def say_one(connection: ServerConnection) -> None:
        await connection.send(messages.pop(0))

    async with fake_hub(say_one) as url:
        backoff = Backoff(lambda: 0.0)
        client = Client(url, backoff=backoff)
        tries: list[int] = []
        async for event in client:
            if isinstance(event, Status) and event.retry_s is not None:
                tries.append(backoff.tries)
                if len(tries) == 4:
                    break
        assert tries == [1, 2, 1, 2]


async def test_delta_that_does_not_follow_renews_the_subscription(served, writer):
    """A gap is not swallowed: the client asks anew with its own cursor."""
    asked: list[str] = []
    gap = EMPTY.replace('"since":0,"through":0', '"since":5,"through":6')

    async def skip(connection: ServerConnection) -> None:
        assert connection.request is not None
        asked.append(connection.request.path)
        await connection.send(EMPTY.replace('"through":0', '"through":3'))
        await connection.send(gap)
        await connection.wait_closed()

    async with fake_hub(skip) as url:
        async with Reader.of_hub(url) as reader:
            await until(lambda: len(asked) > 2)
        assert asked[:2] == ["/ws/jobs", "/ws/jobs?since=e1%3A3"]
        assert all(delta.since == 0 for delta in reader.deltas)


@pytest.mark.parametrize("once", [True, False])
async def test_list_of_dead_owners_that_takes_several_messages_is_one(once):
    """A page of a list is not taken for all of it, nor for the end of a single read."""
    name = "1-0123456789a{}".format

    async def speak(connection: ServerConnection) -> None:
        await connection.send(EMPTY)
        for number, more in ((0, ',"more":true'), (1, ',"more":true'), (2, ""), (3, "")):
            await connection.send(f'{{"type":"jobs:owners","dead":["{name(number)}"]{more}}}')
        if once:
            await connection.recv()
            await connection.send('{"type":"jobs:pong","at":0}')
        await connection.wait_closed()

    async with fake_hub(speak) as url:
        lists: list[frozenset[str]] = []
        async for event in Client(url, once=once):
            if isinstance(event, DeadOwners):
                lists.append(event.dead)
                if len(lists) == 2 and not once:
                    break
    assert lists == [frozenset({name(0), name(1), name(2)}), frozenset({name(3)})]


async def test_hub_that_speaks_another_language_is_not_believed():
    """A server that does not choose our subprotocol is no hub of ours."""

    async def speak(connection: ServerConnection) -> None:
        await connection.send(EMPTY)
        await connection.wait_closed()

    async with fake_hub(speak, subprotocol=None) as url:
        with pytest.raises(HubError, match="does not speak jobctl"):
            await first(Client(url, retry=False), "open")


async def test_refusal_that_trying_cannot_cure_ends_it(served):
    """A wrong path or a fatal close code raises at once, and says what the hub said."""
    async with running_hub(served) as hub:
        with pytest.raises(HubError, match="refuses: HTTP 404, nothing here; jobs"):
            await first(Client(f"{hub.host}:{hub.port}/elsewhere"), "error")

    async def fatal(connection: ServerConnection) -> None:
        await connection.close(4400, "not like this")

    async with fake_hub(fatal) as url:
        with pytest.raises(HubError, match="refuses: not like this"):
            await first(Client(url), "error")


async def test_busy_hub_is_tried_again():
    """503 and close codes below 4400 say "come back"."""

    async def come_back(connection: ServerConnection) -> None:
        await connection.close(4000, "come back")

    async with fake_hub(come_back) as url:
        statuses = await first(Client(url, backoff=hasty()), "error", 2)
        assert statuses[-1].detail == "come back"


async def test_timeout_counts_the_time_without_a_hub():
    """It names the hub, the time and the last trouble."""
    with pytest.raises(TimedOut, match=r"no hub at ws://127\.0\.0\.1:9/ws/jobs for 0\.1 s: nobody"):
        await first(Client("127.0.0.1:9", timeout_s=0.1), "open")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_proxies_are_not_asked_for_loopback(served, writer, monkeypatch, host):
    """FAULTS row 38: with every proxy variable set to a dead port, loopback is reached directly."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "WS_PROXY"):
        for spelled in (name, name.lower()):
            monkeypatch.setenv(spelled, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    writer.create(new_job("a1"))
    async with running_hub(served) as hub, Reader.of_hub(f"{host}:{hub.port}") as reader:
        await until(lambda: reader.contents == stored(writer))


@pytest.mark.slow
async def test_silent_hub_is_given_up_after_the_patience(served):
    """A peer that answers no ping is gone, whatever TCP says (FAULTS row 28)."""
    release = asyncio.Event()

    async def freeze(connection: ServerConnection) -> None:
        await connection.send(EMPTY)
        connection.transport.pause_reading()
        await release.wait()
        connection.transport.abort()

    async with fake_hub(freeze) as url:
        client = Client(url, patience_s=0.1, backoff=hasty())
        statuses = await asyncio.wait_for(first(client, "closed"), 3)
        assert statuses[0].retry_s is not None
        release.set()


@pytest.mark.parametrize(
    ("filter", "what"),
    [
        ({"label": "team=data"}, "labels"),
        ({"stage": ["cancelled", "load"]}, "cancelled jobs"),
    ],
)
async def test_a_hub_that_cannot_apply_the_filter_is_refused(filter, what):
    """An older one would send other jobs, or none: that is not what was asked for."""

    async def old_hub(connection: ServerConnection) -> None:
        await connection.send(EMPTY)
        await connection.wait_closed()

    async with fake_hub(old_hub) as url:
        client = Client(url, filter=Filter.from_wire(filter), retry=True)
        with pytest.raises(HubError, match=f"older jobctl, and cannot filter by {what}"):
            await asyncio.wait_for(first(client, "open"), 5)


async def test_cancelled_jobs_of_an_older_hub_are_not_taken_for_failed_ones():
    """Its filter knows the stages of the files alone; the client leaves them out itself."""
    failed = jobs.fail(new_job("a1"), "disk full", now=now())
    stopped = jobs.cancel(new_job("a2"), now=now())
    asked = []

    async def old_hub(connection: ServerConnection) -> None:
        asked.append(connection.request.path)
        held = JobSet("e1")
        held.put(failed.replace(revision=1))
        held.put(stopped.replace(revision=2))
        delta = held.since(ZERO)
        wires = [held.wire(job.id) for job in delta.jobs]
        await connection.send(delta_message(delta, 0, wires).decode())
        await connection.wait_closed()

    async with fake_hub(old_hub) as url:
        chosen = Filter.make(stages=["failed"])
        async with aclosing(Client(url, filter=chosen).events()) as events:
            delta = await anext(event async for event in events if isinstance(event, Delta))
        assert [job.id for job in delta.jobs] == ["a1"]
        assert "stage=failed" in asked[0]
        with pytest.raises(HubError, match="cannot filter by cancelled jobs"):
            await first(Client(url, filter=chosen, verify=True), "open")
