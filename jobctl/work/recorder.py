"""The recorder: the one thread, for a store and a process, that writes what tracked jobs report.

A thread of its own keeps a stopped lock holder, a full disk and Ctrl-C away from the work: who
reports hands over a `Write` and waits for it, briefly, while the store is well, and not at all
while it is not. Waiting also leaves the interpreter to the writing thread, so that the store's lock
is not held through the switches between two busy threads.

A write that failed for the store's sake is tried again, with backoff, as long as the process lives,
and once more at its end. The thread and the store that it opened go with the last tracked job.
"""

from __future__ import annotations

import atexit
import heapq
import itertools
import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from time import monotonic, sleep
from typing import Protocol

from jobctl.core.job import Job
from jobctl.errors import JobctlError, StoreError
from jobctl.stores import Store

__all__ = ["PATIENCE_S", "Recorder", "Source", "Write", "drain", "one_line"]

PATIENCE_S = 1.0
"""The longest that a call waits for the store; after that calls go by until it writes again."""
RETRY_S = 1.0
MAX_RETRY_S = 30.0
CANCEL_POLL_S = 0.5
"""How often it is looked whether somebody wants a job cancelled."""
EXIT_S = 6.0
"""The longest that the end of the process waits for what could not be written before."""
MAX_QUEUED_OF_ONE = 64
MAX_QUEUED = 10_000
_WARN_EVERY_S = 60.0
_DEFECT_S = 0.1

_log = logging.getLogger("jobctl")
_numbers = itertools.count()


class Source(Protocol):
    """A tracked job, as the recorder sees it. `failed` and `recorded_as` run without the guard."""

    id: str
    scheduled: bool
    gone: bool
    """There is no job of its own, or no longer: it was refused, removed, or taken over."""

    def due_s(self) -> float | None:
        """When its report shall be written (monotonic); ``None`` when there is none to write."""

    def take_report(self) -> Write:
        """The write of the report, which is not pending from here on."""

    def restore_report(self) -> None:
        """The report could not be written: it is pending again."""

    def recorded_as(self, job: Job) -> None:
        """The store holds this value."""

    def failed(self, write: Write, error: Exception) -> None:
        """The write was dropped."""

    def cancel(self) -> None:
        """Somebody wants the job cancelled."""


class Write:
    """One thing to do to the store, and how it went.

    It may be ``awaited`` by whoever reads ``error``; ``droppable`` if later ones of its source
    make up for it; the ``last`` of its source; or a ``report``, which its source can make again.
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
        """Wait until it is done, or postponed since the store failed."""
        self._tried.wait(timeout_s)

    def on_done(self, callback: Callable[[], None]) -> None:
        """Call back when there is nothing to wait for, from the recorder's thread, or at once."""
        self._on_done = callback
        if self._tried.is_set():
            callback()

    def finish(self, error: Exception | None) -> None:
        """It is done, well or with an error."""
        self.error, self.done = error, True
        self.release()

    def release(self) -> None:
        """Let go whoever waits."""
        self._tried.set()
        if self._on_done is not None:
            self._on_done()


class Recorder:
    """The writing thread of one store; get it with `Recorder.join`.

    ``strict`` recorders try each write once and leave the error to whoever waits.
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
        self._thread = threading.Thread(target=self._run, name="jobctl-recorder", daemon=True)

    @classmethod
    def join(
        cls, key: object, open: Callable[[], Store], *, owned: bool, strict: bool
    ) -> Recorder | None:
        """The recorder of the store that ``key`` stands for; ``None`` when too much is queued.

        ``open`` gives the store, and is tried again when it fails; an ``owned`` one is closed in
        the end. Whoever joins must post one write that is ``last``.
        """
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
        """Whether writes are waiting for their turn."""
        return bool(self._ready)

    @property
    def retry_at(self) -> float:
        """Until when nothing is tried, since the store failed (monotonic)."""
        return self._retry_at

    def post(self, write: Write) -> Write:
        """Queue the write; those of one source are done in their order."""
        if self._retry_at:
            self._make_room(write.source)
        self._ready.append(write)
        self.guard.notify()
        return write

    def schedule(self, source: Source) -> None:
        """See to the source's report when it is due."""
        due_s = source.due_s()
        if source.scheduled or due_s is None:
            return
        source.scheduled = True
        heapq.heappush(self._later, (due_s, next(_numbers), source))
        if self._later[0][2] is source:
            self.guard.notify()

    # The next three are for the recorder's thread, within a write.

    def hold(self, source: Source) -> str | None:
        """Own the source's job until its last write; the owner's name, if it can have one."""
        assert self._store is not None, "a write has a store"
        name = self._store.owners.hold()
        if name is not None:
            self._held.add(source)
        self._store.owners.take_cancel_requests(
            {source.id}
        )  # whoever wanted that meant an earlier job
        return name

    def watch_for_cancel(self, source: Source) -> None:
        """The source's job is there: tell the source when somebody wants it cancelled."""
        with self.guard:
            self._watched_for_cancel.add(source)

    def drop(self, source: Source, *, orphaned: bool = False) -> None:
        """The source's job has ended, or was never made; or is ``orphaned``: it stays active."""
        with self.guard:
            self._watched_for_cancel.discard(source)
        if source in self._held and self._store is not None:
            self._held.discard(source)
            self._store.owners.drop(orphaned=orphaned)

    def wait(self, write: Write) -> None:
        """Wait for the write as long as is fit; in a strict recorder, raise its error."""
        write.wait(self.patience_s)
        self.finish_wait(write)

    def finish_wait(self, write: Write) -> None:
        """After waiting: be less patient from now on, or raise in a strict recorder."""
        if self.strict and write.error is not None:
            raise write.error
        if not write.done:
            self._slow = True

    @property
    def patience_s(self) -> float | None:
        """How long it is fit to wait for a write now; ``None`` when until it is done."""
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
            except Exception as error:  # a defect: nobody shall wait for ever because of it
                _log.exception("jobctl: the recorder failed; the work goes on")
                if write is not None:
                    write.finish(error)
                sleep(_DEFECT_S)

    def _next(self) -> Write | None:
        """The next write to do; ``None`` when all have left."""
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
                source.cancel()

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

    def _finish(self, write: Write, error: Exception | None) -> None:
        if error is not None:
            write.source.failed(write, error)
        if write.last:
            self.drop(write.source, orphaned=error is not None and not write.source.gone)
            with self.guard:
                self._users -= 1
            self._stop_if_unused()  # before whoever waits goes on: nothing of ours stays behind then
        write.finish(error)

    def _fail_all(self, write: Write, error: Exception) -> None:
        """What waited while the store failed has failed with it: nobody waits for each in turn."""
        with self.guard:
            others = list(self._ready)
            self._ready.clear()
        for failed in (write, *others):
            self._finish(failed, error)

    def _back_off(self, write: Write, error: Exception) -> None:
        """Keep the write; its job goes to the end, so that one bad file holds up no other."""
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
        if now_s - self._warned_at >= _WARN_EVERY_S:
            self._warned_at = now_s
            _log.warning("jobctl: jobs are not recorded, the work goes on: %s", one_line(error))

    def _make_room(self, source: Source) -> None:
        """While the store is out of reach, one job keeps its newest moves only."""
        mine = [write for write in self._ready if write.source is source]
        if len(mine) >= MAX_QUEUED_OF_ONE:
            oldest = next((write for write in mine if write.droppable), None)
            if oldest is not None:
                self._ready.remove(oldest)
                oldest.finish(None)

    def _stop_if_unused(self) -> bool:
        """End if nobody has joined meanwhile; whether it did."""
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

    def _drain(self, deadline_s: float) -> None:
        """Try once more to write all, at the end of the process."""
        with self.guard:
            self._draining = True
            self.guard.notify()
            while (self._ready or self._writing) and self._draining and monotonic() < deadline_s:
                self.guard.wait(0.02)


def one_line(error: BaseException) -> str:
    """The error's text for a log."""
    return " ".join(str(error).split()) or type(error).__name__


_registry: dict[object, Recorder] = {}
_registry_guard = threading.Lock()


def drain() -> None:
    """Write what waits, for some seconds at the most; the end of a process does it anyway."""
    deadline_s = monotonic() + EXIT_S
    try:
        for recorder in list(_registry.values()):
            recorder._drain(deadline_s)
    except KeyboardInterrupt:
        pass


def _after_fork_in_child() -> None:
    """The threads stayed in the parent, and so do its tracked jobs."""
    global _registry_guard
    _registry_guard = threading.Lock()
    _registry.clear()


atexit.register(drain)
os.register_at_fork(after_in_child=_after_fork_in_child)
