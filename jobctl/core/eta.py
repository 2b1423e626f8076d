"""How long jobs of a type usually take: learned from those that completed, else as configured."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from jobctl.core.job import Job
from jobctl.core.pipeline import COMPLETED

__all__ = ["MAX_LEARNED", "MIN_LEARNED", "UsualDurations"]

MIN_LEARNED = 5
"""So many completed jobs of a type are needed before they say more than a configured band."""
MAX_LEARNED = 100
"""The newest of them count: what a job takes changes with the program that does the work."""


class UsualDurations:
    """What the completed jobs of each type took, from creation to completion.

    Jobs that were retried say nothing: they waited for somebody. Give jobs in the order of their
    revisions; one that is given again counts once.
    """

    def __init__(self, jobs: Iterable[Job] = ()) -> None:
        self._took: dict[str, deque[tuple[str, int]]] = {}
        self._bands: dict[str, tuple[int, int]] = {}
        self.take(jobs)

    def take(self, jobs: Iterable[Job]) -> None:
        """Learn from these, as far as they have completed; of very many, from the newest."""
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
        """(median, 90th percentile) in milliseconds once enough is known, else the type's band.

        ``None`` where neither is, and for a job that has ended.
        """
        if not job.active:
            return None
        took = self._took.get(job.type, ())
        if len(took) < MIN_LEARNED:
            return job.pipeline.eta_ms
        if job.type not in self._bands:
            from statistics import median, quantiles  # most command lines never get here

            times = [ms for _, ms in took]
            p90 = quantiles(times, n=10, method="inclusive")[-1]
            self._bands[job.type] = (round(median(times)), round(p90))
        return self._bands[job.type]
