#!/usr/bin/env bash
# A rich progress task with nothing to do is unfinished until someone updates it.
#
# Guess: a task of `total=0`, or one added with completed == total, is finished
# from the start, because all of its steps are done.
#
# Seen with rich 15.0.0: Progress.finished stays False. Only update() and advance()
# compare the numbers, so an update that changes nothing finishes the task. The
# percentage of a task of total=0 is 0.0 even then.
#
#   add_task("a", total=0)                 finished False, percentage 0.0
#   add_task("b", total=10, completed=10)  finished False, percentage 100.0
#   after update(task, completed=same)     finished True, True
#
# Why it matters: `while not progress.finished` is a common loop, with the updates
# made by workers. It never ends when a batch is empty or when the only job was
# already complete, because no worker has a reason to update. Update each task
# once after it was added.

set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check rich==15.0.0
"$work/venv/bin/python" - <<'EOF'
import io
import sys

from rich.console import Console
from rich.progress import Progress


def check(what, seen, expected):
    print(f"{what}: {seen!r}")
    if seen != expected:
        sys.exit(f"the behaviour changed, expected {expected!r}")


progress = Progress(console=Console(file=io.StringIO()))
empty = progress.add_task("a", total=0)
resumed = progress.add_task("b", total=10, completed=10)


def state():
    return [(task.finished, task.percentage) for task in progress.tasks]


check("added", state(), [(False, 0.0), (False, 100.0)])
check("Progress.finished", progress.finished, False)
progress.update(empty, completed=0)
progress.advance(resumed, 0)
check("updated without change", state(), [(True, 0.0), (True, 100.0)])
check("Progress.finished", progress.finished, True)
EOF
