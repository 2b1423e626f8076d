"""``jobctl run-dummy``: jobs that walk through the stages."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from jobctl.cli.board import Board, Look, change_line
from jobctl.cli.common import note, out, place, run_async
from jobctl.cli.options import DirOption, QuietOption
from jobctl.clock import now_ms
from jobctl.dummy import STAGE_DELAYS_S, DummyOptions, DummySummary
from jobctl.dummy import run_dummy as run
from jobctl.errors import JobNotFound, UsageError
from jobctl.job import Job
from jobctl.net.waiting import Condition, Verdict, code_of, judge
from jobctl.stores import Store

__all__ = ["EXAMPLE", "run_dummy"]

EXAMPLE = "Example: jobctl run-dummy --count 20 --concurrency 5 --fail-rate 0.1"


def run_dummy(
    count: Annotated[int, typer.Option(min=1, metavar="N", help="How many jobs.")] = 1,
    concurrency: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="How many at once; all when left out.")
    ] = None,
    type: Annotated[str, typer.Option(metavar="TYPE", help="Their type.")] = "create_session",
    session: Annotated[str, typer.Option(metavar="SESSION", help="Their session.")] = "dummy",
    speed: Annotated[
        float, typer.Option(min=0.001, metavar="X", help="So many times as fast.")
    ] = 1.0,
    stage_delay: Annotated[
        list[str] | None, typer.Option(metavar="NAME=SECONDS", help="How long a stage takes.")
    ] = None,
    fail_rate: Annotated[
        float, typer.Option(min=0, max=1, metavar="P", help="The share of jobs that fail.")
    ] = 0.0,
    fail_at: Annotated[str | None, typer.Option(metavar="STAGE", help="Where they fail.")] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="N", help="The same choices each time.")
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Exit with 3 when one of them failed.")
    ] = False,
    rm: Annotated[bool, typer.Option("--rm", help="Remove the jobs in the end.")] = False,
    quiet: QuietOption = False,
    directory: DirOption = None,
) -> None:
    """Run dummy jobs through their stages; Ctrl-C fails them."""
    options = DummyOptions(
        count=count,
        concurrency=concurrency,
        type=type,
        session=session,
        speed=speed,
        stage_delays=STAGE_DELAYS_S | dict(_delay(text) for text in stage_delay or ()),
        fail_rate=fail_rate,
        fail_at=fail_at,
        seed=seed,
    )
    here = place(directory, create=True)
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
        said = f"{summary.jobs} jobs: {summary.completed} completed, {summary.failed} failed"
        rate = f"{summary.updates} updates in {summary.seconds:.1f} s"
        out(f"{said}; {rate} ({summary.updates_per_s:.0f} updates/s)")
    if code:
        raise typer.Exit(code)


def _verdict(store: Store, id: str) -> Verdict:
    """How the job stands in the store, whoever ended it."""
    try:
        return judge(store.get(id), Condition())
    except JobNotFound:
        return Verdict(id, "vanished", "gone")


def _delay(text: str) -> tuple[str, float]:
    name, equals, seconds = text.partition("=")
    try:
        delay_s = float(seconds)
    except ValueError:
        delay_s = -1.0
    if not equals or not name or not 0 <= delay_s < 1e6:
        raise UsageError(f"--stage-delay {text} is not NAME=SECONDS")
    return name, delay_s


async def _show(
    store: Store, options: DummyOptions, where: str, made: set[str], *, quiet: bool
) -> DummySummary:
    live = sys.stdout.isatty() and not quiet
    if not live:
        lines = _Lines(made, quiet=quiet)
        running = asyncio.ensure_future(run(store, options, on_job=lines.take))
        lines.stop = running.cancel
        try:
            return await running
        except asyncio.CancelledError:
            if lines.error is not None:  # nobody reads our output any more
                raise lines.error from None
            raise
    from jobctl.cli.live import Screen

    board = Board(where, everything=True)
    board.synced = True
    async with Screen(board) as screen:

        def take(job: Job) -> None:
            made.add(job.id)
            known = board.jobs.get(job.id)
            if known is None or known.revision < job.revision:
                board.jobs.put(job)
                screen.changed()

        return await run(store, options, on_job=take)


class _Lines:
    """Off a terminal: a line for each stage that a job enters."""

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
                out(change_line(job, Look(now_ms())))
            except OSError as error:
                if self.error is None:
                    self.error = error
                    self.stop()


def _remove(store: Store, ids: set[str]) -> None:
    for id in ids:
        try:
            store.remove(id)
        except JobNotFound:
            note(f"job {id} was removed by somebody else")
