"""How a reader of a directory finds a hub that runs on it: ``.jobctl/hubs/``.

Each hub holds a lock on its file for as long as it lives, so a crashed hub's file is known by its
free lock, whatever became of its process id, and is swept by the next who looks. A container's
network has a loopback of its own, where another hub may listen, or nobody: so the file names the
network that its URL is good in.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from jobctl.clock import now
from jobctl.errors import StoreError

__all__ = ["announced", "hub_of", "hubs_of", "is_near"]

_OPEN_DIR = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@contextmanager
def announced(directory: Path, url: str, *, token: bool = False) -> Iterator[None]:
    """Tell readers of the directory that a hub listens at ``url``, for the block.

    ``token`` says that it wants one.
    """
    hubs = directory / ".jobctl" / "hubs"
    path = hubs / f"{os.getpid()}-{secrets.token_hex(4)}.json"
    about: dict[str, Any] = {"url": url, "pid": os.getpid(), "since": now()}
    if token:
        about["token"] = True
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
    """Make the file and lock it; a sweeper may come in between, so look and try again."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        try:
            if os.stat(path).st_ino == os.fstat(fd).st_ino:
                return fd
        except FileNotFoundError:
            pass
        os.close(fd)


def hubs_of(directory: Path, *, usable: bool = False, ours: bool = False) -> list[str]:
    """The URLs of the live hubs on the directory, newest first; dead hubs' files are swept.

    Not of those in another network, whose URLs lead elsewhere from here. ``usable`` and ``ours`` as
    for `hub_of`.
    """
    found: list[tuple[int, str]] = []
    urls: list[str | None] = []
    with suppress(OSError), _hubs_dir(directory) as dir_fd:
        for name in os.listdir(dir_fd):
            with suppress(OSError):  # a hub that stops takes its file along
                found.append((os.stat(name, dir_fd=dir_fd).st_mtime_ns, name))
        found.sort(reverse=True)
        urls = [_url_in(name, dir_fd, usable=usable, ours=ours) for _, name in found]
    return [url for url in urls if url is not None]


def hub_of(directory: Path, *, usable: bool = False, ours: bool = False) -> str | None:
    """The URL of a live hub on the directory, or ``None``.

    With ``ours``, not of one that another user announces: our token would go wherever the file
    says. With ``usable``, nor of one that wants a token, if we have none.
    """
    urls = hubs_of(directory, usable=usable, ours=ours or usable)
    return urls[0] if urls else None


@contextmanager
def _hubs_dir(directory: Path) -> Iterator[int]:
    """A descriptor of ``.jobctl/hubs``; OSError. Where there is a link in its place, there is none.

    We remove files in it, and whoever owns the directory could have that done elsewhere.
    """
    with ExitStack() as opened:
        fd = os.open(directory, _OPEN_DIR)
        opened.callback(os.close, fd)
        for name in (".jobctl", "hubs"):
            fd = os.open(name, _OPEN_DIR | os.O_NOFOLLOW, dir_fd=fd)
            opened.callback(os.close, fd)
        yield fd


def _url_in(name: str, dir_fd: int, *, usable: bool, ours: bool) -> str | None:
    try:
        fd = os.open(name, _OPEN_FILE, dir_fd=dir_fd)
    except OSError:
        return None
    try:
        about = os.fstat(fd)
        is_ours = about.st_uid == os.geteuid()
        if not stat.S_ISREG(about.st_mode) or (ours and not is_ours):
            return None
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            value = json.loads(os.read(fd, 4096) or b"{}")
            if not isinstance(value, dict) or not is_near(value):
                return None
            url = value.get("url")
            if usable and url and value.get("token") and not _have_token():
                return None
            return url if isinstance(url, str) else None
        if is_ours:
            with suppress(OSError):
                os.unlink(name, dir_fd=dir_fd)
        return None
    except (OSError, ValueError, RecursionError):
        return None
    finally:
        os.close(fd)


def is_near(about: Mapping[str, object]) -> bool:
    """Whether what a hub's file says was said in our network; in doubt it was."""
    return about.get("network", _network()) == _network()


def _network() -> int | None:
    """What tells this network namespace from others on the same kernel (namespaces(7))."""
    try:
        return os.stat("/proc/self/ns/net").st_ino
    except OSError:
        return None


def _have_token() -> bool:
    return bool(os.environ.get("JOBCTL_TOKEN") or os.environ.get("JOBCTL_TOKEN_FILE"))
