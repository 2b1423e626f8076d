"""The implementation of ``jobctl demo``: a hub, jobs and a live view in a temporary directory."""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from contextlib import aclosing
from pathlib import Path
from time import monotonic
from typing import Any

from jobctl._clock import now_ms
from jobctl.cli.common import out, run_async
from jobctl.cli.live_view import JobView, LineContext, change_line
from jobctl.core.jobset import Delta
from jobctl.core.pipeline import BUILT_IN
from jobctl.errors import HubError
from jobctl.hub.server import serve
from jobctl.reader.follow import follow
from jobctl.reader.status import Status
from jobctl.stores import open_store
from jobctl.work.dummy import DummyOptions, run_dummy

__all__ = ["remove_directory", "show_all", "until_ready"]


def show_all() -> None:
    """Run the demo, and remove everything afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="jobctl-demo-"))
    try:
        run_async(_run(directory))
    finally:
        remove_directory(directory)


def remove_directory(directory: Path) -> None:
    """Remove the directory; an interrupted run may still write to it for a moment."""
    deadline_s = monotonic() + 2
    while directory.exists() and monotonic() < deadline_s:
        shutil.rmtree(directory, ignore_errors=True)


async def until_ready(served: asyncio.Future[None], ready: asyncio.Future[str]) -> None:
    """Wait until the hub listens; raise its error, or `HubError`, if it ends before."""
    first: list[asyncio.Future[Any]] = [served, ready]
    await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
    if not ready.done():
        await served
        raise HubError("the hub ended before it began")


async def _run(directory: Path) -> None:
    producers, hub = open_store(directory), open_store(directory, adopt=True)
    stop = asyncio.Event()
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    served = asyncio.create_task(serve(hub, port=0, stop=stop, ready=ready.set_result))
    try:
        await until_ready(served, ready)
        out(f"A hub listens on {ready.result()}; jobs of four types run beside it:")
        good = DummyOptions(count=6, concurrency=4, speed=0.85)
        bad = DummyOptions(count=1, type="submit_answers", fail_at="generate", speed=0.7)
        types = list(BUILT_IN)
        work = asyncio.gather(run_dummy(producers, good, types=types), run_dummy(producers, bad))
        try:
            summaries, _ = await asyncio.gather(
                work, _watch(ready.result(), jobs=good.count + bad.count)
            )
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
        completed = sum(summary.completed for summary in summaries)
        failed = sum(summary.failed for summary in summaries)
        out(f"{completed} jobs completed and {failed} failed, as it was meant to.")
    finally:
        stop.set()
        await served
        producers.close()
        hub.close()


async def _watch(url: str, *, jobs: int) -> None:
    """Watch through a real WebSocket until all jobs have ended."""
    view = JobView(url, everything=True)
    screen = None
    if sys.stdout.isatty():
        from jobctl.cli.screen import Screen

        screen = Screen(view)
        await screen.__aenter__()
    stages: dict[str, str] = {}
    try:
        async with aclosing(follow(url=url, timeout_s=10)) as events:
            async for event in events:
                if isinstance(event, Status):
                    view.take_status(event, now_ms())
                elif isinstance(event, Delta):
                    view.take(event)
                    if screen is None:
                        for job in event.jobs:
                            if stages.get(job.id) != job.stage:
                                stages[job.id] = job.stage
                                out(change_line(job, LineContext(now_ms())))
                if screen is not None:
                    screen.changed()
                ended = [job for job in view.jobs if not job.active]
                if len(ended) == jobs:
                    return
    finally:
        if screen is not None:
            await screen.__aexit__(None, None, None)
