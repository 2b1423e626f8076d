"""``jobctl wait``: wait until jobs meet a condition."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

from jobctl import api
from jobctl._clock import now_ms
from jobctl.cli.common import (
    command_store,
    compact,
    credentials,
    hub_to_read,
    job_object,
    make_filter,
    note,
    out,
    pipelines,
    run_async,
    seconds,
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
    RetryOption,
    SelectorOption,
    SessionOption,
    StageOption,
    TokenFileOption,
    TypeOption,
    UrlOption,
)
from jobctl.cli.text import visible
from jobctl.core.filters import EVERYTHING
from jobctl.errors import UsageError

if TYPE_CHECKING:
    from jobctl.core.conditions import Outcome, Verdict

__all__ = ["EXAMPLE", "wait"]

EXAMPLE = "Example: jobctl wait 0b961de6 --for completed --timeout 5m"


def wait(
    ids: IdListArgument = None,
    type: TypeOption = None,
    stage: StageOption = None,
    session: SessionOption = None,
    selector: SelectorOption = None,
    active: ActiveOption = False,
    until: Annotated[
        str,
        Option("--for", metavar="CONDITION", help="Until terminal, completed, gone, stage=NAME."),
    ] = "terminal",
    any: Annotated[
        bool, Option("--any/--all", help="Wait for the first of them, or for all.")
    ] = False,
    timeout: Annotated[
        str | None,
        Option(metavar="DURATION", help="Give up after 90s, 5m, 1h30m; 0 looks once."),
    ] = None,
    output: OutputOption = Output.table,
    quiet: QuietOption = False,
    url: UrlOption = None,
    retry: RetryOption = False,
    token_file: TokenFileOption = None,
    ca: CaOption = None,
    directory: DirOption = None,
) -> None:
    """Wait for jobs to end; exit 3 if one failed, 6 if cancelled.

    Filters select among the jobs that exist at the start.
    """
    from jobctl.cli.live_view import StatusNotes
    from jobctl.core.conditions import Condition
    from jobctl.reader.client import hub_url  # slow to import

    url = hub_to_read(directory, url)
    output = Output.name if quiet else output
    chosen = make_filter((), type, stage, session, active, selector)
    if ids and chosen != EVERYTHING:
        raise UsageError("ids and filters are two choices", hint="give one of them")
    if not ids and chosen == EVERYTHING:
        raise UsageError("no jobs to wait for are named", hint="or choose by a filter: --active")
    condition = Condition.parse(until, pipelines())
    timeout_s = seconds(timeout, "--timeout")
    if retry and url is None:
        raise UsageError("--retry goes with --url", hint="without it there is no hub to wait for")
    if url is None:
        here = command_store(directory)
        store, where = here.store, str(here.where.path)
    else:
        store, where = None, hub_url(url)
    try:
        outcome = run_async(
            api.wait_async(
                store,
                ids or (),
                chosen,
                url=url,
                until=condition,
                any=any,
                timeout_s=timeout_s,
                on_verdict=_PRINT[output],
                on_status=StatusNotes(),
                on_note=note,
                retry=retry,
                credentials=credentials(token_file, ca),
            )
        )
    finally:
        if store is not None:
            store.close()
    if output is Output.json:
        verdicts = [_object(verdict) for verdict in outcome.verdicts]
        _print_line(compact({"met": outcome.met, "verdicts": verdicts}))
    _end(outcome, where)


def _end(outcome: Outcome, where: str) -> None:
    if outcome.met:
        if not outcome.verdicts:
            note(f"no such jobs in {where}; nothing to wait for")
        return
    said = str(outcome) if outcome.verdicts else f"no such jobs in {where}"
    print_error(said, outcome.code)
    raise Exit(outcome.code)


def _print_text(verdict: Verdict) -> None:
    _print_line(f"{verdict.id}  {visible(verdict.reason)}")


def _print_wide(verdict: Verdict) -> None:
    from jobctl.cli.live_view import summary

    type = visible(verdict.job.type) if verdict.job is not None else "-"
    said = summary(verdict.job, now_ms(), (), pipelines()) if verdict.job is not None else ""
    _print_line(f"{verdict.id}  {type}  {visible(verdict.reason)}  {visible(said)}".rstrip())


def _print_name(verdict: Verdict) -> None:
    if verdict.kind == "met":
        _print_line(verdict.id)


def _print_jsonl(verdict: Verdict) -> None:
    _print_line(compact(_object(verdict)))


def _print_nothing(_verdict: Verdict) -> None:
    """Print nothing: all is printed at the end, as one object."""


def _object(verdict: Verdict) -> dict[str, Any]:
    job = job_object(verdict.job) if verdict.job is not None else None
    return {"id": verdict.id, "verdict": verdict.kind, "reason": verdict.reason, "job": job}


def _print_line(line: str) -> None:
    out(line)
    sys.stdout.flush()


_PRINT: dict[Output, Callable[[Any], None]] = {
    Output.table: _print_text,
    Output.wide: _print_wide,
    Output.json: _print_nothing,
    Output.name: _print_name,
    Output.jsonl: _print_jsonl,
}
