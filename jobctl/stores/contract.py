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
    from pathlib import Path
    from typing import NamedTuple, Protocol

    from jobctl.core.cursor import Cursor
    from jobctl.core.jobset import Delta
    from jobctl.stores.bell import Listener
    from jobctl.stores.owners import Owners
else:
    from jobctl._stdlib import NamedTuple, Protocol

__all__ = ["BadFile", "Change", "Check", "Store", "creation_times", "read_all", "resolve"]

_MAX_TRIES = 4
_MAX_PAGES = 32
_PAUSE_S = 0.005

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
      it, and each deletion, all of one moment. For any other cursor it returns a reset. It has
      everything that was recorded when it was called, or says ``more``.
    - Readers never wait. Writers wait only for each other.
    - After each change the bell rings, if it can.
    """

    where: str
    """The store's path or URL, as shown to people."""

    @property
    def path(self) -> Path | None:
        """The store's directory, if it has one. Other programs may write there."""

    owners: Owners
    """The processes that work on jobs, and which of them are dead."""

    def head(self) -> Cursor:
        """Return the cursor of the newest revision; cheap. `ZERO` if the store has no order yet."""

    def since(self, cursor: Cursor) -> Delta:
        """Return what changed after the cursor. A reset also has tombstones and the floor.

        With ``more`` it is not everything: continue from the delta's own cursor, as `read_all`
        does. Such a delta may be empty, and may not move, while a writer is active.
        """

    def behind(self, cursor: Cursor) -> int:
        """Return how many records a read from this cursor would examine; cheap, an estimate."""

    def get(self, id: str) -> Job:
        """Return the job. Raises `JobNotFound`, or `StoreError` for a damaged file."""

    def get_runnable(self, id: str) -> Job:
        """Return the job like `get`, if nobody else can have written its command line.

        Raises `NotObeyed` if another user owns the store's directory or the job's file, or can
        write to it (see _trust.py).
        """

    def ids(self, prefix: str = "") -> list[str]:
        """Return the ids with this prefix, sorted."""

    def create(self, job: Job) -> Job:
        """Record a new job; return it with its revision. Raises `Conflict` if the id is taken."""

    def update(self, id: str, change: Change) -> Job:
        """Record the job that ``change`` returns. If ``change`` raises, nothing is recorded."""

    def remove(self, id: str, check: Check | None = None, *, damaged: bool = False) -> None:
        """Record a deletion. Raises `JobNotFound`, and `DamagedFile` for a file that is not a job.

        ``check`` is called with the current job, under the lock; if it raises, nothing is removed.
        With ``damaged`` a file that is not a job is removed too; then ``check`` is not called.
        """

    def refresh(self, ids: set[str] | None = None) -> bool:
        """Check these ids, or all, for changes by other programs.

        Returns ``True`` if some are not settled yet and need another check within a second.
        """

    def foreign(self, jobs: Iterable[Job]) -> set[str]:
        """Return the ids of those jobs whose files another program wrote and which may not be jobs.

        They lack ``createdAt`` or ``type`` (see stores/directory/foreign.py). ``jobs`` must have
        been read from this store; ids whose file is gone are left out. May be called within a
        `Check`.
        """

    def bad(self) -> list[BadFile]:
        """Return the files in quarantine, as of the last read."""

    def listen(self) -> Listener:
        """Return a listener on the store's bell."""

    def subscribe(self, callback: Callable[[Delta], None]) -> Callable[[], None]:
        """Call ``callback`` with each delta from now on, from a thread.

        Return a function that ends it. An exception of the callback is logged and affects no other
        subscriber.
        """

    def close(self) -> None:
        """End all subscriptions and close all descriptors."""


def read_all(store: Store, cursor: Cursor = ZERO) -> Delta:
    """Return everything that changed after the cursor, as one delta without ``more``.

    If the read cannot be completed from the cursor, everything is read again, which is a reset.
    Raises `StoreError` if writers stay faster than that. May take a moment: do not call it in an
    event loop.
    """
    from jobctl.core.jobset import joined  # completion does without its import

    for _ in range(_MAX_TRIES):
        pages: list[Delta] = []
        for _ in range(_MAX_PAGES):
            page = store.since(cursor)
            if page.since == 0:
                pages.clear()
            elif page.through == cursor.revision and page.more:
                time.sleep(_PAUSE_S)  # a writer is at work, or a file is half written
            pages.append(page)
            if not page.more:
                return joined(pages)
            cursor = page.cursor()
        cursor = ZERO
    raise StoreError(
        f"{store.where} changes faster than it can be read", path=store.where, hint="try again"
    )


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
    return times, store.bad()


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
