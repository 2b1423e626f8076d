"""``jobctl run-dummy``."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from jobctl._clock import now
from jobctl.cli import live_dummy
from jobctl.core.conditions import code_of
from jobctl.core.transitions import create, fail
from jobctl.stores import open_store
from tests.cli.conftest import Run, command, environment

FAST = ("--speed", "200")


def test_lines_and_a_summary(run: Run, jobs_dir: Path) -> None:
    """Off a terminal: a line for each stage, then the figures."""
    result = run("run-dummy", "--count", "2", *FAST)
    assert result.code == 0
    last = result.out.splitlines()[-1]
    assert last.startswith("2 jobs: 2 completed, 0 failed; ")
    assert "updates/s" in last
    assert result.out.count("generate") >= 2


def test_quiet_prints_ids_that_can_be_removed(run: Run, jobs_dir: Path) -> None:
    """They are easy to find: session ``dummy``."""
    ids = run("run-dummy", "--count", "3", "-q", *FAST).out.split()
    assert sorted(run("ls", "--session", "dummy", "-q").out.split()) == sorted(ids)
    assert run("rm", *ids).code == 0


def test_rm_leaves_nothing(run: Run, jobs_dir: Path) -> None:
    """--rm removes what it made."""
    run("run-dummy", "--count", "2", "--rm", *FAST)
    assert run("ls", "-q").out == ""


def test_failures_come_where_they_are_asked_for(run: Run, jobs_dir: Path) -> None:
    """--fail-at fails every job in that stage."""
    run("run-dummy", "--count", "2", "--fail-at", "analyze", *FAST)
    jobs = json.loads(run("ls", "-o", "json").out)["jobs"]
    assert {job["stage"] for job in jobs} == {"failed"}
    assert {job["history"][-2]["stage"] for job in jobs} == {"analyze"}


def test_a_stage_delay_that_is_none_is_a_usage_error(run: Run, jobs_dir: Path) -> None:
    """NAME=SECONDS."""
    assert run("run-dummy", "--stage-delay", "extract").code == 2
    assert run("run-dummy", "--stage-delay", "extract=-1").code == 2


def test_wait_exits_with_3_when_one_failed(run: Run, jobs_dir: Path) -> None:
    """Also when the jobs are removed in the end; without it a failure is what was asked for."""
    fails = ("run-dummy", "--count", "2", "--fail-at", "analyze", *FAST)
    assert run(*fails).code == 0
    result = run(*fails, "--wait", "--rm")
    assert (result.code, result.err) == (3, "")
    assert "2 failed" in result.out.splitlines()[-1]
    assert run("run-dummy", "--count", "2", "--wait", *FAST).code == 0


def test_wait_sees_what_others_did_to_its_jobs(jobs_dir: Path) -> None:
    """One that was removed is exit code 4, which comes before 3, one that somebody failed."""
    store = open_store(jobs_dir, create=True)
    store.create(fail(create("etl", now=now(), id="j"), "by hand", now=now()))
    verdicts = [live_dummy._verdict(store, id) for id in ("j", "removed")]
    assert [code_of([verdict]) for verdict in verdicts] == [3, 4]
    assert code_of(verdicts) == 4
    store.close()


@pytest.mark.slow
def test_cancelled_job_ends_alone_and_is_no_failure(run: Run, jobs_dir: Path) -> None:
    """The others go on: it was one that was not wanted."""
    words = command("run-dummy", "--count", "2", "--speed", "0.5", "--wait", "--dir", str(jobs_dir))
    with subprocess.Popen(words, env=environment(), stdout=subprocess.PIPE, text=True) as dummy:
        assert dummy.stdout is not None
        first = dummy.stdout.readline().split()[1]
        assert run("cancel", first).code == 0, run("show", first).out
        rest, _ = dummy.communicate(timeout=40)
    assert "2 jobs: 1 completed, 0 failed, 1 cancelled; " in rest
    assert dummy.returncode == 6


def test_stage_delay_is_a_duration(run: Run, jobs_dir: Path) -> None:
    """With a unit or in seconds, as all others."""
    delays = ["extract=1s", "analyze=0.5", "generate=0"]
    options = [word for text in delays for word in ("--stage-delay", text)]
    assert run("run-dummy", "--speed", "50", *options, "-q").code == 0
    for wrong in ("extract", "extract=x", "extract=-1", "=1"):
        ran = run("run-dummy", "--stage-delay", wrong)
        assert (ran.code, ran.err.count("\n")) == (2, 1)
        assert f"--stage-delay {wrong} is not NAME=DURATION; write load=2s" in ran.err
