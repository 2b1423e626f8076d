"""The ``jobctl run`` within which this process works: jobs tracked here name its job as parent."""

from __future__ import annotations

import os

from jobctl.core.job import Job
from jobctl.errors import JobctlError
from jobctl.stores import Store, path_of

__all__ = ["ATTEMPT_VARIABLE", "enclosing_run", "with_parent"]

ATTEMPT_VARIABLE = "JOBCTL_ATTEMPT"
"""Set by ``run`` for its command: the ``retryCount`` of the job's attempt."""


def enclosing_run(store: Store) -> Job | None:
    """Return the job of the ``run`` that started this process, directly or not.

    ``None`` unless it is in this store, and the attempt that the environment names is at work: a
    process that was left behind belongs to no later attempt.
    """
    id, directory, attempt = (
        os.environ.get(name, "") for name in ("JOBCTL_JOB", "JOBCTL_DIR", ATTEMPT_VARIABLE)
    )
    path = path_of(store)
    if not id or not attempt or path is None or not _is_same(directory, str(path)):
        return None
    try:
        job = store.get(id)
    except JobctlError:
        return None
    at_work = job.runs and not job.lost(store.owners.dead())
    return job if at_work and str(job.retry_count) == attempt else None


def _is_same(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


def with_parent(job: Job, store: Store) -> Job:
    """Return the new job with the enclosing run as its parent, if there is one."""
    run = enclosing_run(store)
    if run is None or run.id == job.id:
        return job
    return job.replace(extra={**job.extra, "parent": run.id})
