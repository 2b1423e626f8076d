"""The one read and the one apply: a compacted, revision-ordered set of jobs.

Every reader is a cursor over such a set, and there is one question: *what changed since my cursor?*
`JobSet.since` answers it with a `Delta`, and `JobSet.apply` applies a delta to another set. A first
snapshot, a live update, a resume after a disconnect and the catching up of a slow reader are all
this one call.

These rules hold between any two sets:

- Contiguity belongs to intervals. A set accepts a delta whose ``since`` is its own revision, or 0
  ("clear first"). Then it is at ``through``, also if the delta is empty.
- Only an id never changes. A changed job that the filter does not select goes into ``gone`` if a
  field that the filter looks at changed after the cursor. A deletion goes to all readers except
  those with a filter on other ids. Where versions were merged, it is unknown what a field was in
  between, so it counts as changed.
- Deltas are pages in ascending revision, with ``more`` until the last. A reader can resume from
  each page. Under a filter that a job may leave, each page first lists everything that is gone, up
  to the newest revision.

A cursor gets ``since = 0``, an explicit reset, if it is of another epoch or filter, from the
future, or older than the *floor* (the newest tombstone that was dropped). Precedents: CouchDB's
``_changes?since=``, NATS key-value buckets with history 1, Kubernetes' list and watch, Centrifugo's
epoch and offset.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from operator import attrgetter

from jobctl.core.codec import odd_text, to_wire
from jobctl.core.cursor import ZERO, Cursor
from jobctl.core.digests import Digests, version_hash
from jobctl.core.filters import EVERYTHING, Filter
from jobctl.core.job import Job
from jobctl.core.omission import shortened
from jobctl.core.opaque import as_opaque
from jobctl.core.pipeline import FAILED
from jobctl.core.redaction import has_details

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple
else:
    from jobctl._stdlib import NamedTuple

__all__ = [
    "DAMAGED",
    "FILTERED",
    "MAX_GONE",
    "MAX_TOMBSTONES",
    "REMOVED",
    "Delta",
    "Gone",
    "JobSet",
    "joined",
    "version_hash",
]

MAX_TOMBSTONES = 4096
"""Deletions that a set remembers for lagging readers; dropping older ones raises the floor."""
MAX_GONE = 256 * 1024
"""Maximum bytes of a list of what is gone; above it, and above a page, a reader gets a reset."""

_MAX_PROJECTED = 8 * 1024 * 1024

REMOVED = "removed"
FILTERED = "filtered"
DAMAGED = "damaged: "


class Sent(NamedTuple):
    """What is sent of a job: its wire form, and what stands beside it, or empty texts.

    ``odd`` is about its file (`odd_text`), ``facts`` about what the wire form lacks
    (`projection.facts_text`).
    """

    wire: bytes
    odd: str = ""
    facts: str = ""

    @property
    def size(self) -> int:
        """The bytes that it takes in a message, with a comma after each text."""
        size = len(self.wire)
        for text in (self.odd, self.facts):
            size += len(text.encode()) + 1 if text else 0
        return size


class Gone(NamedTuple):
    """A job that the reader must drop, and why.

    ``why`` is `REMOVED`; `FILTERED` if the reader's filter no longer selects the job; `DAMAGED`
    and the reason if its file is not a job any more; or empty if a hub of jobctl 0.1.0 said no
    reason.
    """

    id: str
    revision: int
    why: str = REMOVED

    @property
    def damage(self) -> str | None:
        """Why the job's file is not a job any more, or ``None`` if that is not why it is gone."""
        return self.why.removeprefix(DAMAGED) if self.why.startswith(DAMAGED) else None

    @property
    def size(self) -> int:
        """The bytes that it takes in a message."""
        return 2 * len(self.id) + len(json.dumps(self.why)) + 7


class Delta(NamedTuple):
    """The answer to a read: all that changed in ``(since, through]``, compacted.

    ``since`` 0 says "clear first". ``more`` says that this is not all: ask again with the cursor
    that it gives. ``jobs`` stand in ascending revision. ``floor`` and ``merged`` are for replicas
    that serve others: the oldest cursor that can be resumed, and the ids of which intermediate
    versions were skipped (``None``: any may have been). ``snapshot_start`` and ``gone_after``,
    with ``more``, go into the call for the next page. ``digest`` is that of the set that made the
    delta, under the reader's filter, if asked for. ``tag`` is that of the cursor which a hub sent:
    it is another than that of the reader's filter if a token limits what the reader sees.
    """

    epoch: str
    since: int
    through: int
    jobs: tuple[Job, ...] = ()
    gone: tuple[Gone, ...] = ()
    more: bool = False
    floor: int = 0
    merged: frozenset[str] | None = None
    snapshot_start: int = 0
    digest: str | None = None
    gone_after: int = 0
    tag: str = ""

    def __bool__(self) -> bool:
        """Whether the delta says anything except "move to ``through``"."""
        return bool(self.jobs or self.gone) or self.since == 0

    def cursor(self, filter: Filter = EVERYTHING) -> Cursor:
        """Return the cursor of a reader under this filter after it has applied the delta."""
        return Cursor(self.epoch, self.through, filter.tag)

    def filtered(self, filter: Filter) -> Delta:
        """Return the delta for a reader under a filter, without access to the set.

        Every job that does not match counts as gone, because its earlier version is unknown.
        """
        if filter == EVERYTHING:
            return self
        gone = [item for item in self.gone if filter.may_hold(item.id)]
        if self.since:
            gone += [
                Gone(job.id, job.revision, FILTERED)
                for job in self.jobs
                if filter.may_hold(job.id) and not filter.matches(job)
            ]
        jobs = tuple(job for job in self.jobs if filter.matches(job))
        return self._replace(jobs=jobs, gone=tuple(sorted(gone, key=lambda item: item.revision)))


def joined(pages: Sequence[Delta]) -> Delta:
    """Merge consecutive deltas into one with the newest change of each id."""
    first, last = pages[0], pages[-1]
    if first is last:
        return first
    changes: dict[str, Job | Gone] = {}
    merged: frozenset[str] | None = frozenset()
    for page in pages:
        news: list[Job | Gone] = [*page.jobs, *page.gone]
        again = {change.id for change in news} & changes.keys()
        if merged is not None and page.merged is not None:
            merged |= page.merged | again
        else:
            merged = None
        for change in sorted(news, key=lambda change: change.revision):
            changes[change.id] = change
    ordered = sorted(changes.values(), key=lambda change: change.revision)
    return last._replace(
        since=first.since,
        jobs=tuple(change for change in ordered if isinstance(change, Job)),
        gone=tuple(change for change in ordered if isinstance(change, Gone)),
        merged=merged,
    )


_revision_of = attrgetter("revision")


class _Entry:
    """What the set has for one id: the job, or ``None`` for a tombstone, and its revisions.

    ``changed_at`` has the revisions at which type, session, stage (as shown) and labels last
    changed, as far as is known: those are the fields that filters look at. A number stands for all.
    """

    __slots__ = ("changed_at", "job", "revision")

    def __init__(
        self, job: Job | None, revision: int, changed_at: int | tuple[int, int, int, int]
    ) -> None:
        self.job = job
        self.revision = revision
        self.changed_at = changed_at

    def left_at(self, filter: Filter) -> int:
        """Return the revision at which a field that the filter looks at last changed."""
        at = self.changed_at
        type_at, session_at, stage_at, labels_at = (at,) * 4 if isinstance(at, int) else at
        return max(
            type_at if filter.types else 0,
            session_at if filter.sessions else 0,
            stage_at if filter.stages or filter.active else 0,
            labels_at if filter.labels else 0,
        )

    def changed_by(self, job: Job) -> int | tuple[int, int, int, int]:
        """Return ``changed_at`` after the job has replaced the one before, without a gap."""
        at, old = self.changed_at, self.job
        assert old is not None, "there was one before"
        same = (
            old.type == job.type,
            old.session_id == job.session_id,
            old.stage == job.stage
            and (job.stage != FAILED or old.is_cancelled == job.is_cancelled),
            old.labels == job.labels,
        )
        if all(same):
            return at
        before = (at,) * 4 if isinstance(at, int) else at
        type_at, session_at, stage_at, labels_at = (
            was if kept else job.revision for was, kept in zip(before, same, strict=True)
        )
        return type_at, session_at, stage_at, labels_at


class JobSet:
    """A set of jobs at one revision of one epoch: the state of every replica, at both ends.

    Not safe for threads by itself. No I/O, no clock. ``since`` costs what changed, never the size
    of the set; memory is one entry for a job or a remembered deletion. An ``opaque`` set keeps each
    job as an `OpaqueJob`: it is for replicas that send jobs and never write them.
    """

    def __init__(
        self, epoch: str = "-", *, max_tombstones: int = MAX_TOMBSTONES, opaque: bool = False
    ) -> None:
        self._max_tombstones = max_tombstones
        self._opaque = opaque
        self._digests = Digests()
        self._clear(epoch, 0)

    def _clear(self, epoch: str, floor: int) -> None:
        self.epoch = epoch
        self.revision = 0
        self.floor = floor
        self._entries: dict[str, _Entry] = {}
        self._digests.clear()
        self._tombstones = 0
        self._damaged: dict[str, str] = {}  # why deleted jobs are gone, if they were not removed
        # The change order, ascending; a line is superseded when its entry has a newer revision.
        self._order: list[int] = []
        self._order_ids: list[str] = []
        # What is sent: to readers with details, unless the jobs are opaque, and to those without,
        # of jobs with details.
        self._wires: dict[str, bytes] = {}
        self._redacted: dict[str, bytes] = {}
        # To readers with fields, by version; see `_projected`.
        self._projections: dict[tuple[str, frozenset[str], bool], tuple[int, bytes, str]] = {}
        self._projected_bytes = 0

    @property
    def cursor(self) -> Cursor:
        """The set's own cursor, for the next read of its source."""
        return Cursor(self.epoch, self.revision)

    def __len__(self) -> int:
        return len(self._entries) - self._tombstones

    def __iter__(self) -> Iterator[Job]:
        """Yield the jobs, in no particular order."""
        return (entry.job for entry in self._entries.values() if entry.job is not None)

    def get(self, id: str) -> Job | None:
        """Return the job with this id, or ``None``."""
        entry = self._entries.get(id)
        return entry.job if entry else None

    def wire(self, id: str, *, details: bool = False) -> bytes:
        """Return the job as it is sent, encoded once for all readers; KeyError for an unknown id.

        Readers with and without ``details`` share the encoding if the job has none.
        """
        job = self._entries[id].job
        if job is None:
            raise KeyError(id)
        details = details or not has_details(job)
        if details and self._opaque:
            return to_wire(job, details=True)  # it has that
        kept = self._wires if details else self._redacted
        wire = kept.get(id)
        if wire is None:
            wire = kept[id] = to_wire(job, details=details)
        return wire

    @property
    def damage(self) -> dict[str, str]:
        """The ids that are gone because their files are no jobs any more, and why they are not."""
        return {id: why.removeprefix(DAMAGED) for id, why in self._damaged.items()}

    def digest(self, filter: Filter = EVERYTHING) -> str:
        """Return 16 hex digits that are equal for all who hold the same jobs under the filter.

        This is the exclusive or of `version_hash` of each job. It is kept without a filter, and for
        filters for which `keep_digest` was called; for other filters every job is examined.
        """
        return f"{self._digests.under(filter.of_whole_jobs, self):016x}"

    def keep_digest(self, filter: Filter) -> None:
        """Keep the digest under the filter up to date, for one more user."""
        self._digests.keep(filter.of_whole_jobs, empty=not len(self))

    def release_digest(self, filter: Filter) -> None:
        """Undo one `keep_digest`."""
        self._digests.release(filter.of_whole_jobs)

    def sent(
        self,
        id: str,
        *,
        details: bool = False,
        max_bytes: int | None = None,
        fields: frozenset[str] | None = None,
    ) -> Sent:
        """Return what is sent of a job, to a reader that asked for these ``fields``, or for all.

        If it has more than ``max_bytes``, the wire form is `shortened`. What is odd is left out
        then if it takes more than half of that.
        """
        job = self._entries[id].job
        odd = odd_text(job) if job is not None and job.reading is not None else ""
        if fields is None:
            sent = Sent(self.wire(id, details=details), odd)
        else:
            wire, facts = self._projected(id, fields, details=details)
            sent = Sent(wire, odd, facts)
        if max_bytes is None or sent.size <= max_bytes:
            return sent
        if len(odd.encode()) > max_bytes // 2:
            odd = ""
        room = max_bytes - len(odd.encode())
        if fields is None:
            return Sent(shortened(sent.wire, room), odd)
        from jobctl.core.projection import MAX_FACTS, facts_text

        wire = shortened(sent.wire, room - MAX_FACTS)
        reading = job.reading if job is not None else None
        return Sent(wire, odd, facts_text(self.wire(id, details=details), wire, reading))

    def _projected(self, id: str, fields: frozenset[str], *, details: bool) -> tuple[bytes, str]:
        """Return the job with these fields, encoded once for each version of the job.

        The encodings are kept up to `_MAX_PROJECTED` bytes, for all sets of fields together.
        """
        entry, key = self._entries[id], (id, fields, details)
        kept = self._projections.get(key)
        if kept is not None and kept[0] == entry.revision:
            return kept[1], kept[2]
        from jobctl.core.projection import projected  # most readers get whole jobs

        reading = entry.job.reading if entry.job is not None else None
        wire, facts = projected(self.wire(id, details=details), fields, reading)
        self._projected_bytes += len(wire) + len(facts)
        self._projected_bytes -= len(kept[1]) + len(kept[2]) if kept is not None else 0
        if self._projected_bytes > _MAX_PROJECTED:
            self._projections.clear()
            self._projected_bytes = len(wire) + len(facts)
        self._projections[key] = (entry.revision, wire, facts)
        return wire, facts

    # -- the one read -----------------------------------------------------------------------

    def since(
        self,
        cursor: Cursor,
        filter: Filter = EVERYTHING,
        *,
        limit: int | None = None,
        max_examined: int | None = None,
        snapshot_start: int = 0,
        gone_after: int | None = None,
        tombstones: bool = False,
        details: bool = False,
        shorten: bool = False,
    ) -> Delta:
        """Return what changed after ``cursor`` for a reader under ``filter``.

        ``limit`` is the maximum size of a page in bytes on the wire, for a reader with or without
        ``details``. The size therefore reveals nothing that is hidden. A job that is larger has a
        page of its own; with ``shorten`` it is sent in a form that fits. The jobs in the delta are
        complete; `sent` returns what the reader gets. ``max_examined`` limits how many jobs are
        examined: such a page may be empty with ``more`` to come, and a reader that lags further
        behind under a filter that jobs may leave gets a reset. Jobs that share a revision (files
        without a record, see stores/directory/read.py) are always on one page. ``snapshot_start``
        is that of the page before: the reader does not have what was gone by then, so the floor is
        compared with it. ``gone_after`` is that of the page before, and 0 for the first page: what
        is gone may take several pages then. Without it, or with more than `MAX_GONE`, the reader
        gets a reset, which is shorter. ``tombstones`` adds the remembered deletions to all pages of
        a reset, for a replica that serves others.
        """
        since = cursor.revision
        if not self.resumes(cursor, filter, snapshot_start=snapshot_start):
            since = snapshot_start = 0
        known = max(since, snapshot_start)
        jobs: list[Job] = []
        checks = filter.may_lose and known
        if (
            checks
            and max_examined is not None
            and not filter.ids
            and self.changed_since(known) > max_examined
        ):
            return self._reset(filter, limit, max_examined, details=details, shorten=shorten)
        gone: list[Gone] = []
        size, whole = 0, filter.fields is None
        if checks and limit is not None:
            most = limit if gone_after is None else max(limit, MAX_GONE)
            gone, size = self._gone_since(known, gone_after or 0, filter, most)
            if size > most and len(gone) > 1:  # a reset is shorter
                return self._reset(filter, limit, max_examined, details=details, shorten=shorten)
            if size > limit and len(gone) > 1:
                return self._only_gone(since, gone, limit, snapshot_start)
        elif checks:
            gone, size = self._gone_since(known, 0, filter, None)
        through, more, empty = since, False, not gone
        for examined, (id, entry) in enumerate(self._newest(since, filter.ids)):
            # No cursor names a place between two jobs that share a revision.
            may_end = entry.revision > through
            if max_examined is not None and examined >= max_examined and may_end:
                more = True
                break
            job = entry.job
            if job is not None:
                wanted = filter.matches(job)
            else:
                knew_it = tombstones or 0 < known < entry.revision
                wanted = knew_it and not filter.may_lose and filter.may_hold(id)
            if wanted:
                if limit is not None:
                    if job is not None and job.reading is None and not shorten and whole:
                        size += len(self.wire(id, details=details)) + 1
                    elif job is not None:
                        max_job = limit if shorten else None
                        sent = self.sent(
                            id, details=details, max_bytes=max_job, fields=filter.fields
                        )
                        size += sent.size + 1
                    else:
                        size += self._gone(id, entry).size
                    if size > limit and may_end and not empty:
                        more = True
                        break
                empty = False
                if job is not None:
                    jobs.append(job)
                else:
                    gone.append(self._gone(id, entry))
            through = entry.revision
        if not more:
            return Delta(
                self.epoch, since, max(through, self.revision), tuple(jobs), tuple(gone), False,
                self.floor,
            )  # fmt: skip
        if filter.may_lose:
            gone = [item._replace(revision=min(item.revision, through)) for item in gone]
        if filter.may_lose or since == 0:
            snapshot_start = self.revision
        return Delta(
            self.epoch,
            since,
            through,
            tuple(jobs),
            tuple(gone),
            True,
            self.floor,
            None,
            snapshot_start,
        )

    def resumes(
        self, cursor: Cursor, filter: Filter = EVERYTHING, *, snapshot_start: int = 0
    ) -> bool:
        """Whether the cursor gets exactly the difference; otherwise it gets a reset."""
        return (
            cursor.epoch == self.epoch
            and cursor.tag == filter.tag
            and cursor.revision <= self.revision
            and max(cursor.revision, snapshot_start) >= self.floor
        )

    def changed_since(self, revision: int) -> int:
        """Return how many jobs and deletions a cursor at ``revision`` lags behind, at most."""
        return len(self._order) - bisect_right(self._order, revision)

    def _reset(
        self,
        filter: Filter,
        limit: int | None,
        max_examined: int | None,
        *,
        details: bool,
        shorten: bool,
    ) -> Delta:
        """Return the first page of all jobs that the filter selects."""
        return self.since(
            ZERO, filter, limit=limit, max_examined=max_examined, details=details, shorten=shorten
        )

    def _only_gone(self, since: int, gone: list[Gone], limit: int, snapshot_start: int) -> Delta:
        """Return a page of what is gone alone, which does not move the cursor.

        A reader that is cut off amid such pages gets all of them again.
        """
        size = 0
        for count, item in enumerate(gone):
            size += item.size
            if size > limit and count and item.revision > gone[count - 1].revision:
                gone = gone[:count]
                break
        told = tuple(item._replace(revision=min(item.revision, since)) for item in gone)
        return Delta(
            self.epoch, since, since, (), told, True, self.floor, None, snapshot_start,
            gone_after=gone[-1].revision,
        )  # fmt: skip

    def _gone_since(
        self, known: int, after: int, filter: Filter, limit: int | None
    ) -> tuple[list[Gone], int]:
        """Return what a reader at ``known`` may hold but must drop: deleted, or left the filter.

        All of it goes into every page, or into pages before. A job that left before the page's end
        and changed again after it has no line of its own in the page, so the reader would keep it
        for ever. Only what changed after the revision ``after`` is returned. The search stops at
        ``limit``; the second result is the size of what it found.
        """
        gone: list[Gone] = []
        size = 0
        for id, entry in self._newest(max(known, after), filter.ids):
            if filter.may_hold(id) and (
                entry.job is None
                or (entry.left_at(filter) > known and not filter.matches(entry.job))
            ):
                gone.append(self._gone(id, entry))
                size += gone[-1].size
                if limit is not None and size > limit and len(gone) > 1:
                    break
        return gone, size

    def _gone(self, id: str, entry: _Entry) -> Gone:
        """Return what a reader that must drop the job is told."""
        if entry.job is not None:
            return Gone(id, entry.revision, FILTERED)
        return Gone(id, entry.revision, self._damaged.get(id, REMOVED))

    def _newest(
        self, since: int, ids: frozenset[str] = frozenset()
    ) -> Iterator[tuple[str, _Entry]]:
        """Yield the entries that changed after ``since``, in ascending revision.

        With few ``ids``, only their entries are looked up.
        """
        if ids and len(ids) < self.changed_since(since):
            found = [(id, entry) for id in ids if (entry := self._entries.get(id)) is not None]
            found.sort(key=lambda item: item[1].revision)
            yield from (item for item in found if item[1].revision > since)
            return
        for index in range(bisect_right(self._order, since), len(self._order)):
            id = self._order_ids[index]
            entry = self._entries.get(id)
            if entry is not None and entry.revision == self._order[index]:
                yield id, entry

    def changes(
        self, since: int, ids: frozenset[str] = frozenset()
    ) -> Iterator[tuple[str, int, Job | None]]:
        """Yield the id, revision and job (``None`` for a deletion) of what changed after ``since``.

        In ascending revision; all of it, or of these ``ids`` only. For readers that know no cursor:
        whether the set remembers everything since then, its `floor` tells.
        """
        for id, entry in self._newest(since, ids):
            if not ids or id in ids:
                yield id, entry.revision, entry.job

    def newest_changes(self, through: int) -> Iterator[Job]:
        """Yield the jobs that have not changed after ``through``, the last changed first."""
        for index in reversed(range(bisect_right(self._order, through))):
            entry = self._entries.get(self._order_ids[index])
            if entry is not None and entry.revision == self._order[index] and entry.job is not None:
                yield entry.job

    # -- the one apply ----------------------------------------------------------------------

    def apply(self, delta: Delta) -> bool:
        """Apply a delta; return ``False``, and change nothing, if it does not continue this set.

        A delta that was applied already, is out of order or of another epoch is refused. A replica
        that reads again from its own `cursor` after ``False`` therefore always converges.
        """
        if delta.since == 0:
            self._clear(delta.epoch, delta.floor)
        elif delta.epoch != self.epoch or delta.since != self.revision:
            return False
        changes: list[Job | Gone] = [*delta.jobs, *delta.gone]
        for change in sorted(changes, key=_revision_of):
            if isinstance(change, Gone):
                self.delete(change.id, change.revision, change.why)
            else:
                known = delta.merged is not None and change.id not in delta.merged
                self.put(change, exact=known and delta.since != 0)
        assert delta.through >= self.revision, "a delta reaches as far as what it holds"
        self.revision = delta.through
        self.floor = max(self.floor, delta.floor)
        return True

    def put(self, job: Job, *, exact: bool = True) -> None:
        """Add the job at ``job.revision``.

        ``exact`` says that no version in between was skipped.
        """
        if self._opaque:
            job = as_opaque(job)
        old = self._entries.get(job.id)
        if not exact:
            changed_at: int | tuple[int, int, int, int] = job.revision
        elif old is None:
            changed_at = 0  # no reader holds a new job
        elif old.job is None:
            changed_at = old.revision  # only readers that have not seen the deletion may hold it
        else:
            changed_at = old.changed_by(job)
        if old is not None and old.job is None:
            self._tombstones -= 1
        self._record(job.id, _Entry(job, job.revision, changed_at), old)

    def delete(self, id: str, revision: int, why: str = REMOVED) -> None:
        """Record that the job is gone, also if it is unknown here. ``why`` is that of `Gone`."""
        old = self._entries.get(id)
        if old is None or old.job is not None:
            self._tombstones += 1
        self._record(id, _Entry(None, revision, revision), old)
        if why.startswith(DAMAGED):
            self._damaged[id] = why
        if self._tombstones > 2 * self._max_tombstones:
            self._forget_tombstones()

    def _record(self, id: str, entry: _Entry, old: _Entry | None) -> None:
        self._digests.change(id, old.job if old is not None else None, entry.job)
        self._entries[id] = entry
        if self._wires:
            self._wires.pop(id, None)
        if self._redacted:
            self._redacted.pop(id, None)
        if self._damaged:
            self._damaged.pop(id, None)
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
            self._damaged.pop(id, None)
            self.floor = max(self.floor, revision)
            self._tombstones -= 1
        self._compact_order()
