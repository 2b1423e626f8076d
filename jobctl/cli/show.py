"""``jobctl show``: show everything about jobs."""

from __future__ import annotations

import json
import sys
from collections.abc import Container, Sequence

from jobctl import api
from jobctl._clock import now_ms
from jobctl.cli import formats
from jobctl.cli.common import (
    command_store,
    compact,
    credentials,
    hub_to_read,
    job_object,
    out,
    pipelines,
    run_async,
    time_format,
)
from jobctl.cli.exits import Exit
from jobctl.cli.messages import note, print_error
from jobctl.cli.options import (
    CaOption,
    DirOption,
    IdsArgument,
    Output,
    OutputOption,
    QuietOption,
    TimeFormat,
    TimeFormatOption,
    TokenFileOption,
    UrlOption,
)
from jobctl.cli.table import paint
from jobctl.cli.text import visible
from jobctl.core.eta import UsualDurations
from jobctl.core.job import ACTS, HistoryEntry, Job, Steps
from jobctl.core.pipeline import FAILED, Pipeline
from jobctl.core.times import known_ms
from jobctl.errors import JobctlError
from jobctl.stores import logs_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NamedTuple

    from jobctl.core.protocol import DeadOwners
    from jobctl.hub.credentials import Credentials
    from jobctl.stores import Store
else:
    from jobctl._stdlib import NamedTuple

__all__ = ["EXAMPLE", "details", "show"]

EXAMPLE = "Example: jobctl show 0b961de6 -o json | jq .stage"

_TIME = 7  # columns at the least: "59s ago"


def show(
    ids: IdsArgument,
    output: OutputOption = Output.table,
    quiet: QuietOption = False,
    times: TimeFormatOption = None,
    url: UrlOption = None,
    token_file: TokenFileOption = None,
    ca: CaOption = None,
    directory: DirOption = None,
) -> None:
    """Show jobs: every field, and the timeline of their stages.

    -o json prints one job as an object, and several as a list.
    """
    form = time_format(times)
    url = hub_to_read(directory, url)
    ids = list(dict.fromkeys(ids))
    wants_log = output is Output.table and not quiet
    found = (
        _in_directory(directory, ids, wants_log)
        if url is None
        else _on_hub(url, ids, credentials(token_file, ca))
    )
    jobs, dead, usual, at_ms = found.jobs, found.dead, found.usual, found.at_ms
    if quiet or output is Output.name:
        for job in jobs:
            out(job.id)
    elif output in (Output.json, Output.jsonl):
        objects = [job_object(job, dead, usual, at_ms) for job in jobs]
        if output is Output.json and len(ids) > 1:
            out(compact(objects))
        else:
            for value in objects:
                out(compact(value))
    else:
        for place, job in enumerate(jobs):
            owner, log = found.owners.get(job.id), found.logs.get(job.id)
            for line in [
                *([""] if place else []),
                *describe(job, at_ms, dead, owner, usual, form, log),
            ]:
                out(line)
        if sys.stdout.isatty():
            for job in jobs:
                if next := _what_next(job, dead):
                    note(f"{job.id}: {next}" if len(jobs) > 1 else next)
    for error in found.errors:
        print_error(error, error.exit_code)
    if found.errors:
        raise Exit(found.errors[0].exit_code)


class _Found(NamedTuple):
    """The jobs that were found, what is known about them, and an error for each other id.

    ``owners`` and ``logs`` have a text for some of the jobs, by id.
    """

    jobs: list[Job]
    errors: list[JobctlError]
    dead: Container[str]
    usual: UsualDurations
    at_ms: int
    owners: dict[str, object]
    logs: dict[str, str]


def _in_directory(directory: str | None, ids: Sequence[str], wants_log: bool) -> _Found:
    found = _Found([], [], (), UsualDurations(pipelines=pipelines()), now_ms(), {}, {})
    store = command_store(directory).store
    try:
        for id in ids:
            try:
                job = api.show(store, id)
            except JobctlError as error:
                found.errors.append(error)
                continue
            found.jobs.append(job)
            if job.owned_by:
                found.owners[job.id] = store.owners.info(job.owned_by)
            if job.command is not None and wants_log and (log := _log(store, job)):
                found.logs[job.id] = log
        dead = store.owners.dead()
        if any(job.active for job in found.jobs):
            found = found._replace(usual=api.usual(store, pipelines()))
    finally:
        store.close()
    return found._replace(dead=dead)


def _on_hub(url: str, ids: Sequence[str], shown: Credentials) -> _Found:
    from jobctl.reader.clock import HubClock
    from jobctl.reader.once import find_each  # import the network only if needed

    received: list[DeadOwners] = []
    clock = HubClock()
    each = run_async(
        find_each(url, ids, on_dead_owners=received.append, clock=clock, credentials=shown)
    )
    jobs = [item for item in each if isinstance(item, Job)]
    errors = [item for item in each if isinstance(item, JobctlError)]
    dead = received[-1].dead if received else frozenset()
    usual = UsualDurations(pipelines=pipelines())
    return _Found(jobs, errors, dead, usual, clock.now_ms(), {}, {})


def _log(store: Store, job: Job) -> str | None:
    """Return what there is of the job's log, or ``None``."""
    from jobctl.core.log_text import size_text
    from jobctl.stores.log_reading import is_log_of

    logs = logs_of(store)
    info = logs.log_info(job.id) if logs is not None else None
    if logs is None or info is None or not is_log_of(logs, job):
        return None
    return f"{size_text(info.size)}: 'jobctl logs {job.id}'"


def _what_next(job: Job, dead: Container[str]) -> str | None:
    """Return a hint for a job that does not continue by itself."""
    if job.lost(dead):
        return "its worker has died: 'jobctl reap' fails it, so that it can be tried again"
    if job.stage != FAILED:
        return None
    again = " --rerun" if job.command is not None and job.command.exact is not False else ""
    return f"once more: 'jobctl retry {job.id}{again}'"


def describe(*args: Any, **kwargs: Any) -> list[str]:
    """Return the lines of `details`, in colours if those are used."""
    return [paint(line, style) for line, style in details(*args, **kwargs)]


def details(
    job: Job,
    now: int,
    dead: Container[str] = (),
    owner: object = None,
    usual: UsualDurations | None = None,
    form: TimeFormat | None = None,
    log: str | None = None,
) -> list[tuple[str, str]]:
    """Return the lines about a job with their styles; all special characters are made visible."""

    def at(text: str | None) -> str | None:
        if text is None or known_ms(text) is None:
            return None
        return formats.moment(text, form, now)

    usual = usual or UsualDurations()
    pipeline = usual.pipelines.of(job)
    done = job.percent_of(usual.pipelines)
    percent = f", {done}% done" if done is not None and job.active else ""
    mark = formats.mark(job, now, dead, usual.pipelines)
    elapsed_ms = job.elapsed_ms(now)
    fields = [
        ("id", job.id),
        ("type", f"{job.type} ({pipeline.label})" if pipeline.label != job.type else job.type),
        ("title", job.title),
        (
            "stage",
            f"{job.shown_stage}  {formats.strip(job, pipeline)}{percent}{mark and f', {mark}'}",
        ),
        ("progress", _progress(job)),
        ("message", job.current_message),
        ("error", job.error if not job.is_cancelled else None),
        *_cancellation(job, form, now),
        *_acknowledgement(job, form, now),
        ("elapsed", _elapsed(job, elapsed_ms, now)),
        ("usually", formats.eta(job, usual) or None),
        ("labels", formats.labels(job) or None),
        ("session", job.session_id),
        ("result session", job.result_session_id),
        ("retries", str(job.retry_count) if job.retry_count else None),
        ("created", at(job.created_at)),
        ("updated", at(job.updated_at)),
        ("completed", at(job.completed_at)),
        ("owner", _owner(job, dead, owner)),
        ("host", _text(job.host)),
        ("user", _text(job.user)),
        *_command(job),
        ("usage", formats.usage(job) or None),
        ("log", log),
        ("revision", str(job.revision) if job.revision else None),
        *(("remark", str(remark)) for remark in job.remarks),
    ]
    lines = [
        (f"{name:<15} {visible(str(value))}", "") for name, value in fields if value is not None
    ]
    if job.result is not None:
        text = json.dumps(job.result, indent=2, ensure_ascii=False)
        lines += [("", ""), ("result", "bold")]
        lines += [(f"  {visible(line)}", "") for line in text.split("\n")]
    others = {key: value for key, value in job.extra.items() if key != ACTS}
    if others:
        lines += [("", ""), ("other keys", "bold")]
        lines += [
            (f"  {visible(key)}: {visible(json.dumps(value, ensure_ascii=False))}", "")
            for key, value in others.items()
        ]
    lines += [("", ""), ("timeline", "bold")]
    return lines + [(line, "") for line in _timeline(job, pipeline, now, form)]


def _text(value: object) -> str | None:
    """Return the value of a key that may be anything in a foreign file."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def _owner(job: Job, dead: Container[str], owner: object) -> str | None:
    if not job.active or job.owned_by is None:
        return None
    return f"{owner or job.owned_by}{', which is gone' if job.lost(dead) else ''}"


def _cancellation(job: Job, form: TimeFormat | None, now: int) -> list[tuple[str, str | None]]:
    """Return the fields about a cancellation, as far as a hub sends them."""
    said = job.cancellation
    if said is None:
        return []
    at = formats.moment(said.at, form, now) if said.at is not None else None
    by = f"by {said.by}" if said.by is not None else None
    return [
        ("cancelled", ", ".join(part for part in (by, at) if part)),
        ("reason", said.reason),
    ]


def _acknowledgement(job: Job, form: TimeFormat | None, now: int) -> list[tuple[str, str | None]]:
    """Return the fields about an acknowledgement, as far as a hub sends them."""
    said = job.acknowledgement
    if said is None:
        return []
    at = formats.moment(said.at, form, now) if said.at is not None else None
    by = f"by {said.by}" if said.by is not None else None
    return [
        ("acknowledged", ", ".join(part for part in (by, at) if part) or "yes"),
        ("note", said.note),
    ]


def _command(job: Job) -> list[tuple[str, str | None]]:
    """Return the fields about the command of ``jobctl run``, as far as a hub sends them."""
    ran, end = job.command, job.command_end
    rows: list[tuple[str, str | None]] = []
    if ran is not None:
        import shlex  # most jobs have no command

        rows += [
            ("command", shlex.join(ran.argv)),
            ("directory", ran.cwd),
            ("environment", " ".join(ran.env) if ran.env else None),
        ]
    if end is not None:
        code = str(end.exit_code) if end.exit_code is not None else None
        took = formats.duration(end.duration_ms) if end.duration_ms is not None else None
        rows += [("exit code", end.signal or code), ("duration", took)]
    lines = ran.stderr or () if ran is not None else ()
    return rows + [("" if place else "stderr", line) for place, line in enumerate(lines)]


def _progress(job: Job) -> str | None:
    progress = job.current_progress
    if isinstance(progress, Steps):
        return f"{_number(progress.done)} of {_number(progress.total)}"
    return f"{_number(progress)}%" if progress is not None else None


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.12g}"


def _timeline(job: Job, pipeline: Pipeline, now: int, form: TimeFormat | None) -> list[str]:
    timeline = job.timeline()
    lines: list[str] = []
    for position, entry in enumerate(timeline):
        later = position + 1 < len(timeline)
        entered_ms = known_ms(entry.at)
        left_ms = known_ms(timeline[position + 1].at) if later else now if job.active else None
        text = ""
        if entered_ms is not None and left_ms is not None:
            text = formats.duration(max(0, left_ms - entered_ms))
        stage = entry.stage if later else job.shown_stage
        label = pipeline.label_of(stage)
        lines.append(
            f"  {formats.moment(entry.at, form, now):<{_TIME}}  {visible(stage):<12} "
            f"{visible(label) if label != stage else '':<12} {text:<9}{_asked(entry)}".rstrip()
        )
    return lines


def _asked(entry: HistoryEntry) -> str:
    """Return who asked a hub for this entry, and through which hub and route, if somebody did."""
    by, via = ((entry.extra or {}).get(key) for key in ("by", "via"))
    said = [
        f"{word} {visible(value)}"
        for word, value in (("by", by), ("via", via))
        if isinstance(value, str) and value
    ]
    return " " + " ".join(said) if said else ""


def _elapsed(job: Job, elapsed_ms: int | None, now: int) -> str | None:
    """Return how long the attempt took, and all attempts together if there were more."""
    if elapsed_ms is None:
        return None
    total_ms = job.total_ms(now)
    text = formats.duration(elapsed_ms)
    if not job.retry_count or total_ms is None:
        return text
    return (
        f"{text} in attempt {job.retry_count + 1}, {formats.duration(total_ms)} since it was made"
    )
