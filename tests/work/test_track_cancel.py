"""Cancelling tracked work: it hears of it at its next call, or as soon as it awaits."""

# ruff: noqa: PT012 - what raises is the work within the block

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from jobctl.core.cursor import ZERO
from jobctl.core.transitions import CANCELLED
from jobctl.errors import Cancelled
from jobctl.stores import Store, open_store
from jobctl.stores.owners import CancelRequest
from jobctl.work import recorder
from jobctl.work.track import TrackedJob, track
from tests.stores.support import environment, until
from tests.work.support import only


@pytest.fixture(autouse=True)
def attentive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for cancellations every 20 ms, where it is half a second in earnest."""
    assert recorder.CANCEL_POLL_S <= 1
    monkeypatch.setattr(recorder, "CANCEL_POLL_S", 0.02)


def call(store: Store, job: TrackedJob) -> None:
    """Ask for the job to be cancelled, as ``jobctl cancel`` does."""
    name = store.get(job.id).owned_by
    assert name is not None
    assert store.owners.request_cancel(name, job.id)


def cancelled(store: Store) -> bool:
    """Whether the one job is failed for it, and nobody's any more."""
    job = only(store)
    return (job.stage, job.error, job.owner) == ("failed", CANCELLED, None)


def test_the_job_says_who_works_on_it(store: Store) -> None:
    """As long as somebody does."""
    with track("etl", store=store):
        assert only(store).owned_by is not None
    assert only(store).owner is None


@pytest.mark.parametrize("say", ["progress", "message", "stage"])
def test_the_next_report_raises(store: Store, say: str) -> None:
    """Also one that would not be written for coming too soon."""
    with pytest.raises(Cancelled), track("etl", store=store) as job:
        job.progress(1, 10**9)
        call(store, job)
        until(lambda: job.cancelled)
        {
            "progress": lambda: job.progress(2, 10**9),
            "message": lambda: job.message("m"),
            "stage": lambda: job.stage("s"),
        }[say]()
    assert cancelled(store)


def test_a_loop_of_reports_ends(store: Store) -> None:
    """Whatever the pace."""
    calls = 0
    deadline = time.monotonic() + 10
    with pytest.raises(Cancelled), track("etl", store=store) as job:
        while time.monotonic() < deadline:
            calls += 1
            job.progress(calls % 100)
            if calls == 1000:
                call(store, job)
    assert cancelled(store)


def test_work_that_is_done_anyway_is_completed(store: Store) -> None:
    """Who never asks, or does not mind, ends as the work ends."""
    with track("etl", store=store) as job:
        call(store, job)
        until(lambda: job.cancelled)
    assert only(store).stage == "completed"
    with track("etl", store=store, id="b") as job:
        call(store, job)
        until(lambda: job.cancelled)
        with pytest.raises(Cancelled):
            job.message("still here")
        job.complete(result=7)
    assert (store.get("b").stage, store.get("b").result) == ("completed", 7)


def test_only_the_job_that_was_meant_is_cancelled(store: Store) -> None:
    """Of all that one process works on."""
    with track("etl", store=store, id="a") as other:
        with pytest.raises(Cancelled), track("etl", store=store, id="b") as job:
            call(store, job)
            until(lambda: job.cancelled)
            job.progress(1)
        other.progress(1)
    assert [job.stage for job in store.since(ZERO).jobs] == ["failed", "completed"]


async def test_an_await_is_interrupted(store: Store) -> None:
    """The block ends with `Cancelled`, and the task that it ran in is not cancelled for good."""
    began = time.monotonic()
    with pytest.raises(Cancelled):
        async with track("etl", store=store) as job:
            call(store, job)
            await asyncio.sleep(30)
    assert time.monotonic() - began < 10
    assert cancelled(store)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(0)


async def test_a_cancellation_of_the_task_stays_one(store: Store) -> None:
    """Both at once: the outer one wins, as the program expects."""

    async def work() -> None:
        async with track("etl", store=store) as job:
            call(store, job)
            await asyncio.to_thread(until, lambda: job.cancelled)
            await asyncio.sleep(30)

    async def both() -> None:
        task = asyncio.create_task(work())
        await asyncio.to_thread(until, lambda: store.since(ZERO).jobs)
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises((asyncio.CancelledError, Cancelled)):
            await task

    await both()
    assert only(store).stage == "failed"


async def test_work_that_does_not_await_any_more_is_completed(store: Store) -> None:
    """The cancellation of the task is taken back, and strikes nobody afterwards."""
    async with track("etl", store=store) as job:
        call(store, job)
        until(lambda: job.cancelled)  # blocks the loop: nothing can be interrupted
        job._task_cancellation._cancel()  # the callback that comes just before the end
    await asyncio.sleep(0)
    assert only(store).stage == "completed"
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_one_of_many_tasks_is_cancelled(store: Store) -> None:
    """The others go on."""

    async def work(id: str) -> str:
        try:
            async with track("etl", store=store, id=id) as job:
                for step in range(40):
                    job.progress(step, 40)
                    await asyncio.sleep(0.005)
                    if id == "j3" and step == 2:
                        call(store, job)
        except Cancelled:
            return "cancelled"
        return "done"

    ends = await asyncio.gather(*(work(f"j{n}") for n in range(8)))
    assert ends == ["done"] * 3 + ["cancelled"] + ["done"] * 4


def test_from_another_thread(store: Store) -> None:
    """A worker thread that reports on the job is told."""
    raised: list[Any] = []

    def work(job: TrackedJob) -> None:
        try:
            for step in range(100_000):
                job.progress(step, 100_000)
                time.sleep(0.001)
        except Cancelled as error:
            raised.append(error)

    with track("etl", store=store) as job:
        thread = threading.Thread(target=work, args=(job,))
        thread.start()
        call(store, job)
        thread.join(10)
    assert len(raised) == 1


SCRIPT = """
import sys, time
from jobctl import track
from jobctl.errors import Cancelled
try:
    with track("etl", store=sys.argv[1], id="a") as job:
        print("in", flush=True)
        for step in range(10000):
            job.progress(step, 10000)
            time.sleep(0.01)
except Cancelled as error:
    print(error)
"""


@pytest.mark.slow
def test_from_another_process(tmp_path: Path) -> None:
    """Within P, by a cancel request to the owner; no file of the owner is left."""
    store = open_store(tmp_path / "jobs", create=True)
    work = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "jobs")],
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert work.stdout is not None
    assert work.stdout.readline() == "in\n"
    assert store.owners.request_cancel(store.get("a").owned_by or "", "a")
    out, _ = work.communicate(timeout=2 + 5)
    assert out == "job a was cancelled by user\n"
    assert (store.get("a").stage, store.get("a").error) == ("failed", CANCELLED)
    assert list((tmp_path / "jobs" / ".jobctl" / "owners").iterdir()) == []
    store.close()


async def test_an_outer_cancellation_is_not_swallowed_with_ours(store: Store) -> None:
    """Both came while the work did not await, and the block ended well."""

    async def work() -> None:
        async with track("etl", store=store) as job:
            call(store, job)
            until(lambda: job.cancelled)
            asyncio.get_running_loop().call_soon(task.cancel)
            job._task_cancellation._cancel()
        await asyncio.sleep(30)

    task = asyncio.create_task(work())
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 10)
    assert task.cancelled()
    assert only(store).stage == "completed"


def test_a_cancel_request_for_an_earlier_job_cancels_no_later_one(store: Store) -> None:
    """It came when that one had just ended."""
    with track("etl", store=store, id="a") as job:
        name = store.get("a").owned_by
        assert name is not None
    assert store.owners.request_cancel(name, "a")
    store.remove("a")
    with track("etl", store=store, id="a") as job:
        threading.Event().wait(0.1)
        assert not job.cancelled
        job.progress(1)
    assert only(store).stage == "completed"


def test_two_recorders_of_one_store_hear_of_their_own_jobs(store: Store) -> None:
    """A strict recorder and another one, which read the same owner file."""
    with (
        track("etl", store=store, id="a", strict=True) as strict,
        track("etl", store=store, id="b") as other,
    ):
        call(store, strict)
        call(store, other)
        until(lambda: strict.cancelled and other.cancelled)


def test_who_cancelled_it_and_why_is_in_the_job_and_in_the_exception(store: Store) -> None:
    """For the work, and for whoever looks later."""
    with pytest.raises(Cancelled) as raised, track("etl", store=store) as job:
        name = store.get(job.id).owned_by
        assert name is not None
        assert store.owners.request_cancel(name, job.id, CancelRequest("anna", "too\nlate"))
        until(lambda: job.cancelled)
        job.progress(1)
    assert (raised.value.by, raised.value.exit_code) == ("anna", 6)
    assert str(raised.value) == f"job {job.id} was cancelled by anna: too\nlate"
    said = only(store).cancellation
    assert said is not None
    assert (said.by, said.reason) == ("anna", "too late")
    assert said.at == only(store).updated_at


async def test_the_task_hears_who_cancelled_it(store: Store) -> None:
    """As a block without asyncio does."""
    with pytest.raises(Cancelled, match="was cancelled by anna: too late"):
        async with track("etl", store=store) as job:
            name = store.get(job.id).owned_by
            assert name is not None
            store.owners.request_cancel(name, job.id, CancelRequest("anna", "too late"))
            await asyncio.sleep(10)
    assert only(store).is_cancelled


def test_labels_are_recorded_and_wrong_ones_do_not_break_the_work(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """What is wrong is named."""
    with track("etl", store=store, labels={"team": "data"}):
        assert only(store).labels == {"team": "data"}
    store.remove(only(store).id)
    with track("etl", store=store, labels={"a b": "c"}) as job:
        job.progress(1)
    assert "'a b' is not the key of a label" in caplog.text

    @track("etl", store=store, labels={"team": "web"})
    def work() -> None: ...

    work()
    assert only(store).labels == {"team": "web"}
