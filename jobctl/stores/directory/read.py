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

What holds for every delta:

-   No file that it delivers is newer than ``through``, loose ones excepted, which have no revision.
-   Above the log's base, it leaves a reader at ``since`` with the state at ``through``.
-   Without ``more`` it reaches all that was recorded when the read began, a write in flight
    excepted: no job that was there all the time is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set

from jobctl.core.codec import parse_trusted
from jobctl.core.job import Job
from jobctl.core.jobset import Delta, Gone
from jobctl.errors import InvalidJob
from jobctl.stores.directory.changelog import DEL, PUT, SEEN, Log, Record
from jobctl.stores.directory.files import read_file
from jobctl.stores.directory.index import Index, Look

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple
else:
    from jobctl._stdlib import NamedTuple

__all__ = ["DirectoryRead", "Settled"]

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
    files that the log does not know.

    Afterwards ``pending`` has the ids whose files are not what their newest records say, ``stale``
    those of them whose writes are over, and ``loose`` those that were delivered all the same.
    ``taken`` are the ids that were delivered by a record, and ``bad`` those that are no jobs, with
    the reason.
    """

    def __init__(
        self,
        log: Log,
        dir_fd: int,
        index: Index,
        since: int,
        reconcile: Callable[[Mapping[str, Look]], Settled],
        *,
        records: list[Record] | None = None,
        looks: Mapping[str, Look] | None = None,
        names: Set[str] = frozenset(),
    ) -> None:
        self._log = log
        self._dir_fd = dir_fd
        self._index = index
        self._since = since
        self._reconcile = reconcile
        self._records = records
        self._names = names
        self._position = log.after(since)
        self._head = since  # the newest revision that was read
        self._window: dict[str, list[Record]] = {}
        self._looks: dict[str, Look] = dict(looks or {})
        self._shown: dict[str, Record] = {}  # the newest record of the content that a look found
        self._refused = False
        self.pending: set[str] = set()
        self.stale: set[str] = set()
        self.taken: set[str] = set()
        self.loose: set[str] = set()
        self.bad: dict[str, str] = {}

    def run(self) -> Delta:
        """Return the delta. It is empty and does not move if all changes are still in flight."""
        self._read_tail()
        asked = self._head
        self._judge(id for id in self._window if id in self._looks)
        seen = self._looks.keys() - self.pending
        unrecorded = sorted(self._names - self._window.keys())
        self._look([id for id in (*self._window, *unrecorded) if id not in seen])
        if self.pending:
            reconciled = self._reconcile(
                {id: self._looks[id] for id in self.pending & self._looks.keys()}
            )
            self._refused = reconciled.refused
            self._looks.update(reconciled.looks)
            self._judge({*reconciled.looks, *self._read_tail()})
            # The write that was in flight may have landed meanwhile.
            self._look([id for id in self._window if id in self.pending and not self._is_over(id)])
        self.stale = {id for id in self.pending if self._is_over(id)}
        cut = self._cut()
        return self._delta(cut, more=not self._is_whole(cut, asked))

    # -- the log and the files --------------------------------------------------------------

    def _look(self, ids: list[str]) -> None:
        """Read these files, and again those that have changed meanwhile."""
        for _ in range(_MAX_ROUNDS):
            if not ids:
                return
            for id in ids:
                self._looks[id] = Look(id, read_file(self._dir_fd, id + ".json"), self._head)
            ids = list(dict.fromkeys([*ids, *self._read_tail()]))
            self._judge(ids)
            ids = [id for id in ids if id in self.pending and self._is_outdated(id)]

    def _read_tail(self) -> list[str]:
        """Read the log to its end; return the ids of the new records."""
        records, self._records = self._records, None
        if records is None:
            records = self._log.read(self._position)
        self._position += len(records)
        for record in records:
            self._window.setdefault(record.id, []).append(record)
        if records:
            self._head = records[-1].revision
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
        return self._since > 0 and not self._refused

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
        has a record before it, would be missing there, so the cut moves before that record.
        """
        cut = max(self._since, self._head, self._log.base)
        held = self.pending if self._waits else self.pending - self.stale
        for id in held:
            known = self._shown[id].revision if id in self._shown else 0
            look = self._looks.get(id)
            if look is not None and not self._waits:
                known = max(known, look.after - 1)  # a file whose write was over is loose
            unknown = next(item for item in self._window[id] if item.revision > known)
            cut = min(cut, unknown.revision - 1)
        if held:
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
                    jobs.append(parse_trusted(look.found.data, id=id, revision=record.revision))
                else:
                    jobs.append(look.job(record.revision))
            except InvalidJob as error:
                self.bad[id] = error.reason
                gone.append(Gone(id, record.revision))
        jobs.sort(key=lambda job: job.revision)
        jobs += self._loose_jobs(cut)
        gone.sort(key=lambda item: item.revision)
        merged = None
        if self._since >= self._log.base:
            # Nobody knows what a foreign writer did before its change was seen.
            merged = frozenset(
                id
                for id, records in self._window.items()
                if len(records) > 1 or records[0].verb == SEEN
            )
            merged |= self.stale
        return Delta(
            self._log.epoch,
            self._since,
            cut,
            tuple(jobs),
            tuple(gone),
            more,
            self._log.floor,
            merged,
        )

    def _loose_jobs(self, cut: int) -> list[Job]:
        """Return the jobs in files without a matching record, oldest first.

        They get the revision of the delta, so the record that they get later is newer.
        """
        if self._waits:
            return []
        ids = self.pending - self._shown.keys()
        if self._since:
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
