"""``jobctl stats``: counts, failure rates and durations of groups of jobs."""

from __future__ import annotations

import sys
from functools import partial

from jobctl import api
from jobctl._clock import now_ms
from jobctl.cli import formats
from jobctl.cli.common import (
    command_store,
    compact,
    credentials,
    hub_to_read,
    make_filter,
    moment,
    note,
    out,
    run_async,
    time_format,
)
from jobctl.cli.options import (
    ActiveOption,
    Annotated,
    CaOption,
    DirOption,
    NoHeadersOption,
    Option,
    Output,
    OutputOption,
    SelectorOption,
    SessionOption,
    StageOption,
    TimeFormat,
    TimeFormatOption,
    TokenFileOption,
    TypeOption,
    UrlOption,
)
from jobctl.cli.overdue import find_overdue, note_overdue
from jobctl.cli.table import columns_of_terminal, lines
from jobctl.cli.text import fit, visible
from jobctl.core.filters import EVERYTHING
from jobctl.core.stats import Grouping, group_stats
from jobctl.core.times import to_text
from jobctl.stores import bad_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence
    from typing import Any, NamedTuple

    from jobctl.core.filters import Filter
    from jobctl.core.job import Job
    from jobctl.core.protocol import BadFiles, DeadOwners
    from jobctl.core.stats import GroupStats
    from jobctl.hub.credentials import Credentials
else:
    from jobctl._stdlib import NamedTuple

__all__ = ["EXAMPLE", "stats"]

EXAMPLE = "Example: jobctl stats --by label=team --since 7d"

_MAX_CELL = 24  # columns of a group's name on a terminal


def stats(
    by: Annotated[
        str, Option("--by", metavar="GROUPING", help="Group by type, host or label=KEY.")
    ] = "type",
    type: TypeOption = None,
    stage: StageOption = None,
    session: SessionOption = None,
    selector: SelectorOption = None,
    active: ActiveOption = False,
    since: Annotated[
        str | None,
        Option(
            metavar="TIME",
            help="Only jobs that ended since 7d ago or a date (local), and active ones.",
        ),
    ] = None,
    until: Annotated[
        str | None, Option(metavar="TIME", help="Only jobs that ended until that time (local).")
    ] = None,
    output: OutputOption = Output.table,
    no_headers: NoHeadersOption = False,
    quiet: Annotated[
        bool, Option("-q", "--quiet", help="Print the names of the groups only.")
    ] = False,
    times: TimeFormatOption = None,
    url: UrlOption = None,
    token_file: TokenFileOption = None,
    ca: CaOption = None,
    directory: DirOption = None,
) -> None:
    """Count jobs and failures, and say how long jobs take.

    A job counts once, by its last attempt: if it ended within the time, or is active now. RATE is
    failed and lost jobs by completed, failed and lost ones; cancelled jobs are left out. MEDIAN and
    P95 are the durations of completed jobs, interpolated. What is unknown is "-".
    """
    grouping = Grouping.parse(by)
    moment(since, "--since")  # a mistake is reported before anything is read
    moment(until, "--until")
    form = time_format(times)
    url = hub_to_read(directory, url)
    chosen = make_filter((), type, stage, session, active, selector)
    if url is None:
        found = _in_directory(directory, chosen)
    else:
        found = _on_hub(url, chosen, credentials(token_file, ca))
    at_ms = found.at_ms
    first, last = moment(since, "--since", at_ms), moment(until, "--until", at_ms)
    groups = group_stats(
        found.jobs, grouping, now_ms=at_ms, since_ms=first, until_ms=last, dead=found.dead
    )
    overdue = find_overdue(found.jobs, chosen, at_ms, found.dead, found.read_all)
    if quiet or output is Output.name:
        for group in groups:
            out(visible(group.group) if group.group is not None else "-")
    elif output is Output.json:
        value: dict[str, Any] = {
            "by": str(grouping),
            "since": _text(first),
            "until": _text(last),
            "groups": [_object(group) for group in groups],
            "overdue": [item.to_value() for item in overdue] if overdue is not None else None,
        }
        out(compact(value))
    elif output is Output.jsonl:
        for group in groups:
            out(compact({"by": str(grouping), **_object(group)}))
    else:
        wide = output is Output.wide
        head, rows = _table(groups, grouping, form or TimeFormat.relative, at_ms, wide=wide)
        cut = None if wide else columns_of_terminal()
        if rows:
            styles = ["failed" if group.failures else "" for group in groups]
            sys.stdout.writelines(
                f"{line}\n"
                for line in lines(head, rows, limit=cut, show_header=not no_headers, styles=styles)
            )
        note_overdue(overdue or (), at_ms)
    if not groups and output not in (Output.json, Output.jsonl):
        no_filter = chosen == EVERYTHING and not found.jobs
        note(f"{'no jobs' if no_filter else 'no such jobs'} in {found.where}")
    if found.bad:
        files = "1 file is no job" if found.bad == 1 else f"{found.bad} files are no jobs"
        note(f"{files}, and not counted; 'jobctl ls -v' names them")


class _Read(NamedTuple):
    """The jobs that were read, from where, and the time there; ``read_all`` has no filter."""

    jobs: Sequence[Job]
    dead: Container[str]
    where: str
    bad: int
    at_ms: int
    read_all: Callable[[], Sequence[Job]]


def _in_directory(directory: str | None, chosen: Filter) -> _Read:
    store, where = command_store(directory)
    try:
        dead = store.owners.dead()  # before the read, which then has everything that they wrote
        jobs = api.ls(store, chosen).jobs
        bad, at_ms = len(bad_files(store)), now_ms()
        return _Read(jobs, dead, f"{where.name} ({where.why})", bad, at_ms, lambda: _all(directory))
    finally:
        store.close()


def _all(directory: str | None) -> Sequence[Job]:
    store, _ = command_store(directory)
    try:
        return api.ls(store).jobs
    finally:
        store.close()


def _on_hub(url: str, chosen: Filter, shown: Credentials) -> _Read:
    from jobctl.reader import once  # import the network only if needed
    from jobctl.reader.clock import HubClock

    received: list[DeadOwners] = []
    told: list[BadFiles] = []
    clock = HubClock()
    read = partial(once.read, url, chosen, clock=clock, credentials=shown)
    delta = run_async(read(on_dead_owners=received.append, on_bad_files=told.append))
    dead = received[-1].dead if received else ()
    bad = len(told[-1].reasons) + told[-1].omitted if told else 0

    def read_all() -> Sequence[Job]:
        return run_async(once.read(url, credentials=shown)).jobs

    return _Read(delta.jobs, dead, url, bad, clock.now_ms(), read_all)


def _table(
    groups: Sequence[GroupStats], by: Grouping, form: TimeFormat, now: int, *, wide: bool
) -> tuple[list[str], list[list[str]]]:
    head = [visible((by.label or by.kind).upper()), "JOBS", "ACTIVE", "LOST", "FAILED", "RATE"]
    head += ["MEDIAN", "P95", "LAST SUCCESS"]
    if wide:
        head += ["LAST FAILURE", "COMPLETED", "CANCELLED", "RETRIES"]
    cut = not wide and columns_of_terminal() is not None
    rows = []
    for group in groups:
        name = group.group if group.group is not None else "-"
        row = [
            fit(visible(name), _MAX_CELL) if cut else name,
            str(group.jobs),
            str(group.active),
            str(group.lost),
            str(group.failed),
            _percent(group.failure_rate),
            formats.duration(group.median_ms),
            formats.duration(group.p95_ms),
            _at(group.last_success_ms, form, now),
        ]
        if wide:
            row += [_at(group.last_failure_ms, form, now), str(group.completed)]
            row += [str(group.cancelled), str(group.retries)]
        rows.append(row)
    return head, rows


def _object(group: GroupStats) -> dict[str, Any]:
    return {
        "group": group.group,
        "jobs": group.jobs,
        "active": group.active,
        "lost": group.lost,
        "completed": group.completed,
        "failed": group.failed,
        "cancelled": group.cancelled,
        "retries": group.retries,
        "failureRate": round(group.failure_rate, 6) if group.failure_rate is not None else None,
        "medianMs": group.median_ms,
        "p95Ms": group.p95_ms,
        "lastSuccess": _text(group.last_success_ms),
        "lastFailure": _text(group.last_failure_ms),
    }


def _percent(rate: float | None) -> str:
    """Return ``0%``, ``12.5%``, ``<0.1%``; ``-`` if unknown."""
    if rate is None:
        return "-"
    if 0 < rate < 0.001:
        return "<0.1%"
    return f"{100 * rate:.1f}".removesuffix(".0") + "%"


def _at(ms: int | None, form: TimeFormat, now: int) -> str:
    return formats.moment(to_text(ms), form, now) if ms is not None else "-"


def _text(ms: int | None) -> str | None:
    return to_text(ms) if ms is not None else None
