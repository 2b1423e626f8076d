"""The input of checks, and their findings."""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from jobctl.config import Settings, Where

__all__ = [
    "Check",
    "CheckContext",
    "Finding",
    "Level",
    "NothingToCheck",
    "is_stopped",
    "names",
    "opened",
    "plural",
]

Level = Literal["ok", "info", "warning", "error"]

_OPEN_DIR = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NOT_THERE = {errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ELOOP, errno.ENAMETOOLONG}
_MAX_NAMES = 3


class Finding(NamedTuple):
    """One finding: its level, what was found, where, and what to do next.

    ``ok``: as it should be. ``info``: good to know, not a fault. ``warning``: may do harm.
    ``error``: something is wrong. The text is not yet made safe for a terminal.
    """

    level: Level
    what: str
    where: str = ""
    hint: str = ""


class NothingToCheck(Exception):
    """Raised if a check has nothing to check."""


@dataclass(frozen=True)
class CheckContext:
    """What to check: a directory (``None`` if it is unknown), and its environment.

    A long check stops at ``until_s`` of the monotonic clock. ``settings`` is ``None`` if nobody has
    read them yet.
    """

    where: Where | None
    env: Mapping[str, str]
    cwd: Path
    until_s: float
    settings: Settings | None = None

    @property
    def path(self) -> Path:
        """The directory; it may not exist."""
        if self.where is None:
            raise NothingToCheck
        return self.where.path

    @property
    def left_s(self) -> float:
        """The remaining time in seconds; 0 if it is over."""
        return max(0.0, self.until_s - time.monotonic())


Check = Callable[[CheckContext], Iterable[Finding]]


@contextmanager
def opened(path: str | Path, dir_fd: int | None = None) -> Iterator[int]:
    """Open a directory for the block; raise `NothingToCheck` if that is not possible.

    Relative to ``dir_fd``, symbolic links are not followed.
    """
    flags = _OPEN_DIR if dir_fd is None else _OPEN_DIR | os.O_NOFOLLOW
    try:
        fd = os.open(path, flags, dir_fd=dir_fd)
    except OSError as error:
        if error.errno in _NOT_THERE:
            raise NothingToCheck from error
        raise
    try:
        yield fd
    finally:
        os.close(fd)


def plural(number: int, one: str, many: str = "") -> str:
    """Return ``1 job``, ``2 jobs``."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def names(all: Collection[str]) -> str:
    """Return the first few names, and how many more there are."""
    shown = ", ".join(sorted(all)[:_MAX_NAMES])
    return shown + (f" and {len(all) - _MAX_NAMES} more" if len(all) > _MAX_NAMES else "")


def is_stopped(pid: int) -> bool:
    """Whether the process is stopped, for example by Ctrl-Z, if Linux tells."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return re.search(r"\) [Tt] ", text) is not None
