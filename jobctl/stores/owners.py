"""Who works on the jobs of a store, and who of them has died: ``.jobctl/owners/``.

A process that works on jobs holds a lock on a file of its own for as long as it lives, and writes
the file's name into its jobs. The kernel lets go of the lock when the process ends, however it
ends, so a free lock on a file that is still there means a death without a word. That needs no
heartbeat and no clock, and process ids, which are used again, decide nothing. Where the lock says
nothing (another machine, another kernel below a shared folder), nobody is called dead.

The file is also the owner's letter box: whoever wants a job cancelled appends its id.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import socket
import threading
import weakref
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from jobctl.clock import now
from jobctl.errors import StoreError
from jobctl.stores.place import Place, boot_id

__all__ = ["DirectoryOwners", "MemoryOwners", "Owners", "Who"]

_NAME = re.compile(r"[0-9]{1,10}-[0-9a-f]{12}\Z")
_MAX_HEAD = 1000
_MAX_LETTERS = 64 * 1024


class Owners(Protocol):
    """The owners of a store's jobs. Safe for threads.

    Implementers guarantee: nobody who lives is ever in `dead`, and who is in it will never work
    on a job again.
    """

    def hold(self) -> str | None:
        """Own jobs until `drop`, once for each call; the name to write into them.

        ``None`` where nobody could find out that we died.
        """

    def drop(self) -> None:
        """The jobs of one `hold` have ended."""

    def called(self) -> frozenset[str]:
        """The ids that somebody wants cancelled, of all our jobs, since the last call."""

    def call(self, name: str, id: str) -> bool:
        """Ask the owner to cancel its job; ``False`` when it cannot be reached."""

    def dead(self) -> frozenset[str]:
        """The names of those that are known to have died."""

    def who(self, name: str) -> Who | None:
        """What is known of an owner, dead or alive; ``None`` for nothing."""

    def forget(self, names: Iterable[str]) -> None:
        """No active job belongs to these any more: drop the dead ones among them."""

    def close(self) -> None:
        """Own nothing any more."""


class Who(NamedTuple):
    """An owner, for a person."""

    pid: int
    host: str
    since: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


class DirectoryOwners:
    """Owners in ``.jobctl/owners/`` of the place, which may be replaced meanwhile."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._path = os.path.join(place.meta_path, "owners")
        self._guard = threading.Lock()
        self._own: _Own | None = None
        self._holds = 0
        self._known_dead: frozenset[str] = frozenset()
        _all.add(self)

    def hold(self) -> str | None:
        with self._guard:
            if self._own is None or not self._own.is_there():
                old, self._own = self._own, None
                if old is not None:
                    old.close()
                try:
                    self._place.writable()
                    self._own = _Own(self._path)
                except (OSError, StoreError):
                    return None  # no such file system, no right to write, no descriptors
            self._holds += 1
            return self._own.name

    def drop(self) -> None:
        with self._guard:
            self._holds = max(0, self._holds - 1)
            if self._holds == 0 and self._own is not None:
                own, self._own = self._own, None
                own.unlink()
                own.close()

    def called(self) -> frozenset[str]:
        with self._guard:
            return self._own.letters() if self._own is not None else frozenset()

    def call(self, name: str, id: str) -> bool:
        if not _NAME.match(name):
            return False
        try:
            fd = os.open(
                os.path.join(self._path, name),
                os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC,
            )
        except OSError:
            return False
        try:
            letter = f"{id}\n".encode()
            return os.write(fd, letter) == len(letter)
        except OSError:
            return False
        finally:
            os.close(fd)

    def dead(self) -> frozenset[str]:
        try:
            names = os.listdir(self._path)
        except OSError:
            names = []
        known = self._known_dead
        self._known_dead = frozenset(
            name
            for name in names
            if _NAME.match(name) and (name in known or _is_dead(os.path.join(self._path, name)))
        )
        return self._known_dead

    def who(self, name: str) -> Who | None:
        try:
            head = _head_of(os.path.join(self._path, name)) if _NAME.match(name) else None
        except OSError:
            return None
        return Who(head["pid"], head["host"], head["since"]) if head is not None else None

    def forget(self, names: Iterable[str]) -> None:
        for name in self.dead().intersection(names):
            with suppress(OSError):
                os.unlink(os.path.join(self._path, name))

    def close(self) -> None:
        with self._guard:
            self._holds = 1
        self.drop()

    def after_fork(self) -> None:
        """In a child: what the parent holds is not ours, and must not outlive it in our hands."""
        self._guard = threading.Lock()
        self._holds = 0
        own, self._own = self._own, None
        if own is not None:
            own.close()


class _Own:
    """The file of this process."""

    def __init__(self, path: str) -> None:
        with suppress(FileExistsError):
            os.mkdir(path, 0o700)
        self.name = f"{os.getpid()}-{secrets.token_hex(6)}"
        self._path = os.path.join(path, self.name)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._fd = os.open(self._path, flags, 0o600)
        try:
            # Until it says whose it is, it is nobody's: so the lock comes before the words.
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            head = {
                "pid": os.getpid(),
                "host": socket.gethostname(),
                "machine": _machine(),
                "boot": boot_id(),
                "since": now(),
            }
            data = json.dumps(head).encode() + b"\n"
            os.write(self._fd, data)
            self._read = len(data)
            self._inode = os.fstat(self._fd).st_ino
        except BaseException:
            self.unlink()
            self.close()
            raise

    def is_there(self) -> bool:
        """Whether others find us; not, when somebody has replaced ``.jobctl``."""
        try:
            return os.stat(self._path).st_ino == self._inode
        except OSError:
            return False

    def letters(self) -> frozenset[str]:
        """The whole lines that came since the last look."""
        size = os.fstat(self._fd).st_size
        if size <= self._read:
            return frozenset()
        data = os.pread(self._fd, min(size - self._read, _MAX_LETTERS), self._read)
        whole = data[: data.rfind(b"\n") + 1]
        self._read += len(whole) if len(data) < _MAX_LETTERS else len(data)
        return frozenset(whole.decode("ascii", "replace").split())

    def unlink(self) -> None:
        with suppress(OSError):
            os.unlink(self._path)

    def close(self) -> None:
        os.close(self._fd)


class MemoryOwners:
    """The owners of a store in memory: they die with it, so there is only us."""

    def __init__(self) -> None:
        self._called: set[str] = set()
        self._guard = threading.Lock()
        self._name = f"{os.getpid()}-{secrets.token_hex(6)}"

    def hold(self) -> str | None:
        return self._name

    def drop(self) -> None: ...

    def called(self) -> frozenset[str]:
        with self._guard:
            called, self._called = self._called, set()
        return frozenset(called)

    def call(self, name: str, id: str) -> bool:
        if name != self._name:
            return False
        with self._guard:
            self._called.add(id)
        return True

    def dead(self) -> frozenset[str]:
        return frozenset()

    def who(self, name: str) -> Who | None:
        return Who(os.getpid(), socket.gethostname(), now()) if name == self._name else None

    def forget(self, names: Iterable[str]) -> None: ...

    def close(self) -> None: ...


def _is_dead(path: str) -> bool:
    """Whether the owner of the file has died, beyond doubt."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        if os.fstat(fd).st_nlink == 0:
            return False  # it left in an orderly way while we looked
        head = _parse_head(os.pread(fd, _MAX_HEAD, 0))
    except OSError:
        return False  # it lives, or the file system has no locks
    finally:
        os.close(fd)
    if head is None:
        return False
    # Another kernel's locks need not reach us; but this machine's kernel of before is gone.
    return bool(head["boot"] == boot_id() or head["machine"] == _machine() != "")


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
    except ValueError:
        return None
    if not newline or not isinstance(head, dict):
        return None
    texts = all(isinstance(head.get(key), str) for key in ("host", "machine", "boot", "since"))
    return head if texts and isinstance(head.get("pid"), int) else None


@cache
def _machine() -> str:
    """What tells this machine, or this container, from others; empty where nothing does."""
    for path in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
        with suppress(OSError):
            if text := Path(path).read_text().strip():
                return text
    return ""


_all: weakref.WeakSet[DirectoryOwners] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for owners in list(_all):
        owners.after_fork()


os.register_at_fork(after_in_child=_after_fork_in_child)
