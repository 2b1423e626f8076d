"""A child that was forked without Python's hooks, as uWSGI forks its workers."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from jobctl import _fork
from jobctl.stores import open_store
from tests.stores.support import environment

SCRIPT = """
import ctypes, os, sys
from jobctl import track
from jobctl.stores import open_store

fork, path = ctypes.CDLL(None).fork, sys.argv[1]
store = open_store(path, create=True)

def in_child(work):
    pid = fork()
    if pid:
        assert os.waitpid(pid, 0)[1] == 0
        return
    try:
        work()
    except BaseException as error:
        print(repr(error), file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)

def new_job():
    with track("etl", id="child", store=path, strict=True) as job:
        job.stage("x")

def old_store():
    store.update("parent", lambda job: job.replace(message="from the child"))
    assert store.owners.hold() != owner
    store.close()

with track("etl", id="parent", store=path, strict=True) as job:
    job.stage("load")
    owner = store.get("parent").owned_by
    in_child(new_job)
    in_child(lambda: job.progress(50))  # the parent's job: nothing happens
    in_child(old_store)
    assert store.owners.dead() == frozenset()
    assert store.get("parent").owned_by == owner
    job.progress(75)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks by the C library of Linux")
def test_tracking_goes_on_in_a_child_that_c_has_forked(tmp_path: Path) -> None:
    """Its calls waited for a thread that is in the parent alone, and nothing was recorded."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "jobs")],
        env=environment(), capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    store = open_store(tmp_path / "jobs")
    assert [(job.id, job.stage) for job in map(store.get, ("child", "parent"))] == [
        ("child", "completed"),
        ("parent", "completed"),
    ]
    assert store.owners.dead() == frozenset()
    store.close()


def test_other_threads_of_the_child_wait_for_the_handlers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The locks are the parent's until then. A handler may notice the fork itself."""
    begun, end = threading.Event(), threading.Event()
    calls: list[str] = []

    def handler() -> None:
        _fork.notice_fork()
        begun.set()
        end.wait(5)
        calls.append("handler")

    def work() -> None:
        _fork.notice_fork()
        calls.append("work")

    monkeypatch.setattr(_fork, "_pid", 0)
    monkeypatch.setattr(_fork, "_calling_pid", 0)
    monkeypatch.setattr(_fork, "_handlers", [handler])
    first = threading.Thread(target=_fork.notice_fork)
    first.start()
    assert begun.wait(5)
    second = threading.Thread(target=work)
    second.start()
    second.join(0.05)
    end.set()
    first.join(5)
    second.join(5)
    assert calls == ["handler", "work"]
