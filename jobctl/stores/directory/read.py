"""One read of a directory: what changed after a revision, from the log and the files it names.

The read takes no lock. It relies on what writers do: one works at a time, it appends its record
before it renames its file into place, and a later record shows that the write before it is over.

1.  Read the log, look once at each file that it names, and read the log's tail again. By then the
    log has the record of every version that a look can have found, since the record comes first.
2.  Look again at those files alone that have a newer record since, until there are none. So a read
    costs one look at each changed file, and one at what changes meanwhile.
3.  A file is *pending* while it is not what its newest record says. If that write may be in flight,
    the delta ends before it. If the write is over, it burned in a crash or a foreign program was
    here: `reconcile` gives the file a new record, under the writers' lock, for the bytes that the
    look has found. Where the lock is busy, or the file may be half written, the delta ends before
    it.
4.  A full load (``since`` 0) never waits for that, nor does a reader that may not write: they
    deliver the file as it is, as of ``through``. Such a file is *loose*.

A *page* (a read with a limit) selects its records first: the next ones that are the newest of their
id. It ends at the last of them and opens no other file. A job that changes after the selection is
on a later page, in its newest version. The pages of a full load follow the same rules as a full
load: they wait for nobody.

What holds for every delta:

-   No file that it delivers is newer than ``through``, loose ones excepted, which have no revision.
-   Above the log's base, it leaves a reader at ``since`` with the state at ``through``. A page may
    lack jobs that have changed again after it.
-   Without ``more`` it reaches all that was recorded when the read began, a write in flight
    excepted: no job that was there all the time is missing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Set

from jobctl.core.job import Job
from jobctl.core.jobset import DAMAGED, Delta, Gone
from jobctl.errors import InvalidJob
from jobctl.stores.directory.changelog import DEL, PUT, SEEN, Log, Record
from jobctl.stores.directory.files import FoundFile, read_file
from jobctl.stores.directory.index import TORN_GRACE_S, Index, Look, is_old

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple
else:
    from jobctl._stdlib import NamedTuple

__all__ = ["DirectoryRead", "Settled"]

_LOOK_S = 0.02
_MAX_ROUNDS = 16
"""Each round looks at what changed during the one before, so a few are enough, unless writers stay
faster than we read."""


class Settled(NamedTuple):
    """The result of giving records to pending files.

    ``looks`` has a current look at each file whose newest record is now right. ``refused`` says
    that we cannot write here, so a delta does not wait for the others.
    """

    looks: Mapping[str, Look]
    refused: bool


class DirectoryRead:
    """One run of the read.

    ``records`` are those after ``since`` if somebody has just read them, and ``looks`` current
    looks at files. ``names`` are the ids that the directory has, for a full load: it also delivers
    files that the log does not know. With ``limit`` the read is a page of at most so many ids, and
    of the files that the log does not know. ``snapshot_start`` is the newest revision when the
    first page of a full load began, for its other pages.

    Afterwards ``head`` is the newest revision when the read began, ``pending`` has the ids whose
    files are not what their newest records say, ``stale`` those of them whose writes are over, and
    ``loose`` those that were delivered all the same. ``taken`` are the ids that were delivered by a
    record, and ``bad`` those that are no jobs, with the reason. ``refused`` says that we could not
    give records to files here.
    """

    def __init__(
        self,
        log: Log,
        dir_fd: int,
        index: Index,
        since: int,
        reconcile: Callable[[Mapping[str, Look | None]], Settled],
        *,
        records: list[Record] | None = None,
        looks: Mapping[str, Look] | None = None,
        names: Set[str] = frozenset(),
        limit: int | None = None,
        snapshot_start: int = 0,
    ) -> None:
        self._log = log
        self._dir_fd = dir_fd
        self._index = index
        self._since = since
        self._reconcile = reconcile
        self._records = records
        self._names = names
        self._limit = limit
        self._snapshot_start = snapshot_start
        self._page_end: int | None = None  # with a limit: the revision at which the page ends
        self._selected: set[str] = set()  # with a limit: the ids of the page
        self._partial = False  # whether the page leaves out records that there were at its start
        self._position = log.after(since)
        self._head = since  # the newest revision that was read
        self._window: dict[str, list[Record]] = {}
        self._looks: dict[str, Look] = dict(looks or {})
        self._shown: dict[str, Record] = {}  # the newest record of the content that a look found
        self.refused = False
        self.head = since
        self.pending: set[str] = set()
        self.stale: set[str] = set()
        self.taken: set[str] = set()
        self.loose: set[str] = set()
        self.bad: dict[str, str] = {}

    def run(self) -> Delta:
        """Return the delta. It is empty and does not move if all changes are still in flight."""
        if self._limit is None:
            self._read_tail()
            unrecorded = sorted(self._names - self._window.keys())
        else:
            unrecorded = self._select(self._limit)
        asked = self.head = self._head
        self._judge(id for id in self._window if id in self._looks)
        seen = self._looks.keys() - self.pending
        self._look([id for id in (*self._window, *unrecorded) if id not in seen])
        if self.pending:
            if not self._waits:
                self._wait_for_writers()
            reconciled = self._reconcile(
                {id: self._looks[id] for id in self.pending & self._looks.keys()}
            )
            self.refused = reconciled.refused
            self._looks.update(reconciled.looks)
            self._judge({*reconciled.looks, *self._read_tail()})
            # The write that was in flight may have landed meanwhile.
            self._look([id for id in self._window if id in self.pending and not self._is_over(id)])
        self.stale = {id for id in self.pending if self._is_over(id)}
        cut = self._cut()
        more = self._partial or not self._is_whole(cut, asked)
        if self._page_end is not None:
            # A job that has changed since the selection is on a later page.
            more = more or any(record.revision > cut for record in self._shown.values())
        return self._delta(cut, more=more)

    # -- the log and the files --------------------------------------------------------------

    def _select(self, limit: int) -> list[str]:
        """Select the ids of the page by their newest records; return the ids without a record.

        A long log is read through the index, which reads each record once for all pages.
        """
        log, start = self._log, self._position
        self._records = None  # the index may have read many that are not of this page
        unrecorded = self._record_unknown(limit)
        last = self._since
        if log.count() - start <= limit:
            for record in log.read(start, start + limit):
                self._window.setdefault(record.id, []).append(record)
                start, last = start + 1, record.revision
            self._position, self._head = start, last
        else:
            newest = self._follow_to_landed_writes()
            while start < self._position and len(self._window) < limit:
                places = log.places(start, min(start + limit, self._position))
                if not places:
                    break
                for revision, id in places:
                    start += 1
                    record = newest[id]
                    if record.revision == revision:
                        self._window[id] = [record]
                        last = revision
                        if len(self._window) == limit:
                            break
            self._partial = start < self._position
        self._page_end = last if self._partial else max(last, log.base)
        self._selected = {*self._window, *unrecorded}
        self._looks = {id: look for id, look in self._looks.items() if id in self._selected}
        return unrecorded

    def _follow_to_landed_writes(self) -> Mapping[str, Record]:
        """Follow the log; return the newest records, without that of a write in flight.

        If the last record's file is still what the record before said, the page has that version.
        """
        log, index = self._log, self._index
        index.follow(log)
        last = log.read(index.position - 1, index.position)[0]
        found = read_file(self._dir_fd, last.id + ".json")
        look = Look(last.id, found, index.parser, last.revision)
        if not look.shows(last):
            reconciled = self._reconcile({last.id: look})
            index.follow(log)
            if not reconciled.looks:
                earlier = log.newest(last.id, stop=index.position - 1)
                if index.newest[last.id] == last and earlier is not None and look.shows(earlier):
                    self._position = index.position - 1
                    self._head = log.read(self._position - 1, self._position)[0].revision
                    return {**index.newest, last.id: earlier}
        self._position, self._head = index.position, index.head
        return index.newest

    def _record_unknown(self, limit: int) -> list[str]:
        """Give records to files that the log does not know; return those that got none.

        In small steps, because each look holds the file's bytes.
        """
        if not self._names:
            return []
        self._index.follow(self._log)
        unknown = sorted(self._names - self._index.newest.keys())
        for first in range(0, len(unknown), limit):
            if self._reconcile(dict.fromkeys(unknown[first : first + limit])).refused:
                self.refused = True
                break
        self._index.follow(self._log)
        return [id for id in unknown if id not in self._index.newest]

    def _look(self, ids: list[str]) -> None:
        """Read these files, and again those that have changed meanwhile."""
        for _ in range(_MAX_ROUNDS):
            if not ids:
                return
            for id in ids:
                self._looks[id] = Look(
                    id, read_file(self._dir_fd, id + ".json"), self._index.parser, self._head
                )
            ids = list(dict.fromkeys([*ids, *self._read_tail()]))
            self._judge(ids)
            ids = [id for id in ids if id in self.pending and self._is_outdated(id)]

    def _wait_for_writers(self) -> None:
        """Wait up to a second for recorded files that are missing, or are no job.

        Other programs may be between two steps. A file that was no job long ago is not waited for.
        """
        before: dict[str, FoundFile | None] = {}
        began_s = time.monotonic()
        while True:
            ids = self.pending & self._looks.keys() & self._window.keys()
            looks = [self._looks[id] for id in ids]
            unsure = [
                look.id
                for look in looks
                if self._window[look.id][-1].verb != DEL
                and (look.found is None or look.problem is not None)
                and not (look.found is not None and is_old(look.found, before.get(look.id)))
            ]
            for id in unsure:
                self._index.note_lacking(id, began_s)
            if not unsure or time.monotonic() >= began_s + TORN_GRACE_S:
                break
            before.update((look.id, look.found) for look in looks)
            time.sleep(_LOOK_S)
            self._look(unsure)

    def _read_tail(self) -> list[str]:
        """Read the log to its end; return the ids of the new records."""
        records, self._records = self._records, None
        if records is None:
            records = self._log.read(self._position)
        self._position += len(records)
        if records:
            self._head = records[-1].revision
        if self._page_end is not None:
            records = [item for item in records if item.id in self._selected]
        for record in records:
            self._window.setdefault(record.id, []).append(record)
        return [record.id for record in records]

    def _judge(self, ids: Iterable[str]) -> None:
        """Compare these files with their records."""
        for id in ids:
            look, records = self._looks.get(id), self._window.get(id, [])
            shown = next((item for item in reversed(records) if look and look.shows(item)), None)
            if shown is not None:
                self._shown[id] = shown
            else:
                self._shown.pop(id, None)
            is_newest = shown is not None and shown is records[-1]
            was_never_recorded = look is not None and look.found is None and not records
            if is_newest or was_never_recorded:
                self.pending.discard(id)
            else:
                self.pending.add(id)

    def _is_over(self, id: str) -> bool:
        """Whether the newest write of a pending file was over when we looked at it."""
        look, records = self._looks.get(id), self._window.get(id)
        return look is not None and (not records or records[-1].revision < look.after)

    def _is_outdated(self, id: str) -> bool:
        """Whether another look at a pending file may change the result."""
        look = self._looks.get(id)
        return look is None or (look.after < self._head and not self._is_over(id))

    # -- the delta --------------------------------------------------------------------------

    @property
    def _waits(self) -> bool:
        """Whether the delta ends before a stale file instead of delivering it as loose."""
        return self._since > 0 and not self._snapshot_start and not self.refused

    def _is_whole(self, cut: int, asked: int) -> bool:
        """Whether the delta reaches the requested revision, or the write in flight before it."""
        if cut >= asked:
            return True
        return cut == self._head - 1 and any(
            records[-1].revision == self._head == look.after
            for id in self.pending
            if (records := self._window.get(id)) and (look := self._looks.get(id))
        )

    def _cut(self) -> int:
        """The newest revision at which the state is known.

        A look knows the version of its file from the record that it shows up to the next one. What
        is delivered must be the state *at* the cut. A file that was seen in a version after it, but
        has a record before it, would be missing there, so the cut moves before that record. (Not on
        a page: the file is on a later one.)
        """
        cut = self._page_end
        if cut is None:
            cut = max(self._since, self._head, self._log.base)
        held = self.pending if self._waits else self.pending - self.stale
        for id in held:
            known = self._shown[id].revision if id in self._shown else 0
            look = self._looks.get(id)
            if look is not None and not self._waits:
                known = max(known, look.after - 1)  # a file whose write was over is loose
            unknown = next(item for item in self._window[id] if item.revision > known)
            cut = min(cut, unknown.revision - 1)
        if held and self._page_end is None:
            for revision, id in sorted(
                ((record.revision, id) for id, record in self._shown.items()), reverse=True
            ):
                if revision <= cut:
                    break
                first = self._window[id][0].revision
                if first <= cut:
                    cut = first - 1
        return max(cut, self._since)

    def _delta(self, cut: int, *, more: bool) -> Delta:
        jobs: list[Job] = []
        gone: list[Gone] = []
        for id, record in self._shown.items():
            if record.revision > cut:
                continue
            look = self._looks[id]
            self.taken.add(id)
            if id not in self.pending:
                self._index.remember(look, record.verb)
            try:
                if record.verb == DEL:
                    gone.append(Gone(id, record.revision))
                elif record.verb == PUT:
                    assert look.found is not None, "the look shows the record"
                    jobs.append(
                        self._index.parser.parse(
                            id, look.found, revision=record.revision, trusted=True
                        )
                    )
                else:
                    jobs.append(look.job(record.revision))
            except InvalidJob as error:
                self.bad[id] = error.reason
                gone.append(Gone(id, record.revision, DAMAGED + error.reason))
        jobs.sort(key=lambda job: job.revision)
        jobs += self._loose_jobs(cut)
        gone.sort(key=lambda item: item.revision)
        merged = None
        if self._since >= self._log.base and self._page_end is None:
            # Nobody knows what a foreign writer did before its change was seen.
            merged = frozenset(
                id
                for id, records in self._window.items()
                if len(records) > 1 or records[0].verb == SEEN
            )
            merged |= self.stale
        snapshot_start = self._snapshot_start
        if self._since == 0 and self._page_end is not None:
            snapshot_start = max(self.head, self._log.base)
        return Delta(
            self._log.epoch,
            self._since,
            cut,
            tuple(jobs),
            tuple(gone),
            more,
            self._log.floor,
            merged,
            snapshot_start if more else 0,
        )

    def _loose_jobs(self, cut: int) -> list[Job]:
        """Return the jobs in files without a matching record, oldest first.

        They get the revision of the delta, so the record that they get later is newer.
        """
        if self._waits:
            return []
        ids = self.pending - self._shown.keys()
        if self._since and not self._snapshot_start:
            ids = {id for id in ids & self.stale if self._window[id][0].revision <= cut}
        jobs: list[Job] = []
        for id in ids:
            look = self._looks.get(id)
            if look is None or look.found is None:
                continue
            try:
                jobs.append(look.job(cut))
            except InvalidJob as error:
                self.bad[id] = error.reason
        self.loose = {job.id for job in jobs}
        return sorted(jobs, key=lambda job: job.updated_at)
