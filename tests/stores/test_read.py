"""The lock-free read: writes in flight, burned records, foreign edits, the cut."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jobctl.core.cursor import ZERO
from jobctl.core.job import Job
from jobctl.stores.directory import changelog, files, index, lookup, reconcile
from jobctl.stores.directory import read as reading
from jobctl.stores.directory import write as write_module
from jobctl.stores.directory.changelog import DEL, PUT, Record, digest_of
from jobctl.stores.directory.files import FoundFile
from jobctl.stores.directory.index import Look
from jobctl.stores.directory.read import DirectoryRead, Settled
from jobctl.stores.directory.store import DirectoryStore
from tests.stores.support import (
    Follower,
    age,
    compact,
    file_of,
    head,
    messages,
    new,
    state,
    until,
    with_message,
)

Open = Callable[..., DirectoryStore]


class Killed(BaseException):
    """Stands for kill -9: no handler of the store may run."""


def crash(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Run the act, and die between its record and its file."""

    def die(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(write_module, "publish", die)
        patch.setattr(os, "unlink", die)
        with pytest.raises(Killed):
            act()


def at_each_look(
    monkeypatch: pytest.MonkeyPatch,
    *,
    before: Callable[[str], object] = lambda id: None,
    after: Callable[[str], object] = lambda id: None,
) -> None:
    """Do something just before, or just after, a reader reads the file of an id."""
    real = reading.read_file

    def current(dir_fd: int, name: str) -> FoundFile | None:
        before(name.removesuffix(".json"))
        found = real(dir_fd, name)
        after(name.removesuffix(".json"))
        return found

    monkeypatch.setattr(reading, "read_file", current)


def read_only(store: DirectoryStore) -> DirectoryStore:
    """A reader that may not write, as another user's would."""
    store._reconciler.may_write = False
    return store


@pytest.fixture
def store(opened: Open) -> DirectoryStore:
    """A store with three jobs."""
    store = opened()
    for id in "abc":
        store.create(new(id))
    return store


# -- in flight, burned ----------------------------------------------------------------------


def test_write_in_flight_ends_the_delta_before_it(
    store: DirectoryStore, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last record without its file is not passed, and the file is not shown without it."""
    reader = Follower(read_only(opened()))
    reader.step()
    store.update("b", with_message("landed"))
    crash(monkeypatch, lambda: store.update("a", with_message("in flight")))
    delta = reader.step()
    assert messages(delta) == {"b": "landed"}
    assert delta.through == store.get("b").revision
    assert not reader.step()


def test_write_in_flight_hides_nothing_of_a_full_load(
    store: DirectoryStore, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first read in that moment gets the version before."""
    store.update("a", with_message("before"))
    crash(monkeypatch, lambda: store.update("a", with_message("in flight")))
    assert state(read_only(opened())) == {"a": "before", "b": None, "c": None}


def test_write_that_lands_during_the_read_is_delivered(
    store: DirectoryStore, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader that found a record without its file looks once more before it gives up."""
    cursor = head(store)
    reader = opened()
    log = store._place.current().log
    data = file_of(new("a"), message="landed")
    log.append(Record(log.repair() + 1, "a", PUT, digest_of(data)))

    def land(looks: dict[str, Look]) -> Settled:
        (store.path / "a.json").write_bytes(data)  # type: ignore[operator]
        return Settled({}, refused=False)

    monkeypatch.setattr(reader._reconciler, "settle", land)
    assert messages(reader.since(cursor)) == {"a": "landed"}


@pytest.mark.parametrize("writable", [True, False])
def test_burned_record_is_crossed_once(
    store: DirectoryStore, opened: Open, monkeypatch: pytest.MonkeyPatch, writable: bool
) -> None:
    """FAULTS row 1: a record whose write died stops nobody, and is looked at no more."""
    reader = opened() if writable else read_only(opened())
    follower = Follower(reader)
    follower.step()
    crash(monkeypatch, lambda: store.update("a", with_message("burned")))
    if not writable:
        store.update("b", with_message("next"))
    follower.step()
    assert reader.behind(follower.replica.cursor) == 0
    assert not follower.step()
    assert follower.state() == state(store) == {"a": None, "b": store.get("b").message, "c": None}
    assert follower.resets == 1


def test_burned_revision_is_never_used_again(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAULTS row 1: the next write takes a greater one."""
    before = head(store).revision
    crash(monkeypatch, lambda: store.update("a", with_message("burned")))
    assert store.update("a", with_message("next")).revision >= before + 2


@pytest.mark.parametrize("writable", [True, False])
def test_half_done_deletion_leaves_the_job(
    store: DirectoryStore, opened: Open, monkeypatch: pytest.MonkeyPatch, writable: bool
) -> None:
    """FAULTS row 1: a deletion that died before its unlink deleted nothing."""
    follower = Follower(opened() if writable else read_only(opened()))
    follower.step()
    crash(monkeypatch, lambda: store.remove("a"))
    store.update("b", with_message("next"))
    follower.step()
    assert follower.state() == state(store) == {"a": None, "b": "next", "c": None}


def test_get_tells_the_revision_of_what_it_read(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest record may be of a write that never came: its number is not this version's."""
    revision = store.update("a", with_message("before")).revision
    crash(monkeypatch, lambda: store.update("a", with_message("burned")))
    assert (store.get("a").message, store.get("a").revision) == ("before", revision)


# -- foreign edits --------------------------------------------------------------------------


def test_foreign_edit_gets_a_revision(store: DirectoryStore, opened: Open, jobs_dir: Path) -> None:
    """A file that somebody else rewrote is delivered under a new revision, to every reader."""
    followers = [Follower(store), Follower(opened()), Follower(read_only(opened()))]
    for follower in followers:
        follower.step()
    data = file_of(new("a"), message="foreign", revision=1)
    (jobs_dir / "a.json").write_bytes(data)
    assert store.refresh({"a"}) is False
    for follower in followers:
        assert messages(follower.step()) == {"a": "foreign"}
    assert (jobs_dir / "a.json").read_bytes() == data


@pytest.mark.usefixtures("no_grace")
def test_foreign_file_and_deletion_are_found_by_a_full_refresh(
    store: DirectoryStore, jobs_dir: Path
) -> None:
    """New files, rewritten ones and deletions are all recorded, once."""
    follower = Follower(store)
    follower.step()
    (jobs_dir / "d.json").write_bytes(file_of(new("d"), message="new"))
    (jobs_dir / "a.json").write_bytes(file_of(new("a"), message="other"))
    (jobs_dir / "b.json").unlink()
    store.refresh()
    delta = follower.step()
    assert messages(delta) == {"a": "other", "d": "new"}
    assert [item.id for item in delta.gone] == ["b"]
    store.refresh()
    assert not follower.step()


def test_two_who_adopt_at_once_record_it_once(
    store: DirectoryStore, opened: Open, jobs_dir: Path
) -> None:
    """FAULTS row 20: the second hub finds the record of the first."""
    hubs = [opened(adopt=True), opened(adopt=True)]
    cursor = head(store)
    (jobs_dir / "d.json").write_bytes(file_of(new("d")))
    for hub in hubs:
        hub.refresh()
    deltas = [hub.since(cursor) for hub in hubs]
    assert deltas[0] == deltas[1]
    assert deltas[0].through == cursor.revision + 1


def test_reader_that_may_not_write_shows_foreign_files_at_a_load(
    store: DirectoryStore, opened: Open, jobs_dir: Path
) -> None:
    """It cannot record what it finds, but a full load leaves nothing out."""
    (jobs_dir / "d.json").write_bytes(file_of(new("d"), message="foreign"))
    (jobs_dir / "a.json").write_bytes(file_of(new("a"), message="edited"))
    reader = read_only(opened())
    assert state(reader) == {"a": "edited", "b": None, "c": None, "d": "foreign"}


def test_a_b_a_is_three_versions(store: DirectoryStore, opened: Open, jobs_dir: Path) -> None:
    """A file that comes back to old bytes is new again: no reader is left with the middle one."""
    first = (jobs_dir / "a.json").read_bytes()
    started = head(store)
    store.update("a", with_message("B"))
    middle = Follower(opened())
    middle.step()
    (jobs_dir / "a.json").write_bytes(first)
    store.refresh({"a"})
    assert messages(middle.step()) == {"a": None}
    delta = store.since(started)
    assert messages(delta) == {"a": None}
    assert delta.jobs[0].revision == delta.through == started.revision + 2


def test_a_b_a_behind_everybodys_back_meets_the_next_write(
    store: DirectoryStore, opened: Open, jobs_dir: Path
) -> None:
    """Our own write over it is based on what lies there."""
    first = (jobs_dir / "a.json").read_bytes()
    store.update("a", with_message("B"))
    (jobs_dir / "a.json").write_bytes(first)
    seen: list[str | None] = []

    def change(job: Job) -> Job:
        seen.append(job.message)
        return with_message("C")(job)

    store.update("a", change)
    assert seen == [None]
    assert state(opened()) == {"a": "C", "b": None, "c": None}


@pytest.mark.usefixtures("no_grace")
@pytest.mark.parametrize("logged", [True, False])
def test_scan_that_misses_a_live_file_deletes_nothing(
    opened: Open, jobs_dir: Path, monkeypatch: pytest.MonkeyPatch, logged: bool
) -> None:
    """FAULTS 0.1: a lock-free scan may miss files; only a look-up by name tells of a deletion."""
    store = opened()
    if logged:
        store.create(new("a"))
    else:
        (jobs_dir / "a.json").write_bytes(file_of(new("a")))
    follower = Follower(store)
    follower.step()
    real = os.listdir
    with monkeypatch.context() as patch:
        patch.setattr(os, "listdir", lambda fd: [n for n in real(fd) if n != "a.json"])
        store.refresh()
        follower.step()
        assert follower.state() == {"a": None}
        assert store.since(follower.replica.cursor).gone == ()
        if logged:
            assert store.behind(follower.replica.cursor) == 0  # nor is one recorded
    (jobs_dir / "a.json").unlink()
    store.refresh()
    follower.step()
    assert follower.state() == {}


# -- torn foreign files ---------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("adopt", [False, True])
def test_torn_file_keeps_its_last_good_value_until_it_is_whole(
    store: DirectoryStore, opened: Open, jobs_dir: Path, adopt: bool
) -> None:
    """A file in the middle of being written is no news; whole, it is."""
    reader = opened(adopt=adopt)
    follower = Follower(reader)
    follower.step()
    data = file_of(new("a"), message="whole")
    (jobs_dir / "a.json").write_bytes(data[:40])
    assert reader.refresh({"a"}) is True  # wants another look
    follower.step()
    assert follower.state() == dict.fromkeys("abc")
    assert reader.bad() == []
    (jobs_dir / "a.json").write_bytes(data)
    until(lambda: reader.refresh({"a"}) is False, deadline_s=1)
    follower.step()
    assert follower.state()["a"] == "whole"
    assert follower.resets == 1


@pytest.mark.slow
def test_torn_file_is_quarantined_after_a_second(store: DirectoryStore, jobs_dir: Path) -> None:
    """What stays torn is named as bad, and its job is gone, not before 1 s and not long after."""
    follower = Follower(store)
    follower.step()
    began = time.monotonic()
    (jobs_dir / "a.json").write_bytes(b'{"id": "a", ')
    while "a" in follower.state():
        store.refresh({"a"})
        follower.step()
        assert time.monotonic() - began < 2
        time.sleep(0.02)
    assert time.monotonic() - began >= 0.9
    assert [name for name, _ in store.bad()] == ["a.json"]
    (jobs_dir / "a.json").write_bytes(file_of(new("a"), message="mended"))
    store.refresh({"a"})
    follower.step()
    assert follower.state()["a"] == "mended"
    assert store.bad() == []


@pytest.mark.slow
def test_file_written_to_for_ever_is_reported_all_the_same(
    store: DirectoryStore, jobs_dir: Path
) -> None:
    """The grace counts from our first look: a writer that never finishes does not extend it."""
    follower = Follower(store)
    follower.step()
    began = time.monotonic()
    size = 10
    while "a" in follower.state():
        (jobs_dir / "a.json").write_bytes(b"{" * (size := size + 1))
        store.refresh({"a"})
        follower.step()
        assert time.monotonic() - began < 2


def test_old_torn_file_has_no_grace(store: DirectoryStore, jobs_dir: Path) -> None:
    """A file that has lain there torn for long is nobody's work in progress."""
    (jobs_dir / "d.json").write_bytes(b"{")
    age(jobs_dir / "d.json")
    assert store.refresh() is False
    store.since(ZERO)
    assert [name for name, _ in store.bad()] == ["d.json"]


@pytest.mark.slow
def test_update_waits_for_a_torn_file_to_be_whole(
    store: DirectoryStore, jobs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`update` neither fails at once nor overwrites what a foreign writer is writing."""
    data = file_of(new("a"), message="theirs", title="kept")
    (jobs_dir / "a.json").write_bytes(data[:50])
    real = lookup.time.sleep

    def finish(seconds: float) -> None:
        (jobs_dir / "a.json").write_bytes(data)
        real(seconds)

    monkeypatch.setattr(lookup.time, "sleep", finish)
    job = store.update("a", with_message("ours"))
    assert (job.title, job.message) == ("kept", "ours")


def test_scan_without_a_log_keeps_a_torn_file_too(
    tmp_path: Path, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory that nobody keeps a log in is followed by the same rule."""
    path = tmp_path / "foreign"
    path.mkdir()
    data = file_of(new("a"), message="1")
    (path / "a.json").write_bytes(data)
    reader = opened(path, create=False)
    follower = Follower(reader)
    follower.step()
    (path / "a.json").write_bytes(data[:30])
    follower.step()
    assert follower.state() == {"a": "1"}
    (path / "a.json").write_bytes(file_of(new("a"), message="2"))
    follower.step()
    assert follower.state() == {"a": "2"}
    (path / "a.json").unlink()
    until(lambda: bool(follower.step().gone))
    assert follower.state() == {}
    assert follower.resets == 1
    assert os.listdir(path) == []


# -- the cut --------------------------------------------------------------------------------


def test_nothing_delivered_is_newer_than_through(
    store: DirectoryStore, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writes that land between the log and the files, round after round, never overtake it."""
    follower = Follower(opened())
    follower.step()
    rounds = iter(range(6))

    def write(id: str) -> None:
        if (round := next(rounds, None)) is not None:
            store.update("a", with_message(f"a{round}"))
            store.update("bc"[round % 2], with_message(f"x{round}"))

    store.update("a", with_message("start"))
    at_each_look(monkeypatch, before=write)
    for _ in range(3):
        follower.step()  # asserts it
    monkeypatch.undo()
    follower.step()
    assert follower.state() == state(store)


def test_log_that_never_stands_still_still_yields_a_true_past(
    store: DirectoryStore, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a bounded number of looks the read ends at a revision whose state it knows whole."""
    log: list[tuple[int, str, str]] = []

    def write(id: str, text: str) -> None:
        log.append((store.update(id, with_message(text)).revision, id, text))

    reader = opened()
    follower = Follower(reader)
    follower.step()
    real = DirectoryRead._read_tail

    def racing(reading: DirectoryRead) -> list[str]:
        write("abc"[len(log) % 3], str(len(log)))
        return real(reading)

    for _ in range(5):
        with monkeypatch.context() as patch:
            patch.setattr(DirectoryRead, "_read_tail", racing)
            delta = follower.step()
        at_cut: dict[str, str | None] = dict.fromkeys("abc")
        for revision, id, text in log:
            if revision <= delta.through:
                at_cut[id] = text
        assert follower.state() == at_cut
    follower.step()
    assert follower.state() == state(store)


def test_full_load_that_writers_are_faster_than_lacks_nothing(
    store: DirectoryStore, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What changed after its end was there before it: whoever waits for it to go is not told so."""
    count = 0

    def write(id: str) -> None:
        nonlocal count
        count += 1
        if count % 20:  # they draw breath now and then
            store.update("a", with_message(str(count)))

    for _ in range(5):
        with monkeypatch.context() as patch:
            at_each_look(patch, after=write)
            before = head(store).revision
            delta = opened().since(ZERO)
        assert delta.since == 0
        assert delta.through >= before
        assert not delta.more
        assert {job.id for job in delta.jobs} == set("abc")
        assert all(job.revision <= delta.through for job in delta.jobs)
    assert count > 40


def test_merged_ids_are_those_with_several_records(store: DirectoryStore) -> None:
    """Of these nobody can say what they were in between; of others the delta is exact."""
    cursor = head(store)
    store.update("a", with_message("1"))
    store.update("a", with_message("2"))
    store.update("b", with_message("1"))
    assert store.since(cursor).merged == frozenset("a")


def test_compaction_merges_everything(store: DirectoryStore) -> None:
    """Below its base superseded records are missing: any id may have been merged."""
    cursor = head(store)
    store.update("a", with_message("1"))
    compact(store)
    assert store.since(cursor).merged is None
    later = head(store)
    store.update("b", with_message("1"))
    assert store.since(later).merged == frozenset()


def test_reader_survives_a_compaction_in_the_middle(
    store: DirectoryStore, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log that is read may be replaced meanwhile; the read still ends in the truth."""
    follower = Follower(opened())
    follower.step()
    store.update("a", with_message("1"))
    once = iter([1])

    def write(id: str) -> None:
        if next(once, None):
            store.update("a", with_message("2"))
            compact(store)
            store.update("a", with_message("3"))

    at_each_look(monkeypatch, before=write)
    follower.step()
    follower.step()
    assert follower.state() == state(store)
    assert follower.resets == 1


def test_full_load_parses_the_log_once(
    store: DirectoryStore, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the index has just read, the read need not read again."""
    parsed: list[bytes] = []
    real = changelog._record
    reader = opened()
    monkeypatch.setattr(changelog, "_record", lambda line: (parsed.append(line), real(line))[1])
    reader.since(ZERO)
    assert len(parsed) <= 3 + 2  # and the last line, for the head


def test_deleted_record_of_a_job_that_lies_there_is_corrected(
    store: DirectoryStore, opened: Open
) -> None:
    """Whatever the log says, what lies in the directory is the state."""
    log = store._place.current().log
    log.append(Record(log.repair() + 1, "a", DEL, "0" * 32))
    assert state(opened()) == dict.fromkeys("abc")


def test_reader_that_may_not_write_asks_once(
    store: DirectoryStore, jobs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on with what it finds; each read would fail at the same place again."""
    asked: list[bool] = []

    @contextmanager
    def refused(*, compact: bool) -> Iterator[None]:
        asked.append(compact)
        raise PermissionError(errno.EACCES, "Permission denied")
        yield

    monkeypatch.setattr(store._access, "tried", refused)
    for text in ("x", "y", "z"):
        (jobs_dir / "f.json").write_bytes(file_of(new("f"), message=text))
        store.refresh({"f"})
        assert state(store)["f"] == text
    assert len(asked) == 1


def test_racy_file_of_another_program_is_read_again(
    store: DirectoryStore, jobs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second write within the clock's step may leave the very same signature."""
    (jobs_dir / "f.json").write_bytes(file_of(new("f"), message="1"))
    frozen = os.stat(jobs_dir / "f.json")
    monkeypatch.setattr(index, "signature_of", lambda stat: (1, 2, 3, 4))
    monkeypatch.setattr(reconcile, "signature_of", lambda stat: (1, 2, 3, 4))
    monkeypatch.setattr(files, "signature_of", lambda stat: (1, 2, 3, 4))
    store.refresh()
    cursor = head(store)
    (jobs_dir / "f.json").write_bytes(file_of(new("f"), message="2"))
    assert os.stat(jobs_dir / "f.json").st_size == frozen.st_size
    store.refresh()
    assert messages(store.since(cursor)) == {"f": "2"}
