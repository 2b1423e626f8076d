"""Follow a store live: through its hub if one runs, otherwise in the directory itself.

The hub is a replica of the directory, so one cursor is valid for both, and a reader can change from
one to the other without loss.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

from jobctl.core.cursor import ZERO, Cursor
from jobctl.core.filters import EVERYTHING, Filter
from jobctl.core.jobset import Delta
from jobctl.core.protocol import DeadOwners
from jobctl.errors import HubError, JobctlError, StoreError, UsageError
from jobctl.hub.credentials import Credentials
from jobctl.hub.discovery import RunningHub, usable_hub
from jobctl.reader.client import Client
from jobctl.reader.status import Status
from jobctl.stores import Store
from jobctl.stores.bell import Listener
from jobctl.stores.subscriptions import AGAIN_S

__all__ = ["follow"]

_POLL_S = 0.4
"""Seconds between reads of the directory without a ring; other programs do not ring the bell."""
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
    cursor: Cursor = ZERO,
    timeout_s: float | None = None,
    verify: bool = False,
    credentials: Credentials | None = None,
) -> AsyncGenerator[Delta | Status | DeadOwners, None]:
    """Yield deltas from ``cursor`` on, `DeadOwners` and `Status` changes, without end.

    With ``url`` only that hub is read; `TimedOut` is raised after ``timeout_s`` seconds without it.
    Otherwise ``store`` is read, through a hub that serves it, or directly. With ``verify`` the
    hub's digests are checked; ``credentials`` are shown to it (see `Client`).
    """
    if url is not None:
        client = Client(
            url,
            cursor=cursor,
            filter=filter,
            timeout_s=timeout_s,
            verify=verify,
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
        hub = usable_hub(store.path, credentials) if store.path is not None else None
        if hub is not None and loop.time() < hub_retry_at_s:
            hub = None
        if hub is not None:
            source = _from_hub(hub, cursor, filter, credentials, verify=verify)
        else:
            source = _from_store(store, cursor, filter, credentials, hub_retry_at_s)
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
) -> AsyncGenerator[Delta | Status | DeadOwners, None]:
    """Yield events of the hub until the connection ends."""
    with suppress(HubError, UsageError):  # a hub's file may have an invalid URL
        client = Client(
            hub.url, cursor=cursor, filter=filter, retry=False, patience_s=_PATIENCE_S,
            verify=verify, token=hub.token, credentials=credentials,
        )  # fmt: skip
        async with aclosing(client.events()) as events:
            async for event in events:
                yield event


async def _from_store(
    store: Store,
    cursor: Cursor,
    filter: Filter,
    credentials: Credentials | None,
    hub_retry_at_s: float,
) -> AsyncGenerator[Delta | Status | DeadOwners, None]:
    """Yield events of the store until a hub serves it and may be tried."""
    loop = asyncio.get_running_loop()
    bell_rang = asyncio.Event()
    dead = sent_dead = frozenset[str]()
    listener: Listener | None = None
    last_error = ""
    first = True
    sent_through, unfinished = cursor.revision, False  # the last delta that was passed on
    more = False
    polled_s = 0.0
    yield Status("open", "directory", store.where)
    try:
        while True:
            if listener is None:
                listener = _listen(store, loop, bell_rang)
            bell_rang.clear()
            try:
                if loop.time() - polled_s >= _POLL_S:
                    await asyncio.to_thread(store.refresh)
                    polled_s = loop.time()
                    # Before the read, which then has everything that they have written.
                    dead = await asyncio.to_thread(store.owners.dead)
                more = moving = True
                while more and moving:
                    delta = await asyncio.to_thread(_read, store, cursor, filter)
                    changed = delta.jobs or delta.gone or delta.since == 0 != cursor.revision
                    more, moving = delta.more, delta.cursor(filter) != cursor
                    cursor = delta.cursor(filter)
                    if changed or first or (unfinished and not more):
                        first = False
                        # What was read in silence before is part of it: it follows from
                        # `sent_through`.
                        yield delta._replace(since=min(delta.since, sent_through))
                        sent_through, unfinished = delta.through, more
                if (
                    dead != sent_dead and not more
                ):  # else they may have written more than we have read
                    sent_dead = dead
                    yield DeadOwners(dead)
                if last_error:
                    last_error = ""
                    yield Status("open", "directory", store.where)
            except StoreError as error:
                more = False
                if str(error) != last_error:
                    last_error = str(error)
                    yield Status("error", "directory", store.where, last_error, _POLL_S)
            with suppress(TimeoutError):
                # Not wait_for(): before Python 3.12 it loses a cancellation that comes with a ring.
                async with asyncio.timeout(AGAIN_S if more else _POLL_S):
                    await bell_rang.wait()
            if (
                loop.time() >= hub_retry_at_s
                and store.path is not None
                and usable_hub(store.path, credentials) is not None
            ):
                return
    finally:
        if listener is not None:
            loop.remove_reader(listener.fileno())
            listener.close()


def _listen(
    store: Store, loop: asyncio.AbstractEventLoop, bell_rang: asyncio.Event
) -> Listener | None:
    """Return a listener on the store's bell, or ``None`` if there is no bell."""
    try:
        listener = store.listen()
    except JobctlError:
        return None

    def ring() -> None:
        listener.drain()
        bell_rang.set()

    loop.add_reader(listener.fileno(), ring)
    return listener


def _read(store: Store, cursor: Cursor, filter: Filter) -> Delta:
    """Read the store and apply the filter."""
    if cursor.tag != filter.tag:
        cursor = ZERO
    delta = store.since(Cursor(cursor.epoch, cursor.revision))
    if delta.since == 0:
        # A reset brings tombstones for replicas; a reader of its own needs the jobs only.
        delta = delta._replace(gone=())
    return delta.filtered(filter)
