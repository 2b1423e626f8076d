"""The rows of the list, in order: families of jobs, each at the place of its worst member.

A change costs what it touches: the order of all jobs is never computed anew, except when the rows
are chosen by other rules.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable

from jobctl.cli.families import rows_of
from jobctl.cli.job_table.ranks import Key
from jobctl.core.job import Job
from jobctl.core.pipeline import Pipelines

__all__ = ["Order", "Place"]

Place = tuple[str, int]
"""A job's id, and how deep it stands below others."""


class Order:
    """Jobs sorted by their keys, children below their parents.

    A family has the smallest key of its members. With ``merged``, a run with one child that tells
    the same is one row, as in `rows_of`.
    """

    def __init__(self, pipelines: Pipelines, *, merged: bool = True) -> None:
        self._pipelines, self._merged = pipelines, merged
        self._clear()

    def _clear(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._keys: dict[str, Key] = {}
        self._children: dict[str, set[str]] = {}  # by the parent's id, also of an unknown one
        self._tops: list[tuple[Key, str]] = []  # sorted: the first of each family
        self._top_keys: dict[str, Key] = {}
        self._families: dict[str, list[Place]] = {}
        self._shown: dict[str, Job] = {}  # the members of families, as they are shown
        self._stale: set[str] = set()  # families whose rows may have changed
        self._has_loop = False
        self._to_arrange = False  # all families, before the next look
        self._places: list[Place] | None = None
        self._index: dict[str, int] | None = None

    def __len__(self) -> int:
        return len(self._jobs)

    def __contains__(self, id: str) -> bool:
        return id in self._jobs

    def replace(self, jobs: Iterable[tuple[Job, Key]]) -> None:
        """Hold these jobs and no others."""
        self._clear()
        for job, key in jobs:
            self._add(job, key)
        self._arrange()

    def put(self, job: Job, key: Key) -> None:
        """Add the job, or replace it."""
        id = job.id
        before = self._jobs.get(id)
        if before is None or _parent(before) != _parent(job):
            if before is not None:
                self._detach(id)
            self._attach(job, key)
            return
        self._jobs[id] = job
        moved = self._keys[id] != key
        self._keys[id] = key
        if self._to_arrange:
            return
        alone = _parent(job) is None and id not in self._children
        if alone and not moved:
            return
        top = id if alone else self._top(id)
        if not alone:
            self._stale.add(top)
        if moved:
            self._place(top)

    def remove(self, id: str) -> None:
        """Drop the job, if it is there."""
        if id in self._jobs:
            self._detach(id)

    def job(self, id: str) -> Job | None:
        """Return the job as it is shown, which may include what its only child does."""
        return self._shown.get(id) or self._jobs.get(id)

    def parent(self, id: str) -> str | None:
        """Return the id of the job's parent."""
        job = self._jobs.get(id)
        return _parent(job) if job is not None else None

    def places(self) -> list[Place]:
        """Return all rows, in order. The same list as before if nothing has changed."""
        if self._to_arrange:
            self._arrange()
        for top in self._stale & self._top_keys.keys():
            self._arrange_family(top)
        self._stale.clear()
        if self._places is None:
            places: list[Place] = []
            families = self._families
            for _, id in self._tops:
                family = families.get(id)
                if family is None:
                    places.append((id, 0))
                else:
                    places += family
            self._places, self._index = places, None
        return self._places

    def index(self, id: str) -> int | None:
        """Return the row of the job, or ``None``."""
        places = self.places()
        if self._index is None:
            self._index = {id: index for index, (id, _) in enumerate(places)}
        return self._index.get(id)

    # -- families -----------------------------------------------------------------------------

    def _add(self, job: Job, key: Key) -> None:
        self._jobs[job.id] = job
        self._keys[job.id] = key
        if (parent := _parent(job)) is not None:
            self._children.setdefault(parent, set()).add(job.id)

    def _arrange(self) -> None:
        """Find the families anew."""
        self._to_arrange = False
        self._families.clear()
        self._shown.clear()
        looping = self._find_loops()
        self._has_loop = bool(looping)
        self._top_keys = {
            id: self._family_key(id)
            for id, job in self._jobs.items()
            if id in looping or _parent(job) not in self._jobs
        }
        self._tops = sorted((key, id) for id, key in self._top_keys.items())
        self._stale = {id for id in self._top_keys if id in self._children}
        self._places = None

    def _find_loops(self) -> set[str]:
        """Return the ids of all jobs that are among their own parents, or below such a job."""
        looping: set[str] = set()
        known: set[str] = set()
        for id in self._jobs:
            path: dict[str, None] = {}
            at: str | None = id
            while at is not None and at in self._jobs and at not in known and at not in path:
                path[at] = None
                at = _parent(self._jobs[at])
            if at in path or at in looping:
                looping.update(path)
            known.update(path)
        return looping

    def _attach(self, job: Job, key: Key) -> None:
        self._add(job, key)
        if self._must_arrange(job.id):
            return
        top = self._top(job.id)
        for child in self._children.get(job.id, ()):
            self._drop_top(child)
        self._stale.add(top)
        self._place(top)

    def _detach(self, id: str) -> None:
        job = self._jobs[id]
        top = id if self._must_arrange(id) else self._top(id)
        del self._jobs[id], self._keys[id]
        if (parent := _parent(job)) is not None:
            siblings = self._children[parent]
            siblings.discard(id)
            if not siblings:
                del self._children[parent]
        if self._to_arrange:
            return
        self._forget_family(top)
        if top == id:
            self._drop_top(id)
        else:
            self._stale.add(top)
            self._place(top)
        for child in self._children.get(id, ()):
            self._stale.add(child)
            self._place(child)

    def _must_arrange(self, id: str) -> bool:
        """Whether all families are found anew at the next look: while some job is in a loop."""
        if not self._to_arrange:
            self._top(id)  # which finds a loop
            self._to_arrange = self._has_loop
        return self._to_arrange

    def _top(self, id: str) -> str:
        """Return the first of the job's family; the job itself if it is among its own parents."""
        seen = {id}
        at = id
        while (parent := _parent(self._jobs[at])) is not None and parent in self._jobs:
            if parent in seen:
                self._has_loop = True
                return id
            seen.add(parent)
            at = parent
        return at

    def _members(self, top: str) -> list[str]:
        """Return the ids of a family, the first one first."""
        if top not in self._children:
            return [top]
        if self._has_loop and self._loops(top):
            return [top]
        members = [top]
        for id in members:  # which grows
            members += self._children.get(id, ())
        return members

    def _loops(self, id: str) -> bool:
        parent = _parent(self._jobs[id])
        return parent is not None and parent in self._jobs

    def _family_key(self, top: str) -> Key:
        return min(self._keys[id] for id in self._members(top))

    def _place(self, top: str) -> None:
        """Put the family where it belongs now."""
        key = self._family_key(top)
        before = self._top_keys.get(top)
        if before == key:
            return
        if before is not None:
            del self._tops[bisect_left(self._tops, (before, top))]
        insort(self._tops, (key, top))
        self._top_keys[top] = key
        self._places = None

    def _drop_top(self, id: str) -> None:
        key = self._top_keys.pop(id, None)
        if key is not None:
            del self._tops[bisect_left(self._tops, (key, id))]
            self._places = None
        self._forget_family(id)

    def _forget_family(self, top: str) -> None:
        for id, _ in self._families.pop(top, ()):
            self._shown.pop(id, None)
        self._places = None

    def _arrange_family(self, top: str) -> None:
        """Compute the rows of a family."""
        members = self._members(top)
        before = self._families.get(top)
        if len(members) == 1:
            if before is not None:
                self._forget_family(top)
            return
        for id, _ in before or ():
            self._shown.pop(id, None)
        jobs = [self._jobs[id] for id in sorted(members, key=self._keys.__getitem__)]
        rows = rows_of(jobs, self._pipelines, merged=self._merged)
        places = [(job.id, depth) for job, depth in rows]
        self._shown.update((job.id, job) for job, _ in rows)
        self._families[top] = places
        if places != before:
            self._places = None


def _parent(job: Job) -> str | None:
    parent = job.parent
    return parent if parent != job.id else None
