"""Reports of a command: lines that it writes to ``$JOBCTL_EVENTS``, from any language.

    stage=load
    progress=3/8 message=orders.csv
    progress=40
    result={"rows": 41200}

It is a regular file, so writing never blocks, even if nobody reads any more. A writer may also
truncate it.
"""

from __future__ import annotations

import fcntl
import os
import re
import tempfile
from collections.abc import Callable
from contextlib import suppress
from time import time
from typing import Any, NamedTuple

from jobctl.core.duplicate_keys import parse_json

__all__ = ["Event", "EventFile", "parse_event"]

_MAX_LINE = 128 * 1024
_MAX_POLL = 1024 * 1024
_ANCHOR = 256
_SWEEP_S = 24 * 3600
_PREFIX, _SUFFIX = "jobctl-", ".events"
_STEPS = re.compile(r"([0-9.]+)(?:/([0-9.]+)|%)?\Z")


class Event(NamedTuple):
    """One line. ``steps`` are done and total, or a percentage and ``None``.

    ``remark`` says what is odd in the result.
    """

    stage: str | None = None
    steps: tuple[float, float | None] | None = None
    message: str | None = None
    result: Any = None
    remark: str | None = None


def parse_event(line: str) -> Event:
    """Return the event in a line of ``key=value`` pairs; ValueError with the reason.

    ``message`` and ``result`` take the rest of their line.
    """
    event, rest = Event(), line.strip()
    while rest:
        key, equals, value = rest.partition("=")
        if not equals or key not in ("stage", "progress", "message", "result"):
            raise ValueError(f"{ascii(rest[:40])} is no stage=, progress=, message= or result=")
        if key in ("message", "result"):
            rest = ""
        else:
            value, _, rest = value.partition(" ")
            rest = rest.lstrip()
        match key:
            case "stage":
                event = event._replace(stage=value)
            case "progress":
                event = event._replace(steps=_steps(value))
            case "message":
                event = event._replace(message=value)
            case _:
                result, remark = _result(value)
                event = event._replace(result=result, remark=remark)
    return event


def _steps(text: str) -> tuple[float, float | None]:
    match = _STEPS.match(text)
    if match is None:
        raise ValueError(f"{ascii(text[:40])} is no progress: DONE/TOTAL, or a percentage")
    return _number(match[1]), None if match[2] is None else _number(match[2])


def _number(text: str) -> float:
    return int(text) if text.isdigit() else float(text)


def _result(text: str) -> tuple[Any, str | None]:
    try:
        return parse_json(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the result is not JSON: {error}") from error


class EventFile:
    """The file and our position in it. ``take`` gets each event, ``on_error`` each error.

    If a writer truncates the file between two polls, the last state counts.
    """

    def __init__(self, take: Callable[[Event], None], on_error: Callable[[str], None]) -> None:
        self._take, self._warn_event = take, on_error
        self._fd, self.path = _create()
        self._offset = 0
        self._anchor = b""  # the bytes before the offset: if they change, the file was rewritten
        self._seen: tuple[int, int] = (0, 0)
        self._partial = b""

    def poll(self) -> None:
        """Read what was written since the last poll, at most a megabyte."""
        stat = os.fstat(self._fd)
        if (stat.st_size, stat.st_mtime_ns) != self._seen:
            self._check_anchor(stat.st_size)
            end = min(stat.st_size, self._offset + _MAX_POLL)
            while self._offset < end:
                data = os.pread(self._fd, min(_MAX_LINE, end - self._offset), self._offset)
                if not data:
                    break  # it was truncated meanwhile
                self._offset += len(data)
                self._anchor = (self._anchor + data)[-_ANCHOR:]
                *lines, self._partial = (self._partial + data).split(b"\n")
                if len(self._partial) > _MAX_LINE:
                    self._warn_event(f"a line of over {_MAX_LINE} bytes")
                    self._partial = b""
                for line in lines:
                    self._line(line)
            whole = end == stat.st_size
            self._seen = (stat.st_size, stat.st_mtime_ns) if whole else (-1, 0)

    def finish(self, interrupted: Callable[[], bool]) -> None:
        """Read the rest, also a last line without its end, unless ``interrupted``."""
        end = os.fstat(self._fd).st_size
        for _ in range(end // _MAX_POLL + 1):
            self.poll()
            if interrupted():
                return
        if self._partial:
            self._line(self._partial)
            self._partial = b""

    def _check_anchor(self, size: int) -> None:
        begin = self._offset - len(self._anchor)
        if size < self._offset or os.pread(self._fd, len(self._anchor), begin) != self._anchor:
            self._offset, self._anchor, self._partial = 0, b"", b""

    def _line(self, line: bytes) -> None:
        text = line.decode("utf-8", "backslashreplace").strip()
        if not text or not text.strip("\0"):
            return
        try:
            self._take(parse_event(text))
        except ValueError as error:
            self._warn_event(str(error))

    def close(self) -> None:
        """Remove the file, and files of killed processes that are older than a day."""
        _sweep(os.path.dirname(self.path))
        with suppress(OSError):
            os.unlink(self.path)
        os.close(self._fd)


def _create() -> tuple[int, str]:
    """Create a locked file; a file that is not locked belongs to no process."""
    fd, path = tempfile.mkstemp(prefix=_PREFIX, suffix=_SUFFIX)
    with suppress(OSError):
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return fd, path


def _sweep(directory: str) -> None:
    with suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            if entry.name.startswith(_PREFIX) and entry.name.endswith(_SUFFIX):
                with suppress(OSError):
                    _sweep_one(entry)


def _sweep_one(entry: os.DirEntry[str]) -> None:
    """Remove a file of ours that is old and whose reader is gone."""
    stat = entry.stat(follow_symlinks=False)
    old = time() - stat.st_mtime > _SWEEP_S
    if not old or stat.st_uid != os.geteuid() or not entry.is_file(follow_symlinks=False):
        return
    fd = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(entry.path)
    finally:
        os.close(fd)
