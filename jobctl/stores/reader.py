"""One read of a directory: what changed after a revision, from the log and the files it names.

No lock. The log is read first and then the files, and the log's tail again until it stands still,
so that no file delivered is newer than the delta's ``through``. Bytes count only with the digest of
a record. Where they have none:

- the record is the log's last: its write is in flight, and the delta ends before it;
- it is not: the write burned in a crash, or a foreign program was here. `settle` gives the id a new
  record, if we may; else the reader goes on with what it has.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from jobctl.codec import parse, parse_own
from jobctl.errors import InvalidJob
from jobctl.job import Job
from jobctl.jobset import Delta, Gone
from jobctl.stores.changelog import DEL, PUT, SEEN, Log, Record, digest_of
from jobctl.stores.files import Found, Signature, read_file
from jobctl.stores.index import Index

__all__ = ["Reading"]

_MAX_ROUNDS = 8


class _Match(NamedTuple):
    """A file whose bytes are those of a record: the job in it, or why there is none."""

    record: Record
    signature: Signature | None  # `None` for a deletion
    job: Job | None = None
    problem: str | None = None


def _matched(record: Record, found: Found | None) -> _Match:
    if found is None:
        return _Match(record, None)
    if found.problem is not None:
        return _Match(record, found.signature, problem=found.problem)
    read = parse_own if record.verb == PUT else parse
    try:
        job = read(found.data, id=record.id, revision=record.revision)
    except InvalidJob as error:
        return _Match(record, found.signature, problem=error.reason)
    return _Match(record, found.signature, job)


class Reading:
    """One run of the read. ``records`` are those after ``since`` if somebody has just read them.

    Afterwards ``stale`` has the ids that no record tells the truth of, ``taken`` those that were
    delivered, and ``bad`` those that are no jobs, with the reason.
    """

    def __init__(
        self,
        log: Log,
        dir_fd: int,
        index: Index,
        since: int,
        settle: Callable[[set[str]], bool],
        records: list[Record] | None = None,
    ) -> None:
        self._log = log
        self._dir_fd = dir_fd
        self._index = index
        self._since = since
        self._settle = settle
        self._records = records
        self._position = log.after(since)
        self._last: Record | None = None
        self._window: dict[str, list[Record]] = {}
        self._matched: dict[str, _Match] = {}
        self._pending: set[str] = set()
        self.stale: set[str] = set()
        self.taken: set[str] = set()
        self.bad: dict[str, str] = {}
        self.loose: set[str] = set()

    def run(self) -> Delta:
        """The delta. It is empty, and moves nowhere, if all that changed is still in flight."""
        settled = False
        more = True
        for _ in range(_MAX_ROUNDS):
            if self._read_tail():
                self._match_pending()
                continue
            if not self._pending:
                more = False
                break
            if settled:
                more = False
                break
            settled = True
            self._settle(set(self._pending))
            if self._log.count() <= self._position:
                self._match_pending()  # the write in flight may have landed meanwhile
        return self._delta(self._cut(moving=more), more)

    def _read_tail(self) -> bool:
        records, self._records = self._records, None
        if records is None:
            records = self._log.read(self._position)
        self._position += len(records)
        for record in records:
            self._window.setdefault(record.id, []).append(record)
            self._pending.add(record.id)
            self._last = record
        return bool(records)

    def _match_pending(self) -> None:
        """Look at each file again; an id is done when the bytes are its newest record's."""
        for id in list(self._pending):
            records = self._window[id]
            found = read_file(self._dir_fd, id + ".json")
            record = self._record_of(found, records)
            if record is None:
                continue
            known = self._matched.get(id)
            if known is None or known.record is not record:
                self._matched[id] = _matched(record, found)
            if record is records[-1]:
                self._pending.discard(id)

    @staticmethod
    def _record_of(found: Found | None, records: list[Record]) -> Record | None:
        """The newest record that tells the truth of what was found."""
        digest = digest_of(found.data) if found is not None else None
        for record in reversed(records):
            if found is None and record.verb == DEL:
                return record
            if record.verb != DEL and record.digest == digest:
                return record
        return None

    def _cut(self, *, moving: bool) -> int:
        """The newest revision up to which all is known; sorts the pending into stale and in flight.

        While the log is still ``moving`` nobody can tell these apart, and all count as in flight.

        What is delivered must be the state *at* the cut: an id that was matched after it, but has
        a record before it, would be missing there, so the cut moves before that record.
        """
        cut = max(self._since, self._last.revision if self._last else 0, self._log.base)
        for id in self._pending:
            records = self._window[id]
            if not moving and records[-1] is not self._last:
                self.stale.add(id)
                continue
            matched = self._matched.get(id)
            done = matched.record.revision if matched else 0
            cut = min(cut, next(item.revision for item in records if item.revision > done) - 1)
        moved = True
        while moved:
            moved = False
            for id, match in self._matched.items():
                if match.record.revision > cut and self._window[id][0].revision <= cut:
                    cut = self._window[id][0].revision - 1
                    moved = True
        return max(cut, self._since)

    def _delta(self, cut: int, more: bool) -> Delta:
        jobs: list[Job] = []
        gone: list[Gone] = []
        for id, match in self._matched.items():
            if match.record.revision > cut:
                continue
            self.taken.add(id)
            if match.signature is None:
                self._index.signatures.pop(id, None)
            else:
                self._index.signatures[id] = match.signature
            if match.problem is not None:
                self.bad[id] = match.problem
            if match.job is None:
                gone.append(Gone(id, match.record.revision))
            else:
                jobs.append(match.job)
        jobs.sort(key=lambda job: job.revision)
        gone.sort(key=lambda item: item.revision)
        merged = None
        if self._since >= self._log.base:
            # What a foreign writer did before it was seen, nobody can say.
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

    def with_loose_files(self, delta: Delta, ids: set[str]) -> Delta:
        """For a full load: also what lies there without a true record, as it stands.

        It carries the revision of the load, so that the record it gets one day is newer.
        """
        have = {job.id for job in delta.jobs}
        jobs: list[Job] = []
        for id in ids - have:
            found = read_file(self._dir_fd, id + ".json")
            if found is None:
                continue
            try:
                if found.problem is not None:
                    raise InvalidJob(found.problem, id=id)
                jobs.append(parse(found.data, id=id, revision=delta.through))
            except InvalidJob as error:
                self.bad[id] = error.reason
        if not jobs:
            return delta
        self.loose = loose = {job.id for job in jobs}
        return replace(
            delta,
            jobs=(*delta.jobs, *sorted(jobs, key=lambda job: job.updated_at)),
            gone=tuple(item for item in delta.gone if item.id not in loose),
        )
