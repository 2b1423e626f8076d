"""The directory store: one JSON file per job, a change log for the order, a bell for the hint.

*The job files are the state, the log is the order, the bell is only a hint.*

A write does this under the lock: read the job, make the new value, append a record with the digest
of the new bytes (this takes the revision), write the temporary file, rename it. After a crash in
between, the revision stays unused and the old file is still there. Readers never wait for the lock
(see read.py).
"""

from __future__ import annotations

import errno
import gc
import os
import stat as stats
import threading
import time
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress

from jobctl._stdlib import tidy
from jobctl.core.codec import encode, parse
from jobctl.core.cursor import MAX_REVISION, ZERO, Cursor
from jobctl.core.job import Job, check_id
from jobctl.core.jobset import MAX_TOMBSTONES, Delta
from jobctl.errors import (
    Conflict,
    DamagedFile,
    InvalidId,
    InvalidJob,
    JobNotFound,
    NotObeyed,
    StoreError,
)
from jobctl.stores.bell import Listener
from jobctl.stores.contract import BadFile, Change, Check
from jobctl.stores.directory.bell import DirectoryBell
from jobctl.stores.directory.changelog import DEL, PUT, SEEN, Damaged, Log, Record, digest_of
from jobctl.stores.directory.files import (
    FoundFile,
    job_names,
    publish,
    read_file,
    signature_of,
    store_error,
)
from jobctl.stores.directory.foreign import is_foreign
from jobctl.stores.directory.index import TORN_GRACE_S, Index, Look
from jobctl.stores.directory.lock import WriteLock
from jobctl.stores.directory.owners import DirectoryOwners
from jobctl.stores.directory.place import DirectoryState, Place
from jobctl.stores.directory.read import DirectoryRead, Settled
from jobctl.stores.directory.scan import Scan
from jobctl.stores.owners import Owners
from jobctl.stores.subscriptions import Subscriptions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["DirectoryStore"]

_TEMPORARY = "next"
_NO_DIGEST = "0" * 32
_COMPACT_FROM = 4096  # superseded records worth a rewrite of the log
_MAX_CACHED = 1024
_MAX_READS = 5
_MAX_RACES = 20
_HOLD_S = 0.02  # a reader lets writers have their turn this often
_CLOSE_S = 0.5
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


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
        self.where = tidy(os.fspath(path))
        self._place = Place(os.path.join(os.getcwd(), self.where))
        self._adopt = adopt
        self._durable = durable
        self._guard = threading.RLock()
        self._index = Index()
        self._scan = Scan()
        self._bad: dict[str, str] = {}
        self._bad_names: dict[str, str] = {}
        self._unreconciled: set[str] = set()
        self._may_write = True
        self._lock: WriteLock | None = None  # kept here, since the process shares it weakly
        self._bell_meta: object = None  # the .jobctl whose bell we ring
        self._log: Log | None = None  # in force for the write at hand; under the lock
        self._parsed: OrderedDict[str, tuple[bytes, Job]] = OrderedDict()
        self._bell = DirectoryBell(os.path.join(self._place.meta_path, "bell"))
        self._subscriptions = Subscriptions(self.head, self.since, self.listen)
        self.owners: Owners = DirectoryOwners(self._place)
        _stores.add(self)
        if create:
            self._place.create()
        self.created = self._place.created
        self._place.current()
        if adopt:
            self._place.writable()
            self._state_with_log()

    @property
    def path(self) -> Path:
        from pathlib import Path  # with urllib.parse, which it needs, 3 ms

        return Path(self._place.path)

    # -- reading ----------------------------------------------------------------------------

    def head(self) -> Cursor:
        with self._translated("reading"):
            return self._head()

    def since(self, cursor: Cursor, limit: int | None = None, *, snapshot_start: int = 0) -> Delta:
        with self._translated("reading"):
            for _ in range(_MAX_READS):
                state = self._state_with_log()
                if state.log is None:
                    return self._scanned(state, cursor, limit, snapshot_start)
                try:
                    delta = self._read(state, state.log, cursor, limit, snapshot_start)
                except Damaged:
                    if not self._adopt:
                        return self._scanned(state, cursor, limit, snapshot_start)
                    self._begin_epoch_instead_of(state.log)
                    continue
                if delta is not None:
                    return delta
        raise StoreError(
            f"{self.where} changes faster than it can be read", path=self.where, hint="try again"
        )

    def behind(self, cursor: Cursor) -> int:
        with self._translated("reading"):
            log = self._place.current().log
            if log is None or log.epoch != cursor.epoch:
                return MAX_REVISION
            return log.count() - log.after(cursor.revision)

    def get(self, id: str) -> Job:
        return self._get(id)[1]

    def _get(self, id: str) -> tuple[FoundFile, Job]:
        with self._translated("reading", check_id(id)):
            found, job = self._read_whole(id)
            if found is None or job is None:
                raise JobNotFound(id, self.where)
            log = self._place.current().log
            # Of these very bytes: the newest record may be of a write that is still in flight.
            record = log.newest(id, digest_of(found.data)) if log is not None else None
        return found, job.replace(revision=record.revision if record else 0)

    def get_runnable(self, id: str) -> Job:
        with self._translated("reading", check_id(id)):
            for _ in range(_MAX_RACES):
                state = self._place.current()
                self._check_obeyed(state.dir_fd, state, self._place.path, id)
                found, job = self._get(id)
                if self._place.current().dir is not state.dir:
                    continue  # another directory is there by now: what was read is of either
                try:
                    fd = os.open(f"{id}.json", _OPEN_FILE, dir_fd=state.dir_fd)
                except FileNotFoundError:
                    continue
                try:
                    if (
                        signature_of(os.fstat(fd)) == found.signature
                    ):  # the very state that was read
                        self._check_obeyed(fd, state, f"{self._place.path}/{id}.json", id)
                        return job
                finally:
                    os.close(fd)
        raise self._too_busy(id)

    def _check_obeyed(self, fd: int, state: DirectoryState, path: str, id: str) -> None:
        if why := self._place.why_not_obeyed(fd, state):
            from jobctl.config import safe_hint

            so = f"the command of job {id} is not run"
            raise NotObeyed(path, why, so=so, hint=safe_hint(self._place.path))

    def ids(self, prefix: str = "") -> list[str]:
        with self._translated("reading"):
            names = job_names(self._place.current().dir_fd)
        return sorted(name for name in names if name.startswith(prefix) and _is_id(name))

    def creation_times(self) -> tuple[dict[str, str], list[BadFile]]:
        """See `stores.creation_times`."""
        from jobctl.stores.directory.listing import list_created

        with self._translated("reading"), _gc_paused():
            state = self._place.current()
            times, bad = list_created(state.dir_fd, state.log)
        return times, [BadFile(name, reason) for name, reason in sorted(bad.items())]

    def foreign(self, jobs: Iterable[Job]) -> set[str]:
        with self._translated("reading"):
            with self._guard:
                state = self._place.current()
                newest: Mapping[str, Record] = {}
                if state.log is not None:
                    with suppress(Damaged):  # then nothing is known of who wrote what
                        self._index.follow(state.log)
                        newest = self._index.newest
            found: set[str] = set()
            for job in jobs:
                record = newest.get(job.id)
                if record is not None and (record.verb, record.revision) == (PUT, job.revision):
                    continue  # read with the digest of that record
                file = read_file(state.dir_fd, job.id + ".json")
                if file is not None and file.problem is None and is_foreign(file.data, record):
                    found.add(job.id)
            return found

    def bad(self) -> list[BadFile]:
        with self._guard:
            if self._place.current().log is None:
                return self._scan.bad()
            bad = {**self._bad_names, **{f"{id}.json": reason for id, reason in self._bad.items()}}
        return [BadFile(name, reason) for name, reason in sorted(bad.items())]

    def refresh(self, ids: set[str] | None = None) -> bool:
        with self._translated("reading"):
            with self._guard:
                state = self._place.current()
                if state.log is None:
                    return False  # every scan looks at everything
                try:
                    self._index.follow(state.log)
                except Damaged:
                    return False  # the next read sees to it
                newest = dict(self._index.newest) if ids is None else {}
            # Not under the guard: to look at all files takes a while, and readers must not wait.
            if ids is None:
                suspects, self._bad_names = self._index.suspects(state.dir_fd, newest)
            else:
                suspects = {id for id in ids if self._is_suspect(id, state.dir_fd)}
            with self._guard:
                self._unreconciled |= suspects
            while True:  # readers have their turn in between
                with self._guard:
                    left = dict.fromkeys(self._unreconciled)
                    if not left:
                        return False
                    if not self._reconcile(left, once=True, compact=True).looks:
                        return True

    def _is_suspect(self, id: str, dir_fd: int) -> bool:
        """Whether the file differs from the last one that we saw and that the log describes."""
        if not _is_id(id):
            return False
        try:
            stat = os.stat(id + ".json", dir_fd=dir_fd, follow_symlinks=False)
        except OSError:
            record = self._index.newest.get(id)
            return record is not None and record.verb != DEL
        return self._index.signatures.get(id) != signature_of(stat)

    def listen(self) -> Listener:
        state = self._place.current()
        if state.meta is None:
            raise StoreError(f"{self.where} has no bell yet", path=self.where)
        # A socket that we make, and give a mode, where others can put a link in its place.
        if why := self._place.why_not_obeyed(state.meta.fd, state):
            raise StoreError(f"{self.where} has no bell for us: {why}", path=self.where)
        with self._translated("listening"):
            return self._bell.listen()

    def subscribe(self, callback: Callable[[Delta], None]) -> Callable[[], None]:
        if self._place.current().meta is None:
            with self._writing():
                pass
        return self._subscriptions.add(callback)

    def close(self) -> None:
        self._subscriptions.close()
        self._bell.close()
        self.owners.close()
        if not self._guard.acquire(timeout=_CLOSE_S):
            return  # a large read is under way in a thread: it needs what we would let go of
        try:
            self._index = Index()
            self._log = self._bell_meta = self._lock = None
            self._place.close()
        finally:
            self._guard.release()

    def _head(self) -> Cursor:
        log = self._state_with_log().log
        return Cursor(log.epoch, log.head()) if log is not None else ZERO

    def _state_with_log(self) -> DirectoryState:
        """Return the current state; with ``adopt``, create a missing log first.

        Call it without the guard: this may wait for a writer, who may wait for the guard.
        """
        state = self._place.current()
        if self._adopt and (state.log is None or (self._durable and not state.durable)):
            with self._writing() as state:
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
        """Return the delta, or ``None`` if the log was replaced meanwhile."""
        with self._guard:
            since = cursor.revision
            if (
                since
                and cursor.epoch == log.epoch
                and log.floor <= max(since, snapshot_start)
                and since <= log.head()
            ):
                # What earlier reads could not settle comes first, for 20 ms at the most: this may
                # be an event loop.
                left = dict.fromkeys(self._unreconciled)
                looks = self._reconcile(left, once=True).looks if left else {}
                reading = DirectoryRead(
                    log,
                    state.dir_fd,
                    self._index,
                    since,
                    self._reconcile,
                    looks=looks,
                    limit=limit,
                    snapshot_start=snapshot_start,
                )
                return self._delta(log, reading)
            with _gc_paused():
                known = self._index.position if self._index.log is log else 0
                records = self._index.follow(log)
                names, self._bad_names = self._index.names(state.dir_fd)
                self._bad.clear()
                reading = DirectoryRead(
                    log,
                    state.dir_fd,
                    self._index,
                    0,
                    self._reconcile,
                    # What the index has read of the log needs no second reading, if that was all.
                    records=None if known else records,
                    names=names,
                    limit=limit,
                )
                delta = self._delta(log, reading)
            if delta is not None and delta.jobs and not delta.through:
                # Files, and a log that has no revision yet to tell of them: until it has, a reader
                # who may not give it one must not share its epoch.
                return self._scan.since(cursor, state.dir_fd, limit, snapshot_start=snapshot_start)
            return delta

    def _delta(self, log: Log, reading: DirectoryRead) -> Delta | None:
        delta = reading.run()
        self._unreconciled |= reading.stale
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
        with self._guard:
            return self._scan.since(cursor, state.dir_fd, limit, snapshot_start=snapshot_start)

    def _reconcile(
        self, looks: Mapping[str, Look | None], *, once: bool = False, compact: bool = False
    ) -> Settled:
        """Reconcile these ids if we may write and nobody else does (see `Index.reconcile`).

        The lock is tried, never waited for. It is released every 20 ms, and with ``once`` that is
        the end: the rest stays unsettled. With ``compact`` the log is compacted where that is due.
        """
        meta = self._place.current().meta
        if meta is None or not self._may_write:
            return Settled({}, refused=True)
        ids = deque(sorted(looks))
        settled: dict[str, Look] = {}
        refused = rings = False
        try:
            self._lock = lock = WriteLock.of(meta.key, self.where)
            while ids:
                with lock.tried(meta.fd) as got:
                    state = self._place.writable() if got else None
                    if state is None or state.meta is not meta or state.log is None:
                        break
                    before = state.log.repair()
                    with self._guard:
                        settled |= self._index.reconcile(
                            ids, looks, state.log, state.dir_fd, hold_s=_HOLD_S
                        )
                        self._unreconciled -= settled.keys()
                    rings = rings or state.log.head() > before
                    if compact and not lock.nested:
                        self._compact_if_due(state)
                if once:
                    break
        except (OSError, StoreError, Damaged) as error:
            refused = True  # this may pass (no descriptors, a mode, a full disk): ask again
            if isinstance(error, OSError) and error.errno in (
                errno.EACCES,
                errno.EROFS,
                errno.EPERM,
            ):
                self._may_write = False  # a reader that may not write goes on with what it has
        if rings:
            self._bell.ring()
        return Settled(settled, refused=refused)

    # -- writing ----------------------------------------------------------------------------

    def create(self, job: Job) -> Job:
        name = check_id(job.id) + ".json"
        for _ in range(_MAX_RACES):
            with self._writing(job.id) as state:
                if _exists(name, state.dir_fd):
                    raise Conflict(
                        f"job {job.id} exists already in {self.where}", hint="choose another id"
                    )
                try:
                    job = self._put(state, job, None)
                except _ChangedMeanwhile:
                    continue
            self._bell.ring()
            return job
        raise self._too_busy(job.id)

    def update(self, id: str, change: Change) -> Job:
        check_id(id)
        for _ in range(_MAX_RACES):
            with self._writing(id) as state:
                found = read_file(state.dir_fd, id + ".json")
                if found is None:
                    raise JobNotFound(id, self.where)
                try:
                    old = self._parse(id, found)
                    new = change(old)
                    if new is old:
                        record = state.log and state.log.newest(id, digest_of(found.data))
                        revision = record.revision if record else 0
                        return old.replace(revision=revision)
                    if new.id != id:
                        raise Conflict(f"job {id} cannot become job {new.id}")
                    job = self._put(state, new, found)
                except _ChangedMeanwhile:
                    continue
                except _Unreadable:
                    job = None
            if job is not None:
                self._bell.ring()
                return job
            with self._translated("reading", id):
                self._read_whole(id)  # outside the lock: its writer may need a second to finish
        raise self._too_busy(id)

    def _too_busy(self, id: str) -> Conflict:
        return Conflict(f"job {id} in {self.where} changes all the time", hint="try again")

    def remove(self, id: str, check: Check | None = None, *, damaged: bool = False) -> None:
        check_id(id)
        for _ in range(_MAX_RACES):
            with self._writing(id) as state:
                try:
                    if check is not None or not damaged:
                        self._check(state, id, check, damaged=damaged)
                    self._remove(state, id)
                    break
                except _ChangedMeanwhile:
                    continue
                except _Unreadable:
                    pass
            try:
                with self._translated("reading", id):
                    self._read_whole(id)  # outside the lock: its writer may need a second to finish
            except DamagedFile as error:
                raise DamagedFile(error.path, id, error.reason, kept=True) from error
        else:
            raise self._too_busy(id)
        self._bell.ring()

    def _check(self, state: DirectoryState, id: str, check: Check | None, *, damaged: bool) -> None:
        """Call ``check`` with the current job. After that only another program can change it."""
        name = id + ".json"
        found = read_file(state.dir_fd, name)
        if found is None:
            return  # which the removal finds as well
        try:
            job = self._parse(id, found)
        except _Unreadable:
            self._refuse_directory(name, state)
            if damaged:
                return
            raise
        if check is not None:
            check(job)
        if self._log is not state.log:
            raise _ChangedMeanwhile  # a write within the check has put another log in force
        with suppress(FileNotFoundError):
            now = os.stat(name, dir_fd=state.dir_fd, follow_symlinks=False)
            if signature_of(now) != found.signature:
                raise _ChangedMeanwhile

    def _remove(self, state: DirectoryState, id: str) -> None:
        name, log = id + ".json", state.log
        assert log is not None, "whoever writes has made it"
        if not _exists(name, state.dir_fd):
            self._reconcile({id: None})
            raise JobNotFound(id, self.where)
        self._refuse_directory(name, state)
        record = Record(self._next(log), id, DEL, _NO_DIGEST)
        try:
            log.append(record)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            # On a full disk removing is what helps. Should we die in between, this is a
            # deletion by hand, which whoever reconciles records.
            os.unlink(name, dir_fd=state.dir_fd)
            with suppress(OSError):
                log.append(record)
        try:
            if state.durable:
                os.fsync(log.fd)
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=state.dir_fd)
            if state.durable:
                os.fsync(state.dir_fd)
        except OSError:
            self._reconcile({id: None})
            raise
        self._parsed.pop(id, None)

    def _refuse_directory(self, name: str, state: DirectoryState) -> None:
        if _is_directory(name, state.dir_fd):
            raise StoreError(
                f"{name} in {self.where} is a directory, and no job",
                path=self.where,
                hint="remove it by hand",
            )

    def _put(self, state: DirectoryState, job: Job, found: FoundFile | None) -> Job:
        """Take a revision, then publish. Raises if the old file was changed by another program."""
        name, log = job.id + ".json", state.log
        if log is None or self._log is not log:
            raise _ChangedMeanwhile  # a write within the change has put another log in force
        job = job.replace(revision=self._next(log))
        data = encode(job)
        log.append(Record(job.revision, job.id, PUT, digest_of(data)))
        try:
            if found is not None:
                now = os.stat(name, dir_fd=state.dir_fd, follow_symlinks=False)
                if signature_of(now) != found.signature:
                    raise _ChangedMeanwhile
            publish(
                data,
                name=name,
                dir_fd=state.dir_fd,
                temporary=_TEMPORARY,
                temporary_dir_fd=state.meta_fd,
                like=found,
                sync_fd=log.fd if state.durable else None,
            )
        except (OSError, _ChangedMeanwhile) as error:
            self._reconcile({job.id: None})
            if isinstance(error, FileNotFoundError):
                raise _ChangedMeanwhile from error
            raise
        self._parsed[job.id] = (data, job)
        self._parsed.move_to_end(job.id)
        if len(self._parsed) > _MAX_CACHED:
            self._parsed.popitem(last=False)
        return job

    def _next(self, log: Log) -> int:
        """Cut off a torn last line of the log; return the next revision."""
        revision = log.repair() + 1
        if revision > MAX_REVISION:
            raise StoreError(f"{self.where} has used up its revisions", path=self.where)
        return revision

    @contextmanager
    def _writing(self, id: str = "") -> Iterator[DirectoryState]:
        """Hold the lock on this very directory, with a current log."""
        lock = None
        try:
            state, lock = self._locked()
            if state.log is None or (self._durable and not state.durable):
                state = self._begin_epoch(state)
            self._log = state.log
            yield state
            # A nested one leaves it to the outer write, which goes on with its log.
            if not lock.nested and self._log is state.log:
                self._compact_if_due(state)
        except OSError as error:
            doing = f"writing {id}" if id else "opening the change log"
            raise store_error(error, doing, self.where) from error
        finally:
            if lock is not None:
                lock.release()

    def _locked(self) -> tuple[DirectoryState, WriteLock]:
        """Acquire the lock; return the state and the lock."""
        while True:
            # The last look tells which lock to wait for, and the next one whether it was that.
            before = self._place.last or self._place.writable()
            meta = before.meta or self._place.writable().meta
            assert meta is not None, "it was made, or an error raised"
            self._lock = lock = WriteLock.of(meta.key, self.where)
            lock.acquire(meta.fd)
            try:
                state = self._place.writable()
                if state.meta is meta:
                    if self._bell_meta is not meta:
                        self._bell_meta = meta
                        self._bell.close()  # it was that of another .jobctl
                    return state, lock
            except BaseException:
                lock.release()
                raise
            lock.release()  # somebody replaced .jobctl while we waited for its lock

    @contextmanager
    def _translated(self, doing: str, id: str = "") -> Iterator[None]:
        """Raise an OSError of the block as the store's own error."""
        try:
            yield
        except OSError as error:
            raise store_error(error, f"{doing} {id}".rstrip(), self.where) from error

    def _begin_epoch(self, state: DirectoryState) -> DirectoryState:
        """Start a new epoch with all existing files, oldest first."""
        files = [
            (found.signature[1], id, digest_of(found.data))
            for id in job_names(state.dir_fd)
            if _is_id(id) and (found := read_file(state.dir_fd, id + ".json")) is not None
        ]
        records = [
            Record(revision, id, SEEN, digest)
            for revision, (_, id, digest) in enumerate(sorted(files), 1)
        ]
        durable = self._durable if self._durable is not None else state.durable
        state = self._place.begin_epoch(state, records, durable=durable)
        if state.log is None:
            raise StoreError(f"{self.where} was wiped meanwhile", path=self.where, hint="try again")
        return state

    def _begin_epoch_instead_of(self, damaged: Log) -> None:
        """Start a new epoch, unless another process has done so."""
        with self._writing() as state:
            if state.log is damaged:
                self._log = self._begin_epoch(state).log

    def _compact_if_due(self, state: DirectoryState) -> None:
        log = state.log
        if log is None or log.superseded() <= log.kept + _COMPACT_FROM:
            return
        # The write has landed: what goes wrong here must not look as if it had not.
        with suppress(OSError):
            try:
                self._compact(state)
            except Damaged:
                self._begin_epoch(state)

    def compact(self) -> None:
        """Drop superseded records and old tombstones; the latter raises the floor."""
        with self._writing() as state:
            self._compact(state)
            self._log = None  # another one is in force

    def _compact(self, state: DirectoryState) -> None:
        log = state.log
        assert log is not None, "whoever writes has made it"
        records = sorted(log.newest_of_all())
        dead = [record for record in records if record.verb == DEL]
        dropped = set(dead[: max(0, len(dead) - MAX_TOMBSTONES)])
        self._place.replace_log(
            state,
            epoch=log.epoch,
            floor=max([log.floor, *(record.revision for record in dropped)]),
            base=log.repair(),
            records=[record for record in records if record not in dropped],
        )

    # -- parsing ----------------------------------------------------------------------------

    def _parse(self, id: str, found: FoundFile) -> Job:
        known = self._parsed.get(id)
        if known is not None and known[0] == found.data:
            return known[1]
        if found.problem is not None:
            raise _Unreadable(found.problem)
        try:
            return parse(found.data, id=id)
        except InvalidJob as error:
            raise _Unreadable(error.reason) from error

    def _read_whole(self, id: str) -> tuple[FoundFile | None, Job | None]:
        """Return the job in the file; wait for a file that may be half written."""
        deadline = time.monotonic() + TORN_GRACE_S
        while True:
            found = read_file(self._place.current().dir_fd, id + ".json")
            try:
                return found, self._parse(id, found) if found is not None else None
            except _Unreadable as error:
                old = found is not None and (
                    time.time_ns() - found.signature[1] > TORN_GRACE_S * 1e9
                )
                if old or time.monotonic() > deadline:
                    raise DamagedFile(f"{self.where}/{id}.json", id, str(error)) from error
            time.sleep(0.02)


def _after_fork_in_child() -> None:
    """Replace the guards: the threads that held them exist only in the parent."""
    for store in _stores:
        store._guard = threading.RLock()
        store._subscriptions.forget()


os.register_at_fork(after_in_child=_after_fork_in_child)


class _ChangedMeanwhile(Exception):
    """Another program changed the file between our read and our rename."""


class _Unreadable(Exception):
    """The file is not a job, with the reason; it may be half written."""


@contextmanager
def _gc_paused() -> Iterator[None]:
    """Pause the garbage collector during a load, which makes a million objects and no garbage.

    It would scan them all again and again. Precedent: Mercurial's ``util.nogc``.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _is_directory(name: str, dir_fd: int) -> bool:
    with suppress(FileNotFoundError):
        return stats.S_ISDIR(os.stat(name, dir_fd=dir_fd, follow_symlinks=False).st_mode)
    return False


def _exists(name: str, dir_fd: int) -> bool:
    """Whether anything has this name."""
    try:
        os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _is_id(name: str) -> bool:
    try:
        check_id(name)
    except InvalidId:
        return False
    return True
