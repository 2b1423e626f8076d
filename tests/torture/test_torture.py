"""Eight writers, killed and stopped at random, foreign writers among them, and a reader.

FAULTS.md, section 3. Histories are judged by validate.py; a failed one stays in its file.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from jobctl.core import transitions as jobs
from jobctl.core.codec import encode, parse
from jobctl.core.cursor import ZERO
from jobctl.core.jobset import Delta, JobSet
from jobctl.errors import InvalidJob, StoreError
from jobctl.stores.directory.changelog import Log
from jobctl.stores.directory.store import DirectoryStore
from tests.stores.support import T0, compact, environment, until
from tests.torture.validate import complaints
from tests.torture.writers import JOBS

WRITERS = 8


def recorded(delta: Delta) -> dict[str, Any]:
    """A delta as histories keep it."""
    return {
        "epoch": delta.epoch,
        "since": delta.since,
        "through": delta.through,
        "jobs": [[job.revision, job.id, job.message] for job in delta.jobs],
        "gone": [[item.revision, item.id] for item in delta.gone],
    }


class Reader(threading.Thread):
    """Follows by cursor, on the bell or every 50 ms, and records all it gets."""

    def __init__(self, path: Path) -> None:
        super().__init__(name="torture-reader", daemon=True)
        self.store = DirectoryStore(path)
        self.history: list[dict[str, Any]] = []
        self.quiet = threading.Event()  # nothing more will be written
        self.error: BaseException | None = None
        self._replica = JobSet()

    def run(self) -> None:
        try:
            listener = self.store.listen()
            while not self.quiet.is_set():
                listener.wait(0.05)
                self.store.refresh()
                self._step()
            until(lambda: not self.store.refresh(), what="everything settled")
            until(lambda: not self._step(), what="the reader at the end")
            listener.close()
        except BaseException as error:
            self.error = error

    def _step(self) -> Delta:
        delta = self.store.since(self._replica.cursor)
        if delta:
            self.history.append(recorded(self._without_loose(delta)))
        else:
            # Empty ones move on, too: the next one starts there.
            self.history[-1] = self.history[-1] | {"through": delta.through}
        assert self._replica.apply(delta)
        return delta

    def _without_loose(self, delta: Delta) -> Delta:
        """Leave out files that a reset delivered without a record: they have no revision yet.

        They stand at the delta's own (see read.py), which a write may have as well. What becomes of
        them is judged by where the reader ends.
        """
        if delta.since:
            return delta
        loose = self.store._index.loose
        return delta._replace(jobs=tuple(job for job in delta.jobs if job.id not in loose))


class Writers:
    """The eight writers, by way of their nursery."""

    def __init__(self, path: Path, acks: Path) -> None:
        nursery = Path(__file__).with_name("writers.py")
        self._nursery = subprocess.Popen(
            [sys.executable, nursery, path, acks],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        self._seed = 0
        self.pids = [self._spawn() for _ in range(WRITERS)]
        self.killed = 0

    def _spawn(self) -> int:
        assert self._nursery.stdin is not None
        assert self._nursery.stdout is not None
        self._seed += 1
        self._nursery.stdin.write(f"{self._seed}\n")
        self._nursery.stdin.flush()
        return int(self._nursery.stdout.readline())

    def kill(self, place: int) -> None:
        """Kill one, and start another in its place."""
        with suppress(ProcessLookupError):
            os.kill(self.pids[place], signal.SIGKILL)
        self.killed += 1
        self.pids[place] = self._spawn()

    def send(self, place: int, sent: int) -> None:
        """STOP or CONT."""
        with suppress(ProcessLookupError):
            os.kill(self.pids[place], sent)

    def end(self) -> None:
        """Kill all, and wait until they are gone."""
        for pid in self.pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in self.pids:
            until(lambda: not os.path.exists(f"/proc/{pid}"), what="a killed writer gone")  # noqa: B023
        self._nursery.communicate()


def meddle(path: Path, chance: random.Random, turn: int) -> None:
    """What a program that knows nothing of us does: overwrite in place, replace, delete."""
    id = f"j{chance.randrange(JOBS)}"
    file = path / f"{id}.json"
    data = encode(jobs.create("job", now=T0, id=id).replace(message=f"f{turn}"))
    kind = chance.randrange(4)
    if kind == 0:
        file.unlink(missing_ok=True)
    elif kind == 1:
        file.write_bytes(data)
    elif kind == 2:
        with open(file, "wb") as half:
            half.write(data[:50])
            half.flush()
            select.select([], [], [], 0.01)  # a slow writer: others see the half
            half.write(data[50:])
    else:
        (path / "theirs").write_bytes(data)
        os.rename(path / "theirs", file)


def torture(path: Path, acks: Path, seconds: float, seed: int) -> tuple[Reader, int]:
    """Kill, stop and meddle for so long; afterwards all is quiet and the reader at the end."""
    chance = random.Random(seed)
    DirectoryStore(path, create=True, adopt=True).close()
    reader = Reader(path)
    reader.start()
    writers = Writers(path, acks)
    end = time.monotonic() + seconds
    stopped: list[int] = []
    turn = 0
    while time.monotonic() < end and reader.error is None:
        select.select([], [], [], chance.uniform(0.01, 0.06))  # this is the schedule, no waiting
        turn += 1
        place = chance.randrange(WRITERS)
        while stopped:
            writers.send(stopped.pop(), signal.SIGCONT)
        if turn % 5 == 0:
            writers.send(place, signal.SIGSTOP)
            stopped.append(place)
        else:
            writers.kill(place)
        if turn % 2 == 0:
            meddle(path, chance, turn)
    writers.end()
    reader.quiet.set()
    reader.join(30)
    return reader, writers.killed


def judge(path: Path, acks: Path, reader: Reader) -> dict[str, Any]:
    """The whole history, with what lies there in the end."""
    last = DirectoryStore(path)
    id = last.create(jobs.create("job", now=T0, id="last")).id  # cleans up what the killed left
    last.remove(id)
    lines = acks.read_text().splitlines()
    disk: dict[str, str | None] = {}
    for file in path.glob("*.json"):
        try:
            disk[file.stem] = parse(file.read_bytes(), id=file.stem).message
        except InvalidJob:
            disk[file.stem] = None
    with suppress(StoreError):
        compact(last)
    litter = [name for name in os.listdir(path) if name[-5:] != ".json" and name != ".jobctl"]
    litter += sorted(set(os.listdir(path / ".jobctl")) - {".gitignore", "mark", "changes", "bell"})
    litter += os.listdir(path / ".jobctl" / "bell")
    history = {
        "acks": [
            [int(revision), id, tag]
            for line in lines
            if not line.startswith("ERROR")
            for revision, id, tag in [line.split()]
        ],
        "errors": [line for line in lines if line.startswith("ERROR")],
        "reader": reader.history,
        "end": recorded(last.since(ZERO)),
        "disk": disk,
        "litter": litter,
        "log": [
            record.revision
            for record in Log(os.open(path / ".jobctl" / "changes", os.O_RDONLY)).read(0)
        ],
    }
    last.close()
    reader.store.close()
    return history


@pytest.mark.slow
@pytest.mark.torture
@pytest.mark.timeout(0)
@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs /proc")
def test_nothing_acknowledged_is_lost(
    place: Path, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """FAULTS row 2: under random kill -9 every rule of validate.py holds."""
    seconds = float(request.config.getoption("--torture-seconds", default=10.0))
    seed = 1 if seconds <= 10 else time.time_ns()
    path, acks = place / "jobs", place / "acks"
    reader, killed = torture(path, acks, seconds, seed)
    if reader.error is not None:
        raise reader.error
    assert not reader.is_alive()
    history = judge(path, acks, reader)
    file = tmp_path / "history.json"
    file.write_text(json.dumps(history))
    assert len(history["acks"]) > 10 * seconds, "hardly anything was written"
    assert killed > 4 * seconds, "hardly anyone was killed"
    assert complaints(history) == [], f"seed {seed}; judge again: -m tests.torture.validate {file}"
    print(f"{killed} kills, {len(history['acks'])} writes, {len(history['reader'])} deltas")
