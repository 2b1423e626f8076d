"""Shared by the commands: their directory or hub, ids, and output."""

from __future__ import annotations

import errno
import json
import os
import signal
import stat
import sys
from contextlib import contextmanager

from jobctl._clock import now_ms
from jobctl.cli.exits import Exit
from jobctl.cli.messages import note, print_error
from jobctl.cli.options import LogMode, TimeFormat, Written
from jobctl.config import (
    Settings,
    Where,
    hub_in,
    is_control,
    is_durable,
    is_read_only,
    resolve_dir,
    who_forbids_control,
)
from jobctl.core.eta import UsualDurations
from jobctl.core.filters import Filter
from jobctl.core.job import Job, values_of
from jobctl.core.pipeline import Pipelines, parse_types
from jobctl.core.redaction import redact
from jobctl.core.times import parse_duration, parse_moment
from jobctl.errors import GOES_ON, JobctlError, StoreError, UsageError
from jobctl.stores import Store, open_store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container, Coroutine, Iterable, Iterator, Sequence
    from typing import Any, NamedTuple, TypeVar

    from jobctl.hub.credentials import Credentials

    T = TypeVar("T")
else:
    from jobctl._stdlib import NamedTuple

__all__ = [
    "CommandStore",
    "command_store",
    "compact",
    "control",
    "credentials",
    "for_each",
    "for_each_on_hub",
    "forget_settings",
    "here",
    "hub_to_read",
    "in_job",
    "job_object",
    "log_mode",
    "make_filter",
    "moment",
    "note",
    "on_store",
    "out",
    "own_id",
    "pipelines",
    "print_removed",
    "print_written",
    "read_only",
    "reporting",
    "run_async",
    "seconds",
    "settings",
    "time_format",
    "where_to_write",
]

_OWN_ID = "JOBCTL_JOB"
_COMPACT = json.JSONEncoder(separators=(",", ":"))


def own_id() -> str:
    """Return the job of ``jobctl run`` that this process runs in; `UsageError` without one."""
    id = os.environ.get(_OWN_ID)
    if not id:
        raise UsageError("Missing argument 'ID'", hint="within 'jobctl run' it may be left out")
    return id


def in_job() -> bool:
    """Whether this process runs in ``jobctl run``, where ids may be left out."""
    return bool(os.environ.get(_OWN_ID))


@contextmanager
def reporting(id: str | None, *, strict: bool) -> Iterator[None]:
    """Only note an error of the block if it reports on the job of ``jobctl run`` around it.

    A report must not end the work: many scripts end at the first command that fails. ``id`` is what
    was given; with ``strict`` the error is raised.
    """
    try:
        yield
    except JobctlError as error:
        own = os.environ.get(_OWN_ID)
        if strict or not own or id not in (None, own):
            raise
        note(f"{error}{GOES_ON}")


class CommandStore(NamedTuple):
    """The store of a command, and the directory that it belongs to."""

    store: Store
    where: Where


_settings: Settings | None = None
_pipelines: Pipelines | None = None
"""The settings of this run, once they are read."""


def settings() -> Settings:
    """Return the settings from the environment and the files, which are read once per run."""
    global _settings
    if _settings is None:
        _settings = Settings(os.environ, here())
    return _settings


def pipelines() -> Pipelines:
    """Return the pipelines: the built-in ones, and those that the settings define."""
    global _pipelines
    if _pipelines is None:
        _pipelines = Pipelines(parse_types(settings().types))
    return _pipelines


def forget_settings() -> None:
    """Read the settings again at their next use: a new run begins."""
    global _settings, _pipelines
    _settings = _pipelines = None


def credentials(token_file: str | None, ca: str | None) -> Credentials:
    """Return what to show to a hub and whom to trust: flags, then the environment, then files."""
    from jobctl.hub.credentials import Credentials  # for readers of a hub only

    given = Credentials.from_environment(os.environ)
    if not token_file and not given.has_token and (found := settings().get("token-file")):
        token_file = found.value
    if not ca and not given.ca and (found := settings().get("ca")):
        ca = found.value
    return Credentials(
        token=None if token_file else given.token,
        token_file=token_file or given.token_file,
        ca=ca or given.ca,
    )


def hub_to_read(directory: str | None, url: str | None) -> str | None:
    """Return the URL of the hub to read from; ``None`` for a directory.

    Flags beat settings, and nearer settings beat farther ones. `UsageError` if a directory and a
    hub are named at the same level.
    """
    if directory is not None and url is not None:
        raise UsageError("--dir and --url are two sources", hint="give one of them")
    if directory is not None or url is not None:
        return url
    return hub_in(settings(), in_job=in_job())


def where_to_write(directory: str | None) -> Where:
    """Return the directory that a command changes; `UsageError` if settings name a hub."""
    if directory is None and not os.environ.get("JOBCTL_DIR") and (hub := hub_to_read(None, None)):
        raise UsageError(f"{hub} is a hub, which is for reading", hint="name a directory by --dir")
    return resolve_dir(directory, os.environ, here(), settings())


def command_store(
    directory: str | None, *, create: bool = False, adopt: bool = False, live: bool = False
) -> CommandStore:
    """Open the store that a command works on; print a note if it creates a named directory.

    A default directory that does not exist counts as empty; ``live`` readers create it.
    """
    where = where_to_write(directory)
    missing = not _is_dir(where.name)
    create = create or (live and not where.explicit)
    store = open_store(
        where.name,
        create=create,
        adopt=adopt,
        durable=is_durable(os.environ, here(), settings()),
        missing_ok=not where.explicit,
    )
    if missing and where.explicit and os.path.isdir(where.name):
        note(f"created {where.name}")
    return CommandStore(store, where)


def _is_dir(path: str) -> bool:
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return False
        # for example a name that is too long
        raise StoreError(f"cannot look at {path}: {error.strerror}", path=path) from error


def here() -> str:
    """Return the current directory; `UsageError` if it was removed."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        raise UsageError("the present directory is gone", hint="go to another one") from None


def make_filter(
    ids: Iterable[str],
    type: list[str] | None,
    stage: list[str] | None,
    session: list[str] | None,
    active: bool,
    selector: list[str] | None = None,
) -> Filter:
    """Return the filter from the options."""
    return Filter.make(
        ids=ids,
        types=type or (),
        stages=stage or (),
        sessions=session or (),
        active=active,
        labels=selector or (),
    )


def seconds(text: str | None, option: str) -> float | None:
    """Return the duration of an option; `UsageError` if it is invalid."""
    try:
        return parse_duration(text) if text is not None else None
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error


def moment(text: str | None, option: str, at_ms: int | None = None) -> int | None:
    """Return the time of an option in milliseconds; `UsageError` if it is invalid.

    ``at_ms`` is the present time. A time without a zone is local. Of a time that the local clock
    shows twice, ``--until`` means the second, so that nothing within is left out.
    """
    if text is None:
        return None
    at_ms = at_ms if at_ms is not None else now_ms()
    try:
        return parse_moment(text, at_ms, of_local=_until_ms if option == "--until" else _local_ms)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error


def _local_ms(reading_ms: int, *, last: bool = False) -> int:
    from jobctl.cli.local_time import local_ms  # few commands are given a date

    return local_ms(reading_ms, last=last)


def _until_ms(reading_ms: int) -> int:
    return _local_ms(reading_ms, last=True)


def log_mode(option: LogMode | None, type: str) -> str | None:
    """Return which output of a command is kept: the option, the environment, the type, the files.

    ``None`` if nobody has said.
    """
    if option is not None:
        return option.value
    found = settings().get("log")
    if found is not None and found.origin.startswith("$"):
        return str(found.value)
    of_type = pipelines().find(type).log
    return of_type or (str(found.value) if found is not None else None)


def read_only(*, option: bool) -> bool:
    """Whether a view offers nothing that changes a job: by the option ``--read-only`` or a setting.

    It does not apply to commands such as ``cancel``: who types them means them.
    """
    return option or is_read_only(settings())


def control(*, option: bool) -> bool:
    """Whether a hub lets clients change jobs: by the option ``--control`` or a setting.

    `UsageError` if the settings of the machine forbid it.
    """
    wanted = option or is_control(settings())
    if wanted and (path := who_forbids_control(settings())):
        raise UsageError(
            f"{path} says 'control = false', so no hub of this machine lets clients change jobs",
            hint="only root can change that",
        )
    return wanted


def time_format(option: TimeFormat | None) -> TimeFormat | None:
    """Return how to print times, by the option or the settings; ``None`` for the default."""
    if option is not None:
        return option
    found = settings().get("time-format")
    return TimeFormat(found.value) if found is not None else None


def on_store(
    directory: str | None,
    act: Callable[[Store], Job],
    output: Written | None = None,
    *,
    create: bool = False,
) -> None:
    """Change one job in the command's store, and print it if requested."""
    store = command_store(directory, create=create).store
    try:
        job = act(store)
    finally:
        store.close()
    if output is Written.json:
        out(compact(job_object(job)))
    else:
        print_written([job], output)


def for_each(
    directory: str | None,
    ids: list[str],
    act: Callable[[Store, str], T],
    show: Callable[[list[T]], object],
) -> None:
    """Change each job, and show the results. A failure does not stop the others.

    The exit code is that of the first failure.
    """
    store = command_store(directory).store
    code = 0
    done: list[T] = []
    for text in ids:
        try:
            done.append(act(store, text))
        except JobctlError as error:
            code = code or error.exit_code
            print_error(error, error.exit_code)
    store.close()
    show(done)
    if code:
        raise Exit(code)


def for_each_on_hub(
    url: str,
    ids: list[str],
    shown: Credentials,
    change: Callable[[Job], Coroutine[Any, Any, Job]],
    show: Callable[[list[Job]], object],
) -> None:
    """Change each job through the hub, and show the results; like `for_each`."""
    from jobctl.reader.acts import each
    from jobctl.reader.once import find_each  # import the network only if needed

    async def all() -> list[Job | JobctlError]:
        return await each(await find_each(url, ids, credentials=shown), change)

    code = 0
    done: list[Job] = []
    for found in run_async(all()):
        if isinstance(found, JobctlError):
            code = code or found.exit_code
            print_error(found, found.exit_code)
        else:
            done.append(found)
    show(done)
    if code:
        raise Exit(code)


def print_written(jobs: Sequence[Job], output: Written | None) -> None:
    """Print changed jobs: ``{jobs: […]}``, one object per line, or their ids."""
    if output is Written.json:
        out(compact({"jobs": [job_object(job) for job in jobs]}))
    for job in jobs:
        if output is Written.jsonl:
            out(compact(job_object(job)))
        elif output is Written.name:
            out(job.id)


def print_removed(ids: Sequence[str], output: Written | None) -> None:
    """Print ids of removed jobs: ``{removed: […]}``, one object per line, or the ids."""
    if output is Written.json:
        out(compact({"removed": list(ids)}))
    for id in ids:
        if output is Written.jsonl:
            out(compact({"removed": id}))
        elif output is Written.name:
            out(id)


def out(line: str) -> None:
    """Print one line of data."""
    sys.stdout.write(line + "\n")


def job_object(
    job: Job,
    dead: Container[str] = (),
    usual: UsualDurations | None = None,
    at_ms: int | None = None,
) -> dict[str, Any]:
    """Return the job for JSON output: the keys that a hub sends, and ``derived``.

    ``at_ms`` is the present time, by the clock of the hub that the job comes from.
    Kept variables (``run.env``) stay in the job's file, whether it is read here or by a hub.
    """
    value = values_of(redact(job, details=True))
    usual = usual or UsualDurations(pipelines=pipelines())
    band = usual.band(job)
    value["derived"] = {
        **job.derived(at_ms if at_ms is not None else now_ms(), dead, usual.pipelines),
        "etaMs": list(band) if band else None,
    }
    return value


def compact(value: object) -> str:
    """Return JSON on one line, ASCII only, so that every terminal and encoding can show it."""
    return _COMPACT.encode(value)


def run_async(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine; SIGINT, SIGTERM and SIGHUP cancel it once, so that it can clean up."""
    import asyncio  # most commands need no event loop

    ending = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    # None may interrupt the making of the loop: a half-made one complains when it is dropped.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ending)

    async def cancellable() -> T:
        loop = asyncio.get_running_loop()
        task = loop.create_task(main)
        caught: list[int] = []

        def cancel(number: int) -> None:
            if not caught:  # a second one would interrupt the cleanup
                caught.append(number)
                task.cancel()

        for number in ending:
            if signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, cancel, number)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        try:
            return await task
        except asyncio.CancelledError:
            if caught:
                raise Exit(128 + caught[0]) from None
            raise

    try:
        return asyncio.run(cancellable())
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
