"""Who works on a store's jobs, and who has died: known by a lock, and never guessed."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from jobctl.core.transitions import create
from jobctl.stores import Store, open_store
from jobctl.stores.directory import owners
from jobctl.stores.directory.store import DirectoryStore
from jobctl.stores.owners import CancelRequest
from tests.stores.support import T0, environment, plant_owner, until

Open = Callable[..., DirectoryStore]

HOLDER = """
import sys, time
from jobctl.stores import open_store
store = open_store(sys.argv[1], create=True)
print(store.owners.hold(), flush=True)
{more}
time.sleep(60)
"""


@contextmanager
def holder(
    path: Path, more: str = "", prefix: tuple[str, ...] = ()
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process that owns jobs in the store, and the owner's name; killed at the end."""
    process = subprocess.Popen(
        [*prefix, sys.executable, "-c", HOLDER.format(more=more), str(path)],
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # what the prefix starts is to end with it
    )
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline().strip()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def files(path: Path) -> list[str]:
    """The owners' files."""
    return sorted(os.listdir(path / ".jobctl" / "owners"))


def test_owner_hears_what_it_is_asked(store: Store) -> None:
    """Once each; nobody else hears it, and nobody who is gone can be asked."""
    name = store.owners.hold()
    assert name is not None
    assert store.owners.take_cancel_requests({"a", "b"}) == {}
    assert store.owners.request_cancel(name, "a")
    assert store.owners.request_cancel(name, "b")
    assert store.owners.take_cancel_requests({"a", "b", "c"}).keys() == {"a", "b"}
    assert store.owners.take_cancel_requests({"a", "b"}) == {}
    assert store.owners.dead() == frozenset()
    who = store.owners.info(name)
    assert who is not None
    assert who.pid == os.getpid()
    store.owners.drop()
    assert not store.owners.request_cancel("1-000000000000", "a")
    assert store.owners.info("1-000000000000") is None


def test_owner_stays_as_long_as_it_has_a_job(opened: Open, jobs_dir: Path) -> None:
    """One file for all of a process's jobs, which goes with the last."""
    store = opened()
    first = store.owners.hold()
    assert store.owners.hold() == first
    store.owners.drop()
    assert files(jobs_dir) == [first]
    store.owners.drop()
    assert files(jobs_dir) == []
    assert store.owners.hold() != first
    store.close()
    assert files(jobs_dir) == []


def test_names_that_are_none_are_refused(opened: Open, jobs_dir: Path) -> None:
    """What stands in a foreign job file is no path."""
    store = opened()
    store.owners.hold()
    (jobs_dir / "x").touch()
    for name in ("../../x", "", ".", "1-00000000000g", "x" * 300, "1-000000000000\n"):
        assert not store.owners.request_cancel(name, "a")
        assert store.owners.info(name) is None
    assert (jobs_dir / "x").read_text() == ""


@pytest.mark.slow
def test_killed_owner_is_dead_at_once(opened: Open, jobs_dir: Path) -> None:
    """And not before, whatever its process id; its file stays until nobody needs it."""
    store = opened()
    with holder(jobs_dir) as (process, name):
        assert store.owners.dead() == frozenset()
        process.kill()
        process.wait()
        assert store.owners.dead() == {name}
        assert str(store.owners.info(name)).startswith(f"process {process.pid} on ")
        job = create("etl", now=T0).replace(owner=name)
        assert job.lost(store.owners.dead())
        store.owners.forget([name])
        assert (store.owners.dead(), files(jobs_dir)) == (frozenset(), [])


@pytest.mark.slow
def test_stopped_owner_lives(opened: Open, jobs_dir: Path) -> None:
    """FAULTS row 39: Ctrl-Z, or a laptop's sleep, is no death."""
    store = opened()
    with holder(jobs_dir) as (process, name):
        process.send_signal(signal.SIGSTOP)
        until(lambda: _state(process.pid) == "T")
        assert store.owners.dead() == frozenset()
        store.owners.forget([name])
        assert files(jobs_dir) == [name]
        process.send_signal(signal.SIGCONT)


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("faketime") is None, reason="needs faketime")
@pytest.mark.parametrize("jump", ["-1h", "+1h"])
def test_owner_whose_clock_is_off_lives(opened: Open, jobs_dir: Path, jump: str) -> None:
    """FAULTS row 14: no clock is asked."""
    store = opened()
    with holder(jobs_dir, prefix=("faketime", "-f", jump)):
        assert store.owners.dead() == frozenset()


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("unshare") is None or os.geteuid() != 0, reason="needs root and unshare"
)
def test_owner_in_a_namespace_of_its_own_lives_and_dies(opened: Open, jobs_dir: Path) -> None:
    """FAULTS row 15: in a container its process id says nothing here."""
    store = opened()
    with holder(jobs_dir, prefix=("unshare", "--pid", "--fork", "--kill-child")) as (outer, name):
        assert name.startswith("1-")
        assert store.owners.dead() == frozenset()
        outer.kill()
        until(lambda: store.owners.dead() == {name})


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_child_of_an_owner_does_not_outlive_it_in_its_name(opened: Open, jobs_dir: Path) -> None:
    """FAULTS row 8: a process pool's children are not their parent."""
    store = opened()
    more = "import os\nif os.fork() == 0: time.sleep(30); os._exit(0)"
    with holder(jobs_dir, more) as (process, name):
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        until(lambda: children.read_text().strip())
        pids = [int(pid) for pid in children.read_text().split()]
        try:
            process.kill()
            process.wait()
            until(lambda: store.owners.dead() == {name})
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGKILL)


def test_forked_child_owns_for_itself(opened: Open) -> None:
    """It has a name of its own, and its parent keeps its own."""
    store = opened()
    name = store.owners.hold()
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=lambda: queue.put((store.owners.hold(), store.owners.dead())))
    child.start()
    child.join(10)
    childs, dead = queue.get()
    assert childs not in (name, None)
    assert dead == frozenset()
    assert store.owners.request_cancel(name, "a")  # type: ignore[arg-type]
    assert store.owners.take_cancel_requests({"a"}).keys() == {"a"}


NAME = "1-0123456789ab"


def test_process_id_decides_nothing(opened: Open, jobs_dir: Path) -> None:
    """FAULTS row 15: a free lock is a death, though another process has that id now."""
    store = opened()
    store.create(create("etl", now=T0))
    plant_owner(jobs_dir, NAME, pid=os.getpid())
    assert store.owners.dead() == {NAME}


@pytest.mark.parametrize(
    ("changes", "dead"),
    [
        ({"boot": "another"}, True),  # this machine was started anew
        ({"boot": "another", "machine": "another"}, False),  # its lock need not reach us
        ({"machine": "another"}, True),  # a container on this kernel
        ({"boot": "another", "machine": ""}, False),
        ({"boot": "another", "host": "another"}, False),  # of cloned machines, one that lives
        ({"host": "another"}, True),
        ({"inode": 1}, False),  # a copy: the original may be locked
        ({"device": 1}, False),
        ({"inode": True}, False),
        ({"boot": 7}, False),
        ({"pid": "x"}, False),
    ],
)
def test_owner_elsewhere_is_never_called_dead(
    opened: Open, jobs_dir: Path, monkeypatch: pytest.MonkeyPatch, changes: object, dead: bool
) -> None:
    """Only where this kernel, or an earlier one of this machine, knew of its lock."""
    monkeypatch.setattr(owners, "_machine", lambda: "this")
    store = opened()
    store.create(create("etl", now=T0))
    plant_owner(jobs_dir, NAME, **changes)  # type: ignore[arg-type]
    assert store.owners.dead() == ({NAME} if dead else frozenset())


@pytest.mark.parametrize("kind", ["nfs4", "fuse.sshfs", "9p", None])
def test_no_boot_is_told_from_another_in_a_shared_folder(
    opened: Open, jobs_dir: Path, monkeypatch: pytest.MonkeyPatch, kind: str | None
) -> None:
    """A cloned machine may be running beside us, of the same names, with another boot id."""
    monkeypatch.setattr(owners, "_machine", lambda: "this")
    monkeypatch.setattr(owners, "kind_of", lambda device, path: kind)
    store = opened()
    store.create(create("etl", now=T0))
    plant_owner(jobs_dir, NAME, boot="another")
    assert store.owners.dead() == frozenset()


@pytest.mark.parametrize(
    "text", ["", "{", "{}\n", "[]\n", '{"pid": 1', "\0\0", "[" * 999 + "\n", '{"a":' * 150 + "\n"]
)
def test_file_that_says_nothing_is_nobodys_death(opened: Open, jobs_dir: Path, text: str) -> None:
    """It may have been made this very moment."""
    store = opened()
    store.create(create("etl", now=T0))
    plant_owner(jobs_dir, NAME)
    (jobs_dir / ".jobctl" / "owners" / NAME).write_text(text)
    assert store.owners.dead() == frozenset()
    assert store.owners.info(NAME) is None


def test_what_lies_among_the_owners_is_left_alone(opened: Open, jobs_dir: Path) -> None:
    """FAULTS row 56: links are not followed, a FIFO blocks nobody."""
    store = opened()
    store.owners.hold()
    place = jobs_dir / ".jobctl" / "owners"
    target = jobs_dir / "target"
    target.write_text("{}\n")
    (place / "2-0123456789ab").symlink_to(target)
    os.mkfifo(place / "3-0123456789ab")
    (place / "4-0123456789ab").mkdir()
    (place / "note.txt").touch()
    assert store.owners.dead() == frozenset()
    assert not store.owners.request_cancel("2-0123456789ab", "a")
    assert not store.owners.request_cancel("3-0123456789ab", "a")
    assert target.read_text() == "{}\n"


def test_owner_appears_again_where_jobctls_directory_was_wiped(
    opened: Open, jobs_dir: Path
) -> None:
    """FAULTS row 12: jobs made from then on have an owner that is known."""
    store = opened()
    first = store.owners.hold()
    store.create(create("etl", now=T0))
    shutil.rmtree(jobs_dir / ".jobctl")
    assert store.owners.dead() == frozenset()
    assert store.owners.take_cancel_requests(()) == {}
    assert files(jobs_dir) == [first]
    shutil.rmtree(jobs_dir / ".jobctl")
    second = store.owners.hold()
    assert second == first
    assert store.owners.request_cancel(second, "a")  # type: ignore[arg-type]
    assert store.owners.take_cancel_requests({"a"}).keys() == {"a"}


@pytest.mark.slow
def test_owner_lives_when_its_directory_was_replaced_by_a_copy(
    opened: Open, jobs_dir: Path
) -> None:
    """FAULTS row 12: nobody has locked the copy of its file, and neither place calls it dead."""
    store = opened()
    more = "while True: store.owners.take_cancel_requests(()); time.sleep(0.05)"
    aside, copy = jobs_dir.with_name("aside"), jobs_dir.with_name("copy")
    with holder(jobs_dir, more) as (process, name):
        process.send_signal(signal.SIGSTOP)
        until(lambda: _state(process.pid) == "T")
        subprocess.run(["cp", "-a", jobs_dir, copy], check=True)
        jobs_dir.rename(aside)
        copy.rename(jobs_dir)
        assert opened().owners.dead() == frozenset()
        process.send_signal(signal.SIGCONT)
        until(lambda: store.owners.request_cancel(name, "a") and _is_locked(jobs_dir, name))
        assert files(jobs_dir) == [name]
        assert opened(aside).owners.dead() == frozenset()
        shutil.rmtree(jobs_dir)
        aside.rename(jobs_dir)  # back again: its old file says nothing of it now
        assert opened().owners.dead() == frozenset()
        until(lambda: _is_locked(jobs_dir, name))
        process.kill()
        process.wait()
        assert opened().owners.dead() == {name}


def _is_locked(path: Path, name: str) -> bool:
    try:
        with open(path / ".jobctl" / "owners" / name) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False  # its owner is about to make it again
    except BlockingIOError:
        return True
    return False


def test_owner_that_left_a_job_behind_is_dead(opened: Open, jobs_dir: Path) -> None:
    """It could not write the job's end: whoever waits for the job hears that it is lost."""
    store = opened()
    name = store.owners.hold()
    store.owners.hold()
    store.owners.drop(orphaned=True)
    assert store.owners.dead() == frozenset()  # it has another job
    store.owners.drop()
    assert store.owners.dead() == {name}
    assert store.owners.hold() != name
    store.owners.drop()
    assert store.owners.dead() == {name}


def test_cancel_requests_for_others_are_kept(opened: Open) -> None:
    """Two readers of the same owner file do not take each other's requests."""
    store = opened()
    name = store.owners.hold()
    assert name is not None
    store.owners.request_cancel(name, "a")
    store.owners.request_cancel(name, "b")
    assert store.owners.take_cancel_requests({"b"}).keys() == {"b"}
    assert store.owners.take_cancel_requests({"a", "b"}).keys() == {"a"}


def test_the_dead_stay_dead_without_descriptors(opened: Open, jobs_dir: Path) -> None:
    """FAULTS row 26: a look that cannot be taken is no news."""
    store = opened()
    store.create(create("etl", now=T0))
    plant_owner(jobs_dir, NAME)
    assert store.owners.dead() == {NAME}
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        assert store.owners.dead() == {NAME}
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_no_child_gets_the_lock_while_it_is_made(
    opened: Open, monkeypatch: pytest.MonkeyPatch, jobs_dir: Path
) -> None:
    """FAULTS row 8: a fork waits for it, or its child would hold the lock for ever."""
    store = opened()
    store.create(create("etl", now=T0))
    begun, go_on = threading.Event(), threading.Event()
    flock = fcntl.flock

    def slow(fd: int, how: int) -> None:
        flock(fd, how)
        if how == fcntl.LOCK_EX:
            begun.set()
            go_on.wait(10)

    monkeypatch.setattr(owners.fcntl, "flock", slow)
    thread = threading.Thread(target=store.owners.hold)
    thread.start()
    assert begun.wait(10)
    forked: list[int] = []

    def fork() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid == 0:
            time.sleep(30)
            os._exit(0)
        forked.append(pid)

    forker = threading.Thread(target=fork)
    forker.start()
    forker.join(0.1)
    assert not forked
    go_on.set()
    thread.join(10)
    forker.join(10)
    try:
        monkeypatch.undo()
        (name,) = files(jobs_dir)
        assert store.owners.dead() == frozenset()
        store.owners.drop(orphaned=True)
        until(lambda: store.owners.dead() == {name})
    finally:
        os.kill(forked[0], signal.SIGKILL)
        os.waitpid(forked[0], 0)


def test_where_nobody_may_write_nobody_owns(opened: Open, jobs_dir: Path) -> None:
    """A directory that is unsafe to write in has no owners, and no error for asking."""
    store = opened()
    jobs_dir.chmod(0o777)
    assert store.owners.hold() is None
    store.owners.drop()
    assert store.owners.dead() == frozenset()


@pytest.mark.slow
def test_looking_disturbs_nobody(opened: Open, jobs_dir: Path) -> None:
    """Owners come and go while others look at them all the time: no death, no refusal."""
    store = opened()
    more = """
while True:
    store.owners.drop()
    assert store.owners.hold() is not None
"""
    with holder(jobs_dir, more) as (process, _):
        end = time.monotonic() + 2
        while time.monotonic() < end:
            assert store.owners.dead() == frozenset()
        assert process.poll() is None


def test_a_cancel_request_says_who_asks_and_why(store: Store) -> None:
    """Whatever the text is; and without either, it is a request all the same."""
    name = store.owners.hold()
    assert name is not None
    asked = CancelRequest("anna@host two", 'no "more"\n\t{space} \u2028 \U0001f680')
    assert store.owners.request_cancel(name, "a", asked)
    assert store.owners.request_cancel(name, "b")
    wanted = store.owners.take_cancel_requests({"a", "b"})
    assert wanted == {"a": asked, "b": CancelRequest()}


def test_owners_of_before_find_their_ids_in_a_request(jobs_dir: Path) -> None:
    """They split the file into words; no word of the reason is an id."""
    store = open_store(jobs_dir, create=True)
    name = store.owners.hold()
    assert name is not None
    store.owners.request_cancel(name, "a", CancelRequest("anna", "b c\nd"))
    file = jobs_dir / ".jobctl" / "owners" / name
    words = file.read_text().partition("\n")[2].split()
    assert words[0] == "a"
    assert not {"b", "c", "d", "anna"}.intersection(words)
    assert file.read_text().count("\n") == 2


def test_nonsense_in_a_request_costs_only_the_reason(jobs_dir: Path) -> None:
    """Other versions may write something else there; several lines may come at once."""
    store = open_store(jobs_dir, create=True)
    name = store.owners.hold()
    assert name is not None
    with open(jobs_dir / ".jobctl" / "owners" / name, "a") as file:
        file.write('a {"by":\n\nb [1]\nc {"by":7,"reason":"x"}\nd\ne')
    wanted = store.owners.take_cancel_requests({"a", "b", "c", "d", "e"})
    no = CancelRequest()
    assert wanted == {"a": no, "b": no, "c": CancelRequest(None, "x"), "d": no}
