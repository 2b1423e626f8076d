"""Compressed fan-out: what it costs the hub, against websockets' default and no compression.

    python -m tests.benchmarks.bench_compression [--clients N] [--rates R …] [--pairs P]

A writer process updates 200 jobs in turn, so many a second, on tmpfs. CPU time of the server and
bytes on the wire for each delivery (one update to one client), from the first write until all is
quiet; and resident memory for each connection, after that. The hub may put several updates into
one delta: at a higher rate it does.
"""

from __future__ import annotations

import argparse
from statistics import median
from typing import NamedTuple

from tests.benchmarks.bench_memory import settled_kib
from tests.benchmarks.load import connect
from tests.benchmarks.measure import (
    HUB_CPU,
    LOAD_CPU,
    child,
    cpu_s,
    line_of,
    scratch,
    table,
    tell,
)

_JOBS = 200
_KINDS = {
    "hub, compressed": ("hub", "v1+deflate"),
    "hub, plain frames": ("hub", "v1"),
    "websockets, its compression": ("deflate", "plain+deflate"),
    "websockets, none": ("broadcast", "plain"),
}


class Cost(NamedTuple):
    """Of one run."""

    cpu_us: float
    bytes: float
    kib: float


def cost(kind: str, dialect: str, clients: int, rate: int, seconds: float) -> Cost:
    """One run."""
    updates = int(rate * seconds)
    with (
        scratch("tmpfs") as path,
        child("servers", kind, path, cpu=HUB_CPU) as server,
        child("writer", path, _JOBS, cpu=LOAD_CPU) as writer,
    ):
        port = line_of(server)
        assert line_of(writer) == "ready"
        for client in connect(int(port), 10, dialect):  # what is loaded once for all
            client.sock.close()
        before_kib = settled_kib(server.pid)
        with child("load", port, clients, dialect, "sum", cpu=LOAD_CPU) as load:
            assert line_of(load) == "ready"
            began_s = cpu_s(server.pid)
            tell(load, str(seconds))
            tell(writer, f"{updates} {rate}")
            line_of(writer)
            taken = int(line_of(load))
            spent_s = cpu_s(server.pid) - began_s
            kib = (settled_kib(server.pid) - before_kib) / clients
    deliveries = updates * clients
    return Cost(spent_s / deliveries * 1e6, taken / deliveries, kib)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--rates", type=int, nargs="*", default=[10, 100])
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--pairs", type=int, default=3)
    options = parser.parse_args()
    for rate in options.rates:
        runs: dict[str, list[Cost]] = {name: [] for name in _KINDS}
        for _ in range(options.pairs):
            for name, (kind, dialect) in _KINDS.items():
                run = cost(kind, dialect, options.clients, rate, options.seconds)
                runs[name].append(run)
        rows = [
            (name, *(f"{median(values):.2f}" for values in zip(*costs, strict=True)))
            for name, costs in runs.items()
        ]
        title = f"Compressed fan-out, {options.clients} clients × {rate}/s"
        table(title, ("", "CPU µs a delivery", "bytes a delivery", "KiB a connection"), rows)


if __name__ == "__main__":
    main()
