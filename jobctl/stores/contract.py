"""The contract of stores: where jobs are kept, in an order that every reader can follow.

One contract suite (``tests/stores/``) tests every implementation.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from jobctl.core.cursor import ZERO
from jobctl.core.job import Job, check_id
from jobctl.errors import JobctlError, JobNotFound, StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import NamedTuple, Protocol, TypeGuard

    from jobctl.core.cursor import Cursor
    from jobctl.core.jobset import Delta
    from jobctl.core.log import LogLine, LogPart
    from jobctl.stores.bell import Listener
    from jobctl.stores.owners import Owners
else:
    from jobctl._stdlib import NamedTuple, Protocol

__all__ = [
    "LOG_READ_BYTES",
    "BadFile",
    "Change",
    "Check",
    "HasForeignWriters",
    "HasLogs",
    "HasPath",
    "LogInfo",
    "LogWriter",
    "Quarantining",
    "Refreshable",
    "Store",
    "bad_files",
    "creation_times",
    "foreign_jobs",
    "logs_of",
    "path_of",
    "read_all",
    "read_pages",
    "refresh",
    "resolve",
    "runnable_job",
]

LOG_READ_BYTES = 64 * 1024
_MAX_TRIES = 4
_MAX_UNFINISHED = 32
_PAUSE_S, _MAX_PAUSE_S = 0.005, 0.06

Change = Callable[[Job], Job]
"""A pure function from the stored job to the new one. It may be called twice."""

Check = Callable[[Job], None]
"""Gets the stored job and raises to keep it. It may be called twice."""


class BadFile(NamedTuple):
    """A file in quarantine: its name in the store, and why it is not a job."""

    name: str
    reason: str


class Store(Protocol):
    """Jobs by id, under one revision counter.

    Implementers guarantee, for any number of threads and processes:

    - Every recorded change gets a revision greater than all earlier ones of the epoch. A revision
      may stay unused after a crash, but is never used twice. A change that returned is kept. A
      change that raised is either kept or not.
    - For a cursor of this epoch, `since` returns the newest version of each job that changed after
      it, and each deletion. For any other cursor it returns a reset. It has everything that was
      recorded when it was called, or says ``more``.
    - Pages are contiguous, in ascending revision. A reader that applies all of them has the same as
      one that reads without a limit, whatever is written between two pages: a job that changes
      before its page comes later, in its newest version.
    - Readers never wait. Writers wait only for each other.
    - After each change the bell rings, if it can.

    Every call may block. In an event loop use `jobctl.stores.async_store`, whose contract has the
    same calls as coroutines.

    What only some stores can do is in protocols of its own: `HasPath`, `HasLogs`, `Refreshable`,
    `Quarantining` and `HasForeignWriters`. The functions `path_of`, `logs_of`, `refresh`,
    `bad_files`, `foreign_jobs` and `runnable_job` take any store.
    """

    where: str
    """The store's path or URL, as shown to people."""

    owners: Owners
    """The processes that work on jobs, and which of them are dead."""

    def head(self) -> Cursor:
        """Return the cursor of the newest revision; cheap. `ZERO` if the store has no order yet."""

    def since(self, cursor: Cursor, limit: int | None = None, *, snapshot_start: int = 0) -> Delta:
        """Return what changed after the cursor. A reset also has tombstones and the floor.

        With ``limit`` the delta is a page of at most so many jobs and deletions. Jobs that share a
        revision (files without a record) are on one page, which may exceed the limit. A page tells
        nothing of skipped versions: ``merged`` is ``None``. Without a limit the delta has the state
        of one moment.

        With ``more`` it is not everything: continue with the cursor and the ``snapshot_start`` of
        the delta, as `read_pages` does. The pages of a reset say "clear first" in the first page
        only. If deletions are forgotten between two pages that the reader would need, the next page
        is the first one of another reset. Such a delta may be empty, and may not move, while a
        writer is active.
        """

    def behind(self, cursor: Cursor) -> int:
        """Return how many records a read from this cursor would examine; cheap, an estimate."""

    def get(self, id: str) -> Job:
        """Return the job. Raises `JobNotFound`, or `StoreError` for a damaged file."""

    def ids(self, prefix: str = "") -> list[str]:
        """Return the ids with this prefix, sorted."""

    def create(self, job: Job) -> Job:
        """Record a new job; return it with its revision. Raises `Conflict` if the id is taken."""

    def update(self, id: str, change: Change) -> Job:
        """Record the job that ``change`` returns. If ``change`` raises, nothing is recorded."""

    def remove(
        self,
        id: str,
        check: Check | None = None,
        *,
        damaged: bool = False,
        request: str | None = None,
    ) -> None:
        """Record a deletion. Raises `JobNotFound`, and `DamagedFile` for a file that is not a job.

        ``check`` is called with the current job, under the lock; if it raises, nothing is removed.
        With ``damaged`` a file that is not a job is removed too; then ``check`` is not called.
        ``request`` identifies who asked, for `removed_by`.
        """

    def removed_by(self, id: str, request: str) -> int | None:
        """Return the revision at which this request removed the job.

        ``None`` if it has not, or if the deletion is forgotten, or the id is that of a job again.
        """

    def listen(self) -> Listener:
        """Return a listener on the store's bell."""

    def subscribe(self, callback: Callable[[Delta], None]) -> Callable[[], None]:
        """Call ``callback`` with each delta from now on, from a thread.

        Return a function that ends it. An exception of the callback is logged and affects no other
        subscriber.
        """

    def close(self) -> None:
        """End all subscriptions and close all descriptors."""


class HasPath(Protocol):
    """A store in a directory."""

    @property
    def path(self) -> Path:
        """The store's directory. Other programs may write there."""


class Refreshable(Protocol):
    """A store in which other programs write without a record and without a ring of the bell."""

    def refresh(self, ids: set[str] | None = None) -> bool:
        """Check these ids, or all, for changes by other programs.

        Returns ``True`` if some are not settled yet and need another check within a second.
        """


class Quarantining(Protocol):
    """A store that may hold something that is not a job."""

    def bad(self) -> list[BadFile]:
        """Return the files in quarantine, as of the last read."""


class HasForeignWriters(Protocol):
    """A store that other programs and other users may write to."""

    def foreign(self, jobs: Iterable[Job]) -> set[str]:
        """Return the ids of those jobs whose files another program wrote and which may not be jobs.

        They lack ``createdAt`` or ``type`` (see stores/directory/foreign.py). ``jobs`` must have
        been read from this store; ids whose file is gone are left out. May be called within a
        `Check`.
        """

    def get_runnable(self, id: str) -> Job:
        """Return the job like `get`, if nobody else can have written its command line.

        Raises `NotObeyed` if another user owns the store's directory or the job's file, or can
        write to it (see _trust.py).
        """


class LogWriter(Protocol):
    """Writes the output of one attempt of a job to the job's log. Safe for threads.

    It never raises: what cannot be kept is lost, and the work goes on. Writing is tried again
    later, and a line then says how much was lost.
    """

    problem: str | None
    """Why output is being lost, in a few words; ``None`` while it is kept."""

    def write(self, lines: Iterable[LogLine]) -> None:
        """Append the lines, in this order. They are visible to readers on return."""

    def close(self) -> None:
        """Close what is open. Call it before the attempt's end is recorded; may be called twice."""


class LogInfo(NamedTuple):
    """A log: its job's id, how many bytes are kept, and when it last changed (ms since 1970)."""

    id: str
    size: int
    changed_ms: int


class HasLogs(Protocol):
    """A store that keeps the output of its jobs.

    A log is a sequence of bytes (see core/log.py) that only grows at its end. Of a long one the
    beginning and the newest part are kept. Positions count from the log's first byte, kept or not,
    so that a reader can go on where it was.
    """

    def log_writer(self, job: Job) -> LogWriter:
        """Return a writer for the job's present attempt, which goes on in the job's log."""

    def read_log(self, id: str, offset: int = 0, limit: int = LOG_READ_BYTES) -> LogPart | None:
        """Return complete lines from ``offset`` on; ``None`` if the job has no log.

        At most ``limit`` bytes, but always one line if there is one. The part begins later than
        ``offset`` if what was there is not kept, and earlier only if the log has begun anew and is
        shorter.
        """

    def log_info(self, id: str) -> LogInfo | None:
        """Return size and time of a job's log; ``None`` if it has none."""

    def logs(self) -> list[LogInfo]:
        """Return all logs, also those whose job is gone, sorted by id."""

    def remove_log(self, id: str) -> bool:
        """Remove the job's log; return whether there was one. A writer may begin it anew."""


# The capabilities, for any store. They ask for the method by its name: ``isinstance`` with a
# protocol takes `typing`, which the fast commands do without.


def path_of(store: Store) -> Path | None:
    """Return the store's directory, or ``None`` if it has none."""
    path: Path | None = getattr(store, "path", None)
    return path


def logs_of(store: Store) -> HasLogs | None:
    """Return the store as one that keeps output, or ``None`` if it does not."""
    return store if _has_logs(store) else None


def refresh(store: Store, ids: set[str] | None = None) -> bool:
    """Check these ids, or all, for changes by other programs, if they may write to the store.

    Returns ``True`` if some are not settled yet and need another check within a second.
    """
    return _is_refreshable(store) and store.refresh(ids)


def bad_files(store: Store) -> list[BadFile]:
    """Return the files in quarantine, as of the last read; none if the store has no quarantine."""
    return store.bad() if _is_quarantining(store) else []


def foreign_jobs(store: Store, jobs: Iterable[Job]) -> set[str]:
    """Return the ids of those jobs that may not be jobs (see `HasForeignWriters.foreign`)."""
    return store.foreign(jobs) if _has_foreign_writers(store) else set()


def runnable_job(store: Store, id: str) -> Job:
    """Return the job if nobody else can have written its command line; `NotObeyed` otherwise."""
    return store.get_runnable(id) if _has_foreign_writers(store) else store.get(id)


def _has_logs(store: object) -> TypeGuard[HasLogs]:
    return hasattr(store, "read_log")


def _is_refreshable(store: object) -> TypeGuard[Refreshable]:
    return hasattr(store, "refresh")


def _is_quarantining(store: object) -> TypeGuard[Quarantining]:
    return hasattr(store, "bad")


def _has_foreign_writers(store: object) -> TypeGuard[HasForeignWriters]:
    return hasattr(store, "get_runnable")


def read_pages(store: Store, cursor: Cursor = ZERO, limit: int | None = None) -> Iterator[Delta]:
    """Yield everything that changed after the cursor, page by page; the last is without ``more``.

    A page with ``since`` 0, also a later one, says "clear first". If the read cannot be completed
    from the cursor, everything is read again. Raises `StoreError` if writers stay faster than that.
    May take a moment: do not call it in an event loop.
    """
    for _ in range(_MAX_TRIES):
        snapshot_start = unfinished = 0
        while unfinished < _MAX_UNFINISHED:
            page = store.since(cursor, limit, snapshot_start=snapshot_start)
            yield page
            if not page.more:
                return
            if page.cursor() == cursor:
                # A writer is at work, or a file may be whole again within a second.
                time.sleep(min(_PAUSE_S * 1.3**unfinished, _MAX_PAUSE_S))
            if limit is None or len(page.jobs) + len(page.gone) < limit:
                unfinished += 1  # a full page is no sign of a writer
            cursor, snapshot_start = page.cursor(), page.snapshot_start
        cursor = ZERO
    raise StoreError(
        f"{store.where} changes faster than it can be read", path=store.where, hint="try again"
    )


def read_all(store: Store, cursor: Cursor = ZERO) -> Delta:
    """Return everything that changed after the cursor, as one delta without ``more``.

    If the read cannot be completed from the cursor, everything is read again, which is a reset.
    Raises `StoreError` if writers stay faster than that. May take a moment: do not call it in an
    event loop.
    """
    from jobctl.core.jobset import joined  # completion does without its import

    pages: list[Delta] = []
    for page in read_pages(store, cursor):
        if page.since == 0:
            pages.clear()
        pages.append(page)
    return joined(pages)


def creation_times(store: Store) -> tuple[dict[str, str], list[BadFile]]:
    """Return the creation time of each job by its id, and the files in quarantine.

    It has the jobs that `read_all` has. A directory reads no more of its files than that takes.
    """
    quick: Callable[[], tuple[dict[str, str], list[BadFile]]] | None = getattr(
        store, "creation_times", None
    )
    if quick is not None:
        return quick()
    times = {job.id: job.created_at for job in read_all(store).jobs}
    return times, bad_files(store)


def resolve(store: Store, text: str) -> str:
    """Return the id that equals the text or that alone starts with it; `JobNotFound` otherwise.

    A complete id is opened by name, because a directory listing may miss a file that is being
    replaced.
    """
    check_id(text)
    try:
        return store.get(text).id
    except JobNotFound:
        pass
    except JobctlError:
        return text  # it exists; whoever reads it reports what is wrong
    ids = store.ids(text)
    if len(ids) == 1:
        return ids[0]
    raise JobNotFound(text, store.where, ids, () if ids else store.ids())
