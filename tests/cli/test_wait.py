"""``jobctl wait``."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jobctl._clock import now
from jobctl.core.transitions import advance, complete, create, fail
from jobctl.stores import Store, open_store
from tests.cli.conftest import Run, command, environment, hub_on


def waiting(*args: str) -> subprocess.Popen[str]:
    """The command in a process of its own."""
    return subprocess.Popen(
        command("wait", *args),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two jobs that run, and one that has completed."""
    store = open_store(tmp_path / "jobs", create=True)
    for id in ("a1", "a2", "done"):
        store.create(create("etl", now=now(), id=id, stages=["fetch", "load"]))
    store.update("done", lambda job: complete(job, now=now()))
    return store


@pytest.mark.parametrize(
    ("args", "code", "out", "err"),
    [
        (["done"], 0, "done  completed\n", ""),
        (["done", "-o", "name"], 0, "done\n", ""),
        (["bad", "done", "-o", "name"], 3, "done\n", "job bad failed: boom; see 'jobctl show bad'"),
        (["bad"], 3, "bad  failed: boom\n", "job bad failed: boom"),
        (["--stage", "completed", "--stage", "failed"], 3, "done  completed\nbad  f", "job bad"),
        (["done", "run", "--any"], 0, "done  completed\n", ""),
        (["run", "--timeout", "0"], 124, "", "1 of 1 job not ended after 0 s: run (fetch)"),
        (["run", "--timeout", "0.1s", "--for", "gone"], 124, "", "still there after 0.1 s"),
        (["run", "--for", "stage=fetch"], 0, "run  reached fetch\n", ""),
        (["done", "--for", "stage=x"], 1, "done  completed without", "completed without stage 'x'"),
        (["none", "--for", "gone"], 0, "none  gone\n", ""),
        (["none"], 4, "", "no job none in "),
        (["none", "done", "--any"], 4, "", "no job none in "),
        (["--type", "none"], 0, "", "no such jobs in "),
        (["--type", "none", "--any"], 4, "", "no such jobs in "),
        ([], 2, "", "no jobs to wait for are named"),
        (["done", "--active"], 2, "", "two choices"),
        (["done", "--for", "tea"], 2, "", "wait for terminal, completed, gone or stage=NAME"),
        (["done", "--timeout", "soon"], 2, "", "--timeout: 'soon' is no duration"),
        (["../x"], 2, "", "not a job id"),
    ],
)
def test_how_it_ends(
    run: Run, jobs_dir: Path, args: list[str], code: int, out: str, err: str
) -> None:
    """What is decided on standard output, why it went wrong in one line beside it."""
    store = open_store(jobs_dir, create=True)
    for id in ("done", "bad", "run"):
        store.create(create("etl", now=now(), id=id, stages=["fetch", "load"]))
    store.update("done", lambda job: complete(job, now=now()))
    store.update("bad", lambda job: fail(job, "boom", now=now()))
    store.update("run", lambda job: advance(job, now=now()))
    store.close()
    result = run("wait", *args)
    assert (result.code, result.err.count("\n")) == (code, 1 if err else 0)
    assert result.out.startswith(out)
    assert bool(result.out) == bool(out)
    assert err in result.err


def test_a_directory_that_does_not_exist_yet_is_an_empty_one(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And stays unmade."""
    monkeypatch.delenv("JOBCTL_DIR", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    assert run("wait", "x", "--for", "gone").code == 0
    assert run("wait", "x").code == 4
    assert list(tmp_path.iterdir()) == []


def test_foreign_text_is_made_visible(run: Run, jobs_dir: Path) -> None:
    """FAULTS row 53: an error may hold anything."""
    store = open_store(jobs_dir, create=True)
    store.create(create("etl", now=now(), id="j"))
    store.update("j", lambda job: fail(job, "\x1b[2J\x9b\n", now=now()))
    store.close()
    result = run("wait", "j")
    assert result.out == "j  failed: \\e[2J\\x9b\\n\n"
    assert "failed: \\e[2J\\x9b\\n;" in result.err
    line = json.loads(run("wait", "j", "-o", "jsonl").out)
    assert (line["id"], line["verdict"], line["job"]["error"]) == ("j", "failed", "\x1b[2J\x9b\n")


@pytest.mark.slow
@pytest.mark.parametrize("source", ["directory", "hub", "url"])
def test_it_waits_for_jobs_that_run(store: Store, tmp_path: Path, source: str) -> None:
    """A line for each job when it ends; the code says how."""
    directory = str(tmp_path / "jobs")

    def check(*where: str) -> None:
        wait = waiting("--type", "etl", *where)
        assert wait.stdout is not None
        assert wait.stdout.readline() == "done  completed\n"  # it has chosen its jobs
        named = waiting("done", "a1", "--for", "stage=load", *where)
        assert named.stdout is not None
        assert named.stdout.readline() == "done  reached load\n"  # it waits for the other one now
        store.update("a1", lambda job: advance(job, "load", now=now()))
        assert (named.communicate(timeout=20), named.returncode) == (
            ("a1  reached load\n", ""),
            0,
        )
        store.update("a1", lambda job: complete(job, now=now()))
        assert wait.stdout.readline() == "a1  completed\n"
        store.update("a2", lambda job: fail(job, "boom", now=now()))
        out, err = wait.communicate(timeout=20)
        assert (out, wait.returncode) == ("a2  failed: boom\n", 3)
        assert err == "jobctl: job a2 failed: boom; see 'jobctl show a2'\n"

    if source == "directory":
        check("--dir", directory)
    else:
        with hub_on(tmp_path / "jobs") as url:
            check(*(("--url", url) if source == "url" else ("--dir", directory)))
    store.close()


@pytest.mark.slow
def test_a_job_that_is_removed_ends_it(store: Store, tmp_path: Path) -> None:
    """Exit code 4 at once, with one line; the others are waited for no longer."""
    wait = waiting("done", "a1", "a2", "--dir", str(tmp_path / "jobs"))
    assert wait.stdout is not None
    assert wait.stdout.readline() == "done  completed\n"
    store.remove("a1")
    out, err = wait.communicate(timeout=20)
    assert (out, wait.returncode) == ("a1  was removed while it was waited for\n", 4)
    assert err == "jobctl: job a1 was removed while it was waited for\n"
    store.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_ends_it_quietly(
    store: Store, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    """FAULTS row 37: 128 + the signal, no litter, no traceback."""
    wait = waiting("done", "a1", "--dir", str(tmp_path / "jobs"))
    assert wait.stdout is not None
    assert wait.stdout.readline() == "done  completed\n"
    wait.send_signal(number)
    assert (wait.communicate(timeout=20), wait.returncode) == (("", ""), code)
    assert list((tmp_path / "jobs" / ".jobctl" / "bell").iterdir()) == []
    store.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "code", "err"),
    [
        ("| head -1 >/dev/null", 141, ""),
        (">/dev/full", 1, "jobctl: No space left on device\n"),
        (">&-", 3, "jobctl: job bad failed: boom; see 'jobctl show bad'\n"),
    ],
)
def test_output_that_goes_nowhere(tmp_path: Path, target: str, code: int, err: str) -> None:
    """FAULTS row 36: quiet, or one line, and at the first job that cannot be told."""
    store = open_store(tmp_path, create=True)
    for number in range(4000 if "head" in target else 1):  # more than a pipe holds
        store.create(fail(create("etl", now=now(), id=f"j{number}"), "x" * 40, now=now()))
    store.create(fail(create("etl", now=now(), id="bad"), "boom", now=now()))
    store.close()
    which = "bad" if target == ">&-" else "--stage failed"
    line = f'{sys.executable} -m jobctl wait {which} --dir "{tmp_path}" {target}'
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line], env=environment(), capture_output=True, check=False
    )
    assert (done.returncode, done.stderr.decode()) == (code, err)
