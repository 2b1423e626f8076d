"""A user without a home directory, as in a container with a number as its user."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import NoReturn

import pytest

from jobctl.cli.commands import COMMANDS
from tests.cli.conftest import Run

WITHOUT_DIRECTORY = {"completion", "demo", "help"}
ARGUMENTS = {
    "ack": ["x"], "advance": ["x"], "cancel": ["x"], "complete": ["x"], "fail": ["x", "y"],
    "progress": ["x", "1"], "logs": ["x"], "retry": ["x"], "rm": ["x"],
    "run": ["true"], "show": ["x"],
    "wait": ["x"], "completion": ["bash"], "help": [], "serve": ["--port", "0"],
    "run-dummy": ["--count", "1"],
}  # fmt: skip


@pytest.fixture(autouse=True)
def no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the environment nor the user database has one."""

    def unknown(uid: int) -> NoReturn:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "JOBCTL_DIR", "JOBCTL_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", sorted({*COMMANDS} - {"doctor", "js", "token"}))
def test_every_command_says_so_in_one_line(run: Run, name: str, tmp_path: Path) -> None:
    """And makes no directory that is named ~."""
    ran = run(name, *ARGUMENTS.get(name, []))
    assert os.listdir(tmp_path) == []
    if name in WITHOUT_DIRECTORY:
        assert ran.code == 0
        return
    assert (ran.code, ran.out, ran.err.count("\n")) == (125 if name == "run" else 2, "", 1)
    assert "has no home directory; name one by --dir or $JOBCTL_DIR" in ran.err


def test_named_directory_is_enough(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then no home is needed, and no settings are read from a directory that is named ~."""
    settings = tmp_path / "~" / ".config" / "jobctl"
    settings.mkdir(parents=True)
    (settings / "jobctl.toml").write_text("no-such-setting = 1\n")
    assert run("create", "--id", "a", "--dir", "jobs").code == 0
    assert run("ls", "-q", "--dir", "jobs").out == "a\n"
    assert run("ls", "--dir", "jobs").err == ""
    monkeypatch.setenv("JOBCTL_DIR", "jobs")
    assert run("show", "a").code == 0


def test_doctor_says_so(run: Run, tmp_path: Path) -> None:
    """As one of its lines, or as its error."""
    ran = run("doctor")
    assert os.listdir(tmp_path) == []
    assert "has no home directory" in ran.out + ran.err
    assert ran.code != 0
