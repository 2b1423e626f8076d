"""The output of jobs in a directory store: ``.jobctl/logs/<id>/``, in append-only segments.

A segment is a file of at most 64 KiB, named by the position of its first byte in the whole log, as
Kafka names the segments of its logs. The first segment is kept, and the newest of the others, 1 MiB
in all: when a new segment begins, the oldest one between them is removed. So a cut is a gap between
two segments, and nothing is ever rewritten. The form of the lines is in core/log.py.

The log's first line names the job's ``createdAt``, so that a job that another program created anew
under an old id does not get the old job's log.

A log is not worth an error: without space or permission, output is lost and the work goes on.
Nothing is synced to the disk.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat as stats
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from jobctl.core.job import Job, check_id
from jobctl.core.log import (
    LogLine,
    LogPart,
    attempt_line,
    decode_lines,
    encode_line,
    encode_lines,
    is_of_job,
    lost_line,
)
from jobctl.errors import JobctlError, StoreError
from jobctl.stores.contract import LOG_READ_BYTES, LogInfo
from jobctl.stores.directory.changelog import write_all
from jobctl.stores.directory.files import exists, is_id
from jobctl.stores.directory.place import Place

__all__ = [
    "MAX_SEGMENTS",
    "SEGMENT_BYTES",
    "DirectoryLogWriter",
    "DirectoryLogs",
    "clear_middle",
    "remove_in",
    "segments_of",
    "size_of_segment",
]

SEGMENT_BYTES = 64 * 1024
MAX_SEGMENTS = 16
_DIRECTORY = "logs"
_SEGMENT = re.compile(r"([0-9]{16})\.log\Z", re.ASCII)
_OPEN_DIR = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_APPEND = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_RETRY_S, _MAX_RETRY_S = 1.0, 30.0
_LOCK_TRIES, _LOCK_PAUSE_S = 10, 0.005
_MAX_RACES = 5
_MIN_FREE_BYTES = 1024 * 1024
"""The last free space is for the jobs themselves."""
_HEAD_BYTES = 200  # which hold the first line


class _NoLog(Exception):
    """Output cannot be kept now; the text says why."""


class DirectoryLogs:
    """The logs of one directory. ``grown`` is called after a log has got another segment."""

    def __init__(self, place: Place, grown: Callable[[int], None] | None = None) -> None:
        self._place = place
        self._grown = grown

    def writer(self, job: Job) -> DirectoryLogWriter:
        """Return a writer for the job's present attempt."""
        return DirectoryLogWriter(self._place, job, self._grown)

    def read(self, id: str, offset: int = 0, limit: int = LOG_READ_BYTES) -> LogPart | None:
        """See `HasLogs.read_log`."""
        with ExitStack() as opened:
            try:
                fd = self._open(check_id(id), opened)
                return _read(fd, offset, limit) if fd is not None else None
            except (FileNotFoundError, NotADirectoryError):
                return None

    def info(self, id: str) -> LogInfo | None:
        """See `HasLogs.log_info`."""
        with ExitStack() as opened:
            try:
                fd = self._open(check_id(id), opened)
                return _info(fd, id) if fd is not None else None
            except (FileNotFoundError, NotADirectoryError):
                return None

    def all(self) -> list[LogInfo]:
        """See `HasLogs.logs`."""
        found = []
        with ExitStack() as opened:
            fd = self._open("", opened)
            for name in sorted(os.listdir(fd)) if fd is not None else ():
                if is_id(name) and (info := self.info(name)) is not None:
                    found.append(info)
        return found

    def remove(self, id: str) -> bool:
        """See `HasLogs.remove_log`."""
        check_id(id)
        with ExitStack() as opened:
            try:
                fd = self._open("", opened)
                return fd is not None and _remove(fd, id)
            except (FileNotFoundError, NotADirectoryError):
                return False

    def remove_other(self, job: Job) -> None:
        """Remove a log of the job's id that is of an earlier job, as far as that is possible."""
        with suppress(OSError, StoreError), ExitStack() as opened:
            fd = self._open(job.id, opened)
            if fd is not None and not _is_of(fd, job.created_at):
                self.remove(job.id)

    def _open(self, id: str, opened: ExitStack) -> int | None:
        """Open the log of the id, or the directory of all logs; ``None`` if there is none."""
        meta = self._place.current().meta
        if meta is None:
            return None
        try:
            fd = os.open(_DIRECTORY, _OPEN_DIR, dir_fd=meta.fd)
            opened.callback(os.close, fd)
            if id:
                fd = os.open(id, _OPEN_DIR, dir_fd=fd)
                opened.callback(os.close, fd)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return fd


class DirectoryLogWriter:
    """Appends the output of one attempt to the job's log; see `LogWriter`.

    Several writers of one log take turns under a lock, so that each line stays whole. If it is not
    free within 50 ms, the write is done without it.
    """

    def __init__(self, place: Place, job: Job, grown: Callable[[int], None] | None = None) -> None:
        self._place = place
        self._job = job
        self._grown = grown
        self._guard = threading.Lock()
        self._dir = self._fd = -1
        self._start = 0  # of the segment that is open
        self._end = 0  # of what was written, for a log that is removed meanwhile
        self._begun = False
        self._lost = 0
        self._retry_at_s, self._pause_s = 0.0, _RETRY_S
        self.problem: str | None = None

    def write(self, lines: Iterable[LogLine]) -> None:
        """Append the lines."""
        lines = list(lines)
        data = list(encode_lines(lines))
        with self._guard:
            if not data or not self._may_try(data):
                return
            try:
                self._append(data, lines[0].at_ms)
                self.problem, self._pause_s = None, _RETRY_S
            except (_NoLog, OSError, JobctlError) as error:
                self._lose(data, error)

    def close(self) -> None:
        """Close the files."""
        with self._guard:
            self._close()

    def _may_try(self, data: list[bytes]) -> bool:
        """Count the data as lost while a failure is recent."""
        if self.problem is None or time.monotonic() >= self._retry_at_s:
            return True
        self._lost += sum(map(len, data))
        return False

    def _lose(self, data: list[bytes], error: Exception) -> None:
        self._lost += sum(map(len, data))  # what was written is no longer in the list
        why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        self.problem = why.lower() if isinstance(error, OSError) else why
        self._retry_at_s = time.monotonic() + self._pause_s
        self._pause_s = min(self._pause_s * 2, _MAX_RETRY_S)
        self._close()

    def _append(self, data: list[bytes], at_ms: int) -> None:
        """Write the lines and remove them from the list, as far as it goes.

        ``at_ms`` is the time of the first.
        """
        for _ in range(_MAX_RACES):
            if self._fd < 0:
                self._open()
            with _locked(self._dir):
                stat = os.fstat(self._fd)
                if stat.st_nlink == 0:  # removed: by rm, by the limit, or with all of .jobctl
                    self._close()
                    if not exists(f"{self._job.id}.json", self._place.current().dir_fd):
                        raise _NoLog("the job was removed")
                    continue
                first = []
                if not self._begun:
                    job = self._job
                    first.append(attempt_line(at_ms, job.retry_count + 1, job.created_at))
                if self._lost:
                    first.append(lost_line(at_ms, self._lost, self.problem or ""))
                data[:0] = map(encode_line, first)
                self._write(data, stat.st_size)
                self._begun, self._lost = True, 0
                return
        raise _NoLog("the log is removed all the time")

    def _write(self, data: list[bytes], size: int) -> None:
        done = 0
        while done < len(data):
            if size and size + len(data[done]) > SEGMENT_BYTES:
                size = self._begin_segment(size)
                continue
            first, room = done, SEGMENT_BYTES - size
            while done < len(data) and (len(data[done]) <= room or done == first):
                room -= len(data[done])
                done += 1
            chunk = b"".join(data[first:done])
            try:
                write_all(self._fd, chunk)
            except BaseException:
                del data[:first]
                raise
            size += len(chunk)
            self._end = self._start + size
        data.clear()

    def _open(self) -> None:
        """Open the newest segment, after everything above it has been made where it is missing."""
        state = self._place.writable()
        id = self._job.id
        with ExitStack() as opened:
            above = _make_dir(_DIRECTORY, state.meta_fd)
            opened.callback(os.close, above)
            self._dir = _make_dir(id, above)
        with _locked(self._dir):
            if not _is_of(self._dir, self._job.created_at):
                if self._end:
                    raise _NoLog("the job was replaced")
                _clear(self._dir)
            segments = _segments(self._dir)
            if segments:
                self._open_segment(segments[-1])
            else:
                self._begun = False
                self._create_segment(self._end)

    def _open_segment(self, start: int) -> None:
        self._use(os.open(_name(start), _APPEND, dir_fd=self._dir), start)
        size = os.fstat(self._fd).st_size
        if size and os.pread(self._fd, 1, size - 1) != b"\n":
            write_all(self._fd, b"\n")  # somebody died, or found no space, within a line

    def _create_segment(self, start: int) -> None:
        room = os.fstatvfs(self._dir)
        if room.f_blocks and room.f_bavail * room.f_frsize < _MIN_FREE_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        try:
            fd = os.open(_name(start), _APPEND | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=self._dir)
        except FileExistsError:  # by a writer that could not wait for the lock
            self._open_segment(start)
            return
        self._use(fd, start)
        os.fchmod(fd, 0o600)  # regardless of the umask
        self._make_room()

    def _begin_segment(self, size: int) -> int:
        """Go on in the next segment, which another writer may have begun; return its size."""
        newest = _segments(self._dir)[-1:]
        if newest and newest[0] > self._start:
            self._open_segment(newest[0])
        else:
            self._create_segment(self._start + size)
        return os.fstat(self._fd).st_size

    def _make_room(self) -> None:
        """Keep the number of segments; if it has grown, the limit for all logs may be exceeded."""
        segments = _segments(self._dir)
        for start in segments[1 : max(len(segments) - MAX_SEGMENTS + 1, 1)]:
            with suppress(FileNotFoundError):
                os.unlink(_name(start), dir_fd=self._dir)
        if len(segments) <= MAX_SEGMENTS and self._grown is not None:
            with suppress(OSError, JobctlError), ExitStack() as opened:
                above = os.open("..", _OPEN_DIR, dir_fd=self._dir)
                opened.callback(os.close, above)
                self._grown(above)

    def _use(self, fd: int, start: int) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._start = fd, start
        if not stats.S_ISREG(os.fstat(fd).st_mode):
            raise _NoLog("the log is not a regular file")

    def _close(self) -> None:
        for fd in (self._fd, self._dir):
            if fd >= 0:
                with suppress(OSError):
                    os.close(fd)
        self._fd = self._dir = -1


def _make_dir(name: str, dir_fd: int) -> int:
    """Open the directory, made where it is missing, with access for its owner only."""
    with suppress(FileNotFoundError):
        return os.open(name, _OPEN_DIR, dir_fd=dir_fd)
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=dir_fd)
        os.chmod(name, 0o700, dir_fd=dir_fd)  # regardless of the umask
    return os.open(name, _OPEN_DIR, dir_fd=dir_fd)


@contextmanager
def _locked(fd: int) -> Iterator[None]:
    """Hold the lock on the log for the block, if it is or becomes free within 50 ms."""
    held = False
    for _ in range(_LOCK_TRIES):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held = True
            break
        except BlockingIOError:
            time.sleep(_LOCK_PAUSE_S)
        except OSError:
            break  # a file system without locks
    try:
        yield
    finally:
        if held:
            with suppress(OSError):
                fcntl.flock(fd, fcntl.LOCK_UN)


def _name(start: int) -> str:
    return f"{start:016d}.log"


def _segments(dir_fd: int) -> list[int]:
    """Return where the segments of the log begin, in order."""
    return sorted(int(found[1]) for name in os.listdir(dir_fd) if (found := _SEGMENT.match(name)))


def _is_of(dir_fd: int, created_at: str) -> bool:
    """Whether the log is of the job that was created then; also if that cannot be told."""
    segments = _segments(dir_fd)
    if not segments:
        return True
    try:
        data = _read_segment(dir_fd, segments[0], 0, _HEAD_BYTES)
    except OSError:
        return True
    first = next(decode_lines(data.partition(b"\n")[0]), None)
    return first is None or is_of_job(first, created_at)


def _read_segment(dir_fd: int, start: int, offset: int, limit: int) -> bytes:
    fd = os.open(_name(start), _READ, dir_fd=dir_fd)
    try:
        if not stats.S_ISREG(os.fstat(fd).st_mode):
            return b""
        return os.pread(fd, limit, offset)
    finally:
        os.close(fd)


def _read(dir_fd: int, offset: int, limit: int) -> LogPart | None:
    """Return complete lines from ``offset`` on, of the first segment that has any."""
    segments = _segments(dir_fd)
    if not segments:
        return None
    at = offset
    for place, start in enumerate(segments):
        following = segments[place + 1] if place + 1 < len(segments) else None
        if following is not None and following <= at:
            continue
        at = max(at, start)
        try:
            data = _read_segment(dir_fd, start, at - start, max(limit, SEGMENT_BYTES))
        except FileNotFoundError:
            continue  # it has just been removed from the middle
        if following is not None:
            data = data[: following - at]
        whole = data[: data.rfind(b"\n", 0, max(limit, data.find(b"\n") + 1)) + 1]
        if whole:
            return LogPart(at, whole)
        if following is not None:
            at += len(data)  # a line without an end, whose writer went on elsewhere
    newest = segments[-1]
    with suppress(FileNotFoundError):
        end = newest + os.stat(_name(newest), dir_fd=dir_fd, follow_symlinks=False).st_size
        if offset > end:
            return _read(dir_fd, 0, limit)  # the log has begun anew
    return LogPart(offset, b"")


def _info(dir_fd: int, id: str) -> LogInfo | None:
    size = newest_ns = 0
    segments = _segments(dir_fd)
    for start in segments:
        with suppress(FileNotFoundError):
            stat = os.stat(_name(start), dir_fd=dir_fd, follow_symlinks=False)
            size += stat.st_size
            newest_ns = max(newest_ns, stat.st_mtime_ns)
    return LogInfo(id, size, newest_ns // 1_000_000) if segments else None


def segments_of(logs_fd: int, id: str) -> list[int]:
    """Return where the segments of a log begin; none if there is no log."""
    try:
        fd = os.open(id, _OPEN_DIR, dir_fd=logs_fd)
    except OSError:
        return []
    try:
        return _segments(fd)
    finally:
        os.close(fd)


def size_of_segment(logs_fd: int, id: str, start: int) -> os.stat_result | None:
    """Return the status of a segment; ``None`` if it is gone."""
    try:
        return os.stat(f"{id}/{_name(start)}", dir_fd=logs_fd, follow_symlinks=False)
    except OSError:
        return None


def clear_middle(logs_fd: int, id: str) -> int:
    """Remove all segments but the first and the newest; return how many bytes they had."""
    size = 0
    for start in segments_of(logs_fd, id)[1:-1]:
        stat = size_of_segment(logs_fd, id, start)
        with suppress(OSError):
            os.unlink(f"{id}/{_name(start)}", dir_fd=logs_fd)
            size += stat.st_size if stat is not None else 0
    return size


def remove_in(logs_fd: int, id: str) -> bool:
    """Remove the log of the id, as far as that is possible; return whether there was one."""
    try:
        return _remove(logs_fd, id)
    except OSError:
        return False


def _clear(dir_fd: int) -> None:
    for name in os.listdir(dir_fd):
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=dir_fd)


def _remove(logs_fd: int, id: str) -> bool:
    """Remove the log of the id, also while somebody writes to it."""
    for _ in range(_MAX_RACES):
        fd = os.open(id, _OPEN_DIR, dir_fd=logs_fd)
        try:
            _clear(fd)
        finally:
            os.close(fd)
        with suppress(OSError):
            os.rmdir(id, dir_fd=logs_fd)
            return True
    return True
