"""One writer at a time: a file lock between processes, a re-entrant lock between threads; and
`ExclusiveAccess`, the directory under this lock with a current change log.

The lock is on the ``.jobctl`` directory itself. A lock file in it could be deleted, and then two
writers could hold the lock. Stores of one process on one directory share the lock, and a forked
child releases its copy at once.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

from jobctl._fork import in_forked_child, notice_fork
from jobctl.errors import StoreError, StoreLocked
from jobctl.stores.directory.changelog import Log
from jobctl.stores.directory.files import store_error
from jobctl.stores.directory.log_rewrite import begin_epoch, compact_after_write
from jobctl.stores.directory.place import DirectoryState, Place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from jobctl.stores.directory.bell import DirectoryBell

__all__ = ["LOCK_TIMEOUT_S", "ExclusiveAccess", "WriteLock", "holder_of"]

LOCK_TIMEOUT_S = 5.0
BUSY_TIMEOUT_S = 60.0
"""The same while others write in turns: on a machine with too much to do, ours takes longer."""

_shared: weakref.WeakValueDictionary[tuple[int, int], WriteLock] = weakref.WeakValueDictionary()
_shared_guard = threading.Lock()


class WriteLock:
    """The lock of one ``.jobctl`` directory in this process; get it with `WriteLock.of`."""

    def __init__(self, key: tuple[int, int], path: str) -> None:
        self.key, self._path = key, path
        self._thread_lock = threading.RLock()
        self._fd: int | None = None
        self._depth = 0

    @classmethod
    def of(cls, key: tuple[int, int], path: str) -> WriteLock:
        """Return the lock that all stores of this process on this directory share.

        ``key`` is the directory's (device, inode). Keep a reference: the table of locks is weak.
        """
        notice_fork()
        with _shared_guard:
            lock = _shared.get(key)
            if lock is None:
                lock = _shared[key] = cls(key, path)
            return lock

    @property
    def nested(self) -> bool:
        """Whether the thread that holds the lock has acquired it more than once."""
        return self._depth > 1

    def acquire(self, dir_fd: int, timeout_s: float = LOCK_TIMEOUT_S) -> None:
        """Acquire the lock; raise `StoreLocked` after ``timeout_s`` seconds without a write.

        While others write, it waits for up to `BUSY_TIMEOUT_S`. Call `release` afterwards.
        """
        notice_fork()
        deadline: _Deadline | None = None
        if not self._thread_lock.acquire(blocking=False):
            deadline = _Deadline(dir_fd, timeout_s)
            while not self._thread_lock.acquire(timeout=deadline.left_s()):
                if not deadline.extend():
                    raise StoreLocked(self._path, deadline.waited_s, os.getpid())
        try:
            if self._depth == 0:
                self._wait(dir_fd, deadline, timeout_s)
            self._depth += 1
        except BaseException:
            self._release_thread()
            raise

    def release(self) -> None:
        """Release the lock, once for each `acquire`; the last release frees it for others."""
        try:
            self._close()
        finally:
            self._release_thread()

    @contextmanager
    def held(self, dir_fd: int, timeout_s: float = LOCK_TIMEOUT_S) -> Iterator[None]:
        """Hold the lock for the block; raise `StoreLocked` after ``timeout_s`` seconds."""
        self.acquire(dir_fd, timeout_s)
        try:
            yield
        finally:
            self.release()

    @contextmanager
    def tried(self, dir_fd: int) -> Iterator[bool]:
        """Hold the lock for the block if it is free now; the block gets whether it is held."""
        notice_fork()
        if not self._thread_lock.acquire(blocking=False):
            yield False
            return
        try:
            if self._depth == 0 and not self._try(dir_fd):
                yield False
                return
            self._depth += 1
            try:
                yield True
            finally:
                self._close()
        finally:
            self._release_thread()

    def _wait(self, dir_fd: int, deadline: _Deadline | None, timeout_s: float) -> None:
        if self._try(dir_fd):
            return
        delay_s = 0.00005
        deadline = deadline or _Deadline(dir_fd, timeout_s)
        while not self._try(dir_fd):
            if not deadline.left_s() and not deadline.extend():
                raise StoreLocked(self._path, deadline.waited_s, holder_of(self.key))
            time.sleep(delay_s)
            delay_s = min(delay_s * 1.5, 0.005)

    def _try(self, dir_fd: int) -> bool:
        if self._fd is None:
            self._fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=dir_fd)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES, errno.EINTR):
                return False
            raise StoreError(
                f"cannot lock {self._path}: {os.strerror(error.errno or 0)}",
                path=self._path,
                hint="the file system has no working locks (NFS without lockd?): use a local one",
            ) from error
        return True

    def _close(self) -> None:
        if self._depth == 0:
            return  # in a forked child the parent holds the lock
        self._depth -= 1
        if self._depth == 0 and self._fd is not None:
            fcntl.flock(self._fd, fcntl.LOCK_UN)

    def _release_thread(self) -> None:
        try:
            self._thread_lock.release()
        except RuntimeError:
            pass  # in a child that was forked under the lock, the lock is new

    def _forget(self) -> None:
        """Close the copy of the descriptor in a forked child: it shares the parent's lock."""
        self._thread_lock = threading.RLock()
        self._depth = 0
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def __del__(self) -> None:
        if self._fd is not None:
            os.close(self._fd)


@in_forked_child
def _after_fork_in_child() -> None:
    global _shared_guard
    _shared_guard = threading.Lock()
    for lock in list(_shared.values()):
        lock._forget()


class ExclusiveAccess:
    """One store's access to its directory under the lock.

    ``log`` is the change log in force for the write at hand; a nested write may put another one in
    force. ``bell`` is that of the directory's current ``.jobctl``; ring it after the lock is free.
    ``durable`` is what a new epoch gets; with ``None`` it keeps what it had.
    """

    def __init__(
        self, place: Place, bell: DirectoryBell, where: str, *, durable: bool | None
    ) -> None:
        self._place = place
        self._where = where
        self._durable = durable
        self._lock: WriteLock | None = None  # kept here, since the process shares it weakly
        self._bell_meta: object = None  # the .jobctl whose bell we ring
        self.bell = bell
        self.log: Log | None = None

    @contextmanager
    def writing(self, id: str = "") -> Iterator[DirectoryState]:
        """Hold the lock on this very directory, with a current log; wait for other writers."""
        lock = None
        try:
            state, lock = self._locked()
            if self.lacks_log(state):
                state = self._begin_epoch(state)
            self.log = state.log
            yield state
            # A nested one leaves it to the outer write, which goes on with its log.
            if not lock.nested and self.log is state.log:
                self._compact_if_due(state)
        except OSError as error:
            doing = f"writing {id}" if id else "opening the change log"
            raise store_error(error, doing, self._where) from error
        finally:
            if lock is not None:
                lock.release()

    @contextmanager
    def tried(self, *, compact: bool) -> Iterator[DirectoryState | None]:
        """Hold the lock if it is free now; the block gets ``None`` if it is not.

        With ``compact`` the log is compacted afterwards where that is due.
        """
        meta = self._place.current().meta
        if meta is None:
            yield None
            return
        lock = self._lock_of(meta.key)
        with lock.tried(meta.fd) as got:
            state = self._place.writable() if got else None
            if state is None or state.meta is not meta or state.log is None:
                yield None
                return
            yield state
            if compact and not lock.nested:
                self._compact_if_due(state)

    def lacks_log(self, state: DirectoryState) -> bool:
        """Whether a writer has to begin an epoch first."""
        return state.log is None or bool(self._durable and not state.durable)

    def begin_epoch_instead_of(self, damaged: Log) -> None:
        """Start a new epoch, unless another process has done so."""
        with self.writing() as state:
            if state.log is damaged:
                self.log = self._begin_epoch(state).log

    def close(self) -> None:
        """Let go of the lock and the log."""
        self.log = self._bell_meta = self._lock = None

    def _locked(self) -> tuple[DirectoryState, WriteLock]:
        """Acquire the lock; return the state and the lock."""
        while True:
            # The last look tells which lock to wait for, and the next one whether it was that.
            before = self._place.last or self._place.writable()
            meta = before.meta or self._place.writable().meta
            assert meta is not None, "it was made, or an error raised"
            lock = self._lock_of(meta.key)
            lock.acquire(meta.fd)
            try:
                state = self._place.writable()
                if state.meta is meta:
                    if self._bell_meta is not meta:
                        self._bell_meta = meta
                        self.bell.close()  # it was that of another .jobctl
                    return state, lock
            except BaseException:
                lock.release()
                raise
            lock.release()  # somebody replaced .jobctl while we waited for its lock

    def _lock_of(self, key: tuple[int, int]) -> WriteLock:
        if self._lock is None or self._lock.key != key:
            self._lock = WriteLock.of(key, self._where)
        return self._lock

    def _begin_epoch(self, state: DirectoryState) -> DirectoryState:
        return begin_epoch(self._place, state, durable=self._epoch_durable(state))

    def _compact_if_due(self, state: DirectoryState) -> None:
        if state.log is not None and state.log.is_compaction_due():
            durable = self._epoch_durable(state)
            compact_after_write(self._place, state, durable=durable)

    def _epoch_durable(self, state: DirectoryState) -> bool:
        return self._durable if self._durable is not None else state.durable


class _Deadline:
    """When a wait for the lock ends: ``timeout_s`` seconds after the last sign of a write.

    The total is at most `BUSY_TIMEOUT_S`, or ``timeout_s`` if that is longer.
    """

    def __init__(self, dir_fd: int, timeout_s: float) -> None:
        self._dir_fd, self._timeout_s = dir_fd, timeout_s
        self.waited_s = timeout_s
        """The length of the wait that is over, for the error."""
        now_s = time.monotonic()
        self._at_s, self._last_s = now_s + timeout_s, now_s + max(timeout_s, BUSY_TIMEOUT_S)
        self._written = _log_size(dir_fd)

    def left_s(self) -> float:
        """Return how many seconds are left: 0 at the deadline."""
        return max(self._at_s - time.monotonic(), 0.0)

    def extend(self) -> bool:
        """At the deadline, move it if others have written; return whether it was moved."""
        before, self._written = self._written, _log_size(self._dir_fd)
        if self._written == before:
            return False
        now_s = time.monotonic()
        if now_s >= self._last_s:
            self.waited_s = max(self._timeout_s, BUSY_TIMEOUT_S)
            return False
        self._at_s = min(now_s + self._timeout_s, self._last_s)
        return True


def _log_size(dir_fd: int) -> tuple[int, int]:
    """Return what changes when somebody appends to the change log; zeros without one."""
    try:
        stat = os.stat("changes", dir_fd=dir_fd, follow_symlinks=False)
    except OSError:
        return 0, 0
    return stat.st_ino, stat.st_size


def holder_of(key: tuple[int, int]) -> int | None:
    """Return the process that holds a lock on the inode ``(device, number)``, if Linux tells."""
    inode = f"{os.major(key[0]):02x}:{os.minor(key[0]):02x}:{key[1]}"
    try:
        with open("/proc/locks") as file:
            table = file.read()
    except OSError:
        return None
    match = re.search(rf"^\d+: FLOCK +\S+ +WRITE (\d+) {re.escape(inode)} ", table, re.MULTILINE)
    return int(match[1]) if match else None
