"""Tasks of an event loop, each a job; nothing blocks the loop."""

from __future__ import annotations

import asyncio
import sys

from jobctl import track


async def fetch(number: int, limit: asyncio.Semaphore) -> None:
    """One task, with a stage for waiting its turn."""
    async with track("fetch", title=f"page {number}", stages=["wait", "load"]) as job:
        job.stage("wait")
        async with limit:
            job.stage("load")
            for step in range(1, 4):
                await asyncio.sleep(0.001)
                job.progress(step, 3)


async def main(count: int) -> None:
    """Fetch all, eight at once."""
    limit = asyncio.Semaphore(8)
    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(fetch(number, limit))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
