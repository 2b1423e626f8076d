"""Following a directory without a hub: file events where they work, scans where they do not."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobctl.core.filters import Filter
from jobctl.reader import from_store as from_store_module
from jobctl.reader.wait import wait_async
from jobctl.stores import Store, file_watcher, open_store
from tests.hub.network import Reader, new_job, until

TIME = "2026-01-02T03:04:05.000Z"


def write(directory: Path, id: str, title: str, **fields: object) -> None:
    """Write a job file as a program does that knows nothing of jobctl: in place."""
    times = {"createdAt": TIME, "updatedAt": TIME}
    value = {"id": id, "type": "etl", "stage": "pending", "title": title, **times}
    (directory / f"{id}.json").write_text(json.dumps({**value, **fields}))


def replace(directory: Path, id: str, title: str) -> None:
    """Write a job file by rename."""
    write(directory, "new", title)
    text = (directory / "new.json").read_text().replace('"new"', f'"{id}"')
    (directory / "new.json").unlink()
    (directory / "new.tmp").write_text(text)
    (directory / "new.tmp").rename(directory / f"{id}.json")


@pytest.fixture(params=["no change log", "change log"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A directory with the job ``a1`` of another program, as a reader opens it."""
    directory = tmp_path / "jobs"
    directory.mkdir()
    write(directory, "a1", "one")
    if request.param == "change log":
        adopting = open_store(directory, adopt=True)
        adopting.refresh()
        adopting.close()
    store = open_store(directory)
    yield store
    store.close()


@pytest.fixture
def scans(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The times at which all files were checked."""
    times: list[float] = []
    refresh = store.refresh

    def counted(ids: set[str] | None = None) -> bool:
        if ids is None:
            times.append(time.monotonic())
        return refresh(ids)

    monkeypatch.setattr(store, "refresh", counted)
    return times


@pytest.fixture(autouse=True)
def haste(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scans every 0.8 s without a watch, where it is 2 s in earnest."""
    assert from_store_module._UNWATCHED_SCAN_S == 2
    monkeypatch.setattr(from_store_module, "_UNWATCHED_SCAN_S", 0.8)


@pytest.fixture
def unwatchable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's limit of watches is reached."""

    def refuse(*_: object) -> None:
        raise OSError("OS file watch limit reached. about []")

    monkeypatch.setattr("watchfiles.main.RustNotify", refuse)


async def watched(scans: list[float]) -> None:
    """Wait until the directory is watched: then all files are checked once more."""
    await until(lambda: len(scans) >= 2, 3)


async def takes_s(condition: Callable[[], object], within_s: float) -> float:
    """Return how long the condition took to become true."""
    began_s = time.monotonic()
    await until(condition, within_s)
    return time.monotonic() - began_s


@pytest.mark.slow
async def test_each_kind_of_foreign_write_shows_within_a_second(
    store: Store, scans: list[float]
) -> None:
    """In place, by rename, a new file, and a deletion; without a scan of all files."""
    directory = store.path
    assert directory is not None
    async with Reader.of_store(store) as reader:
        await watched(scans)
        before = len(scans)
        for number in range(3):
            write(directory, "a1", f"in place {number}")
            await until(lambda n=number: reader.set.get("a1").title == f"in place {n}", 1)
            replace(directory, "a1", f"renamed {number}")
            await until(lambda n=number: reader.set.get("a1").title == f"renamed {n}", 1)
        write(directory, "b1", "another")
        await until(lambda: "b1" in reader.contents, 1)
        (directory / "a1.json").unlink()
        await until(lambda: set(reader.contents) == {"b1"}, 3)  # a second of grace
        if store.head().revision:
            assert len(scans) == before
    assert reader.resets == 1


@pytest.mark.slow
async def test_an_idle_directory_is_not_scanned(
    store: Store, scans: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the watch is set up, neither the files are checked nor the store is read."""
    assert from_store_module._SCAN_S == 30
    reads: list[object] = []
    since = store.since
    monkeypatch.setattr(store, "since", lambda cursor: reads.append(cursor) or since(cursor))
    async with Reader.of_store(store) as reader:
        await watched(scans)
        await asyncio.sleep(0.5)
        before = len(scans), len(reads)
        await asyncio.sleep(1.5)
        assert (len(scans), len(reads)) == before
        assert len(scans) == 2
        assert len(reader.deltas) == 1


@pytest.mark.slow
async def test_all_files_are_scanned_from_time_to_time(
    store: Store, scans: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event that is lost costs latency only."""
    monkeypatch.setattr(from_store_module, "_SCAN_S", 1.0)
    monkeypatch.setattr(file_watcher.FileWatcher, "take", lambda watcher: set())
    directory = store.path
    assert directory is not None
    async with Reader.of_store(store) as reader:
        await until(lambda: reader.deltas)
        write(directory, "a1", "two")
        await until(lambda: reader.set.get("a1").title == "two", 4)
        write(directory, "a1", "three")
        await until(lambda: reader.set.get("a1").title == "three", 4)
    assert all(later - earlier > 0.7 for earlier, later in itertools.pairwise(scans))


@pytest.mark.slow
@pytest.mark.usefixtures("unwatchable")
async def test_where_it_cannot_be_watched_all_files_are_scanned_often(
    store: Store, scans: list[float]
) -> None:
    """The limit of watches is reached: changes come later, but they come."""
    directory = store.path
    assert directory is not None
    async with Reader.of_store(store) as reader:
        await until(lambda: reader.deltas)
        write(directory, "a1", "two")
        await until(lambda: reader.set.get("a1").title == "two", 2)
        (directory / "a1.json").unlink()
        await until(lambda: reader.contents == {}, 4)  # a second of grace
    gaps = [later - earlier for earlier, later in itertools.pairwise(scans)]
    assert gaps
    assert all(0.75 < gap < 2 for gap in gaps), gaps


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["nfs4", None])
async def test_a_file_system_whose_events_may_be_missing_is_scanned_often(
    store: Store, scans: list[float], monkeypatch: pytest.MonkeyPatch, kind: str | None
) -> None:
    """Another machine's writes cause no event here; this machine's writes still do."""
    monkeypatch.setattr(file_watcher, "kind_of", lambda *_: kind)
    directory = store.path
    assert directory is not None
    async with Reader.of_store(store) as reader:
        await watched(scans)
        write(directory, "a1", "two")
        await until(lambda: reader.set.get("a1").title == "two", 1)
        await until(lambda: len(scans) >= 4, 6)


@pytest.mark.slow
@pytest.mark.usefixtures("unwatchable")
async def test_own_changes_need_no_watch(tmp_path: Path) -> None:
    """The bell tells of what jobctl writes."""
    writer = open_store(tmp_path, create=True)
    writer.create(new_job("a1"))
    async with Reader.of_store(writer) as reader:
        await until(lambda: reader.deltas)
        for number in range(3):
            writer.create(new_job(f"b{number}"))
            await until(lambda n=number: f"b{n}" in reader.contents, 0.3)
    writer.close()


@pytest.mark.slow
async def test_a_file_that_stays_half_written_loses_its_job(store: Store) -> None:
    """No event follows the last one; so the file is checked again."""
    directory = store.path
    assert directory is not None
    async with Reader.of_store(store) as reader:
        await until(lambda: reader.deltas)
        await asyncio.sleep(1)
        (directory / "a1.json").write_text('{"id"')
        await until(lambda: reader.contents == {}, 3)
        assert [bad.name for bad in store.bad()] == ["a1.json"]


@pytest.mark.slow
async def test_the_directory_that_takes_the_place_of_another_is_watched(
    store: Store, scans: list[float]
) -> None:
    """FAULTS row 12: all its jobs show, and then each change within a second."""
    directory = store.path
    assert directory is not None
    async with Reader.of_store(store) as reader:
        await watched(scans)
        directory.rename(directory.with_name("old"))
        directory.mkdir()
        write(directory, "b1", "one")
        await until(lambda: set(reader.contents) == {"b1"}, 3)
        await asyncio.sleep(1)
        write(directory, "b1", "two")
        await until(lambda: reader.set.get("b1").title == "two", 1)


@pytest.mark.slow
async def test_waiting_ends_within_a_second_of_a_foreign_write(store: Store) -> None:
    """`wait` follows in the same way."""
    directory = store.path
    assert directory is not None
    waiting = asyncio.create_task(wait_async(store, "a1"))
    await asyncio.sleep(1)
    write(directory, "a1", "one", stage="completed")
    assert await takes_s(waiting.done, 1) < 1
    assert waiting.result().met


@pytest.mark.slow
async def test_going_on_from_a_cursor_sees_foreign_writes(tmp_path: Path) -> None:
    """Those made before it, by the first check, and those made after it, by their events."""
    writer = open_store(tmp_path, create=True)
    writer.create(new_job("a1", title="one"))
    one = Filter.make(ids=["a1"])
    async with Reader.of_store(writer, filter=one) as reader:
        await until(lambda: reader.deltas)
        held, cursor = reader.set, reader.cursor
    write(tmp_path, "a1", "two")
    async with Reader.of_store(writer, filter=one, cursor=cursor) as reader:
        reader.set = held
        await until(lambda: reader.deltas and held.get("a1").title == "two", 1)
        await asyncio.sleep(1)
        write(tmp_path, "a1", "three")
        await until(lambda: held.get("a1").title == "three", 1)
        assert reader.resets == 0
    writer.close()


@pytest.mark.slow
async def test_a_defect_of_the_watch_is_not_hidden(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends the reader with its error."""

    async def die(_: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(file_watcher.FileWatcher, "_watch", die)
    reader = Reader.of_store(store)
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(reader.task, 5)
