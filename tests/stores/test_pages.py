"""`Store.since` with a limit: pages that together are the unpaged read, for every store."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobctl.core.cursor import ZERO, Cursor
from jobctl.core.jobset import Delta, JobSet
from jobctl.errors import Conflict, JobNotFound
from jobctl.stores import Store, open_store, read_all, read_pages
from jobctl.stores.directory import read as read_module
from jobctl.stores.directory.changelog import PUT, Record
from jobctl.stores.directory.lock import WriteLock
from jobctl.stores.directory.store import DirectoryStore
from jobctl.stores.memory import MemoryStore
from tests.stores.conftest import KINDS
from tests.stores.support import file_of, head, new, state, with_message

Open = Callable[..., DirectoryStore]
NAMES = [f"j{number}" for number in range(8)]


def follow(
    store: Store,
    replica: JobSet,
    limit: int,
    between: Callable[[], object] = lambda: None,
    *,
    most: int = 200,
) -> list[Delta]:
    """Read pages into a replica until there are no more; `between` runs after each page."""
    cursor, snapshot_start = (replica.cursor if replica.revision else ZERO), 0
    read: list[Delta] = []
    for _ in range(most):
        page = store.since(cursor, limit, snapshot_start=snapshot_start)
        news = [*page.jobs, *page.gone]
        assert len(news) <= limit
        assert len({item.id for item in news}) == len(news)
        assert page.since in (0, cursor.revision)
        for items in (page.jobs, page.gone):
            revisions = [item.revision for item in items]
            assert revisions == sorted(revisions)
            assert all(page.since < revision <= page.through for revision in revisions)
        assert replica.apply(page)
        read.append(page)
        if not page.more:
            return read
        cursor, snapshot_start = page.cursor(), page.snapshot_start
        between()
    raise AssertionError(f"more after {most} pages")


def held(replica: JobSet) -> dict[str, str | None]:
    return {job.id: job.message for job in replica}


def act(store: Store, kind: str, id: str, text: str) -> None:
    """One change; a create of a job that exists, or a change of one that does not, does nothing."""
    try:
        if kind == "create":
            store.create(new(id))
        elif kind == "update":
            store.update(id, with_message(text))
        else:
            store.remove(id)
    except (Conflict, JobNotFound):
        pass


ACTS = st.lists(
    st.tuples(st.sampled_from(["create", "update", "update", "remove"]), st.sampled_from(NAMES)),
    max_size=25,
)


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 6, 7, 8, 9])
def test_pages_are_the_unpaged_read(store: Store, limit: int) -> None:
    """From zero and from a cursor: the same jobs and deletions, in pages of at most the limit."""
    for id in NAMES[:6]:
        store.create(new(id))
    cursor = head(store)
    store.update("j1", with_message("1"))
    store.remove("j2")
    store.update("j0", with_message("2"))
    store.update("j1", with_message("3"))
    for start in (ZERO, cursor):
        whole = store.since(start)
        replica = JobSet()
        if start != ZERO:
            replica.apply(store.since(ZERO))
            replica.epoch, replica.revision = start.epoch, start.revision
        read = follow(store, replica, limit)
        assert [job for page in read for job in page.jobs] == list(whole.jobs)
        assert [item for page in read for item in page.gone] == list(whole.gone)
        assert read[-1].cursor() == whole.cursor()
        assert [page.since == 0 for page in read] == [
            start == ZERO and number == 0 for number in range(len(read))
        ]
        count = len(whole.jobs) + len(whole.gone)
        assert len(read) == max(1, -(-count // limit))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_pages_beside_writers_converge(
    kind: str, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Whatever is written before the read, between its pages and before the next read."""
    with _store(kind, tmp_path_factory) as store:
        limit = data.draw(st.integers(1, 9))
        replica = JobSet()
        count = 0

        def write(acts: list[tuple[str, str]]) -> None:
            nonlocal count
            for what, id in acts:
                count += 1
                act(store, what, id, str(count))

        budget = 6

        def between() -> None:
            nonlocal budget
            if budget:
                budget -= 1
                write(data.draw(ACTS))

        for _ in range(data.draw(st.integers(1, 3))):
            write(data.draw(ACTS))
            follow(store, replica, limit, between)
        follow(store, replica, limit)
        assert held(replica) == state(store)
        assert replica.digest() == _digest(store)
        _resume_from_each_cursor(store, replica)


def _digest(store: Store) -> str:
    whole = JobSet()
    whole.apply(store.since(ZERO))
    return whole.digest()


def _resume_from_each_cursor(store: Store, replica: JobSet) -> None:
    """The replica tells others of the same deletions as the store itself."""
    for revision in range(1, replica.revision + 1):
        cursor = Cursor(replica.epoch, revision)
        ours, theirs = replica.since(cursor), store.since(cursor)
        assert {item.id for item in ours.gone} == {item.id for item in theirs.gone}
        assert {job.id for job in ours.jobs} == {job.id for job in theirs.jobs}


@contextmanager
def _store(kind: str, paths: pytest.TempPathFactory) -> Iterator[Store]:
    store = open_store(
        "memory:" if kind == "memory" else paths.mktemp("pages") / "jobs",
        create=True,
        adopt=kind == "adopting",
        durable=True if kind == "durable" else None,
    )
    try:
        yield store
    finally:
        store.close()


def test_job_that_changes_before_its_page_comes_once_and_later(store: Store) -> None:
    """Neither lost nor shown in the old version."""
    for id in NAMES[:4]:
        store.create(new(id))
    turns = iter([("update", "j2"), ("update", "j0"), ("remove", "j3")])

    def between() -> None:
        if (turn := next(turns, None)) is not None:
            act(store, *turn, "later")

    replica = JobSet()
    read = follow(store, replica, 1, between)
    assert held(replica) == state(store) == {"j0": "later", "j1": None, "j2": "later"}
    assert [job.id for page in read for job in page.jobs if job.id == "j2"] == ["j2"]


def test_page_says_nothing_of_skipped_versions(store: Store) -> None:
    """A later page cannot know what its reader has missed, so it must not claim to."""
    store.create(new("a"))
    cursor = head(store)
    store.update("a", with_message("1"))
    assert store.since(cursor, 5).merged is None


@pytest.fixture(params=["memory", "directory"])
def forgetful(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Store]:
    """A store that drops tombstones as soon as it can."""
    monkeypatch.setattr("jobctl.stores.directory.log_rewrite.MAX_TOMBSTONES", 0)
    monkeypatch.setattr("jobctl.stores.directory.changelog._COMPACT_FROM", -100)
    store: Store = MemoryStore(max_tombstones=0)
    if request.param == "directory":
        store = DirectoryStore(tmp_path / "jobs", create=True)
    yield store
    store.close()


def test_forgotten_deletion_between_two_pages_starts_over(forgetful: Store) -> None:
    """A job of an earlier page is deleted and its tombstone dropped: the reader drops it too."""
    store = forgetful
    for id in NAMES:
        store.create(new(id))
    turns = iter(["j0"])

    def between() -> None:
        if (id := next(turns, None)) is not None:
            store.remove(id)
            store.create(new("last"))

    replica = JobSet()
    read = follow(store, replica, 2, between)
    assert [page.since == 0 for page in read].count(True) == 2
    assert held(replica) == state(store)
    assert "j0" not in held(replica)


def test_deletions_forgotten_before_the_load_do_not_disturb_its_pages(forgetful: Store) -> None:
    """The floor is above the oldest jobs: a page below it is compared with the load's start."""
    store = forgetful
    for id in NAMES:
        store.create(new(id))
    store.remove("j5")
    store.create(new("last"))
    replica = JobSet()
    read = follow(store, replica, 1)
    assert read[0].floor > read[0].through > 0
    assert [page.since == 0 for page in read].count(True) == 1
    assert held(replica) == state(store)


def test_read_pages_brings_all_pages(store: Store) -> None:
    """`read_pages` ends with the page that has no more; joined it is `read_all`."""
    for id in NAMES:
        store.create(new(id))
    replica = JobSet()
    read = list(read_pages(store, limit=3))
    assert all(replica.apply(page) for page in read)
    assert [page.more for page in read] == [True, True, False]
    assert held(replica) == state(store)
    assert next(iter(read_pages(store, replica.cursor, limit=3))).jobs == ()
    assert read_all(store).jobs == tuple(job for page in read for job in page.jobs)


# -- the directory store --------------------------------------------------------------------


def test_page_opens_only_its_own_files(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """A load of many jobs has no more of them in memory than fit on a page, beside a writer too.

    The first file is read to see whether the last write has landed.
    """
    store = opened()
    for number in range(40):
        store.create(new(f"a{number}"))
        store.update("a0", with_message(str(number)))
    read: list[str] = []
    real = read_module.read_file

    def read_file(dir_fd: int, name: str) -> Any:
        read.append(name)
        if len(read) == 2:  # a job that is on the last page
            store.update("a0", with_message("meanwhile"))
        return real(dir_fd, name)

    monkeypatch.setattr(read_module, "read_file", read_file)
    counts: list[int] = []
    follow(opened(), JobSet(), 7, lambda: (counts.append(len(read)), read.clear()))
    assert max(counts) == 8


def test_job_that_changes_during_the_last_page_is_not_missing(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page without ``more`` is the last one only if nothing of its own was left out."""
    store = opened()
    for id in NAMES[:4]:
        store.create(new(id))
    once = iter([1])
    real = read_module.read_file

    def read_file(dir_fd: int, name: str) -> Any:
        if name == "j3.json" and next(once, None):
            store.update("j3", with_message("meanwhile"))
        return real(dir_fd, name)

    monkeypatch.setattr(read_module, "read_file", read_file)
    replica = JobSet()
    follow(opened(), replica, 9)
    assert held(replica) == {"j0": None, "j1": None, "j2": None, "j3": "meanwhile"}


@pytest.mark.parametrize("locked", [False, True])
@pytest.mark.parametrize("may_write", [False, True])
@pytest.mark.parametrize("limit", [1, 2, 3, 9])
def test_write_in_flight_does_not_hide_the_version_before(
    opened: Open, monkeypatch: pytest.MonkeyPatch, limit: int, may_write: bool, locked: bool
) -> None:
    """Its record is there and its file not yet: from zero and from a cursor, nothing is missing."""
    store = opened()
    for id in NAMES[:3]:
        store.create(new(id))
    cursor = head(store)
    before = JobSet()
    before.apply(store.since(ZERO))
    store.update("j1", with_message("1"))
    store.update("j2", with_message("2"))
    log = store._place.current().log
    assert log is not None
    log.append(Record(log.repair() + 1, "j1", PUT, "0" * 32))
    if locked:

        @contextmanager
        def tried(lock: WriteLock, dir_fd: int) -> Iterator[bool]:
            yield False

        monkeypatch.setattr(WriteLock, "tried", tried)
    reader = opened()
    reader._reconciler.may_write = may_write
    for replica in (JobSet(), before):
        follow(reader, replica, limit)
        assert held(replica) == {"j0": None, "j1": "1", "j2": "2"}
    assert cursor.epoch == before.epoch


@pytest.mark.parametrize("may_write", [True, False])
@pytest.mark.parametrize("locked", [False, True])
def test_pages_have_the_files_of_other_programs(
    opened: Open, jobs_dir: Path, monkeypatch: pytest.MonkeyPatch, may_write: bool, locked: bool
) -> None:
    """New, changed and deleted by hand: whether or not the reader can give them a record.

    No page of a full load waits for a record, the later ones neither.
    """
    store = opened()
    for id in NAMES:
        store.create(new(id))
    cursor = head(store)
    for number in range(6):
        (jobs_dir / f"f{number}.json").write_bytes(file_of(new(f"f{number}"), message="theirs"))
    (jobs_dir / "theirs").write_bytes(file_of(new("j5"), message="theirs"))
    os.rename(jobs_dir / "theirs", jobs_dir / "j5.json")
    os.unlink(jobs_dir / "j6.json")
    if locked:

        @contextmanager
        def tried(lock: WriteLock, dir_fd: int) -> Iterator[bool]:
            yield False

        monkeypatch.setattr(WriteLock, "tried", tried)
    reader = opened()
    reader._reconciler.may_write = may_write
    expected = {f"f{number}": "theirs" for number in range(6)} | dict.fromkeys(NAMES)
    expected["j5"] = "theirs"
    del expected["j6"]
    replica = JobSet()
    for page in read_pages(reader, limit=3):
        # Files without a record share a revision, so they stand on one page, the first.
        assert len(page.jobs) + len(page.gone) <= (3 if may_write and not locked else 9)
        assert replica.apply(page)
    assert held(replica) == expected
    monkeypatch.undo()
    reader._reconciler.may_write = True
    reader.refresh()
    for page in read_pages(reader, replica.cursor, limit=3):
        assert replica.apply(page)
    assert held(replica) == state(store) == expected
    assert cursor.epoch == replica.epoch


@pytest.mark.parametrize("log", [True, False])
def test_directory_without_records_is_paged(opened: Open, jobs_dir: Path, log: bool) -> None:
    """Files of other programs only, with and without a change log that we may write to."""
    jobs_dir.mkdir()
    for id in NAMES:
        (jobs_dir / f"{id}.json").write_bytes(file_of(new(id)))
    reader = opened(create=False, adopt=log)
    replica = JobSet()
    read = follow(reader, replica, 3)
    assert held(replica) == dict.fromkeys(NAMES)
    assert [page.more for page in read] == [True, True, False]
    (jobs_dir / "new.json").write_bytes(file_of(new("new")))
    reader.refresh()
    follow(reader, replica, 3)
    assert held(replica) == dict.fromkeys([*NAMES, "new"])
