"""The change log: the order of a directory store's changes, in fixed-width lines of text.

Line 0 is the header: epoch, floor, base, kept, and the log's own inode. Every other line is a
record: revision, id, verb, digest. Every line has 128 bytes and ends with a checksum. So a torn
line is detected, and the record after a revision is found by binary search.

``floor`` is the newest tombstone that was dropped. ``base`` is the revision of the last compaction:
superseded records up to there are missing. ``kept`` is how many records the compaction left.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from struct import iter_unpack
from sys import intern
from zlib import crc32

from jobctl._stdlib import blake2b

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple
else:
    from jobctl._stdlib import NamedTuple

__all__ = [
    "DEL",
    "LINE",
    "NO_DIGEST",
    "PUT",
    "SEEN",
    "Damaged",
    "Log",
    "Record",
    "digest_of",
    "write_all",
]

LINE = 128
PUT = "put"  # jobctl published these bytes
SEEN = "seen"  # these bytes were found: written by another program, or left by a crash
DEL = "del"  # the job was deleted
NO_DIGEST = "0" * 32  # of a deletion without a request

_MAGIC = "jobctl1"
_CHUNK = 8192  # records a read
_COMPACT_FROM = 4096  # superseded records worth a rewrite of the log
_ID = slice(16, 82)  # the id in a record's line, with the spaces around it
_PLACE = "16sx64s47x"  # revision and id in a record's line, for struct
_PADDED_ID = "17x64s47x"  # the id in a record's line, for struct
_IS_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}\Z").match
_HEADER = re.compile(rf"{_MAGIC} ([!-~]+) ([0-9]+) ([0-9]+) ([0-9]+) ([0-9]+) ")


class Damaged(Exception):
    """Raised if the file is not a change log, or if a line in its middle is damaged."""


class Record(NamedTuple):
    """One change. ``digest`` is that of the file's bytes.

    For a deletion it is that of the request that asked for it (`Store.removed_by`), or zeros.
    """

    revision: int
    id: str
    verb: str
    digest: str


def digest_of(data: bytes) -> str:
    """Return the digest of a job file's bytes: 32 hex digits."""
    return blake2b(data, digest_size=16).hexdigest()


def write_all(fd: int, data: bytes) -> None:
    """Write all bytes. A full file system may accept a part without an error (FAULTS 0.3)."""
    written = os.write(fd, data)
    while written < len(data):
        written += os.write(fd, data[written:])


def _with_checksum(text: str) -> bytes:
    body = text.ljust(LINE - 9).encode("ascii")
    return b"%s %07x\n" % (body, crc32(body) & 0xFFFFFFF)


def _is_whole(line: bytes) -> bool:
    return line[LINE - 9 :] == b" %07x\n" % (crc32(line[: LINE - 9]) & 0xFFFFFFF)


def _record(line: bytes) -> Record:
    """Return the record in a line whose checksum is right; raise `Damaged` if it has none.

    A checksum is no proof that jobctl wrote the line: the log may be another user's. The id becomes
    a file's name, so it must be one that a job can have.
    """
    try:
        revision, id, verb, digest, _ = line.decode("ascii").split()
    except ValueError as error:
        raise Damaged("a line is no record") from error
    if not revision.isdigit() or not _IS_ID(id):
        raise Damaged("a line is no record")
    return tuple.__new__(Record, (int(revision), id, intern(verb), digest))


def _record_if_whole(line: bytes) -> Record | None:
    """Return the record in a line, or ``None`` if it is damaged."""
    try:
        return _record(line) if _is_whole(line) else None
    except Damaged:
        return None


class Log:
    """One open ``changes`` file. Reading needs no lock.

    `append` and `repair` need the writer's lock. Threads may share it: every read and write names
    its position. The descriptor is closed with the last reference, so a reader never uses a number
    that belongs to another file by now.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.read_only = False
        stat = os.fstat(fd)
        self.key = (stat.st_dev, stat.st_ino)
        line = os.pread(fd, LINE, 0)
        match = _HEADER.match(line.decode("latin-1")) if _is_whole(line) else None
        if match is None:
            raise Damaged("the header is not whole")
        self.epoch = match[1]
        self.floor, self.base, self.kept, self.inode = map(int, match.groups()[1:])
        self._known = (0, 0)  # a position, and the revision of the record before it
        self._whole = (
            -1,
            0,
        )  # a size at which all lines were complete, and the newest revision then

    def __del__(self) -> None:
        os.close(self.fd)

    def count(self) -> int:
        """Return the number of records; the last one may be torn."""
        return os.fstat(self.fd).st_size // LINE - 1

    def read(self, start: int, stop: int | None = None) -> list[Record]:
        """Return the undamaged records from position ``start`` on.

        Raise `Damaged` for a hole in the middle, and for a line that is no record.
        """
        records = [_record(line) for line in self._lines(start, stop)]
        if records:
            self._known = (start + len(records), records[-1].revision)
        return records

    def places(self, start: int, stop: int) -> list[tuple[int, str]]:
        """Return revision and id of records that `read` has returned before.

        At a fifth of the cost: the lines are not checked again.
        """
        data = os.pread(self.fd, (stop - start) * LINE, (start + 1) * LINE)
        whole = len(data) - len(data) % LINE
        fields = iter_unpack(_PLACE, data[:whole])
        return [(int(revision), id.rstrip().decode("ascii")) for revision, id in fields]

    def newest_of_all(self) -> list[Record]:
        """Return the newest record of each id; raise `Damaged` as `read` does."""
        newest = {line[_ID]: line for line in self._lines(0, None)}
        return [_record(line) for line in newest.values()]

    def mentioned(self) -> set[bytes]:
        """Return the ids in all lines, padded to 64 bytes; of damaged lines, what stands there.

        It costs a tenth of `newest_of_all`. Whether there is such a job, its file tells.
        """
        found: set[bytes] = set()
        start = 1
        while data := os.pread(self.fd, _CHUNK * LINE, start * LINE):
            whole = len(data) - len(data) % LINE
            found.update(id for (id,) in iter_unpack(_PADDED_ID, data[:whole]))
            start += _CHUNK
        return found

    def _lines(self, start: int, stop: int | None) -> Iterator[bytes]:
        """Yield the undamaged lines from position ``start`` on."""
        while stop is None or start < stop:
            want = _CHUNK if stop is None else min(_CHUNK, stop - start)
            data = os.pread(self.fd, want * LINE, (start + 1) * LINE)
            lines = len(data) // LINE
            for offset in range(0, lines * LINE, LINE):
                line = data[offset : offset + LINE]
                if not _is_whole(line):
                    self._expect_tail(start + offset // LINE)
                    return
                yield line
            start += lines
            if lines < want:
                return

    def after(self, revision: int) -> int:
        """Return the position of the first record with a greater revision."""
        position, known = self._known
        if known == revision:
            return position
        low, high = 0, self.count()
        while low < high:
            middle = (low + high) // 2
            record = self._at(middle)
            if record is not None and record.revision <= revision:
                low = middle + 1
            else:
                high = middle
        return low

    def head(self) -> int:
        """Return the newest revision, as a reader sees it. A writer uses `repair`."""
        position = self.count() - 1
        while position >= 0:
            record = self._at(position)
            if record is not None:
                return max(record.revision, self.base)
            position -= 1
        return max(self.floor, self.base)

    def newest(
        self, id: str, digest: str | None = None, *, stop: int | None = None
    ) -> Record | None:
        """Return the newest record of an id, or the newest one with this digest.

        With ``stop`` only records before that position count.
        """
        word = b" %s " % id.encode("ascii")
        if stop is None:
            stop = self.count()
        while stop > 0:
            start = max(0, stop - _CHUNK)
            data = os.pread(self.fd, (stop - start) * LINE, (start + 1) * LINE)
            found = len(data)
            while (found := data.rfind(word, 0, found)) >= 0:
                offset = found - found % LINE
                line = data[offset : offset + LINE]
                record = _record_if_whole(line)
                if record is not None and record.id == id and digest in (None, record.digest):
                    return record
            stop = start
        return None

    def _at(self, position: int) -> Record | None:
        return _record_if_whole(os.pread(self.fd, LINE, (position + 1) * LINE))

    def _expect_tail(self, position: int) -> None:
        """Raise `Damaged` unless the torn line at ``position`` is at the end of the log.

        A writer may have cut the torn line off and appended others since we read it. Then this line
        is complete by the time that a later one is.
        """
        later = range(position + 1, min(self.count(), position + 9))
        if any(self._at(line) is not None for line in later) and self._at(position) is None:
            raise Damaged(f"line {position + 1} is not whole")

    # -- under the writer's lock ------------------------------------------------------------

    def repair(self) -> int:
        """Cut off a torn last line, left by a crash or a full disk; return the newest revision."""
        size = os.fstat(self.fd).st_size
        if size == self._whole[0]:
            return self._whole[1]  # complete lines are never cut off, so nothing has changed
        whole = size - size % LINE
        last = None
        while whole > LINE:
            last = self._at(whole // LINE - 2)
            if last is not None:
                break
            whole -= LINE
        if whole != size:
            os.ftruncate(self.fd, whole)
        self._whole = (whole, max(last.revision if last else self.floor, self.base))
        return self._whole[1]

    def append(self, record: Record) -> None:
        """Append a record, directly after `repair`. After an error nothing of it stays."""
        line = _with_checksum(
            f"{record.revision:016d} {record.id:<64} {record.verb:<4} {record.digest:<32}"
        )
        size, _ = self._whole
        self._whole = (-1, 0)
        written = os.write(self.fd, line)
        if written != LINE:
            try:
                write_all(self.fd, line[written:])
            except OSError:
                self.repair()
                raise
        self._whole = (size + LINE, record.revision)

    def is_compaction_due(self) -> bool:
        """Whether enough records were added since the last compaction, as the writer knows it."""
        return self._whole[0] // LINE - 1 - self.kept > self.kept + _COMPACT_FROM

    @staticmethod
    def create(
        name: str,
        *,
        dir_fd: int,
        epoch: str,
        floor: int,
        base: int,
        records: Iterable[Record],
        sync: bool,
    ) -> None:
        """Write a log under ``name``; ``sync`` makes it survive a power failure.

        Rename it afterwards to make it the current one.
        """
        fd = os.open(
            name,
            os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC,
            0o600,
            dir_fd=dir_fd,
        )
        try:
            lines = [
                _with_checksum(
                    f"{item.revision:016d} {item.id:<64} {item.verb:<4} {item.digest:<32}"
                )
                for item in records
            ]
            os.fchmod(fd, 0o600)
            inode = os.fstat(fd).st_ino
            header = f"{_MAGIC} {epoch} {floor:016d} {base:016d} {len(lines):010d} {inode:020d}"
            write_all(fd, _with_checksum(header) + b"".join(lines))
            if sync:
                os.fsync(fd)
        finally:
            os.close(fd)
