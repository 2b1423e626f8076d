"""``jobctl ack``: somebody has taken note of a failed or lost job."""

from __future__ import annotations

import getpass
import json
from pathlib import Path

import pytest

from jobctl import api
from jobctl.stores import open_store
from tests.cli.conftest import DERIVED, Run

ME = getpass.getuser()


@pytest.fixture
def failed(run: Run, jobs_dir: Path) -> Path:
    """A failed job ``a``, with a key that nobody here knows, and a pending job ``b``."""
    run("create", "etl", "--id", "a")
    run("create", "etl", "--id", "b")
    run("fail", "a", "disk full")
    path = jobs_dir / "a.json"
    path.write_text(path.read_text().replace('"etl",', '"etl",\n  "theirs": 1.50e+02,'))
    return jobs_dir


def test_ack_makes_a_revision_and_keeps_foreign_keys(run: Run, failed: Path) -> None:
    """Each time, with the bytes that the file has for them."""
    before = json.loads(run("ls", "-o", "json").out)["cursor"]
    assert run("ack", "a", "disk\nreplaced") == (0, "", "")
    text = (failed / "a.json").read_text()
    assert '"theirs": 1.50e+02' in text
    said = json.loads(text)["acknowledged"]
    assert (said["by"], said["note"], said["attempt"]) == (ME, "disk replaced", 0)
    changed = json.loads(run("ls", "-o", "json", "--cursor", before).out)["jobs"]
    assert [job["id"] for job in changed] == ["a"]
    assert json.loads(run("ack", "a", "-o", "json").out)["acknowledged"]["note"] == "disk replaced"
    assert run("ack", "a", "later").code == 0
    assert json.loads(run("show", "a", "-o", "json").out)["acknowledged"]["note"] == "later"


def test_every_reader_shows_it(run: Run, failed: Path) -> None:
    """``show`` in full, ``ls`` by a word, JSON as it is in the file; ``derived`` as before."""
    run("ack", "a", "disk replaced")
    shown = run("show", "a").out.splitlines()
    assert any(line.startswith(f"acknowledged    by {ME}, ") for line in shown)
    assert "note            disk replaced" in shown
    rows = {line.split()[0]: line for line in run("ls").out.splitlines()}
    assert rows["a"].endswith("ack: disk full")
    assert "ack" not in rows["b"]
    job = json.loads(run("show", "a", "-o", "json").out)
    assert set(job["derived"]) == DERIVED
    run("ack", "a", "--undo")
    assert "ack" not in run("show", "a").out + run("ls").out


def test_retry_forgets_it(run: Run, failed: Path) -> None:
    """It belongs to the attempt."""
    run("ack", "a")
    assert run("retry", "a").code == 0
    run("fail", "a", "again")
    assert "acknowledged" not in json.loads((failed / "a.json").read_text())


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["b"], 1, "job b is 'pending': cannot acknowledge; only failed and lost jobs can be"),
        (["nobody"], 4, "nobody"),
        ([], 2, "Missing argument 'ID'"),
        (["a", "b"], 2, "'b' is a job's id, not a note; give one ID; for all: "),
        (["a", "b", "a"], 2, "unexpected extra argument"),
        (["a", "why", "--undo"], 2, "--undo takes no NOTE"),
    ],
)
def test_refusals_say_why(run: Run, failed: Path, args: list[str], code: int, says: str) -> None:
    """In one line, and change nothing."""
    before = (failed / "a.json").read_bytes()
    ran = run("ack", *args)
    assert (ran.code, ran.out, ran.err.count("\n")) == (code, "", 1)
    assert says in ran.err
    assert (failed / "a.json").read_bytes() == before


def test_completed_job_is_refused(run: Run, jobs_dir: Path) -> None:
    """There is nothing to acknowledge."""
    run("create", "etl", "--id", "a")
    run("complete", "a")
    ran = run("ack", "a")
    assert ran.code == 1
    assert "job a is 'completed': cannot acknowledge" in ran.err


def test_call_of_the_same_name(run: Run, failed: Path) -> None:
    """As each command has one."""
    store = open_store(str(failed))
    assert api.ack(store, "a", "x" * 600).acknowledgement is not None
    note = api.show(store, "a").acknowledged["note"]
    assert len(note) == 500
    assert api.ack(store, "a", undo=True).acknowledged is None
    store.close()
