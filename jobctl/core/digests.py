"""Digests of a set of jobs: equal for readers that hold the same versions of the same jobs.

A digest is the exclusive or of one hash per job, so a change costs one step, whatever the number of
jobs. The digest of all jobs is always kept. The digest under a filter is kept from `Digests.keep`
to `Digests.release`; it is computed from all jobs when it is first needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from jobctl._stdlib import sha256
from jobctl.core.filters import EVERYTHING, Filter
from jobctl.core.job import Job

__all__ = ["Digests", "version_hash"]


def version_hash(id: str, revision: int) -> int:
    """Return 64 bits that identify a version of a job: the start of SHA-256 of "id revision"."""
    return int.from_bytes(sha256(f"{id} {revision}".encode()).digest()[:8], "big")


class _Kept:
    """A digest that is kept up to date: its value, if known, and its number of users."""

    __slots__ = ("users", "value")

    def __init__(self, value: int | None) -> None:
        self.value = value
        self.users = 0


class Digests:
    """The digests of one set. The set reports each of its changes."""

    def __init__(self) -> None:
        self.of_all = 0
        self._kept: dict[Filter, _Kept] = {}
        # Which filters a change concerns: those on its id, and those on no id.
        self._wide: dict[Filter, None] = {}
        self._by_id: dict[str, dict[Filter, None]] = {}

    def keep(self, filter: Filter, *, empty: bool = False) -> None:
        """Keep the digest under the filter up to date, until `release` has been called as often.

        ``empty`` says that the set has no jobs yet.
        """
        if filter == EVERYTHING:
            return
        kept = self._kept.get(filter)
        if kept is None:
            kept = self._kept[filter] = _Kept(0 if empty else None)
            for filters in self._indexes(filter):
                filters[filter] = None
        kept.users += 1

    def release(self, filter: Filter) -> None:
        """Undo one `keep`. Does nothing for a filter whose digest is not kept."""
        kept = self._kept.get(filter)
        if kept is None:
            return
        kept.users -= 1
        if not kept.users:
            del self._kept[filter]
            for filters in self._indexes(filter):
                del filters[filter]
            for id in filter.ids:
                if not self._by_id[id]:
                    del self._by_id[id]

    def clear(self) -> None:
        """Record that the set has no jobs any more."""
        self.of_all = 0
        for kept in self._kept.values():
            kept.value = 0

    def change(self, id: str, old: Job | None, new: Job | None) -> None:
        """Record that ``new`` replaces ``old``; ``None`` means no job."""
        old_mark = version_hash(id, old.revision) if old is not None else 0
        new_mark = version_hash(id, new.revision) if new is not None else 0
        self.of_all ^= old_mark ^ new_mark
        if not self._kept:
            return
        for filter in (*self._wide, *self._by_id.get(id, ())):
            kept = self._kept[filter]
            if kept.value is None:
                continue
            if old is not None and filter.matches(old):
                kept.value ^= old_mark
            if new is not None and filter.matches(new):
                kept.value ^= new_mark

    def under(self, filter: Filter, jobs: Iterable[Job]) -> int:
        """Return the digest under the filter. ``jobs`` are all jobs of the set."""
        if filter == EVERYTHING:
            return self.of_all
        kept = self._kept.get(filter)
        if kept is not None and kept.value is not None:
            return kept.value
        value = 0
        for job in jobs:
            if filter.matches(job):
                value ^= version_hash(job.id, job.revision)
        if kept is not None:
            kept.value = value
        return value

    def _indexes(self, filter: Filter) -> Iterator[dict[Filter, None]]:
        if not filter.ids:
            yield self._wide
        for id in filter.ids:
            yield self._by_id.setdefault(id, {})
