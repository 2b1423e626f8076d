"""The rows of a list: jobs that were tracked within a ``run`` stand below it, or in its row."""

from __future__ import annotations

from jobctl.core.job import MAX_HISTORY, Job
from jobctl.core.pipeline import COMPLETED, PENDING, Pipelines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NamedTuple
else:
    from jobctl._stdlib import NamedTuple

__all__ = ["Row", "rows_of"]

_MAX_DEPTH = 8


class Row(NamedTuple):
    """A job as it is shown, and how deep it stands below others."""

    job: Job
    depth: int = 0


def rows_of(jobs: Sequence[Job], pipelines: Pipelines, *, merged: bool = True) -> list[Row]:
    """Return the rows, in the order of the jobs, but each child below its parent.

    If ``merged``, a run with exactly one child is one row while both tell the same: both are at
    work, or the child has done its part. It has the child's stage, progress and message.
    """
    if all(job.parent is None for job in jobs):
        return [Row(job) for job in jobs]
    ids = {job.id for job in jobs}
    children: dict[str, list[Job]] = {}
    tops = []
    for job in jobs:
        if job.parent in ids and job.parent != job.id:
            children.setdefault(str(job.parent), []).append(job)
        else:
            tops.append(job)
    rows: list[Row] = []

    waiting = [(job, 0) for job in reversed(tops)]
    while waiting:  # not by recursion: other programs' jobs may be below each other without end
        job, depth = waiting.pop()
        below = children.pop(job.id, [])
        while merged and len(below) == 1 and _tells_the_same(job, below[0]):
            child = below[0]
            below = children.pop(child.id, [])
            job = _merged(job, child, pipelines)
        rows.append(Row(job, depth))
        waiting += [(child, min(depth + 1, _MAX_DEPTH)) for child in reversed(below)]
    for cycle in children.values():  # jobs that are each other's parents
        rows += [Row(job) for job in cycle]
    return rows


def _tells_the_same(run: Job, child: Job) -> bool:
    if run.active:
        return child.active or child.stage == COMPLETED
    return not child.active and child.shown_stage == run.shown_stage


def _merged(run: Job, child: Job, pipelines: Pipelines) -> Job:
    """Return the run with what its only child is doing."""
    if not (run.active and child.active) or child.stage == PENDING:
        return run
    stages = tuple(stage.name for stage in pipelines.of(child).stages[1:-1])
    return run.replace(
        stage=child.stage,
        stage_started_at=child.stage_started_at,
        updated_at=max(run.updated_at, child.updated_at),
        progress=child.current_progress,
        message=child.current_message,
        title=child.title or run.title,
        stages=stages or None,
        history=(*run.attempt_timeline(), *child.attempt_timeline()[1:])[-MAX_HISTORY:],
    )
