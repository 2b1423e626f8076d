"""Start-up: what the shell waits for.

    python -m tests.benchmarks.bench_startup [--pairs P] [--every] [--loops L] [--against JOBCTL]

``jobctl --version`` against a bare interpreter, and ``jobctl ls`` of the 48 jobs in
tests/data/node-app-jobs against the smallest typer application: one command that does nothing.
Then the CPU time (user and system) of the commands that scripts call often, ``create``,
``progress``, ``advance``, ``complete`` and ``ls -q``, against a bare interpreter, and of ``ls``.
Then a shell loop of 100 times ``jobctl progress``; with ``--against``, by turns with the same loop
of another version, whose installed ``jobctl`` is named (``git worktree add old COMMIT``, and a
virtual environment there).
With ``--every``, each command's ``--help`` against that application's, which shows its imports.
All from the same interpreter, by turns, the byte code cached.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from statistics import median

from jobctl.cli.commands import COMMANDS
from tests.benchmarks.measure import HUB_CPU, table

_JOBS = Path(__file__).parents[1] / "data" / "node-app-jobs"
JOBCTL = "from jobctl.__main__ import main; main()"  # as the installed script does
_TYPER = """
import typer

app = typer.Typer()


@app.command()
def main() -> None:
    pass


app()
"""


def _environment() -> dict[str, str]:
    """Return our environment, in which byte code is cached, as it is for an installed program."""
    env = {**os.environ}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    return env


def run_ms(code: str, *arguments: str) -> float:
    """One run of a script."""
    began_s = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", code, *arguments],
        check=True,
        env=_environment(),
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: os.sched_setaffinity(0, {HUB_CPU}),
    )
    return (time.perf_counter() - began_s) * 1e3


def cpu_ms(code: str, *arguments: str) -> float:
    """User and system time of one run of a script."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run_ms(code, *arguments)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e3


def light(pairs: int) -> None:
    """CPU time of the commands of the light path, by turns with a bare interpreter."""
    runs: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(pairs + 1):
            id = f"job-{turn}"
            runs["pass"].append(cpu_ms("pass"))
            runs["typer"].append(cpu_ms(_TYPER))
            for name, arguments in {
                "create": ("--stages", "fetch,load", "--id", id),
                "progress": (id, "3/8"),
                "advance": (id,),
                "complete": (id,),
            }.items():
                runs[name].append(cpu_ms(JOBCTL, name, *arguments, "--dir", folder))
            runs["ls -q"].append(cpu_ms(JOBCTL, "ls", "-q", "--dir", str(_JOBS)))
            runs["ls"].append(cpu_ms(JOBCTL, "ls", "--dir", str(_JOBS)))
    rows = []
    for name, against in (
        *((name, "pass") for name in ("create", "progress", "advance", "complete", "ls -q")),
        ("ls", "typer"),
    ):
        ours, theirs = median(runs[name][1:]), median(runs[against][1:])
        rows.append((name, against, f"{ours:.0f}", f"{theirs:.0f}", f"{ours / theirs:.2f}"))
    table("CPU time, ms", ("", "against", "ours", "theirs", "times"), rows)


_PROGRESS_LOOP = """
n=0
while [ $n -lt 100 ]; do n=$((n + 1)); "$1" progress job "$n/100" --dir "$2" || exit 1; done
"""


def loop_s(jobctl: str, folder: str) -> float:
    """100 times ``jobctl progress`` in a shell, on a job of its own."""
    env = _environment()
    subprocess.run([jobctl, "create", "etl", "--id", "job", "--dir", folder], check=True, env=env,
                   capture_output=True)  # fmt: skip
    began_s = time.perf_counter()
    subprocess.run(["sh", "-c", _PROGRESS_LOOP, "sh", jobctl, folder], check=True, env=env,
                   stdout=subprocess.DEVNULL)  # fmt: skip
    return time.perf_counter() - began_s


def progress_loops(pairs: int, against: str | None) -> None:
    """The shell loop, by turns with that of another version."""
    ours = str(Path(sys.executable).with_name("jobctl"))
    runs: list[list[float]] = []
    for _ in range(pairs):
        turn = []
        for jobctl in filter(None, (ours, against)):
            with tempfile.TemporaryDirectory() as folder:
                turn.append(loop_s(jobctl, folder))
        runs.append(turn)
    row = [f"{median(run[0] for run in runs):.1f}", "", ""]
    if against is not None:
        times = median(run[1] / run[0] for run in runs)
        row[1:] = [f"{median(run[1] for run in runs):.1f}", f"{times:.1f}"]
    head = ("", "ours", "theirs", "times as fast")
    table("A shell loop, s", head, [("100 x jobctl progress", *row)])


def every(pairs: int) -> None:
    """Each command, by turns with the empty application."""
    rows = []
    for name in COMMANDS:
        runs = [
            (run_ms(JOBCTL, name, "--help"), run_ms(_TYPER, "--help")) for _ in range(pairs + 1)
        ][1:]
        ours, theirs = (f"{median(run[n] for run in runs):.0f}" for n in range(2))
        more = f"{median(run[0] - run[1] for run in runs):.0f}"
        rows.append((name, ours, theirs, more, f"{median(run[0] / run[1] for run in runs):.2f}"))
    table("--help, ms", ("", "ours", "empty typer app", "difference", "times"), rows)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=21)
    parser.add_argument("--every", action="store_true")
    parser.add_argument("--against", metavar="JOBCTL")
    parser.add_argument("--loops", type=int, default=3)
    options = parser.parse_args()
    if options.every:
        every(options.pairs)
        return
    runs = [
        (
            run_ms("pass"),
            run_ms(JOBCTL, "--version"),
            run_ms(_TYPER),
            run_ms(JOBCTL, "ls", "--dir", str(_JOBS)),
        )
        for _ in range(options.pairs + 1)
    ][1:]
    bare, version, app, ls = (f"{median(run[n] for run in runs):.0f}" for n in range(4))
    table(
        "Start-up, ms",
        ("", "ours", "theirs", "difference", "times"),
        [
            (
                "--version, bare Python",
                version,
                bare,
                f"{median(run[1] - run[0] for run in runs):.0f}",
                f"{median(run[1] / run[0] for run in runs):.2f}",
            ),
            (
                "ls of 48 jobs, empty typer app",
                ls,
                app,
                f"{median(run[3] - run[2] for run in runs):.0f}",
                f"{median(run[3] / run[2] for run in runs):.2f}",
            ),
        ],
    )
    light(options.pairs)
    progress_loops(options.loops, options.against)


if __name__ == "__main__":
    main()
