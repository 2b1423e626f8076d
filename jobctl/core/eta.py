"""The usual duration of a job: learned from completed jobs of its kind, or configured."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from jobctl.core.job import Job
from jobctl.core.pipeline import BUILT_IN_ONLY, COMPLETED, Pipelines

__all__ = ["MAX_LEARNED", "MIN_LEARNED", "UsualDurations"]

_Kind = tuple[str, ...]

MIN_LEARNED = 5
"""Completed jobs of a kind that are needed before they replace the configured band."""
MAX_LEARNED = 100
"""Only the newest completed jobs count, because programs change."""


class UsualDurations:
    """The durations of completed jobs of each kind, from creation to completion.

    Jobs of a type are of one kind. Those of ``jobctl run`` are of one kind if also the program is
    the same, and its first argument that is not an option: ``make test``, ``python etl.py``.
    Retried jobs are left out, because they waited for somebody. Add jobs in the order of their
    revisions; a job that is added again counts once. ``pipelines`` are those that the program
    knows; they have the configured durations.
    """

    def __init__(self, jobs: Iterable[Job] = (), *, pipelines: Pipelines = BUILT_IN_ONLY) -> None:
        self.pipelines = pipelines
        self._took: dict[_Kind, deque[tuple[str, int]]] = {}
        self._bands: dict[_Kind, tuple[int, int]] = {}
        self.take(jobs)

    def take(self, jobs: Iterable[Job]) -> None:
        """Add completed jobs; of very many, only the newest."""
        newest: dict[_Kind, list[tuple[str, int]]] = {}
        for job in reversed([*jobs]):
            if job.stage == COMPLETED and not job.retry_count:
                kind = _kind_of(job)
                if kind is None:
                    continue
                same = newest.setdefault(kind, [])
                ended_ms = job.ended_ms() if len(same) < MAX_LEARNED else None
                took_ms = job.elapsed_ms(ended_ms) if ended_ms is not None else None
                if took_ms is not None:
                    same.append((job.id, took_ms))
        for kind, same in newest.items():
            took = self._took.setdefault(kind, deque(maxlen=MAX_LEARNED))
            for entry in reversed(same):
                if entry not in took:
                    took.append(entry)
            self._bands.pop(kind, None)

    def band(self, job: Job) -> tuple[int, int] | None:
        """Return (median, 90th percentile) in milliseconds, or the configured band.

        The band is used until enough jobs have completed. ``None`` if there is none, or the job has
        ended.
        """
        if not job.active:
            return None
        kind = _kind_of(job)
        took = self._took.get(kind, ()) if kind is not None else ()
        if kind is None or len(took) < MIN_LEARNED:
            return self.pipelines.of(job).eta_ms
        if kind not in self._bands:
            from statistics import median, quantiles  # most commands do not need it

            times = [ms for _, ms in took]
            p90 = quantiles(times, n=10, method="inclusive")[-1]
            self._bands[kind] = (round(median(times)), round(p90))
        return self._bands[kind]


def _kind_of(job: Job) -> _Kind | None:
    """Return what the job is compared with; ``None`` for a command that is not to be seen."""
    program = job.program
    return None if program is None else (job.type, *program)
