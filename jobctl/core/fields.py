"""The keys of a job: for each its attribute, its converter, and its default.

A converter checks a value from a JSON parser and returns the value that the job keeps; it raises
`Unfit` for an invalid one. `FIELDS` is in the canonical order of new files, of the wire and of JSON
output. No I/O, and only cheap imports, because every command needs this module.
"""

from __future__ import annotations

import re

from jobctl.core.times import to_ms, to_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NamedTuple
else:
    from jobctl._stdlib import NamedTuple

__all__ = [
    "BY_ATTRIBUTE",
    "BY_KEY",
    "CANONICAL",
    "FIELDS",
    "MAX_RETRIES",
    "Acknowledgement",
    "Cancellation",
    "Command",
    "CommandEnd",
    "Field",
    "HistoryEntry",
    "Steps",
    "Unfit",
    "command_end_of",
    "command_of",
    "program_of",
]

MAX_RETRIES = 2**53 - 1
"""The largest ``retryCount``: every JSON reader holds it exactly (RFC 8259, section 6)."""

# [0-9] and not \d, which takes the digits of all scripts.
_CLOCK = r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z"
_MONTH = r"(?:0[1-9]|1[0-2])"
CANONICAL = (
    rf"2[0-9]{{3}}-{_MONTH}-(?:0[1-9]|1[0-9]|2(?:[0-8]|9(?<!02-29))"
    rf"|3(?:0(?<!02-30)|1(?<!0[2469]-31)(?<!11-31))){_CLOCK}"
)
"""A regular expression for times as jobctl writes them, from 2000 to 2999, without 29 February.

So what matches is a time that exists, and no placeholder (year 1, 1970, 9999).
"""

# Days that are in every month are enough here: `to_ms` checks the others, and this compiles faster.
_is_canonical = re.compile(
    rf"(?!0000)[0-9]{{4}}-{_MONTH}-(?:0[1-9]|1[0-9]|2[0-8]){_CLOCK}"
).fullmatch
_integer = re.compile(r"[+-]?[0-9]+(?:\.0*)?").fullmatch


class Unfit(ValueError):
    """An invalid value of a key; ``where`` is the path to it within the value, or ``""``."""

    def __init__(self, reason: str, where: str = "") -> None:
        super().__init__(reason)
        self.reason, self.where = reason, where

    def within(self, place: str) -> Unfit:
        """Return the same error with the path extended by the enclosing key."""
        return Unfit(self.reason, f"{place}.{self.where}" if self.where else place)


# -- values ---------------------------------------------------------------------------------


class Steps(NamedTuple):
    """Progress in steps: ``done`` of ``total``, at most all. ``extra`` has unknown keys."""

    done: float
    total: float
    extra: dict[str, Any] | None = None

    def to_value(self) -> dict[str, Any]:
        """Return the JSON value."""
        return {"done": self.done, "total": self.total, **(self.extra or {})}


class HistoryEntry(NamedTuple):
    """One entry of a job's history: a stage, when the job entered it, and unknown keys."""

    stage: str
    at: str
    extra: dict[str, Any] | None = None

    def to_value(self) -> dict[str, Any]:
        """Return the JSON value."""
        return {"stage": self.stage, "at": self.at, **(self.extra or {})}


_MAX_AMOUNT = 2**53  # what JSON programs keep exactly, and a float holds


class Acknowledgement(NamedTuple):
    """When a failed or lost job was acknowledged, by whom, and their note; see `Job`."""

    at: str | None = None
    by: str | None = None
    note: str | None = None


class Cancellation(NamedTuple):
    """When a job was cancelled, by whom and why, as far as its file says."""

    at: str | None = None
    by: str | None = None
    reason: str | None = None

    def __str__(self) -> str:
        """Return one line: ``Cancelled by anna: no longer needed``."""
        by = f"Cancelled by {self.by or 'user'}"
        return f"{by}: {self.reason}" if self.reason else by


class Command(NamedTuple):
    """The command of ``jobctl run``: words, directory and selected variables; and how it ended.

    ``duration_ms`` comes from a monotonic clock. ``stderr`` has the last lines if the command
    failed. ``exact`` is false if the words could not be kept exactly; then the command cannot be
    run again. ``ok`` are exit codes that count as success besides 0, and ``timeout_ms`` is the time
    after which the command is ended; both apply to the next run as well. ``max_rss_bytes`` is the
    most memory that one of its processes had in use, and ``cpu_ms`` the CPU time of all of them.
    """

    argv: tuple[str, ...]
    cwd: str
    env: dict[str, str] | None = None
    exact: bool | None = None
    exit_code: int | None = None
    signal: str | None = None
    duration_ms: int | None = None
    stderr: tuple[str, ...] | None = None
    ok: tuple[int, ...] | None = None
    timeout_ms: int | None = None
    max_rss_bytes: int | None = None
    cpu_ms: int | None = None

    def replace(self, **changes: Any) -> Command:
        """Return the command with these attributes changed."""
        return self._replace(**changes)

    def to_value(self) -> dict[str, Any]:
        """Return the JSON value, without keys that have no value."""
        value = {
            "argv": [*self.argv],
            "cwd": self.cwd,
            "env": self.env,
            "exact": self.exact,
            "ok": [*self.ok] if self.ok is not None else None,
            "timeoutMs": self.timeout_ms,
            "exitCode": self.exit_code,
            "signal": self.signal,
            "durationMs": self.duration_ms,
            "maxRssBytes": self.max_rss_bytes,
            "cpuMs": self.cpu_ms,
            "stderr": [*self.stderr] if self.stderr is not None else None,
        }
        return {key: item for key, item in value.items() if item is not None}


class CommandEnd(NamedTuple):
    """How a command ended: what readers without details see of a command."""

    exit_code: int | None = None
    signal: str | None = None
    duration_ms: int | None = None
    max_rss_bytes: int | None = None
    cpu_ms: int | None = None


def command_of(value: object) -> Command | None:
    """Return the command in a job's ``run``; ``None`` if another program uses this key."""
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
        argv, stderr, ok = texts(value["argv"]), value.get("stderr"), value.get("ok")
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
                ok=tuple(map(integer, ok)) if isinstance(ok, list) else None,
                timeout_ms=_optional(_amount, value.get("timeoutMs")),
                max_rss_bytes=_optional(_amount, value.get("maxRssBytes")),
                cpu_ms=_optional(_amount, value.get("cpuMs")),
            )
            if argv
            else None
        )
    except (KeyError, Unfit):
        return None


def program_of(value: object) -> tuple[str, ...] | None:
    """Return the program in a job's ``run`` and its first argument; see `Job.program`."""
    if not isinstance(value, dict):
        return ()
    command = command_of(value)
    if command is None:
        return None
    argument = next((word for word in command.argv[1:] if not word.startswith("-")), "")
    return (command.argv[0], argument)


def command_end_of(value: object) -> CommandEnd | None:
    """Return how the command in a job's ``run`` ended.

    ``None`` if another program uses this key.
    """
    if not isinstance(value, dict):
        return None
    try:
        return CommandEnd(
            exit_code=_optional(integer, value.get("exitCode")),
            signal=_optional(text, value.get("signal")),
            duration_ms=_optional(integer, value.get("durationMs")),
            max_rss_bytes=_optional(_amount, value.get("maxRssBytes")),
            cpu_ms=_optional(_amount, value.get("cpuMs")),
        )
    except Unfit:
        return None


def _amount(value: object) -> int:
    amount = integer(value)
    if 0 <= amount <= _MAX_AMOUNT:
        return amount
    raise Unfit("not an amount")


def _optional(convert: Callable[[object], Any], value: object) -> Any:
    return convert(value) if value is not None else None


# -- converters -----------------------------------------------------------------------------


def text(value: object) -> str:
    """Convert a text."""
    if isinstance(value, str):
        return value
    raise Unfit("not a text")


def filled(value: object) -> str:
    """Convert a text that is not empty."""
    if isinstance(value, str) and value:
        return value
    raise Unfit("empty" if value == "" else "not a text")


def time(value: object) -> str:
    """Convert an ISO 8601 time with a zone to the canonical form."""
    if isinstance(value, str):
        if _is_canonical(value):
            return value
        try:
            return to_text(to_ms(value))
        except ValueError:
            raise Unfit("not an ISO 8601 time with a zone") from None
    raise Unfit("not a text")


def integer(value: object) -> int:
    """Convert an integer, also written as ``3.0`` or ``"3"``."""
    if type(value) is int:
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    if isinstance(value, str) and len(value) < 400 and _integer(value.strip()):
        return int(value.strip().partition(".")[0])
    raise Unfit("not a whole number")


def retries(value: object) -> int:
    """Convert an integer from 0 to `MAX_RETRIES`."""
    count = integer(value)
    if 0 <= count <= MAX_RETRIES:
        return count
    raise Unfit(f"not from 0 to {MAX_RETRIES}")


def number(value: object) -> float:
    """Convert a finite number, also written as a text."""
    if type(value) is int:
        return value
    if isinstance(value, bool):
        raise Unfit("not a number")
    try:
        found = float(value)  # type: ignore[arg-type]  # a TypeError is an answer
    except (TypeError, ValueError, OverflowError):
        raise Unfit("not a number") from None
    if found - found != 0 or (isinstance(value, str) and "_" in value):
        raise Unfit("not a number")
    return found


def progress(value: object) -> Steps | float:
    """Convert steps ``{done, total}`` or a percentage from 0 to 100."""
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
    return Steps(min(found["done"], found["total"]), found["total"], extra)


def texts(value: object) -> tuple[str, ...]:
    """Convert a list of texts."""
    if not isinstance(value, (list, tuple)):
        raise Unfit("not a list")
    for place, item in enumerate(value):
        if not isinstance(item, str):
            raise Unfit("not a text", str(place))
    return tuple(value)


def history(value: object) -> tuple[HistoryEntry, ...]:
    """Convert a list of ``{stage, at}``."""
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
    found: list[str] = []
    for key, convert in (("stage", text), ("at", time)):
        if key not in value:
            raise Unfit("Field required", key)
        try:
            found.append(convert(value[key]))
        except Unfit as error:
            raise error.within(key) from None
    extra = None
    if len(value) > 2:
        extra = {key: item for key, item in value.items() if key not in ("stage", "at")}
    stage, at = found
    return HistoryEntry(stage, at, extra)


def labels(value: object) -> dict[str, str]:
    """Convert an object whose values are texts."""
    if not isinstance(value, dict):
        raise Unfit("not an object")
    for key, item in value.items():
        if not isinstance(item, str):
            raise Unfit("not a text", str(key))
    return value


def anything(value: object) -> Any:
    """Return any JSON value unchanged."""
    return value


# -- the table ------------------------------------------------------------------------------


class Field(NamedTuple):
    """A key of job files.

    ``convert`` is not called for null, which means ``default``, unless the key is ``required`` or
    its default is not null. With ``always``, as in the original program, the key is written even if
    it has its default.
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
    Field("host", "host", anything),
    Field("user", "user", anything),
    Field("labels", "labels", labels),
    Field("cancelled", "cancelled", anything),
    Field("acknowledged", "acknowledged", anything),
)

BY_KEY = {field.key: field for field in FIELDS}
BY_ATTRIBUTE = {field.attribute: field for field in FIELDS}
