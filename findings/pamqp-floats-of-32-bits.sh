#!/usr/bin/env bash
# A float in AMQP headers written by pamqp keeps 24 bits only.
#
# Guess: a Python float in a header table is sent as the table's 64-bit type "d"
# and comes back unchanged. AMQP has 32-bit floats "f" as well, but a Python float
# has 64 bits.
#
# Seen with pamqp 4.0.1 (the codec of aiormq and aio-pika): it is written as "f". The
# number is rounded to about 7 digits without a warning.
#
#   0.1 -> type "f" -> 0.10000000149011612
#   1700000000.25 (seconds since 1970) -> 1700000000.0
#   1700000050.25 -> 1700000000.0, too: the same value for a time 50 s later
#
# Why it matters: time.time() is a common header (sent at, deadline, start of the
# job). Around the year 2024 such a header moves in steps of 128 s, so latencies
# computed from it are wrong by up to 64 s and may be negative. Tests with 0.5 or
# 1.0 pass. Send whole seconds or milliseconds as an int, or a datetime (which has
# whole seconds).

set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check pamqp==4.0.1
"$work/venv/bin/python" - <<'EOF'
import sys

from pamqp import decode, encode


def check(what, seen, expected):
    print(f"{what}: {seen!r}")
    if seen != expected:
        sys.exit(f"the behaviour changed, expected {expected!r}")


def round_trip(value):
    table = encode.field_table({"t": value})
    kind = table[6:7]  # 4 bytes of length, then the key: 1 byte of length, "t"
    return kind, decode.field_table(table)[1]["t"]


check("0.5", round_trip(0.5), (b"f", 0.5))
check("0.1", round_trip(0.1), (b"f", 0.10000000149011612))
check("1700000000.25", round_trip(1700000000.25), (b"f", 1700000000.0))
check("1700000050.25", round_trip(1700000050.25), (b"f", 1700000000.0))
check("1700000127.0", round_trip(1700000127.0), (b"f", 1700000128.0))
check("an int", round_trip(1700000000250)[1], 1700000000250)
EOF
