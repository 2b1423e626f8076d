"""Jobs whose files say odd times, in every command that tells when or how long."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from jobctl import api
from jobctl._clock import now_ms
from jobctl.cli.live_view import JobView
from jobctl.core.cursor import ZERO
from jobctl.core.times import to_text
from jobctl.stores import open_store
from tests.cli.conftest import Run
from tests.odd_times import GO_ZERO, cases, write

DAY_MS = 86_400_000
ABSURD = re.compile(r"\b\d{4,}d|0001|9999|1970")


@pytest.fixture
def odd(jobs_dir: Path) -> Path:
    """A directory of all of them."""
    write(jobs_dir, *(case.keys for case in cases(now_ms()).values()))
    return jobs_dir


def without_remarks(text: str) -> str:
    """What `show` prints about a job but its remarks, which quote the file."""
    return "\n".join(line for line in text.split("\n") if not line.startswith("remark "))


def left(directory: Path) -> set[str]:
    return {path.stem for path in directory.glob("*.json")}


def test_prune_leaves_what_has_just_ended(run: Run, odd: Path) -> None:
    """FAULTS rows 14 and 68: whichever of its times is the zero time of a language, or older than
    the job."""
    result = run("prune", "--older-than", "1h")
    assert (result.code, result.out) == (0, "")
    assert left(odd) == set(cases(now_ms()))
    everything = run("prune", "--older-than", "0")
    assert left(odd) == set(), everything.err


def test_prune_removes_what_ended_long_ago(run: Run, jobs_dir: Path) -> None:
    """FAULTS row 68: the last change counts, where the end is no time."""
    then = to_text(now_ms() - 30 * DAY_MS)
    old = {"id": "old", "type": "etl", "createdAt": then, "updatedAt": then}
    write(jobs_dir, {**old, "stage": "completed", "completedAt": GO_ZERO})
    assert run("prune", "--yes").out == "old\n"


def test_prune_keeps_the_newest_by_their_true_end(run: Run, jobs_dir: Path) -> None:
    """FAULTS row 68: a zero time is not the oldest one."""
    now = now_ms()

    def job(id: str, ended_ms: int, completed: str) -> dict[str, object]:
        return {"id": id, "type": "etl", "stage": "completed", "completedAt": completed,
                "createdAt": to_text(now - 9 * DAY_MS), "updatedAt": to_text(ended_ms)}  # fmt: skip

    write(
        jobs_dir,
        job("newest", now - 1000, GO_ZERO),
        job("middle", now - DAY_MS, to_text(now - DAY_MS)),
        job("oldest", now - 2 * DAY_MS, GO_ZERO),
    )
    assert run("prune", "--keep", "1").out == "oldest\nmiddle\n"


def test_no_duration_is_absurd(run: Run, odd: Path) -> None:
    """FAULTS rows 14 and 68: it is that of the job, or none is shown."""
    jobs = {job["id"]: job for job in json.loads(run("ls", "-o", "json").out)["jobs"]}
    lines = run("ls", "--no-headers").out.splitlines()
    cells = {line.split()[0]: line.split() for line in lines}
    for id, case in cases(now_ms()).items():
        shown = run("show", id).out
        elapsed = jobs[id]["derived"]["elapsedMs"]
        if case.elapsed_ms is None:
            assert elapsed is None
            assert (cells[id][4], "elapsed " in shown) == ("-", False)
        else:
            assert case.elapsed_ms <= elapsed <= case.elapsed_ms + 10_000
            assert "elapsed " in shown
    wide = run("ls", "-o", "wide", "--time-format", "relative").out
    shown = [without_remarks(run("show", id).out) for id in jobs]
    for text in (run("ls").out, wide, *shown):
        assert ABSURD.search(text) is None


def test_times_that_are_none_are_shown_as_none(run: Run, odd: Path) -> None:
    """In each form, and in machine output; a remark has what the file says."""
    for form in ("relative", "iso", "local"):
        text = run("show", "nothing", "--time-format", form).out
        assert "0001" not in without_remarks(text)
        assert 'completedAt: "0001-01-01T00:00:00Z" is no time: read as missing' in text
        assert re.search("^completed ", text, re.MULTILINE) is None
    job = json.loads(run("show", "nothing", "-o", "json").out)
    file_ms = (odd / "nothing.json").stat().st_mtime_ns // 10**6
    assert job["createdAt"] == job["updatedAt"] == to_text(file_ms)
    assert job["completedAt"] is job["derived"]["elapsedMs"] is None


def test_changed_since_a_moment(run: Run, jobs_dir: Path) -> None:
    """FAULTS row 68: by the newest time that can be, where `updatedAt` was not moved or is none."""
    jobs = cases(now_ms())
    write(jobs_dir, *(jobs[id].keys for id in ("end-only", "training", "go-zero", "stage-only")))
    old = {**jobs["training"].keys, "id": "old", "completedAt": GO_ZERO}
    write(jobs_dir, old)
    write(jobs_dir, {**jobs["stage-only"].keys, "id": "active", "stage": "extract"})
    ids = run("ls", "--since", "10m", "-q", "--sort", "id").out.split()
    assert ids == ["active", "end-only", "go-zero", "stage-only", "training"]
    assert run("ls", "--until", "10m", "-q").out.split() == ["old"]
    assert run("ls", "--sort", "updated", "-q").out.split()[-1] == "old"


def test_watch_shows_what_ended_since(run: Run, odd: Path) -> None:
    """FAULTS row 68: ended, and not touched by somebody."""
    old = to_text(now_ms() - 9 * DAY_MS)
    touched = {"id": "touched", "type": "etl", "stage": "completed", "createdAt": old,
               "completedAt": old, "updatedAt": to_text(now_ms() - 1000)}  # fmt: skip
    write(odd, touched)
    store = open_store(odd)
    view = JobView("here", since_ms=now_ms() - 600_000, usual=api.usual(store))
    view.take(store.since(ZERO))
    shown = {job.id for job in view.shown()}
    assert shown == set(cases(now_ms()))
    screen = "\n".join(line for line, _ in view.screen(200, 99, now_ms()))
    assert ABSURD.search(screen) is None
    store.close()


def test_other_jobs_take_no_time_from_odd_ones(run: Run, jobs_dir: Path) -> None:
    """FAULTS row 68: what jobs of a type usually take is learned from what they took."""
    jobs = cases(now_ms())
    odd = [jobs["go-zero"].keys, jobs["no-beginning"].keys, jobs["nothing"].keys]
    write(jobs_dir, *({**keys, "id": f"{n}-{keys['id']}"} for n in range(5) for keys in odd))
    write(jobs_dir, {**jobs["usual"].keys, "id": "new", "stage": "extract", "completedAt": None})
    assert json.loads(run("show", "new", "-o", "json").out)["derived"]["etaMs"] == [59_000, 59_000]
