"""The file ``$JOBCTL_EVENTS``: read while the command writes it, however it does that.

It is a regular file, so writing never blocks, even if nobody reads any more. A writer may also
truncate it (``>``), replace it, or remove it.
"""

from __future__ import annotations

import fcntl
import os
import stat as stats
import tempfile
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from time import time
from typing import NamedTuple

from jobctl.work.run.event_lines import BadLine, Event, parse_event
from jobctl.work.run.event_watch import ChangeThread, Inotify
from jobctl.work.text import one_line

__all__ = ["EventFile"]

_MAX_LINE = 128 * 1024
_MAX_POLL = 1024 * 1024
_MAX_PASSES = 8
_MAX_LINES = 50_000  # that wait to be taken; then the file grows instead
_MAX_OLD = 8  # removed files that are still read, because a writer may have them open
_ANCHOR = 256
_SWEEP_S = 24 * 3600
_PREFIX = "jobctl-events-"
_NAME = "events"


class EventFile:
    """The file and our position in it.

    `poll` calls ``take`` with each event, and ``on_error`` with each error: its kind and its text.

    It lies in a directory of its own in ``parent``, where only this user can write, or, if that
    cannot be, in the directory for temporary files. OSError if neither can be.

    Nothing that is appended is lost. What a writer truncates is not lost either if it was written a
    tenth of a second before: a thread reads each change, however long ``take`` takes. A truncation
    that may have lost lines is an error, where there is inotify.
    """

    def __init__(
        self,
        take: Callable[[Event], None],
        on_error: Callable[[str, str], None],
        parent: str | None = None,
    ) -> None:
        self._take, self._on_error = take, on_error
        self._directory, self._lock = _create_directory(parent)
        self.path = os.path.join(self._directory, _NAME)
        try:
            self._tail = _Tail(_create(self.path))
        except OSError:
            _remove_directory(self._directory, self._lock)
            raise
        self._old: list[_Tail] = []
        self._guard = threading.RLock()
        self._lines: deque[bytes] = deque()
        self._problems: dict[str, str] = {}
        self._overwritten = _Overwritten()
        self._inotify: Inotify | None = None
        self._thread: ChangeThread | None = None
        with suppress(OSError):
            self._inotify = Inotify(self._directory)

    @property
    def detects_losses(self) -> bool:
        """Whether the system tells of each write."""
        return self._inotify is not None

    def start(self) -> None:
        """Read each change at once from now on; `poll` takes it."""
        with suppress(OSError, RuntimeError):  # without it, `poll` reads
            self._thread = ChangeThread(
                lambda: self._inotify.fd if self._inotify is not None else None, self._collect
            )

    def poll(self) -> None:
        """Take what was written since the last poll, at most a megabyte of each file."""
        self._collect()
        for _ in range(len(self._lines)):
            self._take_line(self._lines.popleft())
        with self._guard:  # the thread may add one
            problems, self._problems = self._problems, {}
        for kind, text in problems.items():
            self._on_error(kind, text)

    def finish(self, interrupted: Callable[[], bool]) -> None:
        """Take the rest, also a last line without its end, unless ``interrupted``."""
        if self._thread is not None:
            self._thread.stop()
        owed = sum(tail.size() for tail in (*self._old, self._tail))
        for _ in range(owed // _MAX_POLL + 1):
            self.poll()
            if interrupted():
                return
        for tail in (*self._old, self._tail):
            self._lines += tail.end()
        self.poll()

    def _collect(self) -> None:
        """Read what is new, and keep it for the next `poll`."""
        with self._guard:
            try:
                for _ in range(_MAX_PASSES):
                    if len(self._lines) > _MAX_LINES or not self._read_changes():
                        break
            except OSError as error:
                self._problems["file"] = error.strerror or str(error)

    def _read_changes(self) -> bool:
        """Read what is new; return whether there may be more."""
        some, writers = self._inotify.drain() if self._inotify is not None else (False, 0)
        same = self._find_file()
        for old in self._old:
            self._lines += old.read().lines
        new = self._tail.read()
        self._lines += new.lines
        if self._overwritten.notice(new, writers, same):
            self._problems["lost"] = "lines may have been overwritten before they were read: use >>"
        if new.too_long:
            self._problems["long"] = f"a line of over {_MAX_LINE} bytes is passed over"
        return some

    def _find_file(self) -> bool:
        """Make the file again where it is missing, or follow another one in its place.

        Returns whether it is the file that it was.
        """
        try:
            found = os.stat(self.path, follow_symlinks=False)
        except FileNotFoundError:
            found = None
        if found is not None and self._tail.is_file(found):
            return True
        try:
            fd = _open(self.path) if found is not None else self._create_again()
        except OSError as error:
            raise OSError(error.errno, f"its file is gone: {error.strerror}") from error
        old, self._tail = self._tail, _Tail(fd)
        if found is not None:
            self._tail.go_on_after(old)  # a copy with more lines, as editors make it
        self._lines += old.read().lines
        self._old.append(old)
        if len(self._old) > _MAX_OLD:
            first = self._old.pop(0)
            self._lines += first.end()
            first.close()
        return False

    def _create_again(self) -> int:
        try:
            return _create(self.path)
        except FileNotFoundError:
            os.mkdir(self._directory, 0o700)
        os.close(self._lock)
        self._lock = _locked(self._directory)
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None
            with suppress(OSError):
                self._inotify = Inotify(self._directory)
        return _create(self.path)

    def _take_line(self, line: bytes) -> None:
        text = line.decode("utf-8", "backslashreplace").strip()
        if not text or not text.strip("\0"):
            return
        try:
            self._take(parse_event(text))
        except BadLine as error:
            self._on_error(error.kind, f"{error}; such lines are passed over")
        except Exception as error:  # the lines after it count all the same
            self._on_error("defect", one_line(error))

    def close(self) -> None:
        """Remove the file, and files of killed processes that are older than a day."""
        if self._thread is not None:
            self._thread.stop()
        if self._inotify is not None:
            self._inotify.close()
        for tail in (*self._old, self._tail):
            tail.close()
        _remove_directory(self._directory, self._lock)
        _sweep(os.path.dirname(self._directory))


class _New(NamedTuple):
    """What one read found. ``size`` is in bytes; ``too_long``: a line was passed over."""

    from_beginning: bool
    size: int
    lines: list[bytes]
    too_long: bool


class _Overwritten:
    """Finds out that writers have truncated what was not read: more writers than lines."""

    def __init__(self) -> None:
        self._writers = self._lines = 0
        self._counts = False  # the last read with something new began at the file's beginning

    def notice(self, new: _New, writers: int, same: bool) -> bool:
        """Return whether lines may be lost. ``writers`` have closed the file before the read.

        Or just after the read before: they count to it if this one finds nothing new.
        """
        if not same:
            self._counts = False
        elif new.from_beginning and new.size:
            self._counts, self._writers, self._lines = True, writers, max(1, len(new.lines))
        elif new.size:
            self._counts = False
        else:
            self._writers += writers
        return self._counts and self._writers > self._lines


class _Tail:
    """One file and what was read of it."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        stat = os.fstat(fd)
        self._key = stat.st_dev, stat.st_ino
        self._offset = 0
        self._anchor = b""  # the bytes before the offset: if they change, the file was rewritten
        self._partial = b""

    def is_file(self, stat: os.stat_result) -> bool:
        """Whether this is the file that ``stat`` tells of."""
        return self._key == (stat.st_dev, stat.st_ino)

    def size(self) -> int:
        """The file's size in bytes."""
        return os.fstat(self._fd).st_size

    def go_on_after(self, other: _Tail) -> None:
        """Begin where the other one is, unless this file has other bytes there."""
        self._offset, self._anchor, self._partial = other._offset, other._anchor, other._partial
        other._partial = b""

    def read(self) -> _New:
        """Read what is new, at most a megabyte."""
        size = self.size()
        from_beginning, too_long = self._check_anchor(size), False
        begin, end = self._offset, min(size, self._offset + _MAX_POLL)
        found: list[bytes] = []
        while self._offset < end:
            data = os.pread(self._fd, min(_MAX_LINE, end - self._offset), self._offset)
            if not data:
                break  # it was truncated meanwhile
            self._offset += len(data)
            self._anchor = (self._anchor + data)[-_ANCHOR:]
            *lines, self._partial = (self._partial + data).split(b"\n")
            found += lines
            if len(self._partial) > _MAX_LINE:
                self._partial, too_long = b"", True
        return _New(from_beginning, self._offset - begin, found, too_long)

    def _check_anchor(self, size: int) -> bool:
        """Return whether the next byte is the first one; begin anew if the file was truncated."""
        begin = self._offset - len(self._anchor)
        if size < self._offset or os.pread(self._fd, len(self._anchor), begin) != self._anchor:
            self._offset, self._anchor, self._partial = 0, b"", b""
        return self._offset == 0

    def end(self) -> list[bytes]:
        """Return a last line without its end, if there is one."""
        partial, self._partial = self._partial, b""
        return [partial] if partial else []

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


def _create_directory(parent: str | None) -> tuple[str, int]:
    """Create a private directory; return its path and a descriptor that locks it.

    A directory that is not locked belongs to no process. systemd-tmpfiles(8) leaves locked ones.
    """
    if parent is not None:
        with suppress(OSError):
            path = tempfile.mkdtemp(prefix=_PREFIX, dir=parent)
            return path, _locked(path)
    path = tempfile.mkdtemp(prefix=_PREFIX)
    return path, _locked(path)


def _locked(directory: str) -> int:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with suppress(OSError):
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return fd


def _create(path: str) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(path, flags, 0o600)


def _open(path: str) -> int:
    """Open a regular file; OSError if it is something else."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stats.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(0, "there is no regular file in its place")
    return fd


def _remove_directory(path: str, lock: int) -> None:
    with suppress(OSError):
        os.unlink(os.path.join(path, _NAME))
    with suppress(OSError):
        os.rmdir(path)
    os.close(lock)


def _sweep(parent: str) -> None:
    with suppress(OSError), os.scandir(parent) as entries:
        for entry in entries:
            if entry.name.startswith(_PREFIX):
                with suppress(OSError):
                    _sweep_one(entry)


def _sweep_one(entry: os.DirEntry[str]) -> None:
    """Remove a directory of ours that is old and whose reader is gone."""
    stat = entry.stat(follow_symlinks=False)
    old = time() - stat.st_mtime > _SWEEP_S
    if not old or stat.st_uid != os.geteuid() or not entry.is_dir(follow_symlinks=False):
        return
    fd = os.open(entry.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise
    _remove_directory(entry.path, fd)
