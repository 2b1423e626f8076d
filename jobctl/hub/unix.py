"""The Unix socket that a hub listens on: ``jobctl serve --unix PATH``.

Only the owner can use the file (mode 0600). A hub that was killed leaves the file behind; nobody
listens on it any more, so the next hub replaces it. A file that a process listens on is never
replaced. To keep this true when two hubs start at the same moment, a hub holds a lock on the
directory (flock(2)) while it checks and replaces the file.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from jobctl.errors import AddressInUse, HubError, UsageError
from jobctl.hub.address import check_unix_path

__all__ = ["listening"]

_LOCK_S = 2.0
_AGAIN_S = 0.02
_BACKLOG = 128


@contextmanager
def listening(path: str) -> Iterator[socket.socket]:
    """Listen on a Unix socket at ``path``; remove the file at the end of the block.

    The caller closes the socket. Raises `AddressInUse` if a process listens there already,
    `UsageError` if the path is too long or is another kind of file, `HubError` if it cannot be
    bound.
    """
    path = check_unix_path(path)
    try:
        with _locked(os.path.dirname(path)):
            _make_way(path)
            sock, file = _bound(path)
    except OSError as error:
        raise HubError(
            f"cannot listen on {path}: {error.strerror or error}",
            url=f"unix:{path}",
            hint="choose another path with --unix",
        ) from error
    try:
        yield sock
    finally:
        with suppress(OSError):
            if _identity(path) == file:  # otherwise another hub has replaced it
                os.unlink(path)


@contextmanager
def _locked(directory: str) -> Iterator[None]:
    """Hold the lock of the directory for the block.

    Any user may hold such a lock, in ``/tmp`` for example, so after 2 s the block runs without it.
    Then one of two hubs that start at the same moment may replace the socket of the other.
    """
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        deadline_s = time.monotonic() + _LOCK_S
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                    break  # this file system has no locks
            if time.monotonic() > deadline_s:
                break
            time.sleep(_AGAIN_S)
        yield
    finally:
        os.close(fd)


def _make_way(path: str) -> None:
    """Remove the socket of a hub that crashed."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if stat.S_ISDIR(found.st_mode):  # also for an empty path, which names the current directory
        raise UsageError(
            f"a Unix socket needs a file name, and {path} is a directory",
            hint="write it as --unix PATH/NAME",
        )
    if not stat.S_ISSOCK(found.st_mode):
        raise UsageError(f"{path} is no socket, so it stays", hint="choose another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.setblocking(False)
        try:
            asking.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except FileNotFoundError:
            return
        except BlockingIOError:
            pass  # its queue of connections is full, so a process listens
    raise AddressInUse(path)


def _bound(path: str) -> tuple[socket.socket, tuple[int, int]]:
    """Return the listening socket, and the identity of its file."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with suppress(OSError):
            os.fchmod(sock.fileno(), 0o600)  # on Linux the file gets what the socket has
        sock.bind(path)
        if os.lstat(path).st_mode & 0o077:
            os.chmod(path, 0o600)
        sock.listen(_BACKLOG)  # nobody could connect before
        sock.setblocking(False)
        return sock, _identity(path)
    except BaseException:
        sock.close()
        raise


def _identity(path: str) -> tuple[int, int]:
    found = os.lstat(path)
    return found.st_dev, found.st_ino
