"""What one process knows of a directory: each id's newest record, and which file it was seen in.

`Index.reconcile` is the one rule for crashed writes, half-done deletions, foreign edits, foreign
deletions and two hubs adopting at once: under the writer's lock, a name whose bytes are not what
its newest record says gets a new record for what is there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping

from jobctl.codec import parse
from jobctl.errors import InvalidId, InvalidJob
from jobctl.job import check_id
from jobctl.stores.changelog import DEL, SEEN, Log, Record, digest_of
from jobctl.stores.files import Found, Signature, names_in, read_file, sign

__all__ = ["TORN_GRACE_S", "Index", "problem_of"]

TORN_GRACE_S = 1.0
"""So long a foreign file that does not parse keeps its last good value: it may be half written."""

_NO_DIGEST = "0" * 32


def problem_of(id: str, found: Found) -> str | None:
    """Why what was found under the id is no job; ``None`` when it is one."""
    if found.problem is not None:
        return found.problem
    try:
        parse(found.data, id=id)
    except InvalidJob as error:
        return error.reason
    return None


class Index:
    """The newest record of each id in one log, read up to ``position``."""

    def __init__(self) -> None:
        self.log: Log | None = None
        self.position = 0
        self.newest: dict[str, Record] = {}
        self.signatures: dict[str, Signature] = {}
        self.loose: set[str] = set()  # delivered without a record: their end needs one all the same
        self._torn_since: dict[str, tuple[Signature, float]] = {}

    def follow(self, log: Log) -> list[Record]:
        """Read on to the end of the log, from its start if it is a new one; what was read."""
        if self.log is not log:
            if self.log is None or self.log.epoch != log.epoch:
                self.signatures.clear()
            self.log, self.position = log, 0
            self.newest.clear()
        records = log.read(self.position)
        self.position += len(records)
        self.newest.update((record.id, record) for record in records)
        return records

    def suspects(
        self, dir_fd: int, newest: Mapping[str, Record]
    ) -> tuple[set[str], dict[str, str]]:
        """The ids worth a look: names without a record, other signatures, records without a name.

        Also the names that can be no job's, with the reason. Costs a ``stat`` for each file; the
        answer is a guess, which `reconcile` checks. ``newest`` is our own or a copy of it: with a
        copy this may run beside readers.
        """
        ids: set[str] = set()
        odd: dict[str, str] = {}
        names = set(names_in(dir_fd))
        for id in names:
            try:
                check_id(id)
            except InvalidId:
                odd[id + ".json"] = "its name is not a job id"
                continue
            record = newest.get(id)
            signature = self.signatures.get(id)
            if record is None or record.verb == DEL or signature is None:
                ids.add(id)
                continue
            try:
                stat = os.stat(id + ".json", dir_fd=dir_fd, follow_symlinks=False)
            except OSError:
                ids.add(id)
                continue
            if sign(stat) != signature:
                ids.add(id)
        ids.update(id for id, record in newest.items() if record.verb != DEL and id not in names)
        return ids, odd

    def reconcile(self, ids: Iterable[str], log: Log, dir_fd: int) -> set[str]:
        """Append what the log lacks about these ids; the lock must be held, the log repaired.

        Returns the ids that are not settled: files that may be half written.
        """
        self.follow(log)
        revision = log.repair()
        unsettled: set[str] = set()
        for id in sorted(ids):
            found = read_file(dir_fd, id + ".json")
            newest = self.newest.get(id)
            if found is None:
                self.signatures.pop(id, None)
                self._torn_since.pop(id, None)
                if (newest is None or newest.verb == DEL) and id not in self.loose:
                    continue
                record = Record(revision + 1, id, DEL, _NO_DIGEST)
            else:
                digest = digest_of(found.data)
                if newest is not None and newest.verb != DEL and newest.digest == digest:
                    self.signatures[id] = found.signature
                    self._torn_since.pop(id, None)
                    continue
                if problem_of(id, found) is not None and self._may_be_half_written(id, found):
                    unsettled.add(id)
                    continue
                record = Record(revision + 1, id, SEEN, digest)
                self.signatures[id] = found.signature
                self._torn_since.pop(id, None)
            log.append(record)
            self.loose.discard(id)
            revision += 1
        self.follow(log)
        return unsettled

    def _may_be_half_written(self, id: str, found: Found) -> bool:
        """Whether the file became what it is within the grace, by our look or by its own time."""
        now = time.monotonic()
        known = self._torn_since.get(id)
        if known is None or (known[0] != found.signature and self._recent(found)):
            # Give the writer a second from its last write, but never more than one from our first
            # look: a file that is written to for ever is still reported.
            self._torn_since[id] = known = (found.signature, known[1] if known else now)
        if not self._recent(found) and known[1] == now:
            return False
        return now - known[1] < TORN_GRACE_S

    @staticmethod
    def _recent(found: Found) -> bool:
        return abs(time.time_ns() - found.signature[1]) < TORN_GRACE_S * 1e9
