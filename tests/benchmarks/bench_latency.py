"""Latency from the start of a write to its arrival at the clients, p50 and p99.

    python -m tests.benchmarks.bench_latency [--seconds S] [--pairs P]

A writer process updates 200 jobs in turn, so many a second, on tmpfs. Against a bare hub on the
same store and bell: one prebuilt frame a change, handed to each client's transport. At 1,000
clients × 200/s the bare hub's one frame a write is more than a core can do.
"""

from __future__ import annotations

import argparse
from statistics import median
from typing import NamedTuple

from tests.benchmarks.measure import HUB_CPU, LOAD_CPU, child, line_of, ratio, scratch, table, tell

_JOBS = 200
_SAMPLED = 100


class Latency(NamedTuple):
    """In ms."""

    p50: float
    p99: float


def latency(kind: str, dialect: str, clients: int, rate: int, seconds: float) -> Latency:
    """One run."""
    with (
        scratch("tmpfs") as path,
        child("servers", kind, path, cpu=HUB_CPU) as server,
        child("writer", path, _JOBS, cpu=LOAD_CPU) as writer,
    ):
        port = line_of(server)
        assert line_of(writer) == "ready"
        with child("load", port, clients, dialect, "time", _SAMPLED, cpu=LOAD_CPU) as load:
            assert line_of(load) == "ready"
            tell(load, str(seconds))
            tell(writer, f"{int(rate * seconds)} {rate}")
            p50, p99, stamps = map(float, line_of(load).split())
    if stamps < _SAMPLED * rate * seconds * (0.9 if clients < 1000 else 0.5):
        raise RuntimeError(f"{kind} delivered {stamps:.0f} stamps only")
    return Latency(p50, p99)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    rows = []
    for clients, rate in ((100, 100), (100, 200), (1000, 200)):
        for dialect in ("v1", "plain"):
            pairs = []
            for _ in range(options.pairs):
                ours = latency("hub", dialect, clients, rate, options.seconds)
                theirs = latency("bare", "plain", clients, rate, options.seconds)
                pairs.append((ours, theirs))
            row = [f"{clients} clients × {rate}/s, {dialect}"]
            for index in (0, 1):
                row += [
                    f"{median(ours[index] for ours, _ in pairs):.2f}",
                    f"{median(theirs[index] for _, theirs in pairs):.2f}",
                    f"{ratio((ours[index], theirs[index]) for ours, theirs in pairs):.2f}",
                ]
            rows.append(row)
    table(
        "Latency, ms",
        ("", "p50", "bare", "ratio", "p99", "bare", "ratio"),
        rows,
    )


if __name__ == "__main__":
    main()
