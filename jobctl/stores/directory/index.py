"""What one process knows of a directory: the newest record of each id, and the file's signature.

`Index.reconcile` is the one rule for crashed writes, half-done deletions, changes and deletions by
other programs, and two hubs that adopt at once. Under the writer's lock, a name whose bytes do not
match its newest record gets a new record for what is there.
"""

from __future__ import annotations

import os
import struct
import threading
import time
from collections import deque
from collections.abc import Mapping

from jobctl.core.job import Job
from jobctl.errors import InvalidJob
from jobctl.stores.directory.changelog import DEL, NO_DIGEST, PUT, SEEN, Log, Record, digest_of
from jobctl.stores.directory.files import (
    FoundFile,
    is_id,
    job_names,
    read_file,
    signature_of,
)
from jobctl.stores.directory.parsing import JobParser, guess_in

__all__ = ["TORN_GRACE_S", "Index", "Look", "is_old", "packed"]

TORN_GRACE_S = 1.0
"""For this long a file that is missing or is no job keeps its last good value.

Its writer may be between two steps: truncating and writing it, or removing and creating it. How
long ago it was modified says nothing: a truncated file was seen with its old modification time.
"""

packed = struct.Struct("=QqqQ").pack
"""Return a `Signature`, given as four arguments, as bytes: a tuple takes three times the memory."""


class Look:
    """One look at the file of an id: what was there, or ``None``.

    ``after`` is the newest revision that the log was known to have before the look. The write of an
    older record was over by then, because a later record existed. The write of that record itself
    may have been in flight.
    """

    __slots__ = ("_parsed", "_parser", "after", "digest", "found", "id")

    def __init__(self, id: str, found: FoundFile | None, parser: JobParser, after: int = 0) -> None:
        self.id = id
        self._parser = parser
        self.found = found
        self.after = after
        self.digest = digest_of(found.data) if found is not None else None
        self._parsed: Job | InvalidJob | None = None

    def shows(self, record: Record) -> bool:
        """Whether the file matches the record."""
        if self.found is None:
            return record.verb == DEL
        return record.digest == self.digest and record.verb != DEL

    def is_current(self, dir_fd: int) -> bool:
        """Whether the file is still the same; costs a ``stat``."""
        try:
            stat = os.stat(self.id + ".json", dir_fd=dir_fd, follow_symlinks=False)
        except FileNotFoundError:
            return self.found is None
        except OSError:
            return False
        return self.found is not None and signature_of(stat) == self.found.signature

    def job(self, revision: int) -> Job:
        """Return the job in the file, at a revision; `InvalidJob` if it is not one."""
        parsed = self._parse()
        if isinstance(parsed, InvalidJob):
            raise parsed
        return parsed.replace(revision=revision)

    @property
    def problem(self) -> str | None:
        """Return why the file is not a job, or ``None``."""
        parsed = self._parse()
        return parsed.reason if isinstance(parsed, InvalidJob) else None

    def record_guess(self, meta_fd: int) -> None:
        """Record what we guess about an odd file that gets a new record in the change log."""
        if self.found is None or self.digest is None:
            return
        job = self._parse()
        if not isinstance(job, InvalidJob) and guess_in(job) is not None:
            self._parser.record(self.id, self.found, self.digest, meta_fd)
            self._parsed = None  # the guess of an older record of the same content counts no more

    def _parse(self) -> Job | InvalidJob:
        """Parse the file once."""
        assert self.found is not None, "ask only where there is a file"
        if self._parsed is None:
            try:
                self._parsed = self._parser.parse(self.id, self.found)
            except InvalidJob as error:
                self._parsed = error
        return self._parsed


class Index:
    """The newest record of each id in one log, read up to ``position`` and revision ``head``.

    Hold ``guard`` while you use it: threads share the index. Whoever writes takes the write lock
    first, then the guard.
    """

    def __init__(self, parser: JobParser) -> None:
        self.parser = parser
        self.guard = threading.RLock()
        self.clear()

    def renew_guard(self) -> None:
        """Replace the guard in a forked child, where no thread holds it any more."""
        self.guard = threading.RLock()

    def clear(self) -> None:
        """Forget everything."""
        self.log: Log | None = None
        self.position = self.head = 0
        self.newest: dict[str, Record] = {}
        self.signatures: dict[str, bytes] = {}  # `packed`
        self.loose: set[str] = set()  # delivered without a record: their end needs one all the same
        self._lacking_since: dict[str, float] = {}  # monotonic: missing, or no job

    def follow(self, log: Log) -> list[Record]:
        """Read the log to its end, from the start if it is a new log; return the records read."""
        if self.log is not log:
            if self.log is None or self.log.epoch != log.epoch:
                self.signatures.clear()
            self.log, self.position, self.head = log, 0, 0
            self.newest.clear()
        records = log.read(self.position)
        self.position += len(records)
        if records:
            self.head = records[-1].revision
        self.newest.update((record.id, record) for record in records)
        return records

    def remember(self, look: Look, verb: str) -> None:
        """Keep the file's signature, by which `suspects` detects changes.

        Not for a racy file of another program: the next scan reads it again.
        """
        if look.found is None or (verb == SEEN and look.found.racy):
            self.signatures.pop(look.id, None)
        else:
            self.signatures[look.id] = packed(*look.found.signature)

    @staticmethod
    def names(dir_fd: int) -> tuple[set[str], dict[str, str]]:
        """Return the ids of the files in the directory, and the names that cannot be a job's."""
        ids: set[str] = set()
        odd: dict[str, str] = {}
        for id in job_names(dir_fd):
            if is_id(id):
                ids.add(id)
            else:
                odd[id + ".json"] = "its name is not a job id"
        return ids, odd

    def suspects(
        self, dir_fd: int, newest: Mapping[str, Record]
    ) -> tuple[set[str], dict[str, str]]:
        """Return the ids to check: new names, changed signatures, and records without a file.

        The second result has the names that cannot be a job's, with the reason. This costs one
        ``stat`` per file. The result is a guess that `reconcile` verifies. ``newest`` is our own
        table or a copy of it; with a copy, readers may run at the same time.
        """
        ids: set[str] = set()
        names, odd = self.names(dir_fd)
        for id in names:
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
            if packed(*signature_of(stat)) != signature:
                ids.add(id)
        ids.update(id for id, record in newest.items() if record.verb != DEL and id not in names)
        return ids, odd

    def reconcile(
        self,
        ids: deque[str],
        looks: Mapping[str, Look | None],
        log: Log,
        dir_fd: int,
        meta_fd: int,
        *,
        hold_s: float,
    ) -> dict[str, Look]:
        """Append the records that the log lacks for these ids.

        The lock must be held, the log repaired. ``looks`` are earlier looks; one counts if the file
        is still the same, otherwise the file is read again. Removes ids from the left of ``ids``
        until all are done or ``hold_s`` seconds are over. Returns a current look at each id that is
        settled; a missing id has a file that may be a job again in a moment.
        """
        end = time.monotonic() + hold_s
        self.follow(log)
        revision = log.repair()
        settled: dict[str, Look] = {}
        while ids:
            id = ids.popleft()
            look = looks.get(id)
            if look is None or not look.is_current(dir_fd):
                look = Look(id, read_file(dir_fd, id + ".json"), self.parser)
            record = self._newest_of(look, revision + 1)
            if record is not None and record.revision > revision:
                if self._is_in_grace(look):
                    continue
                look.record_guess(meta_fd)
                log.append(record)
                revision = record.revision
                self.loose.discard(id)
            self._lacking_since.pop(id, None)
            self.remember(look, record.verb if record is not None else DEL)
            settled[id] = look
            if time.monotonic() >= end:
                break
        self.follow(log)
        for look in settled.values():
            look.after = revision
        return settled

    def _newest_of(self, look: Look, revision: int) -> Record | None:
        """Return the newest record if it matches the file, else a new one with this revision.

        ``None`` for an unknown id.
        """
        newest = self.newest.get(look.id)
        if look.digest is not None:
            if newest is not None and look.shows(newest):
                return newest
            return Record(revision, look.id, SEEN, look.digest)
        if look.id not in self.loose and (newest is None or newest.verb == DEL):
            return newest
        return Record(revision, look.id, DEL, NO_DIGEST)

    def note_lacking(self, id: str, since_s: float) -> None:
        """Record that the file has been missing, or no job, since then (monotonic)."""
        self._lacking_since.setdefault(id, since_s)

    def _is_in_grace(self, look: Look) -> bool:
        """Whether a file that is missing or is no job may be one again within the grace period."""
        found = look.found
        if found is not None and look.problem is None:
            return False
        now = time.monotonic()
        known = self._lacking_since.get(look.id)
        if known is None:
            newest = self.newest.get(look.id)
            had_job = newest is not None and newest.verb != DEL
            if found is None and newest is not None and newest.verb == PUT:
                # A missing file that we have never seen, with a record of jobctl's, is a write that
                # burned in a crash: nobody waits for that.
                had_job = look.id in self.signatures
            had_job = had_job or look.id in self.loose
            if not had_job and (found is None or not self._recent(found)):
                return False
            # The period ends one second after our first look, so that a file that is written to all
            # the time is reported too.
            self._lacking_since[look.id] = known = now
        return now - known < TORN_GRACE_S

    @staticmethod
    def _recent(found: FoundFile) -> bool:
        return abs(time.time_ns() - found.signature[1]) < TORN_GRACE_S * 1e9


def is_old(found: FoundFile, before: FoundFile | None) -> bool:
    """Whether a file has been the same for long: by its times, and at a look before this one.

    The kernel may show a truncated file with its old times, but only for an instant.
    """
    same = before is not None and before.signature == found.signature
    return same and time.time_ns() - found.signature[1] > TORN_GRACE_S * 1e9
