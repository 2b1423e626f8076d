"""Files that a reader delivers before the log knows of them, while it cannot settle them itself."""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from jobctl.core.cursor import ZERO
from jobctl.core.filters import Filter
from jobctl.core.job import Job
from jobctl.core.jobset import JobSet
from jobctl.core.transitions import advance
from jobctl.stores.directory.lock import WriteLock
from jobctl.stores.directory.read import Settled
from jobctl.stores.directory.reconcile import Reconciler
from jobctl.stores.directory.store import DirectoryStore
from tests.stores.support import file_of, new, until

T0 = "2026-01-01T00:00:00.000Z"


def busy(store: DirectoryStore) -> None:
    """As while another process writes: the lock is never free for this reader."""
    store._reconciler.may_write = False


def test_an_empty_log_is_not_shared_with_files_it_does_not_know(tmp_path: Path) -> None:
    """Two values under one revision would make the later one invisible."""
    hub = DirectoryStore(tmp_path / "jobs", create=True, adopt=True)
    path = tmp_path / "jobs" / "x.json"
    path.write_bytes(file_of(new("x"), title="v1"))
    reader = DirectoryStore(tmp_path / "jobs")
    busy(reader)
    first = reader.since(ZERO)
    assert [job.title for job in first.jobs] == ["v1"]
    path.write_bytes(file_of(new("x"), title="v2"))
    hub.refresh()
    assert [job.title for job in hub.since(ZERO).jobs] == ["v2"]
    assert [job.title for job in reader.since(first.cursor()).jobs] == ["v2"]
    for store in (hub, reader):
        store.close()


def test_a_full_load_waits_for_a_busy_lock_where_the_log_is_empty(tmp_path: Path) -> None:
    """Or the reader has an epoch of its own at first, and loads everything twice."""
    hub = DirectoryStore(tmp_path / "jobs", create=True, adopt=True)
    (tmp_path / "jobs" / "x.json").write_bytes(file_of(new("x")))
    reader = DirectoryStore(tmp_path / "jobs")
    writer = os.open(tmp_path / "jobs" / ".jobctl", os.O_RDONLY)
    fcntl.flock(writer, fcntl.LOCK_EX)
    done = threading.Timer(0.1, os.close, [writer])
    done.start()
    first = reader.since(ZERO)
    done.join()
    assert first.epoch == hub.head().epoch
    assert [(job.id, job.revision) for job in first.jobs] == [("x", 1)]
    for store in (hub, reader):
        store.close()


def test_a_full_load_does_not_wait_for_a_stopped_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is there is shown in the end."""
    monkeypatch.setattr("jobctl.stores.directory.deltas._FIRST_RECORD_S", 0.05)
    hub = DirectoryStore(tmp_path / "jobs", create=True, adopt=True)
    (tmp_path / "jobs" / "x.json").write_bytes(file_of(new("x")))
    reader = DirectoryStore(tmp_path / "jobs")
    writer = os.open(tmp_path / "jobs" / ".jobctl", os.O_RDONLY)
    fcntl.flock(writer, fcntl.LOCK_EX)
    first = reader.since(ZERO)
    assert first.epoch != hub.head().epoch
    assert [job.id for job in first.jobs] == ["x"]
    os.close(writer)
    for store in (hub, reader):
        store.close()


def test_a_full_load_waits_until_an_error_has_passed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader that could not give a file its record at first has the epoch of the others."""
    hub = DirectoryStore(tmp_path / "jobs", create=True, adopt=True)
    (tmp_path / "jobs" / "x.json").write_bytes(file_of(new("x")))
    reader = DirectoryStore(tmp_path / "jobs")
    settle, failures = Reconciler.settle, [Settled({}, refused=True)] * 2

    def fail_first(self: Reconciler, *args: Any, **how: Any) -> Settled:
        return failures.pop() if failures else settle(self, *args, **how)

    monkeypatch.setattr(Reconciler, "settle", fail_first)
    first = reader.since(ZERO)
    assert failures == []
    assert first.epoch == hub.head().epoch
    assert [(job.id, job.revision) for job in first.jobs] == [("x", 1)]
    for store in (hub, reader):
        store.close()


def test_a_reader_that_has_loaded_an_empty_store_keeps_its_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hub reads in its event loop then, which a writer must not block; it asks again."""
    hub = DirectoryStore(tmp_path / "jobs", create=True, adopt=True)
    cursor = hub.since(ZERO).cursor()
    (tmp_path / "jobs" / "x.json").write_bytes(file_of(new("x")))
    writer = os.open(tmp_path / "jobs" / ".jobctl", os.O_RDONLY)
    fcntl.flock(writer, fcntl.LOCK_EX)
    pauses: list[float] = []
    with monkeypatch.context() as patched:
        patched.setattr("jobctl.stores.directory.deltas.time.sleep", pauses.append)
        delta = hub.since(cursor)
        assert not pauses
    assert (delta.epoch, delta.through, delta.jobs) == (cursor.epoch, 0, ())
    assert hub.refresh(), "it has to ask again"
    os.close(writer)
    until(lambda: not hub.refresh(), what="the file has its record")
    delta = hub.since(cursor)
    assert (delta.epoch, [(job.id, job.revision) for job in delta.jobs]) == (
        cursor.epoch,
        [("x", 1)],
    )
    hub.close()


def test_a_stopped_writer_hides_no_file_from_a_reader_of_an_empty_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After two seconds what is there is shown, under another epoch."""
    monkeypatch.setattr("jobctl.stores.directory.deltas._FIRST_RECORD_S", 0.05)
    hub = DirectoryStore(tmp_path / "jobs", create=True, adopt=True)
    cursor = hub.since(ZERO).cursor()
    (tmp_path / "jobs" / "x.json").write_bytes(file_of(new("x")))
    writer = os.open(tmp_path / "jobs" / ".jobctl", os.O_RDONLY)
    fcntl.flock(writer, fcntl.LOCK_EX)
    until(lambda: hub.since(cursor).jobs != (), what="the file is shown")
    assert hub.since(cursor).epoch != cursor.epoch
    os.close(writer)
    hub.close()


@pytest.mark.usefixtures("no_grace")
def test_a_loose_file_that_goes_unrecorded_is_gone_all_the_same(tmp_path: Path) -> None:
    """It was delivered, so its end has to be told."""
    store = DirectoryStore(tmp_path / "jobs", create=True)
    store.create(new("a"))
    path = tmp_path / "jobs" / "y.json"
    path.write_bytes(file_of(new("y")))
    reader = DirectoryStore(tmp_path / "jobs")
    busy(reader)
    replica = JobSet()
    replica.apply(reader.since(ZERO))
    assert {job.id for job in replica} == {"a", "y"}
    path.unlink()
    reader._reconciler.may_write = True
    reader.refresh()
    assert replica.apply(reader.since(replica.cursor))
    assert {job.id for job in replica} == {"a"}
    for opened in (store, reader):
        opened.close()


def test_a_job_put_back_unseen_leaves_the_filter_that_it_had_entered(tmp_path: Path) -> None:
    """What a foreign writer did before it was seen counts as a change of every field."""
    store = DirectoryStore(tmp_path / "jobs", create=True)
    store.create(new("x", stages=["a", "b"]))  # type: ignore[arg-type]
    store.create(new("y"))
    hub = DirectoryStore(tmp_path / "jobs", adopt=True)
    replica = JobSet()

    def follow() -> None:
        assert replica.apply(hub.since(replica.cursor))

    follow()
    store.update("x", lambda job: advance(job, "a", now=T0))
    follow()
    path = tmp_path / "jobs" / "x.json"
    at_a = path.read_bytes()
    store.update("x", lambda job: advance(job, "b", now=T0))
    chosen = Filter.make(stages=["b"])
    mine = JobSet()
    mine.apply(store.since(ZERO).filtered(chosen))
    assert [job.id for job in mine] == ["x"]
    path.write_bytes(at_a)
    store.update("y", _again)
    busy(hub)
    follow()  # past x, which no record tells the truth of
    hub._reconciler.may_write = True
    hub.refresh()
    follow()
    cursor = mine.cursor._replace(tag=chosen.tag)
    assert mine.apply(replica.since(cursor, chosen))
    assert [job.id for job in mine] == []
    for opened in (store, hub):
        opened.close()


def _again(job: Job) -> Job:
    return job.replace(title="again")


def test_the_lock_that_is_busy_is_asked_for_again(tmp_path: Path) -> None:
    """A look that came amid a write is made up for."""
    store = DirectoryStore(tmp_path / "jobs", create=True, adopt=True)
    store.create(new("a"))
    (tmp_path / "jobs" / "y.json").write_bytes(file_of(new("y")))
    state = store._place.current()
    assert state.meta is not None
    other = WriteLock((0, 0), "another process")
    with other.held(state.meta.fd):
        assert store.refresh() is True
    assert store.refresh() is False
    assert {job.id for job in store.since(ZERO).jobs} == {"a", "y"}
    store.close()
