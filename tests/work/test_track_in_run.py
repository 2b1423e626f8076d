"""`track` in a process that ``jobctl run`` has started: a child of the run's job, or that job."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobctl.core.job import Job
from jobctl.stores import Store, open_store
from tests.cli.conftest import command, environment


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """The store that the commands use."""
    monkeypatch.setenv("JOBCTL_DIR", str(tmp_path / "jobs"))
    monkeypatch.chdir(tmp_path)
    made = open_store(tmp_path / "jobs", create=True)
    yield made
    made.close()


def run(*argv: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """The command as the job ``r``."""
    line = command("run", "--id", "r", *options, "--", *argv)
    return subprocess.run(line, env=environment(), capture_output=True, text=True, timeout=60)


def python(text: str) -> tuple[str, str, str]:
    return sys.executable, "-c", text


def test_job_tracked_within_a_run_has_it_as_parent(store: Store) -> None:
    """Nothing is adopted: both jobs are there, and each has its own stages."""
    text = """
from jobctl import track
with track("etl", id="t", stages=["a", "b"]) as job:
    job.stage("b")
"""
    ran = run(*python(text))
    assert (ran.returncode, ran.stderr) == (0, "")
    child, parent = store.get("t"), store.get("r")
    assert (child.parent, parent.parent) == ("r", None)
    assert [entry.stage for entry in parent.timeline()] == ["pending", "run", "completed"]
    assert [entry.stage for entry in child.timeline()] == ["pending", "b", "completed"]
    listed = subprocess.run(
        command("show", "t", "-o", "json"), env=environment(), capture_output=True, text=True
    )
    assert json.loads(listed.stdout)["parent"] == "r"


def test_run_within_a_run_has_it_as_parent(store: Store) -> None:
    """The nearest one."""
    inner = [*command("run", "--id", "i", "--"), *python("from jobctl import track\n"
             "with track(id='t'): pass")]  # fmt: skip
    assert run(*inner).returncode == 0
    assert (store.get("i").parent, store.get("t").parent) == ("r", "i")


@pytest.mark.parametrize("change", ["JOBCTL_DIR", "JOBCTL_JOB", "JOBCTL_ATTEMPT"])
def test_other_store_job_or_attempt_is_no_parent(store: Store, tmp_path: Path, change: str) -> None:
    """A process that belongs to something else tracks a job without a parent."""
    value = {"JOBCTL_DIR": str(tmp_path / "other"), "JOBCTL_JOB": "x", "JOBCTL_ATTEMPT": "7"}[
        change
    ]
    text = f"""
import os
os.environ[{change!r}] = {value!r}
from jobctl import track
with track(id="t"):
    pass
"""
    assert run(*python(text)).returncode == 0
    other = open_store(value) if change == "JOBCTL_DIR" else store
    assert other.get("t").parent is None
    if other is not store:
        other.close()


def test_process_that_is_left_behind_belongs_to_no_later_attempt(store: Store) -> None:
    """It tracks a job after its run has ended, and while the next attempt is at work."""
    late = """
import pathlib, time
from jobctl import track
while not pathlib.Path("go").exists():
    time.sleep(0.02)
with track(id="t"):
    pass
pathlib.Path("done").touch()
"""
    pathlib_wait = "import pathlib, time\nwhile not pathlib.Path('done').exists(): time.sleep(0.02)"
    Path("late.py").write_text(late)
    leave = (
        "import subprocess, sys\n"
        "subprocess.Popen([sys.executable, 'late.py'], stdin=-3, stdout=-3, stderr=-3,"
        " start_new_session=True)"
    )
    assert run(*python(leave)).returncode == 0
    Path("next.py").write_text(f"open('go', 'w').close()\n{pathlib_wait}")
    assert run(sys.executable, "next.py", options=("--again",)).returncode == 0
    assert store.get("r").retry_count == 1
    assert store.get("t").parent is None


def test_next_attempt_has_the_parent_of_its_own(store: Store) -> None:
    """Tracked anew elsewhere, the job is no child any more."""
    text = "from jobctl import track\nwith track(id='t', again=True): pass"
    assert run(*python(text)).returncode == 0
    assert store.get("t").parent == "r"
    subprocess.run(python(text), env=environment(), check=True)
    assert (store.get("t").retry_count, store.get("t").parent) == (1, None)


INTO = """
import sys
from jobctl import track
with track("etl", into_run=True) as job:
    {work}
"""


def timeline(job: Job) -> list[str]:
    return [entry.stage for entry in job.timeline()]


@pytest.mark.parametrize(
    ("work", "code", "stages", "error", "result"),
    [
        ("job.stage('a'); job.stage('b'); job.result([1])", 0, ["a", "b", "completed"], None, [1]),
        ("job.stage('a'); job.complete(result=2); sys.exit(3)", 3, ["a", "failed"],
         "Exit code 3", 2),
        ("job.stage('completed'); sys.exit(3)", 3, ["failed"], "Exit code 3", None),
        ("job.fail('no disk')", 0, ["failed"], "no disk", None),
        ("raise ValueError('bad')", 1, ["failed"], "Exit code 1: ValueError: bad", None),
        ("job.progress(1, 2, 'half'); sys.exit(4)", 4, ["failed"], "Exit code 4", None),
    ],
)  # fmt: skip
def test_into_run_reports_into_the_runs_job(
    store: Store, work: str, code: int, stages: list[str], error: str | None, result: Any
) -> None:
    """How it ends is for the exit status, unless it said fail."""
    ran = run(*python(INTO.format(work=work)))
    assert ran.returncode == code
    assert store.ids() == ["r"]
    job = store.get("r")
    assert timeline(job)[2:] == stages
    assert (job.error, job.result) == (error, result)
    assert "jobctl:" not in ran.stderr


def test_into_run_elsewhere_is_a_job_of_its_own(store: Store) -> None:
    """Without ``run``, and after it."""
    text = INTO.format(work="job.stage('a')")
    subprocess.run(python(text), env=environment(), check=True)
    [id] = store.ids()
    assert (timeline(store.get(id)), store.get(id).type) == (["pending", "a", "completed"], "etl")


def test_several_blocks_report_into_one_run(store: Store) -> None:
    """One after the other, and the decorator."""
    text = """
from jobctl import track
for stage in "ab":
    with track(into_run=True) as job:
        job.stage(stage)
@track(into_run=True)
def work():
    return 1
work()
"""
    ran = run(*python(text))
    assert (ran.returncode, ran.stderr) == (0, "")
    assert timeline(store.get("r")) == ["pending", "run", "a", "b", "completed"]
