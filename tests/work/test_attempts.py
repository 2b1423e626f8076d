"""A task that is delivered again: the next attempt at its job, if nobody else works on it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from jobctl._clock import now
from jobctl.core import transitions as jobs
from jobctl.core.job import Job
from jobctl.errors import Conflict, JobNotFound
from jobctl.stores import Store, open_store
from jobctl.upkeep.reap import reap
from jobctl.work.attempt import begin_attempt
from jobctl.work.run import RunOptions, run
from jobctl.work.track import track
from tests.stores.support import environment, plant_owner, until

DEAD = "1-0123456789ab"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "jobs"


@pytest.fixture
def shared(directory: Path) -> Store:
    store = open_store(directory, create=True)
    store.head()
    return store


def lose(store: Store, directory: Path, **fields: object) -> Job:
    """A job in its second stage whose worker has died."""
    store.create(jobs.create("etl", now=now(), id="a1", stages=["x", "y"], title="Nightly"))
    plant_owner(directory, DEAD)
    return store.update(
        "a1", lambda job: jobs.advance(job, "y", now=now()).replace(owner=DEAD, **fields)
    )


def stages(job: Job) -> list[str]:
    return [entry.stage for entry in job.timeline()]


@pytest.mark.parametrize("reaped", [False, True])
def test_lost_job_is_taken_over(shared: Store, directory: Path, *, reaped: bool) -> None:
    """It was left alone, so its work succeeded untracked, and was reaped as lost."""
    lose(shared, directory, message="half way")
    if reaped:
        assert [job.id for job in reap(shared).jobs] == ["a1"]
    with track("etl", id="a1", store=shared, session="s2") as job:
        here = shared.get("a1")
        assert (here.stage, here.retry_count, here.message, here.error) == (
            "pending",
            1,
            None,
            None,
        )
        assert not here.lost(shared.owners.dead())
        job.stage("x")
    done = shared.get("a1")
    assert (done.stage, done.title, done.session_id) == ("completed", "Nightly", "s2")
    assert stages(done) == ["pending", "y", "failed", "pending", "x", "completed"]


def test_job_of_a_worker_that_lives_is_a_conflict(shared: Store) -> None:
    """Also one that nobody owns: whoever made it may start on it."""
    with track("etl", id="a1", store=shared) as job:
        job.stage("load")
        before = shared.get("a1")
        with (
            pytest.raises(
                Conflict, match="exists already, in stage 'load'; its worker may be alive"
            ),
            track("etl", id="a1", store=shared, strict=True, again=True),
        ):
            pass
        assert shared.get("a1") == before
    shared.create(jobs.create("etl", now=now(), id="b1"))
    with pytest.raises(Conflict), track(id="b1", store=shared, strict=True, again=True):
        pass
    assert shared.get("b1").revision == shared.head().revision


@pytest.mark.parametrize("end", ["completed", "failed"])
def test_job_that_has_ended_gets_another_attempt_where_that_is_said(
    shared: Store, end: str
) -> None:
    """Without it the caller may have chosen the id by mistake."""
    shared.create(jobs.create("etl", now=now(), id="a1"))
    if end == "completed":
        shared.update("a1", lambda job: jobs.complete(job, now=now(), result=7))
    else:
        shared.update("a1", lambda job: jobs.fail(job, "boom", now=now()))
    with (
        pytest.raises(Conflict, match=f"is {end}; choose another id, or track it with again=True"),
        track("etl", id="a1", store=shared, strict=True),
    ):
        pass
    assert shared.get("a1").stage == end

    @track("etl", id="a1", store=shared, again=True)
    def work() -> None:
        here = shared.get("a1")
        assert (here.stage, here.result, here.error, here.completed_at) == (
            "pending", None, None, None,
        )  # fmt: skip

    work()
    work()
    done = shared.get("a1")
    assert (done.stage, done.retry_count) == ("completed", 2)


def test_retried_job_that_waits_for_a_worker_is_begun(shared: Store) -> None:
    """It is that attempt already; without ``again`` it may be somebody else's."""
    shared.create(jobs.create("etl", now=now(), id="a1"))
    shared.update("a1", lambda job: jobs.fail(job, "boom", now=now()))
    shared.update("a1", lambda job: jobs.retry(job, now=now()))
    with pytest.raises(Conflict), track("etl", id="a1", store=shared, strict=True):
        pass
    with track("etl", id="a1", store=shared, again=True):
        assert not shared.get("a1").lost(shared.owners.dead())
    done = shared.get("a1")
    assert (done.stage, done.retry_count, stages(done)) == (
        "completed", 1, ["pending", "failed", "pending", "completed"],
    )  # fmt: skip


@pytest.mark.parametrize("left", [None, DEAD])
@pytest.mark.parametrize("command", [True, False])
def test_job_that_another_program_retried_is_begun_and_has_an_owner(
    shared: Store, directory: Path, left: str | None, *, command: bool
) -> None:
    """It was refused for the owner that such a program leaves, and else had none while it ran."""
    shared.create(jobs.create("etl", now=now(), id="a1"))
    shared.update("a1", lambda job: jobs.fail(jobs.advance(job, "x", now=now()), "no", now=now()))
    path = directory / "a1.json"
    value = json.loads(path.read_text())
    value |= {"stage": "pending", "retryCount": 1, "error": None, "owner": left}
    path.write_text(json.dumps(value, indent=2))
    shared.refresh()
    if command:
        copy = directory.parent / "copy.json"
        argv = ["cp", str(path), str(copy)]
        assert run(argv, shared, RunOptions(type="etl", id="a1", again=True)) == 0
        here = json.loads(copy.read_text())
        assert (here["stage"], here["owner"] not in (None, left)) == ("run", True)
    else:
        with track("etl", id="a1", store=shared, again=True) as job:
            job.stage("y")
            until(lambda: shared.get("a1").stage == "y")
            assert shared.get("a1").owned_by not in (None, left)
    done = shared.get("a1")
    last = "run" if command else "y"
    assert (done.stage, done.retry_count) == ("completed", 1)
    assert stages(done) == ["pending", "x", "failed", "pending", last, "completed"]


def test_of_several_that_take_over_one_succeeds(shared: Store, directory: Path) -> None:
    """Each in its own store, as in processes of their own."""
    lose(shared, directory)
    taken: list[Job] = []
    refused: list[Conflict] = []
    barrier = threading.Barrier(4)

    def take() -> None:
        store = open_store(directory)
        first = jobs.create("etl", now=now(), id="a1").replace(owner=store.owners.hold())
        barrier.wait()
        try:
            taken.append(begin_attempt(store, first, lambda job: job, again=False, again_by=""))
        except Conflict as error:
            refused.append(error)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(taken), len(refused)) == (1, 3)
    assert shared.get("a1").retry_count == 1


def test_job_that_is_removed_meanwhile_is_created(shared: Store) -> None:
    """Between the refusal to create it and the look at it."""
    first = jobs.create("etl", now=now(), id="a1")
    shared.create(first)
    real = shared.owners.dead

    def removing() -> frozenset[str]:
        try:
            shared.remove("a1")
        except JobNotFound:
            pass
        return real()

    shared.owners.dead = removing  # type: ignore[method-assign]
    made = begin_attempt(shared, first, lambda job: job, again=False, again_by="")
    assert (made.id, made.retry_count) == ("a1", 0)


def test_run_takes_over_what_a_killed_run_left(directory: Path) -> None:
    """A command line whose process was killed, and that is started again by its supervisor."""
    command = [sys.executable, "-m", "jobctl", "run", "--id", "a1", "--dir", str(directory), "--"]
    killed = subprocess.Popen([*command, "sleep", "60"], env=environment(), start_new_session=True)
    store = open_store(directory, create=True)
    until(lambda: any(id == "a1" for id in store.ids()), what="the job of the first run")
    again = subprocess.run(
        [*command, "true"], env=environment(), capture_output=True, text=True, check=False
    )
    assert (again.returncode, again.stderr.count("\n")) == (125, 1)
    assert "job a1 exists already, in stage 'run'; its worker may be alive" in again.stderr
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    subprocess.run([*command, "true"], env=environment(), check=True)
    done = store.get("a1")
    assert (done.stage, done.retry_count) == ("completed", 1)
    assert json.loads((directory / "a1.json").read_text())["run"]["argv"] == ["true"]
    ended = subprocess.run(
        [*command, "true"], env=environment(), capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr.count("\n")) == (125, 1)
    assert "is completed; choose another id, or run it with --again" in ended.stderr
    assert run(["false"], store, RunOptions(id="a1", again=True)) == 1
    assert (store.get("a1").stage, store.get("a1").retry_count) == ("failed", 2)
    store.close()
