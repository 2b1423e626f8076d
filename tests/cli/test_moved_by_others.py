"""How commands show a job of jobctl's that the original program has moved."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jobctl.cli.live_view import summary
from jobctl.core import transitions as jobs
from jobctl.core.job import Job
from jobctl.core.pipeline import BUILT_IN_ONLY
from jobctl.stores import open_store
from tests.cli.conftest import Run
from tests.original_writes import at, by_others, failed, moved_to, retried, written
from tests.stores.support import plant_owner

OWNER = "1-0123456789ab"


@pytest.fixture
def job(jobs_dir: Path) -> Job:
    """A job with progress in its stage, whose worker has died."""
    job = jobs.create("create_session", now=at(0), id="j").replace(owner=OWNER)
    job = jobs.advance(job, "extract", now=at(5))
    job = jobs.report(job, now=at(6), done=3, total=8, message="orders.csv")
    store = open_store(jobs_dir, create=True)
    store.create(job)
    store.close()
    plant_owner(jobs_dir, OWNER)
    return job


def test_progress_of_another_stage_is_not_shown(run: Run, jobs_dir: Path, job: Job) -> None:
    """By no command; it stays in the file, and machine output says what it is."""
    assert "progress        3 of 8\nmessage         orders.csv\n" in run("show", "j").out
    assert "orders.csv" in run("ls").out
    (jobs_dir / "j.json").write_text(written(job, moved_to("analyze", 60)))
    text = run("show", "j").out
    assert "40% done" in text
    for out in (text, run("ls").out, run("ls", "-o", "wide").out):
        assert "analyze" in out
        assert "3 of 8" not in out
        assert "orders.csv" not in out
    for command in ("show", "j", "-o", "json"), ("ls", "-o", "jsonl"):
        value = json.loads(run(*command).out.splitlines()[0])
        assert value["progress"] == {"done": 3, "total": 8}
        assert value["derived"]["progressStale"] is True
    moved = by_others(job, moved_to("analyze", 60))
    assert "orders.csv" in summary(job, 0, (), BUILT_IN_ONLY)
    assert "orders.csv" not in summary(moved, 0, (), BUILT_IN_ONLY)


def test_progress_after_it_is_of_the_stage_that_it_moved_to(
    run: Run, jobs_dir: Path, job: Job
) -> None:
    """The command records the stage first."""
    (jobs_dir / "j.json").write_text(written(job, moved_to("analyze", 60)))
    run("progress", "j", "1/2")
    text = run("show", "j").out
    assert "progress        1 of 2\n" in text
    assert "orders.csv" not in text
    assert [entry["stage"] for entry in json.loads((jobs_dir / "j.json").read_text())["history"]] \
        == ["pending", "extract", "analyze"]  # fmt: skip


def test_job_that_the_original_retried_is_not_lost(run: Run, jobs_dir: Path, job: Job) -> None:
    """And `reap` leaves it alone."""
    assert ", lost\n" in run("show", "j").out
    (jobs_dir / "j.json").write_text(written(job, failed(90), retried(120)))
    assert ", lost\n" not in run("show", "j").out
    run("reap")
    assert json.loads((jobs_dir / "j.json").read_text())["stage"] == "pending"


def test_timeline_has_the_true_times(run: Run, jobs_dir: Path, job: Job) -> None:
    """Before and after a retry."""
    (jobs_dir / "j.json").write_text(written(job, moved_to("analyze", 60), failed(90)))
    assert f"  {at(90)}  failed       Failed\n" in run("show", "j", "--time-format", "iso").out
    run("retry", "j")
    history = json.loads((jobs_dir / "j.json").read_text())["history"]
    assert {"stage": "failed", "at": at(90)} in history
