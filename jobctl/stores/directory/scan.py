"""Reads a directory without a change log, and creates nothing in it.

The order belongs to this object: each scan compares signatures with the last one and gives changed
files a new revision. Its cursors are therefore valid in this process only; any other cursor gets a
reset.
"""

from __future__ import annotations

import os
import time

from jobctl.core.cursor import Cursor
from jobctl.core.job import check_id
from jobctl.core.jobset import DAMAGED, Delta, JobSet
from jobctl.errors import InvalidId, InvalidJob
from jobctl.stores.contract import BadFile
from jobctl.stores.directory.files import Signature, job_names, read_file, signature_of
from jobctl.stores.directory.index import TORN_GRACE_S
from jobctl.stores.directory.parsing import JobParser

__all__ = ["Scan"]


class Scan:
    """The jobs of one directory as of the last scan, in a `JobSet`."""

    def __init__(self, parser: JobParser) -> None:
        self._parser = parser
        self._set = JobSet(os.urandom(6).hex())
        self._signatures: dict[str, Signature] = {}
        self._bad: dict[str, str] = {}
        self._lacking_since: dict[str, float] = {}  # monotonic: missing, or no job

    def since(
        self, cursor: Cursor, dir_fd: int, limit: int | None = None, *, snapshot_start: int = 0
    ) -> Delta:
        """Scan, and return what changed after the cursor, as `Store.since` does.

        All jobs are kept in memory here, so a page after the first one of a reset needs no scan.
        """
        if not snapshot_start or cursor.epoch != self._set.epoch:
            self._look(dir_fd)
        return self._set.since(
            cursor, max_examined=limit, snapshot_start=snapshot_start, tombstones=True
        )

    @property
    def is_unsettled(self) -> bool:
        """Whether files that were jobs are missing or no jobs, for less than a second."""
        return bool(self._lacking_since)

    def bad(self) -> list[BadFile]:
        """Return the files that are not jobs, as of the last scan."""
        return [BadFile(name, reason) for name, reason in sorted(self._bad.items())]

    def _look(self, dir_fd: int) -> None:
        fresh: list[tuple[int, str]] = []
        names = set(job_names(dir_fd))
        for id in names:
            try:
                stat = os.stat(id + ".json", dir_fd=dir_fd, follow_symlinks=False)
            except OSError:
                continue
            if self._signatures.get(id) != signature_of(stat):
                fresh.append((stat.st_mtime_ns, id))
        for _, id in sorted(fresh):
            self._take(id, dir_fd)
        for id in [id for id in self._signatures if id not in names]:
            # A listing can miss an existing file: only a lookup by name proves a deletion.
            if read_file(dir_fd, id + ".json") is None and not self._is_in_grace(id):
                del self._signatures[id]
                was_bad = self._bad.pop(id + ".json", None) is not None
                if was_bad or self._set.get(id) is not None:
                    self._set.delete(id, self._set.revision + 1)

    def _take(self, id: str, dir_fd: int) -> None:
        name = id + ".json"
        found = read_file(dir_fd, name)
        if found is None:
            return
        try:
            check_id(id)
            job = self._parser.parse(id, found, revision=self._set.revision + 1)
        except InvalidId:
            self._bad[name] = "its name is not a job id"
        except InvalidJob as error:
            if self._is_in_grace(id):
                return  # keep the last good value and check again
            self._bad[name] = error.reason
            if self._set.get(id) is not None:
                self._set.delete(id, self._set.revision + 1, DAMAGED + error.reason)
        else:
            self._bad.pop(name, None)
            self._lacking_since.pop(id, None)
            self._set.put(job)
        self._signatures[id] = found.signature

    def _is_in_grace(self, id: str) -> bool:
        """Whether a job whose file is missing or is no job may be there again within a second."""
        if self._set.get(id) is None:
            return False
        now = time.monotonic()
        if now - self._lacking_since.setdefault(id, now) < TORN_GRACE_S:
            return True
        del self._lacking_since[id]
        return False
