"""The recorder: one thread per store and process writes what tracked jobs report.

The thread keeps a lock holder that is stopped, a full disk, and Ctrl-C away from the work. A report
queues a `Write` and waits for it briefly while the store works, and not at all while it fails.
Waiting also lets the writing thread run, so that the store's lock is not held while two busy
threads take turns.

A write that the store refused is tried again, with backoff, as long as the process lives, and once
more at its end. The thread ends with the last tracked job, and closes the store if it opened it.
"""

from __future__ import annotations

import atexit
import heapq
import itertools
import logging
import threading
from collections import deque
from collections.abc import Callable
from time import monotonic, sleep
from typing import Protocol

from jobctl._fork import in_forked_child, notice_fork
from jobctl.core.cursor import Cursor
from jobctl.core.job import Job
from jobctl.errors import JobctlError, StoreError
from jobctl.stores import Store
from jobctl.stores.owners import CancelRequest
from jobctl.work.text import one_line

__all__ = ["PATIENCE_S", "Recorder", "Source", "Write", "drain", "one_line"]

PATIENCE_S = 1.0
"""Maximum time that a call waits for the store; then calls do not wait until it works again."""
RETRY_S = 1.0
MAX_RETRY_S = 30.0
CANCEL_POLL_S = 0.5
"""Seconds between checks for cancel requests."""
EXIT_S = 6.0
"""Maximum time that the end of the process waits for writes, while nobody else writes either."""
BUSY_EXIT_S = 60.0
"""The same while other processes write in turns, so that ours will have its turn."""
MAX_QUEUED_OF_ONE = 64
MAX_QUEUED = 10_000
_WARN_EVERY_S = 60.0
_DEFECT_S = 0.1

_log = logging.getLogger("jobctl")
_numbers = itertools.count()


class Source(Protocol):
    """A tracked job, as the recorder uses it.

    `failed` and `recorded_as` are called without the guard.
    """

    id: str
    scheduled: bool
    gone: bool
    """Its job does not exist: it was refused, removed, or taken over."""

    def due_s(self) -> float | None:
        """Return when its report is to be written (monotonic), or ``None``."""

    def take_report(self) -> Write:
        """Return the write of the report, which is no longer pending."""

    def restore_report(self) -> None:
        """Make the report pending again: it could not be written."""

    def recorded_as(self, job: Job) -> None:
        """Note that the store has this version."""

    def failed(self, write: Write, error: Exception) -> None:
        """Note that the write was dropped because of this error."""

    def cancel(self, request: CancelRequest) -> None:
        """Note that the job is to be cancelled."""


class Write:
    """One operation on the store, and its result.

    ``awaited``: the caller reads ``error``. ``droppable``: later writes of its source replace it.
    ``last``: the last one of its source. ``report``: its source can make it again.
    """

    __slots__ = (
        "_on_done", "_tried", "action", "awaited", "done", "droppable", "error", "last", "report",
        "source",
    )  # fmt: skip

    def __init__(
        self,
        source: Source,
        action: Callable[[Store], Job | None],
        *,
        awaited: bool = False,
        droppable: bool = False,
        last: bool = False,
        report: bool = False,
    ) -> None:
        self.source, self.action = source, action
        self.awaited, self.droppable, self.last, self.report = awaited, droppable, last, report
        self.error: Exception | None = None
        self.done = False
        """Written or dropped: nothing more will happen."""
        self._tried = threading.Event()
        self._on_done: Callable[[], None] | None = None

    def wait(self, timeout_s: float | None) -> None:
        """Wait until the write is done, or postponed because the store failed."""
        self._tried.wait(timeout_s)

    def on_done(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` once the write is done or postponed, from the recorder's thread."""
        self._on_done = callback
        if self._tried.is_set():
            callback()

    def finish(self, error: Exception | None) -> None:
        """Mark the write as done, with or without an error."""
        self.error, self.done = error, True
        self.release()

    def release(self) -> None:
        """Wake whoever waits for the write."""
        self._tried.set()
        if self._on_done is not None:
            self._on_done()


class Recorder:
    """The writing thread of one store; get it with `Recorder.join`.

    A ``strict`` recorder tries each write once and leaves the error to the caller.
    """

    def __init__(
        self, key: object, open: Callable[[], Store], *, owned: bool, strict: bool
    ) -> None:
        self.strict = strict
        self.guard = threading.Condition(threading.Lock())
        self._key, self._open, self._owned = key, open, owned
        self._store: Store | None = None
        self._users = 0
        self._held: set[Source] = set()
        self._watched_for_cancel: set[Source] = set()
        self._cancel_poll_at = 0.0
        self._ready: deque[Write] = deque()
        self._later: list[tuple[float, int, Source]] = []
        self._retry_at = 0.0
        self._delay_s = RETRY_S
        self._slow = False
        self._draining = False
        self._writing = False
        self._warned_at = -_WARN_EVERY_S
        self._warned = False  # of an outage that lasts
        self._thread = threading.Thread(target=self._run, name="jobctl-recorder", daemon=True)

    @classmethod
    def join(
        cls, key: object, open: Callable[[], Store], *, owned: bool, strict: bool
    ) -> Recorder | None:
        """Return the recorder for the store with this ``key``; ``None`` if too much is queued.

        ``open`` returns the store and is called again if it fails. An ``owned`` store is closed at
        the end. The caller must post one write that is ``last``.
        """
        notice_fork()
        with _registry_guard:
            recorder = _registry.get((key, strict))
            if recorder is None:
                recorder = cls((key, strict), open, owned=owned, strict=strict)
                _registry[key, strict] = recorder
                recorder._users = 1
                recorder._thread.start()
                return recorder
            with recorder.guard:
                if len(recorder._ready) >= MAX_QUEUED:
                    return None
                recorder._users += 1
            return recorder

    # -- for the tracked job; `post`, `schedule`, `busy` and `retry_at` under the guard ------------

    @property
    def busy(self) -> bool:
        """Whether writes are queued."""
        return bool(self._ready)

    @property
    def retry_at(self) -> float:
        """The time before which nothing is tried, because the store failed (monotonic)."""
        return self._retry_at

    def post(self, write: Write) -> Write:
        """Queue the write. Writes of one source are done in order."""
        if self._retry_at:
            self._make_room(write.source)
        self._ready.append(write)
        self.guard.notify()
        return write

    def schedule(self, source: Source) -> None:
        """Write the source's report when it is due."""
        due_s = source.due_s()
        if source.scheduled or due_s is None:
            return
        source.scheduled = True
        heapq.heappush(self._later, (due_s, next(_numbers), source))
        if self._later[0][2] is source:
            self.guard.notify()

    # The next three are for the recorder's thread, within a write.

    def hold(self, source: Source) -> str | None:
        """Own the source's job until its last write.

        Return the owner's name, if there can be one.
        """
        assert self._store is not None, "a write has a store"
        name = self._store.owners.hold()
        if name is not None:
            self._held.add(source)
        self._store.owners.take_cancel_requests(
            {source.id}
        )  # such a request was for an earlier job
        return name

    def watch_for_cancel(self, source: Source) -> None:
        """Report cancel requests to the source from now on: its job exists."""
        with self.guard:
            self._watched_for_cancel.add(source)

    def drop(self, source: Source, *, orphaned: bool = False) -> None:
        """Release the source's job; with ``orphaned`` it stays active."""
        with self.guard:
            self._watched_for_cancel.discard(source)
        if source in self._held and self._store is not None:
            self._held.discard(source)
            self._store.owners.drop(orphaned=orphaned)

    def wait(self, write: Write) -> None:
        """Wait for the write as long as is reasonable; a strict recorder raises its error."""
        write.wait(self._patience_s)
        self._finish_wait(write)

    async def wait_async(self, write: Write, *, quietly: bool = False) -> None:
        """Wait as `wait` does, without blocking the event loop; ``quietly`` ignores the result."""
        import asyncio  # takes 25 ms, and most programs have it if they call this

        loop = asyncio.get_running_loop()
        written = loop.create_future()

        def resolve() -> None:
            if not written.done():
                written.set_result(None)

        def notify() -> None:
            try:
                loop.call_soon_threadsafe(resolve)
            except RuntimeError:
                pass  # the loop was closed meanwhile

        write.on_done(notify)
        await asyncio.wait([written], timeout=self._patience_s)
        if not quietly:
            self._finish_wait(write)

    def _finish_wait(self, write: Write) -> None:
        """After waiting: stop waiting for later writes if this one is late.

        If strict, raise its error.
        """
        if self.strict and write.error is not None:
            raise write.error
        if not write.done:
            self._slow = True

    @property
    def _patience_s(self) -> float | None:
        """How long to wait for a write; ``None`` until it is done."""
        return None if self.strict else 0.0 if self._slow else PATIENCE_S

    # -- the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            write = None
            try:
                with self.guard:
                    self._writing = False  # while we wait for the next one
                    write = self._next()
                    self._writing = write is not None
                if write is not None:
                    self._do(write)
                elif self._stop_if_unused():
                    return
            except Exception as error:  # a defect: no caller must wait for ever
                _log.exception("jobctl: the recorder failed; the work goes on")
                if write is not None:
                    write.finish(error)
                sleep(_DEFECT_S)

    def _next(self) -> Write | None:
        """Return the next write, or ``None`` if there are no more users."""
        while True:
            now_s = monotonic()
            wait_s: float | None = None
            if self._watched_for_cancel and now_s >= self._cancel_poll_at:
                self._cancel_poll_at = now_s + CANCEL_POLL_S
                self._poll_cancel_requests()
            if now_s < self._retry_at and not self._draining:
                wait_s = self._retry_at - now_s
            elif self._ready:
                return self._ready.popleft()
            elif self._users == 0:
                return None
            else:
                while self._later and self._later[0][0] <= now_s:
                    source = heapq.heappop(self._later)[2]
                    source.scheduled = False
                    due_s = source.due_s()
                    if due_s is not None and due_s <= now_s:
                        return source.take_report()
                    self.schedule(source)
                if self._later:
                    wait_s = self._later[0][0] - now_s
            if self._watched_for_cancel:
                poll_s = self._cancel_poll_at - now_s
                wait_s = poll_s if wait_s is None else min(wait_s, poll_s)
            self.guard.wait(wait_s)

    def _poll_cancel_requests(self) -> None:
        assert self._store is not None, "a job was made in it"
        wanted = self._store.owners.take_cancel_requests(
            {source.id for source in self._watched_for_cancel}
        )
        for source in self._watched_for_cancel:
            if source.id in wanted:
                source.cancel(wanted[source.id])

    def _do(self, write: Write) -> None:
        try:
            if self._store is None:
                self._store = self._open()
            job = write.action(self._store)
        except Exception as error:
            if not isinstance(error, (StoreError, OSError)):
                self._finish(write, error)
            elif self.strict:
                self._fail_all(write, error)
            else:
                self._back_off(write, error)
        else:
            if job is not None:
                self._retry_at, self._delay_s, self._slow = 0.0, RETRY_S, False
                write.source.recorded_as(job)
            self._finish(write, None)
            if self._warned and not self._ready:
                self._warned = False
                _log.warning("jobctl: jobs are recorded again")

    def _finish(self, write: Write, error: Exception | None) -> None:
        if error is not None:
            write.source.failed(write, error)
        if write.last:
            self.drop(write.source, orphaned=error is not None and not write.source.gone)
            with self.guard:
                self._users -= 1
            self._stop_if_unused()  # before the caller goes on: then nothing is left
        write.finish(error)

    def _fail_all(self, write: Write, error: Exception) -> None:
        """Fail all queued writes too, so that callers do not wait for each in turn."""
        with self.guard:
            others = list(self._ready)
            self._ready.clear()
        for failed in (write, *others):
            self._finish(failed, error)

    def _back_off(self, write: Write, error: Exception) -> None:
        """Keep the write and move its job to the end: one bad file must not block others."""
        now_s = monotonic()
        with self.guard:
            self._draining = False
            self._slow = True
            self._retry_at = now_s + self._delay_s
            self._delay_s = min(self._delay_s * 2, MAX_RETRY_S)
            if write.report:
                write.source.restore_report()
                self.schedule(write.source)
            else:
                mine = [other for other in self._ready if other.source is write.source]
                others = [other for other in self._ready if other.source is not write.source]
                self._ready = deque([*others, write, *mine])
        if write.report:
            write.finish(error)
        else:
            write.release()
        if not self._warned and now_s - self._warned_at >= _WARN_EVERY_S:
            self._warned, self._warned_at = True, now_s
            _log.warning("jobctl: jobs are not recorded, the work goes on: %s", one_line(error))

    def _make_room(self, source: Source) -> None:
        """While the store fails, keep only the newest moves of each job."""
        mine = [write for write in self._ready if write.source is source]
        if len(mine) >= MAX_QUEUED_OF_ONE:
            oldest = next((write for write in mine if write.droppable), None)
            if oldest is not None:
                self._ready.remove(oldest)
                oldest.finish(None)

    def _stop_if_unused(self) -> bool:
        """Stop if there are no users; return whether it stopped."""
        with _registry_guard, self.guard:
            if self._users or self._ready:
                return False
            if _registry.get(self._key) is self:
                del _registry[self._key]
            store, self._store = self._store, None
        if store is not None and self._owned:
            try:
                store.close()
            except (JobctlError, OSError) as error:
                _log.debug("closing %s: %s", store.where, error)
        return True

    def _drain(self, now_s: float) -> None:
        """Try once more to write everything, at the end of the process."""
        deadline_s, last_s, head = now_s + EXIT_S, now_s + BUSY_EXIT_S, self._head()
        with self.guard:
            self._draining = True
            self.guard.notify()
        while True:
            with self.guard:
                while self._has_writes() and self._draining and monotonic() < deadline_s:
                    self.guard.wait(0.02)
                if not self._has_writes() or not self._draining:
                    return
            before, head = head, self._head()
            now_s = monotonic()
            if head == before or now_s >= last_s:
                return
            deadline_s = min(now_s + EXIT_S, last_s)

    def _has_writes(self) -> bool:
        return bool(self._ready) or self._writing

    def _head(self) -> Cursor | None:
        """Return the store's newest cursor, or ``None`` if it is not known."""
        try:
            return self._store.head() if self._store is not None else None
        except (JobctlError, OSError):
            return None


_registry: dict[object, Recorder] = {}
_registry_guard = threading.Lock()


def drain() -> None:
    """Write what is queued, for a few seconds at most, or a minute while other processes write.

    The end of a process does this anyway.
    """
    now_s = monotonic()
    try:
        for recorder in list(_registry.values()):
            recorder._drain(now_s)
    except KeyboardInterrupt:
        pass


@in_forked_child
def _after_fork_in_child() -> None:
    """Forget the recorders: their threads and tracked jobs belong to the parent."""
    global _registry_guard
    _registry_guard = threading.Lock()
    _registry.clear()


atexit.register(drain)
