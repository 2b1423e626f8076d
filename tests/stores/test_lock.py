"""The lock: one writer at a time, among threads, stores and processes."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from jobctl.errors import StoreLocked
from jobctl.stores.directory.lock import WriteLock, holder_of
from jobctl.stores.directory.store import DirectoryStore
from tests.stores.support import new, running, state, tally, until, with_message

Open = Callable[..., DirectoryStore]

RECORD = b"a record\n"
HOLD = """
def change(job):
    print("inside", flush=True)
    sys.stdin.readline()
    return with_message("held")(job)
store.update("a", change)
"""


def key_of(path: Path) -> tuple[int, int]:
    """What `WriteLock` knows a directory by."""
    stat = path.stat()
    return (stat.st_dev, stat.st_ino)


@pytest.fixture
def fd(tmp_path: Path):
    """The descriptor of an empty directory to lock."""
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


def test_lock_is_shared_by_all_stores_of_a_process(tmp_path: Path, fd: int) -> None:
    """Two stores on one directory, by whatever path, have one lock; another has its own."""
    (tmp_path / "x").mkdir()
    lock = WriteLock.of(key_of(tmp_path), "one")
    assert WriteLock.of(key_of(tmp_path), "two") is lock
    assert WriteLock.of(key_of(tmp_path / "x"), "three") is not lock


@contextmanager
def another_writer(path: Path, times: int, *, writes: bool = True) -> Iterator[None]:
    """Another holder of the lock, for so many hundredths of a second, who writes a record in each.

    It lets go at the end of the block at the latest.
    """
    other = os.open(path, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    end = threading.Event()

    def write() -> None:
        with open(path / "changes", "ab", buffering=0) as log:
            for _ in range(times):
                if writes:
                    log.write(RECORD)
                end.wait(0.01)
        os.close(other)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        end.set()
        writer.join()


@pytest.mark.parametrize("writing", [True, False])
def test_lock_is_waited_for_while_others_write(tmp_path: Path, fd: int, writing: bool) -> None:
    """On a busy machine ours may take longer than one holder has; a stopped holder is given up."""
    lock = WriteLock.of(key_of(tmp_path), "x")
    with another_writer(tmp_path, 40, writes=writing):
        if writing:
            with lock.held(fd, timeout_s=0.1):
                assert (tmp_path / "changes").stat().st_size == 40 * len(RECORD)
        else:
            with pytest.raises(StoreLocked, match=r"over 0.1 s"):
                lock.acquire(fd, timeout_s=0.1)


def test_second_thread_waits_while_others_write_too(tmp_path: Path, fd: int) -> None:
    """It waits for the first thread of its process, which waits for the other processes."""
    lock = WriteLock.of(key_of(tmp_path), "x")
    first_waits = threading.Event()

    def hold() -> None:
        first_waits.set()
        with lock.held(fd, timeout_s=0.1):
            pass

    with another_writer(tmp_path, 60), ThreadPoolExecutor() as pool:
        first = pool.submit(hold)
        assert first_waits.wait(5)
        second = pool.submit(hold)
        first.result(10)
        second.result(10)


def test_lock_is_given_up_where_others_write_for_ever(
    tmp_path: Path, fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No write may wait without an end."""
    monkeypatch.setattr("jobctl.stores.directory.lock.BUSY_TIMEOUT_S", 0.3)
    lock = WriteLock.of(key_of(tmp_path), "x")
    other = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    end = threading.Event()

    def write() -> None:
        with open(tmp_path / "changes", "ab", buffering=0) as log:
            while not end.wait(0.01):
                log.write(b"a record\n")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with pytest.raises(StoreLocked, match=r"over 0.3 s"):
            lock.acquire(fd, timeout_s=0.1)
    finally:
        end.set()
        writer.join()
        os.close(other)


def test_lock_is_reentrant_and_frees_with_the_outermost(tmp_path: Path, fd: int) -> None:
    """FAULTS row 9: the thread that holds the lock gets it again; others wait for the end."""
    lock = WriteLock.of(key_of(tmp_path), "x")

    def tried() -> bool:
        with lock.tried(fd) as got:
            return got

    with ThreadPoolExecutor(1) as other:
        with lock.held(fd):
            with lock.held(fd), lock.tried(fd) as got:
                assert got
                assert lock.nested
            assert not other.submit(tried).result()
            assert holder_of(key_of(tmp_path)) == os.getpid()
        assert other.submit(tried).result()
    assert holder_of(key_of(tmp_path)) is None


def test_two_stores_of_one_process_wait_for_each_other(opened: Open) -> None:
    """FAULTS row 9: two store objects in two threads neither deadlock nor lose an update."""
    stores = [opened(), opened()]
    stores[0].create(new("a"))

    def work(store: DirectoryStore) -> None:
        for _ in range(50):
            store.update("a", tally)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, stores))
    assert state(stores[0]) == {"a": "100"}


def test_thread_that_waits_too_long_is_told_who_holds(tmp_path: Path, fd: int) -> None:
    """A lock held by another thread of this process times out as one of another process."""
    lock = WriteLock.of(key_of(tmp_path), "here")
    with lock.held(fd), ThreadPoolExecutor(1) as other, pytest.raises(StoreLocked) as caught:
        other.submit(lock.acquire, fd, 0.01).result()
    assert caught.value.pid == os.getpid()


@pytest.mark.slow
def test_stopped_holder_is_named(
    opened: Open, jobs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAULTS row 7: a writer behind one that was stopped fails in time, and names its PID;
    readers go on with what is there, and so do writers once it is woken."""
    store = opened()
    store.create(new("a"))
    monkeypatch.setattr(WriteLock.acquire, "__defaults__", (0.3,))
    with running(HOLD, jobs_dir) as holder:
        assert holder.stdout.readline() == "inside\n"
        os.kill(holder.pid, signal.SIGSTOP)
        began = time.monotonic()
        with pytest.raises(StoreLocked, match=f"process {holder.pid} .*kill -CONT {holder.pid}"):
            store.update("a", with_message("late"))
        assert 0.2 < time.monotonic() - began < 2
        assert state(store) == state(opened(adopt=True)) == {"a": None}
        os.kill(holder.pid, signal.SIGCONT)
        holder.stdin.write("\n")
        holder.stdin.flush()
        until(lambda: state(store) == {"a": "held"})
    assert store.update("a", with_message("late")).message == "late"


@pytest.mark.slow
def test_lock_of_a_killed_holder_is_free_at_once(opened: Open, jobs_dir: Path) -> None:
    """FAULTS row 1: the next writer gets in within a second."""
    store = opened()
    store.create(new("a"))
    with running(HOLD, jobs_dir) as holder:
        assert holder.stdout.readline() == "inside\n"
        holder.kill()
        began = time.monotonic()
        store.update("a", with_message("next"))
        assert time.monotonic() - began < 1


def _child_of_a_holder(store: DirectoryStore, ready, leave) -> None:
    ready.set()
    leave.wait(20)
    store.update("a", tally)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_forked_child_keeps_no_lock(opened: Open) -> None:
    """FAULTS row 8: a child made by fork inside the lock holds none when its parent lets go, and
    can write with the same store object."""
    context = multiprocessing.get_context("fork")
    store = opened()
    store.create(new("a"))
    ready, leave = context.Event(), context.Event()
    child = context.Process(target=_child_of_a_holder, args=(store, ready, leave))

    def change(job):
        child.start()
        assert ready.wait(10)
        return tally(job)

    try:
        store.update("a", change)
        store.update("a", tally)  # the child, alive, has no copy of the lock
        leave.set()
        child.join(10)
        assert child.exitcode == 0
        assert state(store) == {"a": "3"}
    finally:
        child.kill()
        child.join()


@pytest.mark.slow
def test_child_of_a_killed_holder_frees_the_lock(opened: Open, jobs_dir: Path) -> None:
    """FAULTS row 8: kill the parent inside the lock, while its forked child lives on."""
    store = opened()
    store.create(new("a"))
    script = """
def change(job):
    if os.fork() == 0:
        time.sleep(30); os._exit(0)
    print("inside", flush=True)
    time.sleep(30)
store.update("a", change)
"""
    with running(script, jobs_dir) as holder:
        os.set_blocking(holder.stdout.fileno(), True)
        assert holder.stdout.readline() == "inside\n"
        children = Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text().split()
        holder.kill()
        try:
            began = time.monotonic()
            store.update("a", with_message("next"))
            assert time.monotonic() - began < 1
        finally:
            for pid in children:
                os.kill(int(pid), signal.SIGKILL)


@pytest.mark.slow
def test_lock_directory_deleted_while_held(opened: Open, jobs_dir: Path) -> None:
    """FAULTS row 10: whoever deletes .jobctl under a writer makes no room for a second holder
    of the new one, and what both wrote is there in the end."""
    store, other = opened(), opened()
    store.create(new("a"))
    store.create(new("b"))
    inside, leave = threading.Event(), threading.Event()

    def change(job):
        if not inside.is_set():
            inside.set()
            assert leave.wait(10)
        return with_message("first")(job)

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(store.update, "a", change)
        assert inside.wait(5)
        shutil.rmtree(jobs_dir / ".jobctl")
        other.update("b", with_message("second"))
        leave.set()
        assert writing.result(10).message == "first"
    assert state(opened()) == {"a": "first", "b": "second"}
    assert store.get("a").revision > store.get("b").revision  # both are in the new log


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_forked_child_can_subscribe(opened: Open) -> None:
    """The parent's thread is not in the child, so the child starts its own."""
    context = multiprocessing.get_context("fork")
    store = opened()
    store.create(new("a"))
    store.subscribe(lambda delta: None)
    heard = context.Event()
    child = context.Process(target=_subscribing_child, args=(store, heard))
    child.start()
    try:
        assert heard.wait(10)
        child.join(10)
        assert child.exitcode == 0
    finally:
        child.kill()
        child.join()


def _subscribing_child(store: DirectoryStore, heard: Any) -> None:
    store.subscribe(lambda delta: heard.set())
    store.update("a", tally)
    assert heard.wait(10)
    os._exit(0)


def test_lock_of_a_directory_that_was_replaced_meanwhile_is_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAULTS row 10: who waited for it writes under the lock of the one that is there by then."""
    store = DirectoryStore(tmp_path / "jobs", create=True)
    store.create(new("a"))
    meta, real, locked = tmp_path / "jobs" / ".jobctl", WriteLock.acquire, []

    def acquire(lock: WriteLock, dir_fd: int, *args: Any) -> None:
        real(lock, dir_fd, *args)
        locked.append(lock.key)
        if len(locked) == 1:
            meta.rename(tmp_path / "old")
            DirectoryStore(tmp_path / "jobs", adopt=True).close()  # another program makes it anew
            locked.clear()
            locked.append(lock.key)

    monkeypatch.setattr(WriteLock, "acquire", acquire)
    store.update("a", with_message("written"))
    assert locked == [key_of(tmp_path / "old"), key_of(meta)]
    log = (meta / "changes").read_text().splitlines()
    assert [line.split()[1:3] for line in log[1:]] == [["a", "seen"], ["a", "put"]]
    store.close()
