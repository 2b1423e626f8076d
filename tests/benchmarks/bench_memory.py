"""Memory of a hub: for each connection, and for one that has stopped reading.

    python -m tests.benchmarks.bench_memory [--clients N …] [--updates M]

Resident memory of the hub's process, uncompressed connections. First with N open clients against
none, each with jobs:init or its first delta behind it, and once more after 100 updates. Then with
one client that stopped reading, while a writer makes M updates of 1,000 jobs and ten others read:
what the hub grows by from the moment at which the stalled client's socket is full.
"""

from __future__ import annotations

import argparse
import socket
import time
from pathlib import Path

from tests.benchmarks.load import connect
from tests.benchmarks.measure import (
    HUB_CPU,
    LOAD_CPU,
    child,
    line_of,
    rss_kib,
    scratch,
    table,
    tell,
)

_JOBS = 1000


def settled_kib(pid: int) -> int:
    """The resident memory once it stands still."""
    last, now = -1, rss_kib(pid)
    while last != now:
        time.sleep(0.5)
        last, now = now, rss_kib(pid)
    return now


def a_connection(path: Path, kind: str, dialect: str, count: int) -> tuple[float, float]:
    """KiB a connection: idle, and after updates."""
    with (
        child("servers", kind, path, cpu=HUB_CPU) as server,
        child("writer", path, 10, cpu=LOAD_CPU) as writer,
    ):
        port = line_of(server)
        assert line_of(writer) == "ready"
        for client in connect(int(port), 10, dialect):  # what is loaded once for all
            client.sock.close()
        none = settled_kib(server.pid)
        with child("load", port, count, dialect, "count", cpu=LOAD_CPU) as load:
            assert line_of(load) == "ready"
            idle = settled_kib(server.pid)
            tell(load, "50")  # versions may merge
            tell(writer, "100 50")
            line_of(load)
            busy = settled_kib(server.pid)
    return (idle - none) / count, (busy - none) / count


def stalled(path: Path, updates: int) -> tuple[int, int]:
    """KiB by which the hub grew, with a stalled client and with none, in one run."""
    with (
        child("servers", "hub", path, cpu=HUB_CPU) as server,
        child("writer", path, _JOBS, cpu=LOAD_CPU) as writer,
    ):
        port = line_of(server)
        assert line_of(writer) == "ready"
        with child("load", port, 10, "v1", "count", cpu=LOAD_CPU) as load:
            assert line_of(load) == "ready"

            def write(count: int) -> int:
                tell(load, str(count // 2))  # versions may merge
                tell(writer, f"{count} 0")
                line_of(writer)
                line_of(load)
                return settled_kib(server.pid)

            before = write(_JOBS * 5)
            none = write(updates // 10) - before
            quiet = connect(int(port), 1, "v1")[0].sock
            quiet.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            before = write(_JOBS * 5)
            grown = write(updates) - before
            quiet.close()
    return grown, none


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--clients", type=int, nargs="*", default=[1000, 4000])
    parser.add_argument("--updates", type=int, default=200_000)
    options = parser.parse_args()
    rows = []
    for count in options.clients:
        for kind, dialect in (("hub", "v1"), ("hub", "plain"), ("broadcast", "plain")):
            with scratch("tmpfs") as path:
                idle, busy = a_connection(path, kind, dialect, count)
            rows.append((f"{count} clients, {kind}, {dialect}", f"{idle:.1f}", f"{busy:.1f}"))
    table("Memory, KiB a connection", ("", "idle", "after updates"), rows)
    if options.updates:
        with scratch("tmpfs") as path:
            grown, none = stalled(path, options.updates)
        table(
            f"Memory, KiB more after {options.updates} updates",
            ("", "grown"),
            [
                ("one stalled client", grown),
                ("none, after a tenth of that", none),
            ],
        )


if __name__ == "__main__":
    main()
