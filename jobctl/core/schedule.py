"""Types of jobs that settings name: their runs, and which of them are overdue.

A setting says how often a job of a type has to complete:

    [types.backup]
    expect-every = "1d"
    grace = "2h"

The type is *overdue* if its last success is more than ``expect-every`` plus ``grace`` ago, measured
from the end of that job to now:

- Only a completed job is a success. A failed, cancelled or lost job is none, nor is one at work.
- If no success is known, the time is measured from the creation of the oldest job of any type that
  is known. So a new directory is not overdue at once, and one that has been used for long is.
- Without any job nothing is overdue, because nothing is known.

`TypeRuns` is fed with the changes of a set of jobs, so each question costs nothing but what has
changed. Jobs that are removed no longer count; ``prune`` keeps the last success of each type that
is expected.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterable, Iterator, Mapping

from jobctl.core.cursor import ZERO
from jobctl.core.filters import EVERYTHING, Filter
from jobctl.core.job import MAX_AHEAD_MS, Job
from jobctl.core.jobset import Delta, JobSet
from jobctl.core.opaque import whole_job
from jobctl.core.pipeline import CANCELLED, COMPLETED, FAILED, PENDING, Pipeline, Pipelines
from jobctl.core.times import duration, known_ms, to_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NamedTuple
else:
    from jobctl._stdlib import NamedTuple

__all__ = [
    "OUTCOMES",
    "Ended",
    "Overdue",
    "TypeRuns",
    "TypeState",
    "expected_types",
    "overdue",
    "short_duration",
]

OUTCOMES = (COMPLETED, FAILED, CANCELLED)
_NEVER_MS = 1 << 62
_PAGE = 10_000  # jobs that are examined at a time, which takes about 10 ms
_SLICE = 128  # jobs that are recorded at a time, which takes less


class Overdue(NamedTuple):
    """A type whose jobs have not succeeded in time.

    ``last_success_ms`` is ``None`` if no success is known. The type is overdue since
    ``due_ms``. ``running_since_ms`` is when the oldest run that is at work now began.
    """

    type: str
    every_ms: int
    grace_ms: int
    last_success_ms: int | None
    due_ms: int
    running_since_ms: int | None = None

    def describe(self, now_ms: int) -> str:
        """Return one line: ``backup is overdue: last success 1d04h ago, expected every 1d``."""
        success = "no success is known"
        if self.last_success_ms is not None:
            success = f"last success {duration(max(0, now_ms - self.last_success_ms))} ago"
        running = ""
        if self.running_since_ms is not None:
            running = f"; running for {duration(max(0, now_ms - self.running_since_ms))}"
        every = short_duration(self.every_ms)
        return f"{self.type} is overdue: {success}, expected every {every}{running}"

    def to_value(self) -> dict[str, Any]:
        """Return the JSON form; times are text, durations milliseconds."""
        return {
            "type": self.type,
            "lastSuccess": _text(self.last_success_ms),
            "expectEveryMs": self.every_ms,
            "graceMs": self.grace_ms,
            "dueAt": to_text(self.due_ms),
            "runningSince": _text(self.running_since_ms),
        }


def short_duration(ms: int) -> str:
    """Return the duration without a second part that is zero: ``1d``, ``1h30m``."""
    text = duration(ms)
    return text[:-3] if len(text) > 3 and text[-3:-1] == "00" else text


def _text(ms: int | None) -> str | None:
    return to_text(ms) if ms is not None else None


def overdue(
    expected: Mapping[str, Pipeline],
    last_success_ms: Mapping[str, int],
    oldest_ms: int | None,
    now_ms: int,
    running_since_ms: Mapping[str, int] | None = None,
) -> list[Overdue]:
    """Return the overdue types, by name.

    ``expected`` are those of `Pipelines.expected`. ``last_success_ms`` has the end of the last
    success of each type that has one, and ``oldest_ms`` is when the oldest job of all was created.
    """
    found = []
    for type, pipeline in sorted(expected.items()):
        every_ms = pipeline.expect_every_ms
        success_ms = last_success_ms.get(type)
        from_ms = success_ms if success_ms is not None else oldest_ms
        if every_ms is None or from_ms is None:
            continue
        due_ms = from_ms + every_ms + pipeline.grace_ms
        if now_ms > due_ms:
            since = (running_since_ms or {}).get(type)
            found.append(Overdue(type, every_ms, pipeline.grace_ms, success_ms, due_ms, since))
    return found


def expected_types(pipelines: Pipelines, filter: Filter = EVERYTHING) -> list[str] | None:
    """Return the types that have to succeed regularly, as far as the filter selects types.

    ``None`` if the filter has more than types: its readers may not see each success.
    """
    if filter != Filter(types=filter.types):
        return None
    return [type for type in sorted(pipelines.expected()) if type in (filter.types or {type})]


class Ended(NamedTuple):
    """How an attempt of a job ended: ``outcome`` is one of `OUTCOMES`; unknown times are ``None``.

    ``duration_ms`` is that of the attempt.
    """

    attempt: int
    outcome: str
    ended_ms: int | None
    duration_ms: int | None


class _Active(NamedTuple):
    """A job that has not ended."""

    owner: str | None
    waits: bool
    began_ms: int | None
    stalls_at_ms: int | None


class TypeState(NamedTuple):
    """The jobs of one type now: their number by state, and the last times of two outcomes.

    ``active`` includes the ``lost`` and the ``stalled`` ones; a lost job is not stalled.
    """

    active: int
    lost: int
    stalled: int
    ended: dict[str, int]
    last_success_ms: int | None
    last_failure_ms: int | None


class _Type:
    """The jobs of one type."""

    def __init__(self) -> None:
        self.active: dict[str, _Active] = {}
        self.ended: dict[str, Ended] = {}
        self.counts = dict.fromkeys(OUTCOMES, 0)
        self._last: dict[str, tuple[int, str] | None] = {}  # by outcome: when, and which job

    def forget(self, id: str) -> Ended | None:
        """Drop what is known of a job; return how it had ended."""
        self.active.pop(id, None)
        before = self.ended.pop(id, None)
        if before is not None:
            self.counts[before.outcome] -= 1
            last = self._last.get(before.outcome)
            if last is not None and last[1] == id:
                del self._last[before.outcome]
        return before

    def end(self, id: str, ended: Ended) -> None:
        """Record how a job has ended."""
        self.ended[id] = ended
        self.counts[ended.outcome] += 1
        if ended.outcome in self._last and ended.ended_ms is not None:
            last, here = self._last[ended.outcome], (ended.ended_ms, id)
            self._last[ended.outcome] = here if last is None else max(last, here)

    def last(self, outcome: str) -> tuple[int, str] | None:
        """Return when a job had this outcome last, and its id."""
        if outcome not in self._last:
            self._last[outcome] = max(
                (
                    (ended.ended_ms, id)
                    for id, ended in self.ended.items()
                    if ended.outcome == outcome and ended.ended_ms is not None
                ),
                default=None,
            )
        return self._last[outcome]


class TypeRuns:
    """What is known of the jobs of some types, kept up to date by what changes.

    ``types`` are those that are tracked; by default all that ``pipelines`` have from settings.
    Jobs of other types count for the age of the oldest job only. Use either `follow`, or `apply`
    and `take`. ``news_from_ms`` is for `follow`.
    """

    def __init__(
        self,
        pipelines: Pipelines,
        types: Iterable[str] | None = None,
        *,
        news_from_ms: int = _NEVER_MS,
    ) -> None:
        self._news_from_ms = news_from_ms
        self._pipelines = pipelines
        self._types = {
            type: _Type() for type in sorted(pipelines.defined() if types is None else types)
        }
        self._type_of: dict[str, _Type] = {}
        self._oldest = ""  # as text, which sorts like the times
        self._oldest_ms: int | None = None
        self._cursor, self._snapshot_start = ZERO, 0  # of the next read of `follow`
        self._queue: deque[Job] = deque()
        self._has_baseline = False  # whether the first load of `follow` is done

    @property
    def types(self) -> list[str]:
        """The types that are tracked, by name."""
        return list(self._types)

    # -- changes ------------------------------------------------------------------------------

    def take(self, jobs: Iterable[Job], now_ms: int) -> list[tuple[str, Ended]]:
        """Record jobs, new or changed; return the type of each that has ended, and how.

        A job that had ended in the same way before is left out.
        """
        news = []
        for job in jobs:
            self._note_age(job.created_at)
            before = self.drop(job.id)
            here = self._types.get(job.type)
            if here is None:
                continue
            self._type_of[job.id] = here
            whole = whole_job(job)  # parse an opaque job once
            if whole.active:
                here.active[job.id] = self._active(whole)
                continue
            ended = Ended(
                whole.retry_count,
                whole.shown_stage,
                _end_of(whole, now_ms),
                whole.elapsed_ms(now_ms),
            )
            here.end(job.id, ended)
            if before is None or before[:2] != ended[:2]:
                news.append((job.type, ended))
        return news

    def _active(self, job: Job) -> _Active:
        entries = job.attempt_timeline()
        began = next((entry.at for entry in entries if entry.stage != PENDING), entries[0].at)
        waits = job.stage == PENDING
        return _Active(job.owned_by, waits, known_ms(began), job.stalls_at_ms(self._pipelines))

    def drop(self, id: str) -> Ended | None:
        """Forget a job that was removed; return how it had ended."""
        type = self._type_of.pop(id, None)
        return type.forget(id) if type is not None else None

    def apply(self, delta: Delta, now_ms: int) -> None:
        """Record a delta of a reader without a filter."""
        if delta.since == 0:
            self.clear()
        self.take(delta.jobs, now_ms)
        for item in delta.gone:
            self.drop(item.id)

    def clear(self) -> None:
        """Forget all jobs, but not how old the oldest one was."""
        for id in list(self._type_of):
            self.drop(id)

    def follow(self, jobs: JobSet, now_ms: int) -> Iterator[list[tuple[str, Ended]]]:
        """Record what has changed in a loaded set since the last call; yield as `take` returns.

        It comes in slices, so that a caller in an event loop can let others run between two. What
        is left if the caller stops comes first in the next call. Of the first load only
        jobs that ended at ``news_from_ms`` or later are news: nobody looked when the others ended.
        """
        yield from self._slices(now_ms)
        more = self._cursor != jobs.cursor
        while more:
            delta = jobs.since(
                self._cursor, max_examined=_PAGE, snapshot_start=self._snapshot_start
            )
            if delta.since == 0:
                # How the others had ended is kept, so that it is no news.
                for id in [id for id in self._type_of if jobs.get(id) is None]:
                    self.drop(id)
            for item in delta.gone:
                self.drop(item.id)
            more = delta.more
            self._cursor, self._snapshot_start = delta.cursor(), delta.snapshot_start
            self._queue.extend(delta.jobs)
            yield from self._slices(now_ms)
        self._has_baseline = True

    def _slices(self, now_ms: int) -> Iterator[list[tuple[str, Ended]]]:
        while self._queue:
            count = min(_SLICE, len(self._queue))
            news = self.take([self._queue.popleft() for _ in range(count)], now_ms)
            if not self._has_baseline:
                news = [one for one in news if (one[1].ended_ms or 0) >= self._news_from_ms]
            yield news

    def _note_age(self, created_at: str) -> None:
        if self._oldest and created_at >= self._oldest:
            return
        ms = known_ms(created_at)
        if ms is not None:
            self._oldest, self._oldest_ms = created_at, ms

    # -- questions ----------------------------------------------------------------------------

    def last_success(self, type: str) -> tuple[int, str] | None:
        """Return when the last success ended, and the id of the job; ``None`` without one."""
        return self._types[type].last(COMPLETED)

    def last_successes(self) -> set[str]:
        """Return the ids of the last success of each type."""
        found = (self.last_success(type) for type in self._types)
        return {last[1] for last in found if last is not None}

    def state(self, type: str, now_ms: int, dead: Container[str] = ()) -> TypeState:
        """Return the state of a type's jobs; ``dead`` are the owners that have died."""
        here = self._types[type]
        lost = {id for id, job in here.active.items() if job.owner and job.owner in dead}
        stalled = sum(
            job.stalls_at_ms is not None and now_ms >= job.stalls_at_ms
            for id, job in here.active.items()
            if id not in lost
        )
        success, failure = here.last(COMPLETED), here.last(FAILED)
        return TypeState(
            len(here.active),
            len(lost),
            stalled,
            dict(here.counts),
            success[0] if success is not None else None,
            failure[0] if failure is not None else None,
        )

    def overdue(self, now_ms: int, dead: Container[str] = ()) -> list[Overdue]:
        """Return the overdue types among those that are tracked, by name."""
        return self._dues(now_ms, dead)

    def _dues(self, now_ms: int, dead: Container[str]) -> list[Overdue]:
        """Return the types that are overdue at this time if nothing happens until then."""
        expected = {
            type: pipeline
            for type, pipeline in self._pipelines.expected().items()
            if type in self._types
        }
        successes, running = {}, {}
        for type in expected:
            here = self._types[type]
            if (last := here.last(COMPLETED)) is not None:
                successes[type] = last[0]
            began = [
                job.began_ms
                for job in here.active.values()
                if not job.waits and job.began_ms is not None and job.owner not in dead
            ]
            if began:
                running[type] = min(began)
        return overdue(expected, successes, self._oldest_ms, now_ms, running)

    def next_overdue_ms(self, now_ms: int) -> int | None:
        """Return when the next type is overdue if nothing happens; ``None`` if there is none."""
        dues = [item.due_ms + 1 for item in self._dues(_NEVER_MS, ()) if item.due_ms >= now_ms]
        return min(dues, default=None)


def _end_of(job: Job, now_ms: int) -> int | None:
    """Return when a job ended, for the age of a success.

    An end that a wrong clock has put into the future does not count: the creation does, if that is
    not in the future too.
    """
    end_ms = job.ended_ms()
    if end_ms is None or end_ms <= now_ms + MAX_AHEAD_MS:
        return end_ms
    created_ms = known_ms(job.created_at)
    return created_ms if created_ms is not None and created_ms <= now_ms else None
