#!/usr/bin/env bash
# A blocked BLPOP over two lists takes from the list that was pushed first.
#
# Guess: BLPOP high low prefers "high" whenever it has an element. When one
# transaction pushes to both, the waiting client sees both lists at once and takes
# from "high".
#
# Seen with Redis 7.0.15: the order of the keys counts only when the client does
# not have to wait. A client that waits gets the element of the key that the
# transaction pushed to first, here "low".
#
#   not waiting:  MULTI, RPUSH low, RPUSH high, EXEC, then BLPOP high low -> high
#   waiting:      BLPOP high low, then the same transaction               -> low
#
# Why it matters: BLPOP over several keys is the usual priority queue. Its order
# holds under load, when workers find elements at once, and is wrong for idle
# workers. A test that fills the queues first does not see it. Push the important
# element first within a transaction or script.

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
"$work/venv/bin/pip" install --quiet --disable-pip-version-check redis==8.1.0
"$work/venv/bin/python" - <<'EOF'
import contextlib
import os
import subprocess
import sys
import tempfile
import threading
import time

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


KEYS = ["high", "low"]


def push_both(client):
    client.pipeline(transaction=True).rpush("low", "L").rpush("high", "H").execute()


with running_server() as path:
    client = redis.Redis(unix_socket_path=path, decode_responses=True)

    push_both(client)
    check("not waiting", client.blpop(KEYS, timeout=10), ("high", "H"))
    client.flushall()

    taken = []
    worker = redis.Redis(unix_socket_path=path, decode_responses=True)
    thread = threading.Thread(target=lambda: taken.append(worker.blpop(KEYS, timeout=10)))
    thread.start()
    wait_until(lambda: client.info("clients")["blocked_clients"] == 1)
    push_both(client)
    thread.join()
    check("waiting", taken, [("low", "L")])
    check("left in high", client.lrange("high", 0, -1), ["H"])
EOF
