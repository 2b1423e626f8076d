"""FAULTS rows 63 and 64: no read is short beside other writers, and it looks once at each file."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from jobctl.core.cursor import ZERO, Cursor
from jobctl.core.jobset import Delta, JobSet
from jobctl.stores import Store, read_all
from jobctl.stores.directory import changelog, files, index, log_rewrite, reconcile
from jobctl.stores.directory import read as read_module
from jobctl.stores.directory.files import FoundFile
from jobctl.stores.directory.lock import WriteLock
from jobctl.stores.directory.store import DirectoryStore
from tests.stores.support import Follower, compact, file_of, head, new, state, with_message

Open = Callable[..., DirectoryStore]
Act = Callable[[str], object]

RENAMED = ["a1", "a2", "a3"]


def rewrite(path: Path, id: str, **changes: object) -> None:
    """Put another file into its place by renaming, as a foreign program does."""
    value = json.loads((path / f"{id}.json").read_text()) | {"title": "theirs", **changes}
    (path / "theirs").write_text(json.dumps(value))
    os.rename(path / "theirs", path / f"{id}.json")


class Looks:
    """Counts the reads of files by readers; does something before or after those without a lock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count: Counter[str] = Counter()
        self.before: Act = lambda id: None
        self.after: Act = lambda id: None
        self._acting = False
        for module in (read_module, index):
            counted = self._counted(module.read_file, acts=module is read_module)
            monkeypatch.setattr(module, "read_file", counted)

    def _counted(
        self, real: Callable[[int, str], FoundFile | None], *, acts: bool
    ) -> Callable[..., FoundFile | None]:
        def read_file(dir_fd: int, name: str) -> FoundFile | None:
            id = name.removesuffix(".json")
            if self._acting:  # the act's own reads are no reader's
                return real(dir_fd, name)
            self.count[id] += 1
            if not acts:
                return real(dir_fd, name)
            self._act(self.before, id)
            found = real(dir_fd, name)
            self._act(self.after, id)
            return found

        return read_file

    def _act(self, act: Act, id: str) -> None:
        self._acting = True
        try:
            act(id)
        finally:
            self._acting = False


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    """The reads of files, counted."""
    return Looks(monkeypatch)


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Switches whether another process holds the write lock whenever a reader tries it."""
    real = WriteLock.tried
    held = False

    @contextmanager
    def tried(lock: WriteLock, dir_fd: int) -> Iterator[bool]:
        if held:
            yield False
            return
        with real(lock, dir_fd) as got:
            yield got

    def switch(on: bool) -> None:
        nonlocal held
        held = on

    monkeypatch.setattr(WriteLock, "tried", tried)
    return switch


@pytest.fixture
def store(opened: Open) -> DirectoryStore:
    """Three jobs that a foreign program rewrites, and two that jobctl works on."""
    store = opened()
    for id in [*RENAMED, "live", "busy"]:
        store.create(new(id))
    return store


def pages(store: Store, cursor: Cursor = ZERO, *, most: int = 50) -> tuple[JobSet, list[Delta]]:
    """What a reader holds once it has read on while there was more."""
    replica, read = JobSet(), []
    if cursor != ZERO:
        replica.epoch, replica.revision = cursor.epoch, cursor.revision
    for _ in range(most):
        delta = store.since(replica.cursor if read or cursor != ZERO else ZERO)
        assert replica.apply(delta)
        assert all(job.revision <= delta.through for job in delta.jobs)
        read.append(delta)
        if not delta.more:
            return replica, read
    raise AssertionError(f"more after {most} pages")


def ids(jobs: Any) -> set[str]:
    return {job.id for job in jobs}


# -- row 63 -----------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("writes", [0, 1, 7, 8, 9, 12, 40, 1000])
@pytest.mark.parametrize("locked", [False, True])
def test_full_load_beside_a_writer_has_every_file(
    store: DirectoryStore,
    opened: Open,
    jobs_dir: Path,
    looks: Looks,
    busy: Callable[[bool], None],
    when: str,
    writes: int,
    locked: bool,
) -> None:
    """FAULTS row 63: rewritten files are all there, however long a writer is at work meanwhile."""
    for id in RENAMED:
        rewrite(jobs_dir, id)
    left = iter(range(writes))

    def write(id: str) -> None:
        if id == "live" and (turn := next(left, None)) is not None:
            store.update("live", with_message(str(turn)))

    setattr(looks, when, write)
    busy(locked)
    replica, read = pages(opened())
    assert ids(replica) == {*RENAMED, "live", "busy"}
    assert len(read) == 1
    assert all(replica.get(id).title == "theirs" for id in RENAMED)  # type: ignore[union-attr]


def test_load_that_cannot_be_completed_says_more(
    store: DirectoryStore, opened: Open, jobs_dir: Path, looks: Looks, busy: Any
) -> None:
    """FAULTS row 63: while two jobs change faster than they can be read, no answer is the last."""
    for id in RENAMED:
        rewrite(jobs_dir, id)
    left = iter(range(300))

    def write(id: str) -> None:
        if id in ("live", "busy") and (turn := next(left, None)) is not None:
            store.update("live", with_message(str(turn)))
            store.update("busy", with_message(str(turn)))

    looks.after = write
    busy(True)
    replica, read = pages(opened())
    assert ids(replica) == {*RENAMED, "live", "busy"}
    assert len(read) > 1, "this schedule is too fast for one read"
    assert replica.get("live") == store.get("live")


def test_files_that_both_write_during_a_load_are_all_there(
    store: DirectoryStore, opened: Open, jobs_dir: Path, looks: Looks, busy: Any
) -> None:
    """FAULTS row 63: jobctl writes a job after its look, and a foreign program after that."""
    turns = iter(range(12))

    def write_and_rewrite(id: str) -> None:
        turn = next(turns, None)
        if turn is not None:
            store.update("busy", with_message(str(turn)))
            store.update(RENAMED[turn % 3], with_message(str(turn)))
            rewrite(jobs_dir, RENAMED[turn % 3], title=f"theirs {turn}")

    looks.after = write_and_rewrite
    busy(True)
    replica, _ = pages(opened())
    assert ids(replica) == {*RENAMED, "live", "busy"}


def test_cursor_does_not_pass_over_a_file_that_has_no_record_yet(
    store: DirectoryStore, opened: Open, jobs_dir: Path, busy: Any
) -> None:
    """FAULTS row 63: a job made after the cursor, and rewritten while the lock is busy."""
    read_module = opened()
    cursor = head(read_module)
    store.create(new("b1"))
    rewrite(jobs_dir, "b1")
    store.create(new("b2"))
    busy(True)
    delta = read_module.since(cursor)
    assert (ids(delta.jobs), delta.more, delta.through) == (set(), True, cursor.revision)
    assert ids(read_all(opened(), cursor).jobs) == {*RENAMED, "live", "busy", "b1", "b2"}
    busy(False)
    replica, read = pages(read_module, cursor)
    assert ids(replica) == {"b1", "b2"}
    assert read[0].since == cursor.revision


def test_cursor_of_a_reader_that_may_not_write_is_served_the_file_as_it_is(
    store: DirectoryStore, opened: Open, jobs_dir: Path
) -> None:
    """FAULTS row 63: it can never give it a record, so it does not wait for one."""
    read_module = opened()
    read_module._reconciler.may_write = False
    cursor = head(read_module)
    store.create(new("b1"))
    rewrite(jobs_dir, "b1")
    store.create(new("b2"))
    delta = read_module.since(cursor)
    assert (ids(delta.jobs), delta.more) == ({"b1", "b2"}, False)
    assert all(cursor.revision < job.revision <= delta.through for job in delta.jobs)
    assert not read_module.since(delta.cursor())
    read_module._reconciler.may_write = True
    read_module.refresh()
    again = read_module.since(delta.cursor())
    assert [(job.id, job.title) for job in again.jobs] == [("b1", "theirs")]


def test_cursor_at_the_start_of_an_epoch_is_a_full_load(opened: Open, jobs_dir: Path) -> None:
    """FAULTS row 63: ``since`` 0 says "clear first", so all that is there must be in it."""
    hub = opened(adopt=True)
    start = hub.head()
    assert start.revision == 0
    hub.create(new("a"))
    (jobs_dir / "b.json").write_bytes(file_of(new("b")))
    read_module = opened()
    read_module._reconciler.may_write = False
    assert ids(read_module.since(start).jobs) == {"a", "b"}


def test_cursor_below_the_floor_gets_every_file(
    store: DirectoryStore, opened: Open, jobs_dir: Path, busy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAULTS row 63: a reset is a full load as well, also of a compacted log."""
    cursor = head(store)
    store.create(new("gone"))
    store.remove("gone")
    monkeypatch.setattr(log_rewrite, "MAX_TOMBSTONES", 0)
    compact(store)
    rewrite(jobs_dir, "a1")
    (jobs_dir / "b1.json").write_bytes(file_of(new("b1")))
    busy(True)
    replica, read = pages(opened(), cursor)
    assert read[0].since == 0
    assert ids(replica) == {*RENAMED, "live", "busy", "b1"}


@pytest.mark.parametrize("kept", [True, False])
def test_scan_that_misses_files_is_made_again(
    opened: Open, jobs_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    """FAULTS row 63: files without a record are found by a scan alone, which may miss them while
    they are renamed (FAULTS 0.1): with a log, and in a directory that nobody keeps one in."""
    path = jobs_dir
    if kept:
        opened().create(new("ours"))
    else:
        path = tmp_path / "foreign"
        path.mkdir()
    for number in range(4):
        (path / f"f{number}.json").write_bytes(file_of(new(f"f{number}")))
    real, turns = os.listdir, iter(range(3))

    def listdir(fd: int) -> list[str]:
        turn = next(turns, None)
        missed = {f"f{turn}.json", "f3.json"} if turn is not None else set()
        os.utime(fd)  # as a rename does meanwhile
        return [name for name in real(fd) if name not in missed]

    monkeypatch.setattr(os, "listdir", listdir)
    store = opened(path, create=False)
    store._reconciler.may_write = False
    assert ids(store.since(ZERO).jobs) >= {"f0", "f1", "f2", "f3"}


def test_scan_of_a_quiet_directory_is_made_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was renamed, so nothing was missed."""
    (tmp_path / "a.json").touch()
    os.utime(tmp_path, (1, 1))
    scans, real = [], os.listdir
    monkeypatch.setattr(os, "listdir", lambda fd: (scans.append(fd), real(fd))[1])
    fd = os.open(tmp_path, os.O_RDONLY)
    assert files.job_names(fd) == {"a"}
    assert len(scans) == 1
    os.close(fd)


@pytest.mark.parametrize("locked", [True, False])
def test_files_without_a_revision_are_paged_whole(
    store: DirectoryStore, opened: Open, jobs_dir: Path, busy: Any, locked: bool
) -> None:
    """FAULTS row 63: a hub whose load came amid a write serves them to clients, page by page."""
    for number in range(30):
        (jobs_dir / f"f{number}.json").write_bytes(file_of(new(f"f{number}")))
    hub = opened(adopt=True)
    busy(locked)
    served = JobSet()
    served.apply(hub.since(ZERO))
    client, cursor = JobSet(), ZERO
    for _ in range(40):
        page = served.since(cursor, limit=600)
        assert client.apply(page)
        cursor = page.cursor()
        if not page.more:
            break
    assert ids(client) == ids(served) == {f"f{n}" for n in range(30)} | {*RENAMED, "live", "busy"}
    busy(False)
    served.apply(hub.since(served.cursor))
    assert all(job.revision == store.get(job.id).revision for job in served)


# -- row 64 -----------------------------------------------------------------------------------


def many(store: DirectoryStore, path: Path, number: int) -> list[str]:
    """So many jobs that a foreign program has rewritten since."""
    made = [f"f{place:03d}" for place in range(number)]
    for id in made:
        store.create(new(id))
    for id in made:
        rewrite(path, id)
    store.update("busy", with_message("last"))  # the newest record may be of a write in flight
    return made


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("locked", [False, True])
@pytest.mark.parametrize("behind", [False, True])
def test_read_beside_a_writer_looks_once_at_each_changed_file(
    store: DirectoryStore,
    opened: Open,
    jobs_dir: Path,
    looks: Looks,
    busy: Any,
    when: str,
    locked: bool,
    behind: bool,
) -> None:
    """FAULTS row 64: a write at each look makes no other file be read again."""
    cursor = head(store) if behind else ZERO
    made = many(store, jobs_dir, 200)
    looks.count.clear()
    writes = 0

    def write(id: str) -> None:
        nonlocal writes
        if writes < 1000:
            writes += 1
            store.update("live", with_message(str(writes)))

    setattr(looks, when, write)
    busy(locked)
    delta = opened().since(cursor)
    assert {looks.count[id] for id in made} == {1}
    assert looks.count["live"] <= 40, "it alone changed all the time"
    assert looks.count.total() <= len(made) + 40 + 5
    assert writes > 200
    if not (behind and locked):
        assert ids(delta.jobs) >= set(made)
        assert not delta.more


def test_read_looks_again_at_what_changed_meanwhile_alone(
    store: DirectoryStore, opened: Open, jobs_dir: Path, looks: Looks
) -> None:
    """FAULTS row 64: the cost is one look at each changed file and one at each change since."""
    made = many(store, jobs_dir, 100)
    looks.count.clear()
    changed = iter(made[::10])

    def write(id: str) -> None:
        if (other := next(changed, None)) is not None:
            store.update(other, with_message("ours"))

    looks.after = write
    delta = opened().since(ZERO)
    assert ids(delta.jobs) >= set(made)
    assert not delta.more
    again = {id for id in made if looks.count[id] > 1}
    assert again <= set(made[::10])
    assert looks.count.total() <= 100 + 5 + 2 * 10


def test_file_rewritten_between_look_and_lock_is_read_once_more(
    store: DirectoryStore, opened: Open, jobs_dir: Path, looks: Looks
) -> None:
    """The record is for what is there under the lock, whatever was there before."""
    rewrite(jobs_dir, "a1", title="first")
    once = iter([1])

    def rewrite_again(id: str) -> None:
        if id == "a1" and next(once, None):
            rewrite(jobs_dir, "a1", title="second", message="longer")

    looks.after = rewrite_again
    delta = opened().since(ZERO)
    assert [job.title for job in delta.jobs if job.id == "a1"] == ["second"]
    assert looks.count["a1"] == 2
    assert not opened().since(delta.cursor())


def test_unsettled_files_are_looked_at_once_when_the_lock_is_free(
    store: DirectoryStore, opened: Open, jobs_dir: Path, looks: Looks, busy: Any
) -> None:
    """FAULTS row 64: what a busy lock has left over is no cost to the reads meanwhile."""
    hub = opened(adopt=True)
    made = many(store, jobs_dir, 50)
    busy(True)
    follower = Follower(hub)
    follower.step()
    looks.count.clear()
    for number in range(5):
        store.update("live", with_message(str(number)))
        follower.step()
    assert looks.count.total() == 5
    busy(False)
    follower.step()
    assert {looks.count[id] for id in made} == {1}
    assert follower.state() == state(store)


def test_writers_have_their_turn_while_files_get_records(
    store: DirectoryStore, opened: Open, jobs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAULTS row 64, the other way round: the lock is let go of again and again."""
    many(store, jobs_dir, 20)
    monkeypatch.setattr(reconcile, "_HOLD_S", 0.0)
    holds: list[bool] = []
    real = WriteLock.tried

    @contextmanager
    def tried(lock: WriteLock, dir_fd: int) -> Iterator[bool]:
        with real(lock, dir_fd) as got:
            holds.append(got)
            yield got

    monkeypatch.setattr(WriteLock, "tried", tried)
    read_module = opened()
    delta = read_module.since(ZERO)
    assert len(holds) == 20
    assert len({job.revision for job in delta.jobs}) == len(delta.jobs) == 25
    assert not read_module.refresh()


def test_racy_file_is_looked_at_again(
    store: DirectoryStore, opened: Open, jobs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change within one tick of the file system's clock may leave the same signature."""
    monkeypatch.setattr(files, "_TICK_NS", 10**11)  # one tick is long enough for the test
    hub = opened(adopt=True)
    follower = Follower(hub)
    path = jobs_dir / "a1.json"
    path.write_bytes(file_of(new("a1"), message="1"))
    hub.refresh()
    follower.step()
    assert follower.state()["a1"] == "1"
    as_it_was = files.signature_of(os.stat(path))
    monkeypatch.setattr(
        index, "signature_of", lambda stat: as_it_was
    )  # within one tick of the clock
    path.write_bytes(file_of(new("a1"), message="2"))
    hub.refresh()
    follower.step()
    assert follower.state()["a1"] == "2"


def test_log_of_a_directory_that_only_others_write_in_is_compacted(
    store: DirectoryStore, opened: Open, jobs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hub gives each rewrite a record; what that supersedes does not stay for ever."""
    monkeypatch.setattr(changelog, "_COMPACT_FROM", 10)
    hub = opened(adopt=True)
    follower = Follower(hub)
    for number in range(100):
        rewrite(jobs_dir, "a1", message=str(number))
        hub.refresh({"a1"})
        follower.step()
        assert follower.state()["a1"] == str(number)
        log = hub._place.current().log
        assert log is not None
        assert log.count() < 40
    assert follower.resets == 1
