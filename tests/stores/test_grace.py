"""Other programs that rewrite a file in place, or remove and create it: no removal is seen.

FAULTS rows 66 and 67. The grace is a second from our first look, whatever the file's times say.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jobctl.core.cursor import ZERO, Cursor
from jobctl.errors import JobNotFound
from jobctl.stores import read_all
from jobctl.stores.directory import lookup, reconcile
from jobctl.stores.directory import read as reading
from jobctl.stores.directory.files import FoundFile
from jobctl.stores.directory.store import DirectoryStore
from tests.stores.support import Follower, age, file_of, new, until, with_message

Open = Callable[..., DirectoryStore]


@pytest.fixture
def seen(opened: Open, jobs_dir: Path) -> DirectoryStore:
    """A store that knows the file of another program, written some time ago."""
    store = opened(adopt=True)
    (jobs_dir / "f.json").write_bytes(file_of(new("f"), message="1"))
    age(jobs_dir / "f.json")
    store.refresh()
    return store


@contextmanager
def truncated_at_its_old_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each look finds an empty file with its old times, as Linux shows it for an instant."""
    real = reading.read_file

    def torn(dir_fd: int, name: str) -> FoundFile | None:
        found = real(dir_fd, name)
        if found is None or name != "f.json":
            return found
        inode, modified, changed, _ = found.signature
        return found._replace(data=b"", signature=(inode, modified, changed, 0))

    with monkeypatch.context() as patch:
        for module in ("read", "index", "lookup"):
            patch.setattr(f"jobctl.stores.directory.{module}.read_file", torn)
        yield


def test_truncated_file_with_an_old_time_is_no_removal(
    seen: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """5,014 of 5,098 torn reads had the time of the version before."""
    follower = Follower(seen)
    follower.step()
    with truncated_at_its_old_time(monkeypatch):
        monkeypatch.setattr(reconcile, "signature_of", lambda stat: (0, 0, 0, 0))
        assert seen.refresh({"f"}) is True  # wants another look
        follower.step()
        assert follower.state() == {"f": "1"}
        assert seen.bad() == []


def test_read_of_all_waits_for_a_file_to_be_whole(
    seen: DirectoryStore, opened: Open, jobs_dir: Path
) -> None:
    """It has no version from before to go on with."""
    data = (jobs_dir / "f.json").read_bytes()
    (jobs_dir / "f.json").write_bytes(data[:30])
    timer = threading.Timer(0.2, (jobs_dir / "f.json").write_bytes, [data])
    timer.start()
    delta = read_all(opened())
    timer.join()
    assert [job.message for job in delta.jobs] == ["1"]


def test_file_that_was_no_job_long_ago_is_not_waited_for(
    seen: DirectoryStore, opened: Open, jobs_dir: Path
) -> None:
    """Two looks say so."""
    (jobs_dir / "f.json").write_bytes(b"{")
    age(jobs_dir / "f.json")
    reader = opened()
    reader._reconciler.may_write = False
    began_s = time.monotonic()
    assert read_all(reader).jobs == ()
    assert time.monotonic() - began_s < 0.9
    assert [name for name, _ in reader.bad()] == ["f.json"]


@pytest.mark.parametrize("verb", ["seen", "put"])
def test_file_that_is_removed_and_created_is_no_removal(
    seen: DirectoryStore, jobs_dir: Path, verb: str
) -> None:
    """50 to 350 ms apart; readers that stay see no deletion, and then the new version."""
    if verb == "put":
        seen.update("f", with_message("by jobctl"))
    follower = Follower(seen)
    follower.step()
    os.unlink(jobs_dir / "f.json")
    assert seen.refresh({"f"}) is True
    assert not follower.step().gone
    (jobs_dir / "f.json").write_bytes(file_of(new("f"), message="2"))
    until(lambda: not seen.refresh({"f"}))
    delta = follower.step()
    assert (delta.gone, follower.state(), follower.resets) == ((), {"f": "2"}, 1)


def test_file_that_stays_away_is_gone_after_a_second(seen: DirectoryStore, jobs_dir: Path) -> None:
    """Not before, and not long after."""
    follower = Follower(seen)
    follower.step()
    began_s = time.monotonic()
    os.unlink(jobs_dir / "f.json")
    while follower.state():
        seen.refresh({"f"})
        follower.step()
        assert time.monotonic() - began_s < 2
        time.sleep(0.02)
    assert time.monotonic() - began_s >= 0.9


@pytest.mark.parametrize("since", ["zero", "a cursor"])
def test_one_shot_read_waits_for_a_file_to_be_created_again(
    seen: DirectoryStore, opened: Open, jobs_dir: Path, since: str
) -> None:
    """``ls``, and ``ls --cursor``, which hears of no removal either."""
    cursor = read_all(seen).cursor()
    os.unlink(jobs_dir / "f.json")
    data = file_of(new("f"), message="2")
    timer = threading.Timer(0.3, (jobs_dir / "f.json").write_bytes, [data])
    timer.start()
    reader = opened()
    if since == "a cursor":
        reader.refresh()
    delta = read_all(reader, cursor if since == "a cursor" else ZERO)
    timer.join()
    assert delta.gone == ()
    if since == "zero":
        assert [job.message for job in delta.jobs] == ["2"]
    reader.refresh()
    later = read_all(reader, Cursor(cursor.epoch, cursor.revision))
    assert (later.since, [job.message for job in later.jobs]) == (cursor.revision, ["2"])


def test_one_shot_read_believes_after_a_second_that_a_file_is_gone(
    seen: DirectoryStore, opened: Open, jobs_dir: Path
) -> None:
    """It records that, so the next one does not wait."""
    os.unlink(jobs_dir / "f.json")
    assert read_all(opened()).jobs == ()
    began_s = time.monotonic()
    assert read_all(opened()).jobs == ()
    assert time.monotonic() - began_s < 0.5


@pytest.mark.parametrize("act", ["get", "update"])
def test_act_on_a_file_that_is_created_again_waits_for_it(
    seen: DirectoryStore, jobs_dir: Path, act: str
) -> None:
    """``show`` and ``progress`` find the job; without one they say so after a second."""
    os.unlink(jobs_dir / "f.json")
    data = file_of(new("f"), message="2")
    timer = threading.Timer(0.2, (jobs_dir / "f.json").write_bytes, [data])
    timer.start()
    done = seen.get("f") if act == "get" else seen.update("f", with_message("3"))
    timer.join()
    assert done.message == ("2" if act == "get" else "3")
    os.unlink(jobs_dir / "f.json")
    with pytest.raises(JobNotFound):
        seen.get("f") if act == "get" else seen.update("f", with_message("4"))


def test_job_that_never_was_is_not_waited_for(seen: DirectoryStore) -> None:
    """The error comes at once."""
    began_s = time.monotonic()
    with pytest.raises(JobNotFound):
        seen.get("nobody")
    with pytest.raises(JobNotFound):
        seen.update("nobody", with_message("x"))
    assert time.monotonic() - began_s < lookup.TORN_GRACE_S / 2


@pytest.mark.parametrize("log", [True, False])
def test_idle_files_rewritten_in_place_are_never_gone(
    opened: Open, jobs_dir: Path, *, log: bool
) -> None:
    """Python's ``open("w")`` on idle files, beside a reader that never rests."""
    jobs_dir.mkdir()
    names = [f"f{number}" for number in range(20)]
    for name in names:
        (jobs_dir / f"{name}.json").write_bytes(file_of(new(name), message="0"))
        age(jobs_dir / f"{name}.json")
    store = opened(create=False, adopt=log)
    follower = Follower(store)
    follower.step()
    stop = threading.Event()

    def rewrite() -> None:
        for round in range(30):
            for name in names:
                with open(jobs_dir / f"{name}.json", "w") as file:
                    file.write(file_of(new(name), message=str(round)).decode())
                age(jobs_dir / f"{name}.json")
        stop.set()

    writer = threading.Thread(target=rewrite)
    writer.start()
    while not stop.is_set():
        store.refresh()
        assert not follower.step().gone
        assert len(follower.state()) == len(names)
    writer.join()
    until(lambda: follower.step() is not None and not store.refresh())  # without a log a read looks
    follower.step()
    assert follower.state() == dict.fromkeys(names, "29")
