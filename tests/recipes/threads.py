"""Threads that report on one job, and a helper that reports on any loop."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any, TypeVar

from jobctl import track

T = TypeVar("T")


def tracked(items: Iterable[T], job: Any, total: int | None = None) -> Iterator[T]:
    """The items, and how many have been taken as the job's progress."""
    for done, item in enumerate(items, 1):
        yield item
        job.progress(done, total)


def main(count: int) -> None:
    """Square in four threads, then add up."""
    lock, done = Lock(), 0
    with track("square", stages=["square", "add"]) as job, ThreadPoolExecutor(4) as pool:

        def square(number: int) -> int:
            nonlocal done
            with lock:
                done += 1
                job.progress(done, count)
            return number * number

        job.stage("square")
        squares = list(pool.map(square, range(count)))
        job.stage("add")
        job.result(sum(tracked(squares, job, count)))


if __name__ == "__main__":
    main(int(sys.argv[1]))
