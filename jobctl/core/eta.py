"""The usual duration of jobs of a type: learned from completed jobs, or configured."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from jobctl.core.job import Job
from jobctl.core.pipeline import BUILT_IN_ONLY, COMPLETED, Pipelines

__all__ = ["MAX_LEARNED", "MIN_LEARNED", "UsualDurations"]

MIN_LEARNED = 5
"""Completed jobs of a type that are needed before they replace the configured band."""
MAX_LEARNED = 100
"""Only the newest completed jobs count, because programs change."""


class UsualDurations:
    """The durations of completed jobs of each type, from creation to completion.

    Retried jobs are left out, because they waited for somebody. Add jobs in the order of their
    revisions; a job that is added again counts once. ``pipelines`` are those that the program
    knows; they have the configured durations.
    """

    def __init__(self, jobs: Iterable[Job] = (), *, pipelines: Pipelines = BUILT_IN_ONLY) -> None:
        self.pipelines = pipelines
        self._took: dict[str, deque[tuple[str, int]]] = {}
        self._bands: dict[str, tuple[int, int]] = {}
        self.take(jobs)

    def take(self, jobs: Iterable[Job]) -> None:
        """Add completed jobs; of very many, only the newest."""
        newest: dict[str, list[tuple[str, int]]] = {}
        for job in reversed([*jobs]):
            if job.stage == COMPLETED and not job.retry_count:
                same = newest.setdefault(job.type, [])
                ended_ms = job.ended_ms() if len(same) < MAX_LEARNED else None
                took_ms = job.elapsed_ms(ended_ms) if ended_ms is not None else None
                if took_ms is not None:
                    same.append((job.id, took_ms))
        for type, same in newest.items():
            took = self._took.setdefault(type, deque(maxlen=MAX_LEARNED))
            for entry in reversed(same):
                if entry not in took:
                    took.append(entry)
            self._bands.pop(type, None)

    def band(self, job: Job) -> tuple[int, int] | None:
        """Return (median, 90th percentile) in milliseconds, or the configured band.

        The band is used until enough jobs have completed. ``None`` if there is none, or the job has
        ended.
        """
        if not job.active:
            return None
        took = self._took.get(job.type, ())
        if len(took) < MIN_LEARNED:
            return self.pipelines.of(job).eta_ms
        if job.type not in self._bands:
            from statistics import median, quantiles  # most commands do not need it

            times = [ms for _, ms in took]
            p90 = quantiles(times, n=10, method="inclusive")[-1]
            self._bands[job.type] = (round(median(times)), round(p90))
        return self._bands[job.type]
