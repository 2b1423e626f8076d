"""The one read and the one apply: a compacted, revision-ordered set of jobs.

Every reader is a cursor over such a set, and there is one question: *what changed since my
cursor?* `JobSet.since` answers it with a `Delta`; `JobSet.apply` moves another set by one. A first
snapshot, a live update, a resume after a cut and a slow reader's catching up are all this one call.

The rules, which hold between any two sets:

1.  Contiguity belongs to intervals. A set takes a delta whose ``since`` is its own revision, or 0
    ("clear first"), and then stands at ``through``, also when the delta is empty.
2.  Only an id never changes. A changed job that the filter does not let pass goes into ``gone`` if
    one of the fields that filters look at changed after the cursor; a deletion goes to all but
    filters on other ids. Where versions were merged on the way here, nobody can say what a field
    was in between, so it counts as changed.
3.  Deltas are pages in ascending revision, ``more`` until synced.

A cursor of another epoch or filter, from the future, or older than the *floor* (the newest dropped
tombstone) gets ``since = 0``: a reset in the open, never silence. Precedents: CouchDB's
``_changes?since=``, NATS key-value buckets with history 1, Kubernetes' list and watch, Centrifugo's
epoch and offset.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from jobctl.codec import to_wire
from jobctl.cursor import Cursor
from jobctl.filters import EVERYTHING, Filter
from jobctl.job import Job

__all__ = ["MAX_TOMBSTONES", "Delta", "Gone", "JobSet"]

MAX_TOMBSTONES = 4096
"""Deletions that a set remembers for readers that lag; older ones raise the floor."""


class Gone(NamedTuple):
    """A job that the reader must drop: deleted, or no longer let pass by its filter."""

    id: str
    revision: int


@dataclass(frozen=True, slots=True)
class Delta:
    """The answer to a read: all that changed in ``(since, through]``, compacted.

    ``since`` 0 says "clear first". ``more`` says that the set held more than fitted in. ``jobs``
    stand in ascending revision. ``floor`` and ``merged`` are for replicas that serve others:
    the oldest cursor that can be resumed, and the ids of which intermediate versions were skipped
    (``None``: any may have been).
    """

    epoch: str
    since: int
    through: int
    jobs: tuple[Job, ...] = ()
    gone: tuple[Gone, ...] = ()
    more: bool = False
    floor: int = 0
    merged: frozenset[str] | None = None

    def __bool__(self) -> bool:
        """Whether the delta says anything but "you may move to ``through``"."""
        return bool(self.jobs or self.gone) or self.since == 0

    def cursor(self, filter: Filter = EVERYTHING) -> Cursor:
        """Where a reader under this filter stands once it has taken the delta."""
        return Cursor(self.epoch, self.through, filter.tag)

    def filtered(self, filter: Filter) -> Delta:
        """The delta for a reader under a filter, when only the delta is at hand, not the set.

        Every job that does not match counts as gone, since nobody knows what it was before.
        """
        if filter == EVERYTHING:
            return self
        gone = [item for item in self.gone if filter.may_hold(item.id)]
        if self.since:
            gone += [
                Gone(job.id, job.revision)
                for job in self.jobs
                if filter.may_hold(job.id) and not filter.matches(job)
            ]
        jobs = tuple(job for job in self.jobs if filter.matches(job))
        return replace(self, jobs=jobs, gone=tuple(sorted(gone, key=lambda item: item.revision)))


class _Entry:
    """What the set knows of one id: the job, or ``None`` for a tombstone, and when it changed.

    ``type_at``, ``session_at`` and ``stage_at`` are the revisions at which each field that
    filters look at last changed, as far as is known.
    """

    __slots__ = ("job", "revision", "session_at", "stage_at", "type_at", "wire")

    def __init__(self, job: Job | None, revision: int) -> None:
        self.job = job
        self.revision = revision
        self.type_at = self.session_at = self.stage_at = revision
        self.wire: bytes | None = None


class JobSet:
    """A set of jobs at one revision of one epoch: the state of every replica, at both ends.

    Not safe for threads by itself. No I/O, no clock. ``since`` costs what changed, never the size
    of the set; memory is one entry for a job or a remembered deletion.
    """

    def __init__(self, epoch: str = "-", *, max_tombstones: int = MAX_TOMBSTONES) -> None:
        self._max_tombstones = max_tombstones
        self._clear(epoch, 0)

    def _clear(self, epoch: str, floor: int) -> None:
        self.epoch = epoch
        self.revision = 0
        self.floor = floor
        self._entries: dict[str, _Entry] = {}
        self._tombstones = 0
        # The change order, ascending; a line is superseded when its entry has moved on.
        self._order: list[int] = []
        self._order_ids: list[str] = []

    @property
    def cursor(self) -> Cursor:
        """Where this set stands: the cursor to ask for what it lacks."""
        return Cursor(self.epoch, self.revision)

    def __len__(self) -> int:
        return len(self._entries) - self._tombstones

    def __iter__(self) -> Iterator[Job]:
        """The jobs, in no particular order."""
        return (entry.job for entry in self._entries.values() if entry.job is not None)

    def get(self, id: str) -> Job | None:
        """The job of this id, or ``None``."""
        entry = self._entries.get(id)
        return entry.job if entry else None

    def wire(self, id: str) -> bytes:
        """The job as it goes over the wire, encoded once for all who get it. KeyError."""
        entry = self._entries[id]
        if entry.job is None:
            raise KeyError(id)
        if entry.wire is None:
            entry.wire = to_wire(entry.job)
        return entry.wire

    # -- the one read -----------------------------------------------------------------------

    def since(
        self,
        cursor: Cursor,
        filter: Filter = EVERYTHING,
        *,
        limit: int | None = None,
        began: int = 0,
        tombstones: bool = False,
    ) -> Delta:
        """What changed after ``cursor`` for a reader under ``filter``.

        ``limit`` bounds a page in bytes on the wire (one job always fits in). ``began`` is the
        revision at which the reader's snapshot began, while it is still paging through it: it
        cannot hold anything deleted before, so the floor is checked against that. ``tombstones``
        adds the remembered deletions to a reset, for a replica that serves others in its turn.
        """
        since = cursor.revision
        if not self.resumes(cursor, filter, began=began):
            since = began = 0
        jobs: list[Job] = []
        gone: list[Gone] = []
        through, size, more = since, 0, False
        for index in range(bisect_right(self._order, since), len(self._order)):
            id, revision = self._order_ids[index], self._order[index]
            entry = self._entries.get(id)
            if entry is None or entry.revision != revision:
                continue  # superseded: the newest version comes later
            job = entry.job
            if job is not None and filter.matches(job):
                if limit is not None:
                    length = len(self.wire(id))
                    if size and size + length > limit:
                        more = True
                        break
                    size += length
                jobs.append(job)
            elif self._was_held(entry, id, filter, max(since, began), since == 0 and tombstones):
                if limit is not None:
                    if size and size + len(id) + 3 > limit:
                        more = True
                        break
                    size += len(id) + 3
                gone.append(Gone(id, revision))
            through = revision
        if not more:
            through = max(through, self.revision)
        return Delta(self.epoch, since, through, tuple(jobs), tuple(gone), more, self.floor, None)

    def resumes(self, cursor: Cursor, filter: Filter = EVERYTHING, *, began: int = 0) -> bool:
        """Whether the cursor gets exactly the difference; otherwise it gets a reset."""
        return (
            cursor.epoch == self.epoch
            and cursor.tag == filter.tag
            and cursor.revision <= self.revision
            and max(cursor.revision, began) >= self.floor
        )

    def changed_since(self, revision: int) -> int:
        """How many jobs and deletions a cursor at ``revision`` lags behind, at the most."""
        return len(self._order) - bisect_right(self._order, revision)

    @staticmethod
    def _was_held(
        entry: _Entry, id: str, filter: Filter, after: int, with_tombstones: bool
    ) -> bool:
        """Whether a reader that stood at ``after`` may hold what it must no longer hold."""
        if not filter.may_hold(id):
            return False
        if entry.job is None:
            return with_tombstones or 0 < after < entry.revision
        return 0 < after and (
            (bool(filter.types) and entry.type_at > after)
            or (bool(filter.sessions) and entry.session_at > after)
            or ((bool(filter.stages) or filter.active) and entry.stage_at > after)
        )

    # -- the one apply ----------------------------------------------------------------------

    def apply(self, delta: Delta) -> bool:
        """Move to ``delta.through``; ``False``, and nothing done, when it does not continue us.

        Applying a delta twice, out of order, or of another epoch is refused, so a replica that
        asks again with its own `cursor` after a ``False`` always converges.
        """
        if delta.since == 0:
            self._clear(delta.epoch, delta.floor)
        elif delta.epoch != self.epoch or delta.since != self.revision:
            return False
        changes: list[Job | Gone] = [*delta.jobs, *delta.gone]
        for change in sorted(changes, key=lambda change: change.revision):
            if isinstance(change, Gone):
                self.delete(change.id, change.revision)
            else:
                known = delta.merged is not None and change.id not in delta.merged
                self.put(change, exact=known and delta.since != 0)
        assert delta.through >= self.revision, "a delta reaches as far as what it holds"
        self.revision = delta.through
        self.floor = max(self.floor, delta.floor)
        return True

    def put(self, job: Job, *, exact: bool = True) -> None:
        """Take the job as of ``job.revision``; ``exact`` when no version between was skipped."""
        old = self._entries.get(job.id)
        entry = _Entry(job, job.revision)
        if old is not None and old.job is None:
            self._tombstones -= 1
        elif exact and old is not None and old.job is not None:
            before = old.job
            if before.type == job.type:
                entry.type_at = old.type_at
            if before.session_id == job.session_id:
                entry.session_at = old.session_at
            if before.stage == job.stage:
                entry.stage_at = old.stage_at
        self._record(job.id, entry)

    def delete(self, id: str, revision: int) -> None:
        """Remember that the job was deleted, also when it was never seen here."""
        old = self._entries.get(id)
        if old is None or old.job is not None:
            self._tombstones += 1
        self._record(id, _Entry(None, revision))
        if self._tombstones > 2 * self._max_tombstones:
            self._forget_tombstones()

    def _record(self, id: str, entry: _Entry) -> None:
        self._entries[id] = entry
        self._order.append(entry.revision)
        self._order_ids.append(id)
        self.revision = max(self.revision, entry.revision)
        if len(self._order) > 2 * len(self._entries) + 64:
            self._compact_order()

    def _compact_order(self) -> None:
        """Drop the superseded lines of the change order."""
        lines = sorted((entry.revision, id) for id, entry in self._entries.items())
        self._order = [revision for revision, _ in lines]
        self._order_ids = [id for _, id in lines]

    def _forget_tombstones(self) -> None:
        dead = sorted(
            (entry.revision, id) for id, entry in self._entries.items() if entry.job is None
        )
        for revision, id in dead[: len(dead) - self._max_tombstones]:
            del self._entries[id]
            self.floor = max(self.floor, revision)
            self._tombstones -= 1
        self._compact_order()
