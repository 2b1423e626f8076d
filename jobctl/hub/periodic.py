"""The hub's chores: what it does on the side, each in a thread, client or no client."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

__all__ = ["PeriodicTask", "PeriodicTasks", "TaskResult"]

_STOP_S = 0.5

_log = logging.getLogger("jobctl.hub")


class TaskResult(NamedTuple):
    """What a chore came to: what to log of it, if anything, and what went wrong."""

    fields: Mapping[str, object] = {}
    errors: Sequence[Exception] = ()


class PeriodicTask(NamedTuple):
    """Something that is done at the start of the hub, and then every ``interval_s`` seconds.

    ``call`` runs in a thread of its own, never twice at once, and should end soon once the event
    that it gets is set. Its fields are logged as one event with the chore's name; an error of its,
    or one that it raises, is logged once until it is over, and keeps nothing from going on.
    """

    name: str
    interval_s: float
    call: Callable[[threading.Event], TaskResult]


class PeriodicTasks:
    """Does the chores from `start` to `stop`; belongs to the running loop."""

    def __init__(self, periodic_tasks: Iterable[PeriodicTask]) -> None:
        self._periodic_tasks = tuple(periodic_tasks)
        self._stopping = threading.Event()
        self._loop = asyncio.get_running_loop()
        self._ended: list[asyncio.Future[None]] = []

    def start(self) -> None:
        """Begin with all chores now."""
        for periodic_task in self._periodic_tasks:
            ended = self._loop.create_future()
            self._ended.append(ended)
            # A daemon: nobody should wait at the exit for one that waits for a store. Being killed
            # in the middle of a write is what the stores are made for.
            threading.Thread(
                target=self._run,
                args=(periodic_task, ended),
                name=f"jobctl-{periodic_task.name}",
                daemon=True,
            ).start()

    async def stop(self) -> None:
        """Begin none any more, and wait for those under way, but not for long."""
        self._stopping.set()
        if self._ended:
            await asyncio.wait(self._ended, timeout=_STOP_S)

    def _run(self, periodic_task: PeriodicTask, ended: asyncio.Future[None]) -> None:
        try:
            self._run_forever(periodic_task)
        finally:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(ended.set_result, None)

    def _run_forever(self, periodic_task: PeriodicTask) -> None:
        logged: set[str] = set()
        while not self._stopping.is_set():
            try:
                done = periodic_task.call(self._stopping)
            except Exception as error:
                done = TaskResult(errors=[error])
            if self._stopping.is_set():
                return  # what goes wrong when all is being closed is no news
            if done.fields:
                _log.info(periodic_task.name, extra=dict(done.fields))
            texts = {_text(error) for error in done.errors}
            for text in sorted(texts - logged):
                _log.error("%s failed: %s", periodic_task.name, text)
            logged = texts
            self._stopping.wait(periodic_task.interval_s)


def _text(error: Exception) -> str:
    return str(error) or type(error).__name__
