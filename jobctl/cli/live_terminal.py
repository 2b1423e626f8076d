"""``jobctl watch`` with keys: joins a reader's events, a `LiveView`, and the terminal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing, suppress
from typing import Any, Protocol

from jobctl.cli.live import Act, LiveView
from jobctl.cli.live_acts import perform
from jobctl.cli.live_log import hub_log, store_log
from jobctl.cli.table import coloured
from jobctl.cli.terminal import TerminalSession
from jobctl.core.cursor import Cursor
from jobctl.core.job import Job
from jobctl.core.jobset import Delta
from jobctl.hub.credentials import Credentials
from jobctl.reader.status import Event, Status
from jobctl.stores import Store

__all__ = ["LiveTerminal", "Source", "paced"]

_FRAME_S = 0.5
"""Between frames, and between reads of a directory, while jobs change without a pause."""
_FIRST_S = 0.2
_LARGE = 100
"""A delta of this many jobs is a page of a first read, after which the next is asked for."""
_ACTS_S = 2.0
"""How long the end waits for acts that were asked for; a cancel that was sent stays sent."""


class Source(Protocol):
    """Where the jobs are: a directory, as soon as there is one, or a hub."""

    @property
    def store(self) -> Store | None:
        """The directory's store, if it is open."""

    @property
    def url(self) -> str | None:
        """The hub, if jobs are read from one by its URL."""

    @property
    def credentials(self) -> Credentials | None:
        """What is shown to the hub."""


class LiveTerminal:
    """Shows a view on the terminal while it is open, and does what keys ask for.

    It is an output of `watch_jobs`. Frames are made when something has changed, twice a second
    at most, and when the last frame changes by itself.
    """

    def __init__(self, live: LiveView, source: Source, clock: Callable[[], int]) -> None:
        self._live, self._source, self._clock = live, source, clock
        self._changed = asyncio.Event()
        self._acts: set[asyncio.Task[None]] = set()
        self._log: asyncio.Task[None] | None = None
        self._log_of: str | None = None
        self._session = TerminalSession(colours=coloured())
        self._session.on_resize = self._paint

    async def run(self, show_events: Coroutine[Any, Any, bool]) -> bool:
        """Show the events until they end, with their result, or until the user quits."""
        events = asyncio.ensure_future(show_events)
        try:
            async with self._session:
                tasks: set[asyncio.Future[Any]] = {events}
                tasks |= {asyncio.ensure_future(self._keys())}
                tasks |= {asyncio.ensure_future(self._repaint())}
                try:
                    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        task.result()  # raises what has failed
                finally:
                    await self._end(tasks)
        finally:
            events.cancel()
        return events.result() if events.done() and not events.cancelled() else True

    async def _end(self, tasks: set[asyncio.Future[Any]]) -> None:
        if self._acts:
            await asyncio.wait(self._acts, timeout=_ACTS_S)
        ending = {*tasks, *self._acts}
        if self._log is not None:
            ending.add(self._log)
        for task in ending:
            task.cancel()
        for task in ending:
            with suppress(asyncio.CancelledError, Exception):  # what counts was raised before
                await task
        self._live.close_all()
        columns, rows = self._session.size()
        last = self._live.frame(columns, max(rows - 1, 2), self._clock())  # and the shell's prompt
        self._session.last_frame = [row for row in last if any(text.strip() for text, _ in row)]

    # -- what the reader tells ----------------------------------------------------------------

    def show_status(self, status: Status, at: Cursor) -> None:
        self._changed.set()

    def show_lost(self, lost: list[Job], at: Cursor) -> None:
        self._live.owners_changed()
        self._changed.set()

    def show_bad_files(self, new: dict[str, str], at: Cursor) -> None:
        self._changed.set()

    def show_delta(self, delta: Delta, gone: list[str], before: Cursor, after: Cursor) -> None:
        self._live.take(delta)
        self._changed.set()

    def ring(self) -> None:
        """Ring the terminal's bell."""
        self._session.ring()

    # -- tasks --------------------------------------------------------------------------------

    async def _keys(self) -> None:
        """Take keys until the user quits."""
        async for key in self._session.keys():
            act = self._live.press(key, self._clock())
            if act is not None:
                if act.verb == "quit":
                    return
                task = asyncio.create_task(self._act(act))
                self._acts.add(task)
                task.add_done_callback(self._acts.discard)
            self._follow_log()
            self._paint()
        await asyncio.Event().wait()  # the terminal is gone: a signal says so

    async def _act(self, act: Act) -> None:
        store = self._source.store
        if store is None:
            return
        doing = "cancelling" if act.verb == "cancel" else "retrying"
        self._live.say(f"{doing} job {act.id} ...", self._clock())
        said = await perform(store, act, self._live.view.usual.pipelines)
        self._live.say(said, self._clock())
        self._changed.set()

    async def _repaint(self) -> None:
        """Make a frame when something has changed, and when the last one changes by itself."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_S):  # the first frame shows jobs, if they are quick
                while not self._live.view.complete:
                    await self._changed.wait()
                    self._changed.clear()
        while True:
            self._changed.clear()
            self._paint()
            await asyncio.sleep(_FRAME_S)
            now_ms = self._clock()
            next_ms = self._live.next_change_ms(now_ms)
            timeout_s = max(next_ms - now_ms, 0) / 1000 if next_ms is not None else None
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._changed.wait()

    def _paint(self) -> None:
        self._session.show(self._live.frame(*self._session.size(), self._clock()))

    def _follow_log(self) -> None:
        """Read the log of the one job that is shown, and of no other."""
        id = self._live.detail_id
        if id == self._log_of:
            return
        if self._log is not None:
            self._log.cancel()
            self._log = None
        self._log_of = id
        job = self._live.view.jobs.get(id) if id is not None else None
        if job is None:
            return

        def show(lines: list[str], note: str) -> None:
            self._live.set_log(job.id, lines, note)
            self._changed.set()

        if (store := self._source.store) is not None:
            self._log = asyncio.create_task(store_log(store, job.id, show))
        elif (url := self._source.url) is not None:
            self._log = asyncio.create_task(hub_log(url, job, show, self._source.credentials))


async def paced(events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
    """Yield the events, with pauses between those of a directory.

    A directory that is asked less often merges more changes into one delta. A hub sends each change
    as it comes: read with pauses, its messages would queue up, and with them the answers to the
    pings by which the client knows that the hub is there.
    """
    is_directory = False
    async with aclosing(events):  # also when the last event has been taken
        async for event in events:
            yield event
            if isinstance(event, Status):
                is_directory = event.source == "directory"
            elif is_directory and isinstance(event, Delta) and len(event.jobs) < _LARGE:
                await asyncio.sleep(_FRAME_S)
