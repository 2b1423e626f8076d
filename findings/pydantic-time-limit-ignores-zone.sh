#!/usr/bin/env bash
# A limit on a datetime in pydantic compares clock readings when one has no zone.
#
# Guess: a field `at: datetime` with `gt` set to a time without zone refuses a
# time with a zone: Python cannot compare the two, so there is a validation error.
# If they were compared after all, the time without zone would count as UTC.
#
# Seen with pydantic 2.14.4: they are compared, and the zone is ignored. A time
# before the limit in UTC passes and a later one is refused.
#
#   limit > 2024-01-01T00:00:00
#   2024-01-01T00:30:00+01:00, which is 23:30 UTC of the day before: accepted
#   2023-12-31T23:30:00-01:00, which is 00:30 UTC of that day: refused
#   in Python itself: TypeError
#
# The same happens with a limit that has a zone and a value that has none.
#
# Why it matters: the limit holds in tests, where all times are in UTC, and is wrong
# by hours for a client elsewhere. Require a zone with AwareDatetime.

set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check pydantic==2.14.4
"$work/venv/bin/python" - <<'EOF'
import sys
from datetime import datetime, timedelta, timezone
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError


def check(what, seen, expected):
    print(f"{what}: {seen!r}")
    if seen != expected:
        sys.exit(f"the behaviour changed, expected {expected!r}")


def after(limit, text):
    try:
        TypeAdapter(Annotated[datetime, Field(gt=limit)]).validate_json(f'"{text}"')
        return "accepted"
    except ValidationError as error:
        return error.errors()[0]["type"]


no_zone = datetime(2024, 1, 1)
early, late = "2024-01-01T00:30:00+01:00", "2023-12-31T23:30:00-01:00"
check(f"{early} after {no_zone}", after(no_zone, early), "accepted")
check(f"{late} after {no_zone}", after(no_zone, late), "greater_than")

berlin = no_zone.replace(tzinfo=timezone(timedelta(hours=1)))
check(f"2023-12-31T23:30:00 after {berlin}", after(berlin, "2023-12-31T23:30:00"), "greater_than")
check(f"2024-01-01T00:30:00 after {berlin}", after(berlin, "2024-01-01T00:30:00"), "accepted")

# With zones on both sides the instants are compared.
utc = no_zone.replace(tzinfo=timezone.utc)
check(f"{early} after {utc}", after(utc, early), "greater_than")
check(f"{late} after {utc}", after(utc, late), "accepted")

try:
    datetime.fromisoformat(early) > no_zone
    seen = "compared"
except TypeError:
    seen = "TypeError"
check("in Python itself", seen, "TypeError")
EOF
