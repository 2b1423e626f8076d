"""Dummy jobs: simulated work, recorded like real work. For demos, tests and load.

They follow the pipeline of their type. A type without one gets the stages from `DummyOptions` as
its own stages.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from time import monotonic

from jobctl.core.job import Job
from jobctl.core.pipeline import BUILT_IN_ONLY, CANCELLED, COMPLETED, FAILED, Pipeline, Pipelines
from jobctl.errors import Cancelled, Conflict, IllegalTransition, JobNotFound, UsageError
from jobctl.stores import Store
from jobctl.work.track import track

__all__ = ["STAGE_DELAYS_S", "DummyOptions", "DummySummary", "run_dummy"]

STAGE_DELAYS_S = {"extract": 0.4, "analyze": 0.4, "generate": 0.5, "finalize": 0.4}
"""How long the original program's dummy jobs stay in each stage."""
_DELAY_S = 0.4
"""Time in a stage without a delay of its own."""
STEP_S = 0.12
"""Seconds between reports of progress within a stage; `track` writes ten a second at most."""

_log = logging.getLogger("jobctl")


@dataclass(frozen=True, slots=True, kw_only=True)
class DummyOptions:
    """Which dummy jobs to run.

    ``concurrency`` is how many run at once, ``None`` for all. ``stage_delays`` are seconds, divided
    by ``speed``; a stage that is not named takes no time. ``fail_rate`` is the share of jobs that
    fail, in a random stage or in ``fail_at``; ``fail_at`` alone makes every job fail. A ``seed``
    determines which jobs fail, where, and with which results; ids are always new.
    """

    count: int = 1
    concurrency: int | None = None
    type: str = "create_session"
    session: str | None = "dummy"
    speed: float = 1.0
    stage_delays: dict[str, float] = field(default_factory=STAGE_DELAYS_S.copy)
    fail_rate: float = 0.0
    fail_at: str | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class DummySummary:
    """The result: ``updates`` writes in ``seconds``; ``ids`` in the order of creation.

    A job that was cancelled is not ``failed``. One that somebody else removed or ended otherwise
    counts as none of these.
    """

    jobs: int
    completed: int
    failed: int
    cancelled: int
    updates: int
    seconds: float
    ids: tuple[str, ...]

    @property
    def updates_per_s(self) -> float:
        """Writes per second, of all jobs together."""
        return self.updates / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, slots=True)
class _Plan:
    """One job, decided before any job runs, so that the schedule has no influence."""

    type: str
    stages: tuple[str, ...]
    brings_stages: bool
    fails_in: str | None
    number: int
    result_session_id: str


class _Planned(Exception):
    """A failure that was requested."""


async def run_dummy(
    store: Store,
    options: DummyOptions,
    *,
    on_job: Callable[[Job], None] | None = None,
    types: Sequence[str] | None = None,
    pipelines: Pipelines = BUILT_IN_ONLY,
) -> DummySummary:
    """Run dummy jobs in the store; return a summary.

    ``on_job`` is called in the event loop with each recorded version. ``types`` are used in turn
    instead of ``options.type``; ``pipelines`` are those that are known. Cancelling fails the
    running jobs with "Interrupted". Raises `UsageError` for invalid options; a `StoreError` ends
    the run.
    """
    plans = iter(_plans(options, types, pipelines))
    run = _Run(store, options, on_job)
    workers = min(options.concurrency or options.count, options.count)
    start_s = monotonic()
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(run.work(plans))
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return run.summary(monotonic() - start_s)


class _Run:
    """The running jobs and their counters."""

    def __init__(
        self, store: Store, options: DummyOptions, on_job: Callable[[Job], None] | None
    ) -> None:
        self._store, self._options, self._on_job = store, options, on_job
        self._loop = asyncio.get_running_loop()
        self._ids: list[str] = []
        self._ends: list[str] = []
        self._updates = 0

    def summary(self, seconds: float) -> DummySummary:
        return DummySummary(
            jobs=len(self._ids),
            completed=self._ends.count(COMPLETED),
            failed=self._ends.count(FAILED),
            cancelled=self._ends.count(CANCELLED),
            updates=self._updates,
            seconds=seconds,
            ids=tuple(self._ids),
        )

    async def work(self, plans: Iterator[_Plan]) -> None:
        """Run one job after another."""
        for plan in plans:
            try:
                await self._run(plan)
            except _Planned:
                self._ends.append(FAILED)
            except Cancelled:  # the other jobs go on
                self._ends.append(CANCELLED)
            except (JobNotFound, IllegalTransition, Conflict) as error:
                _log.warning("jobctl: a dummy job was disturbed: %s", error)
            else:
                self._ends.append(COMPLETED)

    async def _run(self, plan: _Plan) -> None:
        async with track(
            plan.type,
            title=f"Dummy job {plan.number}",
            stages=plan.stages if plan.brings_stages else None,
            session=self._options.session,
            store=self._store,
            strict=True,
            on_record=self._recorded,
        ) as job:
            self._ids.append(job.id)
            for stage in plan.stages:
                job.stage(stage)
                delay_s = self._options.stage_delays.get(stage, _DELAY_S) / self._options.speed
                steps = max(1, int(delay_s / STEP_S))
                for step in range(1, steps + 1):
                    await asyncio.sleep(delay_s / steps)
                    if stage == plan.fails_in and step > steps // 2:
                        raise _Planned(f"Dummy failure in {stage}")
                    if step < steps:
                        job.progress(step, steps, f"step {step} of {steps}")
            job.complete(
                result={"dummy": True, "number": plan.number, "stages": list(plan.stages)},
                result_session_id=plan.result_session_id,
            )

    def _recorded(self, job: Job) -> None:
        self._updates += 1
        if self._on_job is not None:
            try:
                self._loop.call_soon_threadsafe(self._on_job, job)
            except RuntimeError:
                pass  # the loop is closed: nobody watches any more


def _plans(
    options: DummyOptions, types: Sequence[str] | None, pipelines: Pipelines
) -> Iterator[_Plan]:
    """Return the jobs as an iterator; raise `UsageError` before the first."""
    if options.count < 0 or (options.concurrency is not None and options.concurrency < 1):
        raise UsageError("there is nothing to run: count and concurrency are 1 or more")
    if not 0 < options.speed < float("inf"):
        raise UsageError(f"speed {options.speed:g} makes no sense; 1 is as usual, 2 twice as fast")
    if not 0 <= options.fail_rate <= 1:
        raise UsageError(f"a fail rate of {options.fail_rate:g} is not between 0 and 1")
    if any(not 0 <= delay_s < float("inf") for delay_s in options.stage_delays.values()):
        raise UsageError("a stage delay is a number of seconds, 0 or more")
    kinds = {type: _stages_of(pipelines.find(type), options) for type in types or (options.type,)}
    known = set().union(*kinds.values())
    delays = set(options.stage_delays) - set(
        STAGE_DELAYS_S
    )  # default delays for unknown stages are ignored
    for stage in (*sorted(delays), options.fail_at):
        if stage is not None and stage not in known:
            raise UsageError(f"no stage {stage!r}", hint=f"stages: {', '.join(sorted(known))}")
    return _generate(options, list(kinds), kinds, pipelines)


def _generate(
    options: DummyOptions,
    types: list[str],
    kinds: dict[str, tuple[str, ...]],
    pipelines: Pipelines,
) -> Iterator[_Plan]:
    chance = random.Random(options.seed)
    for number in range(1, options.count + 1):
        type = types[(number - 1) % len(types)]
        stages = kinds[type]
        draw, where, name = chance.random(), chance.random(), chance.getrandbits(48)
        fails = draw < options.fail_rate or (options.fail_at is not None and not options.fail_rate)
        fails_in = options.fail_at or stages[int(where * len(stages))]
        yield _Plan(
            type=type,
            stages=stages,
            brings_stages=stages != pipelines.find(type).names()[1:-1],
            fails_in=fails_in if fails else None,
            number=number,
            result_session_id=f"dummy-{name:012x}",
        )


def _stages_of(pipeline: Pipeline, options: DummyOptions) -> tuple[str, ...]:
    return pipeline.names()[1:-1] or tuple(options.stage_delays) or tuple(STAGE_DELAYS_S)
