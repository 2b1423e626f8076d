"""Reads what a command adds to a regular file that its output is redirected to.

The command keeps its own descriptor. We read the file through another one, if we may.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import suppress

__all__ = ["FileCopy"]

_CHUNK = 64 * 1024
_F_GETPATH = 50  # macOS: the path of a descriptor's file


class FileCopy:
    """What is written after this call to the file of the descriptor ``fd``; OSError if unreadable.

    Data that others write to the file at the same time cannot be told apart.
    """

    def __init__(self, fd: int) -> None:
        self._write_fd = fd
        flags = fcntl.fcntl(fd, fcntl.F_GETFL)
        self._appends = bool(flags & os.O_APPEND)
        self._read_fd = os.dup(fd) if flags & os.O_ACCMODE == os.O_RDWR else _opened(fd)
        self._start = self._at = self._end()

    def read(self, limit: int) -> Iterator[tuple[int, bytes]]:
        """Yield what was added, in pieces, each with the number of bytes left out before it.

        At most the first and the last ``limit`` bytes.
        """
        with suppress(OSError):
            end = self._end()
            if end < self._at:  # it was truncated
                self._at = self._start = 0
            skip_from = self._at + limit
            while self._at < end:
                skipped = 0
                if self._at >= skip_from and end - self._at > limit:
                    skipped = end - limit - self._at
                    self._at += skipped
                data = os.pread(self._read_fd, min(_CHUNK, end - self._at), self._at)
                if not data:
                    return
                self._at += len(data)
                yield skipped, data

    def tail(self, size: int) -> tuple[bytes, bool]:
        """Return the last bytes that were added, and whether there are more before them."""
        try:
            end = self._end()
            start = self._start if end >= self._start else 0
            begin = max(start, end - size)
            return os.pread(self._read_fd, end - begin, begin), begin > start
        except OSError:
            return b"", False

    def close(self) -> None:
        """Close the descriptor."""
        if self._read_fd >= 0:
            os.close(self._read_fd)
            self._read_fd = -1

    def _end(self) -> int:
        """Return where the next write goes to; the command shares our descriptor's position."""
        size = os.fstat(self._read_fd).st_size
        return size if self._appends else min(size, os.lseek(self._write_fd, 0, os.SEEK_CUR))


def _opened(fd: int) -> int:
    """Open the file of the descriptor for reading; OSError."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
    about = os.fstat(fd)
    try:
        opened = os.open(f"/proc/self/fd/{fd}", flags)
    except FileNotFoundError:
        path = fcntl.fcntl(fd, _F_GETPATH, b"\0" * 1024).rstrip(b"\0")
        opened = os.open(path, flags | os.O_NOFOLLOW)
    found = os.fstat(opened)
    if (found.st_dev, found.st_ino) != (about.st_dev, about.st_ino):
        os.close(opened)
        raise FileNotFoundError
    return opened
