#!/usr/bin/env bash
# When clocks go back, one cron line runs once or twice, depending on the library.
#
# Guess: "30 2 * * *" runs once in the night in which 02:30 comes twice, as cron does
# it for a line with a fixed hour and minute.
#
# Seen in Europe/Berlin on 2024-10-27:
#
#   croniter 7.0.0       02:30+02:00 and 02:30+01:00: twice
#   APScheduler 3.11.3   02:30+02:00 and 02:30+01:00: twice
#   cronsim 2.8          02:30+02:00: once
#
# In the night in which 02:30 is left out (2024-03-31) they differ as well: croniter
# and cronsim run at 03:00+02:00, right after the gap, APScheduler at 03:30+02:00,
# given as the time 02:30+01:00, which no clock shows.
#
# Why it matters: a nightly bill, report or clean-up runs twice on one day of the
# year, and a monitor that computes the expected runs with another library than the
# scheduler reports a run too many or a missed one. Schedule in UTC, or outside the
# hours 02:00 to 03:00.

set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check croniter==7.0.0 cronsim==2.8 apscheduler==3.11.3 tzdata==2026.6
"$work/venv/bin/python" - <<'EOF'
import sys
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from apscheduler.triggers.cron import CronTrigger
from croniter import croniter
from cronsim import CronSim


def check(what, seen, expected):
    print(f"{what}: {seen!r}")
    if seen != expected:
        sys.exit(f"the behaviour changed, expected {expected!r}")


LINE = "30 2 * * *"
BERLIN = ZoneInfo("Europe/Berlin")


def by_croniter(start):
    runs = croniter(LINE, start)
    return [runs.get_next(datetime) for _ in range(3)]


def by_cronsim(start):
    runs = CronSim(LINE, start)
    return [next(runs) for _ in range(3)]


def by_apscheduler(start):
    trigger = CronTrigger.from_crontab(LINE, timezone=BERLIN)
    runs, now = [], start
    for _ in range(3):
        runs.append(trigger.get_next_fire_time(runs[-1] if runs else None, now))
        # The scheduler asks again a moment after the run, by a clock that knows the fold.
        moment = runs[-1].astimezone(timezone.utc) + timedelta(milliseconds=5)
        now = moment.astimezone(BERLIN)
    return runs


def on_day(runs, day):
    return [run.isoformat()[11:] for run in runs if run.date() == day]


autumn = datetime(2024, 10, 26, 12, tzinfo=BERLIN)
day = datetime(2024, 10, 27).date()
check("croniter, autumn", on_day(by_croniter(autumn), day), ["02:30:00+02:00", "02:30:00+01:00"])
check("APScheduler, autumn", on_day(by_apscheduler(autumn), day), ["02:30:00+02:00", "02:30:00+01:00"])
check("cronsim, autumn", on_day(by_cronsim(autumn), day), ["02:30:00+02:00"])

spring = datetime(2024, 3, 30, 12, tzinfo=BERLIN)
day = datetime(2024, 3, 31).date()
check("croniter, spring", on_day(by_croniter(spring), day), ["03:00:00+02:00"])
check("APScheduler, spring", on_day(by_apscheduler(spring), day), ["02:30:00+01:00"])
check("cronsim, spring", on_day(by_cronsim(spring), day), ["03:00:00+02:00"])
EOF
