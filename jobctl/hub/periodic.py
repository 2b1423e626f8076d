"""The hub's chores: what it does on the side, each in a thread, client or no client."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

__all__ = ["Chore", "Done", "Housekeeping"]

_STOP_S = 0.5

_log = logging.getLogger("jobctl.hub")


class Done(NamedTuple):
    """What a chore came to: what to log of it, if anything, and what went wrong."""

    fields: Mapping[str, object] = {}
    errors: Sequence[Exception] = ()


class Chore(NamedTuple):
    """Something that is done at the start of the hub, and then every ``every_s`` seconds.

    ``call`` runs in a thread of its own, never twice at once, and should end soon once the event
    that it gets is set. Its fields are logged as one event with the chore's name; an error of its,
    or one that it raises, is logged once until it is over, and keeps nothing from going on.
    """

    name: str
    every_s: float
    call: Callable[[threading.Event], Done]


class Housekeeping:
    """Does the chores from `start` to `stop`; belongs to the running loop."""

    def __init__(self, chores: Iterable[Chore]) -> None:
        self._chores = tuple(chores)
        self._stopping = threading.Event()
        self._loop = asyncio.get_running_loop()
        self._ended: list[asyncio.Future[None]] = []

    def start(self) -> None:
        """Begin with all chores now."""
        for chore in self._chores:
            ended = self._loop.create_future()
            self._ended.append(ended)
            # A daemon: nobody should wait at the exit for one that waits for a store. Being killed
            # in the middle of a write is what the stores are made for.
            threading.Thread(
                target=self._run, args=(chore, ended), name=f"jobctl-{chore.name}", daemon=True
            ).start()

    async def stop(self) -> None:
        """Begin none any more, and wait for those under way, but not for long."""
        self._stopping.set()
        if self._ended:
            await asyncio.wait(self._ended, timeout=_STOP_S)

    def _run(self, chore: Chore, ended: asyncio.Future[None]) -> None:
        try:
            self._keep_doing(chore)
        finally:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(ended.set_result, None)

    def _keep_doing(self, chore: Chore) -> None:
        said: set[str] = set()
        while not self._stopping.is_set():
            try:
                done = chore.call(self._stopping)
            except Exception as error:
                done = Done(errors=[error])
            if self._stopping.is_set():
                return  # what goes wrong when all is being closed is no news
            if done.fields:
                _log.info(chore.name, extra=dict(done.fields))
            texts = {_text(error) for error in done.errors}
            for text in sorted(texts - said):
                _log.error("%s failed: %s", chore.name, text)
            said = texts
            self._stopping.wait(chore.every_s)


def _text(error: Exception) -> str:
    return str(error) or type(error).__name__
