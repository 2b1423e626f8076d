"""``jobctl ls``: the jobs of the directory, as they are now."""

from __future__ import annotations

import sys
from collections.abc import Container, Sequence
from enum import StrEnum
from typing import Annotated

import typer

from jobctl import api
from jobctl.cli import shapes
from jobctl.cli.common import (
    ActiveOption,
    DirOption,
    Place,
    SessionOption,
    StageOption,
    TypeOption,
    compact,
    machine,
    make_filter,
    note,
    out,
    place,
)
from jobctl.cli.table import columns_of_terminal, lines
from jobctl.cli.text import visible
from jobctl.clock import now_ms
from jobctl.cursor import ZERO, Cursor
from jobctl.filters import EVERYTHING, Filter
from jobctl.job import Job
from jobctl.jobset import Delta
from jobctl.stores import Store

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
    directory: DirOption = None,
) -> None:
    """List jobs, newest first. Needs no hub."""
    since = Cursor.parse(cursor) if cursor is not None else ZERO
    here = place(directory)
    chosen = make_filter(
        [api.resolve(here.store, id) for id in ids or ()], type, stage, session, active
    )
    delta = api.ls(here.store, chosen, since)
    if delta.since == 0 and since != ZERO:
        note("the cursor cannot be resumed, so everything is listed")
    jobs = order(delta.jobs, sort)[:limit]
    dead = here.store.owners.dead()
    table = not quiet and output in (Output.table, Output.wide)
    if quiet or output is Output.name:
        for job in jobs:
            out(job.id)
    elif output is Output.json:
        bad = [{"name": bad.name, "reason": bad.reason} for bad in here.store.bad()]
        # A cursor says that everything up to it was told; jobs that --limit cut were not.
        cursor_text = str(delta.cursor(chosen)) if len(jobs) == len(delta.jobs) else None
        gone = [item.id for item in delta.gone] if delta.since else []
        value = {"cursor": cursor_text, "jobs": [machine(job, dead) for job in jobs], "gone": gone}
        out(compact({**value, "bad": bad}))
    elif output is Output.jsonl:
        for job in jobs:
            out(compact(machine(job, dead)))
    else:
        _print_table(jobs, here.store, dead, wide=output is Output.wide, header=not no_headers)
    if delta.since and delta.gone and (quiet or output is not Output.json):
        note(f"{len(delta.gone)} gone since the cursor; -o json names them")
    _explain(here, chosen, delta, verbose=verbose, table=table)
    here.store.close()


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
    jobs: Sequence[Job], store: Store, dead: Container[str], *, wide: bool, header: bool
) -> None:
    if not jobs:
        return
    now = now_ms()
    limit = columns_of_terminal()
    shorts = {job.id: job.id for job in jobs}
    if limit is not None and not wide:
        shorts = shapes.short_ids(shorts, store.ids())
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


def _explain(here: Place, chosen: Filter, delta: Delta, *, verbose: bool, table: bool) -> None:
    """On standard error: why there is nothing, and what was passed over."""
    bad = here.store.bad()
    if not delta.jobs and (table or not sys.stdout.isatty()) and not delta.since:
        hint = ""
        if not here.where.explicit and any(_has_jobs(path) for path in ("data/jobs",)):
            hint = "; try --dir data/jobs"
        what = "No jobs" if chosen == EVERYTHING else "No such jobs"
        where = visible(f"{here.where.path} ({here.where.why})")
        sys.stderr.write(f"{what} in {where}{hint}\n")
    if bad:
        files = "file is" if len(bad) == 1 else "files are"
        note(f"{len(bad)} {files} no jobs" + ("" if verbose else "; -v names them"))
        if verbose:
            for item in bad:
                note(f"{item.name}: {item.reason}")


def _has_jobs(path: str) -> bool:
    from pathlib import Path

    return any(Path(path).glob("*.json"))
