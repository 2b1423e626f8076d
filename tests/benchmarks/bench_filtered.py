"""What busy jobs cost the hub for clients that are filtered to others.

    python -m tests.benchmarks.bench_filtered [--changes N] [--clients N] [--pairs P]

The hub without its sockets, with 10,000 jobs of which all but one change in turn. In CPU time for
each change, fed one by one with a pump after each: with no session; with one client on the job that
does not change; with many clients, each on a quiet job of its own; and, for comparison, with as
many clients whose filter names no id and lets nothing pass, so that the hub has to look.
"""

from __future__ import annotations

import argparse
import time
from statistics import median

from jobctl._clock import now
from jobctl.core.cursor import ZERO
from jobctl.core.filters import Filter
from jobctl.core.jobset import Delta, JobSet
from jobctl.core.transitions import create
from jobctl.hub.sessions import Hub
from tests.benchmarks.measure import HUB_CPU, ratio, table

_JOBS = 10_000


def deltas(changes: int) -> tuple[Delta, list[Delta]]:
    """The store as it begins, and then so many changes of all jobs but the first ones."""
    jobs = [create("etl", id=f"a{number}", now=now()) for number in range(_JOBS)]
    store = JobSet("e1")
    for revision, job in enumerate(jobs, 1):
        store.put(job.replace(revision=revision))
    start = store.since(ZERO)
    moves = []
    for number in range(changes):
        job = jobs[1000 + number % (_JOBS - 1000)]
        revision = _JOBS + number + 1
        changed = job.replace(revision=revision, message=str(number))
        moves.append(Delta("e1", revision - 1, revision, (changed,), merged=frozenset()))
    return start, moves


def cost_us(start: Delta, moves: list[Delta], filters: list[Filter]) -> float:
    """µs of CPU for each change, with a session under each of the filters."""
    hub = Hub()
    hub.feed(start)
    for id, filter in enumerate(filters, 1):
        hub.open(id, filter=filter, details=True)
    list(hub.pump())
    began_s = time.process_time()
    for delta in moves:
        hub.feed(delta)
        assert list(hub.pump()) == []
    return (time.process_time() - began_s) / len(moves) * 1e6


def main() -> None:
    """Run and print."""
    import os

    os.sched_setaffinity(0, {HUB_CPU})
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--changes", type=int, default=20_000)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    start, moves = deltas(options.changes)
    many = range(options.clients)
    cases: dict[str, tuple[list[Delta], list[Filter]]] = {
        "no client": (moves, []),
        "one client on a quiet job": (moves, [Filter(ids=frozenset({"a0"}))]),
        f"{options.clients} clients on quiet jobs": (
            moves,
            [Filter(ids=frozenset({f"a{number}"})) for number in many],
        ),
        f"{options.clients} clients that have to be looked at": (
            moves[: max(20, options.changes // 1000)],
            [Filter(types=frozenset({f"t{number}"})) for number in many],
        ),
    }
    runs: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(options.pairs):
        for name, (changes, filters) in cases.items():
            runs[name].append(cost_us(start, changes, filters))
    none = runs["no client"]
    rows = [
        (name, f"{median(costs):.2f}", f"{ratio(zip(costs, none, strict=True)):.2f}")
        for name, costs in runs.items()
    ]
    table("Filtered clients, µs a change", ("", "µs", "times no client"), rows)


if __name__ == "__main__":
    main()
