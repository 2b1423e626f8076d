"""The store of a directory that does not exist: empty, and read-only."""

from __future__ import annotations

from jobctl.core.job import Job
from jobctl.errors import StoreMissing
from jobctl.stores.memory import MemoryStore

__all__ = ["MissingDirectory"]


class MissingDirectory(MemoryStore):
    """No jobs, under the `Store` contract; `create` raises `StoreMissing`.

    It stays empty if the directory is made later: open the store again to see the jobs there.
    """

    def __init__(self, where: str) -> None:
        super().__init__()
        self.where = where

    def create(self, job: Job) -> Job:
        raise StoreMissing(self.where)
