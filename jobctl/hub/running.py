"""The hubs that run on a directory, by their files in ``.jobctl/hubs/`` (see discovery.py).

Completion reads them too, so this module imports little.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import stat
from contextlib import ExitStack, contextmanager, suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import NamedTuple
else:
    from jobctl._stdlib import NamedTuple

__all__ = ["RunningHub", "is_same_network", "network", "running_hubs", "token_in"]

_TOKEN = re.compile(r"[!-~]{16,256}\Z")
_OPEN_DIR = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


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


def running_hubs(directory: str | os.PathLike[str]) -> list[RunningHub]:
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


@contextmanager
def _hubs_dir(directory: str | os.PathLike[str]) -> Iterator[int]:
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
    return about.get("network", network()) == network()


def token_in(about: Mapping[str, object]) -> bytes | None:
    """Return the token in a hub's file that the hub generated for its own user, or ``None``."""
    token = about.get("ownToken")
    return token.encode() if isinstance(token, str) and _TOKEN.match(token) else None


def network() -> int | None:
    """Return the id of this network namespace (namespaces(7))."""
    try:
        return os.stat("/proc/self/ns/net").st_ino
    except OSError:
        return None
