"""Reap: fail the lost jobs, whose worker is dead (see stores/owners.py)."""

from __future__ import annotations

from dataclasses import dataclass, field

from jobctl._clock import now
from jobctl.core import transitions
from jobctl.core.job import Job
from jobctl.core.pipeline import FAILED
from jobctl.errors import JobctlError
from jobctl.stores import Change, Store, bad_files, read_all

__all__ = ["Reaped", "reap"]


@dataclass(frozen=True, slots=True)
class Reaped:
    """The jobs that were failed, as they are now; and those that could not be, with the error."""

    jobs: list[Job] = field(default_factory=list)
    failed: list[tuple[Job, JobctlError]] = field(default_factory=list)


def reap(store: Store, *, dry_run: bool = False) -> Reaped:
    """Fail the lost jobs: the active jobs whose owner is dead. Forget owners without jobs.

    Owners are not forgotten while a file is unreadable, because its job may be theirs.
    """
    dead = store.owners.dead()
    if not dead:
        return Reaped()
    reaped = Reaped()
    for job in read_all(store).jobs:
        if not job.lost(dead):
            continue
        if dry_run:
            reaped.jobs.append(job)
            continue
        owner = store.owners.info(job.owned_by or "") or "its process"
        try:
            updated = store.update(job.id, _fail_if_lost(dead, str(owner)))
        except JobctlError as error:
            reaped.failed.append((job, error))
        else:
            if updated.stage == FAILED:
                reaped.jobs.append(updated)
    if not dry_run and not bad_files(store):
        store.owners.forget(dead - {job.owned_by for job, _ in reaped.failed})
    return reaped


def _fail_if_lost(dead: frozenset[str], owner: str) -> Change:
    def change(job: Job) -> Job:
        if not job.lost(dead):
            return job  # another process was first
        return transitions.fail(
            job, f"{transitions.LOST_PREFIX}{owner} ended unexpectedly", now=now()
        )

    return change
