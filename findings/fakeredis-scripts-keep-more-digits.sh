#!/usr/bin/env bash
# fakeredis keeps numbers in scripts that Redis rounds, and turns {} into [].
#
# Guess: cjson in a script gives the same text in both: Redis's cjson writes 14
# digits and turns an empty list into {}, and fakeredis imitates that. The same goes
# for INCRBYFLOAT, which Redis computes with more than 64 bits.
#
# Seen with fakeredis 2.41.0 and Redis 7.0.15:
#
#                                           Redis                fakeredis
#   cjson round trip of 123456789012345     1.2345678901234e+14  123456789012345
#   of 12345678901234567                    1.2345678901235e+16  12345678901234568
#   of 1/3                                  0.33333333333333     0.3333333333333333
#   of {} and of []                         {} and {}            [] and []
#   INCRBYFLOAT 0.1, then 0.2               0.3                  0.30000000000000004
#
# Why it matters: scripts that store JSON are tested against fakeredis because it
# needs no server. There a time in microseconds survives; on Redis it loses its last
# digits. An empty object becomes an empty list in the test and an empty list
# becomes an empty object in production. Keep JSON opaque in scripts, and run their
# tests on a real server.

set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
packages="redis-server redis-tools libatomic1 libjemalloc2 liblzf1"
# shellcheck disable=SC2086
apt-get download -qq $packages 2>"$work/log" || { apt-get update -qq && apt-get download -qq $packages; }
for package in *.deb; do dpkg -x "$package" "$work/redis"; done
export REDIS_SERVER=$work/redis/usr/bin/redis-server
REDIS_LIBRARIES=$(echo "$work"/redis/usr/lib/*-linux-gnu)
export REDIS_LIBRARIES

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check "fakeredis[lua]==2.41.0" lupa==2.8 redis==8.1.0
"$work/venv/bin/python" - <<'EOF'
import contextlib
import os
import subprocess
import sys
import tempfile
import time

import fakeredis
import redis


def check(what, seen, expected):
    print(f"{what}: {seen!r}")
    if seen != expected:
        sys.exit(f"the behaviour changed, expected {expected!r}")


@contextlib.contextmanager
def running_server(*options):
    """Yield the path of the socket of a Redis server that runs meanwhile."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "socket")
        command = [os.environ["REDIS_SERVER"], "--port", "0", "--unixsocket", path, "--save", "", *options]
        environment = {**os.environ, "LD_LIBRARY_PATH": os.environ["REDIS_LIBRARIES"]}
        server = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
        try:
            wait_until(lambda: os.path.exists(path))
            version = redis.Redis(unix_socket_path=path).info("server")["redis_version"]
            check("Redis", version, "7.0.15")
            yield path
        finally:
            server.terminate()
            server.wait()


def wait_until(condition):
    end = time.monotonic() + 20
    while not condition():
        if time.monotonic() > end:
            sys.exit("waited for too long")
        time.sleep(0.01)


ROUND_TRIP = "return cjson.encode(cjson.decode(ARGV[1]))"


def answers(client):
    texts = ["[123456789012345]", "[12345678901234567]", "[0.3333333333333333]", "[{},[]]"]
    seen = [client.eval(ROUND_TRIP, 0, text) for text in texts]
    client.incrbyfloat("sum", 0.1)
    client.incrbyfloat("sum", 0.2)
    return [*seen, client.get("sum")]


with running_server() as path:
    check(
        "Redis",
        answers(redis.Redis(unix_socket_path=path, decode_responses=True)),
        ["[1.2345678901234e+14]", "[1.2345678901235e+16]", "[0.33333333333333]", "[{},{}]", "0.3"],
    )
check(
    "fakeredis",
    answers(fakeredis.FakeRedis(decode_responses=True)),
    ["[123456789012345]", "[12345678901234568]", "[0.3333333333333333]", "[[],[]]", "0.30000000000000004"],
)
EOF
