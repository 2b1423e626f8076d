"""The start of a hub with many jobs, and its memory.

    python -m tests.benchmarks.bench_load [--jobs N …] [--repeat R]

On tmpfs, so that the program is measured and not the disk; jobctl wrote the files.

- ``start``: CPU and wall time from the start of the hub's process until its first client has all
  jobs, against a process that opens, reads and parses the same files with json. They run in turns;
  the ratios are medians of the pairs.
- ``memory``: by how much the hub's resident memory, and its peak, exceed those of a hub without
  jobs whose first client has had its answer, divided by the number of jobs.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

from tests.benchmarks.bench_growth import fill, snapshot_s
from tests.benchmarks.measure import HUB_CPU, child, cpu_s, line_of, memory_kib, scratch, table

_PLAIN_LOAD = """
import json, os, sys
os.chdir(sys.argv[1])
jobs = {}
for name in os.listdir():
    if name.endswith(".json"):
        with open(name, "rb") as file:
            job = json.loads(file.read())
        jobs[job["id"]] = job
"""


class Load(NamedTuple):
    """CPU and wall seconds of a load, and KiB of memory after it and at its peak."""

    cpu_s: float
    wall_s: float
    rss_kib: int
    peak_kib: int


def hub_load(path: Path) -> Load:
    """A hub, until its first client has all."""
    began_s = time.monotonic()
    with child("servers", "hub", path, cpu=HUB_CPU) as server:
        snapshot_s(int(line_of(server)))
        wall_s = time.monotonic() - began_s
        used_s = cpu_s(server.pid)
        time.sleep(1.0)  # what is freed once the load is over
        rss_kib, peak_kib = (memory_kib(server.pid, name) for name in ("VmRSS", "VmHWM"))
    return Load(used_s, wall_s, rss_kib, peak_kib)


def plain_load(path: Path) -> Load:
    """Open, read and parse each file."""
    began_s = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-c", _PLAIN_LOAD, path],
        preexec_fn=lambda: os.sched_setaffinity(0, {HUB_CPU}),
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"the loop ended with {process.returncode}")
    wall_s = time.monotonic() - began_s
    return Load(usage.ru_utime + usage.ru_stime, wall_s, 0, usage.ru_maxrss)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--jobs", type=int, nargs="*", default=[20_000, 100_000])
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    with scratch("tmpfs") as path:
        fill(path, 0)
        empty = hub_load(path)
    starts, memories = [], []
    for count in options.jobs:
        with scratch("tmpfs") as path:
            fill(path, count)
            hub_load(path)  # the first hub makes files of its own there
            pairs = [(hub_load(path), plain_load(path)) for _ in range(options.repeat)]
        cells = [f"{count} jobs"]
        for field in ("cpu_s", "wall_s"):
            both = [(getattr(hub, field), getattr(plain, field)) for hub, plain in pairs]
            ours, theirs = (median(values) for values in zip(*both, strict=True))
            share = median(mine / other for mine, other in both)
            cells += [f"{ours:.2f}", f"{theirs:.2f}", f"{share:.2f}x"]
        starts.append(cells)
        grown = median(hub.rss_kib - empty.rss_kib for hub, _ in pairs) / count
        peak = median(hub.peak_kib - empty.peak_kib for hub, _ in pairs) / count
        memories.append((f"{count} jobs", f"{grown:.2f}", f"{peak:.2f}"))
    header = ("", "CPU s", "loop", "ratio", "wall s", "loop", "ratio")
    table("Start of a hub until the first client has all", header, starts)
    table("Memory of the hub, KiB a job", ("", "resident", "peak"), memories)


if __name__ == "__main__":
    main()
