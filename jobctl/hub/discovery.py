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
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from jobctl._clock import now
from jobctl.errors import StoreError
from jobctl.hub.credentials import Credentials
from jobctl.hub.running import RunningHub, is_same_network, network, running_hubs, token_in

__all__ = [
    "RunningHub",
    "announced",
    "is_same_network",
    "running_hubs",
    "token_in",
    "usable_hub",
]


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
    if (own_network := network()) is not None:
        about["network"] = own_network
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


def usable_hub(directory: Path, credentials: Credentials | None = None) -> RunningHub | None:
    """Return the newest running hub on the directory that we may read through, or ``None``.

    A hub that needs a token is left out if the credentials, by default those of the environment,
    have none.
    """
    has_token = (credentials or Credentials.from_environment(os.environ)).has_token
    hubs = running_hubs(directory)
    return next((hub for hub in hubs if hub.is_usable(has_token=has_token)), None)
