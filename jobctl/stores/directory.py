"""The directory store: one JSON file a job, a change log for the order, a bell for the hint.

*The job files are the state, the log is the order, the bell is only a hint.*

A write, under the lock: read the job, make the new value, append the record with the digest of the
bytes to come (this takes the revision), write the one temporary file, rename it. A crash in between
burns a revision and leaves the old file. Readers never wait for the lock (see reader.py).
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from jobctl.bell import DirectoryBell, Listener
from jobctl.codec import encode, parse
from jobctl.cursor import MAX_REVISION, ZERO, Cursor
from jobctl.errors import Conflict, InvalidId, InvalidJob, JobNotFound, StoreError
from jobctl.job import Job, check_id
from jobctl.jobset import MAX_TOMBSTONES, Delta
from jobctl.stores.changelog import DEL, PUT, Damaged, Log, Record, digest_of
from jobctl.stores.files import Found, names_in, publish, read_file, sign, translate
from jobctl.stores.index import TORN_GRACE_S, Index
from jobctl.stores.lock import WriteLock
from jobctl.stores.place import Place
from jobctl.stores.reader import Reading
from jobctl.stores.scan import Scan
from jobctl.stores.store import BadFile, Change
from jobctl.stores.watcher import Watcher

__all__ = ["DirectoryStore"]

_TEMPORARY = "next"
_NO_DIGEST = "0" * 32
_COMPACT_FROM = 4096  # superseded records worth a rewrite of the log
_MAX_CACHED = 1024
_MAX_READS = 5
_MAX_RACES = 20


class DirectoryStore:
    """Jobs in a directory under the `Store` contract.

    Nothing is made in a directory that is only read: without a change log it is scanned, under an
    epoch of this store object's own. With ``adopt`` the log is kept by this reader too.
    """

    def __init__(
        self,
        path: Path,
        *,
        create: bool = False,
        adopt: bool = False,
        durable: bool | None = None,
    ) -> None:
        self.path: Path | None = path.absolute()
        self.where = str(path)
        self._place = Place(path.absolute())
        self._adopt = adopt
        self._durable = durable
        self._guard = threading.RLock()
        self._index = Index()
        self._scan = Scan()
        self._bad: dict[str, str] = {}
        self._odd: dict[str, str] = {}
        self._unsettled: set[str] = set()
        self._may_write = True
        self._lock: WriteLock | None = None  # kept here, since the process shares it weakly
        self._parsed: OrderedDict[str, tuple[bytes, Job]] = OrderedDict()
        self._bell = DirectoryBell(os.path.join(self._place.meta_path, "bell"))
        self._watcher = Watcher(self._head, self.since, self.listen)
        if create:
            self._place.create()
        self.created = self._place.created
        self._place.dir_fd()
        if adopt:
            with self._writing():
                pass

    # -- reading ----------------------------------------------------------------------------

    def since(self, cursor: Cursor) -> Delta:
        with self._guard:
            for _ in range(_MAX_READS):
                log = self._readable_log()
                if log is None:
                    return self._scanned(cursor)
                try:
                    delta = self._read(log, cursor)
                except Damaged:
                    if not self._adopt:
                        return self._scanned(cursor)
                    self._begin_epoch_again()
                    continue
                if delta is not None:
                    return delta
        raise StoreError(
            f"{self.where} changes faster than it can be read", path=self.where, hint="try again"
        )

    def behind(self, cursor: Cursor) -> int:
        with self._guard:
            log = self._readable_log()
            if log is None or log.epoch != cursor.epoch:
                return MAX_REVISION
            return log.count() - log.after(cursor.revision)

    def get(self, id: str) -> Job:
        found, job = self._read_whole(check_id(id))
        if found is None or job is None:
            raise JobNotFound(id, self.where)
        with self._guard:
            log = self._readable_log()
            record = log.newest(id) if log is not None else None
        return job.model_copy(update={"revision": record.revision}) if record else job

    def ids(self, prefix: str = "") -> list[str]:
        with self._guard:
            names = names_in(self._place.dir_fd())
        return sorted(name for name in names if name.startswith(prefix) and _is_id(name))

    def bad(self) -> list[BadFile]:
        with self._guard:
            if self._readable_log() is None:
                return self._scan.bad()
            bad = {**self._odd, **{f"{id}.json": reason for id, reason in self._bad.items()}}
        return [BadFile(name, reason) for name, reason in sorted(bad.items())]

    def refresh(self, ids: set[str] | None = None) -> bool:
        with self._guard:
            log = self._readable_log()
            if log is None:
                return False  # every scan looks at everything
            dir_fd = self._place.dir_fd()
            self._index.follow(log)
            if ids is None:
                suspects, self._odd = self._index.suspects(dir_fd)
            else:
                suspects = {id for id in ids if self._is_suspect(id, dir_fd)}
            self._unsettled |= suspects
            return bool(self._unsettled) and not self._settle(self._unsettled)

    def _is_suspect(self, id: str, dir_fd: int) -> bool:
        """Whether the file is not the one that we have seen and that the log tells of."""
        if not _is_id(id):
            return False
        try:
            stat = os.stat(id + ".json", dir_fd=dir_fd, follow_symlinks=False)
        except OSError:
            record = self._index.newest.get(id)
            return record is not None and record.verb != DEL
        return self._index.signatures.get(id) != sign(stat)

    def listen(self) -> Listener:
        with self._guard:
            if self._place.meta_fd() is None:
                raise StoreError(f"{self.where} has no bell yet", path=self.where)
        try:
            return self._bell.listen()
        except OSError as error:
            raise translate(error, "listening", self.where) from error

    def subscribe(self, callback: Callable[[Delta], None]) -> Callable[[], None]:
        if self._place.meta_fd() is None:
            with self._writing():
                pass
        return self._watcher.add(callback)

    def close(self) -> None:
        self._watcher.close()
        self._bell.close()
        with self._guard:
            self._index = Index()
            self._place.close()

    def _head(self) -> Cursor:
        with self._guard:
            log = self._readable_log()
            return Cursor(log.epoch, log.head()) if log is not None else ZERO

    def _readable_log(self) -> Log | None:
        """The log in force; one who adopts makes it where it is missing."""
        log = self._place.log()
        if log is None and self._adopt:
            with self._writing() as log:
                return log
        return log

    def _read(self, log: Log, cursor: Cursor) -> Delta | None:
        dir_fd = self._place.dir_fd()
        fresh = (
            cursor.epoch != log.epoch or cursor.revision < log.floor or cursor.revision > log.head()
        )
        if fresh:
            self._index.follow(log)
            suspects, self._odd = self._index.suspects(dir_fd)
            unknown = {id for id in suspects if id not in self._index.newest}
            self._unsettled |= unknown
        if self._unsettled:
            self._settle(self._unsettled)
        reading = Reading(log, dir_fd, self._index, 0 if fresh else cursor.revision, self._settle)
        delta = reading.run()
        self._unsettled |= reading.stale
        if reading.stale and self._place.log() is not log:
            return None  # compacted or restored meanwhile: read the log that is now in force
        if fresh:
            self._bad.clear()
            delta = reading.with_loose_files(delta, self._unsettled)
        for id in reading.taken:
            self._bad.pop(id, None)
        self._bad.update(reading.bad)
        return delta

    def _scanned(self, cursor: Cursor) -> Delta:
        return self._scan.since(cursor, self._place.dir_fd())

    def _settle(self, ids: set[str]) -> bool:
        """Reconcile these ids if we may write and nobody else does; whether all are settled."""
        meta_fd = self._place.meta_fd()
        if meta_fd is None or not self._may_write:
            return False
        try:
            self._lock = WriteLock.of(meta_fd, self.where)
            with self._lock.tried(meta_fd) as got:
                if not got:
                    return False
                self._place.writable_meta_fd()
                log = self._place.log()
                if log is None:
                    return False
                log.repair()
                before = log.count()
                self._unsettled = self._index.reconcile(
                    ids | self._unsettled, log, self._place.dir_fd()
                )
                appended = log.count() > before
        except (OSError, StoreError) as error:
            if not isinstance(error, OSError) or error.errno in (
                errno.EACCES,
                errno.EROFS,
                errno.EBADF,
                errno.EPERM,
            ):
                self._may_write = False  # a reader that may not write goes on with what it has
            return False
        if appended:
            self._bell.ring()
        return not self._unsettled

    # -- writing ----------------------------------------------------------------------------

    def create(self, job: Job) -> Job:
        check_id(job.id)
        for _ in range(_MAX_RACES):
            with self._writing(job.id) as log:
                if read_file(self._place.dir_fd(), job.id + ".json") is not None:
                    raise Conflict(
                        f"job {job.id} exists already in {self.where}", hint="choose another id"
                    )
                try:
                    return self._put(log, job, None)
                except _Overtaken:
                    continue
        raise self._too_busy(job.id)

    def update(self, id: str, change: Change) -> Job:
        check_id(id)
        for _ in range(_MAX_RACES):
            with self._writing(id) as log:
                found = read_file(self._place.dir_fd(), id + ".json")
                if found is None:
                    raise JobNotFound(id, self.where)
                try:
                    old = self._parse(id, found)
                    new = change(old)
                    if new is old:
                        return old
                    if new.id != id:
                        raise Conflict(f"job {id} cannot become job {new.id}")
                    return self._put(log, new, found)
                except _Overtaken:
                    continue
                except _Unreadable:
                    pass
            self._read_whole(id)  # outside the lock: its writer may need a second to finish
        raise self._too_busy(id)

    def _too_busy(self, id: str) -> Conflict:
        return Conflict(f"job {id} in {self.where} changes all the time", hint="try again")

    def remove(self, id: str) -> None:
        check_id(id)
        name = id + ".json"
        with self._writing(id) as log:
            dir_fd = self._place.dir_fd()
            if read_file(dir_fd, name) is None:
                self._settle({id})
                raise JobNotFound(id, self.where)
            log.append(Record(self._next(log), id, DEL, _NO_DIGEST))
            if self._place.durable():
                os.fsync(log.fd)
            try:
                os.unlink(name, dir_fd=dir_fd)
            except FileNotFoundError:
                pass
            except OSError:
                self._settle({id})
                raise
            if self._place.durable():
                os.fsync(dir_fd)
            self._parsed.pop(id, None)

    def _put(self, log: Log, job: Job, found: Found | None) -> Job:
        """Take a revision, then publish. With the old file, only if nobody has touched it since."""
        job = job.model_copy(update={"revision": self._next(log)})
        data = encode(job)
        name, dir_fd, meta_fd = job.id + ".json", self._place.dir_fd(), self._place.meta_fd()
        assert meta_fd is not None, "the lock is on it"
        log.append(Record(job.revision, job.id, PUT, digest_of(data)))
        try:
            if found is not None:
                now = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
                if sign(now) != found.signature:
                    raise _Overtaken
            publish(
                data,
                name=name,
                dir_fd=dir_fd,
                temporary=_TEMPORARY,
                temporary_dir_fd=meta_fd,
                like=found,
                sync_fd=log.fd if self._place.durable() else None,
            )
        except (OSError, _Overtaken) as error:
            self._settle({job.id})
            if isinstance(error, FileNotFoundError):
                raise _Overtaken from error
            raise
        self._parsed[job.id] = (data, job)
        self._parsed.move_to_end(job.id)
        if len(self._parsed) > _MAX_CACHED:
            self._parsed.popitem(last=False)
        return job

    def _next(self, log: Log) -> int:
        revision = log.head() + 1
        if revision > MAX_REVISION:
            raise StoreError(f"{self.where} has used up its revisions", path=self.where)
        return revision

    @contextmanager
    def _writing(self, id: str = "") -> Iterator[Log]:
        """Hold the lock, with the log of this very directory open and whole; ring afterwards."""
        doing = f"writing {id}" if id else "opening the change log"
        try:
            while True:
                with self._guard:
                    meta_fd = self._place.writable_meta_fd()
                    self._lock = lock = WriteLock.of(meta_fd, self.where)
                with lock.held(meta_fd), self._guard:
                    if self._place.meta_fd() != meta_fd:
                        continue  # somebody replaced .jobctl while we waited for its lock
                    log = self._place.log()
                    if log is None or (self._durable and not self._place.durable()):
                        log = self._begin_epoch(meta_fd)
                    log.repair()
                    yield log
                    self._compact_if_due(log, meta_fd)
                break
        except OSError as error:
            raise translate(error, doing, self.where) from error
        self._bell.ring()

    def _begin_epoch(self, meta_fd: int) -> Log:
        """Adopt all that lies here, oldest first, under a new epoch."""
        dir_fd = self._place.dir_fd()
        files = [
            (found.signature[1], id, digest_of(found.data))
            for id in names_in(dir_fd)
            if _is_id(id) and (found := read_file(dir_fd, id + ".json")) is not None
        ]
        records = [
            Record(revision, id, "seen", digest)
            for revision, (_, id, digest) in enumerate(sorted(files), 1)
        ]
        durable = self._durable if self._durable is not None else self._place.durable()
        return self._place.begin_epoch(meta_fd, records, durable=durable)

    def _begin_epoch_again(self) -> None:
        """The log is damaged: start anew."""
        meta_fd = self._place.writable_meta_fd()
        with WriteLock.of(meta_fd, self.where).held(meta_fd):
            self._begin_epoch(meta_fd)

    def _compact_if_due(self, log: Log, meta_fd: int) -> None:
        if log.count() <= 2 * log.kept + _COMPACT_FROM:
            return
        self.compact(log, meta_fd)

    def compact(self, log: Log | None = None, meta_fd: int | None = None) -> None:
        """Drop superseded records, and all but the newest tombstones, which raise the floor."""
        if log is None or meta_fd is None:
            with self._writing() as log:
                meta_fd = self._place.meta_fd()
                assert meta_fd is not None, "the lock is on it"
                self.compact(log, meta_fd)
            return
        newest = {record.id: record for record in log.read(0)}
        records = sorted(newest.values())
        dead = [record for record in records if record.verb == DEL]
        dropped = set(dead[: max(0, len(dead) - MAX_TOMBSTONES)])
        self._place.replace_log(
            meta_fd,
            epoch=log.epoch,
            floor=max([log.floor, *(record.revision for record in dropped)]),
            base=log.head(),
            records=[record for record in records if record not in dropped],
        )

    # -- parsing ----------------------------------------------------------------------------

    def _parse(self, id: str, found: Found) -> Job:
        known = self._parsed.get(id)
        if known is not None and known[0] == found.data:
            return known[1]
        if found.problem is not None:
            raise _Unreadable(found.problem)
        try:
            return parse(found.data, id=id)
        except InvalidJob as error:
            raise _Unreadable(error.reason) from error

    def _read_whole(self, id: str) -> tuple[Found | None, Job | None]:
        """The job as it lies there; a file that may be half written gets its second of grace."""
        deadline = time.monotonic() + TORN_GRACE_S
        while True:
            with self._guard:
                found = read_file(self._place.dir_fd(), id + ".json")
                try:
                    return found, self._parse(id, found) if found is not None else None
                except _Unreadable as error:
                    old = found is not None and (
                        time.time_ns() - found.signature[1] > TORN_GRACE_S * 1e9
                    )
                    if old or time.monotonic() > deadline:
                        raise StoreError(
                            f"{self.where}/{id}.json is damaged: {error}",
                            path=self.where,
                            hint="mend the file, or remove it with 'jobctl rm'",
                        ) from error
            time.sleep(0.02)


class _Overtaken(Exception):
    """A foreign writer changed the file between our reading it and our replacing it."""


class _Unreadable(Exception):
    """What lies under the id is no job, with the reason; it may be half written."""


def _is_id(name: str) -> bool:
    try:
        check_id(name)
    except InvalidId:
        return False
    return True
