"""What people type first: names of other tools, options before the command, a forgotten id."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobctl.cli.commands import COMMANDS, OTHER_NAMES, command_first
from tests.cli.conftest import Run


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
