"""Where a command's standard output and standard error lead to, and what is done with them.

Streams that lead to the same pipe, file or terminal are one, so that their order is kept.
"""

from __future__ import annotations

import os
import stat
from typing import NamedTuple

from jobctl.core.log import BOTH, STDERR, STDOUT

__all__ = ["FILE", "OWN", "PIPE", "TERMINAL", "Target", "targets"]

FILE, PIPE, TERMINAL, OWN = "file", "pipe", "terminal", "own"
_NAMES = {1: STDOUT, 2: STDERR}


class Target(NamedTuple):
    """One place that the command writes to, by the descriptors ``fds``.

    ``kind`` is `FILE`, `PIPE` (or a socket), `TERMINAL`, or `OWN`: another device.
    """

    fds: tuple[int, ...]
    stream: str
    kind: str


def targets(fds: tuple[int, ...] = (1, 2)) -> list[Target]:
    """Return the places that these descriptors lead to; closed ones lead nowhere."""
    found: dict[tuple[int, ...], Target] = {}
    for fd in fds:
        try:
            if not os.get_inheritable(fd):
                continue  # it is closed in the command
            about = os.fstat(fd)
        except OSError:
            continue
        kind = _kind_of(fd, about.st_mode)
        key = (about.st_rdev, 0) if kind == TERMINAL else (about.st_dev, about.st_ino)
        known = found.get((*key, kind == TERMINAL))
        both = known is not None
        found[*key, kind == TERMINAL] = Target(
            (*known.fds, fd) if known is not None else (fd,), BOTH if both else _NAMES[fd], kind
        )
    return list(found.values())


def _kind_of(fd: int, mode: int) -> str:
    if stat.S_ISREG(mode):
        return FILE
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
        return PIPE
    return TERMINAL if os.isatty(fd) else OWN
