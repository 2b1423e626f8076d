"""The bell: the hint "something changed", between processes. It carries no data and may be lost.

Whoever waits reads the store whether the bell or a time-out woke it, so a ring that is dropped,
repeated or forged costs latency only. A listener is drained before the store is read: a ring that
comes during the read wakes the next one.
"""

from __future__ import annotations

import errno
import os
import select
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from jobctl.errors import StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Protocol
else:
    from jobctl.lean import Protocol

__all__ = ["Bell", "DirectoryBell", "Listener", "MemoryBell"]

_OPEN_DIR = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_DRAIN = 1000
_FRESH_NS = 20_000_000  # a directory changed this recently may change again in the same tick


class Listener(Protocol):
    """One who waits for the bell.

    Implementers guarantee: `fileno` is readable after a ring until `drain`; nothing ever blocks a
    ringer; `close` may be called twice and leaves nothing behind.
    """

    def fileno(self) -> int:
        """The descriptor to wait on (``select``, ``loop.add_reader``)."""

    def drain(self) -> int:
        """Take the rings that wait, in a flood not all of them; how many there were."""

    def wait(self, timeout_s: float) -> bool:
        """Wait for a ring and drain; ``False`` after the time-out."""

    def close(self) -> None:
        """Stop listening."""


class Bell(Protocol):
    """Where changes are announced: `ring` never blocks and never fails; it counts what it lost."""

    lost: int

    def ring(self) -> None:
        """Wake every listener, in this process and others."""

    def listen(self) -> Listener:
        """A new listener."""


class _SocketListener:
    """Rings come as datagrams; ``forget`` is called once, after the socket is closed."""

    def __init__(self, sock: socket.socket, forget: Callable[[], None]) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._forget: Callable[[], None] | None = forget

    def fileno(self) -> int:
        return self._socket.fileno()

    def drain(self) -> int:
        rings = 0
        with suppress(BlockingIOError, ConnectionError):
            while rings < _MAX_DRAIN:  # of a flood, what is left wakes the next wait
                self._socket.recv(16)
                rings += 1
        return rings

    def wait(self, timeout_s: float) -> bool:
        if self._socket.fileno() < 0:
            return False
        # Not select(): in a process with a thousand connections it refuses our descriptor.
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        poll.poll(max(0.0, timeout_s) * 1000)
        return self.drain() > 0

    def close(self) -> None:
        self._socket.close()
        forget, self._forget = self._forget, None
        if forget is not None:
            forget()


class MemoryBell:
    """A bell within one process."""

    def __init__(self) -> None:
        self.lost = 0
        self._guard = threading.Lock()
        self._ringers: set[socket.socket] = set()

    def ring(self) -> None:
        with self._guard:
            for ringer in self._ringers:
                try:
                    ringer.send(b"!")
                except OSError:
                    self.lost += 1  # it has rings enough to wake it, or is closing

    def listen(self) -> Listener:
        import socket

        ringer, heard = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        ringer.setblocking(False)
        with self._guard:
            self._ringers.add(ringer)
        return _SocketListener(heard, lambda: self._drop(ringer))

    def _drop(self, ringer: socket.socket) -> None:
        with self._guard:
            self._ringers.discard(ringer)
        ringer.close()

    def close(self) -> None:
        """Let go of the descriptors; listeners that are left hear nothing any more."""
        with self._guard:
            ringers, self._ringers = self._ringers, set()
        for ringer in ringers:
            ringer.close()


class DirectoryBell:
    """A bell between processes: one unix datagram socket for each listener, in a directory.

    Names are unique and never bound again, so one that refuses is dead and may be removed. Socket
    paths are limited to 107 bytes (103 on macOS); on Linux a descriptor's path in ``/proc`` stands
    in for the directory's, whatever its depth.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.lost = 0
        self._names: list[str] = []
        self._listed_ns = -1
        self._socket: socket.socket | None = None
        self._fd: int | None = None
        self._pid = os.getpid()
        self._guard = threading.Lock()

    def ring(self) -> None:
        if self._pid != os.getpid():  # forked, perhaps while another thread was ringing
            self._pid = os.getpid()
            self._guard = threading.Lock()
        with self._guard:
            try:
                names = self._listeners()
                if names and self._socket is None:
                    self._socket = self._ringer()
            except OSError:
                self.lost += 1  # nobody can listen here
                return
            for name in list(names):
                self._ring_one(name)

    def listen(self) -> Listener:
        import socket

        name = f"{os.getpid()}-{os.urandom(6).hex()}"
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            dir_fd = self._open_dir()
        except BaseException:
            sock.close()
            raise
        try:
            sock.bind(self._address(dir_fd, name))
            os.chmod(name, 0o600, dir_fd=dir_fd)
        except OSError as error:
            sock.close()
            os.close(dir_fd)
            if "too long" in str(error) or error.errno == errno.ENAMETOOLONG:
                raise StoreError(
                    f"the path of {self.path} is too long for a socket",
                    path=self.path,
                    hint="a path of 80 bytes or less works everywhere",
                ) from error
            raise

        def forget() -> None:
            with suppress(OSError):
                os.unlink(name, dir_fd=dir_fd)
            os.close(dir_fd)

        return _SocketListener(sock, forget)

    def _open_dir(self) -> int:
        with suppress(FileExistsError):
            os.mkdir(self.path, 0o700)
            os.chmod(self.path, 0o700)  # whatever the umask takes away
        return os.open(self.path, _OPEN_DIR)

    def _address(self, dir_fd: int, name: str) -> str:
        if sys.platform == "linux":
            return f"/proc/self/fd/{dir_fd}/{name}"
        return os.path.join(self.path, name)

    def _listeners(self) -> list[str]:
        stat = os.fstat(self._fd) if self._fd is not None else None
        if stat is None or not stat.st_nlink:  # the directory was removed, and perhaps made anew
            self._let_go()
            self._fd = self._open_dir()
            self._listed_ns = -1
            stat = os.fstat(self._fd)
        if stat.st_mtime_ns != self._listed_ns:
            self._names = os.listdir(self._fd)
            # Within one clock tick two changes carry one time: trust a listing only when it is old.
            fresh = time.time_ns() - stat.st_mtime_ns < _FRESH_NS
            self._listed_ns = -1 if fresh else stat.st_mtime_ns
        return self._names

    @staticmethod
    def _ringer() -> socket.socket:
        import socket  # whom nobody listens to needs none

        ringer = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        ringer.setblocking(False)
        return ringer

    def _ring_one(self, name: str) -> None:
        assert self._socket is not None
        assert self._fd is not None
        try:
            self._socket.sendto(b"!", self._address(self._fd, name))
        except BlockingIOError:
            self.lost += 1  # its queue is full: it has rings enough to wake it
        except ConnectionRefusedError:
            self.lost += 1
            with suppress(OSError, ValueError):
                os.unlink(name, dir_fd=self._fd)
            with suppress(ValueError):
                self._names.remove(name)
        except OSError:
            self.lost += 1

    def close(self) -> None:
        """Let go of the descriptors; the next ring opens them again."""
        with self._guard:
            self._let_go()

    def _let_go(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
