#!/usr/bin/env bash
# Typer's datetime option is with or without a zone, as the user types it.
#
# Guess: an option of the type datetime takes the three forms in its help text, all
# without a zone, and refuses "2024-01-01T00:00:00Z".
#
# Seen with typer 0.29.2: the zone is accepted, and so are numbers, as seconds since
# 1970 in UTC. The program gets a datetime with a zone for some input and without
# one for other input.
#
#   2024-01-01T00:00:00      datetime without zone
#   2024-01-01T00:00:00Z     datetime with zone
#   1700000000               2023-11-14 22:13:20 with zone
#   5                        1970-01-01 00:00:05 with zone
#
# Why it matters: `since > job.updated_at` raises TypeError for one half of the
# input and works for the other, whichever kind the program expects. A typing error
# such as 2024 for 2024-01-01 is no error but a time in 1970. Convert the value
# first thing in the command.

set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check typer==0.29.2 pydantic==2.14.4
"$work/venv/bin/python" - <<'EOF'
import sys
from datetime import datetime
from typing import Annotated

import typer
from typer.testing import CliRunner


def check(what, seen, expected):
    print(f"{what}: {seen!r}")
    if seen != expected:
        sys.exit(f"the behaviour changed, expected {expected!r}")


app = typer.Typer()
seen_values = []


@app.command()
def show(since: Annotated[datetime, typer.Option()]):
    seen_values.append(since)


def given(text):
    result = CliRunner().invoke(app, ["--since", text])
    if result.exit_code:
        return "refused"
    value = seen_values.pop()
    return value.isoformat(), value.tzinfo is not None


check("without zone", given("2024-01-01T00:00:00"), ("2024-01-01T00:00:00", False))
check("with zone", given("2024-01-01T00:00:00Z"), ("2024-01-01T00:00:00+00:00", True))
check("a number", given("1700000000"), ("2023-11-14T22:13:20+00:00", True))
check("a small number", given("5"), ("1970-01-01T00:00:05+00:00", True))
check("a year", given("2024"), ("1970-01-01T00:33:44+00:00", True))
EOF
