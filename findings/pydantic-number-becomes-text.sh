#!/usr/bin/env bash
# coerce_numbers_to_str gives another text for JSON than for the same Python value.
#
# Guess: with coerce_numbers_to_str, the JSON number 1.0 becomes the text "1.0",
# as str() of the float and as in the JSON.
#
# Seen with pydantic 2.14.4: model_validate_json gives "1", model_validate of the
# float gives "1.0". An exponent is written out from JSON and kept from Python.
#
#   JSON 1.0  -> "1"                  Python 1.0  -> "1.0"
#   JSON 1e3  -> "1000"               Python 1e3  -> "1000.0"
#   JSON 1e16 -> "10000000000000000"  Python 1e16 -> "1e+16"
#   JSON 1e-7 -> "0.0000001"          Python 1e-7 -> "1e-07"
#
# Why it matters: the option is for files in which an id or a version such as 1.0
# was written without quotes. `model_validate(json.loads(text))` and
# `model_validate_json(text)` are thought to be equal, and here the same file
# gives two different ids, "1" and "1.0", depending on which one a program uses.

set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check pydantic==2.14.4
"$work/venv/bin/python" - <<'EOF'
import sys

from pydantic import BaseModel, ConfigDict


def check(what, seen, expected):
    print(f"{what}: {seen!r}")
    if seen != expected:
        sys.exit(f"the behaviour changed, expected {expected!r}")


class Release(BaseModel):
    model_config = ConfigDict(coerce_numbers_to_str=True)
    version: str


for number, from_json, from_python in [
    ("1.0", "1", "1.0"),
    ("1e3", "1000", "1000.0"),
    ("1e16", "10000000000000000", "1e+16"),
    ("1e-7", "0.0000001", "1e-07"),
    ("0.5", "0.5", "0.5"),
]:
    seen = Release.model_validate_json('{"version": %s}' % number).version
    check(f"JSON {number}", seen, from_json)
    seen = Release.model_validate({"version": float(number)}).version
    check(f"Python {number}", seen, from_python)
EOF
