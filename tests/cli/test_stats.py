"""``jobctl stats``."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from jobctl._clock import now_ms
from jobctl.core import transitions as jobs
from jobctl.core.times import to_text
from jobctl.stores import open_store
from tests.cli.conftest import Run, hub_on
from tests.stores.support import plant_owner


@pytest.fixture
def world(jobs_dir: Path) -> Path:
    """Two teams' jobs: of three ended backups one failed; one etl job completed long ago."""
    store = open_store(jobs_dir, create=True)
    at_ms = now_ms() - 3_600_000

    def add(id: str, type: str, team: str, *, fails: bool = False, days: int = 0) -> None:
        start_ms = at_ms - days * 86_400_000
        job = jobs.create(type, now=to_text(start_ms), id=id, labels={"team": team})
        end = to_text(start_ms + 90_000)
        store.create(jobs.fail(job, "no", now=end) if fails else jobs.complete(job, now=end))

    add("b1", "backup", "data")
    add("b2", "backup", "data")
    add("b3", "backup", "web", fails=True)
    add("e1", "etl", "web", days=9)
    store.create(jobs.create("etl", now=to_text(at_ms), id="e2"))
    store.close()
    return jobs_dir


def test_table_has_a_line_for_each_type(run: Run, world: Path) -> None:
    """With its count, failure rate, durations, and last success."""
    result = run("stats")
    assert (result.code, result.err) == (0, "")
    head, *rows = [line.split() for line in result.out.splitlines()]
    assert head == ["TYPE", "JOBS", "ACTIVE", "LOST", "FAILED", "RATE", "MEDIAN", "P95", "LAST",
                    "SUCCESS"]  # fmt: skip
    assert rows == [
        ["backup", "3", "0", "0", "1", "33.3%", "1m30s", "1m30s", "58m", "ago"],
        ["etl", "2", "1", "0", "0", "0%", "1m30s", "1m30s", "9d", "ago"],
    ]


def test_period_leaves_out_what_ended_before(run: Run, world: Path) -> None:
    """The active job stays, without durations."""
    rows = [line.split() for line in run("stats", "--since", "7d", "--no-headers").out.splitlines()]
    assert rows[1] == ["etl", "1", "1", "0", "0", "-", "-", "-", "9d", "ago"]
    rows = [line.split() for line in run("stats", "--until", "7d", "--no-headers").out.splitlines()]
    assert [row[:3] for row in rows] == [["etl", "1", "0"]]


def test_json_has_milliseconds_and_iso_times(run: Run, world: Path) -> None:
    """The shape that programs rely on."""
    value = json.loads(run("stats", "-o", "json").out)
    assert (value["by"], value["since"], value["until"]) == ("type", None, None)
    backup, etl = value["groups"]
    assert backup["group"] == "backup"
    assert {key: backup[key] for key in ("jobs", "completed", "failed", "medianMs", "p95Ms")} == {
        "jobs": 3, "completed": 2, "failed": 1, "medianMs": 90_000, "p95Ms": 90_000,
    }  # fmt: skip
    assert backup["failureRate"] == pytest.approx(1 / 3, abs=1e-6)
    assert backup["lastSuccess"].endswith("Z")
    assert (etl["failureRate"], etl["lastFailure"], etl["active"]) == (0, None, 1)
    lines = run("stats", "--by", "label=team", "-o", "jsonl").out.splitlines()
    groups = [json.loads(line) for line in lines]
    assert [(each["by"], each["group"], each["jobs"]) for each in groups] == [
        ("label=team", "web", 2), ("label=team", "data", 2), ("label=team", None, 1),
    ]  # fmt: skip


def test_names_filters_and_wide(run: Run, world: Path) -> None:
    """As the other readers have them."""
    assert run("stats", "-q").out.split() == ["backup", "etl"]
    assert run("stats", "--by", "label=team", "-o", "name").out.split() == ["web", "data", "-"]
    assert run("stats", "-q", "-l", "team=data").out.split() == ["backup"]
    assert run("stats", "-q", "--stage", "failed").out.split() == ["backup"]
    assert "RETRIES" in run("stats", "-o", "wide").out


def test_label_without_a_key_says_what_to_write(run: Run, world: Path) -> None:
    """One line, exit code 2."""
    result = run("stats", "--by", "label")
    assert (result.code, result.out, result.err.count("\n")) == (2, "", 1)
    assert "--by label=KEY" in result.err


def test_nothing_to_count_is_said(run: Run, world: Path) -> None:
    """On standard error, and JSON stays JSON."""
    result = run("stats", "--type", "unknown")
    assert (result.code, result.out) == (0, "")
    assert "no such jobs in" in result.err
    assert json.loads(run("stats", "--type", "unknown", "-o", "json").out)["groups"] == []


def test_damaged_files_are_mentioned(run: Run, world: Path) -> None:
    """They are not counted."""
    (world / "odd.json").write_text("[]")
    result = run("stats", "-q")
    assert result.out.split() == ["backup", "etl"]
    assert "1 file is no job, and not counted" in result.err


def test_lost_job_is_a_failure(run: Run, world: Path) -> None:
    """Its owner is dead, as `ls` says too."""
    name = "1-0123456789ab"
    plant_owner(world, name)
    text = json.loads((world / "e2.json").read_text())
    (world / "e2.json").write_text(json.dumps({**text, "stage": "load", "owner": name}))
    listed = json.loads(run("ls", "e2", "-o", "json").out)["jobs"][0]["derived"]["lost"]
    etl = json.loads(run("stats", "--type", "etl", "-o", "json").out)["groups"][0]
    assert listed is True
    assert (etl["lost"], etl["failureRate"]) == (1, 0.5)


@pytest.mark.slow
def test_hub_gives_the_same_as_the_directory(run: Run, world: Path) -> None:
    """Line for line."""
    here = run("stats", "-o", "json").out
    with hub_on(world) as url:
        assert run("stats", "--url", url, "-o", "json").out == here
        filtered = run("stats", "--url", url, "--type", "etl", "-q")
    assert (filtered.code, filtered.out) == (0, "etl\n")


def test_reading_makes_nothing(run: Run, world: Path, tmp_path: Path) -> None:
    """A directory that is only read stays as it is."""
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in world.glob("*.json"):
        shutil.copy(file, copy)
    before = sorted(path.name for path in copy.iterdir())
    assert run("stats", "--dir", str(copy), "-q").out.split() == ["backup", "etl"]
    assert sorted(path.name for path in copy.iterdir()) == before


def test_key_of_a_label_is_shown_without_control_characters(run: Run, world: Path) -> None:
    """It is the name of a column."""
    assert run("stats", "--by", "label=a\x1b[2J\u202e").out.split()[0] == "A\\e[2J\\u202e"
