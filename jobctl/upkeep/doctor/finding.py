"""What checks are given, and what they say."""

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

from jobctl.config import Where

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
    """One thing that was found: how bad it is, what, where, and what to do next.

    ``ok`` is as it should be; ``info`` is worth knowing, and no fault; a ``warning`` may do harm;
    an ``error`` is something wrong. The text is not made fit for a terminal.
    """

    level: Level
    what: str
    where: str = ""
    hint: str = ""


class NothingToCheck(Exception):
    """There is nothing for this check to look at."""


@dataclass(frozen=True)
class CheckContext:
    """What is looked at: a directory (``None`` where nobody can say which), and its surroundings.

    A check that has much to do stops at ``until_s`` of the monotonic clock.
    """

    where: Where | None
    env: Mapping[str, str]
    cwd: Path
    until_s: float

    @property
    def path(self) -> Path:
        """The directory; it may not exist."""
        if self.where is None:
            raise NothingToCheck
        return self.where.path

    @property
    def left_s(self) -> float:
        """How much time there is still; 0 when it is over."""
        return max(0.0, self.until_s - time.monotonic())


Check = Callable[[CheckContext], Iterable[Finding]]


@contextmanager
def opened(path: str | Path, dir_fd: int | None = None) -> Iterator[int]:
    """A descriptor of a directory to look at; `NothingToCheck` where none can be opened.

    Relative to ``dir_fd``, a link is none.
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
    """``1 job``, ``2 jobs``."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def names(all: Collection[str]) -> str:
    """The first few, and how many more."""
    shown = ", ".join(sorted(all)[:_MAX_NAMES])
    return shown + (f" and {len(all) - _MAX_NAMES} more" if len(all) > _MAX_NAMES else "")


def is_stopped(pid: int) -> bool:
    """Whether the process is stopped, by Ctrl-Z say, where Linux tells."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return re.search(r"\) [Tt] ", text) is not None
