"""The one place that reads the wall clock, and the one form in which times are written.

Times are ISO 8601 UTC text with milliseconds and ``Z``, as JavaScript's ``toISOString()``
writes them. Layers that may not know a clock (job, jobset, hub) get such text as an argument.
"""

from __future__ import annotations

import calendar
import math
import re
import time
from functools import lru_cache

__all__ = ["now", "now_ms", "parse_duration", "to_ms", "to_text"]

_FORM = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|([+-])(\d\d):(\d\d))\Z",
    re.ASCII,
)
_NUMBER = r"(\d+(?:\.\d+)?)"
_DURATION = re.compile(f"(?:{_NUMBER}[smhdw])+|{_NUMBER}", re.ASCII)
_PART = re.compile(f"{_NUMBER}([smhdw]?)", re.ASCII)
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def now_ms() -> int:
    """Milliseconds since 1970-01-01 UTC, by the wall clock (which may jump)."""
    return time.time_ns() // 1_000_000


def now() -> str:
    """The present moment, as job files write it."""
    return to_text(now_ms())


def to_text(ms: int) -> str:
    """``1700000000123`` → ``2023-11-14T22:13:20.123Z``."""
    seconds, millis = divmod(ms, 1000)
    return _whole_second(seconds) + f".{millis:03d}Z"


@lru_cache(maxsize=64)
def _whole_second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


@lru_cache(maxsize=4096)
def to_ms(text: str) -> int:
    """The inverse of `to_text`; also takes other precisions and offsets. ValueError otherwise."""
    match = _FORM.match(text)
    if match is None:
        raise ValueError(f"{text!r} is not an ISO 8601 time with a zone")
    year, month, day, hour, minute, second = (int(group) for group in match.groups()[:6])
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second <= 60):
        raise ValueError(f"{text!r} is not an ISO 8601 time with a zone")
    seconds = calendar.timegm((year, month, day, hour, minute, second, 0, 1, 0))
    fraction, sign, offset_h, offset_m = match.groups()[6:]
    if sign:
        offset = int(offset_h) * 3600 + int(offset_m) * 60
        seconds += offset if sign == "-" else -offset
    return seconds * 1000 + int((fraction or "0").ljust(3, "0")[:3])


def parse_duration(text: str) -> float:
    """Seconds for ``90s``, ``1h30m``, ``7d`` or plain ``45``; ValueError unless it is over 0."""
    parts = _PART.findall(text) if _DURATION.fullmatch(text) else []
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    if not 0 < seconds < math.inf:
        raise ValueError(f"{text!r} is not a duration")
    return seconds
