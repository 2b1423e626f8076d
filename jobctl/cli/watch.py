"""``jobctl watch``: watch jobs live."""

from __future__ import annotations

import os
import sys
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
    run_async,
    seconds,
    time_format,
)
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
    SessionOption,
    StageOption,
    TimeFormatOption,
    TokenFileOption,
    TypeOption,
    UrlOption,
)
from jobctl.core.cursor import ZERO, Cursor
from jobctl.errors import UsageError
from jobctl.stores import Store

__all__ = ["EXAMPLE", "watch"]

EXAMPLE = "Example: jobctl watch --type create_session"


def watch(
    ids: IdListArgument = None,
    type: TypeOption = None,
    stage: StageOption = None,
    session: SessionOption = None,
    active: ActiveOption = False,
    everything: Annotated[
        bool, Option("-a", "--all", help="Show what ended long ago as well.")
    ] = False,
    since: Annotated[
        str | None,
        Option(metavar="TIME", help="Show also what ended since 10m ago, or a date."),
    ] = None,
    cursor: Annotated[str | None, Option(metavar="CURSOR", help="Go on from this cursor.")] = None,
    cursor_file: Annotated[
        Path | None, Option(metavar="FILE", help="Go on from, and keep, the cursor here.")
    ] = None,
    url: UrlOption = None,
    token_file: TokenFileOption = None,
    ca: CaOption = None,
    timeout: Annotated[
        str | None,
        Option(metavar="DURATION", help="With --url: give up after 90s, 5m, 1h30m."),
    ] = None,
    exit_status: Annotated[
        bool,
        Option("--exit-status", help="End when all have ended; with 3 when one failed."),
    ] = False,
    verify: Annotated[
        bool, Option("--verify", help="Hold all against the hub's digest; 1 if it differs.")
    ] = False,
    output: OutputOption = Output.table,
    quiet: QuietOption = False,
    times: TimeFormatOption = None,
    directory: DirOption = None,
) -> None:
    """Watch jobs live, through a hub or in the directory.

    Ends when the jobs that were named have ended; else with Ctrl-C, or with --exit-status when all
    that was shown has ended. In -o json each change is a line, as in jsonl.
    """
    from jobctl.cli.live_view import JobView, note_status
    from jobctl.cli.live_watch import WatchRun  # slow to import
    from jobctl.reader.client import hub_url
    from jobctl.reader.once import find

    url = hub_to_read(directory, url)
    shown = credentials(token_file, ca)
    if ids and (type or stage or session or active):
        raise UsageError("ids and filters are two choices", hint="give one of them")
    if timeout is not None and url is None:
        raise UsageError("--timeout goes with --url", hint="without it there is no hub to wait for")
    blind = stage or active or cursor is not None or cursor_file is not None
    if exit_status and not ids and blind:
        raise UsageError(
            "--exit-status has to see the jobs to their end",
            hint="name them, or leave --stage, --active and cursors out",
        )
    timeout_s = seconds(timeout, "--timeout")
    since_ms, form = moment(since, "--since"), time_format(times)
    start = _start(cursor, cursor_file)
    output = Output.name if quiet else output
    repaints = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    live = output in (Output.table, Output.wide) and repaints
    if live:
        start = ZERO  # a screen shows the current state, not changes
    store: Store | None = None
    if url is None:
        here = command_store(directory, live=True)
        store, where = here.store, str(here.where.path)
        named = [api.show(store, id) for id in ids or ()]
    else:
        where = hub_url(url)
        reach = partial(
            find, retry=True, timeout_s=timeout_s, on_status=note_status, credentials=shown
        )
        named = run_async(reach(where, ids)) if ids else []
    chosen = make_filter([job.id for job in named], type, stage, session, active)
    view = JobView(
        where,
        everything=everything,
        only=chosen.ids or None,
        others=store.ids() if store is not None and live else (),
        ends=exit_status,
        since_ms=since_ms,
        usual=api.usual(store) if store is not None else None,
        wide=output is Output.wide,
    )
    if start != ZERO:
        view.resume_from(start, named)
    watch_run = WatchRun(
        view,
        store,
        url,
        chosen,
        start,
        cursor_file,
        timeout_s,
        credentials=shown,
        verify=verify,
        form=form,
        wide=output is Output.wide,
    )
    try:
        run_async(watch_run.on_screen() if live else watch_run.as_lines(output))
    finally:
        if store is not None:
            store.close()
    if watch_run.digest_mismatch:
        note(f"what was held differed from what {where} holds; it was read anew")
        raise Exit(1)
    if exit_status and not (outcome := view.outcome()).met:
        print_error(str(outcome), outcome.code)
        raise Exit(outcome.code)


def _start(cursor: str | None, cursor_file: Path | None) -> Cursor:
    if cursor is not None and cursor_file is not None:
        raise UsageError("--cursor and --cursor-file are two cursors", hint="give one of them")
    if cursor_file is not None and not os.access(cursor_file.parent, os.W_OK | os.X_OK):
        raise UsageError(f"cannot keep the cursor in {cursor_file}: its directory is not writable")
    if cursor_file is not None and cursor_file.exists():
        try:
            cursor = cursor_file.read_text().strip() or "0"
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"cannot read a cursor from {cursor_file}: {error}") from error
    return Cursor.parse(cursor) if cursor is not None else ZERO
