"""FAULTS rows 56 and 57: whose directory it is, and who may read what we write."""

from __future__ import annotations

import gc
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from jobctl.config import user_file
from jobctl.core import transitions as jobs
from jobctl.core.cursor import ZERO
from jobctl.errors import JobNotFound, NotObeyed, StoreError
from jobctl.stores.directory.store import DirectoryStore
from tests.stores.support import (
    T0,
    compact,
    file_of,
    head,
    new,
    plant_owner,
    run,
    state,
    with_message,
)

Open = Callable[..., DirectoryStore]

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give files away")


def mode(path: Path) -> int:
    """The permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.slow
@pytest.mark.parametrize("umask", [0o000, 0o077, 0o777])
def test_umask_widens_nothing(jobs_dir: Path, umask: int) -> None:
    """FAULTS row 57: 0700 and 0600 whatever the umask, sockets and log too."""
    script = f"""
import shutil
from jobctl.hub.last_served import LastServed
from tests.stores.support import compact
store.close(); shutil.rmtree(sys.argv[1])
os.umask(0o{umask:o})
store = open_store(sys.argv[1], create=True)
store.create(new("a")); store.update("a", with_message("x")); store.listen()
fd = os.open(sys.argv[1] + "/odd.json", os.O_WRONLY | os.O_CREAT, 0o600)
os.fchmod(fd, 0o600); os.write(fd, b'{{"stage": "load"}}'); os.close(fd)
store.refresh()
LastServed(sys.argv[1]).write(store.head(), ())
for round in range(2):
    compact(store)
os._exit(0)
"""
    result = run(script, jobs_dir)
    assert result.returncode == 0, result.stderr
    paths = [jobs_dir, *jobs_dir.rglob("*")]
    names = {path.name for path in paths if path.is_file()}
    assert names >= {".gitignore", "mark", "changes", "guesses", "served", "a.json"}
    for path in paths:
        assert mode(path) == (0o700 if path.is_dir() else 0o600), path


def test_directory_of_others_is_left_as_it_is(tmp_path: Path, opened: Open) -> None:
    """FAULTS row 57: a directory that we did not make is never chmod-ed; a rewrite keeps the
    file's mode."""
    path = tmp_path / "made"
    path.mkdir(mode=0o755)
    store = opened(path)
    store.create(new("a"))
    (path / "a.json").chmod(0o664)
    store.update("a", with_message("x"))
    store.create(new("b"))
    assert (mode(path), mode(path / "a.json"), mode(path / "b.json")) == (0o755, 0o664, 0o600)
    assert store.created is False


@root_only
def test_rewrite_keeps_group_and_owner(jobs_dir: Path, opened: Open) -> None:
    """A file shared with a group stays shared with it."""
    store = opened()
    store.create(new("a"))
    os.chown(jobs_dir / "a.json", 1234, 4321)
    store.update("a", with_message("x"))
    found = (jobs_dir / "a.json").stat()
    assert (found.st_uid, found.st_gid) == (1234, 4321)


def test_directory_that_all_may_write_is_read_only_for_us(tmp_path: Path, opened: Open) -> None:
    """FAULTS row 56: in a 0777 directory anybody may plant files: read, never write."""
    path = tmp_path / "open"
    path.mkdir()
    path.chmod(0o777)
    reader = opened(path)
    with pytest.raises(StoreError, match=r"can be written by everybody.*chmod o-w"):
        reader.create(new("a"))
    assert state(reader) == {}
    assert os.listdir(path) == []


@root_only
def test_directory_of_another_user_is_read_only_for_us(jobs_dir: Path, opened: Open) -> None:
    """FAULTS row 56: another user's directory is listed, never written."""
    opened().create(new("a"))
    os.chown(jobs_dir, 1234, 1234)
    reader = opened(create=False)
    cursor = head(reader)
    with pytest.raises(StoreError, match=r"belongs to another user \(uid 1234\)"):
        reader.update("a", with_message("x"))
    with pytest.raises(StoreError, match="another user"):
        opened(adopt=True)
    assert not reader.since(cursor)


@root_only
@pytest.mark.parametrize("how", ["others", "everybody", "group"])
def test_order_that_others_may_change_is_not_gone_on_with(
    jobs_dir: Path, opened: Open, how: str
) -> None:
    """FAULTS rows 56 and 65: ``.jobctl`` may be open where the directory is not (``chmod -R``)."""
    opened().create(new("a"))
    meta = jobs_dir / ".jobctl"
    if how == "others":
        os.chown(meta, 1234, 1234)
    elif how == "everybody":
        meta.chmod(0o777)
    else:
        os.chown(meta, 0, 4321)
        meta.chmod(0o770)
    store = opened()
    with pytest.raises(StoreError, match=r"is not ours alone.*chmod 700"):
        store.create(new("b"))
    assert list(state(store)) == ["a"]
    os.chown(meta, 0, 0)
    meta.chmod(0o700)
    store.create(new("b"))


@pytest.mark.parametrize("name", [".jobctl", ".jobctl/changes", ".jobctl/mark", ".jobctl/next"])
def test_planted_links_are_not_followed(
    jobs_dir: Path, tmp_path: Path, opened: Open, name: str
) -> None:
    """FAULTS row 56: a link in the place of our own files leads nobody out of the directory."""
    outside = tmp_path / "outside"
    if name == ".jobctl":
        outside.mkdir()
        jobs_dir.mkdir()
    else:
        outside.write_bytes(b"precious")
        opened().create(new("a"))
        (jobs_dir / name).unlink(missing_ok=True)
    (jobs_dir / name).symlink_to(outside)
    store = opened()
    with suppress(StoreError):
        store.create(new("b"))
    store.since(ZERO)
    if name == ".jobctl":
        assert os.listdir(outside) == []
    else:
        assert outside.read_bytes() == b"precious"


@root_only
@pytest.mark.slow
def test_reader_without_permission_to_write_follows(jobs_dir: Path, opened: Open) -> None:
    """A user who may only read gets jobs and changes, and leaves nothing behind."""
    store = opened()
    store.create(new("a"))
    for path in [jobs_dir, *jobs_dir.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    for parent in jobs_dir.parents:
        if parent.stat().st_uid == os.getuid() and not parent.stat().st_mode & 0o001:
            parent.chmod(0o755)  # those of pytest; how many there are depends on how it was started
    before = sorted(jobs_dir.rglob("*"))
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.setgroups([])
            os.setgid(1234)
            os.setuid(1234)
            reader = DirectoryStore(jobs_dir)
            first = reader.since(ZERO)
            again = reader.since(first.cursor())
            if [job.id for job in first.jobs] == ["a"] and not again and again.since:
                status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert sorted(jobs_dir.rglob("*")) == before


def test_descriptors_return_to_baseline(opened: Open, tmp_path: Path) -> None:
    """FAULTS, invariant I9: stores, listeners and subscriptions that are closed leave nothing."""
    descriptors = Path("/proc/self/fd")
    if not descriptors.exists():
        pytest.skip("needs /proc")
    gc.collect()  # of what other tests left
    baseline = len(os.listdir(descriptors))
    for round in range(3):
        store = DirectoryStore(tmp_path / str(round), create=True)
        store.create(new("a"))
        listener = store.listen()
        store.subscribe(lambda delta: None)
        for _ in range(5):
            store.update("a", with_message("x"))
            store.since(ZERO)
            compact(store)
        listener.close()
        store.close()
        del store, listener
    assert len(os.listdir(descriptors)) == baseline
    assert os.listdir(tmp_path / "0" / ".jobctl" / "bell") == []


# -- obeyed or only read ---------------------------------------------------------------------


@pytest.fixture
def own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own settings, which are empty yet."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    path = user_file()
    path.parent.mkdir(parents=True)
    path.touch()
    return path


@root_only
def test_command_is_obeyed_by_owner_and_mode(
    jobs_dir: Path, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAULTS row 65: of the directory, and of the very file that was read."""
    opened().create(new("a"))
    store = opened(create=False)
    assert store.get_runnable("a") == store.get("a")
    with pytest.raises(JobNotFound):
        store.get_runnable("b")
    for path in (jobs_dir, jobs_dir / "a.json"):
        mode_before = mode(path)
        os.chown(path, 1234, 1234)
        with pytest.raises(NotObeyed, match=r"uid 1234.*safe-directories = \[") as caught:
            store.get_runnable("a")
        assert caught.value.path == str(path)
        monkeypatch.setenv("SUDO_UID", "1234")
        assert store.get_runnable("a").id == "a"
        monkeypatch.setenv("SUDO_UID", "1235")
        with pytest.raises(NotObeyed):
            store.get_runnable("a")
        os.chown(path, 0, 4321)  # a group that the database does not know
        assert store.get_runnable("a").id == "a"
        path.chmod(mode_before | 0o020)
        with pytest.raises(NotObeyed, match="the group gid 4321 can write to it"):
            store.get_runnable("a")
        path.chmod(mode_before | 0o002)
        with pytest.raises(NotObeyed, match="everybody can write to it"):
            store.get_runnable("a")
        path.chmod(mode_before)
        assert store.get_runnable("a").id == "a"


@root_only
def test_command_is_of_the_file_that_was_judged(
    jobs_dir: Path, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAULTS row 65: a file that is exchanged between the reading and the look at its owner."""
    store = opened()
    store.create(new("a"))
    theirs = file_of(jobs.report(new("a"), now=T0, message="evil"))
    mine = (jobs_dir / "a.json").read_bytes()
    looks: list[str] = []
    real = store._lookup._get

    def exchange(id: str):
        """What is read is theirs at first; what is judged afterwards is mine."""
        looks.append(id)
        if len(looks) > 1:
            return real(id)
        (jobs_dir / "other").write_bytes(theirs)
        os.chown(jobs_dir / "other", 1234, 1234)
        os.rename(jobs_dir / "other", jobs_dir / "a.json")
        found = real(id)
        (jobs_dir / "other").write_bytes(mine)
        os.rename(jobs_dir / "other", jobs_dir / "a.json")
        return found

    monkeypatch.setattr(store._lookup, "_get", exchange)
    assert store.get_runnable("a").message is None
    assert len(looks) == 2


@root_only
def test_directory_that_is_exchanged_meanwhile_is_judged_again(
    jobs_dir: Path, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAULTS row 65: nor is a whole directory taken for the one that was judged."""
    store = opened()
    store.create(new("a"))
    theirs = jobs_dir.with_name("theirs")
    theirs.mkdir()
    (theirs / "a.json").write_bytes(file_of(jobs.report(new("a"), now=T0, message="evil")))
    os.chown(theirs, 1234, 1234)
    real = store._lookup._get

    def exchange(id: str):
        os.rename(jobs_dir, jobs_dir.with_name("mine"))
        os.rename(theirs, jobs_dir)
        return real(id)

    monkeypatch.setattr(store._lookup, "_get", exchange)
    with pytest.raises(NotObeyed, match="uid 1234"):
        store.get_runnable("a")


@root_only
def test_safe_directory_is_obeyed_and_written(jobs_dir: Path, opened: Open, own_file: Path) -> None:
    """FAULTS row 65: what the settings call safe is as good as one's own."""
    opened().create(new("a"))
    for path in (jobs_dir, *jobs_dir.rglob("*")):
        os.chown(path, 1234, 1234)
    jobs_dir.chmod(0o777)
    with pytest.raises(StoreError, match="belongs to another user"):
        opened(create=False).update("a", with_message("x"))
    own_file.write_text(f'safe-directories = ["{jobs_dir.parent}"]\n')
    store = opened(create=False)
    assert store.get_runnable("a").id == "a"
    store.update("a", with_message("x"))
    assert state(store) == {"a": "x"}
    assert (jobs_dir / "a.json").stat().st_uid == 1234
    store.listen().close()
    own_file.write_text("no toml [")
    with pytest.raises(StoreError, match="belongs to another user"):
        opened(create=False).update("a", with_message("y"))


@root_only
def test_reader_makes_no_socket_where_others_can_write(jobs_dir: Path, opened: Open) -> None:
    """FAULTS row 65: between making one and its mode, they could put a link in its place."""
    store = opened()
    store.create(new("a"))
    store.listen().close()
    meta = jobs_dir / ".jobctl"
    os.chown(meta, 1234, 1234)
    with pytest.raises(StoreError, match=r"has no bell for us: it belongs to .*uid 1234"):
        store.listen()
    os.chown(meta, 0, 0)
    meta.chmod(0o777)
    with pytest.raises(StoreError, match=r"has no bell for us: .*everybody"):
        store.listen()


OWNER = "1-aaaaaaaaaaaa"


@pytest.mark.parametrize("how", ["link to the directory", "link", "second name", "others'"])
def test_owner_is_not_called_by_a_name_that_leads_elsewhere(
    jobs_dir: Path, tmp_path: Path, opened: Open, how: str
) -> None:
    """FAULTS row 65: ``cancel`` added the id as a line to a file of one's own."""
    store = opened()
    store.create(new("a"))
    plant_owner(jobs_dir, OWNER)
    owners = jobs_dir / ".jobctl" / "owners"
    precious = tmp_path / "home"
    precious.mkdir()
    (precious / OWNER).write_text("precious\n")
    if how == "link to the directory":
        (owners / OWNER).unlink()
        owners.rmdir()
        owners.symlink_to(precious)
    elif how == "link":
        (owners / OWNER).unlink()
        (owners / OWNER).symlink_to(precious / OWNER)
    elif how == "second name":
        (owners / OWNER).unlink()
        os.link(precious / OWNER, owners / OWNER)
    else:
        (jobs_dir / ".jobctl").chmod(0o777)
    assert store.owners.request_cancel(OWNER, "a") is False
    assert (precious / OWNER).read_text() == "precious\n"


def test_owner_is_called_in_a_directory_of_ones_own(jobs_dir: Path, opened: Open) -> None:
    """FAULTS row 65: the refusals above are for a reason."""
    store = opened()
    store.create(new("a"))
    plant_owner(jobs_dir, OWNER)
    assert store.owners.request_cancel(OWNER, "a") is True
    assert (jobs_dir / ".jobctl" / "owners" / OWNER).read_text().endswith("\na\n")
    assert store.owners.request_cancel("2-aaaaaaaaaaaa", "a") is False
