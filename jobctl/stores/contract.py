"""The store: where jobs are kept, in an order that every reader can follow.

One contract suite (``tests/stores/``) runs over every implementation.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from jobctl.core.cursor import ZERO
from jobctl.core.job import Job, check_id
from jobctl.core.jobset import joined
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

__all__ = ["BadFile", "Change", "Check", "Store", "read_all", "resolve"]

_MAX_TRIES = 4
_MAX_PAGES = 32
_PAUSE_S = 0.005

Change = Callable[[Job], Job]
"""A pure transition: the job that is stored, to the one that shall be. It may run twice."""

Check = Callable[[Job], None]
"""A look at the job that is stored; what it raises keeps the job. It may run twice."""


class BadFile(NamedTuple):
    """A file in quarantine: its name in the store, and why it is no job."""

    name: str
    reason: str


class Store(Protocol):
    """Jobs, by id, under one revision counter.

    Implementers guarantee, for any number of threads and processes:

    - every recorded change takes a revision greater than all before it in the epoch; a revision may
      burn, and is never used twice; a change that returned is kept, and one that raised is either
      kept or not;
    - `since` gives, for a cursor of this epoch, the newest version of each job changed after it and
      of each deletion, all of one moment, and a reset for any other cursor; it reaches all that was
      recorded when it was called, or says ``more``;
    - readers wait for nobody; writers wait for each other only;
    - after each change the bell rings, if it can.
    """

    where: str
    """The store, for a person: a path or a URL."""

    @property
    def path(self) -> Path | None:
        """The directory, where the store is one: there foreign writers work, and hubs are found."""

    owners: Owners
    """Who works on the jobs, and who of them has died."""

    def head(self) -> Cursor:
        """Where the store stands; cheap. `ZERO` where there is no order yet."""

    def since(self, cursor: Cursor) -> Delta:
        """What changed after the cursor; after a reset, tombstones and floor as well.

        With ``more`` it is not all: go on from the delta's own cursor, as `read_all` does. Such a
        delta may be empty, and may not move on, while a writer is at work.
        """

    def behind(self, cursor: Cursor) -> int:
        """How many records a read from this cursor would look at; cheap; a hint."""

    def get(self, id: str) -> Job:
        """The job; `JobNotFound`; `InvalidJob` when what lies there is none."""

    def get_runnable(self, id: str) -> Job:
        """The job, as `get`, whose command line may be run: nobody else can have written it.

        `NotObeyed` where another user owns the store's directory or the job's file, or can write to
        it (see _trust.py).
        """

    def ids(self, prefix: str = "") -> list[str]:
        """The ids that start so, sorted."""

    def create(self, job: Job) -> Job:
        """Record a new job; `Conflict` when the id is taken. Returns it with its revision."""

    def update(self, id: str, change: Change) -> Job:
        """Record what ``change`` makes of the job; its errors pass through, and nothing changed."""

    def remove(self, id: str, check: Check | None = None, *, damaged: bool = False) -> None:
        """Record a deletion; `JobNotFound`; `DamagedFile` for a file that is no job, which stays.

        ``check`` is called with the job as it stands, under the lock: what it raises passes
        through, and nothing is removed. With ``damaged`` a file that is no job is removed as well,
        and there is no job to check then.
        """

    def refresh(self, ids: set[str] | None = None) -> bool:
        """Look for what others did behind the store's back, to these ids or to all.

        ``True`` when something is not settled yet and wants another look within a second.
        """

    def foreign(self, jobs: Iterable[Job]) -> set[str]:
        """The ids of those jobs whose files another program wrote, and which may be none.

        They lack ``createdAt`` or ``type`` (see stores/foreign.py). The jobs are as they were read
        here; whose file is gone is not among them. May be called within a `Check`.
        """

    def bad(self) -> list[BadFile]:
        """The quarantine, as of the last read."""

    def listen(self) -> Listener:
        """A listener on the store's bell."""

    def subscribe(self, callback: Callable[[Delta], None]) -> Callable[[], None]:
        """Call back with each delta from now on, from a thread; returns the unsubscribe.

        A callback that raises is logged, and disturbs nobody.
        """

    def close(self) -> None:
        """End subscriptions and let go of descriptors."""


def read_all(store: Store, cursor: Cursor = ZERO) -> Delta:
    """All that changed after the cursor, as one delta without ``more``.

    Where a read cannot be completed from the cursor, everything is read anew, which is a reset.
    `StoreError` when writers stay faster than that. May take a moment: not for an event loop.
    """
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


def resolve(store: Store, text: str) -> str:
    """The id that the text is, or is the only start of; `JobNotFound` otherwise.

    A whole id is opened by its name: a list of names may miss a file that is being replaced.
    """
    check_id(text)
    try:
        return store.get(text).id
    except JobNotFound:
        pass
    except JobctlError:
        return text  # it is there; what is wrong with it is for whoever reads it to say
    ids = store.ids(text)
    if len(ids) == 1:
        return ids[0]
    raise JobNotFound(text, store.where, ids, () if ids else store.ids())
