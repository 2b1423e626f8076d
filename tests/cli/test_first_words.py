"""What people type first: names of other tools, options before the command, a forgotten id."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from jobctl.cli.commands import COMMANDS, OTHER_NAMES, command_first
from tests.cli.conftest import Run, command, environment


@pytest.mark.parametrize("name", sorted(OTHER_NAMES))
def test_name_of_another_tool_names_ours(run: Run, name: str) -> None:
    """In one line, with a command that exists."""
    assert name not in COMMANDS
    ran = run(name, "x")
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert f"there is no command '{name}'; 'jobctl " in ran.err
    said = OTHER_NAMES[name].split("'jobctl ")[1:]
    assert all(text.split()[0].rstrip("'") in {*COMMANDS, "--version"} for text in said)


@pytest.mark.parametrize(
    ("args", "wanted"),
    [
        ("--dir X ls -q", "ls --dir X -q"),
        ("--dir=X ls", "ls --dir=X"),
        ("-o json --dir ls show a", "show -o json --dir ls a"),
        ("--dir X run -- ls --dir Y", "run --dir X -- ls --dir Y"),
        ("-q ls", "ls -q"),
        ("ls --dir X", "ls --dir X"),
        ("--help ls", "--help ls"),
        ("--version", "--version"),
        ("--dir X", "--dir X"),
        ("--dir X nothing", "--dir X nothing"),
        ("", ""),
    ],
)
def test_options_may_stand_before_the_command(args: str, wanted: str) -> None:
    """As those of git and kubectl do."""
    assert command_first(args.split()) == wanted.split()


def test_directory_before_the_command(run: Run, tmp_path: Path) -> None:
    """It counts as after it."""
    assert run("--dir", str(tmp_path / "jobs"), "create", "etl", "--id", "a").code == 0
    ran = run("--dir", str(tmp_path / "jobs"), "-o", "name", "ls")
    assert (ran.code, ran.out) == (0, "a\n")


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("progress", "5"), "Missing argument 'ID'; write 'jobctl progress ID 5'"),
        (("progress", "3/8"), "Missing argument 'ID'; write 'jobctl progress ID 3/8'"),
        (("progress", "job"), "Missing argument 'DONE[/TOTAL]'"),
        (("fail", "it broke"), "Missing argument 'ID'; write 'jobctl fail ID MESSAGE'"),
        (("fail", "job"), "Missing argument 'MESSAGE'"),
    ],
)
def test_forgotten_id_is_said(run: Run, args: tuple[str, ...], says: str) -> None:
    """And not that something else is missing."""
    ran = run(*args)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert says in ran.err


@pytest.fixture
def staged(run: Run, jobs_dir: Path) -> None:
    """A job with declared stages, one that may enter any stage, and one of a built-in type."""
    run("create", "etl", "--id", "closed", "--stages", "fetch,load")
    run("create", "etl", "--id", "open")
    run("advance", "open", "load")
    run("create", "create_session", "--id", "known")


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["closed", "--for", "stage=lod"], "job closed has no stage 'lod'; did you mean 'load'?"),
        (["closed", "--for", "stage=x"], "its stages are pending, fetch, load, completed"),
        (["known", "--for", "stage=analyse"], "did you mean 'analyze'?"),
        (["open", "closed", "--for", "stage=lod", "--timeout", "0"], "job closed has no stage"),
        (["--active", "--for", "stage=lod"], "has no stage 'lod'"),
        (["closed", "known", "--any", "--for", "stage=lod"], "job closed has no stage 'lod'"),
    ],
)
def test_wait_for_an_unknown_stage_is_refused_at_once(
    run: Run, staged: None, args: list[str], says: str
) -> None:
    """Where the declared stages do not have it, it would wait for ever."""
    ran = run("wait", *args)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert says in ran.err


def test_wait_for_a_stage_that_may_still_come_says_so(run: Run, staged: None) -> None:
    """A job without declared stages may enter any; a name that is seen already needs no note."""
    ran = run("wait", "open", "--for", "stage=lod", "--timeout", "0.3")
    assert ran.code == 124
    assert "job open declares no stages and has not been in 'lod': waiting for it" in ran.err
    assert "did you mean 'load'?" in ran.err
    any_of_them = run("wait", "open", "closed", "--any", "--for", "stage=x", "--timeout", "0.3")
    assert any_of_them.code == 124
    assert run("wait", "open", "--for", "stage=load").code == 0
    for stage in ("failed", "cancelled"):
        ran = run("wait", "closed", "--for", f"stage={stage}", "--timeout", "0.3")
        assert (ran.code, ran.err.count("\n")) == (124, 1)
    assert "declares" not in run("wait", "open", "--for", "stage=x", "--timeout", "0").err


def test_filter_on_an_unknown_stage_says_so(run: Run, staged: None) -> None:
    """And lists nothing; a stage that a job had once, or that a type has, is known."""
    assert "did you mean 'load'?" in run("ls", "--stage", "lod").err
    assert "no type and no job has a stage 'zzz'" in run("ls", "--stage", "zzz").err
    assert "no type and no job" not in run("ls", "--stage", "finalize").err
    run("complete", "open")
    assert "no type and no job" not in run("ls", "--stage", "load").err


def test_watch_of_an_unknown_stage_says_so(jobs_dir: Path, run: Run, staged: None) -> None:
    """And goes on, since a job may still enter it."""
    watching = subprocess.Popen(
        command("watch", "--stage", "lod", "--dir", str(jobs_dir)),
        env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert watching.stderr is not None
    try:
        assert watching.stderr.readline() == (
            "jobctl: no type and no job has a stage 'lod'; did you mean 'load'?\n"
        )
    finally:
        watching.terminate()
        watching.communicate()
