"""The one read of a directory store: which way it is read, and what is in quarantine.

With a change log, `DirectoryRead` makes the delta. Without one the directory is scanned.
"""

from __future__ import annotations

import time

from jobctl._gc import gc_paused
from jobctl.core.cursor import MAX_REVISION, ZERO, Cursor
from jobctl.core.jobset import Delta
from jobctl.errors import StoreError
from jobctl.stores.contract import BadFile
from jobctl.stores.directory.changelog import Damaged, Log
from jobctl.stores.directory.files import translated
from jobctl.stores.directory.index import Index
from jobctl.stores.directory.lock import ExclusiveAccess
from jobctl.stores.directory.place import DirectoryState, Place
from jobctl.stores.directory.read import DirectoryRead
from jobctl.stores.directory.reconcile import Reconciler
from jobctl.stores.directory.scan import Scan

__all__ = ["Deltas"]

_MAX_READS = 5
_FIRST_RECORD_S = 2.0
"""For this long a log without records is read as an empty one, while its files get none.

A reader's first load waits meanwhile; one that has loaded already is told of no files yet.
"""
_RETRY_S = 0.01


class _WriterAtWork(Exception):
    """A writer holds the lock, so files without a record do not get their first one yet."""


class Deltas:
    """The deltas of one store. With ``adopt`` a missing or damaged change log is made anew."""

    def __init__(
        self,
        place: Place,
        access: ExclusiveAccess,
        index: Index,
        reconciler: Reconciler,
        where: str,
        *,
        adopt: bool,
    ) -> None:
        self._place = place
        self._access = access
        self._index = index
        self._reconciler = reconciler
        self._where = where
        self._adopt = adopt
        self._scan = Scan(index.parser)
        self._bad: dict[str, str] = {}
        self._bad_names: dict[str, str] = {}
        self._recordless_since_s: float | None = None  # monotonic

    def head(self) -> Cursor:
        """Return the cursor of the newest revision; `ZERO` without a log."""
        with translated("reading", self._where):
            log = self.state_with_log().log
            return Cursor(log.epoch, log.head()) if log is not None else ZERO

    def behind(self, cursor: Cursor) -> int:
        """Return how many records a read from this cursor would examine."""
        with translated("reading", self._where):
            log = self._place.current().log
            if log is None or log.epoch != cursor.epoch:
                return MAX_REVISION
            return log.count() - log.after(cursor.revision)

    def since(self, cursor: Cursor, limit: int | None, snapshot_start: int) -> Delta:
        """Return what changed after the cursor, as `Store.since` describes it."""
        with translated("reading", self._where):
            reads = 0
            while reads < _MAX_READS:
                state = self.state_with_log()
                if state.log is None:
                    return self._scanned(state, cursor, limit, snapshot_start)
                try:
                    delta = self._read(state, state.log, cursor, limit, snapshot_start)
                except Damaged:
                    if not self._adopt:
                        return self._scanned(state, cursor, limit, snapshot_start)
                    self._access.begin_epoch_instead_of(state.log)
                except _WriterAtWork:
                    time.sleep(_RETRY_S)
                    continue
                else:
                    if delta is not None:
                        return delta
                reads += 1
        raise StoreError(
            f"{self._where} changes faster than it can be read", path=self._where, hint="try again"
        )

    def bad(self) -> list[BadFile]:
        """Return the files in quarantine, as of the last read."""
        with self._index.guard:
            if self._place.current().log is None:
                return self._scan.bad()
            bad = {**self._bad_names, **{f"{id}.json": reason for id, reason in self._bad.items()}}
        return [BadFile(name, reason) for name, reason in sorted(bad.items())]

    def refresh(self, ids: set[str] | None) -> bool:
        """Check these ids, or all, for changes by other programs.

        Without a log each read checks all; this tells whether the last one left some unsettled.
        """
        if self._place.current().log is None:
            with self._index.guard:
                return self._scan.is_unsettled
        unsettled, odd = self._reconciler.refresh(ids)
        if odd is not None:
            self._bad_names = odd
        return unsettled

    def state_with_log(self) -> DirectoryState:
        """Return the current state; with ``adopt``, create a missing log first.

        Call it without the guard: this may wait for a writer, who may wait for the guard.
        """
        state = self._place.current()
        if self._adopt and self._access.lacks_log(state):
            with self._access.writing() as state:
                pass
        return state

    def _read(
        self,
        state: DirectoryState,
        log: Log,
        cursor: Cursor,
        limit: int | None,
        snapshot_start: int,
    ) -> Delta | None:
        """Return the delta, or ``None`` if the log was replaced meanwhile.

        Raises `_WriterAtWork` on a first load where only a busy lock, or an error that may pass,
        keeps the files from the log's first records.
        """
        with self._index.guard:
            since = cursor.revision
            if (
                since
                and cursor.epoch == log.epoch
                and log.floor <= max(since, snapshot_start)
                and since <= log.head()
            ):
                # At most 20 ms of it: this may be an event loop.
                looks = self._reconciler.settle_earlier()
                reading = DirectoryRead(
                    log,
                    state.dir_fd,
                    self._index,
                    since,
                    self._reconciler.settle,
                    looks=looks,
                    limit=limit,
                    snapshot_start=snapshot_start,
                )
                return self._delta(log, reading)
            with gc_paused():
                known = self._index.position if self._index.log is log else 0
                records = self._index.follow(log)
                names, self._bad_names = self._index.names(state.dir_fd)
                self._bad.clear()
                reading = DirectoryRead(
                    log,
                    state.dir_fd,
                    self._index,
                    0,
                    self._reconciler.settle,
                    # What the index has read of the log needs no second reading, if that was all.
                    records=None if known else records,
                    names=names,
                    limit=limit,
                )
                delta = self._delta(log, reading)
            if delta is not None and delta.jobs and not delta.through:
                # Files, and a log that has no revision yet to tell of them: until it has, a reader
                # who may not give it one must not share its epoch. An error may pass, as a lock
                # does; that we may not write here stays so.
                if (not reading.refused or self._reconciler.may_write) and self._may_pass():
                    if cursor == ZERO:
                        raise _WriterAtWork
                    if cursor == Cursor(log.epoch, 0):
                        # Whoever has loaded an empty log may read in an event loop, as a hub does.
                        # It is told nothing yet, and asks again since the files are unsettled.
                        return Delta(log.epoch, 0, 0)
                return self._scanned(state, cursor, limit, snapshot_start)
            self._recordless_since_s = None
            return delta

    def _may_pass(self) -> bool:
        """Whether what keeps files from the log's first records has not lasted for long."""
        now_s = time.monotonic()
        if self._recordless_since_s is None:
            self._recordless_since_s = now_s
        return now_s - self._recordless_since_s < _FIRST_RECORD_S

    def _delta(self, log: Log, reading: DirectoryRead) -> Delta | None:
        delta = reading.run()
        self._reconciler.unsettled |= reading.stale
        if reading.pending and self._place.current().log is not log:
            return None
        self._index.loose |= reading.loose
        for id in reading.taken:
            self._bad.pop(id, None)
        self._bad.update(reading.bad)
        return delta

    def _scanned(
        self, state: DirectoryState, cursor: Cursor, limit: int | None, snapshot_start: int
    ) -> Delta:
        with self._index.guard:
            return self._scan.since(cursor, state.dir_fd, limit, snapshot_start=snapshot_start)
