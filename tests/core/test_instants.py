"""Instants: every form of a time that is seen in job files."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.core.instants import FIRST_MS, LAST_MS, MAX_AGE_MS, Zone, Zoneless, read_time, zone_of
from jobctl.core.times import to_ms, to_text

T = to_ms("2026-11-28T05:21:46.000Z")
BERLIN_S = 3600


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process in Berlin, where clocks are ahead of UTC by one hour in winter."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("value", "ms"),
    [
        ("2026-11-28T05:21:46Z", T),
        ("2026-11-28t05:21:46z", T),
        ("2026-11-28 05:21:46Z", T),
        ("  2026-11-28T05:21:46Z\n", T),
        ("2026-11-28T05:21:46.123Z", T + 123),
        ("2026-11-28T05:21:46,123Z", T + 123),
        ("2026-11-28T05:21:46.1Z", T + 100),
        ("2026-11-28T05:21:46.123456789012Z", T + 123),
        ("2026-11-28T05:21Z", T - 46_000),
        ("2026-11-28T05:21.5Z", T - 16_000),
        ("2026-11-28T05Z", T - 46_000 - 21 * 60_000),
        ("2026-11-28T06:21:46+01", T),
        ("2026-11-28T06:21:46+0100", T),
        ("2026-11-28T06:21:46+01:00", T),
        ("2026-11-28T06:21:46+01:00:00", T),
        ("2026-11-28 06:21:46 +0100", T),
        ("2026-11-28 05:21:46 +0000", T),
        ("2026-11-28 05:21:46 UTC", T),
        ("2026-11-28 05:21:46 GMT", T),
        ("2026-11-28T05:21:46-00:00", T),
        ("2026-11-28T00:21:46\u221205:00", T),
        ("2026-11-28T10:51:46+05:30", T),
        ("2026-11-28T06:21:46+01:00[Europe/Berlin]", T),
        ("2026-11-28T06:21:46[Europe/Berlin]", T),
        ("2026-11-28T05:21:46Z[UTC][u-ca=iso8601]", T),
        ("2026-11-28T05:21:46[UTC]", T),
        ("20261128T052146Z", T),
        ("20261128T052146.123Z", T + 123),
        ("2026-332T05:21:46Z", T),
        ("2026332T052146Z", T),
        ("2026-W48-6T05:21:46Z", T),
        ("2026W486T052146Z", T),
        ("+002026-11-28T05:21:46Z", T),
        ("2026-11-28T05:21:60Z", T + 14_000),
        ("2026-11-27T24:00:00Z", T - 46_000 - 21 * 60_000 - 5 * 3_600_000),
        ("2026-11-28 06:21:46.5 +0100 CET m=+0.000012", T + 500),
        ("Sat, 28 Nov 2026 06:21:46 +0100", T),
        ("Sat, 28 Nov 2026 05:21:46 GMT", T),
        ("Sat Nov 28 05:21:46 UTC 2026", T),
        ("Sat Nov 28 2026 06:21:46 GMT+0100 (Central European Standard Time)", T),
        (T // 1000, T),
        (T / 1000 + 0.123, T + 123),
        (T, T),
        (T * 1000, T),
        (T * 1_000_000, T),
        (float(T), T),
        (str(T // 1000), T),
        (f"{T // 1000}.123456789", T + 123),
        (f"/Date({T})/", T),
        (f"/Date({T}+0100)/", T),
        ([T // 1000], T),
        ({"$date": "2026-11-28T05:21:46Z"}, T),
        ({"date": "2026-11-28 06:21:46.0", "timezone_type": 1, "timezone": "+01:00"}, T),
        ({"date": "2026-11-28 06:21:46.0", "timezone_type": 3, "timezone": "Europe/Berlin"}, T),
        ({"date": "2026-11-28 05:21:46.0", "timezone_type": 3, "timezone": "UTC"}, T),
    ],
)
def test_a_time_with_a_zone_is_an_instant(value: object, ms: int) -> None:
    """Whatever the form, and to the millisecond."""
    assert read_time(value) == ms


@pytest.mark.parametrize(
    "value",
    [
        "2026-11-28T05:21:46",
        "2026-11-28 05:21:46",
        "2026-11-28 05:21:46.000000",
        "2026/11/28 05:21:46",
        "20261128T052146",
        "20261128052146",
        "2026-11-28 05:21:46 CET",
        "2026-11-28T05:21:46[Middle/Earth]",
        "2026-11-28T05:21:46[u-ca=iso8601]",
        "Sat Nov 28 05:21:46 2026",
        "Sat Nov 28 05:21:46 CET 2026",
        "28-Nov-2026 05:21:46",
        [2026, 11, 28, 5, 21, 46],
        [2026, 11, 28, 5, 21, 46, 999_999],
        {"date": "2026-11-28 05:21:46.0", "timezone_type": 2, "timezone": "CET?"},
    ],
)
def test_a_time_without_a_zone_is_what_the_clock_showed(value: object) -> None:
    """An abbreviation has several meanings, and an unknown name none."""
    assert read_time(value) == Zoneless(T)


@pytest.mark.parametrize(
    "value",
    [
        None, True, False, "", "yesterday", "2026-11-28", "2026-02-30T00:00:00Z",
        "2026-02-29T00:00:00Z", "2026-04-31T00:00:00Z", "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z", "2026-366T00:00:00Z", "2026-W54-1T00:00:00Z",
        "2026-11-28T25:00:00Z", "2026-11-28T24:00:01Z", "2026-11-28T05:60:00Z",
        "2026-11-28T05:21:61Z", "2026-11-28T05:21:46+24:00", "2026-11-28T05:21:46+01:60",
        "2026-11-28 05:21:46 PM", "2026-11-28 05:21:46 whenever", "11/28/2026 05:21:46",
        "0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "1970-12-31T23:59:59.999Z",
        "9999-12-31T23:59:59.9999999Z", "0001-01-01T00:00:00", "9999-12-31T23:59:59",
        "٢٠٢٦-11-28T05:21:46Z", "Sat Foo 28 05:21:46 2026", "Sat Feb 30 05:21:46 2026",
        0, -1, 1e300, 10**30, float("nan"), float("inf"), "0", "20261128", "x" * 10_000,
        [], [1, 2], [2026, 2, 30, 0, 0], [2026, 11, 28, 5, "21"], {}, {"date": 3}, {"$date": None},
        "/Date(x)/", "/Date(-62135596800000)/",
    ],
)  # fmt: skip
def test_what_is_no_time_is_none(value: object) -> None:
    """Nonsense, days that no calendar has, and what languages write for no time."""
    assert read_time(value) is None


_instants = st.integers(FIRST_MS + 86_400_000, LAST_MS - 86_400_001)


@given(_instants, st.integers(-23 * 60 - 59, 23 * 60 + 59))
def test_every_offset_is_read(ms: int, minutes: int) -> None:
    """As the standard library writes it, with and without a colon."""
    there = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=ms)
    there = there.astimezone(timezone(timedelta(minutes=minutes)))
    assert read_time(there.isoformat()) == ms
    assert read_time(str(there)) == ms
    seconds = ms // 1000 * 1000
    assert read_time(there.strftime("%Y-%m-%dT%H:%M:%S%z")) == seconds
    assert read_time(there.strftime("%a, %d %b %Y %H:%M:%S %z")) == seconds


@given(_instants)
def test_each_kind_of_date_is_read(ms: int) -> None:
    """Calendar, ordinal and week dates, as the standard library knows them."""
    there = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=ms)
    clock = to_text(ms)[10:]
    week = there.isocalendar()
    assert read_time(to_text(ms)) == ms
    assert read_time(f"{there.year:04d}-{there.timetuple().tm_yday:03d}{clock}") == ms
    if 1 <= week.year <= 9999:
        assert read_time(f"{week.year:04d}-W{week.week:02d}-{week.weekday}{clock}") == ms


@given(st.integers(100_000_000_000, 4_102_444_800_000))
def test_the_magnitude_of_a_number_tells_its_unit(ms: int) -> None:
    """From 1973 to 2100, with every fraction."""
    assert read_time(ms) == read_time(ms * 1000 + 999) == read_time(ms * 10**6 + 999_999) == ms
    assert read_time(ms / 1000) == ms
    assert read_time(ms // 1000) == ms // 1000 * 1000


@given(st.text() | st.text("0123456789-:TZ+., []W/", max_size=40))
def test_any_text_is_read_or_is_no_time(text: str) -> None:
    """No text raises an error."""
    found = read_time(text)
    assert found is None or FIRST_MS <= (found if isinstance(found, int) else found.ms) < LAST_MS


# -- times without a zone -------------------------------------------------------------------


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize("age_ms", [0, 1000, MAX_AGE_MS, -1000])
@pytest.mark.parametrize("offset_s", [0, BERLIN_S])
def test_the_zone_is_that_in_which_the_file_was_just_written(age_ms: int, offset_s: int) -> None:
    """Up to 15 minutes before; or two seconds after, for file systems that count coarsely."""
    shown = Zoneless(T + offset_s * 1000)
    zone = zone_of(shown, T + age_ms)
    assert (zone.offset_s, zone.instant(shown)) == (offset_s, T)


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize("file_ms", [None, T + MAX_AGE_MS + 1, T - 2001, T + 86_400_000])
def test_the_zone_is_the_local_one_otherwise(file_ms: int | None) -> None:
    """Also without a modification time."""
    zone = zone_of(Zoneless(T + BERLIN_S * 1000), file_ms)
    assert (zone.offset_s, zone.basis) == (BERLIN_S, "the local zone")


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize("offset_s", [3600, 7200])
def test_an_hour_that_comes_twice_is_the_one_in_which_the_file_was_written(offset_s: int) -> None:
    """At the end of summer time."""
    shown = Zoneless(to_ms("2026-10-25T02:30:00.000Z"))
    instant = shown.ms - offset_s * 1000
    assert zone_of(shown, instant + 1000).offset_s == offset_s


@pytest.mark.usefixtures("berlin")
def test_an_hour_that_never_comes_has_an_offset_all_the_same() -> None:
    """At the beginning of summer time: some programs compute such times."""
    assert zone_of(Zoneless(to_ms("2026-03-29T02:30:00.000Z")), None).offset_s in (3600, 7200)


def test_a_zone_is_named_by_its_offset() -> None:
    """For remarks."""
    names = [str(Zone(offset, "")) for offset in (0, 3600, -12_600)]
    assert names == ["UTC", "UTC+01:00", "UTC-03:30"]
