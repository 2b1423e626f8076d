"""The place: what makes an epoch, and what ends one."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from jobctl.core.cursor import ZERO
from jobctl.errors import StoreError, StoreMissing
from jobctl.stores.directory import place as place_module
from jobctl.stores.directory.store import DirectoryStore
from tests.stores.support import Follower, head, new, state, with_message

Open = Callable[..., DirectoryStore]


@pytest.fixture
def store(opened: Open) -> DirectoryStore:
    """A store with two jobs."""
    store = opened()
    for id in "ab":
        store.create(new(id))
    return store


def test_epoch_lasts_over_processes(store: DirectoryStore, opened: Open) -> None:
    """A store opened again continues the cursors of the one before."""
    cursor = head(store)
    store.close()
    again = opened()
    assert again.since(cursor).since == cursor.revision
    assert again.create(new("c")).revision == cursor.revision + 1


def test_boot_without_an_id_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sandbox hides it, and asking in the way of macOS gets no answer either."""
    (tmp_path / "sysctl").write_text("#!/bin/sh\nexit 255\n")
    (tmp_path / "sysctl").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    def hidden(path: str) -> str:
        raise FileNotFoundError(path)

    monkeypatch.setattr(place_module, "first_line", hidden)
    assert place_module.boot_id.__wrapped__() == "unknown"


def test_reader_makes_nothing(tmp_path: Path, opened: Open) -> None:
    """One who only reads leaves a directory as it was, mode and all."""
    path = tmp_path / "foreign"
    path.mkdir(mode=0o755)
    (path / "x.txt").write_text("x")
    reader = opened(path, create=False)
    assert state(reader) == {}
    assert reader.refresh() is False
    assert sorted(os.listdir(path)) == ["x.txt"]
    assert path.stat().st_mode & 0o777 == 0o755


def test_missing_directory_is_named(tmp_path: Path, opened: Open) -> None:
    """A reader of nothing is told where it looked, also when it vanishes later."""
    with pytest.raises(StoreMissing, match="nothing-here"):
        opened(tmp_path / "nothing-here", create=False)
    store = opened()
    shutil.rmtree(tmp_path / "jobs")
    with pytest.raises(StoreMissing):
        store.since(ZERO)


def test_file_is_no_directory(tmp_path: Path, opened: Open) -> None:
    """A path that is a file is refused by name."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="is not a directory"):
        opened(tmp_path / "file", create=False)


@pytest.mark.parametrize("adopt", [False, True])
@pytest.mark.parametrize("writes", [0, 9])
def test_restored_copy_is_a_new_epoch(
    store: DirectoryStore, opened: Open, tmp_path: Path, adopt: bool, writes: int
) -> None:
    """FAULTS row 12: an old copy put back is never taken for a continuation, also when its
    counter has overtaken the reader's cursor before the reader looks."""
    path = tmp_path / "jobs"
    subprocess.run(["cp", "-a", path, tmp_path / "copy"], check=True)
    follower = Follower(opened(adopt=adopt))
    follower.step()
    store.update("a", with_message("newer"))
    store.remove("b")
    follower.step()
    shutil.rmtree(path)
    subprocess.run(["cp", "-a", tmp_path / "copy", path], check=True)
    for round in range(writes):
        opened().update("b", with_message(str(round)))
    for _ in range(2):
        follower.step()
    assert follower.resets == 2
    assert follower.state() == {"a": None, "b": "8" if writes else None}


def test_copy_over_the_living_directory_is_a_new_epoch(
    store: DirectoryStore, opened: Open, tmp_path: Path
) -> None:
    """FAULTS row 12: `cp -a` into the same inodes changes the mark's change time."""
    path = tmp_path / "jobs"
    subprocess.run(["cp", "-a", path, tmp_path / "copy"], check=True)
    hub = opened(adopt=True)
    follower = Follower(hub)
    follower.step()
    store.update("a", with_message("newer"))
    follower.step()
    subprocess.run(["cp", "-a", f"{tmp_path}/copy/.", path], check=True)
    hub.refresh()
    follower.step()
    assert follower.resets == 2
    assert follower.state() == {"a": None, "b": None}


@pytest.mark.parametrize("what", [".jobctl", ".jobctl/mark", ".jobctl/changes"])
def test_wiped_bookkeeping_is_a_new_epoch(
    store: DirectoryStore, opened: Open, tmp_path: Path, what: str
) -> None:
    """FAULTS row 12: without its mark or its log, alone or together, a store starts anew."""
    old = head(store)
    target = tmp_path / "jobs" / what
    shutil.rmtree(target) if target.is_dir() else target.unlink()
    writer = opened()
    writer.update("a", with_message("after"))
    for reader in (store, writer, opened()):
        delta = reader.since(old)
        assert delta.since == 0
        assert delta.epoch != old.epoch
        assert {job.id for job in delta.jobs} == {"a", "b"}
        assert not reader.since(delta.cursor())


def test_wiped_directory_is_a_new_epoch(
    store: DirectoryStore, opened: Open, tmp_path: Path
) -> None:
    """FAULTS row 12: an emptied directory is told as a reset, not as silence."""
    hub = opened(adopt=True)
    old = head(hub)
    for name in os.listdir(tmp_path / "jobs"):
        target = tmp_path / "jobs" / name
        shutil.rmtree(target) if target.is_dir() else target.unlink()
    delta = hub.since(old)
    assert (delta.since, delta.jobs) == (0, ())
    assert delta.epoch != old.epoch


def test_bare_copy_of_the_log_is_not_believed(
    store: DirectoryStore, opened: Open, tmp_path: Path
) -> None:
    """The log names its own inode, so that a copy beside the right mark is no continuation."""
    old = head(store)
    meta = tmp_path / "jobs" / ".jobctl"
    shutil.copy(meta / "changes", meta / "copy")
    os.rename(meta / "copy", meta / "changes")
    assert opened(adopt=True).since(old).since == 0


@pytest.mark.parametrize("durable", [False, True])
def test_boot_ends_the_epoch_unless_durable(
    opened: Open, monkeypatch: pytest.MonkeyPatch, durable: bool
) -> None:
    """A power cut may take back revisions that were not synced: the next boot starts anew."""
    store = opened(durable=durable)
    store.create(new("a"))
    old = head(store)
    monkeypatch.setattr(place_module, "boot_id", lambda: "another boot")
    again = opened(adopt=True)
    assert (again.since(old).since == old.revision) is durable
    assert state(again) == {"a": None}


def test_moved_directory_is_the_same_store(
    store: DirectoryStore, opened: Open, tmp_path: Path
) -> None:
    """A rename of the whole directory changes no inode: cursors stay good."""
    old = head(store)
    os.rename(tmp_path / "jobs", tmp_path / "moved")
    assert opened(tmp_path / "moved").since(old).since == old.revision
    with pytest.raises(StoreMissing):
        store.since(old)


def test_becoming_durable_is_a_new_epoch(store: DirectoryStore, opened: Open) -> None:
    """A store opened as durable is so from its first write on, for everybody after."""
    old = head(store)
    opened(durable=True).update("a", with_message("safe"))
    assert store.since(old).since == 0
    assert opened()._place.current().durable


def test_want_of_descriptors_is_no_missing_log(
    store: DirectoryStore, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log that cannot be opened just now is there all the same: no new epoch."""
    old = head(store)
    real = os.open

    def refuse(path, flags, *args, **kwargs):
        if path == "changes":
            raise OSError(24, "Too many open files")
        return real(path, flags, *args, **kwargs)

    again = opened(create=False)
    again.close()
    monkeypatch.setattr(os, "open", refuse)
    for call in (lambda: again.update("a", with_message("x")), lambda: again.since(old)):
        with pytest.raises(StoreError, match="too many open files"):
            call()
    monkeypatch.undo()
    assert again.since(old).since == old.revision


def test_jobctls_own_folder_is_not_for_git(opened: Open, jobs_dir: Path) -> None:
    """A directory of jobs may lie in a repository; log, sockets and owners are of this machine."""
    opened().create(new("a"))
    file = jobs_dir / ".jobctl" / ".gitignore"
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("*\n", 0o600)
