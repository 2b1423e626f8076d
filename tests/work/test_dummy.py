"""Dummy jobs."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from jobctl.core.cursor import ZERO
from jobctl.core.job import Job
from jobctl.core.pipeline import BUILT_IN
from jobctl.errors import UsageError
from jobctl.stores import Store, open_store
from jobctl.work.dummy import DummyOptions, run_dummy

WAY = ["pending", "extract", "analyze", "generate", "finalize", "completed"]


async def test_they_walk_through_the_stages(store: Store) -> None:
    """And complete with a result and a session of its own; every change is told."""
    told: list[Job] = []
    summary = await run_dummy(store, DummyOptions(count=3, speed=100), on_job=told.append)
    jobs = store.since(ZERO).jobs
    assert (summary.jobs, summary.completed, summary.failed) == (3, 3, 0)
    assert sorted(summary.ids) == sorted(job.id for job in jobs)
    for job in jobs:
        assert [entry.stage for entry in job.timeline()] == WAY
        assert (job.session_id, bool(job.result_session_id)) == ("dummy", True)
        assert job.result is not None
    assert {job.stage for job in told} == set(WAY)
    assert summary.updates == store.since(ZERO).through


async def test_types_are_given_out_in_turn(store: Store) -> None:
    """For a demonstration."""
    await run_dummy(store, DummyOptions(count=4, speed=200), types=list(BUILT_IN))
    assert {job.type for job in store.since(ZERO).jobs} == set(BUILT_IN)


async def test_failures_are_settled_by_the_seed(store: Store) -> None:
    """The same choices each time."""
    shares = []
    for _ in range(2):
        options = DummyOptions(count=20, speed=500, fail_rate=0.5, seed=7)
        summary = await run_dummy(store, options)
        shares.append([store.get(id).stage for id in summary.ids])
    assert shares[0] == shares[1]
    assert 0 < shares[0].count("failed") < 20


async def test_fail_at_fails_every_job_there(store: Store) -> None:
    """In that stage."""
    await run_dummy(store, DummyOptions(count=2, speed=200, fail_at="analyze"))
    for job in store.since(ZERO).jobs:
        assert [entry.stage for entry in job.timeline()][-2:] == ["analyze", "failed"]


async def test_a_stage_that_does_not_exist_is_a_usage_error(store: Store) -> None:
    """Nothing is made."""
    with pytest.raises(UsageError):
        await run_dummy(store, DummyOptions(fail_at="nowhere"))
    assert store.since(ZERO).jobs == ()


async def test_a_cancellation_fails_those_in_flight_and_only_those(store: Store) -> None:
    """With "Interrupted"; what had ended stays as it was."""
    both = asyncio.Event()
    ended: list[str] = []

    def on_job(job: Job) -> None:
        if job.stage == "completed":
            ended.append(job.id)
        if ended and job.stage == "extract" and job.id not in ended:
            both.set()

    options = DummyOptions(count=2, concurrency=1, speed=20)
    run = asyncio.create_task(run_dummy(store, options, on_job=on_job))
    await asyncio.wait_for(both.wait(), 20)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    stages = {job.id: (job.stage, job.error) for job in store.since(ZERO).jobs}
    assert stages.pop(ended[0]) == ("completed", None)
    assert list(stages.values()) == [("failed", "Interrupted")]


@pytest.mark.slow
async def test_five_hundred_at_once_are_no_trouble(tmp_path: Path) -> None:
    """On disk, all of them complete."""
    store = open_store(tmp_path / "jobs", create=True)
    summary = await run_dummy(store, DummyOptions(count=500, speed=2))
    assert (summary.completed, summary.failed) == (500, 0)
    assert {job.stage for job in store.since(ZERO).jobs} == {"completed"}
    store.close()


async def test_fail_at_a_stage_that_the_type_lacks_is_refused(store: Store) -> None:
    """A failure that was asked for and cannot come is no success."""
    options = DummyOptions(type="etl", stage_delays={"fetch": 0.1}, fail_at="analyze")
    with pytest.raises(UsageError, match="no stage 'analyze'; stages: fetch"):
        await run_dummy(store, options)
