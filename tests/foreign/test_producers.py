"""Job files of other programs: each row of the table is read, ordered and aged rightly."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobctl.core.codec import encode, parse, to_wire
from jobctl.core.cursor import ZERO
from jobctl.core.times import to_ms, to_text
from jobctl.core.transitions import report
from jobctl.stores.directory.store import DirectoryStore
from tests.foreign.make_producers import node, perl, python, ruby
from tests.foreign.table import ROWS, ZONE, Row, in_zone


@pytest.fixture(autouse=True)
def _berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The zone that the programs ran in."""
    in_zone(monkeypatch, ZONE)
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_each_producer_is_read_rightly(row: Row) -> None:
    """The instant, the zone that was guessed or not, and canonical values on the wire."""
    job = parse(row.data, id="x", file_ms=row.mtime_ms)
    assert (job.stage, job.id, job.type) == ("load", "x", "job")
    for text in (job.created_at, job.updated_at):
        assert row.after <= to_ms(text) <= row.before
        assert to_text(to_ms(text)) == text
    assert job.progress in (None, 100)
    assert job.completed_at is job.error is None
    zones = [str(remark) for remark in job.remarks if "no time zone" in remark.text]
    assert len(zones) == (2 if row.zone else 0)
    assert all(f"read as {row.zone} (" in remark for remark in zones)
    assert json.loads(to_wire(job))["createdAt"] == job.created_at


@pytest.mark.parametrize("row", [row for row in ROWS if row.kind == "careful"], ids=str)
def test_a_careful_producer_gets_no_remark_on_its_times(row: Row) -> None:
    """What a manual recommends is understood without a word."""
    job = parse(row.data, id="x", file_ms=row.mtime_ms)
    assert [remark for remark in job.remarks if remark.key in ("createdAt", "updatedAt")] == []


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_what_an_act_does_not_set_keeps_its_bytes(row: Row) -> None:
    """The raw ``createdAt``, whatever its form; and the act is read back with the guess."""
    job = parse(row.data, id="x", file_ms=row.mtime_ms)
    acted = report(job, now="2026-11-28T08:00:00.000Z", message="m")
    data = encode(acted)
    text = row.data.decode()
    start = text.index(":", text.index('"createdAt"')) + 1
    start += len(text[start:]) - len(text[start:].lstrip())
    _, end = json.JSONDecoder().raw_decode(text, start)
    assert text[start:end].encode() in data
    guess = job.reading.guess if job.reading is not None else None
    assert parse(data, id="x", file_ms=row.mtime_ms + 7_200_000, guess=guess) == acted


def test_all_producers_are_ordered_by_their_instants(tmp_path: Path) -> None:
    """In one directory, by a store, newest first, whatever form each of them wrote."""
    for number, row in enumerate(ROWS):
        path = tmp_path / f"j{number}.json"
        path.write_bytes(row.data)
        os.utime(path, ns=(row.mtime_ms * 10**6, row.mtime_ms * 10**6))
    store = DirectoryStore(tmp_path, adopt=True)
    jobs = sorted(store.since(ZERO).jobs, key=lambda job: job.created_at)
    assert store.bad() == []
    store.close()
    assert len(jobs) == len(ROWS)
    for job in jobs:
        row = ROWS[int(job.id[1:])]
        assert row.after <= to_ms(job.created_at) <= row.before
    instants = [to_ms(job.created_at) for job in jobs]
    assert instants == sorted(instants)


_LIVE = {
    "Python": (python("str(datetime.now())"), True),
    "Python, careful": (python("datetime.now(timezone.utc).isoformat()"), False),
    "Node.js": (node("Date.now()"), False),
    "Node.js, text": (node("String(new Date())"), False),
    "Perl": (perl("scalar localtime"), True),
    "Ruby": (ruby("Time.now"), False),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", _LIVE)
def test_a_program_that_is_here_writes_what_is_read_rightly(name: str, tmp_path: Path) -> None:
    """Its own default, now."""
    command, guessed = _LIVE[name]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    began_ms = time.time_ns() // 10**6
    done = subprocess.run(command, capture_output=True, check=True)
    (tmp_path / "x.json").write_bytes(done.stdout)
    ended_ms = time.time_ns() // 10**6
    store = DirectoryStore(tmp_path)
    (job,) = store.since(ZERO).jobs
    store.close()
    assert began_ms - 1000 <= to_ms(job.created_at) <= ended_ms
    hours = time.localtime().tm_gmtoff // 3600
    said = f"read as UTC+{hours:02d}:00 (it was written just before the file)"
    assert any(said in str(remark) for remark in job.remarks) is guessed
