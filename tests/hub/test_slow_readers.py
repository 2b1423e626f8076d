"""Who is cut, and who never is: the silent, the slow, the idle, the broken."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from jobctl.core.filters import Filter
from jobctl.core.job import Job
from jobctl.hub import liveness as liveness_module
from jobctl.hub.connection import HubConnection
from jobctl.hub.sessions import Hub
from tests.hub.network import (
    Reader,
    new_job,
    raw_upgrade,
    retitle,
    running_hub,
    said,
    stored,
    until,
    v1,
)

BULK = "x" * 2000


@pytest.fixture
def quick_sweep(monkeypatch):
    """The silent are cut after 0.6 s, where it is 20 s in earnest."""
    assert liveness_module.LIVENESS_TIMEOUT_S + liveness_module._SWEEP_S <= 20
    monkeypatch.setattr(liveness_module, "LIVENESS_TIMEOUT_S", 0.6)
    monkeypatch.setattr(liveness_module, "_SWEEP_S", 0.1)
    monkeypatch.setattr(liveness_module, "_PING_AFTER_S", 0.2)


@pytest.mark.slow
async def test_silent_peer_is_cut_and_resumes(served, writer, quick_sweep):
    """One that neither says nor takes anything is cut, though the hub has nothing to send."""
    writer.create(new_job("a1"))
    async with running_hub(served) as hub:
        sock = await asyncio.to_thread(raw_upgrade, hub.port)
        async with v1(hub.url) as answering:
            first = await said(answering)
            await until(lambda: hub.sessions == 2)
            await until(lambda: hub.sessions == 1, 2)
            await asyncio.wait_for(answering.ping(), 1)
        cursor = f"{first['epoch']}:{first['through']}"
        async with v1(f"{hub.url}?since={cursor}") as again:
            assert (await said(again))["since"] == first["through"]
        sock.close()


@pytest.mark.slow
async def test_silent_peer_is_cut_while_it_is_stalled(served, writer, quick_sweep):
    """Data that waits for it and does not move is no sign of life."""
    writer.create(new_job("a1"))
    async with running_hub(served) as hub:
        sock = await asyncio.to_thread(raw_upgrade, hub.port, receive_buffer=4096)
        await until(lambda: hub.sessions == 1)
        for number in range(20):
            writer.update("a1", retitle(f"{number} {BULK * 50}"))
            hub.server.feed.read_soon()
        assert not next(iter(hub.server.hub.sessions.values())).writable
        await until(lambda: hub.sessions == 0, 2)
        sock.close()


@pytest.mark.slow
async def test_slow_reader_is_never_cut(served, writer, quick_sweep):
    """Its pongs wait behind the data, so data that moves is a sign of life too."""
    writer.create(new_job("a1"))
    async with running_hub(served) as hub:
        sock = await asyncio.to_thread(raw_upgrade, hub.port, receive_buffer=4096)
        await until(lambda: hub.sessions == 1)
        for number in range(20):
            writer.update("a1", retitle(f"{number} {BULK * 50}"))
            hub.server.feed.read_soon()
        assert not next(iter(hub.server.hub.sessions.values())).writable
        sock.setblocking(False)
        began_s = time.monotonic()
        taken = 0
        while time.monotonic() - began_s < 2.5:
            taken += len(
                await asyncio.wait_for(asyncio.get_running_loop().sock_recv(sock, 2048), 1)
            )
            await asyncio.sleep(0.05)
            assert hub.sessions == 1, f"cut after {taken} bytes"
        sock.close()


@pytest.mark.slow
async def test_idle_reader_that_answers_pings_is_never_cut(served, quick_sweep):
    """Having nothing to say is no silence."""
    async with running_hub(served) as hub, v1(hub.url) as connection:
        await said(connection)
        began_s = time.monotonic()
        heard = {conn.last_seen_s for conn in hub.server.clients.open}
        while time.monotonic() - began_s < 1.5:
            await asyncio.sleep(0.05)
            heard |= {conn.last_seen_s for conn in hub.server.clients.open}
            assert hub.sessions == 1
        assert len(heard) > 3


@pytest.mark.slow
async def test_hub_that_was_stopped_itself_accuses_nobody(served, quick_sweep):
    """After a sleep of its own (a closed laptop) it listens before it cuts (FAULTS row 39)."""
    async with running_hub(served) as hub, v1(hub.url) as connection:
        await said(connection)
        time.sleep(1.0)  # the whole loop stands still
        for _ in range(20):
            await asyncio.sleep(0.01)
            assert hub.sessions == 1


class Broken(Filter):
    """A filter with a defect; like no other."""

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def matches(self, job: Job) -> bool:
        raise RuntimeError("defect")


async def test_broken_session_is_closed_and_the_others_go_on(served, writer, caplog):
    """It is logged with its id, told to come back, and nobody else notices."""
    writer.create(new_job("a1"))
    async with running_hub(served) as hub, v1(hub.url) as broken, Reader.of_hub(hub.url) as reader:
        await said(broken)
        await until(lambda: reader.deltas)
        id = min(hub.server.hub.sessions)
        hub.server.hub.sessions[id].filter = Broken()
        writer.update("a1", retitle("two"))
        await until(lambda: reader.contents == stored(writer))
        await broken.wait_closed()
        assert broken.close_code == 4000
    failed = [record for record in caplog.records if record.getMessage() == "session failed"]
    assert [record.session for record in failed] == [id]


async def test_connection_that_cannot_be_written_to_breaks_alone(served, writer, monkeypatch):
    """A transport that raises is given up; those that share its bytes get theirs."""
    writer.create(new_job("a1"))
    async with running_hub(served) as hub, v1(hub.url) as broken, Reader.of_hub(hub.url) as reader:
        await said(broken)
        await until(lambda: reader.deltas)

        real = HubConnection.write_frames

        def write_frames(connection: HubConnection, frames: bytes) -> None:
            if connection.session_id == min(hub.server.clients.by_session):
                raise RuntimeError("defect")
            real(connection, frames)

        monkeypatch.setattr(HubConnection, "write_frames", write_frames)
        writer.update("a1", retitle("two"))
        await until(lambda: reader.contents == stored(writer))
        await broken.wait_closed()
        assert broken.close_code == 4000
        assert hub.sessions == 1


async def test_session_that_cannot_be_opened_breaks_alone(served, monkeypatch, caplog):
    """Those that open in the same turn of the loop are served."""
    served.create(new_job("a1"))
    real = Hub.open

    def open(hub: Hub, id: int, *args: Any, **options: Any) -> Any:
        if id == 1:
            raise RuntimeError("defect")
        return real(hub, id, *args, **options)

    monkeypatch.setattr(Hub, "open", open)
    async with running_hub(served) as hub:
        socks = [raw_upgrade(hub.port) for _ in range(3)]
        await until(lambda: hub.sessions == 2)
        for sock in socks:
            data = b""
            while b'"a1"' not in data and b"the session failed" not in data:
                data += await asyncio.to_thread(sock.recv, 65536)
            assert (b'"a1"' in data) == (sock is not socks[0])
            sock.close()
    failed = [record for record in caplog.records if record.getMessage() == "session failed"]
    assert [record.session for record in failed] == [1]


async def test_last_words_of_a_broken_session_are_not_heard(served, caplog):
    """What it still says before it learns of its end is no second failure."""
    async with running_hub(served) as hub, v1(hub.url) as broken:
        await said(broken)
        hub.server.clients.fail_sessions(
            list(hub.server.clients.by_session), RuntimeError("defect")
        )
        await broken.send('{"type":"jobs:ping","at":1}')
        await broken.wait_closed()
        await until(lambda: not hub.server.feed.active)
    failed = [record for record in caplog.records if record.getMessage() == "session failed"]
    assert len(failed) == 1
