"""The lines that a command writes to ``$JOBCTL_EVENTS``, from any language.

stage=load
progress=3/8 message=orders.csv
progress=40
result={"rows": 41200}
mask=a text that must not be kept
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from jobctl.core.duplicate_keys import parse_json

__all__ = ["BadLine", "Event", "parse_event"]

_KEYS = ("stage", "progress", "message", "result", "mask")
_TAKE_REST = ("message", "result", "mask")
_MAX_NUMBER = 1e300
_STEPS = re.compile(r"([0-9.]+)(?:/([0-9.]+)|%)?\Z")


class BadLine(ValueError):
    """A line that is no event. Of each ``kind`` one is warned of."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


class Event(NamedTuple):
    """One line. ``steps`` are done and total, or a percentage and ``None``.

    ``remark`` says what is odd in the result. ``mask`` is a secret.
    """

    stage: str | None = None
    steps: tuple[float, float | None] | None = None
    message: str | None = None
    result: Any = None
    remark: str | None = None
    mask: str | None = None


def parse_event(line: str) -> Event:
    """Return the event in a line of ``key=value`` pairs; `BadLine` with the reason.

    ``message``, ``result`` and ``mask`` take the rest of their line.
    """
    event, rest = Event(), line.strip()
    while rest:
        key, equals, value = rest.partition("=")
        if not equals or key not in _KEYS:
            reason = f"{ascii(rest[:40])} is no stage=, progress=, message=, result= or mask="
            raise BadLine("key", reason)
        if key in _TAKE_REST:
            rest = ""
        else:
            value, _, rest = value.partition(" ")
            rest = rest.lstrip()
        match key:
            case "stage":
                event = event._replace(stage=value)
            case "progress":
                event = event._replace(steps=_steps(value))
            case "message":
                event = event._replace(message=value)
            case "mask":
                event = event._replace(mask=value)
            case _:
                result, remark = _result(value)
                event = event._replace(result=result, remark=remark)
    return event


def _steps(text: str) -> tuple[float, float | None]:
    match = _STEPS.match(text)
    try:
        if match is None:
            raise ValueError
        return _number(match[1]), None if match[2] is None else _number(match[2])
    except ValueError:
        raise BadLine(
            "progress",
            f"progress={ascii(text[:40])[1:-1]} is not a progress: expected DONE/TOTAL (3/8) or a "
            "percentage (12.5, with a point)",
        ) from None


def _number(text: str) -> float:
    """Return the number; ValueError for text such as ``1.2.3``, and for one that is too large."""
    number = int(text) if text.isdigit() else float(text)
    if number > _MAX_NUMBER:
        raise ValueError
    return number


def _result(text: str) -> tuple[Any, str | None]:
    try:
        return parse_json(text)
    except (ValueError, RecursionError) as error:
        if isinstance(error, json.JSONDecodeError) and error.pos >= len(text.rstrip()):
            raise BadLine(
                "result",
                "the result does not end in its line: expected JSON on one line, as 'jq -c' prints",
            ) from error
        raise BadLine("result", f"the result is not JSON: {error}") from error
