"""Following a store through its hub or directly: crossing without loss, never frozen."""

from __future__ import annotations

import asyncio
import signal
import threading
import time

import pytest

from jobctl.core.filters import Filter
from jobctl.errors import StoreError, TimedOut, UsageError
from jobctl.reader import follow as follow_module
from jobctl.reader import from_store as from_store_module
from jobctl.reader.follow import follow
from jobctl.reader.status import Status
from tests.hub.network import HubProcess, Reader, new_job, retitle, running_hub, stored, until
from tests.stores.support import plant_owner


@pytest.fixture(autouse=True)
def haste(monkeypatch):
    """Shorter times than in earnest, where a silent hub costs 2 s at the most."""
    assert follow_module._PATIENCE_S <= 2
    monkeypatch.setattr(follow_module, "_PATIENCE_S", 0.6)
    monkeypatch.setattr(follow_module, "_HUB_RETRY_S", 0.3)


class BusyWriter:
    """A producer that never pauses for long, in a thread."""

    def __init__(self, store, ids):
        self.store, self.ids, self.written = store, ids, 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        while not self._stop.wait(0.001):
            id = self.ids[self.written % len(self.ids)]
            if self.written % 7 == 6:
                self.store.remove(id)
                self.store.create(new_job(id))
            self.store.update(id, retitle(str(self.written)))
            self.written += 1

    def __enter__(self):
        for id in self.ids:
            self.store.create(new_job(id))
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()


async def test_reads_the_directory_while_there_is_no_hub(writer):
    """And says that it does."""
    writer.create(new_job("a1"))
    async with Reader.of_store(writer) as reader:
        await until(lambda: reader.contents == stored(writer))
        assert reader.source == "directory"
        writer.update("a1", retitle("two"))
        await until(lambda: reader.contents == stored(writer))


async def test_quiet_changes_do_not_break_a_filtered_reader(writer):
    """Changes that do not concern it move the cursor in silence; the next delta still follows."""
    writer.create(new_job("a1"))
    async with Reader.of_store(writer, filter=Filter(ids=frozenset({"a1"}))) as reader:
        await until(lambda: len(reader.set) == 1)
        for number in range(3):
            writer.create(new_job(f"b{number}"))
        async with Reader.of_store(writer) as other:  # the quiet changes have been read
            await until(lambda: len(other.set) == 4)
        writer.update("a1", retitle("two"))
        await until(lambda: reader.task.done() or reader.set.get("a1").title == "two")
        assert not reader.task.done(), reader.task.exception()
        assert reader.resets == 1


@pytest.mark.slow
async def test_crosses_from_hub_to_directory_and_back_without_loss(directory, writer):
    """Under a running writer, by one cursor: every delta follows, nothing is read twice."""
    with BusyWriter(writer, ["a1", "a2", "a3", "a4", "a5"]) as busy:
        async with Reader.of_store(writer) as reader:
            await until(lambda: reader.source == "directory" and reader.deltas)
            for _ in range(2):
                with HubProcess(directory) as hub:
                    await until(lambda: reader.source == "hub", what="crossing to the hub")
                    mark = busy.written
                    await until(lambda mark=mark: busy.written > mark + 20)
                    hub.kill()
                    began_s = time.monotonic()
                    await until(lambda: reader.source == "directory")
                    assert time.monotonic() - began_s < 2, "P: no bell, no hub"
            assert reader.resets == 1
            busy.__exit__()
            await until(lambda: reader.contents == stored(writer), 2)


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
async def test_stopped_hub_does_not_freeze_a_reader(directory, writer, when):
    """FAULTS row 16: a hub under SIGSTOP, met before or after, makes room for the directory."""
    writer.create(new_job("a1"))
    with HubProcess(directory) as hub:
        if when == "before":
            hub.send(signal.SIGSTOP)
        async with Reader.of_store(writer) as reader:
            if when == "after":
                await until(lambda: reader.source == "hub")
                hub.send(signal.SIGSTOP)
            writer.update("a1", retitle("two"))
            await until(lambda: reader.contents == stored(writer), 2, what="the directory")
            assert reader.source == "directory"
            hub.send(signal.SIGCONT)
            await until(lambda: reader.source == "hub", 5)
            writer.update("a1", retitle("three"))
            await until(lambda: reader.contents == stored(writer))
            assert reader.resets == 1


@pytest.mark.slow
async def test_insists_on_the_hub_of_a_url(served, writer):
    """With a URL the directory is no way out: back-off, and an end after the time-out."""
    async with running_hub(served) as hub:
        url = hub.url
    seen: list[Status] = []

    async def watch() -> None:
        async for event in follow(url=url, store=writer, timeout_s=0.2):
            assert isinstance(event, Status)
            seen.append(event)

    with pytest.raises(TimedOut, match="nobody listens there"):
        await watch()
    assert {status.source for status in seen} == {"hub"}
    assert {status.state for status in seen} == {"connecting", "error"}
    assert all(status.retry_s is not None for status in seen if status.state == "error")


async def test_nothing_to_follow_is_a_usage_error():
    """Neither a store nor a URL: a mistake of the caller's."""
    with pytest.raises(UsageError):
        async for _ in follow():
            pass


async def test_reader_that_leaves_takes_its_bell_along(directory, writer):
    """A follower that is closed leaves no socket behind."""
    writer.create(new_job("a1"))
    async with Reader.of_store(writer) as reader:
        await until(lambda: reader.deltas)
        assert len(list((directory / ".jobctl" / "bell").iterdir())) == 1
    await asyncio.sleep(0)
    assert list((directory / ".jobctl" / "bell").iterdir()) == []


async def test_death_is_told_after_a_read_that_failed(directory, writer, monkeypatch):
    """It was seen just before the store went out of reach for a moment."""
    writer.create(new_job("a1"))
    plant_owner(directory, "1-0123456789ab")
    failed = []
    read = from_store_module._read

    def once(*args, **how):
        if not failed:
            failed.append(1)
            raise StoreError("out of reach", path=str(directory))
        return read(*args, **how)

    monkeypatch.setattr(from_store_module, "_read", once)
    async with Reader.of_store(writer) as reader:
        await until(lambda: reader.dead == [{"1-0123456789ab"}], 5)
    assert failed
