"""Durations and times: one rule for each option, setting and query key that takes one."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jobctl._stdlib import import_module
from jobctl.cli.commands import COMMANDS
from jobctl.cli.common import moment
from jobctl.cli.light.parser import parameters_of
from jobctl.cli.local_time import local_ms
from jobctl.cli.options import Option
from jobctl.core import transitions as jobs
from jobctl.core.pipeline import parse_types
from jobctl.core.protocol import parse_query
from jobctl.core.times import to_ms, to_text
from jobctl.errors import UsageError
from jobctl.hub.log_api import LogQuery
from jobctl.stores import open_store
from tests.cli.conftest import Run

NO_HUB = "ws://127.0.0.1:1"

LINES = {
    ("cancel", "--timeout"): ["cancel", "nobody"],
    ("logs", "--since"): ["logs", "done"],
    ("ls", "--since"): ["ls"],
    ("ls", "--until"): ["ls"],
    ("prune", "--older-than"): ["prune", "--dry-run"],
    ("run", "--grace"): ["run", "--", "true"],
    ("run", "--timeout"): ["run", "--", "true"],
    ("serve", "--prune-older-than"): ["serve", "--unix", "/nowhere/jobctl.sock"],
    ("stats", "--since"): ["stats"],
    ("stats", "--until"): ["stats"],
    ("wait", "--timeout"): ["wait", "done"],
    ("watch", "--since"): ["watch", "done"],
    ("watch", "--timeout"): ["watch", "done", "--url", NO_HUB],
}
"""Each option that takes a duration or a time, with a command line that ends by itself."""
ELSEWHERE = {("token", "--expires")}
"""Those that one command line cannot be repeated for: test_expiry_is_a_duration."""

SETTINGS = ("stalled-after", "eta", "expect-every", "grace")

VALUES = ["1", "0.5", "1s"]
"""Durations without a unit are seconds, everywhere."""
WRONG = ["1x", "1 s", "-1", "", "1m1h", "1e3"]


def _options() -> dict[tuple[str, str], Option]:
    found = {}
    for command, module in COMMANDS.items():
        function = getattr(import_module(f"jobctl.cli.{module}"), module)
        for one in parameters_of(function):
            if isinstance(one.about, Option) and one.about.metavar in ("DURATION", "TIME"):
                found[command, one.about.flags_of(one.name)[-1]] = one.about
    return found


def test_each_option_is_in_the_table() -> None:
    """A new one has to be entered in `LINES`."""
    assert set(LINES) | ELSEWHERE == set(_options())


@pytest.fixture
def done(run: Run, jobs_dir: Path) -> None:
    """A job that has completed."""
    run("create", "etl", "--id", "done")
    run("complete", "done")


def _line(key: tuple[str, str], value: str) -> list[str]:
    command, *rest = LINES[key]
    return [command, f"{key[1]}={value}", *rest]


@pytest.mark.slow
@pytest.mark.parametrize("key", sorted(LINES))
def test_numbers_without_a_unit_are_seconds(run: Run, done: None, key: tuple[str, str]) -> None:
    """As all other durations, and all else is refused in the same words."""
    for value in VALUES:
        ran = run(*_line(key, value))
        assert ran.code != 2, (value, ran.err)
        assert "is no " not in ran.err
    for value in WRONG:
        ran = run(*_line(key, value))
        assert ran.code == (125 if key[0] == "run" else 2), value
        assert f"{key[1]}: '{value}' is no {'time' if _is_time(key) else 'duration'}" in ran.err


def test_expiry_is_a_duration(run: Run, tmp_path: Path) -> None:
    """By the same rule, in ``jobctl token new --expires``."""
    place = ["--token-file", str(tmp_path / "tokens")]
    for number, value in enumerate(VALUES):
        assert run("token", "new", f"ops{number}", "view", "--expires", value, *place).code == 0
    for value in WRONG:
        ran = run("token", "new", "other", "view", f"--expires={value}", *place)
        assert ran.code == 2
        assert f"--expires: '{value}' is no duration" in ran.err


def _is_time(key: tuple[str, str]) -> bool:
    return _options()[key].metavar == "TIME"


@pytest.mark.parametrize("key", SETTINGS)
@pytest.mark.parametrize(
    ("value", "ms"), [(10, 10_000), ("10", 10_000), ("10s", 10_000), ("0.5", 500), (0.5, 500)]
)
def test_settings_have_the_same_rule(key: str, value: Any, ms: int) -> None:
    """As numbers of the file, and as texts."""
    table = {"stages": ["a"], "expect-every": "1d", key: value}
    pipeline = parse_types({"etl": (table, "file")})["etl"]
    found = {
        "stalled-after": pipeline.stalled_after_ms,
        "eta": pipeline.eta_ms,
        "expect-every": pipeline.expect_every_ms,
        "grace": pipeline.grace_ms,
    }
    assert found[key] == ((ms, ms) if key == "eta" else ms)
    with pytest.raises(UsageError, match=f"{key}: '10x' is no duration"):
        parse_types({"etl": ({**table, key: "10x"}, "file")})


@pytest.mark.parametrize(
    ("parse", "same"),
    [
        (lambda text: parse_query(f"ended={text}"), True),
        (lambda text: LogQuery({"since": text}, 1_000_000_000_000).since_ms, True),
    ],
)
def test_queries_of_a_hub_have_the_same_rule(parse: Callable[[str], object], same: bool) -> None:
    """The clients send what has no unit, too."""
    assert (parse("10") == parse("10s")) is same
    with pytest.raises(UsageError, match="'10x' is no "):
        parse("10x")


def test_query_of_a_hub_has_no_local_time() -> None:
    """A hub may be in another zone: the client converts."""
    assert LogQuery({"since": "2026-11-23"}, 0).since_ms == to_ms("2026-11-23T00:00:00Z")
    with pytest.raises(UsageError, match="write 10m"):
        LogQuery({"since": "2026-11-23T09:30"}, 0)


# -- local times --------------------------------------------------------------------------------


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Sets the local zone for a test."""
    before = os.environ.get("TZ")

    def set_zone(name: str) -> None:
        os.environ["TZ"] = name
        time.tzset()

    yield set_zone
    if before is None:
        os.environ.pop("TZ", None)
    else:
        os.environ["TZ"] = before
    time.tzset()


BERLIN = "CET-1CEST,M3.5.0,M10.5.0/3"
SAMOA = "Pacific/Apia"


@pytest.mark.parametrize(
    ("name", "text", "since", "until"),
    [
        ("UTC0", "2026-11-23", "2026-11-23T00:00:00Z", ""),
        (BERLIN, "2026-11-23", "2026-11-22T23:00:00Z", ""),
        (BERLIN, "2026-07-23T09:30", "2026-07-23T07:30:00Z", ""),
        ("EST5", "2026-11-23 09:30", "2026-11-23T14:30:00Z", ""),
        ("IST-5:30", "2026-11-23", "2026-11-22T18:30:00Z", ""),
        # 29 March 2026: 02:00 is followed by 03:00
        (BERLIN, "2026-03-29T01:59:59", "2026-03-29T00:59:59Z", ""),
        (BERLIN, "2026-03-29T02:00", "2026-03-29T01:00:00Z", ""),
        (BERLIN, "2026-03-29T02:30", "2026-03-29T01:00:00Z", ""),
        (BERLIN, "2026-03-29T03:00", "2026-03-29T01:00:00Z", ""),
        (BERLIN, "2026-03-29T03:00:01", "2026-03-29T01:00:01Z", ""),
        # 25 October 2026: 03:00 is followed by 02:00
        (BERLIN, "2026-10-25T01:59", "2026-10-24T23:59:00Z", ""),
        (BERLIN, "2026-10-25T02:00", "2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z"),
        (BERLIN, "2026-10-25T02:30", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"),
        (BERLIN, "2026-10-25T03:00", "2026-10-25T02:00:00Z", ""),
        # half an hour, and a zone in which midnight itself is skipped
        ("LHST-10:30LHDT-11,M10.1.0,M4.1.0", "2026-10-04T02:15", "2026-10-03T15:30:00Z", ""),
        ("XXX3YYY,M10.3.0/0,M2.3.0/0", "2026-10-18", "2026-10-18T03:00:00Z", ""),
        # a day that did not exist
        (SAMOA, "2011-12-30", "2011-12-30T10:00:00Z", ""),
        (SAMOA, "2011-12-31", "2011-12-30T10:00:00Z", ""),
    ],
)
def test_time_without_a_zone_is_local(
    zone: Callable[[str], None], name: str, text: str, since: str, until: str
) -> None:
    """Skipped times are the moment of the change; of two, --until means the second."""
    if name == SAMOA and not Path("/usr/share/zoneinfo", name).exists():
        pytest.skip("no time zones here")
    zone(name)
    assert moment(text, "--since") == to_ms(since)
    assert moment(text, "--until") == to_ms(until or since)
    assert moment(f"{text[:10]}T09:30Z", "--since") == to_ms(f"{text[:10]}T09:30:00Z")


def test_local_time_is_what_time_format_local_shows(
    zone: Callable[[str], None], run: Run, jobs_dir: Path
) -> None:
    """What ls prints may be given back: the job is within, and before it is not."""
    zone(BERLIN)
    store = open_store(jobs_dir, create=True)
    store.create(jobs.create("etl", now="2026-11-23T23:30:00.500Z", id="a"))
    store.close()
    at = run("ls", "--time-format", "local", "--no-headers").out.split("  ")[-1].strip()
    assert at == "2026-11-24 00:30:00+0100"
    shown = at.removesuffix("+0100")
    assert run("ls", "-q", "--since", shown).out == "a\n"
    assert run("ls", "-q", "--until", shown).out == ""
    assert run("ls", "-q", "--since", at).out == "a\n"
    assert run("ls", "-q", "--since", "2026-11-24").out == "a\n"
    assert run("ls", "-q", "--since", "2026-11-24T00:30Z").out == ""


def test_every_reading_is_found_again(zone: Callable[[str], None]) -> None:
    """All times of the two days at which the clock changes are where they were."""
    zone(BERLIN)
    for day in ("2026-03-29", "2026-10-25"):
        start = to_ms(f"{day}T00:00:00Z") - 7_200_000
        for ms in range(start, start + 90_000_000, 600_000):
            reading = ms + time.localtime(ms // 1000).tm_gmtoff * 1000
            assert ms in (local_ms(reading), local_ms(reading, last=True)), to_text(ms)
