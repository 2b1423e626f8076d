"""Cancels the asyncio task of an ``async with`` block when its job is to be cancelled."""

from __future__ import annotations

import asyncio
from typing import Any

from jobctl.errors import Cancelled
from jobctl.stores.owners import CancelRequest

__all__ = ["TaskCancellation"]


class TaskCancellation:
    """The cancellation of the current task; made in it, when its block is entered.

    `request` may be called from any thread, at any time; it does nothing after `close`.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[Any] | None = asyncio.current_task()
        self._cancelling = self._task.cancelling() if self._task is not None else 0
        self._requested = False

    def request(self) -> None:
        """Cancel the task, once."""
        try:
            self._loop.call_soon_threadsafe(self._cancel)
        except RuntimeError:
            pass  # the loop is closed

    def _cancel(self) -> None:
        if self._task is not None and not self._requested:
            self._requested = True
            self._task.cancel()

    def close(self) -> None:
        """Ignore later requests: the block has ended."""
        self._task = None

    async def take(
        self, error: BaseException | None, *, id: str, request: CancelRequest | None = None
    ) -> Cancelled | asyncio.CancelledError | None:
        """Undo the cancellation at the end of the block; return the exception to raise, if any.

        ``error`` is the block's. There is no exception if the cancellation has not reached the
        work. A cancellation by others that arrived together with ours is kept. Precedent:
        ``asyncio.timeout``.
        """
        task, self._task = self._task, None
        if not self._requested or task is None:
            return None
        reached = isinstance(error, asyncio.CancelledError)
        if not reached:
            try:
                await asyncio.sleep(0)  # receive it here, where it interrupts nothing
            except asyncio.CancelledError:
                pass
        if task.uncancel() > self._cancelling:  # others have cancelled the task too
            return None if reached else asyncio.CancelledError()
        return Cancelled(id, *(request or ())) if reached else None
