"""Follow a store live: through its hub if one runs, otherwise in the directory itself.

The hub is a replica of the directory, so one cursor is valid for both, and a reader can change from
one to the other without loss.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing, suppress
from functools import partial

from jobctl.core.cursor import ZERO, Cursor
from jobctl.core.filters import EVERYTHING, Filter
from jobctl.core.jobset import Delta
from jobctl.core.protocol import DeadOwners
from jobctl.errors import HubError, UsageError
from jobctl.hub.credentials import Credentials
from jobctl.hub.discovery import RunningHub, usable_hub
from jobctl.reader.clock import HubClock
from jobctl.reader.from_store import from_store
from jobctl.reader.status import Event
from jobctl.stores import Store, path_of

__all__ = ["follow"]

_PATIENCE_S = 2.0
"""If the hub is silent for this long, the directory is read instead."""
_HUB_RETRY_S = 3.0
"""Seconds before a lost hub is tried again; doubled with each failure."""
_MAX_HUB_RETRY_S = 30.0


async def follow(
    *,
    store: Store | None = None,
    url: str | None = None,
    filter: Filter = EVERYTHING,
    fields: Iterable[str] | None = None,
    cursor: Cursor = ZERO,
    timeout_s: float | None = None,
    verify: bool = False,
    bad_files: bool = False,
    clock: HubClock | None = None,
    insist: bool = False,
    credentials: Credentials | None = None,
) -> AsyncGenerator[Event, None]:
    """Yield deltas from ``cursor`` on, `DeadOwners` and `Status` changes, without end.

    With ``url`` only that hub is read; `TimedOut` is raised after ``timeout_s`` seconds without it.
    Otherwise ``store`` is read, through a hub that serves it, or directly. With ``verify`` the
    hub's digests are checked; with ``bad_files`` also `BadFiles` are yielded; with ``fields`` a hub
    sends these keys only, while jobs that are read directly are whole; ``credentials`` are shown to
    the hub, ``clock`` is kept, and with ``insist`` answers that are not a hub's are retried (see
    `Client`).
    """
    filter = filter if fields is None else filter.with_fields(fields)
    if url is not None:
        from jobctl.reader.client import Client  # a reader of a directory needs no network

        client = Client(
            url,
            cursor=cursor,
            filter=filter,
            timeout_s=timeout_s,
            verify=verify,
            bad_files=bad_files,
            clock=clock,
            insist=insist,
            credentials=credentials,
        )
        async with aclosing(client.events()) as events:
            async for event in events:
                yield event
        return
    if store is None:
        raise UsageError("nothing to follow: give a store or the URL of a hub")
    loop = asyncio.get_running_loop()
    hub_retry_s, hub_retry_at_s = _HUB_RETRY_S, 0.0
    dead: frozenset[str] = frozenset()
    while True:
        path = path_of(store)
        hub = usable_hub(path, credentials) if path is not None else None
        if hub is not None and loop.time() < hub_retry_at_s:
            hub = None
        if hub is not None:
            source = _from_hub(hub, cursor, filter, credentials, verify=verify, bad=bad_files)
        else:
            source = from_store(
                store,
                cursor,
                filter,
                until=partial(_is_served, store, credentials, hub_retry_at_s),
                bad=bad_files,
            )
        opened = False
        async with aclosing(source):
            async for event in source:
                if isinstance(event, Delta):
                    opened = True
                    cursor = event.cursor(filter)
                elif isinstance(event, DeadOwners):
                    dead = event.dead
                yield event
        if dead:  # the next source reports them again
            dead = frozenset()
            yield DeadOwners(dead)
        if hub is not None:
            hub_retry_s = _HUB_RETRY_S if opened else min(2 * hub_retry_s, _MAX_HUB_RETRY_S)
            hub_retry_at_s = loop.time() + hub_retry_s


async def _from_hub(
    hub: RunningHub,
    cursor: Cursor,
    filter: Filter,
    credentials: Credentials | None,
    *,
    verify: bool,
    bad: bool,
) -> AsyncGenerator[Event, None]:
    """Yield events of the hub until the connection ends."""
    from jobctl.reader.client import Client

    with suppress(HubError, UsageError):  # a hub's file may have an invalid URL
        client = Client(
            hub.url, cursor=cursor, filter=filter, retry=False, patience_s=_PATIENCE_S,
            verify=verify, bad_files=bad, token=hub.token, credentials=credentials,
        )  # fmt: skip
        async with aclosing(client.events()) as events:
            async for event in events:
                yield event


def _is_served(store: Store, credentials: Credentials | None, hub_retry_at_s: float) -> bool:
    """Whether a hub serves the store and may be tried now."""
    path = path_of(store)
    if path is None or asyncio.get_running_loop().time() < hub_retry_at_s:
        return False
    return usable_hub(path, credentials) is not None
