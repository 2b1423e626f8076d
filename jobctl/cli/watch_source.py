"""What ``jobctl watch`` reads: a hub, or a directory, which may not exist yet."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from jobctl.core.cursor import Cursor
from jobctl.core.filters import Filter
from jobctl.hub.credentials import Credentials
from jobctl.reader.clock import HubClock
from jobctl.reader.follow import follow
from jobctl.reader.status import Event, Status
from jobctl.stores import Store

__all__ = ["MISSING", "WatchSource"]

MISSING = "waiting until it exists"
_POLL_S = 0.2


class WatchSource:
    """The source of the events, and what else can be asked there.

    Either ``url`` is given, or ``open`` and ``path``: ``open`` returns the directory's store, and
    is called when there is a directory.
    """

    def __init__(
        self,
        *,
        url: str | None = None,
        open: Callable[[], Store] | None = None,
        path: str = "",
        credentials: Credentials | None = None,
    ) -> None:
        self.url, self.credentials = url, credentials
        self.store: Store | None = None
        self._open, self._path = open, path

    def open_now(self) -> Store | None:
        """Open the store, if its directory exists; ``None`` otherwise, or with a hub.

        Raises `StoreError` if there is something else, or something that cannot be read.
        """
        if self.store is None and self._open is not None:
            try:
                os.stat(self._path)
            except FileNotFoundError:
                return None
            except OSError:
                pass  # the store says what is wrong
            self.store = self._open()
        return self.store

    def close(self) -> None:
        """Close the store."""
        if self.store is not None:
            self.store.close()

    async def events(
        self,
        *,
        filter: Filter,
        cursor: Cursor,
        timeout_s: float | None,
        verify: bool,
        clock: HubClock,
        insist: bool,
    ) -> AsyncGenerator[Event, None]:
        """Yield the events of `follow`; before, wait until the directory exists."""
        if self.url is None and self.open_now() is None:
            yield Status("connecting", "directory", self._path, MISSING)
            while self.open_now() is None:  # noqa: ASYNC110 - no event tells of a directory
                await asyncio.sleep(_POLL_S)
        source = follow(
            store=self.store,
            url=self.url,
            filter=filter,
            cursor=cursor,
            timeout_s=timeout_s,
            verify=verify,
            bad_files=True,
            clock=clock,
            insist=insist,
            credentials=self.credentials,
        )
        async with aclosing(source) as events:
            async for event in events:
                yield event
