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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from jobctl.clock import now
from jobctl.errors import StoreError

__all__ = ["announced", "hub_of", "hubs_of", "is_near"]


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


def hubs_of(directory: Path, *, usable: bool = False) -> list[str]:
    """The URLs of the live hubs on the directory, newest first; dead hubs' files are swept.

    Not of those in another network, whose URLs lead elsewhere from here.
    """
    hubs = directory / ".jobctl" / "hubs"
    found: list[tuple[int, str]] = []
    with suppress(OSError):
        for name in os.listdir(hubs):
            with suppress(OSError):  # a hub that stops takes its file along
                found.append((os.stat(hubs / name).st_mtime_ns, name))
    found.sort(reverse=True)
    urls = (_url_in(hubs / name, usable=usable) for _, name in found)
    return [url for url in urls if url is not None]


def hub_of(directory: Path, *, usable: bool = False) -> str | None:
    """The URL of a live hub on the directory, or ``None``.

    With ``usable``, not of one that wants a token, which we have not, nor of one that another user
    announces: our token would go wherever the file says.
    """
    urls = hubs_of(directory, usable=usable)
    return urls[0] if urls else None


def _url_in(path: Path, *, usable: bool) -> str | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            value = json.loads(os.read(fd, 4096) or b"{}")
            if not isinstance(value, dict) or not is_near(value):
                return None
            url = value.get("url")
            if usable and os.fstat(fd).st_uid != os.geteuid():
                return None
            if usable and url and value.get("token") and not _have_token():
                return None
            return url if isinstance(url, str) else None
        with suppress(OSError):
            path.unlink()
        return None
    except (OSError, ValueError):
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
