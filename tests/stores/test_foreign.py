"""Foreign writers: files of the program that jobctl ports, and that program at work beside us."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from jobctl.core import transitions as jobs
from jobctl.core.codec import encode
from jobctl.core.cursor import ZERO
from jobctl.core.job import Job
from jobctl.errors import StoreError
from jobctl.stores.directory import foreign
from jobctl.stores.directory.changelog import DEL, PUT, SEEN, Record, digest_of
from jobctl.stores.directory.foreign import is_foreign
from jobctl.stores.directory.store import DirectoryStore
from tests import odd_times
from tests.bare_files import full
from tests.stores.support import (
    DATA,
    T0,
    Follower,
    age,
    compact,
    environment,
    head,
    new,
    until,
    with_message,
)

Open = Callable[..., DirectoryStore]

NODE = shutil.which("node")

# As the original does it: read, modify, writeFile, over and over, when told.
WRITER = """
const fs = require('node:fs/promises');
const path = process.argv[2];
require('node:readline').createInterface({input: process.stdin}).on('line', async (line) => {
  const job = JSON.parse(await fs.readFile(path, 'utf-8'));
  job.theirs = (job.theirs ?? 0) + 1;
  if (line !== 'none') job.revision = JSON.parse(line);
  await fs.writeFile(path, JSON.stringify(job, null, 2));
  console.log(job.theirs);
});
"""


@pytest.fixture
def node_dir(tmp_path: Path) -> Path:
    """A copy of the 48 files that the original program wrote."""
    path = tmp_path / "node"
    shutil.copytree(DATA / "node-app-jobs", path)
    return path


def bytes_of(path: Path) -> dict[str, bytes]:
    """Every job file's bytes."""
    return {file.name: file.read_bytes() for file in sorted(path.glob("*.json"))}


@pytest.mark.parametrize("adopt", [False, True])
def test_files_of_the_original_load_and_stay_as_they_are(
    node_dir: Path, opened: Open, adopt: bool
) -> None:
    """All 48 are served, none is quarantined, and no byte of any changes."""
    before = bytes_of(node_dir)
    store = opened(node_dir, create=False, adopt=adopt)
    delta = store.since(ZERO)
    assert len(delta.jobs) == len(before) == 48
    assert store.bad() == []
    assert store.refresh() is False
    assert bytes_of(node_dir) == before
    assert (node_dir / ".jobctl").exists() is adopt


def test_files_of_the_original_round_trip_byte_for_byte(node_dir: Path, opened: Open) -> None:
    """What we would write of each job is what the original wrote."""
    store = opened(node_dir, create=False)
    for job in store.since(ZERO).jobs:
        theirs = (node_dir / f"{job.id}.json").read_bytes()
        assert encode(job).rstrip(b"\n") == theirs.rstrip(b"\n")


def test_adoption_follows_the_files_own_order(node_dir: Path, opened: Open) -> None:
    """The order in which a log begins is that of the files' times."""
    names = sorted(node_dir.glob("*.json"))
    for position, path in enumerate(reversed(names)):
        os.utime(path, (1_700_000_000 + position, 1_700_000_000 + position))
    store = opened(node_dir, adopt=True)
    assert [job.id for job in store.since(ZERO).jobs] == [path.stem for path in reversed(names)]


def test_advance_keeps_foreign_keys_and_touches_no_other_file(node_dir: Path, opened: Open) -> None:
    """A rewrite keeps what we do not know, in one file, with its mode."""
    store = opened(node_dir, create=False)
    target = next(job for job in store.since(ZERO).jobs if job.stage == "pending")
    path = node_dir / f"{target.id}.json"
    value = json.loads(path.read_text()) | {"theirs": {"deep": [1, None, "é"]}, "zeta": 1.5}
    path.write_text(json.dumps(value, ensure_ascii=False))
    path.chmod(0o640)
    before = bytes_of(node_dir)
    store.update(target.id, lambda job: jobs.advance(job, now=T0))
    after = bytes_of(node_dir)
    assert {name for name in after if after[name] != before[name]} == {path.name}
    now = json.loads(path.read_text())
    assert {key: now[key] for key in ("theirs", "zeta")} == {
        "theirs": {"deep": [1, None, "é"]},
        "zeta": 1.5,
    }
    assert now["stage"] != "pending"
    assert "revision" not in now
    assert path.stat().st_mode & 0o777 == 0o640


def test_edit_between_read_and_replace_is_not_lost(opened: Open, jobs_dir: Path) -> None:
    """A foreign write that comes while our change runs is read again, not overwritten."""
    store = opened()
    store.create(new("a"))
    runs: list[str | None] = []

    def change(job):
        runs.append(job.title)
        if len(runs) == 1:
            value = json.loads((jobs_dir / "a.json").read_text()) | {"title": "theirs"}
            (jobs_dir / "a.json").write_text(json.dumps(value))
        return with_message("ours")(job)

    job = store.update("a", change)
    assert runs == [None, "theirs"]
    assert (job.title, job.message) == ("theirs", "ours")
    assert store.get("a") == job


def test_deletion_between_read_and_replace_is_not_undone(opened: Open, jobs_dir: Path) -> None:
    """A job that is deleted while our change runs does not come back."""
    store = opened()
    store.create(new("a"))

    def change(job):
        (jobs_dir / "a.json").unlink(missing_ok=True)
        return with_message("ours")(job)

    with pytest.raises(Exception, match="no job a"):
        store.update("a", change)
    assert store.since(ZERO).jobs == ()


@pytest.mark.slow
@pytest.mark.skipif(NODE is None, reason="needs node")
@pytest.mark.parametrize("revision", ["none", "0", "1", "999999", '"x"', "-1"])
def test_taking_turns_with_node_loses_nothing(
    opened: Open, jobs_dir: Path, tmp_path: Path, revision: str
) -> None:
    """A second program reads, modifies and rewrites one job in turns with us: both counts are
    whole, and a follower sees each turn, whatever `revision` the rewrite carries."""
    hub = opened(adopt=True)
    hub.create(new("a"))
    follower = Follower(hub)
    follower.step()
    script = tmp_path / "writer.js"
    script.write_text(WRITER)
    with subprocess.Popen(
        [NODE, script, jobs_dir / "a.json"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as node:
        for turn in range(1, 11):
            node.stdin.write(revision + "\n")
            node.stdin.flush()
            assert node.stdout.readline() == f"{turn}\n"
            hub.refresh({"a"})
            follower.step()
            assert follower.replica.get("a").extra["theirs"] == turn
            job = hub.update("a", lambda job: with_message(str(int(job.message or 0) + 1))(job))
            assert (job.extra["theirs"], job.message) == (turn, str(turn))
            follower.step()
            assert follower.replica.get("a") == job
        node.stdin.close()
    assert follower.resets == 1


@pytest.mark.slow
@pytest.mark.skipif(NODE is None, reason="needs node")
def test_foreign_write_is_seen_by_a_poll_within_a_second(
    opened: Open, jobs_dir: Path, tmp_path: Path
) -> None:
    """Even one who only refreshes by the clock sees a foreign write within 1 s."""
    hub = opened(adopt=True)
    hub.create(new("a"))
    cursor = head(hub)
    script = tmp_path / "writer.js"
    script.write_text(WRITER)
    subprocess.run(
        [NODE, script, jobs_dir / "a.json"],
        input="none\n",
        text=True,
        check=True,
        timeout=20,
        stdout=subprocess.DEVNULL,
    )

    def seen() -> bool:
        hub.refresh()
        return bool(hub.since(cursor).jobs)

    until(seen, deadline_s=1)


def test_what_a_foreigner_writes_during_a_check_is_looked_at(opened: Open, jobs_dir: Path) -> None:
    """They know no lock; but what is removed is what the last look saw."""
    store = opened()
    store.create(new("a"))
    seen: list[str | None] = []

    def check(job: Job) -> None:
        seen.append(job.message)
        if job.message is None:
            (jobs_dir / "a.json").write_bytes(encode(with_message("theirs")(job)))
        else:
            raise KeyError(job.id)

    with pytest.raises(KeyError):
        store.remove("a", check)
    assert seen == [None, "theirs"]
    assert store.get("a").message == "theirs"


def test_a_damaged_file_is_not_removed_with_a_check(opened: Open, jobs_dir: Path) -> None:
    """There is no job to show to it; the file is named."""
    store = opened()
    store.create(new("a"))
    (jobs_dir / "a.json").write_bytes(b"{")
    age(jobs_dir / "a.json")
    with pytest.raises(StoreError, match=r"a\.json is not a job, and was not removed"):
        store.remove("a", lambda job: None)
    assert (jobs_dir / "a.json").exists()
    store.remove("a", damaged=True)
    assert not (jobs_dir / "a.json").exists()


# -- files that may be no jobs at all ---------------------------------------------------------

FULL = b'{"stage": "completed", "createdAt": "2026-01-01T00:00:00Z", "type": "etl"}'
BARE = b'{"stage": "completed"}'


@pytest.mark.parametrize(
    ("data", "foreign"),
    [
        (FULL, False),
        (b"\xef\xbb\xbf" + FULL, False),
        (FULL.replace(b'"etl"', b"NaN"), False),
        (FULL.replace(b'"etl"', b'"\\ud800"'), False),
        (FULL.replace(b'"2026-01-01T00:00:00Z"', b'"0001-01-01T00:00:00Z"'), False),
        (FULL.replace(b'"2026-01-01T00:00:00Z"', b"1767225600"), False),
        (BARE, True),
        (FULL.replace(b"createdAt", b"created"), True),
        (FULL.replace(b'"type"', b'"kind"'), True),
        (FULL.replace(b'"etl"', b"null"), True),
        (FULL.replace(b'"2026-01-01T00:00:00Z"', b"null"), True),
        (b'{"stage": "completed", "job": ' + FULL + b"}", True),
        (b'{"stage": "\\"createdAt\\": 1, \\"type\\": 2"}', True),
        (b"[" + FULL + b"]", True),
        (FULL[:-1], True),
        (b"", True),
        (b"\xff", True),
        (b"[" * 100_000, True),
        (b'{"createdAt": ' + b"9" * 5000 + b', "type": 1}', True),
    ],
)
def test_a_file_shows_whose_it_is(data: bytes, foreign: bool) -> None:
    """FAULTS row 11: by its own keys, as they stand there, whatever a reader makes of them."""
    assert is_foreign(data, None) is foreign
    for verb, digest in ((SEEN, digest_of(data)), (DEL, "0" * 32), (PUT, digest_of(b"other"))):
        assert is_foreign(data, Record(7, "x", verb, digest)) is foreign
    # These very bytes are ours, whatever they lack.
    assert is_foreign(data, Record(7, "x", PUT, digest_of(data))) is False


@pytest.mark.parametrize("kind", ["scan", "log", "adopt"])
def test_a_store_tells_foreign_files(opened: Open, jobs_dir: Path, kind: str) -> None:
    """FAULTS row 11: with a change log or without; a file is ours again once we have written it."""
    odd_times.write(jobs_dir, full("full"), {"id": "bare", "stage": "failed"})
    if kind != "scan":
        opened().create(new("ours"))
    store = opened(create=kind != "scan", adopt=kind == "adopt")
    store.refresh()
    assert store.foreign(store.since(ZERO).jobs) == {"bare"}
    writer = opened()
    writer.update("bare", lambda job: jobs.retry(job, now=T0))
    assert store.foreign(store.since(ZERO).jobs) == set()
    (jobs_dir / "bare.json").write_bytes(BARE)
    age(jobs_dir / "bare.json")
    store.refresh()
    assert store.foreign(store.since(ZERO).jobs) == {"bare"}
    compact(writer)
    assert store.foreign(store.since(ZERO).jobs) == {"bare"}


def test_what_is_ours_costs_no_second_reading(
    opened: Open, jobs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The change log and the revision that a job was read with prove it."""
    store = opened()
    for number in range(5):
        store.create(new(f"a{number}"))
    found = store.since(ZERO).jobs
    monkeypatch.setattr(foreign, "read_file", None)
    assert store.foreign(found) == set()
