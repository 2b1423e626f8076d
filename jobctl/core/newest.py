"""The active jobs of a set, newest first, for any number of readers that page through them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

from jobctl.core.cursor import ZERO
from jobctl.core.job import Job
from jobctl.core.jobset import JobSet

__all__ = ["Key", "NewestFirst"]

Key = tuple[str, str]
"""When a job was created, and its id: a place in the order that stays valid when jobs change."""


class NewestFirst:
    """An index of a set by time of creation; 64 bytes per active job.

    One index serves all readers, whenever they started. Jobs that have not changed since a reader
    started keep their position; the reader skips the others.
    """

    def __init__(self) -> None:
        self._keys: list[Key] = []  # ascending; some are of jobs that ended or are gone
        self._cursor = ZERO

    def follow(self, jobs: JobSet) -> None:
        """Add what changed in the set; the cost depends on what changed."""
        if not jobs.resumes(self._cursor) or len(self._keys) > 2 * len(jobs) + 64:
            self._keys = sorted((job.created_at, job.id) for job in jobs if job.active)
        else:
            for job in jobs.since(self._cursor).jobs:
                key = (job.created_at, job.id)
                index = bisect_left(self._keys, key)
                if job.active and self._keys[index : index + 1] != [key]:
                    self._keys.insert(index, key)
        self._cursor = jobs.cursor

    def before(self, jobs: JobSet, key: Key | None = None) -> Iterator[Job]:
        """Yield the active jobs of the set, newest first: all, or those created before ``key``."""
        index = len(self._keys) if key is None else bisect_left(self._keys, key)
        while index:
            index -= 1
            created_at, id = self._keys[index]
            job = jobs.get(id)
            if job is not None and job.active and job.created_at == created_at:
                yield job
