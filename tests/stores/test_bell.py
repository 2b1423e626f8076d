"""The bell: it wakes who waits, never blocks who rings, and may be lost."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jobctl.errors import StoreError
from jobctl.stores.bell import Bell, MemoryBell
from jobctl.stores.directory.bell import DirectoryBell
from jobctl.stores.directory.store import DirectoryStore
from tests.stores.support import PRELUDE, environment, new, with_message

LISTEN = (
    PRELUDE
    + """
listener = store.listen()
print("listening", flush=True)
while True: print(listener.wait(60), flush=True)
"""
)


@pytest.fixture(params=["memory", "directory"])
def bell(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bell]:
    """A bell of each kind."""
    made = MemoryBell() if request.param == "memory" else DirectoryBell(str(tmp_path / "bell"))
    yield made
    made.close()


@contextmanager
def listening(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that listens on the store in the directory, and tells of each ring."""
    with subprocess.Popen(
        [sys.executable, "-c", LISTEN, path],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as process:
        try:
            assert process.stdout.readline() == "listening\n"
            yield process
        finally:
            process.kill()


# -- what every bell promises ---------------------------------------------------------------


def test_every_listener_wakes(bell: Bell) -> None:
    """One ring reaches all who listen, and is over once drained."""
    listeners = [bell.listen() for _ in range(3)]
    bell.ring()
    assert [listener.wait(1) for listener in listeners] == [True] * 3
    assert [listener.wait(0) for listener in listeners] == [False] * 3
    for listener in listeners:
        listener.close()


def test_ring_before_the_wait_is_not_lost(bell: Bell) -> None:
    """A ring that comes while nobody waits wakes the next wait at once."""
    listener = bell.listen()
    bell.ring()
    bell.ring()
    assert listener.drain() == 2
    bell.ring()
    assert listener.wait(5)
    listener.close()


def test_ring_without_listeners_is_fine(bell: Bell) -> None:
    """Nobody needs to listen."""
    bell.ring()
    bell.listen().close()
    bell.ring()
    assert bell.lost <= 1


def test_closed_listener_leaves_nothing(bell: Bell) -> None:
    """Closing twice is fine; waiting afterwards ends at once; the others hear on."""
    first, second = bell.listen(), bell.listen()
    first.close()
    first.close()
    assert first.wait(10) is False
    bell.ring()
    assert second.wait(1)
    second.close()


def test_full_queue_drops_the_ring(bell: Bell) -> None:
    """FAULTS row 16: who does not drain costs the ringer nothing; the drops are counted."""
    listener = bell.listen()
    began = time.monotonic()
    for _ in range(2000):
        bell.ring()
    assert time.monotonic() - began < 1
    assert bell.lost > 0
    assert 0 < listener.drain() < 2000
    bell.ring()
    assert listener.wait(1)
    listener.close()


def test_threads_may_ring_at_once(bell: Bell) -> None:
    """Four ringers while listeners come and go: nobody fails."""
    stop = threading.Event()
    errors: list[BaseException] = []

    def ring() -> None:
        try:
            while not stop.is_set():
                bell.ring()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=ring) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(50):
        listener = bell.listen()
        assert listener.wait(2)
        listener.close()
    stop.set()
    for thread in threads:
        thread.join()
    assert errors == []


def test_listener_above_descriptor_1023_works(bell: Bell) -> None:
    """In a process with a thousand connections, as a hub is, waiting still works."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2048:
        pytest.skip("needs 2048 descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (2048, hard))
    held = [os.open(os.devnull, os.O_RDONLY)]
    try:
        while held[-1] < 1100:
            held.append(os.dup(held[0]))
        listener = bell.listen()
        assert listener.fileno() > 1023
        bell.ring()
        assert listener.wait(1)
        listener.close()
    finally:
        for fd in held:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.slow
def test_flood_is_taken_in_bounded_portions(bell: Bell) -> None:
    """FAULTS row 21: under a flood of forged rings `drain` still ends, and many rings are one
    wake-up."""
    listener = bell.listen()
    stop = threading.Event()

    def flood() -> None:
        while not stop.is_set():
            bell.ring()

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        for _ in range(50):
            began = time.monotonic()
            assert listener.wait(1)
            assert time.monotonic() - began < 0.5
    finally:
        stop.set()
        thread.join()
    listener.close()


# -- between processes ----------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DirectoryStore]:
    """A store with one job."""
    store = DirectoryStore(tmp_path / "jobs", create=True)
    store.create(new("a"))
    yield store
    store.close()


def sockets(store: DirectoryStore) -> list[str]:
    """The listeners' names."""
    return sorted(os.listdir(store.path / ".jobctl" / "bell"))  # type: ignore[operator]


@pytest.mark.slow
def test_write_wakes_another_process(store: DirectoryStore) -> None:
    """A change here is heard there, within 0.2 s."""
    with listening(store.path) as process:
        began = time.monotonic()
        store.update("a", with_message("1"))
        assert process.stdout.readline() == "True\n"
        assert time.monotonic() - began < 0.2


@pytest.mark.slow
def test_stopped_listener_slows_no_writer(store: DirectoryStore) -> None:
    """FAULTS row 16: with a hub stopped for 1,000 writes none waits for it, and rings are
    dropped; woken, it hears."""
    with listening(store.path) as process:
        os.kill(process.pid, signal.SIGSTOP)
        slowest = 0.0
        for round in range(1000):
            began = time.monotonic()
            store.update("a", with_message(str(round)))
            slowest = max(slowest, time.monotonic() - began)
        assert store._bell.lost > 900
        assert slowest < 0.5
        os.kill(process.pid, signal.SIGCONT)
        assert process.stdout.readline() == "True\n"


@pytest.mark.slow
def test_dead_listener_is_swept_and_a_new_one_hears(store: DirectoryStore) -> None:
    """FAULTS row 19: kill -9 a hub and start it again: the stale socket is removed by the next
    ring, the new one serves at once, and a living one is never touched."""
    living = store.listen()
    with listening(store.path) as process:
        assert len(sockets(store)) == 2
        process.kill()
        process.wait()
        assert len(sockets(store)) == 2
        with listening(store.path) as again:
            store.update("a", with_message("1"))
            assert again.stdout.readline() == "True\n"
            assert living.wait(1)
            assert len(sockets(store)) == 2
    living.close()


def test_names_are_never_bound_again(tmp_path: Path) -> None:
    """FAULTS row 19: two listeners of one process have different names."""
    bell = DirectoryBell(str(tmp_path / "bell"))
    listeners = [bell.listen() for _ in range(5)]
    assert len(os.listdir(tmp_path / "bell")) == 5
    for listener in listeners:
        listener.close()
    assert os.listdir(tmp_path / "bell") == []


@pytest.mark.parametrize(
    "code",
    [errno.ENOBUFS, errno.EMSGSIZE, errno.ECONNREFUSED, errno.ENOENT, errno.EPERM, errno.EAGAIN],
)
def test_failed_ring_is_counted_and_fails_no_write(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """FAULTS row 17: whatever sending says, the write has landed."""
    listener = store.listen()

    class Deaf(socket.socket):
        def sendto(self, *_: object) -> int:  # type: ignore[override]
            raise OSError(code, os.strerror(code))

    monkeypatch.setattr(socket, "socket", Deaf)
    store._bell.close()
    before = store._bell.lost
    assert store.update("a", with_message("1")).message == "1"
    assert store._bell.lost == before + 1
    monkeypatch.undo()
    listener.close()


def test_removed_socket_fails_no_write(store: DirectoryStore) -> None:
    """FAULTS row 17: a socket that somebody removed costs its listener latency only."""
    listener = store.listen()
    for name in sockets(store):
        (store.path / ".jobctl" / "bell" / name).unlink()  # type: ignore[operator]
    assert store.update("a", with_message("1")).message == "1"
    assert not listener.wait(0)
    listener.close()


def test_removed_bell_is_hung_up_again(store: DirectoryStore) -> None:
    """FAULTS row 17: without its directory a ring is lost, and the next listener is heard."""
    shutil.rmtree(store.path / ".jobctl" / "bell")  # type: ignore[operator]
    store.update("a", with_message("1"))
    listener = store.listen()
    store.update("a", with_message("2"))
    assert listener.wait(1)
    listener.close()


def test_wiped_store_rings_its_new_bell(store: DirectoryStore, tmp_path: Path) -> None:
    """FAULTS row 12: after .jobctl was moved away writers find the listeners of the new one."""
    os.rename(tmp_path / "jobs" / ".jobctl", tmp_path / "old")
    other = DirectoryStore(tmp_path / "jobs", adopt=True)
    listener = other.listen()
    store.update("a", with_message("1"))
    assert listener.wait(1)
    listener.close()
    other.close()


@pytest.mark.parametrize("depth", [1, 30])
def test_deep_directories_work(tmp_path: Path, depth: int) -> None:
    """FAULTS row 18: a path of more than 108 bytes has a bell too, or says what the limit is."""
    path = tmp_path.joinpath(*["directory"] * depth)
    store = DirectoryStore(path, create=True)
    store.create(new("a"))
    if sys.platform != "linux" and depth > 1:
        with pytest.raises(StoreError, match="too long for a socket"):
            store.listen()
        return
    listener = store.listen()
    store.update("a", with_message("1"))
    assert listener.wait(1)
    listener.close()
    store.close()


def test_path_limit_is_named_where_there_is_no_way_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAULTS row 18: a platform without /proc says what the limit is."""
    monkeypatch.setattr(sys, "platform", "darwin")
    path = tmp_path.joinpath(*["directory"] * 20)
    path.mkdir(parents=True)
    with pytest.raises(StoreError, match="too long for a socket; a path of 80 bytes"):
        DirectoryBell(str(path / "bell")).listen()


def test_sockets_are_for_the_owner_alone(store: DirectoryStore) -> None:
    """FAULTS row 57: under umask 000 a socket has 0600 and its directory 0700."""
    old = os.umask(0)
    try:
        listener = store.listen()
    finally:
        os.umask(old)
    bell = store.path / ".jobctl" / "bell"  # type: ignore[operator]
    assert stat.S_IMODE(bell.stat().st_mode) == 0o700
    assert [stat.S_IMODE((bell / name).stat().st_mode) for name in sockets(store)] == [0o600]
    listener.close()


def test_forged_rings_of_any_size_are_rings(store: DirectoryStore) -> None:
    """FAULTS row 21: an empty or a large datagram wakes the listener and harms nothing."""
    listener = store.listen()
    (name,) = sockets(store)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as forger:
        fd = os.open(store.path / ".jobctl" / "bell", os.O_RDONLY)  # type: ignore[operator]
        for data in (b"", b"x" * 10_000, b"!"):
            forger.sendto(data, f"/proc/self/fd/{fd}/{name}")
        os.close(fd)
    assert listener.drain() == 3
    listener.close()


def test_forked_child_rings_by_itself(store: DirectoryStore) -> None:
    """A child made by fork, even while another thread rings, rings and writes as its parent."""
    listener = store.listen()
    guard: Callable[[], bool] = store._bell._guard.acquire
    assert guard()  # as if another thread were ringing just now
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            signal.alarm(10)
            store.update("a", with_message("child"))
            status = 0
        finally:
            os._exit(status)
    store._bell._guard.release()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert listener.wait(1)
    listener.close()
