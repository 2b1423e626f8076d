#!/usr/bin/env bash
# In strict mode, pydantic takes `true` and `1.0` for Literal[1].
#
# Guess: a message `{"v": true}` is refused by a field `v: Literal[1]`, at least
# with strict=True, as it is refused by a strict `int`. In the same way, a
# discriminated union with integer tags knows no tag `true`.
#
# Seen with pydantic 2.14.4: a literal is compared by equality and hash, and in
# Python True == 1 == 1.0. All are accepted, in strict mode too, and the tag of a
# discriminated union as well. The value becomes the literal's own `1`.
#
#   strict int from true: refused
#   strict Literal[1] from true: 1
#   strict Literal[1] from 1.0: 1
#   tagged union from {"v": true}: V1(v=1)
#
# Why it matters: `version: Literal[1]` is the usual check of a protocol version.
# Two implementations of one protocol disagree on what is a valid message, and a
# test of "wrong types are refused" passes for the other fields only. Use a
# strict int with ge and le when the JSON type is part of the contract.

set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check pydantic==2.14.4
"$work/venv/bin/python" - <<'EOF'
import sys
from typing import Annotated, Literal

from pydantic import BaseModel, Field, TypeAdapter, ValidationError


def check(what, seen, expected):
    print(f"{what}: {seen!r}")
    if seen != expected:
        sys.exit(f"the behaviour changed, expected {expected!r}")


class V1(BaseModel):
    v: Literal[1]


class V2(BaseModel):
    v: Literal[2]


def strict(kind, text):
    try:
        return TypeAdapter(kind).validate_json(text, strict=True)
    except ValidationError:
        return "refused"


Versions = Annotated[V1 | V2, Field(discriminator="v")]

check("strict int from true", strict(int, "true"), "refused")
check("strict int from 1.0", strict(int, "1.0"), "refused")
for text in ("true", "1.0"):
    seen = strict(Literal[1], text)
    check(f"strict Literal[1] from {text}", (seen, type(seen)), (1, int))
    check(f'tagged union from {{"v": {text}}}', strict(Versions, f'{{"v": {text}}}'), V1(v=1))
check('strict Literal[1] from "1"', strict(Literal[1], '"1"'), "refused")
EOF
