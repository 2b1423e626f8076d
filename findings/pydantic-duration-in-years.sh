#!/usr/bin/env bash
# pydantic writes a long timedelta in years, which others read in another way.
#
# Guess: timedelta(days=400) becomes the JSON string "P400D", because a timedelta
# knows days and seconds only.
#
# Seen with pydantic 2.14.4: it becomes "P1Y35D", where a year is 365 days.
# pydantic reads it back. msgspec 0.22.0 refuses it. isodate 0.7.2 returns a
# calendar duration, not a timedelta: from a date in a leap year it is 401 days.
#
#   pydantic writes "P1Y35D"
#   pydantic reads 400 days
#   msgspec reads: refused
#   isodate reads a Duration; 2024-01-01 plus it is 2025-02-05, 401 days later
#
# Why it matters: retention times and time limits over a year cross a process
# border as such strings. The reader fails or is a day off, but only for values of
# 365 days and more, which tests seldom have. Send seconds
# (ser_json_timedelta="float") between different libraries.

set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check pydantic==2.14.4 msgspec==0.22.0 isodate==0.7.2
"$work/venv/bin/python" - <<'EOF'
import sys
from datetime import datetime, timedelta

import isodate
import msgspec
from pydantic import TypeAdapter


def check(what, seen, expected):
    print(f"{what}: {seen!r}")
    if seen != expected:
        sys.exit(f"the behaviour changed, expected {expected!r}")


duration = TypeAdapter(timedelta)
text = duration.dump_json(timedelta(days=400))
check("pydantic writes", text, b'"P1Y35D"')
check("pydantic writes 364 days", duration.dump_json(timedelta(days=364)), b'"P364D"')
check("pydantic reads", duration.validate_json(text), timedelta(days=400))

try:
    msgspec.json.decode(text, type=timedelta)
    seen = "accepted"
except msgspec.ValidationError as error:
    print(error)
    seen = "refused"
check("msgspec reads", seen, "refused")
check("msgspec writes", msgspec.json.encode(timedelta(days=400)), b'"P400D"')

read = isodate.parse_duration("P1Y35D")
check("isodate returns a timedelta", isinstance(read, timedelta), False)
start = datetime(2024, 1, 1)
check("isodate adds in days", (start + read - start).days, 401)
EOF
