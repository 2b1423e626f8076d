#!/usr/bin/env bash
# exclude_defaults in pydantic calls the default factory again, at each dump.
#
# Guess: model_dump(exclude_defaults=True) keeps a field with a default_factory,
# because there is no fixed default to compare with. The factory runs only when an
# object is made without the field.
#
# Seen with pydantic 2.14.4: each dump calls the factory once for each such field
# and leaves the field out if the new value is equal. A list field that is empty
# is left out. A factory with an effect (a counter, an id, a clock) has it during
# the dump, and a given value is lost when it happens to equal the next one.
#
#   after creation: 1 call; after one dump: 2 calls; after a second dump: 3 calls
#   number=4 given, the factory's next value is 4: dump {}
#
# Why it matters: dumping looks like a pure read and often runs in logging or in a
# second thread. With a sequence as the factory, dumps leave gaps in the sequence,
# and a reader that fills in the default gets another number than the writer had.
# Use exclude_unset for fields whose default is not constant.

set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check pydantic==2.14.4
"$work/venv/bin/python" - <<'EOF'
import sys
from itertools import count

from pydantic import BaseModel, Field


def check(what, seen, expected):
    print(f"{what}: {seen!r}")
    if seen != expected:
        sys.exit(f"the behaviour changed, expected {expected!r}")


numbers = count(1)
calls = 0


def take():
    global calls
    calls += 1
    return next(numbers)


class Job(BaseModel):
    number: int = Field(default_factory=take)


class Listing(BaseModel):
    labels: list[str] = Field(default_factory=list)


check("an empty list", Listing(labels=[]).model_dump(exclude_defaults=True), {})

job = Job()
check("calls after creation", calls, 1)
check("a dump", job.model_dump(exclude_defaults=True), {"number": 1})
check("calls after one dump", calls, 2)
job.model_dump_json(exclude_defaults=True)
check("calls after a second dump", calls, 3)
job.model_dump()
check("calls after a dump with defaults", calls, 3)
check("a given value that the factory meets", Job(number=4).model_dump(exclude_defaults=True), {})
EOF
