"""What the commands share: options, the directory they speak of, ids, and how they print."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Container, Coroutine, Iterable
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar

import typer

from jobctl.cli.text import visible
from jobctl.clock import now_ms, parse_duration
from jobctl.config import Where, is_durable, resolve_dir
from jobctl.errors import JobctlError, StoreError, UsageError
from jobctl.filters import Filter
from jobctl.job import Job
from jobctl.stores import Store, open_store

__all__ = [
    "ActiveOption",
    "CaOption",
    "DirOption",
    "IdArgument",
    "IdsArgument",
    "MaybeIdArgument",
    "Place",
    "SessionOption",
    "StageOption",
    "TokenFileOption",
    "TypeOption",
    "UrlOption",
    "for_each",
    "here",
    "in_job",
    "machine",
    "make_filter",
    "note",
    "on_store",
    "one_source",
    "out",
    "own_id",
    "place",
    "run_async",
    "seconds",
]

T = TypeVar("T")

DirOption = Annotated[
    str | None,
    typer.Option("--dir", metavar="PATH", help="Directory of the job files.", show_default=False),
]
UrlOption = Annotated[
    str | None,
    typer.Option("--url", metavar="URL", help="Read from this hub.", show_default=False),
]


def _into(name: str) -> Callable[[str | None], None]:
    """The option's value goes where the client of a hub looks for it."""

    def put(value: str | None) -> None:
        if value is not None:
            os.environ[name] = value

    return put


TokenFileOption = Annotated[
    str | None,
    typer.Option(
        "--token-file",
        metavar="FILE",
        help="The hub's token is in this file.",
        callback=_into("JOBCTL_TOKEN_FILE"),
        expose_value=False,
    ),
]
CaOption = Annotated[
    str | None,
    typer.Option(
        "--ca",
        metavar="FILE",
        help="Trust a wss hub by these authorities.",
        callback=_into("JOBCTL_CA"),
        expose_value=False,
    ),
]
TypeOption = Annotated[
    list[str] | None, typer.Option("--type", metavar="TYPE", help="Only jobs of this type.")
]
StageOption = Annotated[
    list[str] | None, typer.Option("--stage", metavar="STAGE", help="Only jobs in this stage.")
]
SessionOption = Annotated[
    list[str] | None,
    typer.Option("--session", metavar="SESSION", help="Only jobs of this session."),
]
ActiveOption = Annotated[
    bool, typer.Option("--active", help="Only jobs that are neither completed nor failed.")
]
_OWN_ID = "JOBCTL_JOB"


def own_id() -> str:
    """The job that this process runs in, as ``jobctl run`` tells; `UsageError` without one."""
    id = os.environ.get(_OWN_ID)
    if not id:
        raise UsageError("Missing argument 'ID'", hint="within 'jobctl run' it may be left out")
    return id


def in_job() -> bool:
    """Whether this is a command that ``jobctl run`` runs: then ids may be left out."""
    return bool(os.environ.get(_OWN_ID))


IdArgument = Annotated[
    str, typer.Argument(metavar="ID", help="The job's id, or any unique start of it.")
]
MaybeIdArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="ID", help="The job's id, or any unique start of it.", show_default=False
    ),
]
IdsArgument = Annotated[
    list[str], typer.Argument(metavar="ID", help="Ids, or any unique starts of them.")
]


class Place(NamedTuple):
    """A store, and the directory it stands for."""

    store: Store
    where: Where


def place(
    directory: str | None, *, create: bool = False, adopt: bool = False, live: bool = False
) -> Place:
    """The store that a command works on; says so when it makes a directory that was named.

    A default directory that does not exist yet is an empty one; ``live`` readers make it, to see
    what comes.
    """
    where = resolve_dir(directory, os.environ, here())
    missing = not _is_dir(where.path)
    create = create or (live and not where.explicit)
    if missing and not create and not where.explicit:
        empty = open_store("memory:")
        empty.where = str(where.path)
        return Place(empty, where)
    store = open_store(
        where.path, create=create, adopt=adopt, durable=is_durable(os.environ, here())
    )
    if missing and where.explicit and where.path.is_dir():
        note(f"created {where.path}")
    return Place(store, where)


def _is_dir(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError as error:  # too long a name, say: whether it is there cannot even be asked
        raise StoreError(f"cannot look at {path}: {error.strerror}", path=str(path)) from error


def here() -> Path:
    """The present directory; `UsageError` when it was removed."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise UsageError("the present directory is gone", hint="go to another one") from None


def make_filter(
    ids: Iterable[str],
    type: list[str] | None,
    stage: list[str] | None,
    session: list[str] | None,
    active: bool,
) -> Filter:
    """The filter that the options say."""
    return Filter.make(
        ids=ids, types=type or (), stages=stage or (), sessions=session or (), active=active
    )


def one_source(directory: str | None, url: str | None) -> None:
    """`UsageError` where both a directory and a hub are named."""
    if directory is not None and url is not None:
        raise UsageError("--dir and --url are two sources", hint="give one of them")


def seconds(text: str | None, option: str) -> float | None:
    """The duration that an option gives; `UsageError` when it is none."""
    try:
        return parse_duration(text) if text is not None else None
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error


def on_store(
    directory: str | None, act: Callable[[Store], object], *, create: bool = False
) -> None:
    """Act on the store of the directory."""
    store = place(directory, create=create).store
    try:
        act(store)
    finally:
        store.close()


def for_each(directory: str | None, ids: list[str], act: Callable[[Store, str], object]) -> None:
    """Act on each job. A failure does not keep the others waiting.

    The exit code is that of the first failure.
    """
    store = place(directory).store
    code = 0
    for text in ids:
        try:
            act(store, text)
        except JobctlError as error:
            code = code or error.exit_code
            note(str(error))
    store.close()
    if code:
        raise typer.Exit(code)


def out(line: str) -> None:
    """One line of data."""
    sys.stdout.write(line + "\n")


def note(line: str) -> None:
    """One line for the person, beside the data."""
    sys.stderr.write(f"jobctl: {visible(line)}\n")


def machine(job: Job, dead: Container[str] = ()) -> dict[str, Any]:
    """The job as machine output shows it: the wire's keys and ``derived``."""
    value = job.model_dump(mode="json")
    value["derived"] = job.derived(now_ms(), dead)
    return value


def compact(value: object) -> str:
    """One line of JSON. Escapes beyond ASCII, so that no terminal or encoding minds it."""
    return json.dumps(value, separators=(",", ":"))


def run_async(main: Coroutine[Any, Any, T]) -> T:
    """Run to the end; SIGINT, SIGTERM and SIGHUP cancel it, once, so that it can clean up."""
    import asyncio  # most commands need no event loop

    async def cancellable() -> T:
        loop = asyncio.get_running_loop()
        task = loop.create_task(main)
        caught: list[int] = []

        def cancel(number: int) -> None:
            if not caught:  # an impatient second one would cut the cleaning up short
                caught.append(number)
                task.cancel()

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, cancel, number)
        try:
            return await task
        except asyncio.CancelledError:
            if caught:
                raise typer.Exit(128 + caught[0]) from None
            raise

    return asyncio.run(cancellable())
