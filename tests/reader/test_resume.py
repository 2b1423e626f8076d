"""Cuts: clients that come back get exactly the difference, all of them, and soon."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from contextlib import AsyncExitStack
from urllib.parse import quote

import pytest

from jobctl.core.cursor import MAX_REVISION, ZERO, Cursor
from jobctl.core.filters import Filter
from jobctl.reader.backoff import Backoff
from tests.hub.network import (
    HubProcess,
    Reader,
    new_job,
    plain,
    retitle,
    running_hub,
    said,
    stored,
    until,
    v1,
)


@pytest.mark.parametrize(
    "since",
    ["e:-1", "-1", str(2**63), f"e:{2**63}", "nonsense", "foreign:1", "☃", "", "e:1:zzzzzz"],
)
async def test_odd_cursor_is_reset(served, writer, since):
    """FAULTS row 31: a cursor that means nothing here gets everything, told to clear first."""
    writer.create(new_job("a1"))
    async with running_hub(served) as hub, v1(f"{hub.url}?since={quote(since)}") as connection:
        delta = await said(connection)
        assert delta["since"] == 0
        assert [job["id"] for job in delta["jobs"]] == ["a1"]


@pytest.mark.parametrize("revision", [2, 3, MAX_REVISION])
async def test_future_cursor_is_reset_after_a_fresh_look(served, writer, revision):
    """FAULTS row 31: the store is asked once more, and then the future is none."""
    writer.create(new_job("a1"))
    cursor = Cursor(writer.since(ZERO).epoch, revision)
    async with running_hub(served) as hub, v1(f"{hub.url}?since={cursor}") as connection:
        assert (await said(connection))["since"] == 0


async def test_cursor_that_is_ahead_of_the_hub_alone_is_resumed(served, writer, monkeypatch):
    """A client that read the directory itself may know more than the hub: one look, no reset."""
    monkeypatch.setattr(writer._bell, "ring", lambda: None)
    writer.create(new_job("a1"))
    async with running_hub(served) as hub, v1(hub.url) as connection:
        await said(connection)
        writer.create(new_job("a2"))
        cursor = writer.since(ZERO).cursor()
        async with Reader.of_hub(hub.url, cursor=cursor) as reader:
            reader.set.epoch, reader.set.revision = cursor.epoch, cursor.revision
            await until(lambda: reader.deltas)
            assert reader.deltas[0].since == cursor.revision
        for number in range(100):  # more than is read in the loop: the look takes its time
            writer.create(new_job(f"b{number}"))
        ahead = writer.since(ZERO).cursor()
        await connection.send(f'{{"type":"jobs:subscribe","since":"{ahead}"}}')
        while (delta := await said(connection))["through"] < ahead.revision:
            pass
        assert delta["since"] != 0


async def test_bad_subscription_is_told_by_its_close_code(served):
    """FAULTS row 31: a filter that is none is refused by name, not reset in silence."""
    async with running_hub(served) as hub, v1(hub.url) as connection:
        await said(connection)
        await connection.send('{"type":"jobs:subscribe","since":"0","filter":{"colour":"red"}}')
        await connection.wait_closed()
        assert connection.close_code == 4400
        assert "colour" in (connection.close_reason or "")


@pytest.mark.slow
async def test_clients_that_join_amid_a_burst_miss_and_repeat_nothing(served, writer):
    """FAULTS row 32: snapshot and updates meet without gap, repeat or step back."""
    for number in range(20):
        writer.create(new_job(f"a{number}"))
    stop = threading.Event()

    def burst() -> None:
        number = 0
        while not stop.is_set():
            writer.update(f"a{number % 20}", retitle(str(number)))
            writer.create(new_job(f"b{number}"))  # never touched again: nothing heals its loss
            number += 1

    thread = threading.Thread(target=burst)
    async with running_hub(served) as hub, AsyncExitStack() as stack:
        first = await stack.enter_async_context(Reader.of_hub(hub.url))
        await until(lambda: first.deltas)
        thread.start()
        readers = [first]
        plains: list[dict[str, int]] = []
        for _ in range(15):
            mark = first.set.revision
            await until(lambda mark=mark: first.set.revision > mark + 3)
            readers.append(await stack.enter_async_context(Reader.of_hub(hub.url)))
            plains.append(await stack.enter_async_context(_PlainView(hub.url)))
        stop.set()
        await asyncio.to_thread(thread.join)
        want = stored(writer)
        head = writer.since(ZERO).through
        await until(lambda: all(reader.contents == want for reader in readers))
        await until(lambda: all(max(seen.values()) == head for seen in plains))
        assert all(reader.resets == 1 for reader in readers)
        assert all(seen.keys() == want.keys() for seen in plains)


class _PlainView:
    """A plain client's newest revision of each job; it fails on a repeat or a step back."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.seen: dict[str, int] = {}

    async def _read(self) -> None:
        init = await said(self.connection)
        self.seen.update((job["id"], job["revision"]) for job in init["jobs"])
        while True:
            job = (await said(self.connection, 60))["job"]
            assert job["revision"] > self.seen.get(job["id"], 0)
            self.seen[job["id"]] = job["revision"]

    async def __aenter__(self) -> dict[str, int]:
        self.connection = await plain(self.url)
        self.task = asyncio.create_task(self._read())
        await until(lambda: self.seen)
        return self.seen

    async def __aexit__(self, *_: object) -> None:
        assert not self.task.done(), self.task.exception()
        self.task.cancel()
        await self.connection.close()


@pytest.mark.slow
async def test_killed_hub_comes_back_and_its_clients_get_exactly_the_difference(directory, writer):
    """FAULTS row 34: kill -9, changes meanwhile, a new hub on the port: no second snapshot."""
    for number in range(6):
        writer.create(new_job(f"a{number}"))
    hub = HubProcess(directory)
    some = Filter(ids=frozenset({"a1", "a5"}))
    async with Reader.of_hub(hub.url) as whole, Reader.of_hub(hub.url, filter=some) as part:
        await until(lambda: whole.deltas and part.deltas)
        for round in range(3):
            hub.kill()
            writer.update("a1", retitle(str(round)))
            writer.update("a2", retitle(str(round)))
            if round == 1:
                writer.remove("a5")
            mark = len(whole.deltas)
            hub = HubProcess(directory, port=hub.port)
            await until(lambda: whole.contents == stored(writer))
            changed = [job.id for delta in whole.deltas[mark:] for job in delta.jobs]
            assert changed == ["a1", "a2"]
            await until(lambda r=round: part.contents["a1"][1] == str(r))
        hub.kill()
        assert whole.resets == part.resets == 1
        assert set(part.contents) == {"a1"}


@pytest.mark.slow
async def test_500_clients_are_back_within_5_s_of_a_restart(directory, writer):
    """FAULTS row 34: kill -9 of a hub with 500 watchers; all resume within R, none starts over."""
    for number in range(20):
        writer.create(new_job(f"a{number}"))
    hub = HubProcess(directory)
    chance = random.Random(1)
    readers = [Reader.of_hub(hub.url, backoff=Backoff(chance.random)) for _ in range(500)]
    try:
        await until(lambda: all(reader.deltas for reader in readers), 30)
        hub.kill()
        writer.update("a1", retitle("later"))
        hub = HubProcess(directory, port=hub.port)
        began_s = time.monotonic()
        want = stored(writer)
        await until(lambda: all(r.set.get("a1").title == "later" for r in readers), 5)
        assert time.monotonic() - began_s < 5
        assert all(reader.contents == want for reader in readers)
        assert all(reader.resets == 1 for reader in readers)
    finally:
        for reader in readers:
            await reader.leave()
        hub.kill()
