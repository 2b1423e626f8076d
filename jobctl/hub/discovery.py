"""How a reader of a directory finds a hub that runs on it: ``.jobctl/hubs/``.

Each hub holds a lock on its file for as long as it lives, so a crashed hub's file is known by its
free lock, whatever became of its process id, and is swept by the next who looks. A container's
network has a loopback of its own, where another hub may listen, or nobody: so the file names the
network that its URL is good in.

Only the owner can read the file, because it contains the token that the hub generated for its own
user (see access.py). A configured token is not written to it. The hub removes the file when it
ends.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from jobctl._clock import now
from jobctl.errors import StoreError
from jobctl.hub.credentials import Credentials

__all__ = [
    "RunningHub",
    "announced",
    "find_hub",
    "find_hubs",
    "is_same_network",
    "running_hubs",
    "token_in",
    "usable_hub",
]

_TOKEN = re.compile(r"[!-~]{16,256}\Z")


class RunningHub(NamedTuple):
    """A running hub on a directory, as its file describes it.

    ``own``: our own user announced it; a token is never sent to a hub of another user. ``token``:
    the token that the hub generated for its own user. ``needs_token``: it has a configured token
    instead, which must come from our settings.
    """

    url: str
    own: bool
    needs_token: bool
    token: bytes | None

    def is_usable(self, *, has_token: bool) -> bool:
        """Whether a reader may use it: it is our own, and the reader has a token if need be."""
        return self.own and (has_token or not self.needs_token)


_OPEN_DIR = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@contextmanager
def announced(
    directory: Path, url: str, *, needs_token: bool = False, token: bytes | None = None
) -> Iterator[None]:
    """Announce a hub at ``url`` to readers of the directory, for the duration of the block.

    See `RunningHub` for the tokens.
    """
    hubs = directory / ".jobctl" / "hubs"
    path = hubs / f"{os.getpid()}-{secrets.token_hex(4)}.json"
    about: dict[str, Any] = {"url": url, "pid": os.getpid(), "since": now()}
    if needs_token:
        about["token"] = True
    if token is not None:
        about["ownToken"] = token.decode()
    if (network := _network()) is not None:
        about["network"] = network
    text = json.dumps(about) + "\n"
    try:
        with suppress(FileExistsError):
            os.mkdir(hubs, 0o700)
        fd = _create_locked(path)
    except OSError as error:
        raise StoreError(
            f"cannot write {hubs}: {os.strerror(error.errno or 0)}", path=str(hubs)
        ) from error
    try:
        os.write(fd, text.encode())
        yield
    finally:
        with suppress(OSError):
            path.unlink()
        os.close(fd)


def _create_locked(path: Path) -> int:
    """Create the file and lock it. Try again if a reader removed it in between.

    ``O_EXCL``: a token is written to it, so it must not be a file that another user has created.
    """
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        try:
            if os.stat(path).st_ino == os.fstat(fd).st_ino:
                return fd
        except FileNotFoundError:
            pass
        os.close(fd)


def running_hubs(directory: Path) -> list[RunningHub]:
    """Return the running hubs on the directory, newest first; remove files of crashed hubs.

    Hubs in another network are left out, because their URLs are not valid here.
    """
    found: list[tuple[int, str]] = []
    running: list[RunningHub | None] = []
    with suppress(OSError), _hubs_dir(directory) as dir_fd:
        for name in os.listdir(dir_fd):
            with suppress(OSError):  # a hub that stops removes its file
                found.append((os.stat(name, dir_fd=dir_fd).st_mtime_ns, name))
        found.sort(reverse=True)
        running = [_hub_in(name, dir_fd) for _, name in found]
    return [hub for hub in running if hub is not None]


def usable_hub(directory: Path, credentials: Credentials | None = None) -> RunningHub | None:
    """Return the newest running hub on the directory that we may read through, or ``None``.

    A hub that needs a token is left out if the credentials, by default those of the environment,
    have none.
    """
    has_token = (credentials or Credentials.from_environment(os.environ)).has_token
    hubs = running_hubs(directory)
    return next((hub for hub in hubs if hub.is_usable(has_token=has_token)), None)


def find_hubs(directory: Path) -> list[str]:
    """Return the URLs of the running hubs on the directory, newest first."""
    return [hub.url for hub in running_hubs(directory)]


def find_hub(directory: Path) -> str | None:
    """Return the URL of the newest running hub on the directory, or ``None``."""
    return next(iter(find_hubs(directory)), None)


@contextmanager
def _hubs_dir(directory: Path) -> Iterator[int]:
    """Open ``.jobctl/hubs`` and return its descriptor; OSError, also for a symbolic link.

    Files in it are removed, and a link could lead to a directory of somebody else.
    """
    with ExitStack() as opened:
        fd = os.open(directory, _OPEN_DIR)
        opened.callback(os.close, fd)
        for name in (".jobctl", "hubs"):
            fd = os.open(name, _OPEN_DIR | os.O_NOFOLLOW, dir_fd=fd)
            opened.callback(os.close, fd)
        yield fd


def _hub_in(name: str, dir_fd: int) -> RunningHub | None:
    try:
        fd = os.open(name, _OPEN_FILE, dir_fd=dir_fd)
    except OSError:
        return None
    try:
        about = os.fstat(fd)
        own = about.st_uid == os.geteuid()
        if not stat.S_ISREG(about.st_mode):
            return None
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            value = json.loads(os.read(fd, 4096) or b"{}")
            if not isinstance(value, dict) or not is_same_network(value):
                return None
            url = value.get("url")
            if not isinstance(url, str):
                return None
            needs_token = bool(value.get("token"))
            return RunningHub(url, own=own, needs_token=needs_token, token=token_in(value))
        if own:
            with suppress(OSError):
                os.unlink(name, dir_fd=dir_fd)
        return None
    except (OSError, ValueError, RecursionError):
        return None
    finally:
        os.close(fd)


def is_same_network(about: Mapping[str, object]) -> bool:
    """Whether the hub's file was written in our network namespace.

    ``True`` if that is not known.
    """
    return about.get("network", _network()) == _network()


def token_in(about: Mapping[str, object]) -> bytes | None:
    """Return the token in a hub's file that the hub generated for its own user, or ``None``."""
    token = about.get("ownToken")
    return token.encode() if isinstance(token, str) and _TOKEN.match(token) else None


def _network() -> int | None:
    """Return the id of this network namespace (namespaces(7))."""
    try:
        return os.stat("/proc/self/ns/net").st_ino
    except OSError:
        return None
