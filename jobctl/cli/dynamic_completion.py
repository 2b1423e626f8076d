"""``jobctl __complete``: dynamic completion, called by the completion scripts.

    jobctl __complete KIND [--dir DIRECTORY] [--url URL] -- PREFIX [ARGUMENT…]

Prints one candidate per line, the most likely first, some with a tab and a description. ``KIND`` is
one of `KINDS`. Every candidate starts with ``PREFIX``; ``ARGUMENT`` are the other arguments on the
line. After an error there are no candidates and no message, because the user is typing.

A shell starts this for each press of the Tab key. So it imports little (no typer, pydantic,
jobctl.hub or jobctl.reader), reads the disk for at most `_BUDGET_S`, and never uses the network.
Job files are untrusted: a file that is not a job, or cannot be shown as it is, is skipped.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

from jobctl.cli.text import visible
from jobctl.config import Settings, hub_in, resolve_dir

__all__ = ["KINDS", "STAGES", "TYPES", "candidates", "print_candidates"]

TYPES = {
    "add_more_questions": "Adding questions",
    "create_next_round": "Creating next round",
    "create_session": "Creating session",
    "submit_answers": "Generating result",
}
STAGES = {
    "pending": "Queued",
    "extract": "Extracting",
    "analyze": "Analyzing",
    "generate": "Generating",
    "finalize": "Finalizing",
    "completed": "Completed",
    "failed": "Failed",
}
"""The names and labels in core/pipeline.py, which takes 10 ms to import; a test compares them."""

_ENDED = ("completed", "failed")

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
_MAX_JOB_BYTES = 256 * 1024
_MAX_LOG_BYTES = 2048 * 128
_MAX_WORDS = 100  # characters of a description

_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}\.json\Z")
_URL = re.compile(r"([a-z]+://|unix:/)[!-~]+\Z")
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class _Type(NamedTuple):
    """A type from the settings; ``stages`` with labels, empty if they are the built-in ones."""

    label: str
    stages: dict[str, str]


class _Request(NamedTuple):
    directory: str | None  # `None`: no directory, or it is unknown
    prefix: str
    arguments: list[str]
    deadline_s: float
    types: dict[str, _Type]


class _JobSummary(NamedTuple):
    """What is shown of a job."""

    type: str
    stage: str
    session: str
    title: str
    stages: list[str] | None


_Rows = Iterable[tuple[str, str]]


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
    directory, types = None, {}
    with suppress(Exception):
        known = Settings(os.environ, Path.cwd())
        types = _defined(known)
        if "--url" not in options:
            directory = _directory(options.get("--dir"), known, args[0])
    return args[0], _Request(directory, args[end + 1], args[end + 2 :], deadline_s, types)


def _directory(flag: str | None, known: Settings, kind: str) -> str | None:
    if flag is not None and "$" in flag and not os.path.isdir(flag):
        flag = os.path.expandvars(flag)  # the shell has not expanded it yet
    if flag is None and kind != "hubs":
        in_job = bool(os.environ.get("JOBCTL_JOB"))
        if hub_in(known, in_job=in_job) is not None:
            return None  # the jobs are read from a hub
    return str(resolve_dir(flag, os.environ, Path.cwd(), known).path)


def _defined(known: Settings) -> dict[str, _Type]:
    """Return the valid types of the settings; core/pipeline.py reports the invalid ones."""
    found: dict[str, _Type] = {}
    for name, (table, _) in known.types.items():
        value = table if isinstance(table, dict) else {}
        label, given = value.get("label"), value.get("stages")
        stages: dict[str, str] = {}
        for item in given if isinstance(given, list) else []:
            stage = {"name": item} if isinstance(item, str) else item
            if isinstance(stage, dict) and isinstance(stage.get("name"), str):
                words = stage.get("label", "")
                stages[stage["name"]] = words if isinstance(words, str) else ""
        built_in = TYPES.get(name, "")
        found[name] = _Type(label if isinstance(label, str) else built_in, stages)
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
    return _in_stage(request, lambda stage: stage not in _ENDED)


def _failed(request: _Request) -> _Rows:
    return _in_stage(request, lambda stage: stage == "failed")


def _in_stage(request: _Request, fits: Callable[[str], bool]) -> _Rows:
    for id, job in _jobs(request, _wanted(request)):
        if job is not None and fits(job.stage):
            yield id, _about(job)


def _about(job: _JobSummary) -> str:
    return f"{job.stage}  {job.title or job.type}"


def _types(request: _Request) -> _Rows:
    defined = {name: type.label for name, type in request.types.items()}
    return sorted({**{job.type: "" for job in _any(request)}, **TYPES, **defined}.items())


def _stages(request: _Request) -> _Rows:
    known = dict(STAGES)
    for type in request.types.values():
        known = {**type.stages, **known}
    found = {job.stage for job in _any(request)}
    order = [*STAGES, *sorted({*known, *found} - STAGES.keys())]
    return [(stage, known.get(stage, "")) for stage in order]


def _sessions(request: _Request) -> _Rows:
    for job in _any(request):
        yield job.session, ""


def _conditions(request: _Request) -> _Rows:
    yield "terminal", "Completed or failed"
    yield "completed", "Completed"
    yield "gone", "Removed"
    for stage, label in _stages(request):
        yield f"stage={stage}", label


def _endings(request: _Request) -> _Rows:
    """Yield ``completed,failed`` in any order, as ``prune --stage`` accepts them."""
    before = request.prefix.rpartition(",")[0]
    given = before.split(",") if before else []
    for stage in _ENDED:
        if stage not in given:
            yield ",".join([*given, stage]), STAGES[stage]


def _next(request: _Request) -> _Rows:
    """Return the stages that the job of the first argument may enter."""
    job = _named(request, request.arguments[0])
    own = job.stages if job is not None else None
    if job is None or (own is None and job.type not in TYPES):
        return [row for row in _stages(request) if row[0] != "failed"]
    if job.stage in _ENDED:
        return []
    middle = own if own is not None else [stage for stage in STAGES if stage not in _ENDED]
    names = ["pending", *(name for name in middle if name not in ("pending", *_ENDED)), "completed"]
    ahead = names[names.index(job.stage) + 1 :] if job.stage in names else names[1:]
    if not any(name.startswith(request.prefix) for name in ahead):
        ahead = names  # backward, with --force
    return [(name, STAGES.get(name, "") if own is None else "") for name in ahead]


def _hubs(request: _Request) -> _Rows:
    """Yield the URLs of our own running hubs: a light version of jobctl.hub.discovery."""
    folder = os.path.join(request.directory or os.devnull, ".jobctl", "hubs")
    network = None
    with suppress(OSError):
        network = os.stat("/proc/self/ns/net").st_ino
    for name in _newest_first(folder, os.listdir(folder)[:_MAX_STATS], ""):
        with suppress(OSError, ValueError, RecursionError):
            fd = os.open(os.path.join(folder, name), _OPEN)
            try:
                if os.fstat(fd).st_uid != os.geteuid() or not _is_held(fd):
                    continue
                about = json.loads(os.read(fd, 4096))
                url = about["url"]
                if about.get("network", network) != network:
                    continue  # a container's, whose URL leads elsewhere from here
            except (KeyError, TypeError, AttributeError):
                continue
            finally:
                os.close(fd)
            if isinstance(url, str) and _URL.match(url):
                yield url, "Running hub"


def _is_held(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    return False


KINDS: dict[str, Callable[[_Request], _Rows]] = {
    "ids": _all,
    "active": _active,
    "failed": _failed,
    "next": _next,
    "types": _types,
    "stages": _stages,
    "sessions": _sessions,
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


def _named(request: _Request, text: str) -> _JobSummary | None:
    return _job(request.directory or "", _resolved(text, _listed(request)))[0]


def _any(request: _Request) -> Iterator[_JobSummary]:
    """Yield jobs, newest first, while there is time."""
    for _, job in _jobs(request, _ordered(request, _listed(request))):
        if job is not None:
            yield job


def _listed(request: _Request) -> list[str]:
    """Return the names that can be a job's."""
    if request.directory is None:
        return []
    try:
        names = os.listdir(request.directory)
    except OSError:
        return []
    return [name[:-5] for name in names if _FILE.match(name)]


def _ordered(request: _Request, ids: list[str]) -> list[str]:
    """Return the ids newest first; of many, only those in the end of the change log are ordered.

    Reading the times of 10,000 files takes 30 ms.
    """
    directory = request.directory or ""
    if len(ids) <= _MAX_STATS:
        return _newest_first(directory, ids, ".json")
    there = set(ids)
    recent = dict.fromkeys(id for id in _logged(directory) if id in there)
    rest = [id for id in ids if id not in recent]
    return [*recent, *_newest_first(directory, rest[:_MAX_STATS], ".json"), *rest[_MAX_STATS:]]


def _newest_first(directory: str, names: list[str], suffix: str) -> list[str]:
    found: list[tuple[int, str]] = []
    for name in names:
        with suppress(OSError):
            found.append((-os.lstat(f"{directory}/{name}{suffix}").st_mtime_ns, name))
    return [name for _, name in sorted(found)]


def _logged(directory: str) -> list[str]:
    """Return the ids at the end of the change log, newest first."""
    data = _bytes(f"{directory}/.jobctl/changes", _MAX_LOG_BYTES)
    lines = (line.split() for line in reversed((data or b"").split(b"\n")))
    return [words[1].decode("ascii", "replace") for words in lines if len(words) > 1]


def _jobs(request: _Request, ids: list[str]) -> Iterator[tuple[str, _JobSummary | None]]:
    """Yield each id with its job, or ``None`` for other files, until the time is over."""
    size = 0
    for index, id in enumerate(ids):
        enough = index >= _MIN_READ or size > _MIN_BYTES
        if enough and perf_counter() > request.deadline_s:
            return
        job, read = _job(request.directory or "", id)
        size += read
        yield id, job


def _job(directory: str, id: str) -> tuple[_JobSummary | None, int]:
    """Return the job in the file, and the file's size."""
    data = _bytes(f"{directory}/{id}.json", _MAX_JOB_BYTES + 1)
    if data is None or len(data) > _MAX_JOB_BYTES:
        return None, len(data or b"")
    try:
        value = json.loads(data.decode())
    except (ValueError, RecursionError):
        return None, len(data)
    if not isinstance(value, dict) or value.get("id") != id:
        return None, len(data)
    texts = [value.get(key) for key in ("type", "stage", "sessionId", "title")]
    type, stage, session, title = (text if isinstance(text, str) else "" for text in texts)
    own = value.get("stages")
    stages = [name for name in own if isinstance(name, str)] if isinstance(own, list) else None
    return (_JobSummary(type, stage, session, title, stages) if type and stage else None), len(data)


def _bytes(path: str, limit: int) -> bytes | None:
    """Return the last bytes of a regular file, at most ``limit``; ``None`` for anything else."""
    try:
        fd = os.open(path, _OPEN)
    except OSError:
        return None
    try:
        about = os.fstat(fd)
        if not stat.S_ISREG(about.st_mode):
            return None
        return os.pread(fd, limit, max(about.st_size - limit, 0))
    except OSError:
        return None
    finally:
        os.close(fd)
