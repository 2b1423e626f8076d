"""A job file that we may not read: said to be that, and not to be damaged."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from jobctl._trust import Accounts
from jobctl.core.transitions import create
from jobctl.stores import open_store
from tests.cli.conftest import Run

SAID = "cannot be read: permission denied; it belongs to "


@pytest.fixture(params=["no change log", "change log"])
def directory(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Two jobs, one in a file that another user keeps from us."""
    directory = tmp_path / "jobs"
    store = open_store(directory, create=True)
    for id in ("a", "b"):
        store.create(create("etl", id=id, now="2026-01-02T03:04:05.678Z"))
    store.close()
    if request.param == "no change log":
        for path in (directory / ".jobctl").iterdir():
            if path.is_file():
                path.unlink()
    opened = os.open

    def refuse(path: Any, *args: Any, **more: Any) -> int:
        if path == "b.json":
            raise PermissionError(errno.EACCES, "Permission denied")
        return opened(path, *args, **more)

    monkeypatch.setattr(os, "open", refuse)
    return directory


@pytest.mark.parametrize(
    "command", [("show",), ("complete",), ("progress",), ("rm",), ("wait", "--timeout", "5")]
)
def test_it_says_whose_it_is_and_gives_no_advice_to_remove_it(
    run: Run, directory: Path, command: tuple[str, ...]
) -> None:
    """By name, at once, in one line."""
    args = ("1/2",) if command[0] == "progress" else ()
    result = run(command[0], "b", *args, *command[1:], "--dir", str(directory))
    assert (result.code, result.err.count("\n")) == (5, 1)
    assert SAID + Accounts().user(os.getuid()) in result.err
    assert "damaged" not in result.err
    assert (directory / "b.json").exists()


@pytest.mark.parametrize("form", ["name", "table"])
def test_it_is_listed_with_the_reason(run: Run, directory: Path, form: str) -> None:
    """Beside the others."""
    result = run("ls", "-v", "-o", form, "--dir", str(directory))
    assert f"b.json: {SAID}" in result.err
    assert "a" in result.out


def test_doctor_says_it_too(run: Run, directory: Path) -> None:
    """It advised to remove the file."""
    result = run("doctor", "--dir", str(directory))
    assert SAID in " ".join(result.out.split())
    assert "rm --damaged" not in result.out
