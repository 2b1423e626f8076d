"""A writer in a process of its own: ``python -m tests.benchmarks.writer DIR JOBS``.

It makes so many jobs, says ``ready``, and then obeys lines of two numbers, ``UPDATES RATE``: so
many updates, of the jobs in turn, so many a second (0: as fast as it can), each with the monotonic
time in ns as its message. After each line it prints when it began and how long that took, in s.
"""

from __future__ import annotations

import sys
import time

from jobctl._clock import now
from jobctl.core.job import Job
from jobctl.core.transitions import create
from jobctl.stores import open_store


def main() -> None:
    """Write as the command line and standard input say."""
    path, count = sys.argv[1], int(sys.argv[2])
    store = open_store(path, create=True)
    ids = [f"00000000-0000-4000-8000-{number:012d}" for number in range(count)]
    for id in ids:
        store.create(create("create_session", id=id, now=now()))

    def stamped(job: Job) -> Job:
        return job.replace(updated_at=now(), message=stamp)

    print("ready", flush=True)
    done, stamp = 0, ""
    for line in sys.stdin:
        updates, rate = (int(word) for word in line.split())
        began_s = due_s = time.monotonic()
        for _ in range(updates):
            if rate:
                due_s += 1 / rate
                time.sleep(max(0.0, due_s - time.monotonic()))
            stamp = f"{time.monotonic_ns():020d}"
            store.update(ids[done % count], stamped)
            done += 1
        print(began_s, time.monotonic() - began_s, flush=True)


if __name__ == "__main__":
    main()
