"""Remembers in the directory what the hub has served, so that the next hub knows what it missed.

A plain client that comes back after a restart knows no cursor. So the file ``.jobctl/served`` has
one, and the jobs that were active then, for those that are removed while no hub is there. It is a
hint: without it a client does not hear how its jobs ended meanwhile, and if it is old, it hears of
more jobs.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

from jobctl.core.codec import parse_wire
from jobctl.core.cursor import ZERO, Cursor
from jobctl.core.job import Job
from jobctl.core.protocol import cursor_or_zero
from jobctl.errors import InvalidJob

__all__ = ["MAX_ACTIVE", "NOTHING_SERVED", "LastServed", "Served"]

MAX_ACTIVE = 1000
"""Active jobs that are remembered: those that changed last."""

_NAME, _NEXT = "served", "served.next"
_MAX_BYTES = 4 * 1024 * 1024
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC


class Served(NamedTuple):
    """What a hub had served: its cursor, and active jobs without their details."""

    cursor: Cursor = ZERO
    active: tuple[Job, ...] = ()


NOTHING_SERVED = Served()


class LastServed:
    """What was served last on one directory. Errors of the system are ignored."""

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self._path = os.path.join(directory, ".jobctl")
        self._written = ZERO

    def read(self) -> Served:
        """Return what was served; `NOTHING_SERVED` if no hub of our own user has written it."""
        with suppress(OSError, ValueError, RecursionError, InvalidJob):
            fd = os.open(os.path.join(self._path, _NAME), _READ)
            try:
                about = os.fstat(fd)
                if not stat.S_ISREG(about.st_mode) or about.st_uid != os.geteuid():
                    return NOTHING_SERVED
                value = json.loads(os.read(fd, _MAX_BYTES))
            finally:
                os.close(fd)
            if isinstance(value, dict) and isinstance(value.get("active"), list):
                active = tuple(parse_wire(job) for job in value["active"][:MAX_ACTIVE])
                return Served(cursor_or_zero(value.get("cursor")), active)
        return NOTHING_SERVED

    def write(self, cursor: Cursor, active: Iterable[Job]) -> None:
        """Record the cursor, if it is another one, and these jobs."""
        if cursor in (ZERO, self._written):
            return
        jobs = [
            {
                "id": job.id, "type": job.type, "sessionId": job.session_id, "stage": job.stage,
                "createdAt": job.created_at, "updatedAt": job.created_at,
            }
            for job in active
        ]  # fmt: skip
        data = json.dumps({"cursor": str(cursor), "active": jobs}).encode()
        with suppress(OSError):
            folder = os.open(self._path, _DIRECTORY)
            try:
                if os.fstat(folder).st_uid != os.geteuid():
                    return
                fd = os.open(_NEXT, _WRITE, 0o600, dir_fd=folder)
                try:
                    os.fchmod(fd, 0o600)  # regardless of the umask
                    whole = os.write(fd, data) == len(data)
                finally:
                    os.close(fd)
                if whole:
                    os.rename(_NEXT, _NAME, src_dir_fd=folder, dst_dir_fd=folder)
                    self._written = cursor
            finally:
                os.close(folder)
