"""The directory store: one JSON file per job, a change log for the order, a bell for the hint.

*The job files are the state, the log is the order, the bell is only a hint.*

This class puts the parts together: `DirectoryWriter` writes under the lock (write.py), `Deltas`
reads without it (deltas.py, read.py), `Lookup` finds one job (lookup.py), `Reconciler` records what
other programs did (reconcile.py).
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterable
from contextlib import suppress

from jobctl._fork import in_forked_child, notice_fork
from jobctl._gc import gc_paused
from jobctl._stdlib import tidy
from jobctl.core.cursor import Cursor
from jobctl.core.job import Job
from jobctl.core.jobset import Delta
from jobctl.errors import JobNotFound, StoreError
from jobctl.stores.bell import Listener
from jobctl.stores.contract import LOG_READ_BYTES, BadFile, Change, Check
from jobctl.stores.directory.bell import DirectoryBell
from jobctl.stores.directory.deltas import Deltas
from jobctl.stores.directory.files import JobCache, translated
from jobctl.stores.directory.foreign import foreign_among
from jobctl.stores.directory.index import Index
from jobctl.stores.directory.lock import ExclusiveAccess
from jobctl.stores.directory.lookup import Lookup
from jobctl.stores.directory.owners import DirectoryOwners
from jobctl.stores.directory.parsing import JobParser
from jobctl.stores.directory.place import Place
from jobctl.stores.directory.reconcile import Reconciler
from jobctl.stores.directory.write import DirectoryWriter
from jobctl.stores.owners import Owners
from jobctl.stores.subscriptions import Subscriptions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from jobctl.core.log import LogPart
    from jobctl.stores.contract import LogInfo
    from jobctl.stores.directory.logs import DirectoryLogs, DirectoryLogWriter

__all__ = ["DirectoryStore"]

_CLOSE_S = 0.5

_stores: weakref.WeakSet[DirectoryStore] = weakref.WeakSet()


class DirectoryStore:
    """Jobs in a directory under the `Store` contract.

    Reading creates nothing in the directory. Without a change log it is scanned, under an epoch of
    this object's own. With ``adopt`` this reader creates and keeps the log too.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        create: bool = False,
        adopt: bool = False,
        durable: bool | None = None,
    ) -> None:
        self.where = where = tidy(os.fspath(path))
        self._place = place = Place(os.path.join(os.getcwd(), where))
        parser = JobParser(place)
        self._index = index = Index(parser)
        self._bell = DirectoryBell(os.path.join(place.meta_path, "bell"))
        self._access = access = ExclusiveAccess(place, self._bell, where, durable=durable)
        cache = JobCache(parser.parse)
        self._reconciler = Reconciler(place, access, index, where, self._drop_log)
        self._lookup = Lookup(place, cache, where)
        self._writer = DirectoryWriter(access, cache, self._lookup, self._reconciler, where)
        self._deltas = Deltas(place, access, index, self._reconciler, where, adopt=adopt)
        self._logs: DirectoryLogs | None = None
        self._subscriptions = Subscriptions(self.head, self.since, self.listen)
        self.owners: Owners = DirectoryOwners(place)
        _stores.add(self)
        if create:
            place.create()
        self.created = place.created
        place.current()
        if adopt:
            parser.prepare()
            place.writable()
            self._deltas.state_with_log()

    @property
    def path(self) -> Path:
        from pathlib import Path  # with urllib.parse, which it needs, 3 ms

        return Path(self._place.path)

    def head(self) -> Cursor:
        return self._deltas.head()

    def since(self, cursor: Cursor, limit: int | None = None, *, snapshot_start: int = 0) -> Delta:
        notice_fork()
        return self._deltas.since(cursor, limit, snapshot_start)

    def behind(self, cursor: Cursor) -> int:
        return self._deltas.behind(cursor)

    def bad(self) -> list[BadFile]:
        return self._deltas.bad()

    def refresh(self, ids: set[str] | None = None) -> bool:
        notice_fork()
        return self._deltas.refresh(ids)

    def get(self, id: str) -> Job:
        return self._lookup.get(id)

    def get_runnable(self, id: str) -> Job:
        return self._lookup.get_runnable(id)

    def ids(self, prefix: str = "") -> list[str]:
        return self._lookup.ids(prefix)

    def creation_times(self) -> tuple[dict[str, str], list[BadFile]]:
        """See `stores.creation_times`."""
        from jobctl.stores.directory.listing import list_created

        with translated("reading", self.where), gc_paused():
            state = self._place.current()
            times, bad = list_created(state.dir_fd, state.log, self._index.parser)
        return times, [BadFile(name, reason) for name, reason in sorted(bad.items())]

    def foreign(self, jobs: Iterable[Job]) -> set[str]:
        with translated("reading", self.where):
            return foreign_among(jobs, self._place, self._index)

    def create(self, job: Job) -> Job:
        made = self._writer.create(job)
        if self._has_logs():
            self._kept().remove_other(made)
        return made

    def update(self, id: str, change: Change) -> Job:
        return self._writer.update(id, change)

    def remove(
        self,
        id: str,
        check: Check | None = None,
        *,
        damaged: bool = False,
        request: str | None = None,
    ) -> None:
        self._writer.remove(id, check, damaged=damaged, request=request)
        self._drop_log(id)

    def removed_by(self, id: str, request: str) -> int | None:
        with translated("reading", self.where, id):
            return self._lookup.removed_by(id, request)

    def log_writer(self, job: Job) -> DirectoryLogWriter:
        return self._kept().writer(job)

    def read_log(self, id: str, offset: int = 0, limit: int = LOG_READ_BYTES) -> LogPart | None:
        with translated("reading the log of", self.where, id):
            return self._kept().read(id, offset, limit)

    def log_info(self, id: str) -> LogInfo | None:
        with translated("reading the log of", self.where, id):
            return self._kept().info(id)

    def logs(self) -> list[LogInfo]:
        with translated("reading the logs", self.where):
            return self._kept().all()

    def remove_log(self, id: str) -> bool:
        with translated("removing the log of", self.where, id):
            return self._kept().remove(id)

    def _log_has_grown(self, logs_fd: int) -> None:
        """Keep all logs within their limit."""
        from jobctl.stores.directory.log_space import LogSpace

        LogSpace(self._place, self._has_ended).grown(logs_fd)

    def _has_ended(self, id: str) -> bool:
        try:
            return not self.get(id).active
        except JobNotFound:
            return True
        except StoreError:
            return False

    def _drop_log(self, id: str) -> None:
        """Remove the log of a job that is gone; what cannot be removed now is swept later."""
        if self._has_logs():
            with suppress(OSError, StoreError):
                self._kept().remove(id)

    def _has_logs(self) -> bool:
        return os.path.isdir(os.path.join(self._place.meta_path, "logs"))

    def _kept(self) -> DirectoryLogs:
        if self._logs is None:
            from jobctl.stores.directory.logs import DirectoryLogs  # which few commands need

            self._logs = DirectoryLogs(self._place, self._log_has_grown)
        return self._logs

    def listen(self) -> Listener:
        state = self._place.current()
        if state.meta is None:
            raise StoreError(f"{self.where} has no bell yet", path=self.where)
        # A socket that we make, and give a mode, where others can put a link in its place.
        if why := self._place.why_not_obeyed(state.meta.fd, state):
            raise StoreError(f"{self.where} has no bell for us: {why}", path=self.where)
        with translated("listening", self.where):
            return self._access.bell.listen()

    def subscribe(self, callback: Callable[[Delta], None]) -> Callable[[], None]:
        if self._place.current().meta is None:
            with self._access.writing():
                pass
        return self._subscriptions.add(callback)

    def close(self) -> None:
        notice_fork()
        self._subscriptions.close()
        self._bell.close()
        self.owners.close()
        if not self._index.guard.acquire(timeout=_CLOSE_S):
            return  # a large read is under way in a thread: it needs what we would let go of
        try:
            self._index.clear()
            self._access.close()
            self._place.close()
        finally:
            self._index.guard.release()

    def _forget_threads(self) -> None:
        """Start anew in a forked child: the threads that held the guards are in the parent."""
        self._index.renew_guard()
        self._subscriptions.forget()


@in_forked_child
def _after_fork_in_child() -> None:
    for store in _stores:
        store._forget_threads()
