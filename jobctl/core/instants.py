"""Instants from what other programs write: text, numbers, and the objects of some libraries.

`read_time` returns milliseconds since 1970 in UTC for a time whose zone is known, a `Zoneless` time
for one that names no zone, and ``None`` for everything else. `zone_of` finds the zone of zone-less
times. No I/O except the local time zone; and no ``datetime``, whose import costs more than the rest
of this module.

Sources: ISO 8601-1:2019 (calendar, ordinal and week dates, basic and extended format, fractions of
the last unit, 24:00), RFC 3339, RFC 9557 (a zone in brackets), RFC 5322 and C's ``asctime`` (names
of months).
"""

from __future__ import annotations

import re
import time
from functools import lru_cache

from jobctl.core.times import days_before

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple
else:
    from jobctl._stdlib import NamedTuple

__all__ = ["FIRST_MS", "LAST_MS", "MAX_AGE_MS", "Zone", "Zoneless", "read_time", "zone_of"]

FIRST_MS = 365 * 86_400_000
"""1971-01-01: earlier times are placeholders, such as year 1 (Go, .NET) and 1970 (Unix)."""
LAST_MS = 253_370_764_800_000
"""9999-01-01: later times are placeholders, such as the last one of .NET and SQL."""

MAX_AGE_MS = 15 * 60_000
"""A program writes a file at most this long after it has read the clock."""
_MAX_AHEAD_MS = 2_000
"""A file's time may be this much behind the clock: FAT counts in steps of two seconds."""
_MAX_TEXT = 200
_MAX_NUMBER = 10**20


class Zoneless(NamedTuple):
    """A time without a zone: what its clock showed, in milliseconds since 1970 on that clock."""

    ms: int


class Zone(NamedTuple):
    """The zone of a file's zone-less times.

    ``offset_s`` is what its clock is ahead of UTC, and ``basis`` a short reason for this choice.
    """

    offset_s: int
    basis: str

    def instant(self, moment: Zoneless) -> int:
        """Return the instant in milliseconds since 1970 in UTC."""
        return moment.ms - self.offset_s * 1000

    def __str__(self) -> str:
        if not self.offset_s:
            return "UTC"
        minutes = abs(self.offset_s) // 60
        sign = "-" if self.offset_s < 0 else "+"
        return f"UTC{sign}{minutes // 60:02d}:{minutes % 60:02d}"


def zone_of(newest: Zoneless, file_ms: int | None) -> Zone:
    """Return the zone of the zone-less times in a file whose newest one is given.

    It is UTC or the local zone if the time, read in that zone, lies within `MAX_AGE_MS` before the
    file's modification time ``file_ms``; otherwise the local zone. All times of the file get the
    zone's offset at the newest one.
    """
    # Zones change their offset at quarters of an hour.
    local = _local_offsets(newest.ms // 900_000, time.timezone, time.altzone)
    if file_ms is not None:
        for offset in (0, *local):
            age_ms = file_ms - (newest.ms - offset * 1000)
            if -_MAX_AHEAD_MS <= age_ms <= MAX_AGE_MS:
                return Zone(offset, "it was written just before the file")
    return Zone(local[0], "the local zone")


@lru_cache(maxsize=1024)
def _local_offsets(quarter: int, *zone: int) -> list[int]:
    """Return what the local clock is ahead of UTC when it shows this time; two if it does twice.

    The time is in quarters of an hour since 1970. ``zone`` tells local zones apart.
    """
    seconds = quarter * 900
    shown = time.gmtime(seconds)
    offsets: list[int] = []
    for is_dst in (-1, 0, 1):
        try:
            instant = int(time.mktime((*shown[:8], is_dst)))
        except (OverflowError, ValueError):
            continue
        if is_dst < 0 or time.localtime(instant)[:6] == shown[:6]:
            offsets.append(seconds - instant)
    return list(dict.fromkeys(offsets)) or [0]


# -- any value ------------------------------------------------------------------------------


def read_time(value: object) -> int | Zoneless | None:
    """Return the time in a JSON value; ``None`` if it has none, or a placeholder (`FIRST_MS`)."""
    if isinstance(value, str):
        found = _of_text(value)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        found = _of_number(value)
    elif isinstance(value, list):
        found = _of_list(value)
    elif isinstance(value, dict):
        found = _of_object(value)
    else:
        return None
    ms = found.ms if isinstance(found, Zoneless) else found
    return found if ms is not None and FIRST_MS <= ms < LAST_MS else None


def _of_number(value: float) -> int | None:
    """Return the instant in seconds, milliseconds, microseconds or nanoseconds since 1970.

    The magnitude decides: each unit is used from 1973 to 5138, and seconds also before.
    """
    if not 0 <= value < _MAX_NUMBER:  # also for NaN
        return None
    if value < 10**11:
        return round(value * 1000)
    divisor = 1 if value < 10**14 else 10**3 if value < 10**17 else 10**6
    return int(value // divisor)


def _of_list(value: list[object]) -> int | Zoneless | None:
    """Return the time in ``[2026, 11, 28, 5, 21, 46, 123000000]``, as Jackson writes local times.

    A list with one element, as R's jsonlite writes any scalar, is that element.
    """
    if len(value) == 1:
        return read_time(value[0])
    if not 5 <= len(value) <= 7 or any(type(item) is not int for item in value):
        return None
    year, month, day, hour, minute, *rest = value
    second, nanos = (*rest, 0, 0)[:2]
    days = _calendar(year, month, day)  # type: ignore[arg-type]  # they are integers
    clock = _clock_ms(hour, minute, second, 0)  # type: ignore[arg-type]
    if days is None or clock is None or not 0 <= nanos < 10**9:  # type: ignore[operator]
        return None
    return Zoneless(days * 86_400_000 + clock + nanos // 10**6)  # type: ignore[operator]


def _of_object(value: dict[str, object]) -> int | Zoneless | None:
    """Return the time in ``{"date": …, "timezone": …}`` (PHP), or ``{"$date": …}`` (MongoDB)."""
    if "$date" in value:
        return read_time(value["$date"])
    date, zone = value.get("date"), value.get("timezone")
    if not isinstance(date, str) or not isinstance(zone, str):
        return None
    found = _of_text(date)
    if not isinstance(found, Zoneless):
        return found
    in_zone = _of_text(f"{date}{zone}") if zone[:1] in ("+", "-") else None
    return in_zone if in_zone is not None else _in_named_zone(found, zone)


# -- text -----------------------------------------------------------------------------------

_ISO = re.compile(
    r"(?:\+00)?(?P<year>\d{4})"
    r"(?:(?P<by>[-/]?)(?P<month>\d\d)(?P=by)(?P<day>\d\d)"
    r"|-?(?P<ordinal>\d{3})|-?W(?P<week>\d\d)-?(?P<weekday>[1-7]))"
    r"(?:[Tt]| +)"
    r"(?P<hour>\d\d)(?::?(?P<minute>\d\d)(?::?(?P<second>\d\d))?)?(?:[.,](?P<fraction>\d+))?"
    r"(?P<zone>.*)",
    re.ASCII | re.DOTALL,
)
_ZONE = re.compile(
    r"(?: ?(?:(?:UTC|GMT|UT)?(?P<sign>[+\-\u2212])(?P<hours>\d\d)(?::?(?P<minutes>\d\d)"
    r"(?::?(?P<seconds>\d\d))?)?|(?P<utc>[Zz]|UTC|GMT|UT))"
    r"(?: \([A-Za-z ]*\)| [A-Z]{2,5}| [+-]\d\d(?:\d\d)?)?(?: m=[+-][\d.]+)?"  # ECMAScript, Go
    r"| (?!AM|PM)[A-Z]{3,5})?"  # an abbreviation alone has several meanings
    r"(?P<brackets>(?:\[[^\[\]]*\])*)",
    re.ASCII,
)
_COMPACT = re.compile(r"((?:19|20)\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)?", re.ASCII)
_NUMBER = re.compile(r"\d{8,20}(?:\.\d{1,12})?", re.ASCII)
_MICROSOFT = re.compile(r"/Date\((\d{1,16})(?:[+-]\d{4})?\)/", re.ASCII)
_NAMED = re.compile(
    r"(?:[A-Za-z]{3,9},? )?"
    r"(?:(?P<month>[A-Za-z]{3}) +(?P<day>\d\d?)|(?P<day2>\d\d?)[ -](?P<month2>[A-Za-z]{3}))"
    r"(?:[ -](?P<year>\d{4}))? (?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d))?"
    r"(?P<zone>(?: [A-Z]{1,5}(?:[+-]\d{4})?| [+-]\d{4})?)(?: (?P<year2>\d{4}))?(?P<rest>.*)",
    re.ASCII,
)
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_UTC_NAMES = ("Z", "UTC", "GMT", "Etc/UTC", "Etc/GMT", "UCT", "Zulu")


def _of_text(text: str) -> int | Zoneless | None:
    text = text.strip()
    if not text or len(text) > _MAX_TEXT:
        return None
    match = _ISO.fullmatch(text)
    if match is not None:
        return _of_iso(match)
    match = _COMPACT.fullmatch(text)
    if match is not None and (found := _of_compact(match)) is not None:
        return found
    if _NUMBER.fullmatch(text):
        return _of_number(float(text) if "." in text else int(text))
    match = _MICROSOFT.fullmatch(text)
    if match is not None:
        return int(match[1])
    match = _NAMED.fullmatch(text)
    return _of_named(match) if match is not None else None


def _of_iso(match: re.Match[str]) -> int | Zoneless | None:
    year = int(match["year"])
    if match["month"]:
        days = _calendar(year, int(match["month"]), int(match["day"]))
    elif match["ordinal"]:
        days = _ordinal(year, int(match["ordinal"]))
    else:
        days = _week(year, int(match["week"]), int(match["weekday"]))
    clock = _clock_ms(match["hour"], match["minute"], match["second"], match["fraction"])
    if days is None or clock is None:
        return None
    return _in_zone(days * 86_400_000 + clock, match["zone"])


def _of_compact(match: re.Match[str]) -> Zoneless | None:
    days = _calendar(int(match[1]), int(match[2]), int(match[3]))
    clock = _clock_ms(match[4], match[5], match[6], None)
    return Zoneless(days * 86_400_000 + clock) if days is not None and clock is not None else None


def _of_named(match: re.Match[str]) -> int | Zoneless | None:
    month = (match["month"] or match["month2"]).lower()
    year, other_year = match["year"], match["year2"]
    if month not in _MONTHS or bool(year) is bool(other_year):
        return None
    day = int(match["day"] or match["day2"])
    days = _calendar(int(year or other_year), _MONTHS.index(month) + 1, day)
    clock = _clock_ms(match["hour"], match["minute"], match["second"], None)
    if days is None or clock is None:
        return None
    return _in_zone(days * 86_400_000 + clock, match["zone"] + match["rest"])


def _in_zone(ms: int, zone: str) -> int | Zoneless | None:
    """Return the time that a clock in the zone, given as text, shows as ``ms``."""
    match = _ZONE.fullmatch(zone)
    if match is None:
        return None
    if match["utc"]:
        return ms
    if match["sign"]:
        hours, minutes, seconds = (
            int(match[name] or 0) for name in ("hours", "minutes", "seconds")
        )
        if hours > 23 or minutes > 59 or seconds > 59:
            return None
        offset = (hours * 3600 + minutes * 60 + seconds) * 1000
        return ms - offset if match["sign"] == "+" else ms + offset
    return _in_named_zone(Zoneless(ms), match["brackets"].strip("[]").partition("][")[0])


def _in_named_zone(moment: Zoneless, name: str) -> int | Zoneless:
    """Return the instant in a zone of the IANA database; the same time for an unknown zone."""
    if name in _UTC_NAMES:
        return moment.ms
    if not name or "=" in name:
        return moment
    from datetime import datetime, timedelta  # takes 3 ms, and few files need it
    from zoneinfo import ZoneInfo

    try:
        there = datetime(1970, 1, 1, tzinfo=ZoneInfo(name)) + timedelta(milliseconds=moment.ms)
        offset = there.utcoffset()
    except (KeyError, ValueError, OSError, OverflowError):  # a KeyError for an unknown zone
        return moment
    return moment.ms - offset // timedelta(milliseconds=1) if offset is not None else moment


# -- dates and clocks -----------------------------------------------------------------------


def _clock_ms(
    hour: str | int, minute: str | int | None, second: str | int | None, fraction: str | int | None
) -> int | None:
    """Return the time of day in milliseconds; the fraction is one of the last unit given."""
    hours, minutes, seconds = int(hour), int(minute or 0), int(second or 0)
    if hours > 24 or minutes > 59 or seconds > 60 or min(hours, minutes, seconds) < 0:
        return None
    if hours == 24 and (minutes or seconds):
        return None
    ms = (hours * 3600 + minutes * 60 + seconds) * 1000
    if fraction:
        digits = str(fraction)[:15]
        unit_ms = 1000 if second is not None else 60_000 if minute is not None else 3_600_000
        ms += int(digits) * unit_ms // 10 ** len(digits)
    return ms


def _calendar(year: int, month: int, day: int) -> int | None:
    """Return the days since 1970 of a date in the Gregorian calendar; ``None`` if it is none."""
    if not (1 <= year <= 9999 and 1 <= month <= 12 and 1 <= day <= 31):
        return None
    days = days_before(year, month) + day
    next_month = (year, month + 1) if month < 12 else (year + 1, 1)
    return days if days <= days_before(*next_month) else None


def _ordinal(year: int, day: int) -> int | None:
    days = days_before(year, 1) + day
    return days if year and 1 <= day and days <= days_before(year + 1, 1) else None


def _week(year: int, week: int, weekday: int) -> int | None:
    if not (year and 1 <= week <= 53):
        return None
    fourth = days_before(year, 1) + 4  # 4 January is in week 1
    monday = fourth - (fourth + 3) % 7  # 1970-01-01, day 1 here, was a Thursday
    return monday + (week - 1) * 7 + weekday - 1
