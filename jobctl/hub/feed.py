"""Keeps the hub's replica up to date: by the bell, by polling, and by watching files.

A small read runs in the event loop, a large one in a thread. Nothing runs while no client is
connected. No change is lost by that, because the next read continues from the cursor.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar, cast

from jobctl._gc import gc_paused
from jobctl.core.cursor import ZERO, Cursor
from jobctl.core.jobset import Delta, JobSet
from jobctl.errors import JobctlError
from jobctl.hub.log_limit import LastingProblem
from jobctl.hub.metrics import Buckets
from jobctl.hub.sessions import Hub
from jobctl.stores import BadFile, Store, bad_files, path_of, read_pages, refresh
from jobctl.stores.bell import Listener
from jobctl.stores.subscriptions import AGAIN_S

__all__ = ["POLL_S", "Feed"]

POLL_S = 1.0
"""Seconds between reads of the store without a ring of the bell."""

_MAX_INLINE_RECORDS = 64  # more records are read in a thread; each takes about 50 µs
_PAGE = 512  # jobs that a full load reads at a time
_MAX_EMPTY_READS = 50  # reads without a change in a poll interval, after which rings are merged
_RING_PAUSE_S = 0.01
_DEBOUNCE_S = (
    0.2  # file events are merged for this long, so a busy file is read five times a second
)
_RESCAN_S = 5.0
_FORGET_OWNERS_S = 10.0
_MAX_WAIT_S = 1.0  # for the list of bad files: clients that connect wait for it
_CLOSE_S = 0.5
_MIN_RESCAN_RATIO = 20  # rescans take at most a twentieth of the time

_log = logging.getLogger("jobctl.hub")
_T = TypeVar("_T")


class Feed:
    """Keeps ``hub.replica`` at the head of ``store`` while there are clients.

    ``changed`` is called in the event loop after the replica has moved. An error of the store is
    logged and the read is tried again. Any other error is a defect: it stops the tasks and is set
    in `failed`.
    """

    def __init__(
        self, store: Store, hub: Hub, changed: Callable[[], None], *, watch_files: bool
    ) -> None:
        self._store = store
        self._hub = hub
        self._changed = changed
        self._watch_files = watch_files and path_of(store) is not None
        self._loop = asyncio.get_running_loop()
        self._listener: Listener | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._reading: asyncio.Future[Delta | JobSet] | None = None
        self._reading_since_s = 0.0
        self._shared_calls: dict[Callable[[], Any], asyncio.Future[Any]] = {}
        self._more_to_read = False
        self._empty_reads = 0
        self._bell_pause: asyncio.TimerHandle | None = None
        self._held: asyncio.TimerHandle | None = None
        self._changed_ids: set[str] = set()
        self._files_changed = asyncio.Event()
        self._last_error = ""
        self._read_problem = LastingProblem(
            _log, "the store can be read again", level=logging.ERROR
        )
        self._bell_problem = LastingProblem(_log, "the bell works again")
        self._watch_problem = LastingProblem(_log, f"watching {store.where} again")
        self._refresh_problem = LastingProblem(
            _log, "foreign changes are looked for again", level=logging.ERROR
        )
        self._closed = False
        self._complete_reads = 0
        self._owners_known = asyncio.Event()
        self.failed: asyncio.Future[None] = self._loop.create_future()
        self.rings = 0
        self.reads = Buckets()

    @property
    def last_error(self) -> str:
        """The error of the last read, or an empty string if it succeeded."""
        return self._last_error

    def reading_s(self) -> float:
        """Return for how many seconds the current read in a thread has been running.

        0 if there is none.
        """
        return self._loop.time() - self._reading_since_s if self._reading is not None else 0.0

    async def dead(self) -> frozenset[str]:
        """Return the names of the owners that are dead now."""
        return await self._in_shared_thread(self._store.owners.dead)

    async def bad(self) -> list[BadFile]:
        """Return the files in quarantine."""
        return await self._in_shared_thread(self._bad_files)

    def _bad_files(self) -> list[BadFile]:
        return bad_files(self._store)

    @property
    def active(self) -> bool:
        """Whether the feed is subscribed to the store."""
        return bool(self._tasks)

    # -- the subscription -------------------------------------------------------------------

    def start(self) -> None:
        """Subscribe: listen to the bell, poll, and watch for changes by other programs."""
        if self._tasks:
            return
        self._owners_known.clear()
        self._listen()
        self._spawn(self._poll())
        self._spawn(self._watch_owners())
        if self._watch_files:
            self._spawn(self._refresh())
            self._spawn(self._watch())

    def stop(self) -> None:
        """Unsubscribe."""
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()
        self._owners_known.set()  # waiting would not end: the task is cancelled
        self._unlisten()
        if self._bell_pause is not None:
            self._bell_pause.cancel()
            self._bell_pause = None
        if self._held is not None:
            self._held.cancel()
            self._held = None

    async def close(self) -> None:
        """Unsubscribe for good. Waits for a read that is running, but not for long."""
        self._closed = True
        tasks = list(self._tasks)
        self.stop()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._reading is not None:
            _, late = await asyncio.wait([self._reading], timeout=_CLOSE_S)
            for reading in late:
                reading.cancel()  # its thread goes on, but no session waits for it
        self.failed.cancel()

    def _spawn(self, coroutine: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(coroutine)
        task.add_done_callback(self._task_done)
        self._tasks.append(task)

    def _in_thread(self, call: Callable[..., _T], *args: object) -> asyncio.Future[_T]:
        """Run the call in a daemon thread; an executor's threads would be waited for at exit."""
        future: asyncio.Future[_T] = self._loop.create_future()

        def settle(result: _T | None, error: BaseException | None) -> None:
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(cast("_T", result))

        def run() -> None:
            result: _T | None = None
            error: BaseException | None = None
            try:
                result = call(*args)
            except BaseException as raised:
                error = raised
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(settle, result, error)

        threading.Thread(target=run, name="jobctl-store", daemon=True).start()
        return future

    def _in_shared_thread(self, call: Callable[[], _T]) -> asyncio.Future[_T]:
        """Like `_in_thread`, but callers share one thread: a store that hangs costs only one."""

        def ended(future: asyncio.Future[Any]) -> None:
            self._shared_calls.pop(call, None)
            _ = (
                future.cancelled() or future.exception()
            )  # mark the error as seen: perhaps no caller waits any more

        if call not in self._shared_calls:
            self._shared_calls[call] = self._in_thread(call)
            self._shared_calls[call].add_done_callback(ended)
        return asyncio.shield(self._shared_calls[call])

    def _task_done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self.fail(task.exception())

    def fail(self, error: BaseException | None) -> None:
        """Report a defect; the hub stops instead of serving old data silently."""
        if not self.failed.done() and error is not None:
            self.failed.set_exception(error)

    def _listen(self) -> None:
        try:
            self._listener = self._store.listen()
        except JobctlError as error:
            self._bell_problem.report(f"no bell, so polling every {POLL_S:g} s: {error}")
            return
        self._bell_problem.end()
        self._loop.add_reader(self._listener.fileno(), self._on_bell)

    def _unlisten(self) -> None:
        if self._listener is not None:
            self._loop.remove_reader(self._listener.fileno())
            self._listener.close()
            self._listener = None

    def _on_bell(self) -> None:
        assert self._listener is not None, "its reader is removed with it"
        self._listener.drain()
        self.rings += 1
        if self._empty_reads > _MAX_EMPTY_READS:
            # Rings without changes: merge them, up to a hundred reads a second.
            self._loop.remove_reader(self._listener.fileno())
            self._bell_pause = self._loop.call_later(_RING_PAUSE_S, self._resume_bell)
        self.read_soon()

    def _resume_bell(self) -> None:
        self._bell_pause = None
        if self._listener is not None:
            self._loop.add_reader(self._listener.fileno(), self._on_bell)

    # -- reading ----------------------------------------------------------------------------

    def read_soon(self) -> None:
        """Read new changes: few of them now, many in a thread.

        Calls during a read are merged into one.
        """
        if self._closed:
            return
        if self._reading is not None:
            self._more_to_read = True
            return
        try:
            little = (
                self._hub.loaded and self._store.behind(self._hub.cursor) <= _MAX_INLINE_RECORDS
            )
            if little:
                self._read_inline()
                return
        except JobctlError as error:
            self._log_read_error(error)
            return
        except Exception as error:
            self.fail(error)
            return
        self._read_in_thread()

    def _read_in_thread(self) -> None:
        self._reading_since_s = self._loop.time()
        self._reading = self._in_thread(self._read_large, self._hub.cursor)
        self._reading.add_done_callback(self._read_done)

    def _read_later(self) -> None:
        """Read again soon: the store has more, but a writer is active now."""
        if self.active and self._held is None:
            self._held = self._loop.call_later(AGAIN_S, self._read_again)

    def _read_again(self) -> None:
        self._held = None
        self.read_soon()

    async def read_now(self) -> bool:
        """Read once more and wait for it; return whether the read got everything.

        The read that counts starts after this call.
        """
        while self._reading is not None:
            await asyncio.wait([self._reading])
        before = self._complete_reads
        self.read_soon()
        while self._reading is not None:
            await asyncio.wait([self._reading])
        return self._complete_reads > before

    async def first_read(self) -> None:
        """Like `read_now`, and wait until the dead owners are known."""
        await self.read_now()
        if self.active:
            await self._owners_known.wait()

    def _read_inline(self) -> None:
        before, began_s = self._hub.cursor, time.perf_counter()
        for _ in range(4):
            delta = self._store.since(self._hub.cursor)
            if delta.since == 0 and delta.more:
                self._read_in_thread()  # a part of a full load is shown to nobody
                break
            here = self._hub.cursor
            taken = self._hub.feed(delta)
            if taken and not delta.more:
                self._complete_reads += 1
                break
            if self._hub.cursor == here:
                self._read_later()
                break
        self.reads.add(time.perf_counter() - began_s)
        moved = self._hub.cursor != before  # an empty store answers with an empty reset
        self._empty_reads = 0 if moved else self._empty_reads + 1
        self._last_error = ""
        self._read_problem.end()
        if moved:
            self._changed()

    def _read_large(self, cursor: Cursor) -> Delta | JobSet:
        """Read in a thread. A full load builds a new set, because the hub's replica is in use.

        A full load is read to its end, so that a part of it is never mistaken for everything.
        """
        began_s = time.perf_counter()
        read: Delta | JobSet | None = None
        if cursor != ZERO and self._store.head().epoch == cursor.epoch:
            delta = self._store.since(cursor)
            read = delta if delta.since else None
        if read is None:
            read = self._load()
        self.reads.add(time.perf_counter() - began_s)
        return read

    def _load(self) -> JobSet:
        """Read everything. Few jobs at a time are in memory as the store has them."""
        loaded = JobSet(opaque=True)
        with gc_paused():
            for page in read_pages(self._store, limit=_PAGE):
                follows = loaded.apply(page)
                assert follows, "pages follow each other"
        return loaded

    def _read_done(self, reading: asyncio.Future[Delta | JobSet]) -> None:
        self._reading = None
        if reading.cancelled() or self._closed:
            return
        try:
            self._take(reading.result())
        except JobctlError as error:
            self._log_read_error(error)
        except Exception as error:
            self.fail(error)
        if self._more_to_read:
            self._more_to_read = False
            self.read_soon()

    def _take(self, read: Delta | JobSet) -> None:
        self._last_error = ""
        self._read_problem.end()
        if isinstance(read, JobSet):
            self._hub.replace_replica(read)
            complete = True
        else:
            here = self._hub.cursor
            taken = self._hub.feed(read)
            complete = taken and not read.more
            if taken and read.more and self._hub.cursor == here:
                self._read_later()
            elif not complete:
                self._more_to_read = True
        self._complete_reads += complete
        self._changed()

    def _log_read_error(self, error: JobctlError) -> None:
        """Log each error of the store once.

        The hub serves the last known state until the store recovers.
        """
        self._last_error = str(error)
        self._read_problem.report(f"cannot read the store, so serving what is known: {error}")

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            self._empty_reads = 0
            if self._listener is None:
                self._listen()
            self.read_soon()

    # -- owners -----------------------------------------------------------------------------

    async def _watch_owners(self) -> None:
        """Track which owners are dead, and which files are no jobs.

        Forget the dead owners without active jobs.
        """
        checked_s = self._loop.time()
        while True:
            dead = await self._in_thread(self._store.owners.dead)
            due = bool(dead) and self._loop.time() - checked_s >= _FORGET_OWNERS_S
            # They died before the read, so the read has everything that they have written. Report
            # them only after a complete read.
            if (due or dead != self._hub.dead) and await self.read_now():
                if self._hub.set_dead_owners(dead):
                    self._changed()
                if due:
                    checked_s = self._loop.time()
                    ended = dead - {job.owned_by for job in self._hub.replica if job.active}
                    await self._in_thread(self._forget_owners, ended)
            self._owners_known.set()
            await self.note_bad_files()
            await asyncio.sleep(POLL_S)

    async def note_bad_files(self) -> None:
        """Tell the hub which files are no jobs, as of the last read.

        If the store does not answer soon, the hub goes on with the list that it has.
        """
        with suppress(JobctlError, OSError, TimeoutError):
            async with asyncio.timeout(_MAX_WAIT_S):
                bad = await self.bad()
            if self._hub.set_bad_files({item.name: item.reason for item in bad}):
                self._changed()

    def _forget_owners(self, ended: frozenset[str]) -> None:
        """Forget dead owners, in a thread.

        Forget none while a file is unreadable: its job may have one.
        """
        with suppress(JobctlError, OSError):
            if not bad_files(self._store):
                self._store.owners.forget(ended)

    # -- foreign writers --------------------------------------------------------------------

    async def _watch(self) -> None:
        """Collect the names of changed files; `_refresh` reads them."""
        path = path_of(self._store)
        assert path is not None, "only a directory has files to watch"
        while True:
            try:
                import watchfiles  # opens a file: may fail without free descriptors

                watched = path.stat().st_ino
                async for events in watchfiles.awatch(
                    path,
                    recursive=False,
                    watch_filter=None,
                    step=50,
                    debounce=100,
                    rust_timeout=1000,
                    yield_on_timeout=True,
                ):
                    self._watch_problem.end()
                    if path.stat().st_ino != watched:
                        break  # the path is another directory now
                    ids = {Path(name).name[:-5] for _, name in events if name.endswith(".json")}
                    if ids:
                        self._changed_ids |= ids
                        self._files_changed.set()
            except (OSError, RuntimeError) as error:
                self._watch_problem.report(f"cannot watch {path}, so rescanning only: {error}")
                await asyncio.sleep(_RESCAN_S)

    async def _refresh(self) -> None:
        """Have the store check the files that were reported, and from time to time all files."""
        next_scan_s = self._loop.time() + _RESCAN_S
        unsettled = False
        while True:
            wait_s = _DEBOUNCE_S if unsettled else max(0.0, next_scan_s - self._loop.time())
            try:
                async with asyncio.timeout(wait_s):  # wait_for() may lose a cancellation
                    await self._files_changed.wait()
                await asyncio.sleep(_DEBOUNCE_S)
            except TimeoutError:
                pass
            self._files_changed.clear()
            ids, self._changed_ids = self._changed_ids, set()
            began_s = self._loop.time()
            full = began_s >= next_scan_s
            try:
                unsettled = await self._in_thread(refresh, self._store, None if full else ids)
            except JobctlError as error:
                self._changed_ids |= ids
                self._refresh_problem.report(f"cannot look for foreign changes: {error}")
            else:
                self._refresh_problem.end()
            if full:
                took_s = self._loop.time() - began_s
                next_scan_s = self._loop.time() + max(_RESCAN_S, _MIN_RESCAN_RATIO * took_s)
