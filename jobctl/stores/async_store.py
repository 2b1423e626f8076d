"""Stores for asyncio: the contract `AsyncStore`, and an adapter for a synchronous store.

A store that does its own asynchronous I/O (a server over the network) implements `AsyncStore`
itself. Every other store gets one worker thread, not one thread a call. `as_async` returns the
right one. This module imports asyncio: the light commands do not use it.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from inspect import iscoroutinefunction
from typing import Any, Protocol, TypeGuard, TypeVar, cast

from jobctl.core.cursor import Cursor
from jobctl.core.job import Job
from jobctl.core.jobset import Delta
from jobctl.stores.contract import BadFile, Change, Check, Store, bad_files, refresh

__all__ = ["MAX_INLINE_RECORDS", "AsyncStore", "Worker", "WorkerStore", "as_async"]

MAX_INLINE_RECORDS = 64
"""A read of so many records runs in the event loop: each takes about 50 µs, a thread 100 µs."""

_T = TypeVar("_T")


class AsyncStore(Protocol):
    """The store contract for an event loop: the same calls, with the same results and errors.

    Implementers guarantee, beside what `Store` says:

    - No call blocks the event loop for more than `MAX_INLINE_RECORDS` records.
    - A caller that is cancelled stops waiting. A change that has begun is recorded all the same.
    - ``change`` and ``check`` may run in another thread, so they must not use the event loop.
    """

    where: str

    async def head(self) -> Cursor:
        """Return the cursor of the newest revision."""

    async def since(
        self, cursor: Cursor, limit: int | None = None, *, snapshot_start: int = 0
    ) -> Delta:
        """Return what changed after the cursor, at most ``limit`` jobs and deletions."""

    async def get(self, id: str) -> Job:
        """Return the job."""

    async def create(self, job: Job) -> Job:
        """Record a new job; return it with its revision."""

    async def update(self, id: str, change: Change) -> Job:
        """Record the job that ``change`` returns."""

    async def remove(self, id: str, check: Check | None = None, *, damaged: bool = False) -> None:
        """Record a deletion."""

    async def refresh(self, ids: set[str] | None = None) -> bool:
        """Check these ids, or all, for changes by other programs; ``True`` if some are unsettled.

        A store that no other program writes to returns ``False``.
        """

    async def bad_files(self) -> list[BadFile]:
        """Return the files in quarantine, as of the last read."""

    async def dead_owners(self) -> frozenset[str]:
        """Return the names of the owners that are known to be dead."""

    async def forget_owners(self, names: Iterable[str]) -> None:
        """Remove the dead owners among these names. No active job may belong to them."""

    def listen(self, ring: Callable[[], None]) -> Callable[[], None]:
        """Call ``ring`` in the running event loop after changes; return a function that ends it.

        Raises `StoreError` if there is no bell; then only polling detects changes.
        """

    def close(self) -> None:
        """End the worker and all listeners. Calls that have not begun are cancelled."""


class WorkerStore:
    """A synchronous store under the `AsyncStore` contract, with one worker thread.

    Small reads run in the event loop at once, all other calls in the thread, one after the other.
    The thread starts with the first call. It is a daemon: a store that hangs does not keep the
    process from ending. Use it in one event loop. ``store`` stays the caller's, who closes it.
    """

    def __init__(self, store: Store) -> None:
        self.where = store.where
        self._store = store
        self._worker = Worker()
        self._listeners: set[Callable[[], None]] = set()

    async def head(self) -> Cursor:
        return await self._worker.run(self._store.head)

    async def since(
        self, cursor: Cursor, limit: int | None = None, *, snapshot_start: int = 0
    ) -> Delta:
        def read() -> Delta:
            return self._store.since(cursor, limit, snapshot_start=snapshot_start)

        if cursor.revision and self._store.behind(cursor) <= MAX_INLINE_RECORDS:
            return read()
        return await self._worker.run(read)

    async def get(self, id: str) -> Job:
        return await self._worker.run(self._store.get, id)

    async def create(self, job: Job) -> Job:
        return await self._worker.run(self._store.create, job)

    async def update(self, id: str, change: Change) -> Job:
        return await self._worker.run(self._store.update, id, change)

    async def remove(self, id: str, check: Check | None = None, *, damaged: bool = False) -> None:
        await self._worker.run(lambda: self._store.remove(id, check, damaged=damaged))

    async def refresh(self, ids: set[str] | None = None) -> bool:
        return await self._worker.run(refresh, self._store, ids)

    async def bad_files(self) -> list[BadFile]:
        return await self._worker.run(bad_files, self._store)

    async def dead_owners(self) -> frozenset[str]:
        return await self._worker.run(self._store.owners.dead)

    async def forget_owners(self, names: Iterable[str]) -> None:
        await self._worker.run(self._store.owners.forget, names)

    def listen(self, ring: Callable[[], None]) -> Callable[[], None]:
        loop, listener = asyncio.get_running_loop(), self._store.listen()

        def heard() -> None:
            listener.drain()
            ring()

        def end() -> None:
            if end in self._listeners:
                self._listeners.remove(end)
                loop.remove_reader(listener.fileno())
                listener.close()

        loop.add_reader(listener.fileno(), heard)
        self._listeners.add(end)
        return end

    def close(self) -> None:
        for end in list(self._listeners):
            end()
        self._worker.close()


def as_async(store: Store | AsyncStore) -> AsyncStore:
    """Return the store itself if it is asynchronous, else a `WorkerStore` on it."""
    return store if _is_async(store) else WorkerStore(cast("Store", store))


def _is_async(store: Store | AsyncStore) -> TypeGuard[AsyncStore]:
    return iscoroutinefunction(store.since)


class Worker:
    """A thread that runs calls for an event loop, in the order of their arrival.

    Not an executor: the interpreter waits for an executor's threads at its end.
    """

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._waiting: set[asyncio.Future[Any]] = set()
        self._thread: threading.Thread | None = None
        self._closed = False

    def run(self, call: Callable[..., _T], *args: object) -> asyncio.Future[_T]:
        """Run the call in the thread; return a future of its result."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[_T] = loop.create_future()
        if self._closed:
            future.cancel()
            return future
        self._waiting.add(future)
        future.add_done_callback(self._waiting.discard)

        def settle(result: _T | None, error: BaseException | None) -> None:
            if future.done():
                return  # the caller was cancelled
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(cast("_T", result))

        def work() -> None:
            if future.cancelled():
                return
            result: _T | None = None
            error: BaseException | None = None
            try:
                result = call(*args)
            except BaseException as raised:
                error = raised
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(settle, result, error)

        self._calls.put(work)
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="jobctl-store", daemon=True)
            self._thread.start()
        return future

    def close(self) -> None:
        """Cancel the calls that nobody has the result of yet; the thread ends after its call."""
        self._closed = True
        for future in list(self._waiting):
            future.cancel()
        self._calls.put(None)

    def _work(self) -> None:
        while (work := self._calls.get()) is not None:
            work()
