"""Writes: create, update and remove, each under the lock.

The order is: read the job, make the new value, append a record with the digest of the new bytes
(this takes the revision), write the temporary file, rename it. After a crash in between, the
revision stays unused and the old file is still there. A deletion is recorded before the file goes.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress

from jobctl.core.codec import encode
from jobctl.core.cursor import MAX_REVISION
from jobctl.core.job import Job, check_id
from jobctl.errors import Conflict, DamagedFile, JobNotFound, StoreError
from jobctl.stores.contract import Change, Check
from jobctl.stores.directory.changelog import DEL, NO_DIGEST, PUT, Log, Record, digest_of
from jobctl.stores.directory.files import (
    FoundFile,
    JobCache,
    Unreadable,
    exists,
    is_directory,
    publish,
    read_file,
    signature_of,
    translated,
)
from jobctl.stores.directory.lock import ExclusiveAccess
from jobctl.stores.directory.lookup import Lookup, too_busy
from jobctl.stores.directory.parsing import JobParser, guess_in
from jobctl.stores.directory.place import DirectoryState
from jobctl.stores.directory.reconcile import Reconciler

__all__ = ["DirectoryWriter"]

_TEMPORARY = "next"
_MAX_RACES = 20


class _ChangedMeanwhile(Exception):
    """Another program changed the file between our read and our rename."""


class DirectoryWriter:
    """The writes of one store, as the contract describes them."""

    def __init__(
        self,
        access: ExclusiveAccess,
        cache: JobCache,
        lookup: Lookup,
        reconciler: Reconciler,
        where: str,
    ) -> None:
        self._access = access
        self._cache = cache
        self._lookup = lookup
        self._reconciler = reconciler
        self._where = where

    def create(self, job: Job) -> Job:
        """Record a new job. Raises `Conflict` if there is a file of its name."""
        name = check_id(job.id) + ".json"
        for _ in range(_MAX_RACES):
            with self._access.writing(job.id) as state:
                if exists(name, state.dir_fd):
                    raise Conflict(
                        f"job {job.id} exists already in {self._where}", hint="choose another id"
                    )
                try:
                    job = self._put(state, job, None)
                except _ChangedMeanwhile:
                    continue
            self._access.bell.ring()
            return job
        raise too_busy(job.id, self._where)

    def update(self, id: str, change: Change) -> Job:
        """Record the job that ``change`` returns."""
        check_id(id)
        waited = False
        for _ in range(_MAX_RACES):
            with self._access.writing(id) as state:
                found = read_file(state.dir_fd, id + ".json")
                try:
                    if found is None:
                        self._check_missing(state, id, waited=waited)
                    assert found is not None, "or that raises"
                    old = self._cache.parse(id, found)
                    new = change(old)
                    if new is old:
                        record = state.log and state.log.newest(id, digest_of(found.data))
                        revision = record.revision if record else 0
                        return old.replace(revision=revision)
                    if new.id != id:
                        raise Conflict(f"job {id} cannot become job {new.id}")
                    job = self._put(state, new, found)
                except _ChangedMeanwhile:
                    continue
                except Unreadable:
                    job = None
            if job is not None:
                self._access.bell.ring()
                return job
            self._wait_for_its_writer(id)
            waited = True
        raise too_busy(id, self._where)

    def remove(
        self,
        id: str,
        check: Check | None = None,
        *,
        damaged: bool = False,
        request: str | None = None,
    ) -> None:
        """Record a deletion, and remove the file."""
        check_id(id)
        for _ in range(_MAX_RACES):
            with self._access.writing(id) as state:
                try:
                    if check is not None or not damaged:
                        self._check(state, id, check, damaged=damaged)
                    self._remove(state, id, request)
                    break
                except _ChangedMeanwhile:
                    continue
                except Unreadable:
                    pass
            try:
                self._wait_for_its_writer(id)
            except DamagedFile as error:
                raise DamagedFile(error.path, id, error.reason, kept=True) from error
        else:
            raise too_busy(id, self._where)
        self._access.bell.ring()

    def _wait_for_its_writer(self, id: str) -> None:
        """Wait, outside the lock, until the file is a job; `DamagedFile` after a second."""
        with translated("reading", self._where, id):
            self._lookup.read_whole(id)

    def _check_missing(self, state: DirectoryState, id: str, *, waited: bool) -> None:
        """Raise `JobNotFound`, or `Unreadable` if another program may be creating the file again.

        That is so if it is recorded, until a second has passed.
        """
        record = state.log.newest(id) if state.log is not None else None
        if waited or record is None or record.verb == DEL:
            raise JobNotFound(id, self._where)
        raise Unreadable("missing")

    def _put(self, state: DirectoryState, job: Job, found: FoundFile | None) -> Job:
        """Take a revision, then publish. Raises if the old file was changed by another program."""
        name, log = job.id + ".json", state.log
        if log is None or self._access.log is not log:
            raise _ChangedMeanwhile  # a write within the change has put another log in force
        job = job.replace(revision=self._next(log))
        data = encode(job)
        digest = digest_of(data)
        guess = guess_in(job)
        if guess is not None:
            JobParser.keep({(job.id, digest): guess}, state.meta_fd)
        log.append(Record(job.revision, job.id, PUT, digest))
        try:
            if found is not None:
                now = os.stat(name, dir_fd=state.dir_fd, follow_symlinks=False)
                if signature_of(now) != found.signature:
                    raise _ChangedMeanwhile
            publish(
                data,
                name=name,
                dir_fd=state.dir_fd,
                temporary=_TEMPORARY,
                temporary_dir_fd=state.meta_fd,
                like=found,
                sync_fd=log.fd if state.durable else None,
            )
        except (OSError, _ChangedMeanwhile) as error:
            self._reconciler.settle({job.id: None})
            if isinstance(error, FileNotFoundError):
                raise _ChangedMeanwhile from error
            raise
        if guess is None:  # else it is read anew, with the times that the file has now
            self._cache.keep(job, data)
        return job

    def _check(self, state: DirectoryState, id: str, check: Check | None, *, damaged: bool) -> None:
        """Call ``check`` with the current job. After that only another program can change it."""
        name = id + ".json"
        found = read_file(state.dir_fd, name)
        if found is None:
            return  # which the removal finds as well
        try:
            job = self._cache.parse(id, found)
        except Unreadable:
            self._refuse_directory(name, state)
            if damaged:
                return
            raise
        if check is not None:
            check(job)
        if self._access.log is not state.log:
            raise _ChangedMeanwhile  # a write within the check has put another log in force
        with suppress(FileNotFoundError):
            now = os.stat(name, dir_fd=state.dir_fd, follow_symlinks=False)
            if signature_of(now) != found.signature:
                raise _ChangedMeanwhile

    def _remove(self, state: DirectoryState, id: str, request: str | None) -> None:
        name, log = id + ".json", state.log
        assert log is not None, "whoever writes has made it"
        if not exists(name, state.dir_fd):
            self._reconciler.settle({id: None})
            raise JobNotFound(id, self._where)
        self._refuse_directory(name, state)
        digest = digest_of(request.encode()) if request is not None else NO_DIGEST
        record = Record(self._next(log), id, DEL, digest)
        try:
            log.append(record)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            # On a full disk removing is what helps. Should we die in between, this is a
            # deletion by hand, which whoever reconciles records.
            os.unlink(name, dir_fd=state.dir_fd)
            with suppress(OSError):
                log.append(record)
        try:
            if state.durable:
                os.fsync(log.fd)
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=state.dir_fd)
            if state.durable:
                os.fsync(state.dir_fd)
        except OSError:
            self._reconciler.settle({id: None})
            raise
        self._cache.drop(id)

    def _refuse_directory(self, name: str, state: DirectoryState) -> None:
        if is_directory(name, state.dir_fd):
            raise StoreError(
                f"{name} in {self._where} is a directory, and no job",
                path=self._where,
                hint="remove it by hand",
            )

    def _next(self, log: Log) -> int:
        """Cut off a torn last line of the log; return the next revision."""
        revision = log.repair() + 1
        if revision > MAX_REVISION:
            raise StoreError(f"{self._where} has used up its revisions", path=self._where)
        return revision
