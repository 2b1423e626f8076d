"""Shared by the tests of the stores: jobs, waiting for conditions, followers, bells that err."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from jobctl.core import transitions as jobs
from jobctl.core.codec import encode
from jobctl.core.cursor import ZERO, Cursor
from jobctl.core.job import Job
from jobctl.core.jobset import Delta, JobSet
from jobctl.stores import Store
from jobctl.stores.bell import Bell, Listener
from jobctl.stores.directory import log_rewrite, owners
from jobctl.stores.directory.place import boot_id
from jobctl.stores.directory.store import DirectoryStore

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
T0 = "2026-01-01T00:00:00.000Z"


def new(id: str, **given: str) -> Job:
    """A pending job of a built-in type, at a fixed time."""
    return jobs.create("create_session", now=T0, id=id, **given)  # type: ignore[arg-type]


def with_message(text: str) -> Callable[[Job], Job]:
    """The change that leaves this message, so that versions can be told apart."""
    return lambda job: jobs.report(job, now=T0, message=text)


def tally(job: Job) -> Job:
    """The change that counts itself: what is lost shows in the sum."""
    return jobs.report(job, now=T0, message=str(int(job.message or 0) + 1))


def messages(delta: Delta) -> dict[str, str | None]:
    """What a delta brings, by id."""
    return {job.id: job.message for job in delta.jobs}


def state(store: Store) -> dict[str, str | None]:
    """What a reader without a past sees."""
    return messages(store.since(ZERO))


def head(store: Store) -> Cursor:
    """The cursor of a reader that has just read everything."""
    return store.since(ZERO).cursor()


def file_of(job: Job, **changes: object) -> bytes:
    """The bytes of a foreign writer's file."""
    return encode(job.replace(**changes))


def until(condition: Callable[[], object], *, deadline_s: float = 5.0, what: str = "") -> None:
    """Wait for a condition; an assertion error after the deadline."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, f"not within {deadline_s} s: {what or condition}"
        time.sleep(0.002)


def compact(store: DirectoryStore) -> None:
    """Compact the change log now, however few records are superseded."""
    with store._access.writing() as state:
        log_rewrite.compact(store._place, state)
        store._access.log = None  # another one is in force


def age(path: Path, by_s: float = 10.0) -> None:
    """Make a file look as if it was written some time ago: no writer can be at it any more."""
    then = time.time() - by_s
    os.utime(path, (then, then))


class Follower:
    """A replica that reads by cursor, and checks each delta as it comes."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.replica = JobSet()
        self.resets = 0

    def step(self) -> Delta:
        """One read; revisions of one epoch never go back, and nothing is newer than `through`."""
        before = self.replica.cursor
        delta = self.store.since(before)
        if delta.since == 0:
            self.resets += 1
        else:
            assert (delta.epoch, delta.since) == (before.epoch, before.revision)
        revisions = [item.revision for item in (*delta.jobs, *delta.gone)]
        assert all(delta.since < revision <= delta.through for revision in revisions)
        assert [job.revision for job in delta.jobs] == sorted(job.revision for job in delta.jobs)
        assert self.replica.apply(delta)
        return delta

    def state(self) -> dict[str, str | None]:
        """What this replica believes."""
        return {job.id: job.message for job in self.replica}


def make_unruly(store: Store, kind: str) -> None:
    """Replace the bell of a memory or directory store by an `Unruly` one."""
    if isinstance(store, DirectoryStore):
        store._access.bell = Unruly(store._bell, kind)  # type: ignore[assignment]
    else:
        store._bell = Unruly(store._bell, kind)  # type: ignore[attr-defined]


class Unruly:
    """A bell that drops, repeats, or holds back rings until the next one comes."""

    def __init__(self, bell: Bell, kind: str) -> None:
        self._bell, self._kind = bell, kind
        self._held = False
        self.lost = 0

    def ring(self) -> None:
        if self._kind == "drop":
            self.lost += 1
        elif self._kind == "repeat":
            for _ in range(50):
                self._bell.ring()
        elif self._held:
            self._held = False
            self._bell.ring()
        else:
            self._held = True

    def listen(self) -> Listener:
        return self._bell.listen()

    def close(self) -> None:
        getattr(self._bell, "close", lambda: None)()


# -- other processes ------------------------------------------------------------------------

PRELUDE = """\
import os, sys, time
from jobctl.core import transitions as jobs
from jobctl.core.cursor import ZERO
from jobctl.stores import open_store
T0 = "2026-01-01T00:00:00.000Z"
def with_message(text): return lambda job: jobs.report(job, now=T0, message=text)
def new(id): return jobs.create("create_session", now=T0, id=id)
store = open_store(sys.argv[1], create=True)
"""


def command(script: str, directory: Path) -> list[str]:
    """The command line of a process that works on the store in the directory."""
    # The real interpreter: a shim would be what strace counts calls of.
    return [os.path.realpath(sys.executable), "-c", PRELUDE + script, str(directory)]


def environment(**more: str) -> dict[str, str]:
    """The environment in which the real interpreter finds us and our packages."""
    paths = [str(ROOT), *(path for path in sys.path if path.endswith("site-packages"))]
    keep = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
    return keep | {"PYTHONPATH": os.pathsep.join(paths)} | more


def run(
    script: str, directory: Path, *, prefix: list[str] | None = None, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run a script on the store in another process, to its end."""
    return subprocess.run(
        [*(prefix or []), *command(script, directory)],
        env=environment(**env),
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


@contextmanager
def running(script: str, directory: Path) -> Iterator[subprocess.Popen[str]]:
    """A script at work on the store in another process, which is killed at the end."""
    process = subprocess.Popen(
        command(script, directory),
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


def plant_owner(path: Path, name: str, **changes: object) -> None:
    """The file of an owner that is gone."""
    (path / ".jobctl" / "owners").mkdir(exist_ok=True)
    file = path / ".jobctl" / "owners" / name
    file.touch()
    head = {
        "pid": 1,
        "host": socket.gethostname(),
        "machine": owners._machine(),
        "boot": boot_id(),
        "since": T0,
        "device": file.stat().st_dev,
        "inode": file.stat().st_ino,
    }
    file.write_text(json.dumps({**head, **changes}) + "\n")
