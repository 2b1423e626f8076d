#!/usr/bin/env bash
# A Redis key whose deadline is already past goes with "expired" or with "del".
#
# Guess: a command that sets a deadline in the past deletes the key at once, and the
# keyspace event is "del" for each such command, SET with EXAT as well.
#
# Seen with Redis 7.0.15: it depends on the command.
#
#   SET key value EXAT 1   set, expire, expired
#   SET, EXPIRE key -1     set, del
#   SET, GETEX key EXAT 1  set, del
#
# Why it matters: a program that listens for "expired" to find lost leases or due
# timers misses the ones that were late when they were set with EXPIREAT: the clock
# of the caller was behind, or the caller was stopped for a moment. Those that were
# set by SET with EXAT arrive. Listen for both events.

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


with running_server("--notify-keyspace-events", "KEA") as path:
    client = redis.Redis(unix_socket_path=path, decode_responses=True)
    events = client.pubsub(ignore_subscribe_messages=True)
    events.psubscribe("__keyspace@0__:*")
    wait_until(lambda: client.pubsub_numpat() == 1)

    def seen_after(key, *commands):
        """Return the key's events up to its end."""
        for command in commands:
            client.execute_command(*command)
        check(f"{key} exists", client.exists(key), 0)
        names = []
        wait_until(lambda: take(key, names) or names[-1:] in (["expired"], ["del"]))
        return names

    def take(key, names):
        message = events.get_message(timeout=0.1)
        if message and message["channel"].endswith(f":{key}"):
            names.append(message["data"])

    check("SET EXAT", seen_after("a", ["SET", "a", "v", "EXAT", "1"]), ["set", "expire", "expired"])
    check("EXPIRE -1", seen_after("b", ["SET", "b", "v"], ["EXPIRE", "b", "-1"]), ["set", "del"])
    check("EXPIREAT 1", seen_after("c", ["SET", "c", "v"], ["EXPIREAT", "c", "1"]), ["set", "del"])
    check("GETEX EXAT", seen_after("d", ["SET", "d", "v"], ["GETEX", "d", "EXAT", "1"]), ["set", "del"])
EOF
