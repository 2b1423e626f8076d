"""The limit for all logs of a directory: the oldest logs of jobs that have ended go first.

By default 1 GiB, or 5 % of the file system if that is less; the setting is ``log-limit``.

To look at all logs for each new one would cost more than most logs. So each writer that begins a
segment adds a byte to ``.jobctl/logs/.usage``: its size says by how much the logs can have grown
since they were looked at. They are looked at again when that may be half of what was free then. One
process does so at a time; the others go on.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from contextlib import suppress

from jobctl.stores.directory.files import exists, is_id
from jobctl.stores.directory.logs import (
    SEGMENT_BYTES,
    clear_middle,
    remove_in,
    segments_of,
    size_of_segment,
)
from jobctl.stores.directory.place import Place

__all__ = ["ORPHAN_S", "LogSpace"]

ORPHAN_S = 60.0
"""A log without a job is removed after this time; its job may be about to be recorded."""

_USAGE = ".usage"
_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_HEAD = 16  # bytes of the file before those of the segments
_MAX_SHARE = 20  # of the file system
_MAX_BYTES = 1024**3
_RESERVE = 4 * SEGMENT_BYTES
"""As much is kept free, because it may be used before the logs are looked at again."""
_FILL = 0.9
"""After the oldest logs were removed, this share of the limit is used, not all of it."""


class LogSpace:
    """Keeps the logs of one directory within the limit.

    ``has_ended`` says whether the job of an id has ended.
    """

    def __init__(self, place: Place, has_ended: Callable[[str], bool]) -> None:
        self._place = place
        self._has_ended = has_ended

    def grown(self, logs_fd: int) -> None:
        """Count a new segment; remove logs if the limit may be exceeded. OSError."""
        fd = os.open(_USAGE, _FLAGS, 0o600, dir_fd=logs_fd)
        try:
            if os.fstat(fd).st_size == 0:
                os.fchmod(fd, 0o600)  # regardless of the umask
            os.write(fd, b".")
            head = os.pread(fd, _HEAD, 0)
            grown = os.fstat(fd).st_size - _HEAD
            if len(head) == _HEAD and head.strip().isdigit() and grown <= int(head):
                return
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return  # somebody else does it, or the next one
            allowed = self._make_room(logs_fd)
            os.ftruncate(fd, 0)
            os.write(fd, b"%15d\n" % allowed)
        finally:
            os.close(fd)

    def _make_room(self, logs_fd: int) -> int:
        """Remove logs as the limit demands; return how many segments may be added then."""
        limit = max(self._limit(logs_fd) - _RESERVE, SEGMENT_BYTES)
        dir_fd = self._place.current().dir_fd
        now_s = time.time()
        found: list[tuple[float, int, str]] = []
        for id in os.listdir(logs_fd):
            if not is_id(id):
                continue
            changed_s, size = _usage(logs_fd, id, now_s)
            if now_s - changed_s > ORPHAN_S and not exists(f"{id}.json", dir_fd):
                remove_in(logs_fd, id)
            else:
                found.append((changed_s, size, id))
        total = sum(size for _, size, _ in found)
        if total > limit:
            active = []
            for changed_s, size, id in sorted(found):
                if total <= limit * _FILL:
                    break
                if self._has_ended(id):
                    remove_in(logs_fd, id)
                    total -= size
                else:
                    active.append((changed_s, size, id))
            for _, _, id in active if total > limit else ():
                total -= clear_middle(logs_fd, id)
                if total <= limit * _FILL:
                    break
        return max(limit - total, _RESERVE) // 2 // SEGMENT_BYTES

    def _limit(self, logs_fd: int) -> int:
        from jobctl.config import log_limit  # which is seldom needed here

        chosen = log_limit(os.environ)
        if chosen is not None:
            return chosen
        with suppress(OSError):
            room = os.fstatvfs(logs_fd)
            if room.f_blocks:  # some file systems tell nothing
                return min(_MAX_BYTES, room.f_blocks * room.f_frsize // _MAX_SHARE)
        return _MAX_BYTES


def _usage(logs_fd: int, id: str, now_s: float) -> tuple[float, int]:
    """Return when the log changed, and its size; one that is written to counts as it may become."""
    changed_s, size, last = 0.0, 0, 0
    for start in segments_of(logs_fd, id):
        stat = size_of_segment(logs_fd, id, start)
        if stat is not None:
            last = max(stat.st_size, stat.st_blocks * 512)
            size += last
            changed_s = max(changed_s, stat.st_mtime)
    if not size:
        with suppress(OSError):
            changed_s = os.stat(id, dir_fd=logs_fd, follow_symlinks=False).st_mtime
    elif abs(now_s - changed_s) < ORPHAN_S:
        size += max(SEGMENT_BYTES - last, 0)
    return changed_s, size
