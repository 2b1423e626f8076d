"""Peak memory of a hub with a crowd of clients and a burst of updates, and what it delivers.

    python -m tests.benchmarks.bench_burst [--clients N] [--updates M] [--pairs P]

A writer updates M distinct jobs on tmpfs once, as fast as it can, and N clients read every update
from another core than the server's. The peak is the server's VmHWM (proc(5)): ``open`` while the
clients connect (a hub sends each of them a snapshot of M jobs, which they read once all are
connected), ``burst`` from just before the burst to the last client's last byte. Deliveries are
counted over the same time. Beside it runs `websockets.broadcast()`, which is fed from the same
store by the same bell and sends no snapshot.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import median
from typing import NamedTuple

from tests.benchmarks.measure import (
    HUB_CPU,
    LOAD_CPU,
    child,
    cpu_s,
    line_of,
    ratio,
    scratch,
    table,
    tell,
)


class Run(NamedTuple):
    """Peaks in MiB, and deliveries for each second of the clock and of the server's CPU time."""

    open_mib: float
    burst_mib: float
    per_s: float
    per_cpu_s: float


def peak_mib(pid: int) -> float:
    """The peak of a process's resident memory since its start or since `reset_peak`."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def reset_peak(pid: int) -> None:
    """Set the peak to what is resident now (proc(5), ``clear_refs``)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def burst(kind: str, dialect: str, clients: int, updates: int) -> Run:
    """One server, one crowd, one burst."""
    with (
        scratch("tmpfs") as path,
        child("servers", kind, path, cpu=HUB_CPU) as server,
        child("writer", path, updates, cpu=LOAD_CPU) as writer,
    ):
        port = line_of(server)
        assert line_of(writer) == "ready"
        with child("load", port, clients, dialect, "count", cpu=LOAD_CPU) as load:
            assert line_of(load) == "ready"
            open_mib = peak_mib(server.pid)
            reset_peak(server.pid)
            tell(load, str(updates))
            before_s = cpu_s(server.pid)
            tell(writer, f"{updates} 0")
            began_s, _ = map(float, line_of(writer).split())
            ended_s, delivered = map(float, line_of(load).split())
            deliveries = delivered * clients
            return Run(
                open_mib,
                peak_mib(server.pid),
                deliveries / (ended_s - began_s),
                deliveries / (cpu_s(server.pid) - before_s),
            )


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--clients", type=int, default=5000)
    parser.add_argument("--updates", type=int, default=1000)
    parser.add_argument("--pairs", type=int, default=3)
    options = parser.parse_args()
    cases = (("hub", "v1"), ("hub", "plain"), ("broadcast", "plain"))
    runs: dict[tuple[str, str], list[Run]] = {case: [] for case in cases}
    for _ in range(options.pairs):
        for kind, dialect in cases:
            runs[kind, dialect].append(burst(kind, dialect, options.clients, options.updates))
    theirs = runs["broadcast", "plain"]
    rows = [
        (
            f"{kind}, {dialect}",
            f"{median(run.open_mib for run in found):.0f}",
            f"{min(run.burst_mib for run in found):.0f}–{max(run.burst_mib for run in found):.0f}",
            f"{median(run.per_s for run in found):,.0f}",
            f"{median(run.per_cpu_s for run in found):,.0f}",
            f"{ratio((a.per_s, b.per_s) for a, b in zip(found, theirs, strict=True)):.1f}",
        )
        for (kind, dialect), found in runs.items()
    ]
    header = ("", "open, MiB", "burst, MiB", "deliveries/s", "per CPU s", "times")
    table(f"{options.clients} clients, a burst of {options.updates} updates", header, rows)


if __name__ == "__main__":
    main()
