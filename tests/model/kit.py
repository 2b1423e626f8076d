"""Any schedule, step by step: one directory, its writers, a hub and clients, all in one thread.

The model is as naive as can be: a dict of what each job is. It is moved by what a write returned,
and after a kill by what lies on the disk, which must be the value before or the one after.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from jobctl.core.codec import encode, parse
from jobctl.core.cursor import ZERO
from jobctl.core.job import Job
from jobctl.errors import Conflict, DamagedFile, InvalidJob, JobNotFound, StoreError
from jobctl.stores.directory.lock import WriteLock
from jobctl.stores.directory.store import DirectoryStore
from jobctl.stores.memory import MemoryStore
from tests.hub.world import make_job
from tests.stores.support import compact

CALLS = ("write", "rename", "unlink", "ftruncate", "fsync", "mkdir")
LONG_AGO_S = 60


class Killed(BaseException):
    """The process is gone: nothing of it runs any more, but what ``finally`` stands for."""


@contextmanager
def killed_at(number: int, when: str) -> Iterator[None]:
    """Die at the so-many-th call that changes a file: before it, after it, or amid a write."""
    left = number
    patches = []

    def deadly(name: str) -> Callable[..., Any]:
        real = getattr(os, name)

        def call(*args: Any, **options: Any) -> Any:
            nonlocal left
            left -= 1
            if left != 0:
                return real(*args, **options)
            if when == "amid" and name == "write":
                real(args[0], bytes(args[1])[: len(args[1]) // 2])
            elif when == "after":
                real(*args, **options)
            raise Killed

        return call

    for name in CALLS:
        patches.append(patch.object(os, name, deadly(name)))
    for item in patches:
        item.start()
    try:
        yield
    finally:
        for item in patches:
            item.stop()


@contextmanager
def lock_is_busy() -> Iterator[None]:
    """Another process holds the write lock whenever somebody tries it."""

    @contextmanager
    def tried(lock: WriteLock, dir_fd: int) -> Iterator[bool]:
        yield False

    with patch.object(WriteLock, "tried", tried):
        yield


def essence(job: Job) -> tuple[str, str, str | None, str | None]:
    """What the model knows of a job: all that may change."""
    return (job.type, job.stage, job.session_id, job.title)


Essences = dict[str, tuple[str, str, str | None, str | None]]


@dataclass
class Copy:
    """A copy of the directory, and what the model knew then."""

    path: Path
    jobs: Essences
    bad: set[str]


@dataclass
class Disk:
    """The stores of one directory or memory, and the model of what they hold."""

    kind: str
    jobs: Essences = field(default_factory=dict)
    bad: set[str] = field(default_factory=set)
    acked: dict[str, list[int]] = field(default_factory=dict)
    copy: Copy | None = None
    calm: bool = True  # nothing happened behind the stores' back since the hub's last look

    def __post_init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="jobctl-model-"))
        self.path = self.root / "jobs"
        self.writer: Any = None
        if self.kind == "memory":
            self.writer = self.hub_store = MemoryStore(max_tombstones=2)
        else:
            self.writer = DirectoryStore(self.path, create=True)
            self.hub_store = DirectoryStore(self.path, adopt=True)

    def close(self) -> None:
        self.writer.close()
        self.hub_store.close()
        shutil.rmtree(self.root)

    # -- writers that know us ---------------------------------------------------------------

    def create(self, id: str, **fields: Any) -> None:
        job = make_job(id, 0, **fields)
        try:
            self._acked(self.writer.create(job))
        except Conflict:
            assert id in self.jobs or id in self.bad, "a free id can be taken"
        else:
            assert id not in self.bad

    def update(self, id: str, **fields: Any) -> None:
        try:
            self._acked(self.writer.update(id, lambda job: job.replace(**fields)))
        except JobNotFound:
            assert id not in self.jobs
            assert id not in self.bad
        except StoreError:
            assert id in self.bad, "what is whole can be written"

    def remove(self, id: str) -> None:
        try:
            self.writer.remove(id)
        except JobNotFound:
            assert id not in self.jobs
            assert id not in self.bad
            return
        except DamagedFile:
            assert id in self.bad
            self.writer.remove(id, damaged=True)
        self.jobs.pop(id, None)
        self.bad.discard(id)

    def _acked(self, job: Job) -> None:
        assert parse(encode(job), id=job.id, revision=job.revision) == job, "I8"
        epoch = self.writer.since(ZERO).epoch
        revisions = self.acked.setdefault(epoch, [0])
        assert job.revision > revisions[-1], "I5: no revision is shared, none goes back"
        revisions.append(job.revision)
        self.jobs[job.id] = essence(job)

    def killed(self, number: int, when: str, act: Callable[[], None], ids: set[str]) -> bool:
        """Do it and die on the way; whether it came to that. Another process goes on."""
        before = dict(self.jobs), set(self.bad)
        try:
            with killed_at(number, when):
                act()
            return False
        except Killed:
            pass
        self.reopen()
        self.calm = False
        self.jobs, self.bad = self.lying()
        for id in {*before[0], *self.jobs} - ids:
            assert self.jobs.get(id) == before[0].get(id), "a kill touches its own job only"
        return True

    def reopen(self) -> None:
        """The writing process ended, another one starts."""
        self.writer.close()
        self.writer = DirectoryStore(self.path, create=True)

    def compact(self) -> None:
        if self.kind != "memory":
            compact(self.writer)

    # -- those who do not -------------------------------------------------------------------

    def foreign_write(self, id: str, *, by_rename: bool, **fields: Any) -> None:
        data = encode(make_job(id, 0, **fields))
        path = self.path / f"{id}.json"
        if by_rename:
            (self.path / "theirs.tmp").write_bytes(data)
            os.rename(self.path / "theirs.tmp", path)
        else:
            path.write_bytes(data)
        self.jobs[id] = essence(parse(data, id=id))
        self.bad.discard(id)
        self.calm = False

    def foreign_unlink(self, id: str) -> None:
        (self.path / f"{id}.json").unlink(missing_ok=True)
        self.jobs.pop(id, None)
        self.bad.discard(id)
        self.calm = False

    def corrupt(self, id: str, data: bytes) -> None:
        """Damage that is older than the grace for files that may be half written."""
        path = self.path / f"{id}.json"
        path.write_bytes(data)
        old = time.time() - LONG_AGO_S
        os.utime(path, (old, old))
        self.jobs.pop(id, None)
        self.bad.add(id)
        self.calm = False

    def take_copy(self) -> None:
        target = self.root / f"copy-{time.monotonic_ns()}"
        shutil.copytree(self.path, target, ignore=shutil.ignore_patterns("bell", "hubs"))
        self.copy = Copy(target, dict(self.jobs), set(self.bad))

    def restore_copy(self) -> None:
        """Wipe the directory and put the copy back, as ``cp -a`` does."""
        if self.copy is None:
            return
        for entry in self.path.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        shutil.copytree(self.copy.path, self.path, dirs_exist_ok=True)
        self.jobs, self.bad = dict(self.copy.jobs), set(self.copy.bad)
        self.calm = False

    # -- the disk ---------------------------------------------------------------------------

    def lying(self) -> tuple[Essences, set[str]]:
        """What lies in the directory: jobs, and what is none (I6)."""
        jobs: Essences = {}
        bad: set[str] = set()
        for path in self.path.glob("*.json"):
            try:
                jobs[path.stem] = essence(parse(path.read_bytes(), id=path.stem))
            except InvalidJob:
                bad.add(path.stem)
        return jobs, bad

    def litter(self) -> set[str]:
        """What a kill may leave for the next writer only."""
        meta = self.path / ".jobctl"
        kept = {".gitignore", "mark", "changes", "guesses", "bell", "hubs", "lock"}
        return {path.name for path in meta.iterdir()} - kept
