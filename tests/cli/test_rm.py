"""``jobctl rm``."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.cli.conftest import Run

PACKAGE = '{"name": "app", "version": "1.0.0"}\n'


def put(path: Path, text: str = PACKAGE) -> Path:
    """A file that nobody is writing to any more."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    os.utime(path, (0, 0))
    return path


def test_a_file_that_is_no_job_stays(run: Run, jobs_dir: Path) -> None:
    """FAULTS row 11: `rm` removed somebody's package.json."""
    package = put(jobs_dir / "package.json")
    result = run("rm", "package")
    assert (result.code, result.out, result.err.count("\n")) == (5, "", 1)
    assert f"{package} is not a job, and was not removed: " in result.err
    assert 'no "stage": add one' in result.err
    assert result.err.endswith("; 'jobctl rm --damaged package' removes it\n")
    assert package.read_text() == PACKAGE
    assert run("rm", "--damaged", "package", "-o", "json").out == '{"removed":["package"]}\n'
    assert not package.exists()


@pytest.mark.parametrize("args", [["rm", "pack"], ["rm", "package", "-o", "json"]], ids=" ".join)
def test_a_short_id_and_json_are_no_way_round(run: Run, jobs_dir: Path, args: list[str]) -> None:
    """FAULTS row 11: the same refusal, as a line or as an object."""
    package = put(jobs_dir / "package.json")
    result = run(*args)
    assert result.code == 5
    assert package.exists()
    if "json" in args:
        error = json.loads(result.err)["error"]
        assert (error["kind"], error["exitCode"]) == ("DamagedFile", 5)
        assert error["hint"] == "'jobctl rm --damaged package' removes it"


def test_of_several_the_jobs_are_removed(run: Run, jobs_dir: Path) -> None:
    """As with an id that is unknown: each is tried, and the first failure is the exit code."""
    one, two = run("create").out.strip(), run("create").out.strip()
    package = put(jobs_dir / "package.json")
    result = run("rm", one, "package", "missing", two)
    assert (result.code, result.err.count("\n")) == (5, 2)
    assert run("ls", "-q").out == ""
    assert package.exists()


def test_damaged_removes_jobs_as_well(run: Run, jobs_dir: Path) -> None:
    """It takes a job for what it is; an id that nothing has is not found."""
    job = run("create").out.strip()
    put(jobs_dir / "torn.json", '{"id": "torn", "sta')
    result = run("rm", "--damaged", job, "torn", "missing")
    assert (result.code, result.err.count("\n")) == (4, 1)
    assert list(jobs_dir.glob("*.json")) == []


def test_a_directory_is_for_other_hands(run: Run, jobs_dir: Path) -> None:
    """FAULTS row 11: no flag removes it, and none is named."""
    run("create")
    (jobs_dir / "d.json").mkdir()
    for args in (["rm", "d"], ["rm", "--damaged", "d"]):
        result = run(*args)
        assert (result.code, result.err.count("\n")) == (5, 1)
        assert "is a directory, and no job; remove it by hand" in result.err
    assert (jobs_dir / "d.json").is_dir()


@pytest.mark.parametrize(
    "args",
    [["show"], ["advance"], ["complete"], ["retry"], ["retry", "--rerun"], ["cancel"], ["wait"]],
    ids=" ".join,
)
def test_whoever_meets_such_a_file_says_how_to_remove_it(
    run: Run, jobs_dir: Path, args: list[str]
) -> None:
    """FAULTS row 11: by a line that does it; and nothing happened to the file."""
    package = put(jobs_dir / "package.json")
    result = run(*args, "package")
    assert (result.code, result.err.count("\n")) == (5, 1)
    assert "or remove it with 'jobctl rm --damaged package'" in result.err
    assert package.read_text() == PACKAGE


def test_nothing_else_removes_it(run: Run, jobs_dir: Path) -> None:
    """FAULTS row 11: neither what ends jobs nor what removes old ones."""
    files = [put(jobs_dir / "package.json"), put(jobs_dir / "torn.json", '{"stage": "completed"')]
    link = jobs_dir / "link.json"
    link.symlink_to(files[0])
    assert run("prune", "--older-than", "0").code == 0
    assert run("prune", "--keep", "0").code == 0
    assert run("reap").code == 0
    assert all(path.exists() for path in (*files, link))
    hints = run("doctor").out
    for id in ("package", "torn", "link"):
        assert f"'jobctl rm --damaged {id}'" in hints
