"""``jobctl __complete``: dynamic completion, called by the completion scripts.

    jobctl __complete KIND [--dir DIRECTORY] [--url URL] -- PREFIX [ARGUMENT…]

Prints one candidate per line, the most likely first, some with a tab and a description. ``KIND`` is
one of `KINDS`. Every candidate starts with ``PREFIX``; ``ARGUMENT`` are the other arguments on the
line. After an error there are no candidates and no message, because the user is typing.

A shell starts this for each press of the Tab key. So it imports what the kind needs and no more (no
typer, asyncio or network), and reads the disk for at most `_BUDGET_S`. Job files, the change log
and the files of hubs are read by the same functions as everywhere. A file that is not a job, or
cannot be shown as it is, is skipped.
"""

from __future__ import annotations

import os
from contextlib import suppress
from time import perf_counter

from jobctl.cli.text import visible
from jobctl.config import Settings, hub_in, resolve_dir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import NamedTuple

    from jobctl.core.job import Job
    from jobctl.core.pipeline import Pipeline, Pipelines

    _Rows = Iterable[tuple[str, str]]
else:
    from jobctl._stdlib import NamedTuple

__all__ = ["KINDS", "candidates", "print_candidates"]

_BUDGET_S = 0.02
"""Time for reading the disk; with imports, 60 ms more than bare Python at 10,000 jobs."""

_MIN_READ = 100
"""This many job files are read in any case, so that a busy machine gives the same answer…"""
_MIN_BYTES = 4 * 1024 * 1024
"""… unless they are large."""

_MAX_DESCRIBED = 200
_MAX_SHOWN = 1000
_MAX_STATS = 1000
_MAX_ARGUMENTS = 20
_MAX_RECORDS = 1024  # of the change log's end
_MAX_WORDS = 100  # characters of a description

_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_OPEN_DIR = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class _Request(NamedTuple):
    """What the user asks for; ``dir_fd`` is the job directory, if there is one to read."""

    directory: str | None
    dir_fd: int | None
    prefix: str
    arguments: list[str]
    deadline_s: float
    types: dict[str, Pipeline]

    def pipelines(self) -> Pipelines:
        """Return the built-in pipelines and those of the settings."""
        from jobctl.core.pipeline import Pipelines

        return Pipelines(self.types)


def print_candidates(args: list[str]) -> None:
    """Write the candidates to standard output."""
    data = "".join(
        f"{value}\t{words}\n" if words else f"{value}\n" for value, words in candidates(args)
    )
    left = memoryview(data.encode())
    with suppress(OSError):
        while left:
            left = left[os.write(1, left) :]


def candidates(args: list[str]) -> list[tuple[str, str]]:
    """Return each candidate with its description, or ``""``. Never raises."""
    try:
        kind, request = _parsed(args)
        rows = KINDS[kind](request)
        found = {value: words for value, words in rows if value.startswith(request.prefix)}
    except Exception:  # never disturb the user who is typing
        return []
    shown = ((value, _cut(visible(words))) for value, words in found.items())
    return [(value, words) for value, words in shown if value and visible(value) == value]


def _cut(words: str) -> str:
    return words if len(words) <= _MAX_WORDS else words[:_MAX_WORDS] + "…"


def _parsed(args: list[str]) -> tuple[str, _Request]:
    deadline_s = perf_counter() + _BUDGET_S
    end = args.index("--")
    options = dict(zip(args[1:end:2], args[2:end:2], strict=True))
    directory = dir_fd = None
    types: dict[str, Pipeline] = {}
    with suppress(Exception):
        known = Settings(os.environ, os.getcwd())
        types = _defined(known)
        if "--url" not in options:
            directory = _directory(options.get("--dir"), known, args[0])
            if directory is not None:
                dir_fd = os.open(directory, _OPEN_DIR)
    prefix, arguments = args[end + 1], args[end + 2 :]
    return args[0], _Request(directory, dir_fd, prefix, arguments, deadline_s, types)


def _directory(flag: str | None, known: Settings, kind: str) -> str | None:
    if flag is not None and "$" in flag and not os.path.isdir(flag):
        flag = os.path.expandvars(flag)  # the shell has not expanded it yet
    if flag is None and kind != "hubs":
        in_job = bool(os.environ.get("JOBCTL_JOB"))
        if hub_in(known, in_job=in_job) is not None:
            return None  # the jobs are read from a hub
    return resolve_dir(flag, os.environ, os.getcwd(), known).name


def _defined(known: Settings) -> dict[str, Pipeline]:
    """Return the valid types of the settings."""
    if not known.types:
        return {}
    from jobctl.core.pipeline import parse_types

    found: dict[str, Pipeline] = {}
    for name, table in known.types.items():
        with suppress(Exception):  # an invalid type takes nothing from the others
            found |= parse_types({name: table})
    return found


def _all(request: _Request) -> _Rows:
    ids = _wanted(request)
    read = 0
    for id, job in _jobs(request, ids[:_MAX_DESCRIBED]):
        read += 1
        if job is not None:
            yield id, _about(job)
    yield from ((id, "") for id in _sample(ids[read:]))


def _sample(ids: list[str]) -> list[str]:
    """Return a limited number of ids that still have the same common prefix as all.

    A shell inserts the common prefix, so the first and the last in alphabetical order are kept.
    """
    if len(ids) <= _MAX_SHOWN:
        return ids
    return [*ids[:_MAX_SHOWN], min(ids), max(ids)]


def _active(request: _Request) -> _Rows:
    return _those(request, lambda job: job.active)


def _failed(request: _Request) -> _Rows:
    return _those(request, lambda job: job.stage == "failed")


def _those(request: _Request, fits: Callable[[Job], bool]) -> _Rows:
    for id, job in _jobs(request, _wanted(request)):
        if job is not None and fits(job):
            yield id, _about(job)


def _about(job: Job) -> str:
    return f"{job.shown_stage}  {job.title or job.type}"


def _types(request: _Request) -> _Rows:
    labels = {name: pipeline.label for name, pipeline in request.pipelines().all().items()}
    return sorted({**{job.type: "" for job in _any(request)}, **labels}.items())


def _stages(request: _Request) -> _Rows:
    """Return the built-in stages, and then those of the settings and of the jobs."""
    built_in, defined = _labels(request)
    found = {job.shown_stage for job in _any(request)}
    order = [*built_in, *sorted({*defined, *found} - built_in.keys())]
    labels = {**defined, **built_in}
    return [(stage, labels.get(stage, "")) for stage in order]


def _labels(request: _Request) -> tuple[dict[str, str], dict[str, str]]:
    """Return the stages with their labels: the built-in ones, and those of the settings."""
    from jobctl.core.pipeline import BUILT_IN, CANCELLED, FAILED

    built_in, defined = (
        {stage.name: stage.label for pipeline in pipelines for stage in pipeline.stages}
        for pipelines in (BUILT_IN.values(), request.types.values())
    )
    return {**built_in, FAILED: "Failed", CANCELLED: "Cancelled"}, defined


def _labels_of_jobs(request: _Request) -> _Rows:
    """Yield ``team=data`` of the jobs, after what is given already: ``app,team=data``."""
    before, comma, _ = request.prefix.rpartition(",")
    for job in _any(request):
        for key, value in sorted((job.labels or {}).items()):
            yield f"{before}{comma}{key}={value}", ""


def _sessions(request: _Request) -> _Rows:
    for job in _any(request):
        yield job.session_id or "", ""


def _conditions(request: _Request) -> _Rows:
    yield "terminal", "Completed or failed"
    yield "completed", "Completed"
    yield "gone", "Removed"
    for stage, label in _stages(request):
        yield f"stage={stage}", label


def _endings(request: _Request) -> _Rows:
    """Yield ``completed,failed,cancelled`` in any order, as ``prune --stage`` accepts them."""
    before = request.prefix.rpartition(",")[0]
    given = before.split(",") if before else []
    for stage in ("completed", "failed", "cancelled"):
        if stage not in given:
            yield ",".join([*given, stage]), stage.capitalize()


def _next(request: _Request) -> _Rows:
    """Return the stages that the job of the first argument may enter."""
    job = _named(request, request.arguments[0])
    pipeline = request.pipelines().of(job) if job is not None else None
    if job is None or pipeline is None or len(pipeline.stages) == 2:  # it may enter any stage
        return [row for row in _stages(request) if row[0] not in ("failed", "cancelled")]
    if not job.active:
        return []
    stages = pipeline.stages
    ahead = stages[(pipeline.index(job.stage) or 0) + 1 :]
    if not any(stage.name.startswith(request.prefix) for stage in ahead):
        ahead = stages  # backward, with --force
    return [(stage.name, stage.label if stage.label != stage.name else "") for stage in ahead]


def _hubs(request: _Request) -> _Rows:
    """Yield the URLs of our own running hubs."""
    from jobctl.hub.running import running_hubs

    for hub in running_hubs(request.directory or os.devnull):
        if hub.own and hub.url.startswith(("ws://", "wss://", "unix:/")) and " " not in hub.url:
            yield hub.url, "Running hub"


KINDS: dict[str, Callable[[_Request], _Rows]] = {
    "ids": _all,
    "active": _active,
    "failed": _failed,
    "next": _next,
    "types": _types,
    "stages": _stages,
    "sessions": _sessions,
    "labels": _labels_of_jobs,
    "conditions": _conditions,
    "endings": _endings,
    "hubs": _hubs,
}
"""The kinds of values that can be completed."""


def _wanted(request: _Request) -> list[str]:
    """Return the ids with the prefix that are not on the line yet, newest first."""
    ids = _listed(request)
    given = {_resolved(text, ids) for text in request.arguments[:_MAX_ARGUMENTS]}
    wanted = [id for id in ids if id.startswith(request.prefix) and id not in given]
    return _ordered(request, wanted)


def _resolved(text: str, ids: list[str]) -> str:
    """Return the only id with this prefix, or the text."""
    if not text or text in ids:
        return text
    starting = [id for id in ids if id.startswith(text)]
    return starting[0] if len(starting) == 1 else text


def _named(request: _Request, text: str) -> Job | None:
    return _job(request, _resolved(text, _listed(request)))[0]


def _any(request: _Request) -> Iterator[Job]:
    """Yield jobs, newest first, while there is time."""
    for _, job in _jobs(request, _ordered(request, _listed(request))):
        if job is not None:
            yield job


def _listed(request: _Request) -> list[str]:
    """Return the names that can be a job's."""
    if request.dir_fd is None:
        return []
    from jobctl.stores.directory.index import Index

    return [*Index.names(request.dir_fd)[0]]


def _ordered(request: _Request, ids: list[str]) -> list[str]:
    """Return the ids newest first; of many, only those in the end of the change log are ordered.

    Reading the times of 10,000 files takes 30 ms.
    """
    if len(ids) <= _MAX_STATS:
        return _newest_first(request, ids)
    there = set(ids)
    recent = dict.fromkeys(id for id in _logged(request) if id in there)
    rest = [id for id in ids if id not in recent]
    return [*recent, *_newest_first(request, rest[:_MAX_STATS]), *rest[_MAX_STATS:]]


def _newest_first(request: _Request, ids: list[str]) -> list[str]:
    found: list[tuple[int, str]] = []
    for id in ids:
        with suppress(OSError):
            stat = os.stat(f"{id}.json", dir_fd=request.dir_fd, follow_symlinks=False)
            found.append((-stat.st_mtime_ns, id))
    return [id for _, id in sorted(found)]


def _logged(request: _Request) -> list[str]:
    """Return the ids at the end of the change log, newest first."""
    from jobctl.stores.directory.changelog import Damaged, Log

    with suppress(OSError, Damaged):
        log = Log(os.open(".jobctl/changes", _OPEN, dir_fd=request.dir_fd))
        records = log.read(max(log.count() - _MAX_RECORDS, 0))
        return [record.id for record in reversed(records)]
    return []


def _jobs(request: _Request, ids: list[str]) -> Iterator[tuple[str, Job | None]]:
    """Yield each id with its job, or ``None`` for other files, until the time is over."""
    size = 0
    for index, id in enumerate(ids):
        enough = index >= _MIN_READ or size > _MIN_BYTES
        if enough and perf_counter() > request.deadline_s:
            return
        job, read = _job(request, id)
        size += read
        yield id, job


def _job(request: _Request, id: str) -> tuple[Job | None, int]:
    """Return the job in the file, or ``None`` for another file; and how many bytes were read."""
    from jobctl.core.codec import parse
    from jobctl.errors import JobctlError
    from jobctl.stores.directory.files import read_file

    if request.dir_fd is None:
        return None, 0
    size = 0
    with suppress(JobctlError):
        found = read_file(request.dir_fd, f"{id}.json")
        if found is not None and found.problem is None:
            size = len(found.data)
            return parse(found.data, id=id, file_ms=found.signature[1] // 1_000_000), size
    return None, size
