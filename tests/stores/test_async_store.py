"""What `AsyncStore` promises, over every store, and of a store that is asynchronous itself."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import pytest

from jobctl.core.cursor import ZERO, Cursor
from jobctl.core.job import Job
from jobctl.core.jobset import Delta, JobSet
from jobctl.errors import Conflict, JobNotFound
from jobctl.stores import Change, Store
from jobctl.stores.async_store import MAX_INLINE_RECORDS, AsyncStore, WorkerStore, as_async
from jobctl.stores.memory import MemoryStore
from tests.stores.support import new, state, with_message


class NativeStore(WorkerStore):
    """Stands for a store with its own asynchronous I/O."""


@pytest.fixture
async def made(store: Store) -> AsyncIterator[AsyncStore]:
    """The adapter of each store."""
    made = as_async(store)
    yield made
    made.close()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition that another thread makes true."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  # a thread cannot set an asyncio.Event
            await asyncio.sleep(0.002)


def workers() -> set[threading.Thread]:
    """The threads of stores; those of earlier tests, which may end at any time, among them."""
    return {thread for thread in threading.enumerate() if thread.name == "jobctl-store"}


async def test_calls_give_what_the_store_gives(made: AsyncStore, store: Store) -> None:
    """Writes, reads, deletions and the head."""
    job = await made.create(new("a"))
    assert await made.get("a") == store.get("a") == job
    assert (await made.update("a", with_message("1"))).message == "1"
    await made.create(new("b"))
    seen: list[str] = []
    await made.remove("b", lambda job: seen.append(job.id))
    assert (seen, state(store)) == (["b"], {"a": "1"})
    assert await made.since(ZERO) == store.since(ZERO)
    assert await made.head() == store.head()
    assert made.where == store.where


async def test_errors_pass_through(made: AsyncStore) -> None:
    """The same exceptions as from the store; the worker goes on."""
    await made.create(new("a"))
    with pytest.raises(Conflict):
        await made.create(new("a"))
    with pytest.raises(JobNotFound):
        await made.get("b")
    with pytest.raises(ZeroDivisionError):
        await made.update("a", lambda job: job.replace(message=str(1 / 0)))
    assert (await made.get("a")).id == "a"


async def test_pages_are_those_of_the_store(made: AsyncStore, store: Store) -> None:
    """The limit and the start of the snapshot are passed on."""
    for number in range(7):
        store.create(new(f"a{number}"))
    replica, cursor, start = JobSet(), ZERO, 0
    for _ in range(4):
        page = await made.since(cursor, 2, snapshot_start=start)
        assert len(page.jobs) <= 2
        assert replica.apply(page)
        cursor, start = page.cursor(), page.snapshot_start
    assert not page.more
    assert len(replica) == 7


async def test_capabilities_are_asked_for_in_the_same_way(made: AsyncStore) -> None:
    """A store without files has no quarantine and nothing to refresh."""
    await made.create(new("a"))
    assert await made.refresh() is False
    assert await made.refresh({"a"}) is False
    assert await made.bad_files() == []
    assert await made.dead_owners() == frozenset()
    await made.forget_owners(["nobody"])


async def test_change_rings_in_the_event_loop(made: AsyncStore) -> None:
    """Until the listener is ended, which may be done twice."""
    await made.create(new("a"))
    rang = asyncio.Event()
    threads: set[int] = set()
    end = made.listen(lambda: (threads.add(threading.get_ident()), rang.set()))  # type: ignore[func-returns-value, arg-type, return-value]
    await made.update("a", with_message("1"))
    async with asyncio.timeout(5):
        await rang.wait()
    assert threads == {threading.get_ident()}
    end()
    end()
    rang.clear()
    await made.update("a", with_message("2"))
    await asyncio.sleep(0)
    assert not rang.is_set()


async def test_all_calls_share_one_thread(made: AsyncStore) -> None:
    """However many callers wait at a time."""
    before = workers()
    await asyncio.gather(*(made.create(new(f"a{number}")) for number in range(50)))
    assert len(workers() - before) == 1


def slow_change() -> tuple[threading.Event, threading.Event, Change]:
    """A change that says when it is called, and waits until it may return."""
    inside, leave = threading.Event(), threading.Event()

    def change(job: Job) -> Job:
        inside.set()
        assert leave.wait(10)
        return with_message("late")(job)

    return inside, leave, change


class CountedStore(MemoryStore):
    """Tells in which thread it was read."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: list[int] = []

    def since(self, cursor: Cursor, limit: int | None = None, *, snapshot_start: int = 0) -> Delta:
        self.readers.append(threading.get_ident())
        return super().since(cursor, limit, snapshot_start=snapshot_start)


async def test_only_small_reads_run_in_the_event_loop() -> None:
    """A first read, and one that lags far behind, run in the worker."""
    store = CountedStore()
    made = as_async(store)
    store.create(new("a"))
    cursor = (await made.since(ZERO)).cursor()
    for _ in range(MAX_INLINE_RECORDS):
        store.update("a", with_message("x"))
        store.create(new(f"b{store.head().revision}"))
        if store.behind(cursor) == MAX_INLINE_RECORDS:
            break
    await made.since(cursor)
    store.create(new("one-more"))
    await made.since(cursor)
    here = threading.get_ident()
    assert [reader == here for reader in store.readers] == [False, True, False]
    made.close()


async def test_slow_call_does_not_block_the_loop() -> None:
    """The event loop turns while a change waits; a cancelled caller does not stop the change."""
    store = MemoryStore()
    made = as_async(store)
    await made.create(new("a"))
    inside, leave, change = slow_change()
    updating = asyncio.create_task(made.update("a", change))
    await until(inside.is_set)
    assert store.get("a").message is None
    updating.cancel()
    with pytest.raises(asyncio.CancelledError):
        await updating
    leave.set()
    assert (await made.get("a")).message == "late"
    made.close()


async def test_close_cancels_who_waits_and_ends_the_thread() -> None:
    """A call after it is cancelled as well."""
    before = workers()
    store = MemoryStore()
    made = as_async(store)
    await made.create(new("a"))
    inside, leave, change = slow_change()
    calls = [asyncio.create_task(made.update("a", change)), asyncio.create_task(made.get("a"))]
    await until(inside.is_set)
    made.close()
    leave.set()
    results: Iterable[Any] = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)
    with pytest.raises(asyncio.CancelledError):
        await made.get("a")
    await until(lambda: workers() <= before)


async def test_asynchronous_store_is_used_as_it_is() -> None:
    """No worker stands between the event loop and a store with its own asynchronous I/O."""
    native = NativeStore(MemoryStore())
    assert as_async(native) is native
    assert isinstance(as_async(MemoryStore()), WorkerStore)
