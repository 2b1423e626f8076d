#!/usr/bin/env bash
# redis-py's execute_command("SET", ..., "GET") answers False though it has set.
#
# Guess: execute_command returns what the server sends, so SET with GET returns the
# old value.
#
# Seen with redis-py 8.1.0 and Redis 7.0.15: the answer goes through the conversion
# that belongs to the first word of the command. For SET it compares with "OK", so
# each old value becomes False. The method set(..., get=True) returns the value.
#
#   execute_command("SET", "k", "new", "XX", "GET") -> False, and k is "new"
#   set("k", "new", xx=True, get=True)              -> "old"
#
# Why it matters: False reads as "not set", so the caller retries or gives up although
# the value is written, and the old value is lost. execute_command is what people use
# for options that the typed method does not know yet. Use the typed method, or run
# the command in a script, whose answer is not converted.

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


with running_server() as path:
    client = redis.Redis(unix_socket_path=path, decode_responses=True)
    client.set("k", "old")
    check("execute_command", client.execute_command("SET", "k", "new", "XX", "GET"), False)
    check("value afterwards", client.get("k"), "new")

    client.set("k", "old")
    check("set(get=True)", client.set("k", "newer", xx=True, get=True), "old")
    check("value afterwards", client.get("k"), "newer")

    script = "return redis.call('SET', KEYS[1], ARGV[1], 'GET')"
    check("script", client.eval(script, 1, "k", "from a script"), "newer")

    # In a pipeline, too.
    seen = client.pipeline().execute_command("SET", "k", "newest", "GET").execute()
    check("pipeline", seen, [False])
    check("value afterwards", client.get("k"), "newest")
EOF
