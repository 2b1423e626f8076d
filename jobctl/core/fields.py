"""The keys of a job: for each its attribute, the converter that checks it, and its default.

A converter takes the value that a JSON parser made, and returns the value that the job keeps; what
it cannot take, it refuses with `Unfit`. `FIELDS` is in the canonical order: that of new files, of
the wire and of machine output. No I/O, and nothing to import that costs time: every command reads
this.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NamedTuple
else:
    from jobctl._stdlib import NamedTuple

__all__ = [
    "BY_ATTRIBUTE",
    "BY_KEY",
    "FIELDS",
    "MAX_RETRIES",
    "Command",
    "CommandEnd",
    "Field",
    "HistoryEntry",
    "Steps",
    "Unfit",
    "command_end_of",
    "command_of",
]

MAX_RETRIES = 2**53 - 1
"""The largest ``retryCount``: every JSON reader holds it exactly (RFC 8259, section 6)."""

TIME = (
    # [0-9] and not \d, which takes the digits of all scripts.
    r"(?!0000)[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
    r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,9})?"
    r"(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)
"""A regular expression for the times that job files may hold."""

_time = re.compile(TIME).fullmatch
_integer = re.compile(r"[+-]?[0-9]+(?:\.0*)?").fullmatch


class Unfit(ValueError):
    """A value that the key cannot have; ``where`` is the path within it, ``""`` for all of it."""

    def __init__(self, reason: str, where: str = "") -> None:
        super().__init__(reason)
        self.reason, self.where = reason, where

    def within(self, place: str) -> Unfit:
        """The same, seen from one level further out."""
        return Unfit(self.reason, f"{place}.{self.where}" if self.where else place)


# -- values ---------------------------------------------------------------------------------


class Steps(NamedTuple):
    """Progress in steps: ``done`` of ``total``. ``extra`` has the keys that others added."""

    done: float
    total: float
    extra: dict[str, Any] | None = None

    def to_value(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"done": self.done, "total": self.total, **(self.extra or {})}


class HistoryEntry(NamedTuple):
    """One line of a job's history: the stage, when it was entered, and the keys of others."""

    stage: str
    at: str
    extra: dict[str, Any] | None = None

    def to_value(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"stage": self.stage, "at": self.at, **(self.extra or {})}


class Command(NamedTuple):
    """What ``jobctl run`` ran: the words, where, with which chosen variables; and how it ended.

    ``duration_ms`` is by a clock that does not jump; ``stderr`` are the last lines, when it failed.
    ``exact`` is false where the words are for reading only: they could not be kept to the letter.
    """

    argv: tuple[str, ...]
    cwd: str
    env: dict[str, str] | None = None
    exact: bool | None = None
    exit_code: int | None = None
    signal: str | None = None
    duration_ms: int | None = None
    stderr: tuple[str, ...] | None = None

    def replace(self, **changes: Any) -> Command:
        """The command with these attributes changed."""
        return self._replace(**changes)

    def to_value(self) -> dict[str, Any]:
        """As JSON has it: keys without a value are left out."""
        value = {
            "argv": [*self.argv],
            "cwd": self.cwd,
            "env": self.env,
            "exact": self.exact,
            "exitCode": self.exit_code,
            "signal": self.signal,
            "durationMs": self.duration_ms,
            "stderr": [*self.stderr] if self.stderr is not None else None,
        }
        return {key: item for key, item in value.items() if item is not None}


class CommandEnd(NamedTuple):
    """How a command ended: all that a reader gets who may not see the command itself."""

    exit_code: int | None = None
    signal: str | None = None
    duration_ms: int | None = None


def command_of(value: object) -> Command | None:
    """The command that a job's ``run`` holds; ``None`` where that is somebody else's key."""
    if not isinstance(value, dict):
        return None
    env, exact = value.get("env"), value.get("exact")
    if env is not None and not (
        isinstance(env, dict)
        and all(isinstance(text, str) for pair in env.items() for text in pair)
    ):
        return None
    if exact is not None and not isinstance(exact, bool):
        return None
    try:
        argv, stderr = texts(value["argv"]), value.get("stderr")
        return (
            Command(
                argv=argv,
                cwd=text(value["cwd"]),
                env=env,
                exact=exact,
                exit_code=_optional(integer, value.get("exitCode")),
                signal=_optional(text, value.get("signal")),
                duration_ms=_optional(integer, value.get("durationMs")),
                stderr=texts(stderr) if stderr is not None else None,
            )
            if argv
            else None
        )
    except (KeyError, Unfit):
        return None


def command_end_of(value: object) -> CommandEnd | None:
    """How the command in a job's ``run`` ended; ``None`` where that is somebody else's key."""
    if not isinstance(value, dict):
        return None
    try:
        return CommandEnd(
            exit_code=_optional(integer, value.get("exitCode")),
            signal=_optional(text, value.get("signal")),
            duration_ms=_optional(integer, value.get("durationMs")),
        )
    except Unfit:
        return None


def _optional(convert: Callable[[object], Any], value: object) -> Any:
    return convert(value) if value is not None else None


# -- converters -----------------------------------------------------------------------------


def text(value: object) -> str:
    """A text."""
    if isinstance(value, str):
        return value
    raise Unfit("not a text")


def filled(value: object) -> str:
    """A text that is not empty."""
    if isinstance(value, str) and value:
        return value
    raise Unfit("empty" if value == "" else "not a text")


def time(value: object) -> str:
    """An ISO 8601 time with a zone, as it is written."""
    if isinstance(value, str):
        if _time(value):
            return value
        raise Unfit("not an ISO 8601 time with a zone")
    raise Unfit("not a text")


def integer(value: object) -> int:
    """A whole number; also as ``3.0`` or ``"3"``, as long as it is one."""
    if type(value) is int:
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, str) and len(value) < 400 and _integer(value.strip()):
        return int(value.strip().partition(".")[0])
    raise Unfit("not a whole number")


def retries(value: object) -> int:
    """A whole number from 0 to `MAX_RETRIES`."""
    count = integer(value)
    if 0 <= count <= MAX_RETRIES:
        return count
    raise Unfit(f"not from 0 to {MAX_RETRIES}")


def number(value: object) -> float:
    """A finite number; also as a text."""
    if type(value) is int:
        return value
    try:
        found = float(value)  # type: ignore[arg-type]  # a TypeError is an answer
    except (TypeError, ValueError, OverflowError):
        raise Unfit("not a number") from None
    if found - found != 0 or (isinstance(value, str) and "_" in value):
        raise Unfit("not a number")
    return found


def progress(value: object) -> Steps | float:
    """Steps ``{done, total}``, or a percentage from 0 to 100."""
    if isinstance(value, dict):
        return _steps(value)
    percentage = number(value)
    if 0 <= percentage <= 100:
        return percentage
    raise Unfit("not from 0 to 100")


def _steps(value: dict[str, Any]) -> Steps:
    found = {}
    for key in ("done", "total"):
        if key not in value:
            raise Unfit("Field required", key)
        try:
            found[key] = number(value[key])
        except Unfit as error:
            raise error.within(key) from None
    if found["done"] < 0:
        raise Unfit("below 0", "done")
    if found["total"] <= 0:
        raise Unfit("not above 0", "total")
    extra = {key: item for key, item in value.items() if key not in found} or None
    return Steps(found["done"], found["total"], extra)


def texts(value: object) -> tuple[str, ...]:
    """A list of texts."""
    if not isinstance(value, (list, tuple)):
        raise Unfit("not a list")
    for place, item in enumerate(value):
        if not isinstance(item, str):
            raise Unfit("not a text", str(place))
    return tuple(value)


def history(value: object) -> tuple[HistoryEntry, ...]:
    """A list of ``{stage, at}``."""
    if not isinstance(value, (list, tuple)):
        raise Unfit("not a list")
    lines = []
    for place, item in enumerate(value):
        try:
            lines.append(_entered(item))
        except Unfit as error:
            raise error.within(str(place)) from None
    return tuple(lines)


def _entered(value: object) -> HistoryEntry:
    if isinstance(value, HistoryEntry):
        return value
    if not isinstance(value, dict):
        raise Unfit("not an object")
    for key, convert in (("stage", text), ("at", time)):
        if key not in value:
            raise Unfit("Field required", key)
        try:
            convert(value[key])
        except Unfit as error:
            raise error.within(key) from None
    extra = None
    if len(value) > 2:
        extra = {key: item for key, item in value.items() if key not in ("stage", "at")}
    return HistoryEntry(value["stage"], value["at"], extra)


def anything(value: object) -> Any:
    """Any JSON value, as it is."""
    return value


# -- the table ------------------------------------------------------------------------------


class Field(NamedTuple):
    """A key of job files.

    ``convert`` is not asked about null, which stands for ``default``, except for a key that is
    ``required`` or that has a default other than null. ``always`` tells that the key is written
    also when it has its default, as the original program does.
    """

    key: str
    attribute: str
    convert: Callable[[object], Any]
    required: bool = False
    default: Any = None
    always: bool = False


FIELDS: tuple[Field, ...] = (
    Field("id", "id", text, required=True, always=True),
    Field("type", "type", text, required=True, always=True),
    Field("sessionId", "session_id", text, always=True),
    Field("stage", "stage", filled, required=True, always=True),
    Field("createdAt", "created_at", time, required=True, always=True),
    Field("updatedAt", "updated_at", time, required=True, always=True),
    Field("completedAt", "completed_at", time, always=True),
    Field("stageStartedAt", "stage_started_at", time, always=True),
    Field("error", "error", text, always=True),
    Field("retryCount", "retry_count", retries, default=0, always=True),
    Field("resultSessionId", "result_session_id", text, always=True),
    Field("title", "title", text),
    Field("message", "message", text),
    Field("progress", "progress", progress),
    Field("stages", "stages", texts),
    Field("history", "history", history),
    Field("result", "result", anything),
    Field("owner", "owner", anything),
    Field("run", "run", anything),
)

BY_KEY = {field.key: field for field in FIELDS}
BY_ATTRIBUTE = {field.attribute: field for field in FIELDS}
