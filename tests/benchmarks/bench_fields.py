"""What a reader with ``fields`` gets and costs, beside one of whole jobs.

    python -m tests.benchmarks.bench_fields [--jobs N] [--changes N] [--pairs P]

The hub without its sockets. Jobs have a history of eight entries, a result and labels; half of
them have ended, and a tenth was retried. In bytes, and in CPU time of the hub: the snapshot for a
new session; and each change, fed one by one with a pump after each, with one and with 50 sessions.
Each is compared with the same for sessions of whole jobs, in turns.
"""

from __future__ import annotations

import argparse
import gc
import time
from statistics import median

from jobctl._clock import now
from jobctl.core.cursor import ZERO
from jobctl.core.filters import EVERYTHING, Filter
from jobctl.core.job import Job
from jobctl.core.jobset import Delta, JobSet
from jobctl.core.transitions import advance, complete, create, fail, retry
from jobctl.hub.sessions import Hub
from tests.benchmarks.measure import HUB_CPU, ratio, table

FIELDS = (
    "title", "progress", "message", "error", "stages", "stageStartedAt", "updatedAt",
    "completedAt", "retryCount", "owner", "cancelled", "acknowledged", "labels", "sessionId",
    "parent",
)  # fmt: skip
"""What a table shows of a job."""
_STAGES = ("list", "fetch", "unpack", "clean", "join", "load", "check", "report")


def job(number: int, stamp: str) -> Job:
    """A job with a history of about eight entries: half have ended, a tenth was retried."""
    made = create("etl", id=f"job-{number:06d}", now=stamp, title=f"load orders {number}",
                  stages=_STAGES, labels={"team": "data"})  # fmt: skip
    if number % 10 == 0:
        for stage in _STAGES[:2]:
            made = advance(made, stage, now=stamp)
        made = retry(fail(made, "connection reset by peer", now=stamp), now=stamp)
        made = advance(made, _STAGES[0], now=stamp)
    for stage in _STAGES[1 : 7 - number % 2] if number % 10 == 0 else _STAGES[: 7 - number % 2]:
        made = advance(made, stage, now=stamp)
    if number % 2 == 0:
        made = complete(made, now=stamp, result={"rows": number, "files": ["a.csv", "b.csv"]})
    return made.replace(owner="4711-0123456789ab")


def snapshot(start: Delta, filter: Filter) -> tuple[int, float]:
    """Bytes of everything that a new session gets, and ms of CPU for it."""
    hub = Hub()
    hub.feed(start)
    hub.open(1, filter=filter, details=True)
    gc.collect()
    began_s = time.process_time()
    size = sum(len(message) for outgoing in pumped(hub) for message in outgoing)
    return size, (time.process_time() - began_s) * 1e3


def pumped(hub: Hub) -> list[tuple[bytes, ...]]:
    """All messages, until there are no more."""
    found = []
    while turn := [outgoing.messages for outgoing in hub.pump()]:
        found += turn
    return found


def change(start: Delta, moves: list[Delta], filter: Filter, sessions: int) -> tuple[float, float]:
    """Bytes and µs of CPU for each change."""
    hub = Hub()
    hub.feed(start)
    for id in range(sessions):
        hub.open(id, filter=filter, details=True)
    pumped(hub)
    size = 0
    gc.collect()
    began_s = time.process_time()
    for delta in moves:
        hub.feed(delta)
        for outgoing in hub.pump():
            size += len(outgoing.messages[0])
    return size / len(moves), (time.process_time() - began_s) / len(moves) * 1e6


def main() -> None:
    """Run and print."""
    import os

    os.sched_setaffinity(0, {HUB_CPU})
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--changes", type=int, default=3_000)
    parser.add_argument("--pairs", type=int, default=3)
    options = parser.parse_args()
    stamp = now()
    store = JobSet("e1")
    for number in range(options.jobs):
        store.put(job(number, stamp).replace(revision=number + 1))
    start = store.since(ZERO)
    moves = []
    for number in range(options.changes):
        revision = options.jobs + number + 1
        moved = start.jobs[number % options.jobs].replace(revision=revision, message=str(number))
        moves.append(Delta("e1", revision - 1, revision, (moved,), merged=frozenset()))
    some = Filter.make(fields=FIELDS)
    rows: list[list[object]] = []
    for name, measure in (
        ("snapshot", lambda filter: snapshot(start, filter)),
        ("a change, no session", lambda filter: change(start, moves, filter, 0)),
        ("a change, 1 session", lambda filter: change(start, moves, filter, 1)),
        ("a change, 50 sessions", lambda filter: change(start, moves, filter, 50)),
    ):
        pairs = [(measure(EVERYTHING), measure(some)) for _ in range(options.pairs)]
        (whole_bytes, _), (some_bytes, _) = pairs[0]
        cpu = [(whole[1], part[1]) for whole, part in pairs]
        unit = "ms" if name == "snapshot" else "µs"
        rows.append([
            name, f"{whole_bytes:,.0f}", f"{some_bytes:,.0f}",
            f"{median(one for one, _ in cpu):.0f} {unit}",
            f"{median(one for _, one in cpu):.0f} {unit}",
            f"{ratio([(part, whole) for whole, part in cpu]):.2f}",
        ])  # fmt: skip
    heads = ("", "bytes, whole", "bytes, fields", "CPU, whole", "CPU, fields", "ratio")
    table(f"{options.jobs:,} jobs with some fields", heads, rows)


if __name__ == "__main__":
    main()
