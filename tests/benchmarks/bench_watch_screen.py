"""``jobctl watch`` on a terminal: what its screen costs, beside another version.

    python -m tests.benchmarks.bench_watch_screen [--jobs N] [--seconds S] [--pairs P]
        [--against CHECKOUT]

N active jobs, each of which changes once a second, on a terminal of 120 columns and 70 rows that is
read as fast as it can be: the CPU time of all processes of ``jobctl watch`` and the bytes that it
writes, in a second, and the time until all jobs are on the screen. ``--against`` is the directory
of another version (``git worktree add old COMMIT``), which runs by turns with ours, from the same
interpreter. The writer takes the same time for both.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import NamedTuple

from jobctl import api
from jobctl.stores import open_store
from tests.benchmarks.measure import HUB_CPU, LOAD_CPU, cpu_s, ratio, scratch, table

_COLUMNS, _ROWS = 120, 70
_WARM_UP_S = 2.0

_WRITER = """
import sys, time
from jobctl import api
from jobctl.stores import open_store
path, count = sys.argv[1], int(sys.argv[2])
store = open_store(path)
began, step = time.monotonic(), 0
while True:
    api.progress(store, f"job-{step % count:03}", step // count % 100)
    step += 1
    time.sleep(max(0, began + step / count - time.monotonic()))
"""


class Cost(NamedTuple):
    """What one run cost."""

    first_ms: float
    cpu_percent: float
    bytes_per_s: float


def children(pid: int) -> list[int]:
    """The process and all that it started."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [pid, *(found for child in text.split() for found in children(int(child)))]


def run(checkout: str, folder: str, jobs: int, seconds: float) -> Cost:
    """Watch for so long."""
    began_s = time.monotonic()
    pid, fd = pty.fork()
    if pid == 0:
        os.sched_setaffinity(0, {HUB_CPU})
        os.chdir(checkout)  # comes first on the path of -m
        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, _COLUMNS, 0, 0))
        env = {**os.environ, "TERM": "xterm-256color", "PYTHONPATH": checkout}
        for name in ("PYTHONDONTWRITEBYTECODE", "COLUMNS", "LINES", "NO_COLOR"):
            env.pop(name, None)
        words = [sys.executable, "-m", "jobctl", "watch", "--dir", folder]
        os.execve(sys.executable, words, env)
    try:
        missing = {f"job-{number:03}".encode() for number in range(jobs)}
        shown = b""
        while missing:
            shown += os.read(fd, 1 << 16)
            missing = {id for id in missing if id not in shown}
        first_ms = (time.monotonic() - began_s) * 1e3
        read_for(fd, _WARM_UP_S)
        pids = children(pid)
        before_s, began_s = sum(map(cpu_s, pids)), time.monotonic()
        count = read_for(fd, seconds)
        took_s = time.monotonic() - began_s
        used_s = sum(map(cpu_s, pids)) - before_s
        return Cost(first_ms, used_s / took_s * 100, count / took_s)
    finally:
        os.kill(pid, signal.SIGTERM)
        read_for(fd, 5)
        os.waitpid(pid, 0)
        os.close(fd)


def read_for(fd: int, seconds: float) -> int:
    """Read all that comes in this time; return how many bytes that were."""
    count, end_s = 0, time.monotonic() + seconds
    while (left_s := end_s - time.monotonic()) > 0:
        if select.select([fd], [], [], left_s)[0]:
            try:
                got = os.read(fd, 1 << 16)
            except OSError:  # EIO: all have ended
                break
            count += len(got)
    return count


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--against", metavar="CHECKOUT")
    options = parser.parse_args()
    ours = str(Path(__file__).parents[2])
    with scratch("tmpfs") as path:
        folder = str(path / "jobs")
        with closing(open_store(folder, create=True)) as store:
            for number in range(options.jobs):
                id = f"job-{number:03}"
                api.create(store, "etl", id=id, stages=["load", "save"])
                api.advance(store, id)
        writer = subprocess.Popen(
            [sys.executable, "-c", _WRITER, folder, str(options.jobs)],
            env={**os.environ, "PYTHONPATH": ours},
            preexec_fn=lambda: os.sched_setaffinity(0, {LOAD_CPU}),
        )
        try:
            checkouts = [ours, options.against] if options.against else [ours]
            runs = [
                [run(checkout, folder, options.jobs, options.seconds) for checkout in checkouts]
                for _ in range(options.pairs)
            ]
            assert writer.poll() is None, "the jobs changed all the while"
        finally:
            writer.kill()
            writer.wait()
    rows = []
    for name, form in (("first_ms", ".0f"), ("cpu_percent", ".1f"), ("bytes_per_s", ".0f")):
        values = [[getattr(cost, name) for cost in turn] for turn in runs]
        row = [
            name.replace("_", " "),
            *(format(median(one), form) for one in zip(*values, strict=True)),
        ]
        if options.against:
            row.append(f"{ratio((turn[1], turn[0]) for turn in values):.1f}")
        rows.append(row)
    head = ["", "ours", "theirs", "theirs / ours"] if options.against else ["", "ours"]
    table(f"watch on a terminal, {options.jobs} jobs, {options.pairs} runs", head, rows)


if __name__ == "__main__":
    main()
