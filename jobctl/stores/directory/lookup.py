"""Looks up one job by its id, as it is in its file now."""

from __future__ import annotations

import os
import time

from jobctl.core.job import Job, check_id
from jobctl.errors import Conflict, DamagedFile, JobNotFound, NotObeyed, StoreError
from jobctl.stores.directory.changelog import DEL, digest_of
from jobctl.stores.directory.files import (
    FoundFile,
    JobCache,
    Unreadable,
    is_id,
    job_names,
    read_file,
    signature_of,
    translated,
)
from jobctl.stores.directory.index import TORN_GRACE_S, is_old
from jobctl.stores.directory.place import DirectoryState, Place

__all__ = ["Lookup", "too_busy"]

_MAX_RACES = 20
_LOOK_S = 0.02
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def too_busy(id: str, where: str) -> Conflict:
    """Return the error for a file that changes each time that we look at it."""
    return Conflict(f"job {id} in {where} changes all the time", hint="try again")


class Lookup:
    """Reads single jobs of the directory ``where``; takes no lock."""

    def __init__(self, place: Place, cache: JobCache, where: str) -> None:
        self._place = place
        self._cache = cache
        self._where = where

    def ids(self, prefix: str) -> list[str]:
        """Return the ids with this prefix, sorted."""
        with translated("reading", self._where):
            names = job_names(self._place.current().dir_fd)
        return sorted(name for name in names if name.startswith(prefix) and is_id(name))

    def get(self, id: str) -> Job:
        """Return the job. Raises `JobNotFound`, or `DamagedFile` if it stays unreadable."""
        return self._get(id)[1]

    def removed_by(self, id: str, request: str) -> int | None:
        """Return the revision at which this request removed the job; see `Store.removed_by`."""
        log = self._place.current().log
        record = log.newest(check_id(id)) if log is not None else None
        if record is None or record.verb != DEL or record.digest != digest_of(request.encode()):
            return None
        return record.revision

    def get_runnable(self, id: str) -> Job:
        """Return the job, if nobody else can have written its command line; else `NotObeyed`."""
        with translated("reading", self._where, check_id(id)):
            for _ in range(_MAX_RACES):
                state = self._place.current()
                self._check_obeyed(state.dir_fd, state, self._place.path, id)
                found, job = self._get(id)
                if self._place.current().dir is not state.dir:
                    continue  # another directory is there by now: what was read is of either
                try:
                    fd = os.open(f"{id}.json", _OPEN_FILE, dir_fd=state.dir_fd)
                except FileNotFoundError:
                    continue
                try:
                    # The very state of the file that was read.
                    if signature_of(os.fstat(fd)) == found.signature:
                        self._check_obeyed(fd, state, f"{self._place.path}/{id}.json", id)
                        return job
                finally:
                    os.close(fd)
        raise too_busy(id, self._where)

    def read_whole(self, id: str) -> tuple[FoundFile | None, Job | None]:
        """Return the job in the file; wait for a file that may be a job again in a moment.

        That is one that is no job, or that is missing although it is recorded. A file that was no
        job long ago, and has not changed at a second look, is not waited for.
        """
        deadline = time.monotonic() + TORN_GRACE_S
        before: FoundFile | None = None
        problem: Unreadable | None = None
        while True:
            found = read_file(self._place.current().dir_fd, id + ".json")
            try:
                if problem is not None and found is not None and is_old(found, before):
                    raise problem  # which to find out again may take long
                if found is not None:
                    return found, self._cache.parse(id, found)
                if time.monotonic() > deadline or not self._is_recorded(id):
                    return None, None
            except Unreadable as error:
                problem = error
                if found is not None and found.unreadable:
                    path = f"{self._where}/{id}.json"
                    raise StoreError(
                        f"{path} {found.problem}", path=path, hint="its owner can make it readable"
                    ) from error
                if time.monotonic() > deadline or (found is not None and is_old(found, before)):
                    raise DamagedFile(f"{self._where}/{id}.json", id, str(error)) from error
            before = found
            time.sleep(_LOOK_S)

    def _is_recorded(self, id: str) -> bool:
        """Whether the change log has the job."""
        log = self._place.current().log
        record = log.newest(id) if log is not None else None
        return record is not None and record.verb != DEL

    def _get(self, id: str) -> tuple[FoundFile, Job]:
        with translated("reading", self._where, check_id(id)):
            found, job = self.read_whole(id)
            if found is None or job is None:
                raise JobNotFound(id, self._where)
            log = self._place.current().log
            # Of these very bytes: the newest record may be of a write that is still in flight.
            record = log.newest(id, digest_of(found.data)) if log is not None else None
        return found, job.replace(revision=record.revision if record else 0)

    def _check_obeyed(self, fd: int, state: DirectoryState, path: str, id: str) -> None:
        if why := self._place.why_not_obeyed(fd, state):
            from jobctl.config import safe_hint

            so = f"the command of job {id} is not run"
            raise NotObeyed(path, why, so=so, hint=safe_hint(self._place.path))
