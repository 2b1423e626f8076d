"""A hub with jobs that change: ``page_feeder.py JOBS RUNNING``, run by its path.

It is run by its path, so that the `jobctl` of ``PYTHONPATH`` is served, which may be an older one.
The jobs are in the memory of this process, and its hub is the real one: what a browser receives is
what every hub sends, and no writer and no disk takes the CPU that the browser is measured on.

Prints the hub's URL, and obeys lines of two numbers, ``RATE SECONDS``: so many changes a second for
so long, evenly. After each line it prints the number of changes made, and how late it was at most,
in s. Of 23 changes, 20 are reports and stages of running jobs, one is the end of a job (1 in 50
fails), one removes the oldest ended job, and one creates a job. So the number of jobs is constant.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
from collections import deque
from typing import Any

from jobctl._clock import now, now_ms
from jobctl.core import transitions
from jobctl.core.job import Job
from jobctl.core.times import to_text
from jobctl.hub.server import serve
from jobctl.stores.memory import MemoryStore

STAGES = ("fetch", "clean", "load", "index")
REPORTS = 20
TURN_S = 0.004


class Workload:
    """The jobs, and the changes of them in turn."""

    def __init__(self, total: int, running: int) -> None:
        self.store = MemoryStore()
        self._numbers = itertools.count()
        self._running: deque[str] = deque()
        self._ended: deque[str] = deque()
        self._steps: dict[str, int] = {}
        self._changes = self._endless()
        start = now_ms()
        for number in range(total - running):
            at = to_text(start - (total - number) * 400)
            job = transitions.advance(self._new(at), STAGES[number % 4], now=at, force=True)
            self._ended.append(self.store.create(self._end(job, number, at)).id)
        for number in range(running):
            job = self._new(to_text(start - (running - number) * 100))
            self.store.create(job)
            self._start(job.id, number % REPORTS)

    def _new(self, at: str) -> Job:
        number = next(self._numbers)
        job = transitions.create(
            ("etl", "backup", "train", "report")[number % 4],
            now=at,
            id=f"job-{number:07d}",
            title=f"Orders of customer {number % 977}",
            session_id=f"session-{number % 31}",
            stages=STAGES,
        )
        return job.replace(message=None)

    def _end(self, job: Job, number: int, at: str) -> Job:
        if number % 50 == 7:
            return transitions.fail(job, "429 Too Many Requests: quota is used up", now=at)
        if number % 50 == 8:
            return transitions.cancel(job, now=at, at_work=True, by="anna", reason="not needed")
        return transitions.complete(job, now=at)

    def _start(self, id: str, steps: int = 0) -> None:
        self._running.append(id)
        self._steps[id] = steps

    def _endless(self) -> Any:
        while True:
            id = self._running.popleft()
            steps = self._steps[id]
            if steps < REPORTS:
                self.store.update(id, lambda job, steps=steps: self._step(job, steps))
                self._start(id, steps + 1)
                yield
                continue
            del self._steps[id]
            self.store.update(id, lambda job: self._end(job, int(job.id[4:]), now()))
            self._ended.append(id)
            yield
            self.store.remove(self._ended.popleft())
            yield
            self._start(self.store.create(self._new(now())).id)
            yield

    def _step(self, job: Job, steps: int) -> Job:
        per_stage = REPORTS // len(STAGES)
        stage, done = STAGES[steps // per_stage], steps % per_stage
        if done == 0 and job.stage != stage:
            return transitions.advance(job, stage, now=now(), force=True)
        return transitions.report(
            job, now=now(), done=done, total=per_stage, message=f"orders-{done}.csv"
        )

    async def run(self, rate: float, seconds: float) -> tuple[int, float]:
        """Make changes evenly; returns how many, and how late the latest of them was, in s."""
        began_s, made, late_s = time.monotonic(), 0, 0.0
        while made < rate * seconds:
            await asyncio.sleep(TURN_S)
            due = int(min(seconds, time.monotonic() - began_s) * rate)
            late_s = max(late_s, (due - made) / rate)
            for _ in range(due - made):
                next(self._changes)
            made = due
        return made, late_s


async def main() -> None:
    """Serve, and obey standard input until its end."""
    load = Workload(int(sys.argv[1]), int(sys.argv[2]))
    stop = asyncio.Event()
    hub = asyncio.create_task(
        serve(load.store, port=0, stop=stop, ready=lambda url: print(url, flush=True))
    )
    while line := await asyncio.to_thread(sys.stdin.readline):
        rate, seconds = map(float, line.split())
        print(*await load.run(rate, seconds), flush=True)
    stop.set()
    await hub


if __name__ == "__main__":
    asyncio.run(main())
