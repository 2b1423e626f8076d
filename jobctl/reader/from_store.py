"""Follow a store without a hub: by its bell, by file events, and by polling."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress

from jobctl.core.cursor import ZERO, Cursor
from jobctl.core.filters import Filter
from jobctl.core.jobset import Delta
from jobctl.core.protocol import BadFiles, DeadOwners
from jobctl.errors import JobctlError, StoreError
from jobctl.reader.status import Event, Status
from jobctl.stores import BadFile, Store, bad_files, path_of, refresh
from jobctl.stores.bell import Listener
from jobctl.stores.file_watcher import FileWatcher
from jobctl.stores.subscriptions import AGAIN_S

__all__ = ["from_store"]

_POLL_S = 0.4
"""Seconds between looks at the change log and the owners, which cost the same for any number of
jobs. Files of other programs are checked no more often than this."""
_SCAN_S = 30.0
"""Seconds between checks of all files while the directory is watched."""
_UNWATCHED_SCAN_S = 2.0
"""Seconds between checks of all files while the directory cannot be watched."""
_SETTLED_S = 1.2
"""Without a change log, a file that changed is checked again after this: it may have been half
written."""


async def from_store(
    store: Store,
    cursor: Cursor,
    filter: Filter,
    *,
    until: Callable[[], bool],
    bad: bool = False,
) -> AsyncGenerator[Event, None]:
    """Yield the store's deltas from ``cursor`` on, `DeadOwners` and `Status` changes.

    With ``bad`` also `BadFiles`, first after all jobs and then whenever the list changes. It ends
    when ``until``, which is called after each read, returns true.
    """
    loop = asyncio.get_running_loop()
    woken = asyncio.Event()
    bell = _BellWatch(store, woken)
    files = _FileChecks(store, woken)
    dead = sent_dead = frozenset[str]()
    last_error = ""
    first = True
    sent_through, unfinished = cursor.revision, False  # the last delta that was passed on
    more = False
    found: list[BadFile] = []
    sent_bad: BadFiles | None = None
    read_again = True
    polled_s = 0.0
    yield Status("open", "directory", store.where)
    try:
        while True:
            woken.clear()
            try:
                due = bell.rang() or more or read_again
                read_again = True  # unless no error comes up
                if loop.time() - polled_s >= _POLL_S:
                    polled_s = loop.time()
                    # Before the read, which then has everything that they have written.
                    dead, head = await asyncio.to_thread(_poll, store)
                    due = due or dead != sent_dead or _has_moved(head, cursor)
                due = reads = await files.check() or due
                while due:
                    delta, found = await asyncio.to_thread(_read, store, cursor, filter, bad=bad)
                    changed = delta.jobs or delta.gone or delta.since == 0 != cursor.revision
                    more, due = delta.more, delta.more and delta.cursor(filter) != cursor
                    cursor = delta.cursor(filter)
                    if changed or first or (unfinished and not more):
                        first = False
                        # What was read in silence before is part of it: it follows from
                        # `sent_through`.
                        yield delta._replace(since=min(delta.since, sent_through))
                        sent_through, unfinished = delta.through, more
                if reads:
                    await files.after_read()
                if (
                    dead != sent_dead and not more
                ):  # else they may have written more than we have read
                    sent_dead = dead
                    yield DeadOwners(dead)
                if bad and reads and not more:
                    now_bad = BadFiles({item.name: item.reason for item in found})
                    if now_bad != sent_bad:
                        sent_bad = now_bad
                        yield now_bad
                read_again = False
                files.watch()  # after the first read: a reader that has enough does not pay for it
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
                    await woken.wait()
            if until():
                return
    finally:
        bell.close()
        await files.close()


class _BellWatch:
    """Listens to the store's bell, as soon as there is one; sets ``woken`` at a ring.

    Further rings wake nobody until `rang` is called, which is before the next read.
    """

    def __init__(self, store: Store, woken: asyncio.Event) -> None:
        self._store = store
        self._woken = woken
        self._loop = asyncio.get_running_loop()
        self._listener: Listener | None = None
        self._rang = False

    def rang(self) -> bool:
        """Return whether the bell rang since the last call."""
        if self._listener is None:
            with suppress(JobctlError):  # there is no bell: we poll
                self._listener = self._store.listen()
                self._loop.add_reader(self._listener.fileno(), self._on_ring, self._listener)
                return True  # what rang before is not known
        rang, self._rang = self._rang, False
        if rang and self._listener is not None:
            self._listener.drain()
            self._loop.add_reader(self._listener.fileno(), self._on_ring, self._listener)
        return rang

    def _on_ring(self, listener: Listener) -> None:
        self._loop.remove_reader(listener.fileno())
        self._rang = True
        self._woken.set()

    def close(self) -> None:
        if self._listener is not None:
            self._loop.remove_reader(self._listener.fileno())
            self._listener.close()
            self._listener = None


class _FileChecks:
    """Has the store check the files that other programs may have changed.

    Those that file events report; and all files every 30 s, or every 2 s while the directory cannot
    be watched. A store without files has nothing to check, and is read at each poll.
    """

    def __init__(self, store: Store, woken: asyncio.Event) -> None:
        self._store = store
        self._loop = asyncio.get_running_loop()
        path = path_of(store)
        self._watcher = FileWatcher(path, woken.set) if path is not None else None
        self._started = False
        self._all = True  # check all files next time
        self._unsettled = False
        self._checked_s = self._scanned_s = 0.0
        self._settled_s: float | None = None

    def watch(self) -> None:
        """Watch the directory from now on. Does nothing if it is watched already."""
        if self._watcher is not None and not self._started:
            self._started = True
            self._watcher.start()

    async def check(self) -> bool:
        """Check the files for which it is time; return whether the store must be read then."""
        if self._watcher is None:
            return True
        now_s = self._loop.time()
        if now_s - self._checked_s < _POLL_S:
            return False  # the next poll sees to it
        ids = self._watcher.take()
        scan_s = _SCAN_S if self._watcher.reliable else _UNWATCHED_SCAN_S
        settled = self._settled_s is not None and now_s >= self._settled_s
        self._all = self._all or ids is None or settled or now_s - self._scanned_s >= scan_s
        if not (ids or self._all or self._unsettled):
            return False
        all_files, self._all = self._all, True  # unless no error comes up
        self._checked_s = now_s
        if all_files:
            self._scanned_s = now_s
            self._settled_s = None
        self._unsettled = await asyncio.to_thread(
            refresh, self._store, None if all_files else ids or set()
        )
        if ids and await asyncio.to_thread(self._store.head) == ZERO:
            self._settled_s = now_s + _SETTLED_S
        self._all = False
        return True

    async def after_read(self) -> None:
        """Have the store checked again soon if the read met files that are missing, or no jobs."""
        if self._watcher is not None:
            unsettled = await asyncio.to_thread(refresh, self._store, set[str]())
            self._unsettled = self._unsettled or unsettled

    async def close(self) -> None:
        if self._watcher is not None:
            await self._watcher.close()


def _poll(store: Store) -> tuple[frozenset[str], Cursor]:
    """Return the dead owners, and then the newest revision."""
    return store.owners.dead(), store.head()


def _has_moved(head: Cursor, cursor: Cursor) -> bool:
    """Whether the change log has something to read.

    Without records only the files tell, and a read looks at all of them.
    """
    return head.revision > 0 and (head.epoch, head.revision) != (cursor.epoch, cursor.revision)


def _read(
    store: Store, cursor: Cursor, filter: Filter, *, bad: bool
) -> tuple[Delta, list[BadFile]]:
    """Read the store and apply the filter; with ``bad`` also return the files in quarantine."""
    if cursor.tag != filter.tag:
        cursor = ZERO
    delta = store.since(Cursor(cursor.epoch, cursor.revision))
    if delta.since == 0:
        # A reset brings tombstones for replicas; a reader of its own needs the jobs only.
        delta = delta._replace(gone=())
    return delta.filtered(filter), bad_files(store) if bad else []
