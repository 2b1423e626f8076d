"""A client that reads nothing: it costs a cursor, slows nobody, and lands on the latest state."""

from __future__ import annotations

import asyncio
import os
import socket
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from jobctl.core.cursor import ZERO
from jobctl.stores import Store
from tests.hub.network import HubProcess, Reader, new_job, raw_upgrade, retitle, running_hub, until

UPDATES = int(os.environ.get("JOBCTL_STALLED_UPDATES", "3000"))
"""In the plain run; the promise was measured with 200000."""

BULK = "x" * 800


async def drained(sock: socket.socket, enough: Callable[[bytes], bool]) -> bytes:
    """All that the connection is sent until it is ``enough``."""
    data = b""
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    while not enough(data):
        data += await asyncio.wait_for(loop.sock_recv(sock, 1 << 16), 5)
    return data


async def test_stalled_session_is_known_and_recovers(served, writer):
    """Back-pressure tells the hub whom to leave alone, and when to go on."""
    writer.create(new_job("a1"))
    async with running_hub(served) as hub:
        sock = await asyncio.to_thread(raw_upgrade, hub.port, receive_buffer=4096)
        await until(lambda: hub.sessions == 1)
        session = next(iter(hub.server.hub.sessions.values()))

        def write() -> bool:
            writer.update("a1", retitle(f"{time.monotonic_ns()} {BULK * 10}"))
            return not session.writable

        await until(write)
        for number in range(50):
            writer.update("a1", retitle(f"{number} {BULK * 10}"))
        head = writer.since(ZERO).through
        await until(lambda: hub.server.hub.replica.revision == head)
        assert session.cursor.revision < head
        data = await drained(sock, lambda data: f'"through":{head},'.encode() in data[-30_000:])
        assert len(data) < 1 << 20
        await until(lambda: session.writable)
        assert session.cursor.revision == head
        sock.close()


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_client_that_hardly_reads_costs_next_to_nothing(directory, writer):
    """FAULTS row 23, issue 2 point 8: under 2 MiB in the hub, and the latest state afterwards."""
    jobs = [f"a{number}" for number in range(20)]
    for id in jobs:
        writer.create(new_job(id, title=BULK))
    with HubProcess(directory) as hub:
        async with Reader.of_hub(hub.url) as reader:
            await until(lambda: reader.deltas)
            await _churn(
                writer, reader, jobs, max(500, UPDATES // 20)
            )  # caches fill, the log is compacted
            alone_s = await _latencies(writer, reader)
            before_kib = hub.rss_kib()
            sock = await asyncio.to_thread(raw_upgrade, hub.port, receive_buffer=4096)
            await _churn(writer, reader, jobs, UPDATES, sip=lambda: sock.recv(1024))
            grown_kib = hub.rss_kib() - before_kib
            beside_s = await _latencies(writer, reader)
            head = writer.since(ZERO).through
            data = await drained(sock, lambda data: f'"through":{head},'.encode() in data)
            sock.close()
    print(
        f"{UPDATES} updates: {grown_kib} KiB more; latency {alone_s * 1e6:.0f} µs alone, ", end=""
    )
    print(f"{beside_s * 1e6:.0f} µs beside a stalled client; it was sent {len(data) >> 10} KiB")
    assert grown_kib < 2048
    assert len(data) < 1 << 20
    assert beside_s < 2 * alone_s + 0.001


async def _churn(
    writer: Store,
    reader: Reader,
    ids: list[str],
    updates: int,
    sip: Callable[[], object] = lambda: None,
) -> None:
    """So many updates; now and then a ``sip``, or a stalled client would be cut as silent."""

    def write(first: int) -> None:
        for number in range(first, min(first + 500, updates)):
            writer.update(ids[number % len(ids)], retitle(f"{number} {BULK}"))

    for first in range(0, updates, 500):
        await asyncio.to_thread(write, first)
        reader.deltas.clear()
        sip()
    head = writer.since(ZERO).through
    await until(lambda: reader.set.revision == head, 30)


async def _latencies(writer: Store, reader: Reader) -> float:
    """The quicker quarter's time from a write to its arrival, one by one: load comes and goes."""
    taken: list[float] = []
    arrived = asyncio.Event()
    reader.on_delta = lambda _: arrived.set()
    for number in range(200):
        arrived.clear()
        began_s = time.perf_counter()
        writer.update("a1", retitle(str(number)))
        await asyncio.wait_for(arrived.wait(), 5)
        taken.append(time.perf_counter() - began_s)
    reader.on_delta = None
    return statistics.quantiles(taken, n=4)[0]


@pytest.mark.slow
async def test_crowd_that_does_not_read_shares_what_waits(directory, writer):
    """A page of 256 KiB for each of 200 clients that read nothing is one page in the hub."""
    for number in range(300):
        writer.create(new_job(f"a{number}", title=BULK))
    with HubProcess(directory) as hub, ExitStack() as stack:
        async with Reader.of_hub(hub.url) as reader:
            await until(lambda: len(reader.set) == 300, 20)
            before_kib = hub.rss_kib()
            socks = [
                stack.enter_context(
                    await asyncio.to_thread(
                        raw_upgrade, hub.port, path="/ws/jobs?max=262144", receive_buffer=4096
                    )
                )
                for _ in range(200)
            ]
            for number in range(300):
                writer.update(f"a{number}", retitle(f"again {BULK}"))
            head = writer.since(ZERO).through
            await until(lambda: reader.set.revision == head, 20)
            grown_kib = hub.rss_kib() - before_kib
            data = await drained(
                socks[0], lambda data: f'"through":{head},'.encode() in data[-100_000:]
            )
    print(f"{grown_kib} KiB more for 200 clients; one was sent {len(data) >> 10} KiB")
    assert grown_kib < 200 * 64
