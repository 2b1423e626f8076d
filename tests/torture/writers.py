"""The writers' nursery: a small process that forks writers when told, faster than they are killed.

    writers.py DIRECTORY ACKS

Each line of its input is a seed: a writer is forked with it, and its PID printed. A writer works on
shared jobs until it is killed, and appends one line to ACKS *after* a call has returned:
``revision id tag``; a tag is never used twice.
"""

from __future__ import annotations

import os
import random
import signal
import sys

from jobctl.core import transitions as jobs
from jobctl.errors import Conflict, DamagedFile, JobctlError, JobNotFound, StoreLocked
from jobctl.stores import open_store
from jobctl.stores.directory import changelog

JOBS = 20
T0 = "2026-01-01T00:00:00.000Z"


def work(path: str, acks: int, seed: int) -> None:
    """Write until killed."""
    store = open_store(path)
    listener = store.listen()  # each killed writer leaves a dead socket behind
    chance = random.Random(seed)
    turn = 0
    while True:
        turn += 1
        id = f"j{chance.randrange(JOBS)}"
        tag = f"w{seed}.{turn}"
        listener.drain()
        try:
            if chance.random() < 0.06:
                store.remove(id)
                continue
            try:
                job = store.update(id, lambda job: jobs.report(job, now=T0, message=tag))  # noqa: B023
            except JobNotFound:
                made = jobs.create("job", now=T0, id=id)
                job = store.create(made.replace(message=tag))
        except (Conflict, JobNotFound):
            continue  # another writer was faster
        except (DamagedFile, StoreLocked):
            continue  # a foreign writer is at it, or a stopped one
        os.write(acks, f"{job.revision} {id} {tag}\n".encode())


def main() -> None:
    """Fork a writer for each line."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the killed are nobody's zombies
    changelog._COMPACT_FROM = 300  # compact often
    path, acks_path = sys.argv[1:]
    acks = os.open(acks_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            try:
                work(path, acks, int(line))
            except JobctlError as error:
                os.write(acks, f"ERROR {error}\n".encode())
            except BaseException as error:
                os.write(acks, f"ERROR {error!r}\n".encode())
            finally:
                os._exit(1)
        print(pid, flush=True)


if __name__ == "__main__":
    main()
