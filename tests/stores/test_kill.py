"""FAULTS row 1: killed at each system call, a writer leaves the old or the new, never a part."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jobctl.core.codec import parse
from jobctl.errors import JobNotFound
from jobctl.stores.directory import changelog
from jobctl.stores.directory import write as write_module
from jobctl.stores.directory.changelog import Log
from jobctl.stores.directory.store import DirectoryStore
from tests.stores.support import Follower, new, run, state, with_message

Open = Callable[..., DirectoryStore]

# What each step leaves, after so many of them: the messages by id.
STEPS: list[tuple[str, str, str | None]] = [
    ("create", "a", None),
    ("update", "a", "1"),
    ("create", "b", None),
    ("update", "a", "2"),
    ("remove", "a", None),
    ("create", "a", None),
    ("update", "b", "3"),
]


def step(store: DirectoryStore, verb: str, id: str, text: str | None) -> None:
    """One of the steps."""
    if verb == "create":
        store.create(new(id))
    elif verb == "update":
        store.update(id, with_message(str(text)))
    else:
        store.remove(id)


def states() -> list[dict[str, str | None]]:
    """The state after 0, 1, 2 … steps."""
    found: list[dict[str, str | None]] = [{}]
    for verb, id, text in STEPS:
        now = dict(found[-1])
        if verb == "remove":
            del now[id]
        else:
            now[id] = text
        found.append(now)
    return found


def check(path: Path, acked: int, opened: Open) -> None:
    """What was acknowledged is there; what was not is there whole or not at all; work goes on."""
    for file in path.glob("*.json"):
        assert parse(file.read_bytes(), id=file.stem)
    before = states()[acked : acked + 2]
    follower = Follower(opened(path))
    follower.step()
    assert follower.state() in before
    began = time.monotonic()
    store = opened(path)
    store.create(new("next"))
    assert time.monotonic() - began < 1
    follower.step()
    follower.step()
    assert follower.state() == state(store) == state(opened(path))
    assert {id: text for id, text in follower.state().items() if id != "next"} in before
    assert follower.resets <= 2
    with changelog_of(path) as log:
        revisions = [record.revision for record in log.read(0)]
    assert revisions == sorted(set(revisions))
    left = set(os.listdir(path / ".jobctl")) - {".gitignore", "mark", "changes", "bell"}
    assert left <= {"changes.new", "mark.new"}, "the one temporary file is gone with the next write"


@contextmanager
def changelog_of(path: Path) -> Iterator[Log]:
    """The log as it lies there."""
    yield Log(os.open(path / ".jobctl" / "changes", os.O_RDONLY))


KILLED_CALLS = [
    "open",
    "write",
    "rename",
    "unlink",
    "fsync",
    "ftruncate",
    "fstat",
    "pread",
    "close",
]


def die_at(nth: int) -> None:
    """Kill this process before the nth system call that the store makes from now on."""
    left = [nth]

    def counted(real: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **kwargs: object) -> object:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **kwargs)

        return call

    for name in KILLED_CALLS:
        setattr(os, name, counted(getattr(os, name)))
    fcntl.flock = counted(fcntl.flock)  # type: ignore[assignment]


def work_and_die(path: Path, nth: int, *, durable: bool) -> tuple[int, bool]:
    """All steps in a forked child that dies at its nth call: how many it did; whether it died."""
    heard, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            write = os.write
            die_at(nth)
            store = DirectoryStore(path, create=True, durable=durable)
            for each in STEPS:
                step(store, *each)
                write(told, b".")
            os._exit(0)
        finally:
            os._exit(1)
    os.close(told)
    with open(heard, "rb") as pipe:
        acked = len(pipe.read())
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return acked, os.WIFSIGNALED(status)


@pytest.mark.slow
@pytest.mark.parametrize("durable", [False, True])
def test_kill_at_each_call(tmp_path: Path, opened: Open, durable: bool) -> None:
    """FAULTS row 1: before every single system call of a run of writes, in turn."""
    nth, died = 0, True
    while died:
        nth += 1
        path = tmp_path / str(nth)
        acked, died = work_and_die(path, nth, durable=durable)
        path.mkdir(exist_ok=True)
        check(path, acked, opened)
        shutil.rmtree(path)
    assert nth > 80, "every step takes several calls"


SCRIPT = """
store.create(new("a")); print("1", flush=True)
store.update("a", with_message("1")); print("2", flush=True)
store.create(new("b")); print("3", flush=True)
store.update("a", with_message("2")); print("4", flush=True)
store.remove("a"); print("5", flush=True)
store.create(new("a")); print("6", flush=True)
store.update("b", with_message("3")); print("7", flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
@pytest.mark.parametrize(
    ("call", "when"),
    [
        ("renameat", 2),
        ("renameat", 3),
        ("renameat", 4),
        ("write", 4),
        ("write", 9),
        ("unlinkat", 1),
    ],
)
def test_kill_by_the_kernel(jobs_dir: Path, opened: Open, call: str, when: int) -> None:
    """FAULTS row 1: the same with a real signal at a real call, in another process."""
    inject = ["strace", "-qq", "-f", "-o", os.devnull, "-e", f"trace={call}"]
    result = run(SCRIPT, jobs_dir, prefix=[*inject, "-e", f"inject={call}:signal=KILL:when={when}"])
    if "PTRACE" in result.stderr or "ptrace" in result.stderr:
        pytest.skip("may not trace here")
    assert result.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL), result.stderr
    check(jobs_dir, len(result.stdout.split()), opened)


def test_acknowledgement_comes_after_the_rename(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `update` returns is in the directory at that moment, for whoever reads the file."""
    store = opened()
    store.create(new("a"))
    order: list[str] = []
    real_rename, real_append = os.rename, Log.append

    def rename(source: str, *args: object, **kwargs: object) -> None:
        order.append("rename")
        real_rename(source, *args, **kwargs)  # type: ignore[arg-type]

    def append(log: Log, record: changelog.Record) -> None:
        order.append("append")
        real_append(log, record)

    monkeypatch.setattr(os, "rename", rename)
    monkeypatch.setattr(Log, "append", append)
    store.update("a", with_message("now"))
    assert order == ["append", "rename"]
    assert json.loads((store.path / "a.json").read_text())["message"] == "now"  # type: ignore[operator]


def test_remove_of_what_crashed_half_way_can_be_repeated(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deletion that failed at the unlink is no deletion, and the next one is."""
    store = opened()
    store.create(new("a"))

    def refuse(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(write_module.os, "unlink", refuse)
        with pytest.raises(Exception, match="writing a"):
            store.remove("a")
    assert state(store) == {"a": None}
    store.remove("a")
    assert state(store) == {}
    with pytest.raises(JobNotFound):
        store.remove("a")
