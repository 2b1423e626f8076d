"""Options and arguments of several commands, with the same meaning in all of them."""

from __future__ import annotations

from enum import StrEnum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Annotated, Any
else:
    from jobctl._stdlib import Annotated

__all__ = [
    "ActiveOption",
    "Annotated",
    "Argument",
    "CaOption",
    "DirOption",
    "IdArgument",
    "IdListArgument",
    "IdsArgument",
    "LabelOption",
    "LogMode",
    "MaybeIdArgument",
    "NoHeadersOption",
    "Option",
    "Output",
    "OutputOption",
    "QuietOption",
    "RetryOption",
    "SelectorOption",
    "SessionOption",
    "StageOption",
    "StrictOption",
    "TimeFormat",
    "TimeFormatOption",
    "TokenFileOption",
    "TypeOption",
    "UrlOption",
    "Written",
    "WrittenOption",
]


class _Parameter:
    """The help text of a parameter, the bounds of a number, and the ``flags`` of an option."""

    __slots__ = ("flags", "help", "max", "metavar", "min", "show_default")

    def __init__(
        self,
        *flags: str,
        help: str,
        metavar: str | None = None,
        min: float | None = None,
        max: float | None = None,
        show_default: bool = True,
    ) -> None:
        self.flags = flags
        self.help, self.metavar, self.show_default = help, metavar, show_default
        self.min, self.max = min, max

    def allows(self, value: Any) -> bool:
        """Whether a number is within the bounds."""
        return (self.min is None or value >= self.min) and (self.max is None or value <= self.max)


class Argument(_Parameter):
    """A positional argument in a command's signature: ``type: Annotated[str, Argument(…)]``.

    ``metavar`` is its name in ``--help``; ``min`` and ``max`` bound a number. It has no flags.
    """

    __slots__ = ()


class Option(_Parameter):
    """An option in a command's signature: ``quiet: Annotated[bool, Option("-q", "--quiet")]``.

    Without ``flags`` its flag is the parameter's name, as typer would make it.
    """

    __slots__ = ()

    def flags_of(self, name: str) -> tuple[str, ...]:
        """Return the flags of the option for the parameter ``name``; a pair ``--a/--b`` stays."""
        return self.flags or (f"--{name.replace('_', '-')}",)


class Output(StrEnum):
    """Output formats of commands that read jobs."""

    table = "table"
    wide = "wide"
    json = "json"
    jsonl = "jsonl"
    name = "name"


class Written(StrEnum):
    """Output formats of commands that change jobs."""

    json = "json"
    jsonl = "jsonl"
    name = "name"


class TimeFormat(StrEnum):
    """Formats of times for people."""

    relative = "relative"
    iso = "iso"
    local = "local"


class LogMode(StrEnum):
    """Which output of a command is kept."""

    on = "on"
    all = "all"
    on_failure = "on-failure"
    off = "off"


DirOption = Annotated[
    str | None,
    Option("--dir", metavar="PATH", help="Directory of the job files.", show_default=False),
]
UrlOption = Annotated[
    str | None,
    Option(
        "--url",
        metavar="URL",
        help="Read from this hub; unix:PATH is a Unix socket.",
        show_default=False,
    ),
]
ActUrlOption = Annotated[
    str | None,
    Option(
        "--url",
        metavar="URL",
        help="Ask this hub to do it; unix:PATH is a Unix socket.",
        show_default=False,
    ),
]
TokenFileOption = Annotated[
    str | None,
    Option(
        "--token-file",
        metavar="FILE",
        help="Read the hub's token from this file.",
        show_default=False,
    ),
]
CaOption = Annotated[
    str | None,
    Option(
        "--ca",
        metavar="FILE",
        help="Trust these certificate authorities for a wss hub.",
        show_default=False,
    ),
]
RetryOption = Annotated[
    bool, Option("--retry", help="With --url: wait for the hub, whatever answers there.")
]
TypeOption = Annotated[
    list[str] | None, Option("--type", metavar="TYPE", help="Only jobs of this type.")
]
StageOption = Annotated[
    list[str] | None, Option("--stage", metavar="STAGE", help="Only jobs in this stage.")
]
SessionOption = Annotated[
    list[str] | None,
    Option("--session", metavar="SESSION", help="Only jobs of this session."),
]
SelectorOption = Annotated[
    list[str] | None,
    Option(
        "-l", "--selector", metavar="SELECTOR", help="Only jobs with this label: K=V, K!=V, K, !K."
    ),
]
LabelOption = Annotated[
    list[str] | None, Option("--label", metavar="KEY=VALUE", help="Give the job this label.")
]
ActiveOption = Annotated[
    bool, Option("--active", help="Only jobs that are neither completed nor failed.")
]
OutputOption = Annotated[
    Output,
    Option(
        "-o",
        "--output",
        metavar="FORMAT",
        help="Print table (default), wide, json, jsonl or name.",
        show_default=False,
    ),
]
WrittenOption = Annotated[
    Written | None,
    Option(
        "-o",
        "--output",
        metavar="FORMAT",
        help="Print the result as json, jsonl or name.",
        show_default=False,
    ),
]
ReadOnlyOption = Annotated[
    bool,
    Option("--read-only", help="Offer nothing here that changes a job: no cancel, no retry."),
]
StrictOption = Annotated[
    bool, Option("--strict", help="Within jobctl run: make an error fatal, not a warning.")
]
NoHeadersOption = Annotated[bool, Option("--no-headers", help="Print no header.")]
QuietOption = Annotated[bool, Option("-q", "--quiet", help="Print ids only.")]
TimeFormatOption = Annotated[
    TimeFormat | None,
    Option(
        "--time-format",
        metavar="FORMAT",
        help="Print times as relative, iso or local.",
        show_default=False,
    ),
]

_ID = "The job's id, or any unique start of it."
_IDS = "Ids, or any unique starts of them."

IdArgument = Annotated[str, Argument(metavar="ID", help=_ID)]
MaybeIdArgument = Annotated[str | None, Argument(metavar="ID", help=_ID, show_default=False)]
IdsArgument = Annotated[list[str], Argument(metavar="ID", help=_IDS)]
IdListArgument = Annotated[list[str] | None, Argument(metavar="ID", help=_IDS)]
