"""What grows with the number of jobs, and what must not.

    python -m tests.benchmarks.bench_growth [--jobs N …] [--repeat R]

On tmpfs, so that the program is measured and not the disk; the files were written by jobctl.

- ``since``: one read of the store with 10 changes, by a process that follows it, and by the hub's
  replica for a client that lags so far behind. It must cost the same however many jobs there are.
- ``hub listens``: from the start of its process; ``first client``: from its request to the last
  page of its snapshot, which loads the store; ``second client``: the same from memory.
- ``ls``: the whole command, in a process of its own, against a loop that opens, reads and parses
  the same files with json and prints a line for each.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from jobctl._clock import now
from jobctl.core.cursor import ZERO, Cursor
from jobctl.core.jobset import JobSet
from jobctl.core.transitions import create, report
from jobctl.stores import open_store
from tests.benchmarks.load import connect, poll_of, read_ready
from tests.benchmarks.measure import HUB_CPU, LOAD_CPU, child, line_of, scratch, table

_CHANGES = 10
_PLAIN_LS = """
import json, os, sys
os.chdir(sys.argv[1])
for name in os.listdir():
    if name.endswith(".json"):
        with open(name, "rb") as file:
            job = json.loads(file.read())
        print(job["id"], job["type"], job["stage"])
"""


def fill(path: Path, count: int) -> None:
    """So many jobs."""
    store = open_store(path, create=True)
    at = now()
    for number in range(count):
        store.create(create("create_session", id=f"job-{number:08d}", now=at))
    store.close()


def since_ms(path: Path, repeat: int) -> tuple[float, float]:
    """The store's read and the replica's, each with `_CHANGES` changes."""
    writer, reader = open_store(path), open_store(path)
    replica = JobSet()
    replica.apply(reader.since(ZERO))
    ids = sorted(job.id for job in replica)
    stores, replicas = [], []
    for number in range(repeat):
        for index in range(_CHANGES):
            writer.update(
                ids[(number * 7919 + index * 104729) % len(ids)],
                lambda job: report(job, done=1, total=2, now=now()),
            )
        before = replica.cursor
        began_s = time.perf_counter()
        delta = reader.since(before)
        stores.append(time.perf_counter() - began_s)
        assert len(delta.jobs) == _CHANGES
        assert replica.apply(delta)
        began_s = time.perf_counter()
        assert len(replica.since(Cursor(*before)).jobs) == _CHANGES
        replicas.append(time.perf_counter() - began_s)
    writer.close()
    reader.close()
    return median(stores) * 1e3, median(replicas) * 1e3


def hub_s(path: Path) -> tuple[float, float, float]:
    """The hub listens; the first client has all; the second has."""
    began_s = time.monotonic()
    with child("servers", "hub", path, cpu=HUB_CPU) as server:
        port = int(line_of(server))
        listens_s = time.monotonic() - began_s
        return listens_s, snapshot_s(port), snapshot_s(port)


def snapshot_s(port: int) -> float:
    """From a client's request to the last page of its snapshot."""
    began_s = time.monotonic()
    client = connect(port, 1, "v1")[0]
    client.seen = []
    poll, by_fd = poll_of([client])
    while not client.synced:
        read_ready(poll, by_fd, 60.0)
    ended_s = time.monotonic()
    client.sock.shutdown(socket.SHUT_RDWR)
    client.sock.close()
    return ended_s - began_s


def command_s(arguments: list[str]) -> float:
    """One run of a command, its output thrown away."""
    began_s = time.monotonic()
    subprocess.run(
        arguments,
        check=True,
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: os.sched_setaffinity(0, {LOAD_CPU}),
    )
    return time.monotonic() - began_s


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--jobs", type=int, nargs="*", default=[1000, 10_000, 100_000])
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    reads, hubs, lists = [], [], []
    for count in options.jobs:
        with scratch("tmpfs") as path:
            fill(path, count)
            stores, replicas = since_ms(path, 50)
            reads.append((f"{count} jobs", f"{stores:.2f}", f"{replicas:.3f}"))
            runs = [hub_s(path) for _ in range(options.repeat)]
            hubs.append(
                (f"{count} jobs", *(f"{median(run[n] for run in runs):.2f}" for n in range(3)))
            )
            row = [f"{count} jobs"]
            plain = [sys.executable, "-c", _PLAIN_LS, str(path)]
            pairs = [
                (command_s(plain), [ls_s(path, o) for o in ("name", "table", "json")])
                for _ in range(options.repeat)
            ]
            row.append(f"{median(theirs for theirs, _ in pairs):.2f}")
            for n in range(3):
                row.append(f"{median(ours[n] for _, ours in pairs):.2f}")
                row.append(f"{median(ours[n] / theirs for theirs, ours in pairs):.1f}")
            lists.append(row)
    table(f"since, {_CHANGES} changes, ms", ("", "store", "replica"), reads)
    table("Hub, s", ("", "listens", "first client", "second client"), hubs)
    table(
        "ls, s",
        ("", "plain loop", "-o name", "times", "table", "times", "-o json", "times"),
        lists,
    )


def ls_s(path: Path, output: str) -> float:
    """``jobctl ls`` with this output."""
    return command_s([sys.executable, "-m", "jobctl", "ls", "--dir", str(path), "-o", output])


if __name__ == "__main__":
    main()
