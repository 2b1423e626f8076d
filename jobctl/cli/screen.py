"""Repaints a live view in place on a terminal; the last frame stays."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

from rich.console import Console, ConsoleDimensions, Group
from rich.live import Live
from rich.text import Text

from jobctl._clock import now_ms
from jobctl.cli.live_view import JobView
from jobctl.cli.table import coloured

__all__ = ["Screen"]

_FRAMES_PER_S = 10
_STYLES = {
    "failed": "red",
    "cancelled": "bright_black",
    "completed": "green",
    "stalled": "yellow",
    "lost": "red",
    "dim": "dim",
    "bold": "bold",
}


class Screen:
    """Repaints a view during the block: at most ten times a second, at least once a second."""

    def __init__(self, view: JobView, clock: Callable[[], int] = now_ms) -> None:
        self._view, self._clock = view, clock
        plain = not coloured()
        self._console = Console(
            no_color=plain, highlight=False, emoji=False, markup=False, soft_wrap=False
        )
        self._plain = plain
        # A dumb terminal cannot repaint: it gets only the last frame.
        self._repaints = self._console.is_terminal and os.environ.get("TERM") != "dumb"
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            transient=False,
            vertical_overflow="crop",
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._changed = asyncio.Event()
        self._painter: asyncio.Task[None] | None = None

    def changed(self) -> None:
        """Repaint soon: the view has changed."""
        self._changed.set()

    async def __aenter__(self) -> Screen:
        if self._repaints:
            self._live.start()
            self._painter = asyncio.create_task(self._paint())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._painter is not None:
            self._painter.cancel()
            with suppress(asyncio.CancelledError):
                await self._painter
            with suppress(OSError):  # the terminal is gone
                self._live.update(self._frame(), refresh=True)
                self._live.stop()
        else:
            self._console.print(self._frame())

    async def _paint(self) -> None:
        while True:
            self._live.update(self._frame(), refresh=True)
            with suppress(TimeoutError):
                async with asyncio.timeout(1.0):  # wait_for() may lose a cancellation
                    await self._changed.wait()
            self._changed.clear()
            await asyncio.sleep(1 / _FRAMES_PER_S)

    def _frame(self) -> Group:
        size = self._console.size = _size()
        lines = self._view.screen(max(size.width - 1, 19), max(size.height - 1, 4), self._clock())
        texts = [
            Text(line, style="" if self._plain else _STYLES.get(style, ""), no_wrap=True)
            for line, style in lines
        ]
        return Group(*texts)


def _size() -> ConsoleDimensions:
    """Return the size of the terminal, whatever ``COLUMNS`` says: shells set it at their start."""
    with suppress(OSError, ValueError):
        size = os.get_terminal_size(sys.stdout.fileno())
        if size.columns and size.lines:
            return ConsoleDimensions(size.columns, size.lines)
    return ConsoleDimensions(*shutil.get_terminal_size())
