"""The directory store's writes, one and four writers, on tmpfs and on disk.

    python -m tests.benchmarks.bench_store [--seconds S] [--pairs P]

Each writer is a process that updates its own 100 jobs in turn for S seconds. Against a plain loop
that does the same to the same files without a log, a bell or a look back (flock, read, change,
temporary file, rename, as one writes it with json), and against SQLite: one table, one row a job,
WAL, ``synchronous=NORMAL``, the same JSON text. And against the bare loop, which reads nothing and
writes the same bytes each time: what the file system itself costs. Times are multiples of the
other's time for one update; below 1 is faster.

The rows "in turns" are one process that does 200 updates of each kind in turn, so that all meet the
same disk and the same other load; of each the median is taken.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from jobctl._clock import now
from jobctl.core.codec import encode
from jobctl.core.job import Job
from jobctl.core.transitions import create, report
from jobctl.stores import open_store
from tests.benchmarks.measure import CPUS, child, file_system, line_of, scratch, table, tell

_JOBS = 100
_TURN = 200  # updates of one kind before the next kind has its turn
Update = Callable[[str, int], object]
"""One write: the job's id, and the number that it gets as its progress."""


def jobctl_writer(path: str, jobs: list[Job]) -> Update:
    """Our own store."""
    store = open_store(path, create=True)
    for job in jobs:
        store.create(job)
    return lambda id, number: store.update(
        id, lambda job: report(job, done=number, total=10**9, now=now())
    )


def _changed(value: dict[str, object], number: int) -> dict[str, object]:
    """What the rivals write: the same change, unchecked."""
    return {**value, "progress": {"done": number, "total": 10**9}, "updatedAt": now()}


def plain_writer(path: str, jobs: list[Job]) -> Update:
    """The least that keeps files whole and writers apart."""
    lock = os.open(os.path.join(path, "lock"), os.O_RDWR | os.O_CREAT)

    def write(name: str, value: object) -> None:
        temporary = os.path.join(path, "next")
        with open(temporary, "wb") as file:
            file.write(json.dumps(value, indent=2).encode() + b"\n")
        os.rename(temporary, name)

    def update(id: str, number: int) -> None:
        name = os.path.join(path, id + ".json")
        fcntl.flock(lock, fcntl.LOCK_EX)
        with open(name, "rb") as file:
            value = json.loads(file.read())
        write(name, _changed(value, number))
        fcntl.flock(lock, fcntl.LOCK_UN)

    fcntl.flock(lock, fcntl.LOCK_EX)
    for job in jobs:
        write(os.path.join(path, job.id + ".json"), json.loads(encode(job)))
    fcntl.flock(lock, fcntl.LOCK_UN)
    return update


def bare_writer(path: str, jobs: list[Job]) -> Update:
    """flock, temporary file, rename, and nothing else: it reads nothing and makes no JSON."""
    lock = os.open(os.path.join(path, "lock"), os.O_RDWR | os.O_CREAT)
    temporary = os.path.join(path, "next")
    data = encode(jobs[0])

    def update(id: str, number: int) -> None:
        fcntl.flock(lock, fcntl.LOCK_EX)
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.write(fd, data)
        os.close(fd)
        os.rename(temporary, os.path.join(path, id + ".json"))
        fcntl.flock(lock, fcntl.LOCK_UN)

    return update


def sqlite_writer(path: str, jobs: list[Job]) -> Update:
    """One row a job."""
    db = sqlite3.connect(os.path.join(path, "jobs.db"), timeout=60, isolation_level=None)
    db.execute("pragma journal_mode=wal")
    db.execute("pragma synchronous=normal")
    db.execute("create table if not exists jobs (id text primary key, body text)")
    for job in jobs:
        db.execute("insert or replace into jobs values (?, ?)", (job.id, encode(job).decode()))

    def update(id: str, number: int) -> None:
        db.execute("begin immediate")
        (body,) = db.execute("select body from jobs where id = ?", (id,)).fetchone()
        body = json.dumps(_changed(json.loads(body), number), indent=2)
        db.execute("update jobs set body = ? where id = ?", (body, id))
        db.execute("commit")

    return update


_KINDS = {
    "jobctl": jobctl_writer,
    "plain": plain_writer,
    "bare": bare_writer,
    "sqlite": sqlite_writer,
}


def write(kind: str, path: str, writer: str, seconds: float) -> None:
    """In a child: wait for a line, write for so long, print how many updates that were."""
    jobs = [create("create_session", id=f"job-{writer}-{n}", now=now()) for n in range(_JOBS)]
    update = _KINDS[kind](path, jobs)
    for job in jobs:
        update(job.id, 0)
    print("ready", flush=True)
    sys.stdin.readline()
    began_s, count = time.monotonic(), 0
    while time.monotonic() - began_s < seconds:
        update(jobs[count % _JOBS].id, count)
        count += 1
    print(count / (time.monotonic() - began_s), flush=True)


def updates_per_s(kind: str, path: Path, writers: int, seconds: float) -> float:
    """One run, in a directory of its own."""
    with ExitStack() as stack:
        children = [
            stack.enter_context(
                child("bench_store", kind, path, number, seconds, cpu=CPUS[number % len(CPUS)])
            )
            for number in range(writers)
        ]
        for process in children:
            assert line_of(process) == "ready"
        for process in children:
            tell(process, "go")
        return sum(float(line_of(process)) for process in children)


def in_turns(place: str, rounds: int) -> tuple[str, dict[str, list[float]]]:
    """One process that writes of each kind in turn; the seconds that each turn took."""
    jobs = [create("create_session", id=f"job-{n}", now=now()) for n in range(_JOBS)]
    took_s: dict[str, list[float]] = {kind: [] for kind in _KINDS}
    with ExitStack() as stack:
        paths = {kind: stack.enter_context(scratch(place)) for kind in _KINDS}
        updates = {kind: _KINDS[kind](str(path), jobs) for kind, path in paths.items()}
        for round in range(rounds):
            for kind in list(_KINDS)[:: 1 if round % 2 else -1]:
                began_s = time.perf_counter()
                for number in range(_TURN):
                    updates[kind](jobs[number % _JOBS].id, round * _TURN + number)
                took_s[kind].append(time.perf_counter() - began_s)
        return file_system(paths["jobctl"]), took_s


def _median_ratio(ours: list[float], theirs: list[float]) -> float:
    return median(our / their for our, their in zip(ours, theirs, strict=True))


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--pairs", type=int, default=7)
    options = parser.parse_args()
    rows = []
    for place in ("disk", "tmpfs"):
        label, took_s = in_turns(place, 10 * options.pairs)
        rows.append(
            (
                f"{label}, in turns",
                *(f"{_TURN / median(took_s[kind]):,.0f}" for kind in _KINDS),
                *(
                    f"{_median_ratio(took_s['jobctl'], took_s[kind]):.2f}"
                    for kind in ("plain", "bare", "sqlite")
                ),
            )
        )
        for writers in (1, 4):
            label = place
            runs: list[dict[str, float]] = []
            for _ in range(options.pairs):
                runs.append({})
                for kind in _KINDS:
                    with scratch(place) as path:
                        label = file_system(path)
                        runs[-1][kind] = updates_per_s(kind, path, writers, options.seconds)
            rows.append(
                (
                    f"{label}, {writers} writer{'s' * (writers > 1)}",
                    *(f"{median(run[kind] for run in runs):,.0f}" for kind in _KINDS),
                    f"{median(run['plain'] / run['jobctl'] for run in runs):.2f}",
                    f"{median(run['bare'] / run['jobctl'] for run in runs):.2f}",
                    f"{median(run['sqlite'] / run['jobctl'] for run in runs):.2f}",
                )
            )
    table(
        "Store: updates/s, and time an update",
        ("", *_KINDS, "jobctl/plain", "jobctl/bare", "jobctl/sqlite"),
        rows,
    )


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] in _KINDS:
        write(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4]))
    else:
        main()
