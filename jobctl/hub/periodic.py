"""Periodic tasks of the hub. Each runs in a thread, also while no client is connected."""

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
    """What one run of a task did: fields to log, if any, and errors."""

    fields: Mapping[str, object] = {}
    errors: Sequence[Exception] = ()


class PeriodicTask(NamedTuple):
    """A task that runs when the hub starts, and then every ``interval_s`` seconds.

    ``call`` runs in its own thread, never twice at the same time. It should return soon after the
    event that it gets is set. The fields of its result are logged as one event with the task's
    name. Each error, returned or raised, is logged once until it stops occurring, and so is the
    first run without errors after that; other tasks go on. Setting ``wake`` makes it run at
    once.
    """

    name: str
    interval_s: float
    call: Callable[[threading.Event], TaskResult]
    wake: threading.Event | None = None


class PeriodicTasks:
    """Runs the tasks from `start` to `stop`. Belongs to the running event loop."""

    def __init__(self, periodic_tasks: Iterable[PeriodicTask]) -> None:
        self._periodic_tasks = tuple(periodic_tasks)
        self._stopping = threading.Event()
        self._loop = asyncio.get_running_loop()
        self._ended: list[asyncio.Future[None]] = []

    def start(self) -> None:
        """Start all tasks now."""
        for periodic_task in self._periodic_tasks:
            ended = self._loop.create_future()
            self._ended.append(ended)
            # A daemon thread: the exit must not wait for a store. Stores survive a process that is
            # killed in the middle of a write.
            threading.Thread(
                target=self._run,
                args=(periodic_task, ended),
                name=f"jobctl-{periodic_task.name}",
                daemon=True,
            ).start()

    async def stop(self) -> None:
        """Start no more runs; wait a short time for those that are running."""
        self._stopping.set()
        for periodic_task in self._periodic_tasks:
            if periodic_task.wake is not None:
                periodic_task.wake.set()
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
                return  # errors while everything is being closed are expected
            if done.fields:
                _log.info(periodic_task.name, extra=dict(done.fields))
            texts = {_text(error) for error in done.errors}
            for text in sorted(texts - logged):
                _log.error("%s failed: %s", periodic_task.name, text)
            if logged and not texts:
                _log.warning("%s works again", periodic_task.name)
            logged = texts
            due = periodic_task.wake or self._stopping
            if due.wait(periodic_task.interval_s) and due is periodic_task.wake:
                due.clear()


def _text(error: Exception) -> str:
    return str(error) or type(error).__name__
