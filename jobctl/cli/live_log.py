"""The end of a job's log, for the view of one job: read again and again, or sent by a hub."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable

from jobctl.core.job import Job
from jobctl.core.log import LogPart
from jobctl.core.log_text import LogText, size_text
from jobctl.errors import JobctlError
from jobctl.hub.credentials import Credentials
from jobctl.stores import Store, logs_of
from jobctl.stores.log_reading import has_log, read_parts

__all__ = ["MAX_LINES", "hub_log", "store_log"]

MAX_LINES = 300
_TAIL_BYTES = 128 * 1024
_POLL_S = 0.4
_COLOURS = re.compile(r"\x1b\[[0-9;:]*m")

Show = Callable[[list[str], str], object]
"""Takes the last lines and a note about the log."""


class _Tail:
    """The last lines of a log that grows."""

    def __init__(self, at: int = 0) -> None:
        self.at = at
        self._text = LogText(harmless=True, at=at)
        self._lines: deque[str] = deque(maxlen=MAX_LINES)
        self._open = ""

    def take(self, part: LogPart) -> None:
        """Add a part."""
        text = self._open + self._text.feed(part).decode("utf-8", "replace")
        *lines, self._open = _COLOURS.sub("", text).split("\n")
        self._lines.extend(lines)
        self._open = self._open[-10_000:]
        self.at = part.end

    def lines(self) -> list[str]:
        """Return the lines; a line that has no end yet is the last one."""
        return [*self._lines, self._open] if self._open else [*self._lines]


async def store_log(store: Store, id: str, show: Show) -> None:
    """Show the end of the job's log as it grows, without end."""
    tail: _Tail | None = None
    while True:
        before = tail.at if tail is not None else -1
        try:
            tail = await asyncio.to_thread(_read, store, id, tail)
        except JobctlError as error:
            show([], str(error))
        else:
            if tail is not None and tail.at != before:
                show(tail.lines(), size_text(tail.at))
        await asyncio.sleep(_POLL_S)


def _read(store: Store, id: str, tail: _Tail | None) -> _Tail | None:
    """Return the log's end as it is now; ``None`` if there is no log."""
    logs = logs_of(store)
    info = logs.log_info(id) if logs is not None else None
    if logs is None or info is None:
        return None
    if tail is None or info.size < tail.at:  # the first look, or the log has begun anew
        if not has_log(store, store.get(id)):
            return None
        tail = _Tail(max(0, info.size - _TAIL_BYTES))
    for part in read_parts(logs, id, tail.at):
        tail.take(part)
    return tail


async def hub_log(url: str, job: Job, show: Show, credentials: Credentials | None) -> None:
    """Show the end of the log as the hub sends it, until the job has ended."""
    from jobctl.reader.log import read_log  # not before somebody looks at a job

    tail = _Tail()

    def caught_up() -> None:
        show(tail.lines(), size_text(tail.at))

    def take(part: LogPart) -> None:
        tail.take(part)
        if tail.at - part.start < 16_384:  # not for each part of what was there before
            caught_up()

    try:
        await read_log(
            url,
            job.id,
            follow=True,
            take=take,
            caught_up=caught_up,
            on_note=lambda text: show(tail.lines(), text),
            credentials=credentials,
        )
        caught_up()
    except JobctlError as error:
        if job.command is not None:  # others have none
            show(tail.lines(), str(error))
