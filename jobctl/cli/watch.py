"""``jobctl watch``: watch jobs live."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

from jobctl import api
from jobctl.cli.common import (
    command_store,
    credentials,
    hub_to_read,
    make_filter,
    moment,
    note,
    pipelines,
    run_async,
    seconds,
    time_format,
)
from jobctl.cli.cursor_file import CursorFile
from jobctl.cli.exits import Exit
from jobctl.cli.messages import print_error
from jobctl.cli.options import (
    ActiveOption,
    CaOption,
    DirOption,
    IdListArgument,
    Option,
    Output,
    OutputOption,
    QuietOption,
    ReadOnlyOption,
    RetryOption,
    SelectorOption,
    SessionOption,
    StageOption,
    TimeFormatOption,
    TokenFileOption,
    TypeOption,
    UrlOption,
)
from jobctl.cli.stages import unknown_stage
from jobctl.core.cursor import ZERO, Cursor
from jobctl.core.eta import UsualDurations
from jobctl.core.job import Job
from jobctl.errors import UsageError
from jobctl.stores import Store

__all__ = ["EXAMPLE", "watch"]

EXAMPLE = "Example: jobctl watch --type create_session"


def watch(
    ids: IdListArgument = None,
    type: TypeOption = None,
    stage: StageOption = None,
    session: SessionOption = None,
    selector: SelectorOption = None,
    active: ActiveOption = False,
    everything: Annotated[
        bool, Option("-a", "--all", help="Also show jobs that ended long ago.")
    ] = False,
    since: Annotated[
        str | None,
        Option(metavar="TIME", help="Also show jobs that ended since 10m ago, or a date (local)."),
    ] = None,
    cursor: Annotated[str | None, Option(metavar="CURSOR", help="Resume from this cursor.")] = None,
    cursor_file: Annotated[
        Path | None,
        Option(metavar="FILE", help="Resume from the cursor in this file, and update it."),
    ] = None,
    url: UrlOption = None,
    retry: RetryOption = False,
    token_file: TokenFileOption = None,
    ca: CaOption = None,
    timeout: Annotated[
        str | None,
        Option(metavar="DURATION", help="With --url: give up after 90s, 5m, 1h30m."),
    ] = None,
    exit_status: Annotated[
        bool,
        Option(
            "--exit-status",
            help="End when all have ended; exit with 3 if one failed, 6 if cancelled.",
        ),
    ] = False,
    verify: Annotated[
        bool,
        Option(
            "--verify", help="Compare all jobs with the hub's digest; exit with 1 if it differs."
        ),
    ] = False,
    read_only: ReadOnlyOption = False,
    output: OutputOption = Output.table,
    quiet: QuietOption = False,
    times: TimeFormatOption = None,
    directory: DirOption = None,
) -> None:
    """Watch jobs live, through a hub or in the directory.

    Ends when the named jobs have ended. Without names it ends on Ctrl-C or, with --exit-status,
    when all shown jobs have ended. -o json prints a line for each change, as jsonl does.
    """
    from jobctl.cli.console import Console
    from jobctl.cli.live_view import JobView, StatusNotes
    from jobctl.cli.live_watch import WatchOptions, watch_jobs  # slow to import
    from jobctl.reader.client import hub_url
    from jobctl.reader.clock import HubClock
    from jobctl.reader.follow import follow
    from jobctl.reader.once import find

    url = hub_to_read(directory, url)
    shown = credentials(token_file, ca)
    if ids and (type or stage or session or active or selector):
        raise UsageError("ids and filters are two choices", hint="give one of them")
    if url is None and (timeout is not None or retry):
        option = "--timeout" if timeout is not None else "--retry"
        raise UsageError(f"{option} goes with --url", hint="without it there is no hub to wait for")
    blind = stage or active or cursor is not None or cursor_file is not None
    if exit_status and not ids and blind:
        raise UsageError(
            "--exit-status has to see the jobs to their end",
            hint="name them, or leave --stage, --active and cursors out",
        )
    timeout_s = seconds(timeout, "--timeout")
    since_ms, form = moment(since, "--since"), time_format(times)
    start, kept = _start(cursor, cursor_file)
    output = Output.name if quiet else output
    repaints = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    on_screen = output in (Output.table, Output.wide) and repaints
    if on_screen:
        start = ZERO  # a screen shows the current state, not changes
    store: Store | None = None
    if url is None:
        here = command_store(directory, live=True)
        store, where = here.store, str(here.where.path)
        named = [api.show(store, id) for id in ids or ()]
    else:
        where = hub_url(url)
        reach = partial(
            find,
            retry=True,
            insist=retry,
            timeout_s=timeout_s,
            on_status=StatusNotes(),
            credentials=shown,
        )
        named = run_async(reach(where, ids)) if ids else []
    if stage and (meant := unknown_stage(stage, pipelines(), _jobs_in(store))):
        note(meant)
    options = WatchOptions(
        filter=make_filter([job.id for job in named], type, stage, session, active, selector),
        start=start,
        cursor_file=kept,
        on_screen=on_screen,
        output=output,
        times=form,
    )
    view = JobView(
        where,
        everything=everything,
        only=options.filter.ids or None,
        others=store.ids() if store is not None and on_screen else (),
        ends=exit_status,
        since_ms=since_ms,
        usual=(
            api.usual(store, pipelines())
            if store is not None
            else UsualDurations(pipelines=pipelines())
        ),
        wide=output is Output.wide,
    )
    hub_clock = HubClock()
    if start != ZERO:
        view.resume_from(start, named)
    events = follow(
        store=store,
        url=url,
        filter=options.filter,
        cursor=start,
        timeout_s=timeout_s,
        verify=verify,
        bad_files=True,
        clock=hub_clock,
        insist=retry or bool(named),  # named jobs were read from the hub
        credentials=shown,
    )
    try:
        matched = run_async(watch_jobs(options, view, events, Console(), hub_clock.now_ms))
    finally:
        if store is not None:
            store.close()
    if not matched:
        note(f"what was held differed from what {where} holds; it was read anew")
        raise Exit(1)
    if exit_status and not (outcome := view.outcome()).met:
        print_error(str(outcome), outcome.code)
        raise Exit(outcome.code)


def _jobs_in(store: Store | None) -> Callable[[], Sequence[Job]] | None:
    """Return what reads all jobs of a directory; ``None`` for a hub, which may have many."""
    return None if store is None else lambda: api.ls(store).jobs


def _start(cursor: str | None, cursor_file: Path | None) -> tuple[Cursor, CursorFile | None]:
    """Return the cursor to start from, and the file to keep it in."""
    if cursor is not None and cursor_file is not None:
        raise UsageError("--cursor and --cursor-file are two cursors", hint="give one of them")
    kept = CursorFile(cursor_file) if cursor_file is not None else None
    start = kept.read() if kept is not None else None
    if cursor is not None:
        start = Cursor.parse(cursor)
    return (start if start is not None else ZERO), kept
