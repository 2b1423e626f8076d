"""FAULTS rows 63 and 64: files rewritten by renaming, a jobctl writer, and readers of every kind.

`--torture-seconds` is how long, on each file system.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jobctl.core import transitions as jobs
from jobctl.core.codec import encode, parse
from jobctl.core.cursor import ZERO
from jobctl.core.jobset import JobSet
from jobctl.errors import StoreError
from jobctl.stores import read_all
from jobctl.stores.directory.store import DirectoryStore
from tests.stores.support import T0, environment, running, until

RENAMER = Path(__file__).with_name("renamer.py")
RENAMED = [f"f{number:03d}" for number in range(200)]
OURS = [f"live{number}" for number in range(5)]

# Jobs of its own most of the time, one of theirs now and then, and one that comes and goes.
WRITER = """
import random
from jobctl.errors import JobctlError
store, chance, turn = open_store(sys.argv[1]), random.Random(7), 0
while True:
    turn += 1
    pick = chance.random()
    try:
        if pick < 0.8:
            store.update(f"live{turn % 5}", with_message(str(turn)))
        elif pick < 0.95:
            store.update(f"f{chance.randrange(200):03d}", with_message(str(turn)))
        elif "guest" in store.ids("guest"):
            store.remove("guest")
        else:
            store.create(jobs.create("job", now=T0, id="guest"))
    except JobctlError as error:
        if "changes all the time" not in str(error):
            raise
"""


@contextmanager
def renamer(path: Path, seed: int, ids: list[str]) -> Iterator[None]:
    """A foreign program at work, which is killed at the end."""
    process = subprocess.Popen([sys.executable, RENAMER, path, str(seed), *ids], env=environment())
    try:
        yield
        assert process.poll() is None, "it works all the time"
    finally:
        process.kill()
        process.wait()


def paged(store: DirectoryStore) -> set[str]:
    """What a reader without a past holds once it has read on while there was more."""
    replica = JobSet()
    for _ in range(200):
        delta = store.since(replica.cursor if replica.epoch != "-" else ZERO)
        assert replica.apply(delta)
        assert all(job.revision <= delta.through for job in delta.jobs)
        if not delta.more:
            return {job.id for job in replica}
    raise AssertionError("more after 200 pages")


class Follower:
    """A replica that reads on by its cursor, as a hub's does."""

    def __init__(self, store: DirectoryStore) -> None:
        self.store = store
        self.replica = JobSet()
        self.loaded = False

    def read(self) -> set[str] | None:
        """What it holds; ``None`` before the end of its first load."""
        self.store.refresh()
        delta = self.store.since(self.replica.cursor)
        assert self.replica.apply(delta)
        self.loaded = self.loaded or not delta.more
        return {job.id for job in self.replica} if self.loaded else None


@pytest.mark.slow
@pytest.mark.torture
@pytest.mark.timeout(0)
def test_no_read_is_short(place: Path, request: pytest.FixtureRequest) -> None:
    """FAULTS row 63: each read, of every kind of reader, has all jobs that are there meanwhile."""
    seconds = float(request.config.getoption("--torture-seconds", default=10.0))
    seed = 1 if seconds <= 10 else time.time_ns()
    chance = random.Random(seed)
    path = place / "jobs"
    store = DirectoryStore(path, create=True)
    for id in [*OURS, *RENAMED[:150]]:
        store.create(jobs.create("job", now=T0, id=id))
    for id in RENAMED[150:]:  # which jobctl never wrote
        (path / f"{id}.json").write_bytes(
            (path / "f000.json").read_bytes().replace(b"f000", id.encode())
        )
    there = {*OURS, *RENAMED}
    hub, read_only = DirectoryStore(path, adopt=True), DirectoryStore(path)
    read_only._reconciler.may_write = False
    follower = Follower(DirectoryStore(path))
    reads: Counter[str] = Counter()
    short: list[str] = []
    with running(WRITER, path) as writer, renamer(path, seed, RENAMED):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            kind = chance.choice(["new", "hub", "read_only", "follower", "all", "after"])
            if kind == "new":
                fresh = DirectoryStore(path)
                found = paged(fresh)
                fresh.close()
            elif kind == "hub":
                found = paged(hub)
            elif kind == "read_only":
                found = paged(read_only)
            elif kind == "follower":
                found = follower.read() or there
            elif kind == "all":
                found = {job.id for job in read_all(hub).jobs}
            else:
                # A cursor from before any of them: what comes after is everything.
                cursor = read_all(hub).cursor()._replace(revision=1)
                fresh = DirectoryStore(path)
                delta = read_all(fresh, cursor)
                found = {job.id for job in delta.jobs} | {OURS[0]}
                fresh.close()
            reads[kind] += 1
            if not found >= there:
                short.append(f"{kind}: {len(there - found)} missing, as {min(there - found)}")
        assert writer.poll() is None, "it works all the time"
    assert not short, f"seed {seed}: {len(short)} of {reads.total()} reads: {short[:5]}"
    assert min(reads.values()) > seconds / 10, reads
    until(lambda: not follower.store.refresh(), what="all settled")
    until(lambda: not follower.store.since(follower.replica.cursor).more)
    follower.read()
    on_disk = {
        file.stem: parse(file.read_bytes(), id=file.stem).title for file in path.glob("*.json")
    }
    assert {job.id: job.title for job in follower.replica} == on_disk
    print(f"seed {seed}: {dict(reads)}")
    for opened in (store, hub, read_only, follower.store):
        opened.close()


@pytest.mark.slow
@pytest.mark.torture
def test_no_scan_is_short(place: Path, request: pytest.FixtureRequest) -> None:
    """FAULTS row 63: nor is a read of a directory that nobody keeps a log in."""
    seconds = min(10.0, float(request.config.getoption("--torture-seconds", default=10.0)))
    path = place / "foreign"
    path.mkdir()
    for id in RENAMED:
        (path / f"{id}.json").write_bytes(encode(jobs.create("job", now=T0, id=id)))
    reads = 0
    with renamer(path, 1, RENAMED):
        end = time.monotonic() + seconds / 2
        while time.monotonic() < end:
            store = DirectoryStore(path)
            assert {job.id for job in store.since(ZERO).jobs} == set(RENAMED)
            store.close()
            reads += 1
    assert reads > seconds / 4
    with pytest.raises(StoreError, match="no bell yet"):  # nothing was made there
        DirectoryStore(path).listen()
