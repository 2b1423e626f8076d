"""Counts, failure rates and durations of groups of jobs: by type, host, or a label's value.

A job counts once, by the outcome of its last attempt:

- It counts if it ended within the period. A job that is active now counts too, unless the period
  ends before now. Without a period all jobs count.
- The *failure rate* is ``(failed + lost) / (completed + failed + lost)``. A lost job counts as a
  failure, because its worker is dead. Cancelled jobs and other active jobs are left out.
- *Durations* are those of completed jobs: the last attempt from its start (``pending``) to its end.
- The percentiles are interpolated between the two nearest values, as ``inclusive`` in Python's
  `statistics.quantiles` and the default of NumPy.
- The *last success* and the *last failure* may be before the period.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence

from jobctl.core.job import Job
from jobctl.core.pipeline import COMPLETED
from jobctl.errors import UsageError, did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple
else:
    from jobctl._stdlib import NamedTuple

__all__ = ["BY_TYPE", "GroupStats", "Grouping", "group_stats", "percentile"]

_KINDS = ("type", "host", "label")


class Grouping(NamedTuple):
    """What jobs are grouped by: ``type``, ``host`` or ``label``, and the key of the label."""

    kind: str
    label: str = ""

    @classmethod
    def parse(cls, text: str) -> Grouping:
        """Parse ``type``, ``host`` or ``label=KEY``; `UsageError` otherwise."""
        kind, equals, label = text.partition("=")
        if kind == "label" and not label:
            raise UsageError(
                "--by label needs the key of the label", hint="write --by label=KEY, as label=team"
            )
        if kind not in _KINDS or (equals and kind != "label"):
            hint = did_you_mean(text, _KINDS) or "write type, host or label=KEY"
            raise UsageError(f"--by: jobs are not grouped by {ascii(text)[:80]}", hint=hint)
        return cls(kind, label)

    def __str__(self) -> str:
        """Return the text that `parse` reads."""
        return f"label={self.label}" if self.label else self.kind

    def group_of(self, job: Job) -> str | None:
        """Return the group of the job; ``None`` if it has no host or no such label."""
        if self.kind == "type":
            return job.type
        if self.kind == "host":
            host = job.host  # anything, in the file of another program
            return host if isinstance(host, str) and host else None
        return (job.labels or {}).get(self.label)


BY_TYPE = Grouping("type")


class GroupStats(NamedTuple):
    """The statistics of one group; see the module for how jobs count.

    ``active`` includes the ``lost`` ones. ``retries`` is the sum of the retries of the jobs that
    count. What is not known is ``None``.
    """

    group: str | None
    active: int
    lost: int
    completed: int
    failed: int
    cancelled: int
    retries: int
    median_ms: int | None
    p95_ms: int | None
    last_success_ms: int | None
    last_failure_ms: int | None

    @property
    def jobs(self) -> int:
        """The number of jobs that count."""
        return self.active + self.completed + self.failed + self.cancelled

    @property
    def failures(self) -> int:
        """The number of jobs that failed or are lost."""
        return self.failed + self.lost

    @property
    def failure_rate(self) -> float | None:
        """The share of failures, 0 to 1; ``None`` if no job has completed, failed or is lost."""
        total = self.completed + self.failures
        return self.failures / total if total else None


class _Group:
    """The sums of one group."""

    __slots__ = ("counts", "durations_ms", "last_failure_ms", "last_success_ms", "lost", "retries")

    def __init__(self) -> None:
        self.counts = {"active": 0, "completed": 0, "failed": 0, "cancelled": 0}
        self.lost = self.retries = 0
        self.durations_ms: list[int] = []
        self.last_success_ms: int | None = None
        self.last_failure_ms: int | None = None

    def stats(self, group: str | None) -> GroupStats:
        durations = sorted(self.durations_ms)
        return GroupStats(
            group,
            self.counts["active"],
            self.lost,
            self.counts["completed"],
            self.counts["failed"],
            self.counts["cancelled"],
            self.retries,
            percentile(durations, 0.5),
            percentile(durations, 0.95),
            self.last_success_ms,
            self.last_failure_ms,
        )


def group_stats(
    jobs: Iterable[Job],
    by: Grouping = BY_TYPE,
    *,
    now_ms: int,
    since_ms: int | None = None,
    until_ms: int | None = None,
    dead: Container[str] = (),
) -> list[GroupStats]:
    """Return the statistics of each group that has a job in the period.

    The groups with the most failures come first, then those with the most jobs, then by name.
    """
    groups: dict[str | None, _Group] = {}
    for job in jobs:
        name = by.group_of(job)
        group = groups.get(name)
        if group is None:
            group = groups[name] = _Group()
        if job.active:
            if until_ms is None or until_ms >= now_ms:
                group.counts["active"] += 1
                group.retries += job.retry_count
                group.lost += job.lost(dead)
            continue
        ended_ms = job.ended_ms(now_ms)
        stage = job.shown_stage
        if ended_ms is not None and (until_ms is None or ended_ms <= until_ms):
            if stage == COMPLETED:
                group.last_success_ms = max(group.last_success_ms or 0, ended_ms)
            elif stage == "failed":
                group.last_failure_ms = max(group.last_failure_ms or 0, ended_ms)
        if not _is_within(ended_ms, since_ms, until_ms):
            continue
        group.counts[stage] += 1
        group.retries += job.retry_count
        if stage == COMPLETED and (took_ms := job.elapsed_ms(now_ms)) is not None:
            group.durations_ms.append(took_ms)
    found = [group.stats(name) for name, group in groups.items()]
    return sorted(
        (stats for stats in found if stats.jobs),
        key=lambda stats: (-stats.failures, -stats.jobs, stats.group is None, stats.group or ""),
    )


def _is_within(at_ms: int | None, since_ms: int | None, until_ms: int | None) -> bool:
    """Whether the time is in the period; an unknown time is in none that has a bound."""
    if at_ms is None:
        return since_ms is None and until_ms is None
    return (since_ms is None or at_ms >= since_ms) and (until_ms is None or at_ms <= until_ms)


def percentile(ordered: Sequence[int], share: float) -> int | None:
    """Return the percentile of ascending values, interpolated; ``None`` without values.

    It is at position ``share * (n - 1)`` of the n values, the first of which is at position 0.
    """
    if not ordered:
        return None
    position = share * (len(ordered) - 1)
    index = int(position)
    if index + 1 >= len(ordered):
        return ordered[-1]
    low, high = ordered[index], ordered[index + 1]
    return round(low + (high - low) * (position - index))
