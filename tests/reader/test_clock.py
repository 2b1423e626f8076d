"""A hub's clock that differs from the reader's."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from jobctl._clock import now, now_ms
from jobctl.core import transitions as jobs
from jobctl.core.jobset import Delta
from jobctl.core.protocol import Pong
from jobctl.core.times import to_text
from jobctl.hub import clients
from jobctl.reader import client as client_module
from jobctl.reader import clock as clock_module
from jobctl.reader import once
from jobctl.reader.client import Client
from jobctl.reader.clock import HubClock
from jobctl.reader.status import Event
from jobctl.stores import Store
from tests.hub.network import new_job, running_hub, until

BEHIND_MS = 600_000


@pytest.fixture
def slow_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's clock is ten minutes behind."""
    monkeypatch.setattr(clients, "now", lambda: to_text(now_ms() - BEHIND_MS))


@pytest.mark.usefixtures("slow_hub")
async def test_readers_learn_the_hubs_time(served: Store) -> None:
    """A live one soon after it has everything, a single read before it returns."""
    served.create(new_job("a1"))
    async with running_hub(served) as hub:
        single = HubClock()
        await once.read(hub.url, clock=single)
        assert abs(single.ahead_ms + BEHIND_MS) < 5000
        live = HubClock()
        async with aclosing(Client(hub.url, clock=live).events()) as events:
            async for event in events:
                if isinstance(event, Delta):
                    if live.ahead_ms:
                        break
                    served.update("a1", lambda job: jobs.report(job, now=now(), message="on"))
        assert abs(live.ahead_ms + BEHIND_MS) < 5000


async def test_clock_that_is_set_is_noticed(served: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A live reader may be connected for days, with jobs that change all the time or never."""
    monkeypatch.setattr(client_module, "_CLOCK_S", 0.1)
    served.create(new_job("a1"))
    async with running_hub(served) as hub:
        live = HubClock()
        for is_busy in (False, True):
            monkeypatch.setattr(clients, "now", lambda: to_text(now_ms()))
            async with aclosing(Client(hub.url, clock=live).events()) as events:
                reading = asyncio.create_task(_drained(events))
                await until(lambda: abs(live.ahead_ms) < 5000)
                monkeypatch.setattr(clients, "now", lambda: to_text(now_ms() - BEHIND_MS))
                deadline_s = time.monotonic() + 10
                while abs(live.ahead_ms + BEHIND_MS) > 5000 and time.monotonic() < deadline_s:
                    if is_busy:
                        served.update("a1", lambda job: jobs.report(job, now=now(), message="on"))
                    await asyncio.sleep(0.02)
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
            assert abs(live.ahead_ms + BEHIND_MS) < 5000


async def _drained(events: AsyncGenerator[Event, None]) -> None:
    async for _ in events:
        pass


def test_estimate_moves_only_where_it_must(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's time lies between sending and receiving; a slow answer does not move it."""
    times = iter([1_000, 1_200, 2_000, 9_000, 10_000])
    monkeypatch.setattr(clock_module, "now_ms", lambda: next(times))
    clock = HubClock()
    sent = json.loads(clock.ping())["at"]
    clock.take(Pong(sent, 5_100))
    assert (sent, clock.ahead_ms) == (1_000, 4_000)
    sent = json.loads(clock.ping())["at"]
    clock.take(Pong(sent, 11_000))  # seven seconds on the way
    assert clock.ahead_ms == 4_000
    clock.take(Pong("x", 5_000))
    clock.take(Pong(1, None))
    assert clock.now_ms() == 14_000


def test_hub_of_an_earlier_version_says_no_time() -> None:
    """Then our own clock counts."""
    clock = HubClock()
    clock.take(Pong(0))
    assert abs(clock.now_ms() - time.time() * 1000) < 5000
