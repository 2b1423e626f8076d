"""Where a job stands in the list: trouble first."""

from __future__ import annotations

from collections.abc import Container
from typing import NamedTuple

from jobctl.core.job import TROUBLE_MS, Job
from jobctl.core.pipeline import COMPLETED, FAILED, PENDING, Pipelines
from jobctl.core.times import known_ms

__all__ = ["KINDS", "Key", "Standing", "standing"]

_TROUBLE, _STALLED, _RUNNING, _PENDING, _ENDED = range(0, 50, 10)

KINDS = ("running", "pending", "stalled", "lost", "failed", "cancelled", COMPLETED)
"""What a job is counted as, in the order of the counts. Each job is of one kind."""

Key = tuple[int, int, str]
"""What the list is sorted by: rank, time (newest first), id."""


class Standing(NamedTuple):
    """A job's place and kind. They hold before ``until_ms``, or as long as the job is the same."""

    key: Key
    kind: str
    until_ms: int | None = None


def standing(job: Job, now_ms: int, dead: Container[str], pipelines: Pipelines) -> Standing:
    """Return where the job stands at this time.

    Failed and lost jobs stand at the top for `TROUBLE_MS`, unless they are acknowledged.
    """
    if not job.active:
        return _ended(job, now_ms)
    created_ms = known_ms(job.created_at) or 0
    if job.lost(dead):
        return _lost(job, now_ms)
    if job.stage == PENDING:
        return Standing((_PENDING, -created_ms, job.id), "pending")
    stalls_at_ms = job.stalls_at_ms(pipelines)
    if stalls_at_ms is not None and now_ms >= stalls_at_ms:
        return Standing((_STALLED, -created_ms, job.id), "stalled")
    return Standing((_RUNNING, -created_ms, job.id), "running", stalls_at_ms)


def _ended(job: Job, now_ms: int) -> Standing:
    ended_ms = job.ended_ms(now_ms) or 0
    kind = job.shown_stage
    if kind == FAILED and not job.is_acknowledged:
        until_ms = ended_ms + TROUBLE_MS
        if now_ms < until_ms:
            return Standing((_TROUBLE, -ended_ms, job.id), kind, until_ms)
    return Standing((_ENDED, -ended_ms, job.id), kind)


def _lost(job: Job, now_ms: int) -> Standing:
    """Return the standing of a lost job: one that is old or acknowledged is not at the top."""
    seen_ms = known_ms(job.updated_at) or 0
    key = (_TROUBLE, -seen_ms, job.id)
    if job.is_acknowledged:
        return Standing((_ENDED, *key[1:]), "lost")
    until_ms = seen_ms + TROUBLE_MS
    if now_ms < until_ms:
        return Standing(key, "lost", until_ms)
    return Standing((_STALLED, *key[1:]), "lost")
