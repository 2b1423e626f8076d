"""The options and arguments that several commands take: the same flag means the same everywhere."""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated

import typer

__all__ = [
    "ActiveOption",
    "CaOption",
    "DirOption",
    "IdArgument",
    "IdListArgument",
    "IdsArgument",
    "MaybeIdArgument",
    "NoHeadersOption",
    "Output",
    "OutputOption",
    "QuietOption",
    "SessionOption",
    "StageOption",
    "TimeFormat",
    "TimeFormatOption",
    "TokenFileOption",
    "TypeOption",
    "UrlOption",
    "Written",
    "WrittenOption",
]


class Output(StrEnum):
    """How jobs are printed by commands that read them."""

    table = "table"
    wide = "wide"
    json = "json"
    jsonl = "jsonl"
    name = "name"


class Written(StrEnum):
    """How jobs are printed by commands that change them."""

    json = "json"
    jsonl = "jsonl"
    name = "name"


class TimeFormat(StrEnum):
    """How a moment is printed for people."""

    relative = "relative"
    iso = "iso"
    local = "local"


DirOption = Annotated[
    str | None,
    typer.Option("--dir", metavar="PATH", help="Directory of the job files.", show_default=False),
]
UrlOption = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="URL",
        help="Read from this hub; unix:PATH is a Unix socket.",
        show_default=False,
    ),
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
OutputOption = Annotated[Output, typer.Option("-o", "--output", help="How to print.")]
WrittenOption = Annotated[
    Written | None,
    typer.Option("-o", "--output", help="Print what became of it.", show_default=False),
]
NoHeadersOption = Annotated[bool, typer.Option("--no-headers", help="Leave the header out.")]
QuietOption = Annotated[bool, typer.Option("-q", "--quiet", help="Print ids only.")]
TimeFormatOption = Annotated[
    TimeFormat | None,
    typer.Option("--time-format", help="How to print times.", show_default=False),
]

_ID = "The job's id, or any unique start of it."
_IDS = "Ids, or any unique starts of them."

IdArgument = Annotated[str, typer.Argument(metavar="ID", help=_ID)]
MaybeIdArgument = Annotated[str | None, typer.Argument(metavar="ID", help=_ID, show_default=False)]
IdsArgument = Annotated[list[str], typer.Argument(metavar="ID", help=_IDS)]
IdListArgument = Annotated[list[str] | None, typer.Argument(metavar="ID", help=_IDS)]
