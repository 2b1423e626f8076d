"""Fan-out: one writer's updates, delivered to each of many clients, by a hub on one core.

    python -m tests.benchmarks.bench_fanout [--clients N …] [--updates M] [--pairs P]

A writer process updates distinct jobs on tmpfs as fast as it can, and every client gets every one.
Against plain `websockets.broadcast()`, fed from the same store by the same bell. Deliveries count
from the first write to the last client's last byte, so a hub that keeps up shows the writer's
speed, not its own limit: that is what the column "writer" tells.
"""

from __future__ import annotations

import argparse
from statistics import median

from tests.benchmarks.measure import HUB_CPU, LOAD_CPU, child, line_of, ratio, scratch, table, tell


def deliveries_per_s(kind: str, dialect: str, clients: int, updates: int) -> tuple[float, float]:
    """One run; and the same as if all had come the moment the writer was done."""
    with (
        scratch("tmpfs") as path,
        child("servers", kind, path, cpu=HUB_CPU) as server,
        child("writer", path, updates, cpu=LOAD_CPU) as writer,
    ):
        port = line_of(server)
        assert line_of(writer) == "ready"
        with child("load", port, clients, dialect, "count", cpu=LOAD_CPU) as load:
            assert line_of(load) == "ready"
            tell(load, str(updates))
            tell(writer, f"{updates} 0")
            began_s, wrote_s = map(float, line_of(writer).split())
            ended_s, delivered = map(float, line_of(load).split())
    return delivered * clients / (ended_s - began_s), delivered * clients / wrote_s


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--clients", type=int, nargs="*", default=[100, 1000])
    parser.add_argument("--updates", type=int, default=2000)
    parser.add_argument("--pairs", type=int, default=3)
    options = parser.parse_args()
    rows = []
    for clients in options.clients:
        for dialect in ("v1", "plain"):
            pairs = [
                (
                    deliveries_per_s("hub", dialect, clients, options.updates),
                    deliveries_per_s("broadcast", "plain", clients, options.updates),
                )
                for _ in range(options.pairs)
            ]
            rows.append(
                (
                    f"{clients} clients, {dialect}",
                    f"{median(ours[0] for ours, _ in pairs):,.0f}",
                    f"{median(ours[1] for ours, _ in pairs):,.0f}",
                    f"{median(theirs[0] for _, theirs in pairs):,.0f}",
                    f"{ratio((ours[0], theirs[0]) for ours, theirs in pairs):.1f}",
                )
            )
    table("Fan-out, deliveries/s", ("", "hub", "writer", "broadcast()", "times"), rows)


if __name__ == "__main__":
    main()
