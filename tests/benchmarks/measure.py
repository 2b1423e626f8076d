"""What the benchmarks share: scratch directories, pinned child processes, ratios, tables.

Absolute figures on a busy machine say little, so every benchmark runs what it compares in turns,
in one run, and reports the median of the ratios of the pairs.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

CPUS = sorted(os.sched_getaffinity(0))
HUB_CPU = CPUS[0]
"""Servers are pinned to this one."""
LOAD_CPU = CPUS[-1]
"""Writers and clients are pinned to this one; the same where there is only one."""


@contextmanager
def scratch(kind: str) -> Iterator[Path]:
    """A directory of its own on ``tmpfs`` or ``disk``, removed in the end."""
    path = tempfile.mkdtemp(prefix="jobctl-bench-", dir="/dev/shm" if kind == "tmpfs" else None)
    try:
        yield Path(path)
    finally:
        shutil.rmtree(path)


def file_system(path: Path) -> str:
    """The type of the file system that the path lies on, by the longest mount point."""
    best = ("", "?")
    for line in Path("/proc/mounts").read_text().splitlines():
        _, mount, kind, *_ = line.split()
        if path.is_relative_to(mount) and len(mount) > len(best[0]):
            best = (mount, kind)
    return best[1]


@contextmanager
def child(module: str, *args: object, cpu: int, nice: int = 0) -> Iterator[subprocess.Popen[str]]:
    """``python -m tests.benchmarks.<module> …``, pinned; ended with the block."""

    def prepare() -> None:
        os.sched_setaffinity(0, {cpu})
        os.nice(nice)

    process = subprocess.Popen(
        [sys.executable, "-m", f"tests.benchmarks.{module}", *map(str, args)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=prepare,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate()


def line_of(process: subprocess.Popen[str]) -> str:
    """The next line that the child prints; an error when it ends instead."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"{process.args!r} ended with {process.wait()}")
    return line.strip()


def tell(process: subprocess.Popen[str], text: str) -> None:
    """A line for the child."""
    assert process.stdin is not None
    process.stdin.write(text + "\n")
    process.stdin.flush()


def rss_kib(pid: int) -> int:
    """The resident memory of a process."""
    return memory_kib(pid, "VmRSS")


def memory_kib(pid: int, name: str) -> int:
    """The memory of a process: ``VmRSS``, resident now, or ``VmHWM``, the peak of that."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith(name)).split()[1])


def cpu_s(pid: int) -> float:
    """The CPU time that a process has taken, of its own and of the kernel's."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def ratio(pairs: Iterable[tuple[float, float]]) -> float:
    """The median of the quotients."""
    return statistics.median(ours / theirs for ours, theirs in pairs)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which so large a share lies; ``values`` are sorted."""
    return values[min(len(values) - 1, int(len(values) * share))]


def table(title: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print the table, in columns."""
    texts = [list(header), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in texts) for column in range(len(header))]
    version = ".".join(map(str, sys.version_info[:3]))
    print(f"\n{title}  ({len(CPUS)} cores, Linux {os.uname().release}, Python {version})")
    for row in texts:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        print("  ".join(cells))
    sys.stdout.flush()
