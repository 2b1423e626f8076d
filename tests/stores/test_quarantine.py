"""Quarantine: one bad file is named and counted, and all other jobs are served."""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest

from jobctl.core.cursor import ZERO
from jobctl.errors import Conflict, DamagedFile, JobctlError, JobNotFound, StoreError
from jobctl.stores.directory.store import DirectoryStore
from tests.stores.support import DATA, Follower, age, file_of, new, with_message

Open = Callable[..., DirectoryStore]

GOOD = {
    "00000000-0000-4000-8000-000000000001",
    "unknown-stage",
    "terminal-escape",
    "rich-markup",
    "script-tag",
    "bad-date",
    "bom",
    "duplicate-keys",
    "lone-surrogate",
    "missing-fields",
    "nan",
}
BAD = {
    "deep.json": "nested over 100 deep",
    "empty.json": "empty",
    "huge-int.json": "digits",
    "id-mismatch.json": 'the id inside is "somebody-else", but the file\'s name is',
    "latin1.json": "not UTF-8",
    "not-an-object.json": "not a JSON object",
    "torn.json": "not JSON",
}


@pytest.fixture(params=["scan", "adopt", "log"])
def store(request: pytest.FixtureRequest, tmp_path: Path, opened: Open) -> DirectoryStore:
    """The bad files of a long time ago, in a store with and without a log."""
    path = tmp_path / "bad"
    shutil.copytree(DATA / "bad-jobs", path)
    for file in path.iterdir():
        age(file, 3600)
    if request.param == "log":
        opened(path, adopt=True).close()
    return opened(path, create=False, adopt=request.param == "adopt")


def test_bad_files_are_named_with_reasons_and_others_served(store: DirectoryStore) -> None:
    """FAULTS row 58: each malformed file has its reason; the valid but hostile ones are jobs."""
    delta = store.since(ZERO)
    bad = dict(store.bad())
    assert {job.id for job in delta.jobs} == GOOD
    assert set(bad) == set(BAD)
    assert {name: reason for name, reason in bad.items() if BAD[name] not in reason} == {}
    assert all(reason.isprintable() and len(reason) < 200 for reason in bad.values())


def test_bad_files_stay_as_they_are(store: DirectoryStore) -> None:
    """Nobody rewrites or removes what is in quarantine."""
    store.since(ZERO)
    store.refresh()
    for file in (DATA / "bad-jobs").iterdir():
        assert (store.path / file.name).read_bytes() == file.read_bytes()  # type: ignore[operator]


def test_bad_file_is_refused_by_name(store: DirectoryStore) -> None:
    """`get`, `update` and `create` say which file is damaged; `remove` gets rid of it if told."""
    for call in (lambda: store.get("torn"), lambda: store.update("torn", with_message("x"))):
        with pytest.raises(
            DamagedFile, match=r"torn\.json is damaged: .*not JSON.*rm --damaged torn"
        ):
            call()
    with pytest.raises(Conflict):
        store.create(new("torn"))
    store.remove("torn", damaged=True)
    store.since(ZERO)
    assert "torn.json" not in dict(store.bad())


@pytest.mark.parametrize("name", [*BAD, "fifo.json", "link.json", "giant.json"])
def test_bad_file_is_not_removed_as_a_job(store: DirectoryStore, tmp_path: Path, name: str) -> None:
    """FAULTS row 11: whatever is wrong with it; the log records no deletion either."""
    path = tmp_path / "bad" / name
    if name == "fifo.json":
        os.mkfifo(path)
    elif name == "link.json":
        path.symlink_to(tmp_path / "nowhere")
    elif name == "giant.json":
        path.touch()
        os.truncate(path, 1 << 30)
    if not path.is_symlink():
        age(path, 3600)
    store.since(ZERO)
    for check in (None, lambda job: None):
        with pytest.raises(
            DamagedFile, match=rf"{name} is not a job, and was not removed"
        ) as caught:
            store.remove(path.stem, check)
        assert (caught.value.id, caught.value.exit_code) == (path.stem, 5)
    assert path.is_symlink() or path.exists()
    store.refresh()
    store.since(ZERO)
    assert name in dict(store.bad())
    store.remove(path.stem, damaged=True)
    assert not path.is_symlink()
    assert not path.exists()
    with pytest.raises(JobNotFound):
        store.remove(path.stem, damaged=True)


@pytest.mark.slow
def test_file_that_is_being_written_is_removed_when_it_is_whole(
    opened: Open, jobs_dir: Path
) -> None:
    """A foreign writer has its second: what it writes in place is a job, and no damaged file."""
    store = opened()
    job = store.create(new("a"))
    (jobs_dir / "a.json").write_bytes(file_of(job)[:50])
    writer = threading.Timer(0.3, (jobs_dir / "a.json").write_bytes, [file_of(job)])
    writer.start()
    store.remove("a")
    writer.join()
    assert store.ids() == []


@pytest.mark.slow
def test_json_bombs_are_refused_fast(opened: Open, jobs_dir: Path) -> None:
    """FAULTS row 58: depth, digits and size cost under 100 ms each; odd files are read, as fast."""
    store = opened()
    store.create(new("good"))
    start = file_of(new("x"))[:-3]
    odd = {
        "infinity": start + b', "result": -Infinity}',
        "keys": start + b"".join(b', "k%d": 1' % n for n in range(9000)) + b', "k1": 2}',
        "all-keys": start + b', "k": 1' * 20_000 + b"}",
        "strings": start + b', "result": "' + b"\\ud800" * 40_000 + b'"}',
        "history": start + b', "history": [' + b"1," * 100_000 + b"1]}",
    }
    bombs = {
        "depth": start + b', "result": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        "digits": start + b', "result": ' + b"9" * 5000 + b"}",
        "exponent": start + b', "result": 1e999}',
        "size": start + b', "result": "' + b"x" * 300_000 + b'"}',
    }
    for id, data in (bombs | odd).items():
        path = jobs_dir / f"{id}.json"
        path.write_bytes(data.replace(b'"id": "x"', b'"id": "%s"' % id.encode()))
        age(path)
        began = time.perf_counter()
        with nullcontext() if id in odd else pytest.raises(JobctlError):
            assert store.get(id).remarks
        assert time.perf_counter() - began < (0.5 if id in odd else 0.1), id
    store.refresh()
    assert {job.id for job in store.since(ZERO).jobs} == {"good", *odd}
    assert set(dict(store.bad())) == {f"{id}.json" for id in bombs}


def test_only_regular_files_of_bounded_size_are_read(
    opened: Open, jobs_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAULTS rows 11 and 56: directories, FIFOs, sockets, links and giants are named, and neither
    opened for long nor followed."""
    store = opened()
    store.create(new("good"))
    (jobs_dir / "dir.json").mkdir()
    os.mkfifo(jobs_dir / "fifo.json")
    (tmp_path / "secret").write_bytes(file_of(new("link")))
    (jobs_dir / "link.json").symlink_to(tmp_path / "secret")
    (jobs_dir / "dangling.json").symlink_to(tmp_path / "nowhere")
    with open(jobs_dir / "giant.json", "wb") as file:
        file.truncate(1 << 30)
    with socket.socket(socket.AF_UNIX) as sock:
        monkeypatch.chdir(jobs_dir)  # the name is short, whatever the directory's
        sock.bind("sock.json")
    for name in ("dir", "fifo", "giant", "sock"):
        age(jobs_dir / f"{name}.json")
    began = time.monotonic()
    store.refresh()
    delta = store.since(ZERO)
    assert time.monotonic() - began < 2.5
    assert [job.id for job in delta.jobs] == ["good"]
    reasons = dict(store.bad())
    assert "a symbolic link" in reasons["link.json"]
    assert "a symbolic link" in reasons["dangling.json"]
    assert "over the 262144 allowed" in reasons["giant.json"]
    for name in ("dir", "fifo", "sock"):
        assert "not a regular file" in reasons[f"{name}.json"]
    with pytest.raises(Conflict):
        store.create(new("dangling"))


def test_names_that_are_no_ids_are_named(opened: Open, jobs_dir: Path) -> None:
    """FAULTS row 55: a file whose name could be no job's is counted, never opened."""
    store = opened()
    store.create(new("good"))
    for name in ("-rf.json", "a b.json", "é.json", "x" * 65 + ".json"):
        (jobs_dir / name).write_bytes(file_of(new("x")))
    (jobs_dir / ".hidden.json").write_bytes(b"")
    (jobs_dir / "notes.txt").write_bytes(b"")
    store.refresh()
    assert [job.id for job in store.since(ZERO).jobs] == ["good"]
    assert len(store.bad()) == 4
    assert {reason for _, reason in store.bad()} == {"its name is not a job id"}
    assert store.ids() == ["good"]


def test_case_twins_are_two_jobs_or_one_file(opened: Open) -> None:
    """FAULTS row 55: ids that differ in case only are never silently one."""
    store = opened()
    store.create(new("Twin"))
    try:
        store.create(new("twin"))
    except Conflict:
        assert store.ids() == ["Twin"]
    else:
        assert store.ids() == ["Twin", "twin"]


@pytest.mark.usefixtures("no_grace")
def test_good_file_that_goes_bad_leaves_readers_a_deletion(opened: Open, jobs_dir: Path) -> None:
    """A follower drops a job whose file is no job any more, and gets it back when it is mended."""
    store = opened()
    job = store.create(new("a"))
    follower = Follower(store)
    follower.step()
    (jobs_dir / "a.json").write_bytes(b"{}")
    age(jobs_dir / "a.json")
    store.refresh()
    follower.step()
    assert (follower.state(), [name for name, _ in store.bad()]) == ({}, ["a.json"])
    (jobs_dir / "a.json").write_bytes(file_of(job))
    store.refresh()
    follower.step()
    assert (follower.state(), store.bad()) == ({"a": None}, [])


def test_directory_of_a_jobs_name_is_not_removed(tmp_path: Path) -> None:
    """It is said what it is; nothing of it is touched, and the change log tells no deletion."""
    (tmp_path / "d.json").mkdir()
    (tmp_path / "d.json" / "inside").touch()
    store = DirectoryStore(tmp_path)
    with pytest.raises(StoreError, match=r"d\.json in .* is a directory.*by hand"):
        store.remove("d")
    assert (tmp_path / "d.json" / "inside").exists()
    store.close()
