"""The change log: the order of a directory store's changes, in fixed-width lines of text.

Line 0 is the header: epoch, floor, base, kept, the log's own inode. Each further line is a record:
revision, id, verb, digest. Every line has 128 bytes and ends in a check sum, so a torn one is known
from a whole one, and the record after a revision is found by bisection.

``floor`` is the newest dropped tombstone. ``base`` is the revision of the last compaction: up to
there superseded records are missing. ``kept`` is how many records it left.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from typing import NamedTuple
from zlib import crc32

__all__ = ["DEL", "LINE", "PUT", "SEEN", "Damaged", "Log", "Record", "digest_of", "write_all"]

LINE = 128
PUT = "put"  # jobctl published these bytes
SEEN = "seen"  # these bytes were found: a foreign writer's, or an old version after a crash
DEL = "del"  # the job was deleted

_MAGIC = "jobctl1"
_CHUNK = 8192  # records a read


class Damaged(Exception):
    """The log is no log, or a line in its middle is not whole."""


class Record(NamedTuple):
    """One change: ``digest`` is that of the file's bytes, zeros for a deletion."""

    revision: int
    id: str
    verb: str
    digest: str


def digest_of(data: bytes) -> str:
    """32 hex digits that stand for the bytes of a job file."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def write_all(fd: int, data: bytes) -> None:
    """Write every byte: a full file system may take a part without an error (FAULTS 0.3)."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _sealed(text: str) -> bytes:
    body = text.ljust(LINE - 9).encode("ascii")
    return b"%s %07x\n" % (body, crc32(body) & 0xFFFFFFF)


def _opened(line: bytes) -> list[str] | None:
    """The words of a line, or ``None`` when it is not whole."""
    body = line[: LINE - 9]
    if line[LINE - 9 :] != b" %07x\n" % (crc32(body) & 0xFFFFFFF):
        return None
    return body.decode("ascii").split()


def _record(line: bytes) -> Record | None:
    words = _opened(line)
    if words is None or len(words) != 4:
        return None
    return Record(int(words[0]), words[1], words[2], words[3])


class Log:
    """One open ``changes`` file. Reading needs no lock; `append` and `repair` need the writer's.

    Threads may share one: every access names its position. The descriptor is closed with the last
    reference, so that a reader is never left with another file's number.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        stat = os.fstat(fd)
        self.key = (stat.st_dev, stat.st_ino)
        words = _opened(os.pread(fd, LINE, 0))
        if words is None or len(words) != 6 or words[0] != _MAGIC:
            raise Damaged("the header is not whole")
        self.epoch = words[1]
        self.floor, self.base, self.kept, self.inode = (int(word) for word in words[2:])
        self._known = (0, 0)  # a position, and the revision of the record before it

    def __del__(self) -> None:
        os.close(self.fd)

    def count(self) -> int:
        """How many records there are, the last one perhaps not whole."""
        return os.fstat(self.fd).st_size // LINE - 1

    def read(self, start: int, stop: int | None = None) -> list[Record]:
        """The whole records from position ``start`` on; `Damaged` for a hole in the middle."""
        records: list[Record] = []
        while stop is None or start < stop:
            want = _CHUNK if stop is None else min(_CHUNK, stop - start)
            data = os.pread(self.fd, want * LINE, (start + 1) * LINE)
            lines = len(data) // LINE
            for offset in range(0, lines * LINE, LINE):
                record = _record(data[offset : offset + LINE])
                if record is None:
                    self._expect_tail(start + offset // LINE)
                    return records
                records.append(record)
            start += lines
            if lines < want:
                break
        if records:
            self._known = (start, records[-1].revision)
        return records

    def after(self, revision: int) -> int:
        """The position of the first record with a greater revision."""
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
        """The newest revision taken, as a reader sees it; a writer asks `repair`."""
        position = self.count() - 1
        while position >= 0:
            record = self._at(position)
            if record is not None:
                return max(record.revision, self.base)
            position -= 1
        return max(self.floor, self.base)

    def newest(self, id: str, digest: str | None = None) -> Record | None:
        """The newest record of one id, or of its bytes with this digest, from the end."""
        word = b" %s " % id.encode("ascii")
        stop = self.count()
        while stop > 0:
            start = max(0, stop - _CHUNK)
            data = os.pread(self.fd, (stop - start) * LINE, (start + 1) * LINE)
            found = len(data)
            while (found := data.rfind(word, 0, found)) >= 0:
                offset = found - found % LINE
                record = _record(data[offset : offset + LINE])
                if record is not None and record.id == id and digest in (None, record.digest):
                    return record
            stop = start
        return None

    def _at(self, position: int) -> Record | None:
        return _record(os.pread(self.fd, LINE, (position + 1) * LINE))

    def _expect_tail(self, position: int) -> None:
        """Only the very last lines may be torn: anything whole after them means damage.

        Unless a writer has cut off the torn line and gone on since we read it: then it is whole by
        the time that one after it is.
        """
        later = range(position + 1, min(self.count(), position + 9))
        if any(self._at(line) is not None for line in later) and self._at(position) is None:
            raise Damaged(f"line {position + 1} is not whole")

    # -- under the writer's lock ------------------------------------------------------------

    def repair(self) -> int:
        """Cut off what a crash or a full disk left of a last line; returns the newest revision."""
        size = os.fstat(self.fd).st_size
        whole = size - size % LINE
        last = None
        while whole > LINE:
            last = _record(os.pread(self.fd, LINE, whole - LINE))
            if last is not None:
                break
            whole -= LINE
        if whole != size:
            os.ftruncate(self.fd, whole)
        return max(last.revision if last else self.floor, self.base)

    def append(self, record: Record) -> None:
        """Take the record's revision. On an error nothing of the line stays."""
        line = _sealed(
            f"{record.revision:016d} {record.id:<64} {record.verb:<4} {record.digest:<32}"
        )
        written = os.write(self.fd, line)
        if written != LINE:
            try:
                write_all(self.fd, line[written:])
            except OSError:
                self.repair()
                raise

    @staticmethod
    def create(
        name: str, *, dir_fd: int, epoch: str, floor: int, base: int, records: Iterable[Record]
    ) -> None:
        """Write a log under ``name``, synced: rename it to put it in force."""
        fd = os.open(
            name,
            os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC,
            0o600,
            dir_fd=dir_fd,
        )
        try:
            lines = [
                _sealed(f"{item.revision:016d} {item.id:<64} {item.verb:<4} {item.digest:<32}")
                for item in records
            ]
            inode = os.fstat(fd).st_ino
            header = f"{_MAGIC} {epoch} {floor:016d} {base:016d} {len(lines):010d} {inode:020d}"
            write_all(fd, _sealed(header) + b"".join(lines))
            os.fsync(fd)
        finally:
            os.close(fd)
