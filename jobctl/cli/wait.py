"""``jobctl wait``: until jobs have ended, or stand where they shall."""

from __future__ import annotations

import sys
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated

import typer

from jobctl import api
from jobctl.cli.common import (
    ActiveOption,
    CaOption,
    DirOption,
    SessionOption,
    StageOption,
    TokenFileOption,
    TypeOption,
    UrlOption,
    compact,
    machine,
    make_filter,
    note,
    one_source,
    out,
    place,
    run_async,
    seconds,
)
from jobctl.cli.reader import note_trouble
from jobctl.cli.text import visible
from jobctl.errors import UsageError
from jobctl.filters import EVERYTHING
from jobctl.net.client import hub_url
from jobctl.net.waiting import Condition, Outcome, Verdict

__all__ = ["EXAMPLE", "wait"]

EXAMPLE = "Example: jobctl wait 0b961de6 --for completed --timeout 5m"


class Output(StrEnum):
    """What is printed of each job when it is decided."""

    text = "text"
    name = "name"
    jsonl = "jsonl"


def wait(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="ID", help="Ids, or unique starts of them.")
    ] = None,
    type: TypeOption = None,
    stage: StageOption = None,
    session: SessionOption = None,
    active: ActiveOption = False,
    until: Annotated[
        str,
        typer.Option("--for", metavar="CONDITION", help="terminal, completed, gone, stage=NAME."),
    ] = "terminal",
    any: Annotated[
        bool, typer.Option("--any/--all", help="Wait for the first of them, or for all.")
    ] = False,
    timeout: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="Give up after 90s, 5m, 1h30m; 0 looks once."),
    ] = None,
    output: Annotated[
        Output, typer.Option("-o", "--output", help="What to print of each job.")
    ] = Output.text,
    url: UrlOption = None,
    token_file: TokenFileOption = None,
    ca: CaOption = None,
    directory: DirOption = None,
) -> None:
    """Wait until jobs have ended; exits with 3 when one failed.

    Filters choose among the jobs that are there at the start.
    """
    one_source(directory, url)
    chosen = make_filter((), type, stage, session, active)
    if ids and chosen != EVERYTHING:
        raise UsageError("ids and filters are two choices", hint="give one of them")
    if not ids and chosen == EVERYTHING:
        raise UsageError("no jobs to wait for are named", hint="or choose by a filter: --active")
    Condition.parse(until)  # before anything is read
    timeout_s = seconds(timeout, "--timeout")
    if url is None:
        here = place(directory)
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
                until=until,
                any=any,
                timeout_s=timeout_s,
                on_verdict=_PRINT[output],
                on_status=note_trouble,
            )
        )
    finally:
        if store is not None:
            store.close()
    _end(outcome, where)


def _end(outcome: Outcome, where: str) -> None:
    if not outcome.verdicts:
        note(f"no such jobs in {where}" + ("; nothing to wait for" if outcome.met else ""))
    elif not outcome.met:
        note(str(outcome))
    if not outcome.met:
        raise typer.Exit(outcome.code)


def _print_text(verdict: Verdict) -> None:
    _say(f"{verdict.id}  {visible(verdict.reason)}")


def _print_name(verdict: Verdict) -> None:
    if verdict.kind == "met":
        _say(verdict.id)


def _print_jsonl(verdict: Verdict) -> None:
    job = machine(verdict.job) if verdict.job is not None else None
    value = {"id": verdict.id, "verdict": verdict.kind, "reason": verdict.reason, "job": job}
    _say(compact(value))


def _say(line: str) -> None:
    out(line)
    sys.stdout.flush()


_PRINT: dict[Output, Callable[[Verdict], None]] = {
    Output.text: _print_text,
    Output.name: _print_name,
    Output.jsonl: _print_jsonl,
}
