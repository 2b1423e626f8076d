"""Whose attempt a tracked job is: what others have taken up is not written into."""

from __future__ import annotations

import errno
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from jobctl._clock import now
from jobctl.core import transitions as jobs
from jobctl.errors import StoreError
from jobctl.stores import Store, open_store
from jobctl.stores.directory.owners import DirectoryOwners
from jobctl.stores.directory.store import DirectoryStore
from jobctl.work import recorder
from jobctl.work.recorder import Recorder
from jobctl.work.track import track
from tests.stores.support import until


@pytest.fixture(autouse=True)
def attentive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for cancellations every 20 ms, where it is half a second in earnest."""
    monkeypatch.setattr(recorder, "CANCEL_POLL_S", 0.02)


def test_a_stale_worker_leaves_another_attempt_alone(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """Its job was failed and taken up again by somebody else: whatever it says is not of that."""
    with track("etl", store=store, id="a", stages=["x", "y"]) as job:
        job.stage("x")
        store.update("a", lambda old: jobs.fail(old, "given up", now=now()))
        store.update("a", lambda old: jobs.retry(old, now=now()))
        again = store.update("a", lambda old: jobs.advance(old, "y", now=now()))
        job.progress(50)
        job.stage("y")
        job.result(7)
    assert store.get("a") == again
    assert [record.getMessage() for record in caplog.records] == [
        "jobctl: job a was started anew by somebody else; the work goes on"
    ]


def test_a_job_that_was_removed_and_made_anew_is_not_ours(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """The same id, and no retry to tell them apart by."""
    with track("etl", store=store, id="a"):
        store.remove("a")
        with track("etl", store=store, id="a"):
            mine = store.get("a").replace(owner="1-0123456789ab")
            store.update("a", lambda old: mine)
    assert store.get("a").stage == "pending"
    assert len(caplog.records) == 2


def test_a_job_whose_owner_was_dropped_by_a_foreign_writer_is_still_ours(store: Store) -> None:
    """A program that keeps only the keys that it knows takes nothing from us but the name."""
    with track("etl", store=store, id="a") as job:
        store.update("a", lambda old: old.replace(owner=None))
        job.progress(50)
    assert store.get("a").stage == "completed"


def test_an_end_that_cannot_be_written_leaves_the_owner_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In strict tracking nobody tries again: the job is lost, and not nobody's for ever."""
    with closing(open_store(tmp_path / "jobs", create=True)) as store:
        tracked = track("etl", store=tmp_path / "jobs", id="a", strict=True)

        def full(*args: Any) -> None:
            raise StoreError("disk full")

        def end() -> None:
            with tracked:
                monkeypatch.setattr(DirectoryStore, "update", full)

        with pytest.raises(StoreError, match="disk full"):
            end()
        monkeypatch.undo()
        assert store.get("a").lost(store.owners.dead())


def test_a_job_without_an_owner_takes_no_other_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that could not get a name does not give back what it never had."""
    path = tmp_path / "jobs"
    with closing(open_store(path, create=True)) as store, track("etl", store=path, id="a"):
        with monkeypatch.context() as patched, track("etl", store=path, id="b"):
            patched.setattr(DirectoryOwners, "_ensure_file", _no_descriptors)
            with track("etl", store=path, id="c"):
                assert store.get("c").owner is None
        owner = store.get("a").owned_by
        assert owner is not None
        assert store.owners.request_cancel(owner, "a")
        assert store.owners.dead() == frozenset()


def _no_descriptors(owners: DirectoryOwners) -> None:
    raise OSError(errno.EMFILE, "no descriptors")


def test_a_defect_of_the_recorder_keeps_nobody_waiting(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told, and the thread goes on."""
    with track("etl", store=store, id="a", strict=True) as job:
        listen, failed = Recorder._poll_cancel_requests, []

        def broken(self: Recorder) -> None:
            if not failed:
                failed.append(1)
                raise ZeroDivisionError("a defect")
            listen(self)

        monkeypatch.setattr(Recorder, "_poll_cancel_requests", broken)
        until(lambda: bool(failed))
        job.progress(50)
    assert store.get("a").stage == "completed"
    assert "the recorder failed" in caplog.text
