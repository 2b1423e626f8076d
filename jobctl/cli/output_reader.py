"""Whether anybody still reads standard output: a pipe's reader, or a terminal."""

from __future__ import annotations

import asyncio
import select
import signal
import sys
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from jobctl.cli.exits import Exit

__all__ = ["while_read"]

T = TypeVar("T")

_POLL_S = 0.4


async def while_read(main: Coroutine[Any, Any, T]) -> T:
    """Run the coroutine; end it with BrokenPipeError when nobody reads standard output any more.

    A write finds that out by itself, but there may be nothing to write for hours. When a terminal
    is gone, end as by SIGHUP: only its own session gets that signal, and ``nohup`` ignores it.
    """
    fd = _descriptor()
    if fd < 0:
        return await main
    task = asyncio.ensure_future(main)
    is_terminal = sys.stdout.isatty()
    poll = select.poll()
    poll.register(fd, 0)  # errors alone: a pipe without readers, a closed connection
    try:
        while not task.done():
            await asyncio.wait([task], timeout=_POLL_S)
            if not task.done() and _is_gone(poll):
                raise Exit(128 + signal.SIGHUP) if is_terminal else BrokenPipeError
        return task.result()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            if not task.done():
                await task


def _descriptor() -> int:
    """Return the descriptor of standard output; -1 if it has none."""
    try:
        return sys.stdout.fileno()
    except (OSError, ValueError, AttributeError):
        return -1


def _is_gone(poll: select.poll) -> bool:
    return any(what & (select.POLLERR | select.POLLHUP) for _, what in poll.poll(0))
