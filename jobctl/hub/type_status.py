"""The types of jobs that the hub's settings name: their state, their ends, which are overdue."""

from __future__ import annotations

import asyncio
from collections.abc import Container, Iterator
from typing import NamedTuple

from jobctl._clock import now_ms
from jobctl.core.jobset import JobSet
from jobctl.core.pipeline import COMPLETED, Pipelines
from jobctl.core.schedule import OUTCOMES, Overdue, TypeRuns, TypeState
from jobctl.hub.metrics import Buckets, TypeMetrics

__all__ = ["TypeStatus"]

_SECONDS = (
    1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 21600.0, 43200.0,
    86400.0,
)  # fmt: skip


class _Ends(NamedTuple):
    """The attempts of a type that the hub has seen end."""

    counts: dict[str, int]
    durations: Buckets


class TypeStatus:
    """What the hub knows of the types that its settings name; it reads the replica on demand.

    The counts begin with the start of the hub. An attempt that failed and was retried between two
    reads of the replica is not seen.
    """

    def __init__(self, pipelines: Pipelines) -> None:
        self._runs = TypeRuns(pipelines, news_from_ms=now_ms())
        self._expected = set(pipelines.expected())
        self._ends = {
            type: _Ends(dict.fromkeys(OUTCOMES, 0), Buckets(_SECONDS)) for type in self._runs.types
        }
        self._reading = asyncio.Lock()

    async def follow(self, replica: JobSet) -> None:
        """Record what has changed in the replica since the last call.

        Other tasks run meanwhile. If the caller is cancelled, the next call goes on.
        """
        if not self._ends:
            return
        async with self._reading:
            for news in self._runs.follow(replica, now_ms()):
                for type, ended in news:
                    ends = self._ends[type]
                    ends.counts[ended.outcome] += 1
                    if ended.outcome == COMPLETED and ended.duration_ms is not None:
                        ends.durations.add(ended.duration_ms / 1000)
                await asyncio.sleep(0)

    def overdue(self, at_ms: int, dead: Container[str]) -> list[Overdue]:
        """Return the overdue types, by name."""
        return self._runs.overdue(at_ms, dead)

    def metrics(self, at_ms: int, dead: Container[str]) -> Iterator[TypeMetrics]:
        """Yield the metrics of each type, by name."""
        late = {item.type for item in self.overdue(at_ms, dead)}
        for type in self._runs.types:
            state: TypeState = self._runs.state(type, at_ms, dead)
            yield TypeMetrics(
                type,
                state,
                overdue=type in late if type in self._expected else None,
                ended=self._ends[type].counts,
                durations=self._ends[type].durations,
            )
