"""The secrets that a command names in ``$JOBCTL_EVENTS``, read before output is masked.

The events are read now and then; but a secret may be in the output right after it was named.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from jobctl.work.run.event_lines import parse_event

__all__ = ["MaskLines"]

_MAX_READ = 1024 * 1024
_ANCHOR = 256


class MaskLines:
    """The lines of the file that name a secret; ``add`` gets each."""

    def __init__(self, path: str, add: Callable[[str], None]) -> None:
        self._path, self._add = path, add
        self._at = 0
        self._anchor = b""  # the bytes before the position: if they change, the file was rewritten
        self._seen = (0, 0, 0)

    def read(self) -> None:
        """Read the lines that were written since the last call."""
        try:
            about = os.stat(self._path)
            seen = (about.st_ino, about.st_size, about.st_mtime_ns)
            if seen == self._seen:
                return
            fd = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                before = os.pread(fd, len(self._anchor), self._at - len(self._anchor))
                if before != self._anchor:
                    self._at = 0
                data = os.pread(fd, _MAX_READ, self._at)
            finally:
                os.close(fd)
        except OSError:
            return
        end = data.rfind(b"\n") + 1
        if end:
            self._at += end
            self._anchor = data[max(0, end - _ANCHOR) : end]
        self._seen = seen if end == len(data) < _MAX_READ else (0, 0, 0)
        for line in data[:end].split(b"\n") if b"mask=" in data else ():
            self._take(line)

    def _take(self, line: bytes) -> None:
        if b"mask=" not in line:
            return
        try:
            mask = parse_event(line.decode("utf-8", "backslashreplace")).mask
        except ValueError:
            return
        if mask is not None:
            self._add(mask)
