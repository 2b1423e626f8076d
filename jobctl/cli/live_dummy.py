"""The implementation of ``jobctl run-dummy``, with its live view."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterable

from jobctl._clock import now_ms
from jobctl.cli.common import command_store, note, out, pipelines, run_async
from jobctl.cli.exits import Exit
from jobctl.cli.live_view import JobView, LineContext, change_line
from jobctl.core.conditions import Condition, Verdict, code_of, judge
from jobctl.core.job import Job
from jobctl.core.times import parse_duration
from jobctl.errors import JobNotFound, UsageError
from jobctl.stores import Store
from jobctl.work.dummy import STAGE_DELAYS_S, DummyOptions, DummySummary
from jobctl.work.dummy import run_dummy as run

__all__ = ["delays", "run_all"]


def delays(texts: Iterable[str]) -> dict[str, float]:
    """Return the seconds per stage: the defaults, and those from ``NAME=SECONDS``."""
    return STAGE_DELAYS_S | dict(_delay(text) for text in texts)


def run_all(
    options: DummyOptions, directory: str | None, *, wait: bool, rm: bool, quiet: bool
) -> None:
    """Run the jobs; with ``wait``, raise `Exit` with 3 if one failed."""
    here = command_store(directory, create=True)
    made: set[str] = set()
    code = 0
    try:
        summary = run_async(_show(here.store, options, str(here.where.path), made, quiet=quiet))
        if wait and summary.completed < summary.jobs:
            code = code_of(_verdict(here.store, id) for id in summary.ids)
    finally:
        if rm:
            _remove(here.store, made)
        here.store.close()
    if quiet:
        for id in summary.ids:
            out(id)
    else:
        jobs = "1 job" if summary.jobs == 1 else f"{summary.jobs} jobs"
        updates = "1 update" if summary.updates == 1 else f"{summary.updates} updates"
        said = f"{jobs}: {summary.completed} completed, {summary.failed} failed"
        said += f", {summary.cancelled} cancelled" if summary.cancelled else ""
        rate = f"{updates} in {summary.seconds:.1f} s"
        out(f"{said}; {rate} ({summary.updates_per_s:.0f} updates/s)")
    if code:
        raise Exit(code)


def _verdict(store: Store, id: str) -> Verdict:
    """Return the verdict on the job in the store, whoever ended it."""
    try:
        return judge(store.get(id), Condition())
    except JobNotFound:
        return Verdict(id, "vanished", "gone")


def _delay(text: str) -> tuple[str, float]:
    name, equals, seconds = text.partition("=")
    try:
        delay_s = parse_duration(seconds)
    except ValueError:
        delay_s = -1.0
    if not equals or not name or not 0 <= delay_s < 1e6:
        raise UsageError(f"--stage-delay {text} is not NAME=DURATION", hint="write load=2s")
    return name, delay_s


async def _show(
    store: Store, options: DummyOptions, where: str, made: set[str], *, quiet: bool
) -> DummySummary:
    live = sys.stdout.isatty() and not quiet
    if not live:
        lines = _Lines(made, quiet=quiet)
        running = asyncio.ensure_future(
            run(store, options, on_job=lines.take, pipelines=pipelines())
        )
        lines.stop = running.cancel
        try:
            return await running
        except asyncio.CancelledError:
            if lines.error is not None:  # the reader of our output is gone
                raise lines.error from None
            raise
    from jobctl.cli.screen import Screen

    view = JobView(where, everything=True)
    view.synced = True
    async with Screen(view) as screen:

        def take(job: Job) -> None:
            made.add(job.id)
            known = view.jobs.get(job.id)
            if known is None or known.revision < job.revision:
                view.jobs.put(job)
                screen.changed()

        return await run(store, options, on_job=take, pipelines=pipelines())


class _Lines:
    """Prints a line for each stage that a job enters, if output is not a terminal."""

    def __init__(self, made: set[str], *, quiet: bool) -> None:
        self._made, self._quiet = made, quiet
        self._stages: dict[str, str] = {}
        self.stop: Callable[[], object] = lambda: None
        self.error: OSError | None = None

    def take(self, job: Job) -> None:
        self._made.add(job.id)
        if not self._quiet and self._stages.get(job.id) != job.stage:
            self._stages[job.id] = job.stage
            try:
                out(change_line(job, LineContext(now_ms())))
            except OSError as error:
                if self.error is None:
                    self.error = error
                    self.stop()


def _remove(store: Store, ids: set[str]) -> None:
    for id in ids:
        try:
            store.remove(id, damaged=True)  # whatever became of it, it was ours
        except JobNotFound:
            note(f"job {id} was removed by somebody else")
