"""The memory store: for tests, and for tracking within one process."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from jobctl.core.codec import encode
from jobctl.core.cursor import Cursor
from jobctl.core.job import Job, check_id
from jobctl.core.jobset import MAX_TOMBSTONES, Delta, JobSet
from jobctl.errors import Conflict, JobNotFound
from jobctl.stores.bell import Listener, MemoryBell
from jobctl.stores.contract import LOG_READ_BYTES, Change, Check
from jobctl.stores.owners import MemoryOwners, Owners
from jobctl.stores.subscriptions import Subscriptions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from jobctl.core.log import LogPart
    from jobctl.stores.contract import LogInfo
    from jobctl.stores.memory_logs import MemoryLogs, MemoryLogWriter

__all__ = ["MemoryStore"]


class MemoryStore:
    """Jobs in memory under the `Store` contract; lost when the process ends."""

    where = "memory"

    def __init__(self, *, max_tombstones: int = MAX_TOMBSTONES) -> None:
        self._writing = threading.RLock()  # held while a change runs; readers do not wait for it
        self._guard = threading.Lock()
        self._set = JobSet(os.urandom(6).hex(), max_tombstones=max_tombstones)
        self.owners: Owners = MemoryOwners()
        self._bell = MemoryBell()
        self._logs: MemoryLogs | None = None
        self._removed: dict[str, tuple[str | None, int]] = {}
        self._subscriptions = Subscriptions(self.head, self.since, self.listen)

    def head(self) -> Cursor:
        return self._set.cursor

    def since(self, cursor: Cursor, limit: int | None = None, *, snapshot_start: int = 0) -> Delta:
        with self._guard:
            return self._set.since(
                cursor, max_examined=limit, snapshot_start=snapshot_start, tombstones=True
            )

    def behind(self, cursor: Cursor) -> int:
        with self._guard:
            return self._set.changed_since(cursor.revision)

    def get(self, id: str) -> Job:
        job = self._set.get(check_id(id))
        if job is None:
            raise JobNotFound(id, self.where)
        return job

    def ids(self, prefix: str = "") -> list[str]:
        with self._guard:
            return sorted(job.id for job in self._set if job.id.startswith(prefix))

    def create(self, job: Job) -> Job:
        with self._writing:
            if self._set.get(check_id(job.id)) is not None:
                raise Conflict(f"job {job.id} exists already", hint="choose another id")
            self._kept().remove(job.id)
            return self._put(job)

    def update(self, id: str, change: Change) -> Job:
        with self._writing:
            while True:
                old = self.get(id)
                new = change(old)
                if new is old:
                    return old
                if new.id != id:
                    raise Conflict(f"job {id} cannot become job {new.id}")
                if self._set.get(id) is old:  # `change` has not changed the job through the store
                    return self._put(new)

    def remove(
        self,
        id: str,
        check: Check | None = None,
        *,
        damaged: bool = False,
        request: str | None = None,
    ) -> None:
        with self._writing:
            job = self.get(id)
            while check is not None:
                check(job)
                seen, job = job, self.get(id)
                if job is seen:  # `check` has not changed the job through the store
                    break
            with self._guard:
                self._set.delete(id, self._set.revision + 1)
                self._removed[id] = (request, self._set.revision)
            self._kept().remove(id)
        self._bell.ring()

    def removed_by(self, id: str, request: str) -> int | None:
        by, revision = self._removed.get(check_id(id), (None, 0))
        return revision if by == request and self._set.get(id) is None else None

    def log_writer(self, job: Job) -> MemoryLogWriter:
        return self._kept().writer(job)

    def read_log(self, id: str, offset: int = 0, limit: int = LOG_READ_BYTES) -> LogPart | None:
        return self._kept().read(check_id(id), offset, limit)

    def log_info(self, id: str) -> LogInfo | None:
        return self._kept().info(check_id(id))

    def logs(self) -> list[LogInfo]:
        return self._kept().all()

    def remove_log(self, id: str) -> bool:
        return self._kept().remove(check_id(id))

    def _kept(self) -> MemoryLogs:
        if self._logs is None:
            from jobctl.stores.memory_logs import MemoryLogs

            self._logs = MemoryLogs()
        return self._logs

    def listen(self) -> Listener:
        return self._bell.listen()

    def subscribe(self, callback: Callable[[Delta], None]) -> Callable[[], None]:
        return self._subscriptions.add(callback)

    def close(self) -> None:
        self._subscriptions.close()
        self._bell.close()

    def _put(self, job: Job) -> Job:
        encode(job)
        with self._guard:
            stored = job.replace(revision=self._set.revision + 1)
            self._set.put(stored)
        self._bell.ring()
        return stored
