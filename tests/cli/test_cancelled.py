"""Cancelled jobs on the command line, a kind of their own; and labels."""

from __future__ import annotations

import getpass
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import Run

ME = getpass.getuser()


@pytest.fixture
def three(run: Run, jobs_dir: Path) -> Path:
    """A cancelled job, one that was cancelled before there was a key for it, and a failed one."""
    for id in ("stopped", "old", "broken"):
        run("create", "etl", "--id", id, "--title", "Nightly")
    assert run("cancel", "stopped", "--reason", "no longer needed").code == 0
    run("fail", "old", "Cancelled by user")
    run("fail", "broken", "disk full")
    return jobs_dir


def test_cancel_writes_who_and_why(run: Run, three: Path) -> None:
    """Beside the stage of the original program."""
    value = json.loads((three / "stopped.json").read_text())
    assert (value["stage"], value["error"]) == ("failed", "Cancelled by user")
    said = value["cancelled"]
    assert (said["by"], said["reason"]) == (ME, "no longer needed")
    assert said["at"] == value["updatedAt"]


def test_filters_tell_cancelled_from_failed(run: Run, three: Path) -> None:
    """Both together are what ``failed`` was."""
    for stages, ids in (
        (["failed"], {"broken"}),
        (["cancelled"], {"old", "stopped"}),
        (["failed", "cancelled"], {"broken", "old", "stopped"}),
    ):
        options = [word for stage in stages for word in ("--stage", stage)]
        assert set(run("ls", *options, "-q").out.split()) == ids
    assert run("ls", "--stage", "canceled").err.count("did you mean 'cancelled'?") == 1


def test_it_is_shown_as_cancelled_everywhere(run: Run, three: Path) -> None:
    """With who and why; in grey, where there are colours."""
    rows = {line.split()[0]: line for line in run("ls").out.splitlines()}
    assert rows["stopped"].split()[2] == rows["old"].split()[2] == "cancelled"
    assert rows["broken"].split()[2] == "failed"
    assert f"Cancelled by {ME}: no longer needed" in rows["stopped"]
    assert "Cancelled by user" in rows["old"]
    shown = run("show", "stopped").out
    assert "stage           cancelled  " in shown
    assert f"cancelled       by {ME}, " in shown
    assert "reason          no longer needed" in shown
    assert shown.rstrip().splitlines()[-1].split()[-1] == "cancelled"  # of the timeline
    assert "error" not in shown
    derived = json.loads(run("show", "old", "-o", "json").out)
    assert (derived["stage"], derived["derived"]["cancelled"]) == ("failed", True)


def test_a_reason_cannot_reach_the_terminal(run: Run, jobs_dir: Path) -> None:
    """FAULTS row 53: who writes it is not who reads it."""
    run("create", "--id", "a")
    run("cancel", "a", "--reason", "x\x1b[2J\u202ey\nz")
    for words in (["ls"], ["show", "a"], ["wait", "a"]):
        ran = run(*words)
        assert "\x1b" not in ran.out + ran.err
        assert "\u202e" not in ran.out + ran.err


@pytest.mark.parametrize(
    ("ids", "code", "said"),
    [
        (["stopped"], 6, f"job stopped was cancelled by {ME}: no longer needed"),
        (["old"], 6, "job old was cancelled by user"),
        (["stopped", "old"], 6, "2 of 2 jobs were cancelled: stopped, old"),
        (["stopped", "broken"], 3, "job broken failed: disk full"),
        (["stopped", "broken", "none"], 4, "no job none"),
    ],
)
def test_wait_and_watch_exit_with_six(
    run: Run, three: Path, ids: list[str], code: int, said: str
) -> None:
    """Not found comes before failed, and failed before cancelled."""
    ran = run("wait", *ids)
    assert (ran.code, said in ran.err) == (code, True), ran.err
    watched = run("watch", *ids, "--exit-status")
    assert watched.code == code
    if code == 6 and "stopped" in ids:
        assert "  cancelled  " in watched.out
    for until in ("completed", "stage=load", "stage=failed"):
        assert run("wait", ids[0], "--for", until).code == 6
    assert run("wait", ids[0], "--for", "stage=cancelled").code == 0


def test_another_attempt_is_not_cancelled(run: Run, three: Path) -> None:
    """As the error, it is of the attempt before."""
    assert run("retry", "stopped", "old").code == 0
    assert "cancelled" not in json.loads((three / "stopped.json").read_text())
    assert run("ls", "--stage", "cancelled", "-q").out == ""


def test_prune_removes_them_as_a_kind_of_their_own(run: Run, three: Path) -> None:
    """Without ``--stage``, as all that have ended."""
    always = ("prune", "--older-than", "0s", "--dry-run")
    assert set(run(*always, "--stage", "cancelled").out.split()) == {"old", "stopped"}
    assert run(*always, "--stage", "failed").out.split() == ["broken"]
    assert len(run(*always).out.split()) == 3
    assert "only completed, failed and cancelled jobs" in run(*always, "--stage", "load").err


@pytest.mark.slow
def test_run_records_who_cancelled_it(run: Run, jobs_dir: Path) -> None:
    """The request carries it to the process that ends the command."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "jobctl",
            "run",
            "--id",
            "r",
            "--dir",
            str(jobs_dir),
            "--",
            "sleep",
            "60",
        ],
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 20
        while run("ls", "--active", "-q").out != "r\n":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert run("cancel", "r", "--reason", "wrong  input").code == 0
        assert process.wait(10) in (-signal.SIGTERM, 128 + signal.SIGTERM)
    finally:
        process.kill()
        process.wait()
    value = json.loads((jobs_dir / "r.json").read_text())
    assert value["error"] == "Cancelled by user"
    assert (value["cancelled"]["by"], value["cancelled"]["reason"]) == (ME, "wrong input")
    assert run("wait", "r").code == 6


# -- labels -------------------------------------------------------------------------------------


@pytest.fixture
def labelled(run: Run, jobs_dir: Path) -> Path:
    """Three jobs, of which two have labels."""
    run("create", "--id", "a", "--label", "team=data", "--label", "env=prod")
    run("create", "--id", "b", "--label", "team=web")
    run("create", "--id", "c")
    return jobs_dir


@pytest.mark.parametrize(
    ("selectors", "ids"),
    [
        (["team=data"], "a"),
        (["team==data"], "a"),
        (["team"], "ab"),
        (["!team"], "c"),
        (["team!=data"], "bc"),
        (["team,team!=data"], "b"),
        (["team", "env=prod"], "a"),
        (["team=data", "team=web"], ""),
    ],
)
def test_labels_select_jobs(run: Run, labelled: Path, selectors: list[str], ids: str) -> None:
    """Wherever jobs are filtered."""
    options = [word for selector in selectors for word in ("-l", selector)]
    assert sorted(run("ls", "-q", *options).out.split()) == list(ids)
    for id in "abc":
        run("complete", id)
    pruned = run("prune", "--older-than", "0s", "--dry-run", *options).out.split()
    assert sorted(pruned) == list(ids)
    waited = run("wait", *options, "-o", "name")
    assert (waited.code, sorted(waited.out.split())) == (0, list(ids))


def test_labels_are_shown(run: Run, labelled: Path) -> None:
    """In ``show``, and in the wide table."""
    assert "labels          env=prod,team=data" in run("show", "a").out
    wide = {line.split()[0]: line for line in run("ls", "-o", "wide").out.splitlines()}
    assert "LABELS" in wide["ID"]
    assert "env=prod,team=data" in wide["a"]
    assert json.loads(run("show", "b", "-o", "json").out)["labels"] == {"team": "web"}


@pytest.mark.parametrize(("words", "code"), [(["create"], 2), (["run", "--", "true"], 125)])
def test_a_wrong_label_is_named_before_anything_runs(
    run: Run, jobs_dir: Path, words: list[str], code: int
) -> None:
    """In one line; 125 is for the errors of ``run`` itself."""
    ran = run(words[0], "--label", "team", *words[1:])
    assert (ran.code, ran.err) == (code, "jobctl: 'team' is no label; write KEY=VALUE\n")
    assert not list(jobs_dir.glob("*.json"))


@pytest.mark.parametrize("command", ["ls", "watch", "wait", "prune"])
def test_a_wrong_selector_is_named(run: Run, labelled: Path, command: str) -> None:
    """It would otherwise select everything."""
    ran = run(command, "-l", "=x", *(["--yes"] if command == "prune" else []))
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "'=x' selects no labels; write KEY=VALUE, KEY!=VALUE, KEY or !KEY" in ran.err


@pytest.mark.slow
def test_run_labels_its_job(run: Run, jobs_dir: Path) -> None:
    """And the next attempt keeps them."""
    words = [sys.executable, "-m", "jobctl", "run", "--dir", str(jobs_dir), "--id", "r"]
    env = {key: value for key, value in os.environ.items() if not key.startswith("JOBCTL")}
    subprocess.run([*words, "--label", "team=data", "--", "true"], check=True, env=env)
    assert run("ls", "-l", "team=data", "-q").out == "r\n"
    subprocess.run([*words, "--again", "--", "true"], check=True, env=env)
    assert run("ls", "-l", "team=data", "-q").out == "r\n"
