"""Times as text: parsing and formatting. The clock itself is in ``_clock.py``.

Times are ISO 8601 UTC with milliseconds and ``Z``, as JavaScript's ``toISOString()`` writes them.
"""

from __future__ import annotations

import re
import time
from functools import lru_cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "days_before",
    "duration",
    "duration_text",
    "known_ms",
    "parse_duration",
    "parse_moment",
    "to_ms",
    "to_text",
]

_FORM = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|([+-])(\d\d):(\d\d))\Z",
    re.ASCII,
)
_DATE = re.compile(r"\d{4}-\d\d-\d\d\Z", re.ASCII)
_MINUTE = re.compile(r"(T\d\d:\d\d)(Z|[+-]\d\d:\d\d|)\Z", re.ASCII)
_PLAIN_OFFSET = re.compile(r"(T.*[+-]\d\d)(\d\d)\Z", re.ASCII)
_ZONELESS = re.compile(r"[0-9-]{10}T\d\d:\d\d:\d\d(?:\.\d{1,9})?\Z", re.ASCII)
_NUMBER = r"\d{1,12}(?:\.\d{1,9})?"
_SECONDS = re.compile(_NUMBER, re.ASCII)
_SINCE_1970 = re.compile(f"@({_NUMBER})", re.ASCII)
_MAX_PLAIN_S = 9_999_999
"""115 days: a larger number without a unit is a date or a Unix time."""
_UNITS_S = {"w": 604_800, "d": 86400, "h": 3600, "m": 60, "s": 1}
_DURATION = re.compile("".join(f"(?:({_NUMBER}){unit})?" for unit in _UNITS_S), re.ASCII)
_MAX_DURATION_S = 36_500 * 86_400
"""A hundred years: more is a typing error."""
_FIRST_MS = 365 * 86_400_000  # 1971-01-01
_LAST_MS = 253_370_764_800_000  # 9999-01-01


def to_text(ms: int) -> str:
    """Return the time as text: ``1700000000123`` → ``2023-11-14T22:13:20.123Z``."""
    seconds, millis = divmod(ms, 1000)
    return _whole_second(seconds) + f".{millis:03d}Z"


@lru_cache(maxsize=64)
def _whole_second(seconds: int) -> str:
    # time.strftime writes the year 1 as "1".
    return "%04d-%02d-%02dT%02d:%02d:%02d" % time.gmtime(seconds)[:6]  # noqa: UP031


@lru_cache(maxsize=4096)
def to_ms(text: str) -> int:
    """Return milliseconds since 1970: the inverse of `to_text`. ValueError for an invalid time.

    Other precisions and time zones are accepted.
    """
    match = _FORM.match(text)
    if match is None:
        raise ValueError(f"{text!r} is not an ISO 8601 time with a zone")
    year, month, day, hour, minute, second = (int(group) for group in match.groups()[:6])
    before = days_before(year, month)
    days = days_before(year + month // 12, month % 12 + 1) - before
    if not (
        year and 1 <= month <= 12 and 1 <= day <= days and hour < 24 and minute < 60
        and second <= 60
    ):  # fmt: skip
        raise ValueError(f"{text!r} is not an ISO 8601 time with a zone")
    seconds = ((before + day) * 24 + hour) * 3600 + minute * 60 + second
    fraction, sign, offset_h, offset_m = match.groups()[6:]
    if sign:
        offset = int(offset_h) * 3600 + int(offset_m) * 60
        seconds += offset if sign == "-" else -offset
    return seconds * 1000 + int((fraction or "0").ljust(3, "0")[:3])


def known_ms(text: str | None) -> int | None:
    """Like `to_ms`, but return ``None`` for an invalid time or a placeholder.

    Programs without a time often write the first or the last one of their language: year 1 (Go,
    .NET), 1970 (Unix), year 9999 (.NET, SQL). So times before 1971 and after 9998 do not count.
    """
    try:
        ms = to_ms(text) if text is not None else None
    except ValueError:
        return None
    return ms if ms is not None and _FIRST_MS <= ms < _LAST_MS else None


def days_before(year: int, month: int) -> int:
    """Return the days from 1970-01-01 to the day before a month, in the Gregorian calendar."""
    # Counted from March, so that the leap day is a year's last one (calendar.timegm needs datetime,
    # which takes longer to import than all else here).
    if month < 3:
        year, month = year - 1, month + 12
    leap_days = year // 4 - year // 100 + year // 400
    return 365 * year + leap_days + (153 * month - 457) // 5 - 719_469


def parse_duration(text: str) -> float:
    """Return the seconds in ``90``, ``0.5``, ``90s``, ``5m``, ``1h30m`` or ``2w``; ValueError.

    Units go from the largest to the smallest, each at most once: w, d, h, m, s.
    """
    match = _DURATION.fullmatch(text)
    if _SECONDS.fullmatch(text):
        seconds = float(text)
    elif text and match is not None:
        sizes = zip(match.groups(), _UNITS_S.values(), strict=True)
        seconds = sum((float(number) * size for number, size in sizes if number), 0.0)
    else:
        raise ValueError(f"{ascii(text)} is no duration: write 90s, 5m, 1h30m or 2d")
    if seconds > _MAX_DURATION_S:
        raise ValueError(f"{ascii(text)} is over a hundred years")
    return seconds


def duration(ms: int | None) -> str:
    """Return ``850ms``, ``12s``, ``3m05s``, ``2h07m``, ``4d03h``; ``-`` if unknown."""
    if ms is None:
        return "-"
    if ms < 1000:
        return f"{ms}ms"
    seconds = ms // 1000
    if seconds < 60:
        return f"{seconds}s"
    if seconds < 3600:
        return f"{seconds // 60}m{seconds % 60:02d}s"
    if seconds < 86400:
        return f"{seconds // 3600}h{seconds % 3600 // 60:02d}m"
    return f"{seconds // 86400}d{seconds % 86400 // 3600:02d}h"


def duration_text(seconds: float) -> str:
    """Return seconds as `parse_duration` reads them, in the largest units: ``1h30m``, ``0.5s``."""
    left, parts = seconds, []
    for unit, size in _UNITS_S.items():
        count = left // size if unit != "s" else round(left, 3)
        if count:
            parts.append(f"{count:g}{unit}")
            left -= count * size
    return "".join(parts) or "0s"


def parse_moment(text: str, now_ms: int, *, of_local: Callable[[int], int] | None = None) -> int:
    """Return a time in milliseconds: a duration ago (``10m``), a date, RFC 3339, or ``@SECONDS``.

    A duration without a unit is in seconds, as everywhere; a very large one is refused, because it
    is a date without hyphens or seconds since 1970 (``@1764322200``). A date is its midnight.

    ``of_local`` returns the time for a reading of the local clock, which is given as if it were
    UTC. Then a time without a zone is local; otherwise a date is UTC, and such a time is refused.
    """
    try:
        return now_ms - _ago_ms(text)
    except ValueError:
        pass
    if since_1970 := _SINCE_1970.fullmatch(text):
        return round(float(since_1970[1]) * 1000)
    form = text.strip().replace(" ", "T", 1).replace("t", "T").replace("z", "Z")
    form = _PLAIN_OFFSET.sub(r"\1:\2", form)  # as --time-format local prints it
    form = _MINUTE.sub(r"\1:00\2", f"{form}T00:00" if _DATE.match(form) else form)
    has_zone = _ZONELESS.match(form) is None
    try:
        if has_zone:
            return to_ms(form)
        if of_local is not None:
            return of_local(to_ms(f"{form}Z"))
        if form.endswith("T00:00:00"):
            return to_ms(f"{form}Z")
    except (ValueError, OverflowError):
        pass
    example = "2026-11-23T09:30:00Z" if of_local is None else "2026-11-23T09:30"
    raise ValueError(f"{ascii(text)} is no time: write 10m (ago), 2026-11-23, or {example}")


def _ago_ms(text: str) -> int:
    seconds = parse_duration(text)
    if seconds > _MAX_PLAIN_S and _SECONDS.fullmatch(text):
        raise ValueError("it is meant as another kind of time")
    return round(seconds * 1000)
