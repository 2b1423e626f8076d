"""Compression, acknowledgement and proof, on real sockets."""

# ruff: noqa: PT012 - what raises may be any message

from __future__ import annotations

import asyncio
import json
import struct
import zlib
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from jobctl._clock import now, now_ms
from jobctl.core import transitions as jobs
from jobctl.core.filters import Filter
from jobctl.core.jobset import Delta
from jobctl.core.times import to_ms
from jobctl.hub import clients as clients_module
from jobctl.hub import liveness as liveness_module
from jobctl.hub import pages as pages_module
from jobctl.hub import sending as sending_module
from jobctl.hub.sessions import Hub
from jobctl.reader import client as client_module
from jobctl.reader.client import Client
from jobctl.reader.status import Status
from tests.hub.network import (
    HubProcess,
    Reader,
    hasty,
    new_job,
    retitle,
    running_hub,
    said,
    until,
    v1,
)

DEFLATE = ClientPerMessageDeflateFactory(client_max_window_bits=True)


def compressed(data: bytes) -> bytes:
    """A client's text frame that says that it is compressed, masked by zeros."""
    return struct.pack("!BBQL", 0xC1, 0x80 | 127, len(data), 0) + data


# -- compression --------------------------------------------------------------------------------


async def test_one_frame_is_compressed_for_all(served, writer, monkeypatch):
    """A client that refuses gets plain frames; all hold the same."""
    made: list[bytes] = []
    real = sending_module.deflated_frame
    monkeypatch.setattr(
        sending_module, "deflated_frame", lambda message: (made.append(message), real(message))[1]
    )
    async with (
        running_hub(served) as hub,
        Reader.of_hub(hub.url) as one,
        Reader.of_hub(hub.url) as two,
        v1(hub.url) as refuses,
    ):
        await until(lambda: hub.sessions == 3)
        assert refuses.protocol.extensions == []
        for number in range(6):
            writer.create(new_job(f"a{number}", title="x" * 1000))
            await until(lambda count=number + 1: len(one.contents) == len(two.contents) == count)
        # Each client may get a first delta of its own, and that of a0 may be a part of it.
        changes = [message for message in made if b'"since":0,' not in message]
        assert len(changes) == 5
        held: dict[str, Any] = {}
        while len(held) < 6:
            held |= {job["id"]: job for job in (await said(refuses))["jobs"]}
        counts = hub.server.counts
        assert counts.bytes < counts.plain_bytes
        assert sorted(row["compressed"] for row in hub.server.status.clients()) == [
            False,
            True,
            True,
        ]


async def test_small_messages_go_as_they_are(served):
    """Eighty bytes would grow."""
    async with running_hub(served) as hub, v1(hub.url, extensions=[DEFLATE]) as one:
        await said(one)
        counts = hub.server.counts
        assert counts.bytes == counts.plain_bytes > 0


async def test_hub_may_be_told_not_to_compress(served, writer):
    """``--no-compression``."""
    writer.create(new_job("a1", title="x" * 1000))
    async with running_hub(served, compression=False) as hub, Reader.of_hub(hub.url) as reader:
        await until(lambda: reader.contents)
        assert hub.server.counts.bytes == hub.server.counts.plain_bytes


@pytest.mark.parametrize("bits", [8, 9, 12, 15])
async def test_window_that_a_client_asks_for_is_kept(served, writer, bits):
    """Frames for a smaller one than ours go as they are."""
    writer.create(new_job("a1", title="x" * 3000))
    offer = ClientPerMessageDeflateFactory(server_max_window_bits=bits)
    async with running_hub(served) as hub, v1(hub.url, extensions=[offer]) as one:
        assert (await said(one))["jobs"][0]["title"] == "x" * 3000
        counts = hub.server.counts
        assert (counts.bytes < counts.plain_bytes) == (bits == 15)


async def test_bomb_is_not_inflated(served):
    """FAULTS row 59: 200 MB in 200 KB; refused at the cap, and the hub stays as small as it was."""
    deflate = zlib.compressobj(wbits=-15)
    data = b"".join(deflate.compress(b"a" * 1_000_000) for _ in range(200))
    data += deflate.flush(zlib.Z_SYNC_FLUSH)
    frame = compressed(data[:-4])
    assert len(frame) < 250_000
    async with running_hub(served) as hub, v1(hub.url, extensions=[DEFLATE]) as one:
        one.transport.write(frame)
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                await asyncio.wait_for(one.recv(), 5)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009


@pytest.mark.slow
async def test_bombs_leave_the_hub_as_small_as_it_was(directory, writer):
    """FAULTS row 59: many of them."""
    deflate = zlib.compressobj(wbits=-15)
    data = b"".join(deflate.compress(b"a" * 1_000_000) for _ in range(200))
    frame = compressed(data + deflate.flush(zlib.Z_SYNC_FLUSH)[:-4])
    with HubProcess(directory) as hub:
        grown = []
        for _ in range(8):
            async with v1(hub.url, extensions=[DEFLATE]) as one:
                one.transport.write(frame)
                with pytest.raises(ConnectionClosed):
                    while True:
                        await asyncio.wait_for(one.recv(), 5)
            grown.append(hub.rss_kib())
        assert grown[-1] - grown[1] < 4096


# -- acknowledgement ----------------------------------------------------------------------------


async def test_client_says_what_it_has_taken(served, writer, monkeypatch):
    """The newest only, and not for every delta."""
    monkeypatch.setattr(client_module, "_ACK_S", 0.2)
    said_to_hub: list[Any] = []
    real = Hub.receive
    monkeypatch.setattr(
        Hub,
        "receive",
        lambda hub, id, data, now: (said_to_hub.append(data), real(hub, id, data, now))[1],
    )
    async with running_hub(served) as hub, Reader.of_hub(hub.url) as reader:
        for number in range(30):
            writer.create(new_job(f"a{number}"))
        await until(lambda: len(reader.contents) == 30)
        session = next(iter(hub.server.hub.sessions.values()))
        await until(lambda: session.acked == hub.server.hub.replica.revision)
        assert len(said_to_hub) < 10
        assert hub.server.hub.session_progress(session.id).lag_revisions == 0


async def test_what_was_not_taken_is_not_acknowledged(served, writer, monkeypatch):
    """A reader that holds its delta in its hands has not taken it."""
    monkeypatch.setattr(client_module, "_ACK_S", 0.01)
    writer.create(new_job("a1"))
    async with running_hub(served) as hub:
        events = Client(hub.url).events()
        while not isinstance(await anext(events), Delta):
            pass
        session = next(iter(hub.server.hub.sessions.values()))
        await asyncio.sleep(0.2)
        assert (session.position.sent, session.acked) == (1, 0)
        after = asyncio.create_task(anext(events))
        await until(lambda: session.acked == 1)
        after.cancel()
        await asyncio.gather(after, return_exceptions=True)
        await events.aclose()


async def test_quiet_reader_under_a_filter_resumes_from_near(served, writer, monkeypatch):
    """Its place is moved although nothing concerns it."""
    monkeypatch.setattr(liveness_module, "_SWEEP_S", 0.05)
    writer.create(new_job("a1"))
    async with (
        running_hub(served) as hub,
        Reader.of_hub(hub.url, filter=Filter.make(ids=["a1"])) as reader,
    ):
        await until(lambda: reader.contents)
        for number in range(20):
            writer.create(new_job(f"b{number}"))
        await until(lambda: reader.cursor.revision == 21)
        assert [len(delta.jobs) for delta in reader.deltas][1:] == [0] * (len(reader.deltas) - 1)


# -- proof --------------------------------------------------------------------------------------


@pytest.mark.parametrize("filter", [Filter(), Filter.make(active=True)])
async def test_what_is_held_is_proved(served, writer, filter):
    """After each delta that reaches the newest: nothing differs."""
    async with running_hub(served) as hub:
        client = Client(hub.url, filter=filter, verify=True)
        async with Reader(client.events(), client.filter) as reader:
            for number in range(10):
                writer.create(new_job(f"a{number}"))
            writer.update("a1", lambda job: jobs.complete(job, now=now()))
            writer.remove("a2")
            await until(lambda: len(reader.set) == (8 if filter.active else 9))
            assert client.mismatches == 0
            assert reader.deltas[-1].digest is not None


async def test_job_that_the_hub_forgot_to_send_is_noticed(served, writer, monkeypatch):
    """A seeded bug: a delta that lacks a job. It is told, and all is read anew."""
    writer.create(new_job("a1"))
    real, lost = pages_module.v1_page, []

    def forgetful(*args: Any, **how: Any) -> Any:
        messages, moved = real(*args, **how)
        message = json.loads(messages[0]) if messages else {"jobs": []}
        if not lost and [job["id"] for job in message["jobs"]] == ["a2"]:
            lost.append("a2")
            message["jobs"] = []
            return (json.dumps(message).encode(),), moved
        return messages, moved

    monkeypatch.setattr(pages_module, "v1_page", forgetful)
    async with running_hub(served) as hub:
        client = Client(hub.url, verify=True, backoff=hasty())
        seen: list[Status] = []
        held: set[str] = set()
        async with asyncio.timeout(10):
            async for event in client.events():
                if isinstance(event, Status):
                    seen.append(event)
                elif isinstance(event, Delta):
                    held = {job.id for job in event.jobs} | (held if event.since else set())
                    if held == {"a1"}:
                        writer.create(new_job("a2"))
                    elif held == {"a1", "a2"}:
                        break
        assert client.mismatches == 1
        assert [status.digest_mismatch for status in seen].count(True) == 1


@pytest.mark.slow
async def test_watch_verifies(directory, writer):
    """Quietly, while all is well."""
    import subprocess
    import sys

    from tests.stores.support import environment

    writer.create(jobs.complete(new_job("a1"), now=now()))
    with HubProcess(directory) as hub:
        ran = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "jobctl", "watch", "a1", "--verify", "--url", hub.url],
            env=environment(), capture_output=True, text=True, timeout=20,
        )  # fmt: skip
    assert ran.returncode == 0
    assert "completed" in ran.stdout


async def test_ping_is_answered_and_retitle_is_not_needed(served):
    """A scalar comes back as it was."""
    served.create(new_job("a1"))
    served.update("a1", retitle("x"))
    async with running_hub(served) as hub, v1(hub.url) as one:
        await said(one)
        for at in (1, "x", None, True, 1.5):
            await one.send(json.dumps({"type": "jobs:ping", "at": at}))
            answer = await said(one)
            assert abs(to_ms(answer.pop("now")) - now_ms()) < 5000
            assert answer == {"type": "jobs:pong", "at": at}


async def test_client_that_talks_too_fast_is_sent_away(served, monkeypatch):
    """By a code that says to come back; the others do not notice."""
    monkeypatch.setattr(clients_module, "_MAX_MESSAGES", 5)
    async with running_hub(served) as hub, v1(hub.url) as one, v1(hub.url) as other:
        await said(one)
        with pytest.raises(ConnectionClosed) as closed:
            for _ in range(1000):
                await one.send('{"type":"jobs:ping","at":1}')
            while True:
                await asyncio.wait_for(one.recv(), 5)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4008
        await said(other)
        assert hub.sessions >= 1
