"""Connections accepted a second by a hub on one core, against a bare `websockets` server.

    python -m tests.benchmarks.bench_accept [--connections N] [--at-a-time K] [--pairs P]

One process opens N connections, K at a time, from another core than the server's. A connection to
the hub counts as open when it has its first message (the store holds 10 jobs). The bare server is
`websockets.serve` without compression and keepalive; it sends nothing. Both are measured by the
clock and by the CPU time of the server's process. Compare the CPU time: other programs disturb it
less.
"""

from __future__ import annotations

import argparse
from statistics import median

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

_JOBS = 10
_WARM_UP = 300


def accept(kind: str, dialect: str, connections: int, at_a_time: int) -> tuple[float, float]:
    """Return the connections per second of the clock, and per second of the server's CPU time."""
    with (
        scratch("tmpfs") as path,
        child("servers", kind, path, cpu=HUB_CPU) as server,
        child("writer", path, _JOBS, cpu=LOAD_CPU) as writer,
    ):
        port = line_of(server)
        assert line_of(writer) == "ready"
        with child("load", port, 0, dialect, "open", at_a_time, cpu=LOAD_CPU) as load:
            assert line_of(load) == "ready"
            tell(load, str(_WARM_UP))
            line_of(load)
            before_s = cpu_s(server.pid)
            tell(load, str(connections))
            took_s = float(line_of(load))
            return connections / took_s, connections / (cpu_s(server.pid) - before_s)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--connections", type=int, default=4000)
    parser.add_argument("--at-a-time", type=int, default=100)
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    rows = []
    for dialect in ("v1", "plain", "v1+deflate"):
        pairs = [
            (
                accept("hub", dialect, options.connections, options.at_a_time),
                accept("broadcast", "bare", options.connections, options.at_a_time),
            )
            for _ in range(options.pairs)
        ]
        rows.append(
            (
                dialect,
                f"{median(ours[0] for ours, _ in pairs):,.0f}",
                f"{median(theirs[0] for _, theirs in pairs):,.0f}",
                f"{ratio((ours[0], theirs[0]) for ours, theirs in pairs):.2f}",
                f"{1e6 / median(ours[1] for ours, _ in pairs):.0f}",
                f"{1e6 / median(theirs[1] for _, theirs in pairs):.0f}",
                f"{ratio((ours[1], theirs[1]) for ours, theirs in pairs):.2f}",
            )
        )
    header = ("", "hub", "websockets", "ratio", "hub, µs CPU", "websockets", "ratio")
    table("Connections accepted a second", header, rows)


if __name__ == "__main__":
    main()
