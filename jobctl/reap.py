"""Failing the lost jobs, whose worker has died (see stores/owners.py)."""

from __future__ import annotations

import logging

from jobctl import job as jobs
from jobctl.clock import now
from jobctl.cursor import ZERO
from jobctl.errors import JobctlError
from jobctl.job import Job
from jobctl.pipeline import FAILED
from jobctl.stores import Change, Store

__all__ = ["reap"]

_log = logging.getLogger("jobctl")


def reap(store: Store, *, dry_run: bool = False) -> list[Job]:
    """Fail the lost jobs: the active ones whose owner has died. Returns them, as they are now."""
    dead = store.owners.dead()
    if not dead:
        return []
    reaped: list[Job] = []
    spared: set[str | None] = set()
    for job in store.since(ZERO).jobs:
        if not job.lost(dead):
            continue
        if dry_run:
            reaped.append(job)
            continue
        who = store.owners.who(job.owned_by or "") or "its process"
        try:
            reaped.append(store.update(job.id, _bury(dead, str(who))))
        except (JobctlError, OSError) as error:
            spared.add(job.owned_by)
            _log.warning("jobctl: cannot reap job %s: %s", job.id, error)
    if not dry_run:
        store.owners.forget(dead - spared)
    return [job for job in reaped if dry_run or job.stage == FAILED]


def _bury(dead: frozenset[str], who: str) -> Change:
    def change(job: Job) -> Job:
        if not job.lost(dead):
            return job  # somebody was faster
        return jobs.fail(job, f"Lost: {who} ended without a word", now=now())

    return change
