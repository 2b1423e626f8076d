"""The bell between processes: one Unix datagram socket per listener."""

from __future__ import annotations

import errno
import os
import sys
import threading
import time
from contextlib import suppress

from jobctl.errors import StoreError
from jobctl.stores.bell import Listener, SocketListener

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
else:
    pass

__all__ = ["DirectoryBell"]


_OPEN_DIR = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


_FRESH_NS = 20_000_000  # a directory changed this recently may change again in the same tick


class DirectoryBell:
    """A bell between processes: one Unix datagram socket per listener, in a directory.

    Names are unique and are never bound again, so a socket that refuses a ring is dead and is
    removed. Socket paths are limited to 107 bytes (103 on macOS). On Linux the path of a descriptor
    in ``/proc`` is used instead, so the depth of the directory does not matter.
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
                self.lost += 1  # no listener can exist here
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

        return SocketListener(sock, forget)

    def _open_dir(self) -> int:
        with suppress(FileExistsError):
            os.mkdir(self.path, 0o700)
            os.chmod(self.path, 0o700)  # regardless of the umask
        return os.open(self.path, _OPEN_DIR)

    def _address(self, dir_fd: int, name: str) -> str:
        if sys.platform == "linux":
            return f"/proc/self/fd/{dir_fd}/{name}"
        return os.path.join(self.path, name)

    def _listeners(self) -> list[str]:
        stat = os.fstat(self._fd) if self._fd is not None else None
        if (
            stat is None or not stat.st_nlink
        ):  # the directory was removed, and perhaps created again
            self._close()
            self._fd = self._open_dir()
            self._listed_ns = -1
            stat = os.fstat(self._fd)
        if stat.st_mtime_ns != self._listed_ns:
            self._names = os.listdir(self._fd)
            # Two changes within one clock tick have the same time: trust only an old listing.
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
            self.lost += 1  # its queue is full, so it will wake anyway
        except ConnectionRefusedError:
            self.lost += 1
            with suppress(OSError, ValueError):
                os.unlink(name, dir_fd=self._fd)
            with suppress(ValueError):
                self._names.remove(name)
        except OSError:
            self.lost += 1

    def close(self) -> None:
        """Close the descriptors; the next ring opens them again."""
        with self._guard:
            self._close()

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
