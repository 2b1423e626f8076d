"""Guessed times: all readers of a directory guess alike, also after a file was touched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobctl.core import transitions as jobs
from jobctl.core.cursor import ZERO
from jobctl.core.job import Job
from jobctl.core.lenient import Guess
from jobctl.core.times import to_ms, to_text
from jobctl.stores.directory.guesses import Guesses
from jobctl.stores.directory.store import DirectoryStore
from tests.stores.support import age, compact, new

Open = Callable[..., DirectoryStore]

NOW = "2026-11-28T12:00:00.000Z"
BARE = '{"stage":"load"}'
LOCAL = '{"stage":"load","createdAt":"2026-03-01 05:00:00","updatedAt":"2026-03-01 05:00:00"}'


@pytest.fixture(autouse=True)
def _berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A local zone that is not UTC."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def write(path: Path, text: str, seconds_ago: float) -> int:
    """Write a file in place; return its modification time in milliseconds."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    age(path, seconds_ago)
    return path.stat().st_mtime_ns // 10**6


def seen_elsewhere(path: Path, id: str, zone: str) -> dict[str, str]:
    """The job as another process reads it, in its own time zone."""
    done = subprocess.run(
        [sys.executable, "-m", "jobctl", "show", id, "-o", "json", "--dir", str(path)],
        env={**os.environ, "TZ": zone},
        capture_output=True,
        check=True,
        text=True,
    )
    value = json.loads(done.stdout)
    assert isinstance(value, dict)
    return value


def only(store: DirectoryStore) -> Job:
    """The one job, as a full read delivers it."""
    (job,) = store.since(ZERO).jobs
    return job


@pytest.mark.parametrize("adopt_first", [True, False])
def test_a_missing_time_stays_when_the_file_is_touched(
    opened: Open, jobs_dir: Path, adopt_first: bool
) -> None:
    """It is fixed when the content is first recorded, before the log began or later."""
    store = opened(adopt=True) if adopt_first else None
    file_ms = write(jobs_dir / "x.json", BARE, 3600)
    store = store or opened(adopt=True)
    store.refresh()
    assert only(store).created_at == to_text(file_ms)
    age(jobs_dir / "x.json", 60)
    store.refresh()
    for reader in (store, opened()):
        assert only(reader).created_at == reader.get("x").created_at == to_text(file_ms)
    assert only(store).latest_end_ms() is None


@pytest.mark.slow
def test_a_hub_and_a_command_guess_alike_in_different_time_zones(
    opened: Open, jobs_dir: Path
) -> None:
    """The first of them decides."""
    write(jobs_dir / "x.json", LOCAL, 3600)
    store = opened(adopt=True)
    assert only(store).created_at == "2026-03-01T04:00:00.000Z"
    for zone in ("UTC", "America/New_York"):
        assert seen_elsewhere(jobs_dir, "x", zone)["createdAt"] == "2026-03-01T04:00:00.000Z"


def test_a_rewrite_by_jobctl_moves_no_guess(opened: Open, jobs_dir: Path) -> None:
    """The raw time stays in the file, and is read as before, by everybody."""
    write(jobs_dir / "x.json", LOCAL, 3600)
    store = opened(adopt=True)
    before = only(store)
    for number in range(3):
        store.update("x", lambda job, n=number: jobs.report(job, now=NOW, message=f"{n}"))  # type: ignore[misc]
        os.environ["TZ"] = "America/New_York"
        time.tzset()
        assert b'"createdAt": "2026-03-01 05:00:00"' in (jobs_dir / "x.json").read_bytes()
        for reader in (store, opened()):
            assert only(reader).created_at == reader.get("x").created_at == before.created_at
    compact(store)
    assert only(opened()).created_at == before.created_at


def test_a_time_that_an_act_has_written_is_known(opened: Open, jobs_dir: Path) -> None:
    """In the process that wrote it as in others."""
    file_ms = write(jobs_dir / "x.json", BARE, 3600)
    store = opened(adopt=True)
    assert only(store).elapsed_ms(file_ms) is None
    store.update("x", lambda job: jobs.report(job, now=NOW, message="m"))
    for reader in (store, opened()):
        assert reader.get("x").elapsed_ms(file_ms + 5000) == 5000
        assert reader.get("x").created_at == to_text(file_ms)


def test_the_same_content_again_later_is_guessed_anew(opened: Open, jobs_dir: Path) -> None:
    """A program that goes back to a stage has written a new version."""
    store = opened(adopt=True)
    path = jobs_dir / "x.json"
    write(path, BARE, 3600)
    store.refresh()
    write(path, '{"stage":"check"}', 1800)
    store.refresh()
    file_ms = write(path, BARE, 60)
    store.refresh()
    for reader in (store, opened()):
        assert only(reader).updated_at == to_text(file_ms)


def test_a_new_epoch_keeps_what_was_guessed(opened: Open, jobs_dir: Path) -> None:
    """The contents are the same."""
    file_ms = write(jobs_dir / "x.json", BARE, 3600)
    opened(adopt=True).close()
    age(jobs_dir / "x.json", 60)
    (jobs_dir / ".jobctl" / "changes").unlink()
    assert only(opened(adopt=True)).created_at == to_text(file_ms)


def test_a_compaction_drops_what_nobody_needs(opened: Open, jobs_dir: Path) -> None:
    """And keeps the rest."""
    store = opened(adopt=True)
    write(jobs_dir / "y.json", BARE, 3600)
    for number in range(5):
        write(jobs_dir / "x.json", f'{{"stage":"s{number}"}}', 100 - number)
        store.refresh()
    guesses = jobs_dir / ".jobctl" / "guesses"
    assert guesses.read_bytes().count(b"\n") == 6
    compact(store)
    assert guesses.read_bytes().count(b"\n") == 2
    assert guesses.stat().st_mode & 0o077 == 0
    write(jobs_dir / "x.json", BARE, 50)
    store.refresh()
    assert {job.stage for job in store.since(ZERO).jobs} == {"load"}


def test_usual_files_need_no_guesses(opened: Open, jobs_dir: Path) -> None:
    """So a directory of jobctl's own has no such file."""
    store = opened(adopt=True)
    store.create(jobs.create("etl", now=NOW, id="a"))
    store.update("a", lambda job: jobs.report(job, now=NOW, message="m"))
    assert not (jobs_dir / ".jobctl" / "guesses").exists()


def test_a_damaged_guess_costs_no_job(opened: Open, jobs_dir: Path) -> None:
    """The reader guesses by itself; a torn line does no harm to the next one."""
    write(jobs_dir / "x.json", BARE, 3600)
    store = opened(adopt=True)
    guesses = jobs_dir / ".jobctl" / "guesses"
    guesses.write_bytes(b"\xff\x00 nonsense\nx 12 -\n" + guesses.read_bytes()[:-3])
    file_ms = write(jobs_dir / "y.json", '{"stage":"y"}', 1800)
    store.refresh()
    age(jobs_dir / "y.json", 60)
    by_id = {job.id: job for job in opened().since(ZERO).jobs}
    assert by_id["y"].created_at == to_text(file_ms)
    assert by_id["x"].stage == "load"
    guesses.unlink()
    guesses.mkdir()
    write(jobs_dir / "z.json", BARE, 30)
    store.refresh()
    assert {job.id for job in store.since(ZERO).jobs} == {"x", "y", "z"}


def test_guesses_are_followed_by_other_objects(tmp_path: Path) -> None:
    """Line by line, through a compaction, and with a file that shrinks."""
    fd = os.open(tmp_path, os.O_RDONLY)
    reader, digest, other = Guesses(), "a" * 32, "b" * 32
    assert reader.find("x", digest, fd) is None
    Guesses.add({("x", digest): Guess(5, None)}, fd)
    assert reader.find("x", digest, fd) == Guess(5, None)
    Guesses.add({("x", digest): Guess(7, -3600), ("y", other): Guess(-1, 0)}, fd)
    assert reader.find("x", digest, fd) == Guess(7, -3600)
    Guesses().compact({("y", other)}, fd)
    assert reader.find("x", digest, fd) is None
    assert reader.find("y", other, fd) == Guess(-1, 0)
    (tmp_path / "guesses").write_bytes(b"")
    assert reader.find("y", other, fd) is None
    os.close(fd)


def test_orders_are_of_instants(opened: Open, jobs_dir: Path) -> None:
    """Not of text: an offset, and fewer digits."""
    for id, text in {
        "first": "2026-11-28T10:00:00+05:30",  # 04:30 UTC
        "second": "2026-11-28T05:00:00Z",
        "third": "2026-11-28T05:00:00.9Z",
        "fourth": "2026-11-28T05:00:01Z",
    }.items():
        write(jobs_dir / f"{id}.json", f'{{"stage":"x","createdAt":"{text}"}}', 60)
    found = opened().since(ZERO).jobs
    ordered = sorted(found, key=lambda job: job.created_at)
    assert [job.id for job in ordered] == ["first", "second", "third", "fourth"]
    assert to_ms(ordered[0].created_at) == to_ms("2026-11-28T04:30:00.000Z")


@pytest.mark.slow
def test_a_hub_without_free_descriptors_reads_odd_files(jobs_dir: Path) -> None:
    """FAULTS row 26: nothing has to be imported then."""
    jobs_dir.mkdir(exist_ok=True)
    code = """
import pathlib, sys
from jobctl.core.cursor import ZERO
from jobctl.stores.directory.store import DirectoryStore
store = DirectoryStore(sys.argv[1], adopt=True)
loaded = {name for name in sys.modules if name.startswith("jobctl.")}
(pathlib.Path(sys.argv[1]) / "x.json").write_text('{"stage":"load"}')
store.refresh()
assert store.since(ZERO).jobs
print(sorted({name for name in sys.modules if name.startswith("jobctl.")} - loaded))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(jobs_dir)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_file_of_guesses_that_is_far_too_large_is_not_read(opened: Open, jobs_dir: Path) -> None:
    """In a directory of another user it may be anything: 8 GiB of holes cost no memory."""
    store = opened()
    store.create(new("a"))
    (jobs_dir / "x.json").write_text('{"stage": "load"}')
    with open(jobs_dir / ".jobctl" / "guesses", "wb") as file:
        file.truncate(8 * 1024**3)
    reader = opened()
    reader._reconciler.may_write = False
    began_s = time.monotonic()
    assert {job.id for job in reader.since(ZERO).jobs} == {"a", "x"}
    assert time.monotonic() - began_s < 5
