"""``jobctl ls``: the jobs of the directory, as they are now."""

from __future__ import annotations

import sys
from collections.abc import Callable, Container, Sequence
from enum import StrEnum
from functools import partial
from typing import Annotated, NamedTuple

import typer

from jobctl import api
from jobctl.cli import shapes
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
)
from jobctl.cli.table import columns_of_terminal, lines
from jobctl.cli.text import visible
from jobctl.clock import now_ms
from jobctl.cursor import ZERO, Cursor
from jobctl.filters import EVERYTHING, Filter
from jobctl.job import Job
from jobctl.jobset import Delta
from jobctl.protocol import Owners
from jobctl.stores import BadFile

__all__ = ["EXAMPLE", "ls"]

EXAMPLE = "Example: jobctl ls --stage failed -o wide"

_NARROW = 50  # columns


class Output(StrEnum):
    """How the jobs are printed."""

    table = "table"
    wide = "wide"
    json = "json"
    jsonl = "jsonl"
    name = "name"


class Sort(StrEnum):
    """What the jobs are ordered by."""

    created = "created"
    updated = "updated"
    stage = "stage"
    type = "type"
    id = "id"


def ls(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="ID", help="Ids, or unique starts of them.")
    ] = None,
    type: TypeOption = None,
    stage: StageOption = None,
    session: SessionOption = None,
    active: ActiveOption = False,
    sort: Annotated[Sort, typer.Option(help="Order by this.")] = Sort.created,
    limit: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Print N jobs at the most.")
    ] = None,
    cursor: Annotated[
        str | None,
        typer.Option(metavar="CURSOR", help="Only what has changed since this cursor."),
    ] = None,
    output: Annotated[Output, typer.Option("-o", "--output", help="How to print.")] = Output.table,
    no_headers: Annotated[bool, typer.Option("--no-headers", help="Leave the header out.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print ids only.")] = False,
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", help="Name the files that are no jobs.")
    ] = False,
    url: UrlOption = None,
    token_file: TokenFileOption = None,
    ca: CaOption = None,
    directory: DirOption = None,
) -> None:
    """List jobs, newest first. Needs no hub.

    With --url what a hub holds; then `bad` is null in -o json, since files are nothing to a hub.
    """
    since = Cursor.parse(cursor) if cursor is not None else ZERO
    one_source(directory, url)
    options = partial(make_filter, type=type, stage=stage, session=session, active=active)
    if url is None:
        found = _in_directory(directory, ids or [], options, since)
    else:
        found = _on_hub(url, ids or [], options, since)
    delta = found.delta
    if delta.since == 0 and since != ZERO:
        note("the cursor cannot be resumed, so everything is listed")
    jobs = order(delta.jobs, sort)[:limit]
    dead = found.dead
    table = not quiet and output in (Output.table, Output.wide)
    if quiet or output is Output.name:
        for job in jobs:
            out(job.id)
    elif output is Output.json:
        # A cursor says that everything up to it was told; jobs that --limit cut were not.
        cursor_text = str(delta.cursor(found.filter)) if len(jobs) == len(delta.jobs) else None
        gone = [item.id for item in delta.gone] if delta.since else []
        value = {"cursor": cursor_text, "jobs": [machine(job, dead) for job in jobs], "gone": gone}
        out(compact({**value, "bad": _named(found.bad)}))
    elif output is Output.jsonl:
        for job in jobs:
            out(compact(machine(job, dead)))
    else:
        wide = output is Output.wide
        _print_table(jobs, found.ids, dead, wide=wide, header=not no_headers)
    if delta.since and delta.gone and (quiet or output is not Output.json):
        note(f"{len(delta.gone)} gone since the cursor; -o json names them")
    _explain(found, verbose=verbose, table=table)
    found.close()


class _Found(NamedTuple):
    """The one read, and where it was made: ``bad`` is ``None`` where nobody knows of files."""

    delta: Delta
    filter: Filter
    where: str
    hint: str
    bad: list[BadFile] | None
    dead: Container[str]
    ids: Callable[[], list[str]]
    close: Callable[[], None]


def _in_directory(
    directory: str | None, starts: list[str], options: Callable[[list[str]], Filter], since: Cursor
) -> _Found:
    store, where = place(directory)
    chosen = options([api.resolve(store, id) for id in starts])
    delta = api.ls(store, chosen, since)
    elsewhere = not delta.jobs and not where.explicit and _has_jobs("data/jobs")
    hint = "; try --dir data/jobs" if elsewhere else ""
    text = f"{where.path} ({where.why})"
    dead = store.owners.dead()
    return _Found(delta, chosen, text, hint, store.bad(), dead, store.ids, store.close)


def _on_hub(
    url: str, starts: list[str], options: Callable[[list[str]], Filter], since: Cursor
) -> _Found:
    from jobctl.net import remote  # the network is for those who ask for it

    chosen = options([job.id for job in run_async(remote.find(url, starts))])
    said: list[Owners] = []
    delta = run_async(remote.read(url, chosen, since, on_owners=said.append))

    def ids() -> list[str]:
        whole = chosen == EVERYTHING and delta.since == 0
        return [job.id for job in (delta if whole else run_async(remote.read(url))).jobs]

    dead = said[-1].dead if said else ()
    return _Found(delta, chosen, url, "", None, dead, ids, lambda: None)


def _named(bad: list[BadFile] | None) -> list[dict[str, str]] | None:
    return None if bad is None else [{"name": item.name, "reason": item.reason} for item in bad]


def order(jobs: Sequence[Job], sort: Sort) -> list[Job]:
    """Newest first; by stage, type or id upwards, and then newest first."""
    key = "updated_at" if sort is Sort.updated else "created_at"
    ordered = sorted(jobs, key=lambda job: (getattr(job, key), job.id), reverse=True)
    if sort is Sort.stage:
        ordered.sort(key=lambda job: (job.pipeline.percent(job.stage) or 0, job.stage))
    elif sort in (Sort.type, Sort.id):
        ordered.sort(key=lambda job: str(getattr(job, sort.value)))
    return ordered


def _print_table(
    jobs: Sequence[Job],
    ids: Callable[[], list[str]],
    dead: Container[str],
    *,
    wide: bool,
    header: bool,
) -> None:
    if not jobs:
        return
    now = now_ms()
    limit = columns_of_terminal()
    shorts = {job.id: job.id for job in jobs}
    if limit is not None and not wide:
        shorts = shapes.short_ids(shorts, ids())
    narrow = limit is not None and limit < _NARROW and not wide
    head = ["ID", "TYPE", "STAGE", "DONE", "ELAPSED"]
    head += ["SESSION", "RETRIES", "CREATED", "UPDATED"] if wide else ["AGE"]
    head.append("DETAIL")
    rows = [_row(job, shorts[job.id], now, dead, wide=wide) for job in jobs]
    if narrow:  # where little fits, the stage tells more than the type
        head, *rows = ([row[0], row[2], *row[3:]] for row in (head, *rows))
    styles = [_style(job, now, dead) for job in jobs]
    cut = None if wide else limit
    sys.stdout.writelines(
        line + "\n" for line in lines(head, rows, limit=cut, show_header=header, styles=styles)
    )


def _row(job: Job, id: str, now: int, dead: Container[str], *, wide: bool) -> list[str]:
    percent = job.percent
    done = f"{percent}%" if percent is not None and job.stage != "failed" else "-"
    cells = [id, job.type, job.stage, done, shapes.duration(job.elapsed_ms(now))]
    if wide:
        cells += [job.session_id or "-", str(job.retry_count)]
        cells += [shapes.local_time(job.created_at), shapes.local_time(job.updated_at)]
    else:
        cells.append(shapes.ago(job.created_at, now))
    return [*cells, detail(job, now, dead)]


def detail(job: Job, now: int, dead: Container[str] = ()) -> str:
    """The most telling words about a job: its error, its trouble, its message, its title."""
    if job.error:
        return job.error
    parts = [shapes.mark(job, now, dead), job.title or "", job.message or ""]
    return ": ".join(part for part in parts if part)


def _style(job: Job, now: int, dead: Container[str]) -> str:
    if job.stage in ("failed", "completed"):
        return job.stage
    return shapes.mark(job, now, dead)


def _explain(found: _Found, *, verbose: bool, table: bool) -> None:
    """On standard error: why there is nothing, and what was passed over."""
    delta, bad = found.delta, found.bad or []
    if not delta.jobs and (table or not sys.stdout.isatty()) and not delta.since:
        what = "No jobs" if found.filter == EVERYTHING else "No such jobs"
        sys.stderr.write(f"{what} in {visible(found.where)}{found.hint}\n")
    if bad:
        files = "file is" if len(bad) == 1 else "files are"
        note(f"{len(bad)} {files} no jobs" + ("" if verbose else "; -v names them"))
        if verbose:
            for item in bad:
                note(f"{item.name}: {item.reason}")


def _has_jobs(path: str) -> bool:
    from pathlib import Path

    return any(Path(path).glob("*.json"))
