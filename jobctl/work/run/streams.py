"""Where a command's standard output and standard error lead to, and what is done with them.

Streams that lead to the same pipe, file or terminal are one, so that their order is kept.
"""

from __future__ import annotations

import os
import stat
from typing import NamedTuple

from jobctl.core.log import BOTH, STDERR, STDOUT

__all__ = ["FILE", "OWN", "PIPE", "TERMINAL", "UNREAD", "Target", "discarded", "targets"]

FILE, PIPE, TERMINAL, UNREAD, OWN = "file", "pipe", "terminal", "unread", "own"
_NAMES = {1: STDOUT, 2: STDERR}


class Target(NamedTuple):
    """One place that the command writes to, by the descriptors ``fds``.

    ``kind`` is `FILE`, `PIPE` (or a socket), `TERMINAL`, `UNREAD` (/dev/null, since nobody
    reads it), or `OWN`: another device.
    """

    fds: tuple[int, ...]
    stream: str
    kind: str


def targets(unread: tuple[int, ...] = ()) -> list[Target]:
    """Return the places that standard output and error lead to; closed ones lead nowhere."""
    found: dict[tuple[str, int, int], Target] = {}
    for fd in (1, 2):
        try:
            if not os.get_inheritable(fd):
                continue  # it is closed in the command
            about = os.fstat(fd)
        except OSError:
            continue
        kind = UNREAD if fd in unread else _kind_of(fd, about.st_mode)
        device = about.st_rdev if kind == TERMINAL else about.st_dev
        key = (kind, device, 0 if kind == TERMINAL else about.st_ino)
        if key in found:
            found[key] = Target((*found[key].fds, fd), BOTH, kind)
        else:
            found[key] = Target((fd,), _NAMES[fd], kind)
    return list(found.values())


def discarded(*, data: bool) -> tuple[int, ...]:
    """Return the descriptors that lead to /dev/null; standard output alone only with ``data``."""
    found = tuple(fd for fd in (1, 2) if _is_null(fd))
    return () if found == (1,) and not data else found


def _is_null(fd: int) -> bool:
    try:
        return os.get_inheritable(fd) and os.fstat(fd).st_rdev == os.stat(os.devnull).st_rdev
    except OSError:
        return False


def _kind_of(fd: int, mode: int) -> str:
    if stat.S_ISREG(mode):
        return FILE
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
        return PIPE
    return TERMINAL if os.isatty(fd) else OWN
