#!/usr/bin/env bash
# A FileLock that was only made before a fork, never acquired, is refused after it.
#
# Guess: a lock object that does not hold the lock has no state worth protecting,
# so a module-level FileLock works in a forked child.
#
# Seen with filelock 4.3.1: acquire() in the child raises RuntimeError ("was
# inherited across fork; construct a new instance"), although the object has never
# been acquired, and also when it was acquired and released before the fork. A new
# object for the same path works.
#
# Why it matters: `LOCK = FileLock(path)` at the top of a module is the usual form.
# It fails in each worker of a preforking server, and with multiprocessing on
# Linux, whose start method up to Python 3.13 is fork. The same code works with
# threads, with "spawn", and in a test with one process. Make the lock where it is
# acquired.

set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check filelock==4.3.1
"$work/venv/bin/python" - <<'EOF'
import os
import sys
import tempfile
import traceback

from filelock import FileLock


def check(what, seen, expected):
    print(f"{what}: {seen!r}")
    if seen != expected:
        sys.exit(f"the behaviour changed, expected {expected!r}")


def in_child(act):
    """Return what `act` returns in a forked child."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            answer = act()
        except Exception as error:
            traceback.print_exc(limit=0)
            answer = type(error).__name__
        os.write(write, answer.encode())
        os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    with os.fdopen(read) as pipe:
        return pipe.read()


def take(lock):
    with lock.acquire(timeout=5):
        return "acquired"


with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "lock")
    never_used = FileLock(path)
    check("never acquired, in a child", in_child(lambda: take(never_used)), "RuntimeError")
    check("the same in the parent", take(never_used), "acquired")
    check("used and released, in a child", in_child(lambda: take(never_used)), "RuntimeError")
    check("a new object in a child", in_child(lambda: take(FileLock(path))), "acquired")
EOF
