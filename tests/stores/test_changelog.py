"""The change log: fixed-width lines, torn tails, holes, bisection, compaction."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from zlib import crc32

import pytest

from jobctl.core.cursor import ZERO, Cursor
from jobctl.core.jobset import MAX_TOMBSTONES
from jobctl.stores.directory.changelog import DEL, LINE, PUT, Damaged, Log, Record, digest_of
from jobctl.stores.directory.place import Place
from jobctl.stores.directory.store import DirectoryStore
from tests.stores.support import Follower, compact, head, new, state, with_message

Open = Callable[..., DirectoryStore]


def record(revision: int, id: str = "a", verb: str = PUT) -> Record:
    """A record of some bytes."""
    return Record(revision, id, verb, digest_of(str(revision).encode()))


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Log]:
    """Make a log of these revisions, and open it."""

    def make(*records: Record, floor: int = 0, base: int = 0) -> Log:
        fd = os.open(tmp_path, os.O_RDONLY)
        Log.create(
            "changes", dir_fd=fd, epoch="e", floor=floor, base=base, records=records, sync=False
        )
        os.close(fd)
        return Log(os.open(tmp_path / "changes", os.O_RDWR | os.O_APPEND))

    return make


def test_every_line_has_one_width(make: Callable[..., Log], tmp_path: Path) -> None:
    """Header and records, of any id and verb, have `LINE` bytes, the last a line feed."""
    log = make(record(1, "a"), record(2, "b" * 64, "seen"))
    log.repair()
    log.append(record(9_007_199_254_740_991, "c", DEL))
    lines = (tmp_path / "changes").read_bytes().splitlines(keepends=True)
    assert [len(line) for line in lines] == [LINE] * 4
    assert all(line.endswith(b"\n") and line.isascii() for line in lines)


def test_what_is_appended_is_read(make: Callable[..., Log]) -> None:
    """Records come back as they went in, from any position on."""
    log = make(record(1), record(2, "b" * 64))
    log.repair()
    log.append(record(3, "c", DEL))
    assert log.read(0) == [record(1), record(2, "b" * 64), record(3, "c", DEL)]
    assert log.read(1, 2) == [record(2, "b" * 64)]
    assert log.read(3) == []


@pytest.mark.parametrize("left", [1, 60, 127])
def test_torn_last_line_is_passed_over_and_cut_off(
    make: Callable[..., Log], tmp_path: Path, left: int
) -> None:
    """FAULTS row 1: a reader stops before a torn line, and the next writer replaces it."""
    log = make(record(1), record(2))
    os.truncate(tmp_path / "changes", 2 * LINE + left)
    assert log.read(0) == [record(1)]
    assert log.head() == 1
    assert log.repair() == 1
    log.append(record(2, "again"))
    assert log.read(0) == [record(1), record(2, "again")]


def test_last_line_of_full_length_is_validated(make: Callable[..., Log], tmp_path: Path) -> None:
    """A line of the right length and the wrong bytes is as torn as a short one."""
    log = make(record(1), record(2))
    with open(tmp_path / "changes", "r+b") as file:
        file.seek(-LINE, os.SEEK_END)
        file.write(b"\0" * LINE)
    assert log.read(0) == [record(1)]
    assert log.repair() == 1
    assert log.count() == 1


def test_last_line_with_a_wrong_checksum_is_no_record(
    make: Callable[..., Log], tmp_path: Path
) -> None:
    """A record whose bytes are those of two writes: it reads well, and was never written."""
    log = make(record(1), record(2, "b"))
    with open(tmp_path / "changes", "r+b") as file:
        file.seek(-LINE + 15, os.SEEK_END)
        file.write(b"7")  # revision 7, under the checksum of revision 2
    assert log.head() == 1
    assert log.newest("b") is None
    assert log.after(1) == 1
    assert log.repair() == 1


@pytest.mark.parametrize("at", [1, 5, 7])
def test_hole_in_the_middle_is_damage(make: Callable[..., Log], tmp_path: Path, at: int) -> None:
    """A line that is not whole, with whole ones after it, is told apart from a torn tail."""
    log = make(*(record(revision) for revision in range(1, 10)))
    with open(tmp_path / "changes", "r+b") as file:
        file.seek((at + 1) * LINE + 20)
        file.write(b"?")
    with pytest.raises(Damaged):
        log.read(0)
    with pytest.raises(Damaged):
        log.newest_of_all()


def test_line_mended_while_it_is_read_is_no_damage(
    make: Callable[..., Log], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer may cut off a torn line and go on between our reading it and the ones after it."""
    log = make(record(1), record(2))
    os.truncate(tmp_path / "changes", 2 * LINE + 60)
    os.truncate(tmp_path / "changes", 3 * LINE)  # a whole length, of which 68 bytes are zeros
    writer = Log(os.open(tmp_path / "changes", os.O_RDWR | os.O_APPEND))
    count = log.count

    def counted() -> int:
        writer.repair()
        writer.append(record(2, "b"))
        writer.append(record(3, "c"))
        return count()

    monkeypatch.setattr(log, "count", counted)
    assert log.read(0) == [record(1)]
    monkeypatch.undo()
    assert log.read(1) == [record(2, "b"), record(3, "c")]


def test_header_is_validated(make: Callable[..., Log], tmp_path: Path) -> None:
    """A file that is no log, or whose header was cut, is damage."""
    make(record(1))
    for text in (b"", b"{}", (tmp_path / "changes").read_bytes()[: LINE - 1]):
        (tmp_path / "changes").write_bytes(text)
        with pytest.raises(Damaged):
            Log(os.open(tmp_path / "changes", os.O_RDWR))


def with_checksum(text: str) -> bytes:
    """A line of a log with this text, and the checksum that makes it whole."""
    body = text.encode("latin-1").ljust(LINE - 9)
    return b"%s %07x\n" % (body, crc32(body) & 0xFFFFFFF)


@pytest.mark.parametrize(
    "text",
    [
        "one a put 0",
        "-1 a put 0",
        "1_0 a put 0",
        "2 a put",
        "2 \xe9 put 0",
        "2 ../../secret/s seen 0",
        "2 /etc/s seen 0",
        "2 a\x1b[31m seen 0",
    ],
)
def test_line_that_is_no_record_is_damage(
    make: Callable[..., Log], tmp_path: Path, text: str
) -> None:
    """A right checksum makes no record of a line, and none names a file elsewhere (row 65)."""
    log = make(record(1))
    with open(tmp_path / "changes", "ab") as file:
        file.write(with_checksum(text))
    with pytest.raises(Damaged):
        log.read(0)
    with pytest.raises(Damaged):
        log.newest_of_all()
    assert log.head() == 1
    assert log.newest("a") == record(1)
    assert log.after(1) == 1
    assert log.repair() == 1


@pytest.mark.parametrize(
    "text", ["jobctl1 e x 0 0 0", "jobctl1 e -1 0 0 0", "jobctl1 \xe9 0 0 0 0"]
)
def test_header_with_a_right_checksum_is_validated(
    make: Callable[..., Log], tmp_path: Path, text: str
) -> None:
    """What is no header is damage, whoever wrote it (row 65)."""
    make(record(1))
    (tmp_path / "changes").write_bytes(with_checksum(text))
    with pytest.raises(Damaged):
        Log(os.open(tmp_path / "changes", os.O_RDWR))


@pytest.mark.parametrize("revision", range(14))
def test_bisection_finds_the_first_later_record(make: Callable[..., Log], revision: int) -> None:
    """`after` is the position of the first greater revision, also across burned ones."""
    revisions = [2, 3, 5, 8, 12]
    log = make(*(record(each) for each in revisions))
    assert log.after(revision) == sum(each <= revision for each in revisions)
    log.read(0)  # what it now remembers of the end changes nothing
    assert log.after(revision) == sum(each <= revision for each in revisions)


def test_newest_is_of_one_id_exactly(make: Callable[..., Log]) -> None:
    """`newest` looks from the end, and takes no id for another that contains it."""
    log = make(record(1, "a"), record(2, "ab"), record(3, "a"), record(4, "a.b"), record(5, "b-a"))
    assert log.newest("a") == record(3, "a")
    assert log.newest("a", digest_of(b"1")) == record(1, "a")
    assert log.newest("nobody") is None
    assert set(log.newest_of_all()) == {
        record(r, i) for r, i in [(2, "ab"), (3, "a"), (4, "a.b"), (5, "b-a")]
    }


def test_newest_finds_what_lies_chunks_back(
    make: Callable[..., Log], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The search goes on in earlier chunks."""
    monkeypatch.setattr("jobctl.stores.directory.changelog._CHUNK", 4)
    log = make(*(record(revision, f"j{revision}") for revision in range(1, 12)))
    assert log.newest("j1") == record(1, "j1")
    assert len(log.read(0)) == 11


def test_empty_log_continues_after_floor_and_base(make: Callable[..., Log]) -> None:
    """With every record dropped, the next revision is still greater than all before."""
    assert make(floor=7, base=9).repair() == 9
    assert make(record(3), base=9).repair() == 9
    assert make(record(3), base=9).head() == 9


# -- compaction -----------------------------------------------------------------------------


def test_compaction_keeps_state_cursors_and_revisions(opened: Open) -> None:
    """After it, an old cursor still gets exactly the difference, and revisions go on."""
    store = opened()
    for id in "abc":
        store.create(new(id))
    store.remove("c")
    follower = Follower(opened())
    follower.step()
    for round in range(20):
        store.update("a", with_message(str(round)))
    before = head(store)
    compact(store)
    assert head(store) == before
    assert {job.id for job in follower.step().jobs} == {"a"}
    assert follower.resets == 1
    assert store.update("b", with_message("next")).revision == before.revision + 1
    follower.step()
    assert follower.state() == state(store) == {"a": "19", "b": "next"}


def test_compaction_happens_by_itself(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the log is mostly superseded records a write compacts it."""
    monkeypatch.setattr("jobctl.stores.directory.changelog._COMPACT_FROM", 30)
    store, other = opened(), opened()
    store.create(new("a"))
    lines = []
    for round in range(100):
        (store if round % 2 else other).update("a", with_message(str(round)))
        lines.append((store.path / ".jobctl" / "changes").stat().st_size // LINE)  # type: ignore[operator]
    assert max(lines) <= 34
    assert state(store) == {"a": "99"}


def test_write_inside_a_change_never_compacts_the_log_away(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The outer write's record must not go into a log that the inner one has replaced."""
    monkeypatch.setattr("jobctl.stores.directory.changelog._COMPACT_FROM", 0)
    store = opened()
    for id in "ab":
        store.create(new(id))
    for round in range(5):
        before = head(store)

        def change(job):
            for _ in range(4):
                store.update("b", with_message("inner"))
            return with_message(str(round))(job)  # noqa: B023

        store.update("a", change)
        assert {job.id: job.message for job in store.since(before).jobs}["a"] == str(round)


def test_dropped_tombstones_raise_the_floor(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cursor from before a forgotten deletion gets a reset; a later one is resumed."""
    monkeypatch.setattr("jobctl.stores.directory.log_rewrite.MAX_TOMBSTONES", 2)
    assert MAX_TOMBSTONES > 2
    store = opened()
    for id in "abcd":
        store.create(new(id))
    early = head(store)
    for id in "abc":
        store.remove(id)
    late = head(store)
    compact(store)
    assert store.since(early).since == 0
    assert store.since(late).since == late.revision
    reset = store.since(early)
    assert [item.id for item in reset.gone] == ["b", "c"]
    assert reset.floor == 5


def test_full_disk_at_compaction_fails_no_write(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAULTS row 3: the write has landed, so what goes wrong afterwards is not its error."""
    monkeypatch.setattr("jobctl.stores.directory.changelog._COMPACT_FROM", 0)
    store = opened()
    store.create(new("a"))

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Log, "create", full)
    for round in range(5):
        assert store.update("a", with_message(str(round))).message == str(round)
    assert state(store) == {"a": "4"}


def test_damaged_log_is_a_new_epoch_for_one_who_adopts(opened: Open) -> None:
    """With a hole in its middle nobody can follow the log: a reset in the open."""
    hub = opened(adopt=True)
    for id in "abc":
        hub.create(new(id))
    follower = Follower(hub)
    follower.step()
    changes = hub.path / ".jobctl" / "changes"  # type: ignore[operator]
    data = bytearray(changes.read_bytes())
    data[2 * LINE + 20] ^= 1
    with open(changes, "r+b") as file:
        file.write(data)
    other = opened(adopt=True)
    delta = other.since(Cursor(follower.replica.epoch, 0))
    assert delta.since == 0
    assert delta.epoch != follower.replica.epoch
    follower.step()
    follower.step()
    assert follower.state() == state(other) == dict.fromkeys("abc")
    assert follower.replica.epoch == delta.epoch


def test_compacting_is_done_once(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log that has been replaced is not judged again, and no epoch is begun for it."""
    store = opened()
    store.create(new("a"))
    for text in "123":
        store.update("a", with_message(text))
    before = store.since(ZERO).epoch
    replaced: list[object] = []
    replace = Place.replace_log
    monkeypatch.setattr("jobctl.stores.directory.changelog._COMPACT_FROM", 0)
    monkeypatch.setattr(
        Place, "replace_log", lambda *args, **more: replaced.append(1) or replace(*args, **more)
    )
    compact(store)
    assert replaced == [1]
    assert store.since(ZERO).epoch == before
    assert state(opened()) == {"a": "3"}
