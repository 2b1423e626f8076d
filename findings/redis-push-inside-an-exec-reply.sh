#!/usr/bin/env bash
# In RESP3, Redis 7.0 writes a push into the middle of the reply to EXEC.
#
# Guess: a connection that is subscribed to a channel and publishes to it within
# MULTI gets two items after EXEC, the push and the reply, in one order or the other.
# The RESP3 specification lets a push appear before or after a reply, never inside.
#
# Seen with Redis 7.0.15: the push stands between the header of the array and its
# element. redis-py 8.1.0 returns the reply [1] and loses the message: nothing more
# can be read.
#
#   *1  >3 message ch hi  :1
#
# Why it matters: RESP3 is the default of redis-py 8 and allows commands and pub/sub
# on one connection, so that a program gets its own notifications there. A parser
# that expects pushes at the top level only takes the push for the transaction's
# result. Publish on another connection, or outside MULTI.

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
import socket
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
    raw = socket.socket(socket.AF_UNIX)
    raw.settimeout(20)
    raw.connect(path)
    raw.sendall(b"HELLO 3\r\nSUBSCRIBE ch\r\nMULTI\r\nPUBLISH ch hi\r\nEXEC\r\nECHO end\r\n")
    received = b""
    while not received.endswith(b"end\r\n"):
        received += raw.recv(4096)
    words = received.decode().split("+QUEUED\r\n")[1].split("\r\n")
    reply = [word for word in words if word and not word.startswith("$")]
    check("after EXEC", reply, ["*1", ">3", "message", "ch", "hi", ":1", "end"])
    raw.close()

    client = redis.UnixDomainSocketConnection(path=path, protocol=3, socket_timeout=20)
    client.connect()
    client.send_command("SUBSCRIBE", "own")
    check("redis-py subscribes", client.read_response(push_request=True), [b"subscribe", b"own", 1])
    for command, answer in [
        (["MULTI"], b"OK"),
        (["PUBLISH", "own", "hi"], b"QUEUED"),
        (["EXEC"], [1]),
        (["ECHO", "end"], b"end"),
    ]:
        client.send_command(*command)
        check(f"redis-py reads after {command[0]}", client.read_response(push_request=True), answer)

    # Outside MULTI the push is an item of its own, before the reply.
    client.send_command("PUBLISH", "own", "yo")
    both = [client.read_response(push_request=True) for _ in range(2)]
    check("outside MULTI", both, [[b"message", b"own", b"yo"], 1])
EOF
