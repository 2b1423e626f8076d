"""Times: one form written, the forms of others read."""

from __future__ import annotations

import re
import time
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl._clock import now
from jobctl.core import times


def test_times_are_written_as_javascript_writes_them() -> None:
    """Milliseconds always, and a Z."""
    assert times.to_text(1_700_000_000_123) == "2023-11-14T22:13:20.123Z"
    assert times.to_text(0) == "1970-01-01T00:00:00.000Z"
    assert times.to_text(1_700_000_000_000) == "2023-11-14T22:13:20.000Z"


@given(st.integers(0, 253_402_300_799_999))
def test_what_is_written_is_read_back(ms: int) -> None:
    """Through the year 9999, to the millisecond."""
    assert times.to_ms(times.to_text(ms)) == ms


@given(st.dates(), st.times())
def test_days_are_counted_as_the_standard_library_counts_them(day: date, at: time_of_day) -> None:
    """From the year 1 on, leap years and all."""
    moment = datetime.combine(day, at, UTC)
    text = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert times.to_ms(text) == (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(
        milliseconds=1
    )


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000Z"),
        ("2026-01-01T00:00:00.5Z", "2026-01-01T00:00:00.500Z"),
        ("2026-01-01T00:00:00.123456789Z", "2026-01-01T00:00:00.123Z"),
        ("2026-01-01T01:30:00+01:30", "2026-01-01T00:00:00.000Z"),
        ("2025-12-31T19:00:00-05:00", "2026-01-01T00:00:00.000Z"),
    ],
)
def test_other_precisions_and_offsets_are_read(text: str, same: str) -> None:
    """A foreign file may write its times otherwise."""
    assert times.to_ms(text) == times.to_ms(same)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "soon",
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00.000+01:00",
        "1970-01-01T00:00:00.000Z",
        "1970-12-31T23:59:59.999Z",
        "9999-12-31T23:59:59.9999999Z",
        "9999-12-31T23:59:59-12:00",
    ],
)
def test_a_time_that_stands_for_none_is_none(text: str | None) -> None:
    """FAULTS row 68: the smallest and the greatest time of a language, and the start of Unix."""
    assert times.known_ms(text) is None


@pytest.mark.parametrize("text", ["1971-01-01T00:00:00Z", "2026-01-01T00:00:00Z"])
def test_any_other_time_is_known(text: str) -> None:
    """As `to_ms` has it."""
    assert times.known_ms(text) == times.to_ms(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2026-01-01",
        "2026-01-01T00:00:00",
        "0000-01-01T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-01-32T00:00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:60:00Z",
        "2026-01-01T00:00:00Z\n",
        "٢٠٢٦-01-01T00:00:00Z",
    ],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    """No zone, no such day, no such hour, digits of other scripts, a line after it."""
    with pytest.raises(ValueError, match="not an ISO 8601 time"):
        times.to_ms(text)


def test_now_is_the_wall_clock() -> None:
    """Between two readings of the system's own."""
    before = time.time_ns() // 1_000_000
    text = now()
    assert before <= times.to_ms(text) <= time.time_ns() // 1_000_000
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("90", 90),
        ("0.5", 0.5),
        ("90s", 90),
        ("5m", 300),
        ("1.5h", 5400),
        ("1h30m", 5400),
        ("2d", 172_800),
        ("2w1d", 15 * 86_400),
        ("1d2h3m4s", 93_784),
        ("36500d", 3_153_600_000),
    ],
)
def test_durations_are_read_as_people_write_them(text: str, seconds: float) -> None:
    """Units from the largest to the smallest; plain numbers are seconds."""
    assert times.parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", " ", "m", "5x", "5 m", "-5m", "+5", "5m1h", "5m5m", "1e3", "inf", "nan", "٥m", "5m\n",
     "36501d", "9" * 400, ".5", "1.m", "5M"],
)  # fmt: skip
def test_what_is_no_duration_is_refused(text: str) -> None:
    """Neither guessed at nor infinite."""
    with pytest.raises(ValueError, match=r"is no duration|over a hundred years"):
        times.parse_duration(text)


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("10m", 1_000_000_000_000 - 600_000),
        ("0s", 1_000_000_000_000),
        ("1.5s", 1_000_000_000_000 - 1500),
        ("2026-11-23", 1_795_392_000_000),
        ("2026-11-23T09:30Z", 1_795_392_000_000 + 34_200_000),
        ("2026-11-23 09:30:00Z", 1_795_392_000_000 + 34_200_000),
        ("2026-11-23t09:30:00.250z", 1_795_392_000_000 + 34_200_250),
        ("2026-11-23T10:30:00+01:00", 1_795_392_000_000 + 34_200_000),
        ("2026-11-23 10:30:00+0100", 1_795_392_000_000 + 34_200_000),
        ("10", 1_000_000_000_000 - 10_000),
        ("0.5", 1_000_000_000_000 - 500),
        ("9999999", 1_000_000_000_000 - 9_999_999_000),
        ("@1795426200", 1_795_426_200_000),
        ("@0.5", 500),
    ],
)
def test_moments_are_read_as_people_write_them(text: str, ms: int) -> None:
    """A duration ago, a date, RFC 3339, seconds since 1970; a plain number is seconds."""
    assert times.parse_moment(text, 1_000_000_000_000) == ms


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "20261123", "1795426200", "2026-11-23T09:30", "10 m", "-5m", "@", "@x"],
)
def test_what_is_no_moment_is_refused(text: str) -> None:
    """With the ways in which one is written."""
    with pytest.raises(ValueError, match="write 10m"):
        times.parse_moment(text, 0)


@pytest.mark.parametrize(
    ("text", "reading"),
    [
        ("2026-11-23", "2026-11-23T00:00:00Z"),
        ("2026-11-23T09:30", "2026-11-23T09:30:00Z"),
        (" 2026-11-23 09:30:05.25", "2026-11-23T09:30:05.25Z"),
    ],
)
def test_moment_without_a_zone_is_local_where_the_zone_is_known(text: str, reading: str) -> None:
    """All else has a zone, or none at all."""
    assert times.parse_moment(text, 0, of_local=lambda ms: ms + 1) == times.to_ms(reading) + 1
    for other in ("10m", "2026-11-23T09:30Z", "2026-11-23T09:30+01:00", "@7", "10"):
        assert times.parse_moment(other, 0, of_local=lambda ms: ms + 1) == times.parse_moment(
            other, 0
        )
    for wrong in ("2026-02-30", "2026-11-23T25:00", "2026-11-23T9:30", "09:30"):
        with pytest.raises(ValueError, match=r"or 2026-11-23T09:30$"):
            times.parse_moment(wrong, 0, of_local=lambda ms: ms)
