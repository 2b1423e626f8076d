"""The owners of a directory store, and which of them are dead: ``.jobctl/owners/``.

A process that works on jobs locks a file of its own while it runs, and writes the file's name into
its jobs. The kernel releases the lock when the process ends, however it ends. A free lock on a file
that still exists therefore means that the owner died. This needs no heartbeat and no clock, and it
does not depend on process ids, which are reused.

If the lock proves nothing (another machine, or another kernel under a shared folder), the owner
does not count as dead. A copy of the file proves nothing either, because the owner locks the
original; so the file has its own inode number in it. An owner whose file is gone creates it again.

The file also receives cancel requests, one a line: the job's id, and then who asks and why, as a
JSON object without spaces. Owners of jobctl 0.1.0 split the file into words and look for their ids,
so they pass over that object, which is no id.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import stat as stats
import threading
import weakref
from collections.abc import Collection, Iterable, Mapping
from contextlib import ExitStack, suppress
from functools import cache

from jobctl._clock import now
from jobctl._fork import in_forked_child, notice_fork
from jobctl.errors import StoreError
from jobctl.stores.directory.mounts import is_remote, kind_of
from jobctl.stores.directory.place import Place, boot_id, first_line
from jobctl.stores.owners import CancelRequest, OwnerInfo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any
else:
    pass

__all__ = ["DirectoryOwners"]

_NAME = re.compile(r"[0-9]{1,10}-[0-9a-f]{12}\Z")
_OPEN_DIR = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MAX_HEAD = 1000
_MAX_REQUEST_BYTES = 64 * 1024


class DirectoryOwners:
    """The owners in ``.jobctl/owners/`` of a place; the directory may be replaced at any time."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._path = os.path.join(place.meta_path, "owners")
        self._guard = threading.Lock()
        self._own_file: _OwnerFile | None = None
        self._holds = 0
        self._orphans = False
        self._cancel_requests: dict[str, CancelRequest] = {}
        self._known_dead: frozenset[str] = frozenset()
        _instances.add(self)

    def hold(self) -> str | None:
        notice_fork()
        with self._guard:
            try:
                self._ensure_file()
            except (OSError, StoreError):
                return None  # no locks, no permission, or no free descriptors
            assert self._own_file is not None, "it has appeared"
            self._holds += 1
            return self._own_file.name

    def _ensure_file(self) -> None:
        """Make sure that our file exists, with the same name as long as we hold jobs."""
        if self._own_file is not None and self._own_file.is_visible():
            return
        self._place.writable()
        boot_id()
        with _fork_lock:  # a child forked now would hold the lock without knowing it
            if self._own_file is None:
                self._own_file = _OwnerFile(self._path)
            else:
                self._own_file.recreate()

    def drop(self, *, orphaned: bool = False) -> None:
        notice_fork()
        with self._guard:
            self._holds = max(0, self._holds - 1)
            self._orphans = self._orphans or orphaned
            if self._holds == 0 and self._own_file is not None:
                own, self._own_file = self._own_file, None
                if not self._orphans:
                    own.unlink()
                own.close()
                self._orphans = False
                self._cancel_requests.clear()

    def take_cancel_requests(self, ids: Collection[str]) -> Mapping[str, CancelRequest]:
        notice_fork()
        with self._guard:
            if self._own_file is None:
                return {}
            with suppress(OSError, StoreError):
                self._cancel_requests |= self._own_file.read_cancel_requests()
                self._ensure_file()
            wanted = self._cancel_requests.keys() & set(ids)
            return {id: self._cancel_requests.pop(id) for id in wanted}

    def request_cancel(self, name: str, id: str, request: CancelRequest | None = None) -> bool:
        """See `Owners.request_cancel`. Sends nothing if other users can write to the directory.

        Otherwise a name could lead to any file of ours, and the id would be appended to it.
        """
        if not _NAME.match(name):
            return False
        with ExitStack() as opened:
            try:
                state = self._place.current()
                if state.meta is None or self._place.why_not_obeyed(state.meta_fd, state):
                    return False
                folder = os.open("owners", _OPEN_DIR, dir_fd=state.meta_fd)
                opened.callback(os.close, folder)
                fd = os.open(name, _APPEND, dir_fd=folder)
                opened.callback(os.close, fd)
                stat = os.fstat(fd)
                if not stats.S_ISREG(stat.st_mode) or stat.st_nlink != 1:
                    return False
                line = _line_of(id, request)
                return os.write(fd, line) == len(line)
            except (OSError, StoreError):
                return False

    def dead(self) -> frozenset[str]:
        try:
            names = os.listdir(self._path)
        except (FileNotFoundError, NotADirectoryError):
            names = []
        except OSError:
            return self._known_dead  # no free descriptors: those that were dead still are
        known = self._known_dead
        self._known_dead = frozenset(
            name
            for name in names
            if _NAME.match(name) and (name in known or _is_dead(os.path.join(self._path, name)))
        )
        return self._known_dead

    def info(self, name: str) -> OwnerInfo | None:
        try:
            head = _head_of(os.path.join(self._path, name)) if _NAME.match(name) else None
        except OSError:
            return None
        return OwnerInfo(head["pid"], head["host"], head["since"]) if head is not None else None

    def forget(self, names: Iterable[str]) -> None:
        for name in self.dead().intersection(names):
            with suppress(OSError):
                os.unlink(os.path.join(self._path, name))

    def close(self) -> None:
        notice_fork()
        with self._guard:
            self._holds = 1
        self.drop()

    def after_fork(self) -> None:
        """Drop what belongs to the parent, in a forked child."""
        self._guard = threading.Lock()
        self._holds, self._orphans = 0, False
        self._cancel_requests.clear()
        own, self._own_file = self._own_file, None
        if own is not None:
            own.close()


class _OwnerFile:
    """The file of this process."""

    def __init__(self, path: str) -> None:
        with suppress(FileExistsError):
            os.mkdir(path, 0o700)
        self.name = f"{os.getpid()}-{os.urandom(6).hex()}"
        self._path = os.path.join(path, self.name)
        self._since = now()
        self._fd, self._read, self._key = self._make()

    def _make(self) -> tuple[int, int, tuple[int, int]]:
        """Create the file.

        Return its descriptor, the size of its head, and its device and inode.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(self._path, flags, 0o600)
        try:
            # Lock before writing: a file without content counts as no owner's.
            fcntl.flock(fd, fcntl.LOCK_EX)
            stat = os.fstat(fd)
            head = {
                "pid": os.getpid(),
                "host": os.uname().nodename,
                "machine": _machine(),
                "boot": boot_id(),
                "since": self._since,
                "device": stat.st_dev,
                "inode": stat.st_ino,
            }
            data = json.dumps(head).encode() + b"\n"
            os.write(fd, data)
        except BaseException:
            self.unlink()
            os.close(fd)
            raise
        return fd, len(data), (stat.st_dev, stat.st_ino)

    def is_visible(self) -> bool:
        """Whether others find this very file; not if ``.jobctl`` was replaced, even by a copy."""
        try:
            stat = os.stat(self._path, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True  # unknown
        return (stat.st_dev, stat.st_ino) == self._key

    def recreate(self) -> None:
        """Create the file again, also in place of a copy."""
        with suppress(FileExistsError):
            os.mkdir(os.path.dirname(self._path), 0o700)
        self.unlink()
        old = self._fd
        self._fd, self._read, self._key = self._make()
        # The old file may be moved back one day: empty it, so that it marks no dead owner.
        with suppress(OSError):
            os.ftruncate(old, 0)
        os.close(old)

    def read_cancel_requests(self) -> dict[str, CancelRequest]:
        """Return the complete requests that were appended since the last call."""
        size = os.fstat(self._fd).st_size
        if size <= self._read:
            return {}
        data = os.pread(self._fd, min(size - self._read, _MAX_REQUEST_BYTES), self._read)
        whole = data[: data.rfind(b"\n") + 1]
        self._read += len(whole) if len(data) < _MAX_REQUEST_BYTES else len(data)
        lines = map(str.strip, whole.decode("ascii", "replace").split("\n"))
        return dict(map(_request_in, filter(None, lines)))

    def unlink(self) -> None:
        with suppress(OSError):
            os.unlink(self._path)

    def close(self) -> None:
        os.close(self._fd)


def _line_of(id: str, request: CancelRequest | None) -> bytes:
    """Return the line of a cancel request: ASCII, and the only space is after the id."""
    said = request._asdict() if request is not None else {}
    known = {key: value for key, value in said.items() if value}
    if not known:
        return f"{id}\n".encode()
    text = json.dumps(known, separators=(",", ":")).replace(" ", "\\u0020")
    return f"{id} {text}\n".encode()


def _request_in(line: str) -> tuple[str, CancelRequest]:
    """Return the id and the request in a line of `_line_of`; without what cannot be read."""
    id, _, text = line.partition(" ")
    try:
        said = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        said = {}
    said = said if isinstance(said, dict) else {}
    texts = (said.get(key) for key in CancelRequest._fields)
    return id, CancelRequest(*(text if isinstance(text, str) else None for text in texts))


def _is_dead(path: str) -> bool:
    """Whether the owner of the file is certainly dead."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        stat = os.fstat(fd)
        if stat.st_nlink == 0:
            return False  # it ended in an orderly way meanwhile
        head = _parse_head(os.pread(fd, _MAX_HEAD, 0))
    except OSError:
        return False  # it is alive, or the file system has no locks
    finally:
        os.close(fd)
    if head is None:
        return False
    if head["boot"] == boot_id() != "unknown":
        return (head["device"], head["inode"]) == (stat.st_dev, stat.st_ino)
    # Locks of another kernel may not be visible here. But if the owner ran on this machine before
    # its last boot, it is dead. Cloned machines may have the same ids, but no common local disk.
    kind = kind_of(stat.st_dev, os.path.realpath(path))
    here = (head["machine"], head["host"]) == (_machine(), os.uname().nodename)
    return here and _machine() != "" and kind is not None and not is_remote(kind)


def _head_of(path: str) -> dict[str, Any] | None:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return _parse_head(os.pread(fd, _MAX_HEAD, 0))
    finally:
        os.close(fd)


def _parse_head(data: bytes) -> dict[str, Any] | None:
    line, newline, _ = data.partition(b"\n")
    try:
        head = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not newline or not isinstance(head, dict):
        return None
    texts = all(isinstance(head.get(key), str) for key in ("host", "machine", "boot", "since"))
    numbers = all(type(head.get(key)) is int for key in ("pid", "device", "inode"))
    return head if texts and numbers else None


@cache
def _machine() -> str:
    """Return the id of this machine or container; an empty string if it has none."""
    for path in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
        with suppress(OSError):
            if text := first_line(path):
                return text
    return ""


_instances: weakref.WeakSet[DirectoryOwners] = weakref.WeakSet()
_fork_lock = threading.Lock()


def _before_fork() -> None:
    _fork_lock.acquire()


def _after_fork_in_parent() -> None:
    _fork_lock.release()


@in_forked_child
def _after_fork_in_child() -> None:
    global _fork_lock
    _fork_lock = threading.Lock()
    for owners in list(_instances):
        owners.after_fork()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent)
