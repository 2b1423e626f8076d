"""`ls -o name` without a filter reads less of each file, and prints the same ids and notes."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from jobctl.core.transitions import create
from jobctl.stores import creation_times, open_store, read_all
from jobctl.stores.directory import index
from jobctl.stores.directory.files import job_names
from tests.cli.conftest import DATA, Run

TIMES = {
    "canonical": "2026-01-02T03:04:05.678Z",
    "no-milliseconds": "2026-01-02T03:04:05Z",
    "zone": "2026-01-02T05:04:05.500+02:00",
    "epoch": 1767323045000,
    "year-one": "0001-01-01T00:00:00Z",
    "words": "yesterday",
}


@pytest.fixture(params=["no change log", "change log"])
def directory(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Jobs of two programs, with odd times, and every kind of file that is no job."""
    directory = tmp_path / "jobs"
    shutil.copytree(DATA / "bad-jobs", directory)
    for path in (DATA / "node-app-jobs").iterdir():
        shutil.copy(path, directory)
    for id, at in TIMES.items():
        job = {"id": id, "type": "etl", "stage": "load", "createdAt": at, "updatedAt": at}
        (directory / f"{id}.json").write_text(json.dumps(job, indent=2))
    result = {"id": "result", "type": "etl", "stage": "load", "result": {"rows": [1]}}
    (directory / "result.json").write_text(json.dumps(result))
    os.mkfifo(directory / "fifo.json")
    (directory / "folder.json").mkdir()
    (directory / "link.json").symlink_to(directory / "canonical.json")
    (directory / "a name.json").write_text("{}")
    if request.param == "change log":
        store = open_store(directory, adopt=True)
        store.refresh()
        for number in range(3):
            store.create(create("etl", id=f"own{number}", now="2026-01-02T03:04:05.678Z"))
        store.remove("own1")
        store.close()
    return directory


@pytest.mark.parametrize("sort", ["created", "id"])
@pytest.mark.parametrize("limit", [(), ("--limit", "3"), ("--limit", "0")])
@pytest.mark.parametrize("verbose", [(), ("-v",)])
def test_it_prints_what_the_other_forms_print(
    run: Run, directory: Path, sort: str, limit: tuple[str, ...], verbose: tuple[str, ...]
) -> None:
    """The same jobs in the same order, and the same words on files that are no jobs."""
    args = ("--sort", sort, *limit, *verbose, "--dir", str(directory))
    objects = run("ls", "-o", "jsonl", *args)
    ids = [json.loads(line)["id"] for line in objects.out.splitlines()]
    notes = [json.loads(line)["note"] for line in objects.err.splitlines()]
    for form in (("-o", "name"), ("-q",)):
        listed = run("ls", *form, *args)
        assert listed.out.split() == ids
        assert listed.err.splitlines() == [f"jobctl: {note}" for note in notes]
    assert len(ids) == {(): len(ids), ("--limit", "3"): 3, ("--limit", "0"): 0}[limit]
    assert any("no jobs" in note for note in notes)


def test_it_has_the_jobs_of_a_full_read(directory: Path) -> None:
    """With the times as they are read from the files."""
    store = open_store(directory)
    times, bad = creation_times(store)
    jobs = read_all(store).jobs
    assert times == {job.id: job.created_at for job in jobs}
    assert bad == store.bad()
    assert "own1" not in times
    store.close()


def test_a_file_that_the_listing_misses_is_found_by_the_change_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAULTS 0.1: on tmpfs a listing may miss a file that is being replaced."""
    store = open_store(tmp_path, create=True)
    for id in ("a", "b", "gone"):
        store.create(create("etl", id=id, now="2026-01-02T03:04:05.678Z"))
    store.remove("gone")
    monkeypatch.setattr(index, "job_names", lambda fd: job_names(fd) - {"a"})
    assert creation_times(store)[0].keys() == {"a", "b"}
    store.close()


def test_a_store_without_files_has_it_too() -> None:
    """From a read of everything."""
    store = open_store("memory:")
    job = store.create(create("etl", id="a", now="2026-01-02T03:04:05.678Z"))
    assert creation_times(store) == ({"a": job.created_at}, [])


def test_an_empty_directory_is_said_to_be_empty(run: Run, tmp_path: Path) -> None:
    """As with the other forms, where the output is no terminal."""
    said = run("ls", "-q", "--dir", str(tmp_path))
    other = run("ls", "-o", "jsonl", "--dir", str(tmp_path))
    assert said.err == f"jobctl: {json.loads(other.err)['note']}\n"
    assert "no jobs in" in said.err
