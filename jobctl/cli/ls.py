"""``jobctl ls``: list the jobs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Container, Sequence
from enum import StrEnum
from functools import partial

from jobctl import api
from jobctl._clock import now_ms
from jobctl.cli import formats
from jobctl.cli.common import (
    command_store,
    compact,
    credentials,
    hub_to_read,
    job_object,
    make_filter,
    moment,
    note,
    out,
    pipelines,
    run_async,
    time_format,
)
from jobctl.cli.families import rows_of
from jobctl.cli.options import (
    ActiveOption,
    Annotated,
    CaOption,
    DirOption,
    IdListArgument,
    NoHeadersOption,
    Option,
    Output,
    OutputOption,
    QuietOption,
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
from jobctl.cli.stages import unknown_stage
from jobctl.cli.table import columns_of_terminal, lines, paint
from jobctl.cli.text import fit, visible
from jobctl.core.cursor import ZERO, Cursor
from jobctl.core.eta import UsualDurations
from jobctl.core.filters import EVERYTHING, Filter
from jobctl.core.job import Job
from jobctl.core.jobset import Delta
from jobctl.core.pipeline import Pipelines
from jobctl.core.times import known_ms
from jobctl.stores import BadFile, bad_files, creation_times

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, NamedTuple

    from jobctl.config import Where
    from jobctl.core.protocol import BadFiles, DeadOwners
    from jobctl.hub.credentials import Credentials
else:
    from jobctl._stdlib import NamedTuple

__all__ = ["EXAMPLE", "ls"]

EXAMPLE = "Example: jobctl ls --stage failed -o wide"

_NARROW = 50  # columns
_MAX_ENDED = 50  # jobs in a table on a terminal that are neither active nor trouble
_MAX_CELL = 20  # columns of a type or stage, if the line must be cut


class Sort(StrEnum):
    """The sort orders."""

    created = "created"
    updated = "updated"
    stage = "stage"
    type = "type"
    id = "id"


def ls(
    ids: IdListArgument = None,
    type: TypeOption = None,
    stage: StageOption = None,
    session: SessionOption = None,
    selector: SelectorOption = None,
    active: ActiveOption = False,
    since: Annotated[
        str | None,
        Option(
            metavar="TIME", help="Only jobs changed since 10m ago, or 2026-11-23T09:30 (local)."
        ),
    ] = None,
    until: Annotated[
        str | None, Option(metavar="TIME", help="Only jobs not changed after that time (local).")
    ] = None,
    everything: Annotated[
        bool, Option("-a", "--all", help="On a terminal: list also jobs that ended long ago.")
    ] = False,
    sort: Annotated[
        Sort, Option(metavar="FIELD", help="Sort by created, updated, stage, type or id.")
    ] = Sort.created,
    limit: Annotated[int | None, Option(min=0, metavar="N", help="Print at most N jobs.")] = None,
    cursor: Annotated[
        str | None,
        Option(metavar="CURSOR", help="Only what has changed since this cursor."),
    ] = None,
    output: OutputOption = Output.table,
    no_headers: NoHeadersOption = False,
    quiet: QuietOption = False,
    times: TimeFormatOption = None,
    verbose: Annotated[
        bool,
        Option("-v", "--verbose", help="List files that are not jobs, and remarks on other files."),
    ] = False,
    url: UrlOption = None,
    token_file: TokenFileOption = None,
    ca: CaOption = None,
    directory: DirOption = None,
) -> None:
    """List jobs, newest first. Needs no hub.

    A table on a terminal has all jobs that are active, lost or failed in the last 24 hours, and
    the 50 newest others; -a lists all. Pipes and other formats get all.

    With --url, list the jobs of a hub. In -o json, `bad` lists the files that are not jobs; it is
    null if the hub is jobctl 0.1.0, which does not know them.
    """
    start = Cursor.parse(cursor) if cursor is not None else ZERO
    first, last = moment(since, "--since"), moment(until, "--until")
    form = time_format(times)
    url = hub_to_read(directory, url)
    options = partial(
        make_filter, type=type, stage=stage, session=session, active=active, selector=selector
    )
    ids_only = quiet or output is Output.name
    unfiltered = options([]) == EVERYTHING and not (ids or cursor or since or until)
    plain = ids_only and unfiltered and url is None and not verbose
    if plain and sort in (Sort.created, Sort.id) and limit != 0:
        _list_ids(directory, sort, limit)
        return
    learn = output is not Output.table and not ids_only
    if url is None:
        found = _in_directory(directory, ids or [], options, start, learn=learn)
    else:
        shown = credentials(token_file, ca)
        found = _on_hub(url, ids or [], options, start, shown, learn=learn)
    delta = found.delta
    if delta.since == 0 and start != ZERO:
        note("the cursor cannot be resumed, so everything is listed")
    at_ms = found.at_ms if found.at_ms is not None else now_ms()
    if url is not None:  # "10m" ago by the hub's clock
        first, last = moment(since, "--since", at_ms), moment(until, "--until", at_ms)
    jobs = [job for job in delta.jobs if _within(job, first, last, at_ms)]
    jobs = order(jobs, sort, at_ms)[:limit]
    dead, usual = found.dead, found.usual
    table = not quiet and output in (Output.table, Output.wide)
    if ids_only:
        _print_ids(job.id for job in jobs)
    elif output is Output.json:
        # A cursor means that everything up to it was printed. If jobs were left out, there is none.
        cursor_text = str(delta.cursor(found.filter)) if len(jobs) == len(delta.jobs) else None
        gone = [item.id for item in delta.gone] if delta.since else []
        value: dict[str, Any] = {"cursor": cursor_text, "gone": gone}
        value["jobs"] = [job_object(job, dead, usual, at_ms) for job in jobs]
        out(compact({**value, "bad": _named(found.bad)}))
    elif output is Output.jsonl:
        for job in jobs:
            out(compact(job_object(job, dead, usual, at_ms)))
    else:
        wide = output is Output.wide
        all_jobs = everything or limit is not None or not sys.stdout.isatty()
        listed = jobs if all_jobs else _without_old(jobs, sort, at_ms, dead)
        _print_table(listed, found, form, at_ms, wide=wide, header=not no_headers)
        if more := len(jobs) - len(listed):
            out(paint(f"{more} more ended; -a shows all", "dim"))
    if delta.since and delta.gone and (quiet or output is not Output.json):
        note(f"{len(delta.gone)} gone since the cursor; -o json names them")
    _explain(found, jobs, stage or (), verbose=verbose, table=table)
    if table and not delta.since:
        note_overdue(find_overdue(delta.jobs, found.filter, at_ms, dead, found.jobs) or (), at_ms)
    found.close()


class _Listing(NamedTuple):
    """The result of the read, and its source.

    ``bad`` is ``None`` if the hub does not say, and lacks ``bad_omitted`` files; ``usual`` is
    ``None`` if no output needs it. ``at_ms`` is the time of the read by the hub's clock.
    """

    delta: Delta
    filter: Filter
    where: str
    hint: str
    bad: list[BadFile] | None
    dead: Container[str]
    usual: UsualDurations | None
    jobs: Callable[[], Iterable[Job]]
    ids: Callable[[], list[str]]
    close: Callable[[], None]
    bad_omitted: int = 0
    at_ms: int | None = None


def _within(job: Job, first: int | None, last: int | None, at_ms: int) -> bool:
    """Whether the job's last change is between these times."""
    if first is None and last is None:
        return True
    at = _changed_ms(job, at_ms)
    return (first is None or at >= first) and (last is None or at <= last)


def _changed_ms(job: Job, at_ms: int) -> int:
    """When the job changed last, by the latest of its times; 0 where its file does not tell."""
    texts = (job.updated_at, job.stage_started_at, job.created_at)
    times = (job.ended_ms(at_ms), *(known_ms(text) for text in texts))
    return max((ms for ms in times if ms is not None), default=0)


def _in_directory(
    directory: str | None,
    prefixes: list[str],
    options: Callable[[list[str]], Filter],
    since: Cursor,
    *,
    learn: bool,
) -> _Listing:
    store, where = command_store(directory)
    chosen = options([api.resolve(store, id) for id in prefixes])
    usual = UsualDurations(pipelines=pipelines()) if learn else None
    delta = api.ls(store, chosen, since, usual=usual)
    if learn and delta.since:
        usual = api.usual(store, pipelines())
    text, hint = _described(where, empty=not delta.jobs)
    dead = store.owners.dead()

    def jobs() -> Sequence[Job]:
        return api.ls(store).jobs

    return _Listing(
        delta, chosen, text, hint, bad_files(store), dead, usual, jobs, store.ids, store.close
    )


def _list_ids(directory: str | None, sort: Sort, limit: int | None) -> None:
    """Print the ids of all jobs in a directory, in the order of `order`."""
    store, where = command_store(directory)
    times, bad = creation_times(store)
    store.close()
    if sort is Sort.id:
        ids = sorted(times)
    else:
        ids = [id for _, id in sorted(((at, id) for id, at in times.items()), reverse=True)]
    _print_ids(ids[:limit])
    if not ids and not sys.stdout.isatty():
        text, hint = _described(where, empty=True)
        note(f"no jobs in {text}{hint}")
    _note_bad(bad, verbose=False)


def _print_ids(ids: Iterable[str]) -> None:
    sys.stdout.writelines(f"{id}\n" for id in ids)


def _described(where: Where, *, empty: bool) -> tuple[str, str]:
    """Return the directory and why it was chosen, and where else there are jobs."""
    elsewhere = empty and not where.explicit and _has_jobs("data/jobs")
    return f"{where.name} ({where.why})", "; try --dir data/jobs" if elsewhere else ""


def _on_hub(
    url: str,
    prefixes: list[str],
    options: Callable[[list[str]], Filter],
    since: Cursor,
    shown: Credentials,
    *,
    learn: bool,
) -> _Listing:
    from jobctl.reader import once  # import the network only if needed
    from jobctl.reader.clock import HubClock

    read = partial(once.read, url, credentials=shown)
    chosen = options([job.id for job in run_async(once.find(url, prefixes, credentials=shown))])
    received: list[DeadOwners] = []
    told: list[BadFiles] = []
    clock = HubClock()
    delta = run_async(
        read(chosen, since, on_dead_owners=received.append, on_bad_files=told.append, clock=clock)
    )
    bad = [BadFile(*item) for item in sorted(told[-1].reasons.items())] if told else None

    def jobs() -> Sequence[Job]:
        whole = chosen == EVERYTHING and delta.since == 0
        return (delta if whole else run_async(read())).jobs

    def ids() -> list[str]:
        return [job.id for job in jobs()]

    dead = received[-1].dead if received else ()
    usual = UsualDurations(delta.jobs, pipelines=pipelines()) if learn else None
    omitted = told[-1].omitted if told else 0
    now = clock.now_ms()
    return _Listing(delta, chosen, url, "", bad, dead, usual, jobs, ids, lambda: None, omitted, now)


def _named(bad: list[BadFile] | None) -> list[dict[str, str]] | None:
    return None if bad is None else [{"name": item.name, "reason": item.reason} for item in bad]


def order(jobs: Sequence[Job], sort: Sort, at_ms: int) -> list[Job]:
    """Return the jobs newest first; or by stage, type or id, and then newest first."""
    ordered = sorted(jobs, key=lambda job: (job.created_at, job.id), reverse=True)
    if sort is Sort.updated:
        ordered = sorted(jobs, key=lambda job: (_changed_ms(job, at_ms), job.id), reverse=True)
    elif sort is Sort.stage:
        known = pipelines()
        ordered.sort(key=lambda job: (known.of(job).percent(job.stage) or 0, job.shown_stage))
    elif sort in (Sort.type, Sort.id):
        ordered.sort(key=lambda job: str(getattr(job, sort.value)))
    return ordered


def _without_old(
    jobs: Sequence[Job], sort: Sort, at_ms: int, dead: Container[str]
) -> Sequence[Job]:
    """Return the jobs without those that ended long ago, in the same order.

    Jobs that are active or `Job.is_trouble` stay, and the newest `_MAX_ENDED` of the others.
    """
    if len(jobs) <= _MAX_ENDED:
        return jobs
    ended = [job for job in jobs if not job.active and not job.is_trouble(at_ms, dead)]
    by = Sort.updated if sort is Sort.updated else Sort.created
    left_out = {job.id for job in order(ended, by, at_ms)[_MAX_ENDED:]}
    return [job for job in jobs if job.id not in left_out] if left_out else jobs


def _print_table(
    jobs: Sequence[Job],
    found: _Listing,
    form: TimeFormat | None,
    now: int,
    *,
    wide: bool,
    header: bool,
) -> None:
    if not jobs:
        return
    dead = found.dead
    limit = columns_of_terminal()
    shorts = {job.id: job.id for job in jobs}
    if limit is not None and not wide:
        shorts = formats.short_ids(shorts, found.ids())
    narrow = limit is not None and limit < _NARROW and not wide
    head = ["ID", "TYPE", "STAGE", "DONE", "ELAPSED"]
    if wide:
        head += [
            "USUALLY",
            "SESSION",
            "RETRIES",
            "CREATED",
            "UPDATED",
            "LABELS",
            "HOST",
            "USER",
            "USAGE",
        ]
    else:
        head.append("AGE" if form in (None, TimeFormat.relative) else "CREATED")
    head.append("DETAIL")
    family = rows_of(jobs, pipelines(), merged=not wide)
    jobs = [row.job for row in family]
    rows = [
        _row(job, "  " * depth + shorts[job.id], now, found, form, wide=wide)
        for job, depth in family
    ]
    if narrow:  # if little fits, the stage matters more than the type
        head, *rows = ([row[0], row[2], *row[3:]] for row in (head, *rows))
    styles = [_style(job, now, dead) for job in jobs]
    cut = None if wide else limit
    sys.stdout.writelines(
        line + "\n" for line in lines(head, rows, limit=cut, show_header=header, styles=styles)
    )


def _row(
    job: Job, id: str, now: int, found: _Listing, form: TimeFormat | None, *, wide: bool
) -> list[str]:
    percent = job.percent_of(pipelines())
    done = f"{percent}%" if percent is not None and job.stage != "failed" else "-"
    cells = [id, job.type, job.shown_stage, done, formats.duration(job.elapsed_ms(now))]
    if not wide and columns_of_terminal() is not None:  # long untrusted text must not hide the rest
        cells[1:3] = [fit(visible(cell), _MAX_CELL) for cell in cells[1:3]]
    if wide:
        usual = formats.eta(job, found.usual) if found.usual is not None else ""
        cells += [usual or "-", job.session_id or "-", str(job.retry_count)]
        cells += [formats.moment(at, form, now) for at in (job.created_at, job.updated_at)]
        cells.append(formats.labels(job) or "-")
        cells += [value if isinstance(value, str) else "-" for value in (job.host, job.user)]
        cells.append(formats.usage(job) or "-")
    elif form in (None, TimeFormat.relative):
        cells.append(formats.ago(job.created_at, now))
    else:
        cells.append(formats.moment(job.created_at, form, now))
    return [*cells, detail(job, now, found.dead, pipelines())]


def detail(job: Job, now: int, dead: Container[str], known: Pipelines) -> str:
    """Return what a job is, and how it is: title and error, or state mark, title and message."""
    known_already = formats.acknowledged(job)
    if error := formats.error(job):
        text = formats.titled(job, error)
        return f"{known_already}: {text}" if known_already else text
    marks = (formats.mark(job, now, dead, known), known_already)
    parts = [", ".join(filter(None, marks)), job.title or "", job.current_message or ""]
    return ": ".join(part for part in parts if part)


def _style(job: Job, now: int, dead: Container[str]) -> str:
    if formats.acknowledged(job):
        return "dim"
    if not job.active:
        return job.shown_stage
    return formats.mark(job, now, dead, pipelines())


def _explain(
    found: _Listing, jobs: Sequence[Job], stages: Sequence[str], *, verbose: bool, table: bool
) -> None:
    """Print notes: why nothing is listed, and what was skipped."""
    if not jobs and (table or not sys.stdout.isatty()) and not found.delta.since:
        what = "no jobs" if found.filter == EVERYTHING and not found.delta.jobs else "no such jobs"
        meant = unknown_stage(stages, pipelines(), found.jobs)
        hint = f"; {meant}" if meant else found.hint
        note(f"{what} in {found.where}{hint}")
    _note_bad(found.bad or [], verbose=verbose, omitted=found.bad_omitted)
    if verbose:
        for job in jobs:
            for remark in job.remarks:
                note(f"{job.id}.json: {remark}")


def _note_bad(bad: list[BadFile], *, verbose: bool, omitted: int = 0) -> None:
    if count := len(bad) + omitted:
        files = "file is no job" if count == 1 else "files are no jobs"
        note(f"{count} {files}" + ("" if verbose else "; -v names them"))
        if verbose:
            for item in bad:
                note(f"{item.name}: {item.reason}")
            if omitted:
                note(f"{omitted} more: the hub names only the first {len(bad)}")


def _has_jobs(path: str) -> bool:
    from pathlib import Path

    return any(Path(path).glob("*.json"))
