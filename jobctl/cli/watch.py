"""``jobctl watch``: watch jobs live."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from jobctl import api
from jobctl._clock import now_ms
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
    where_to_write,
)
from jobctl.cli.common import read_only as is_read_only
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

if TYPE_CHECKING:
    from jobctl.cli.watch_source import WatchSource
    from jobctl.core.job import Job
    from jobctl.hub.credentials import Credentials
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
        bool, Option("-a", "--all", help="In a pipe: also jobs that ended before now.")
    ] = False,
    since: Annotated[
        str | None,
        Option(
            metavar="TIME",
            help="Which ended jobs to show: since 10m ago, or a date (local).",
        ),
    ] = None,
    cursor: Annotated[str | None, Option(metavar="CURSOR", help="Resume from this cursor.")] = None,
    cursor_file: Annotated[
        str | None,
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
    new: Annotated[
        bool, Option("--new", help="Only what starts from now on, also retries.")
    ] = False,
    read_only: ReadOnlyOption = False,
    no_keys: Annotated[
        bool, Option("--no-keys", help="On a terminal: a plain live table, without keys.")
    ] = False,
    bell: Annotated[
        bool, Option("--bell", help="Ring the terminal's bell when a watched job ends.")
    ] = False,
    output: OutputOption = Output.table,
    quiet: QuietOption = False,
    times: TimeFormatOption = None,
    directory: DirOption = None,
) -> None:
    """Watch jobs live, through a hub or in the directory.

    Ends when the named jobs have ended. Without names it ends on Ctrl-C or, with --exit-status,
    when all shown jobs have ended. -o json prints a line for each change, as jsonl does. On a
    terminal it takes keys: ? shows them. A directory that does not exist yet is waited for.
    """
    url = hub_to_read(directory, url)
    _check_options(
        ids, filtered=bool(type or stage or session or active or selector), new=new, url=url,
        timeout=timeout, retry=retry,
    )  # fmt: skip
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
    takes_keys = on_screen and not no_keys and _may_take_keys()
    if on_screen:
        start = ZERO  # a screen shows the current state, not changes
    if takes_keys:
        from jobctl.cli.terminal import supervise

        supervise()  # forks, so nothing is open yet
    from jobctl.cli.console import Console
    from jobctl.cli.live_view import JobView
    from jobctl.cli.live_watch import WatchOptions, watch_jobs  # slow to import
    from jobctl.cli.watch_source import WatchSource
    from jobctl.core.schedule import expected_types
    from jobctl.reader.clock import HubClock

    source: WatchSource
    if url is None:
        place = where_to_write(directory)
        where = str(place.path)
        source = WatchSource(open=lambda: command_store(directory).store, path=where)
        named = _named(source, ids, directory)
    else:
        from jobctl.reader.client import hub_url

        where, shown = hub_url(url), credentials(token_file, ca)
        source = WatchSource(url=where, credentials=shown)
        named = _named_on_hub(where, ids, retry=retry, timeout_s=timeout_s, shown=shown)
    store = source.open_now()
    if stage and (meant := unknown_stage(stage, pipelines(), _jobs_in(store))):
        note(meant)
    chosen = make_filter([job.id for job in named], type, stage, session, active, selector)
    options = WatchOptions(
        filter=chosen,
        start=start,
        cursor_file=kept,
        on_screen=on_screen,
        output=output,
        times=form,
        keys=takes_keys,
        refused=_refused(source, option=read_only),
        bell=bell,
        expected=() if new or not takes_keys else tuple(expected_types(pipelines(), chosen) or ()),
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
        new_since_ms=now_ms() if new else None,
    )
    hub_clock = HubClock()
    if start != ZERO:
        view.resume_from(start, named)
    events = source.events(
        filter=options.filter,
        cursor=start,
        timeout_s=timeout_s,
        verify=verify,
        clock=hub_clock,
        insist=retry or bool(named),  # named jobs were read from the hub
    )
    try:
        matched = run_async(watch_jobs(options, view, events, Console(), hub_clock.now_ms, source))
    finally:
        source.close()
    if not matched:
        note(f"what was held differed from what {where} holds; it was read anew")
        raise Exit(1)
    if exit_status and not (outcome := view.outcome()).met:
        print_error(str(outcome), outcome.code)
        raise Exit(outcome.code)


def _jobs_in(store: Store | None) -> Callable[[], Sequence[Job]] | None:
    """Return what reads all jobs of a directory; ``None`` for a hub, which may have many."""
    return None if store is None else lambda: api.ls(store).jobs


def _check_options(
    ids: list[str] | None,
    *,
    filtered: bool,
    new: bool,
    url: str | None,
    timeout: str | None,
    retry: bool,
) -> None:
    """Raise `UsageError` for options that do not go together."""
    if ids and (filtered or new):
        other = "filters" if filtered else "--new"
        raise UsageError(f"ids and {other} are two choices", hint="give one of them")
    if url is None and (timeout is not None or retry):
        option = "--timeout" if timeout is not None else "--retry"
        raise UsageError(f"{option} goes with --url", hint="without it there is no hub to wait for")


def _may_take_keys() -> bool:
    """Whether keys can be read: we have the terminal, for input and output.

    In the background the session waits for ``fg``.
    """
    from jobctl.cli.terminal import TerminalSession

    try:
        os.tcgetpgrp(0)
    except OSError:
        return False  # no terminal, or not our own
    return TerminalSession.unusable() is None


def _named(source: WatchSource, ids: list[str] | None, directory: str | None) -> list[Job]:
    """Return the jobs with these ids; an error if one is not there."""
    if not ids:
        return []
    store = source.open_now() or command_store(directory).store
    return [api.show(store, id) for id in ids]


def _named_on_hub(
    where: str,
    ids: list[str] | None,
    *,
    retry: bool,
    timeout_s: float | None,
    shown: Credentials,
) -> list[Job]:
    """Return the hub's jobs with these ids; an error if one is not there."""
    if not ids:
        return []
    from jobctl.cli.live_view import StatusNotes
    from jobctl.reader.once import find

    return run_async(
        find(
            where,
            ids,
            retry=True,
            insist=retry,
            timeout_s=timeout_s,
            on_status=StatusNotes(),
            credentials=shown,
        )
    )


def _refused(source: WatchSource, *, option: bool) -> str:
    """Return why jobs cannot be changed by keys, or an empty string if they can."""
    if is_read_only(option=option):
        return "read-only"
    if source.url is not None:
        return "a hub only shows jobs: use 'jobctl cancel ID', 'jobctl retry ID' on its machine"
    return ""


def _start(cursor: str | None, cursor_file: str | None) -> tuple[Cursor, CursorFile | None]:
    """Return the cursor to start from, and the file to keep it in."""
    if cursor is not None and cursor_file is not None:
        raise UsageError("--cursor and --cursor-file are two cursors", hint="give one of them")
    kept = CursorFile(Path(cursor_file)) if cursor_file is not None else None
    start = kept.read() if kept is not None else None
    if cursor is not None:
        start = Cursor.parse(cursor)
    return (start if start is not None else ZERO), kept
