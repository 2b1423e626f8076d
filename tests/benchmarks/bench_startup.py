"""Start-up: what the shell waits for.

    python -m tests.benchmarks.bench_startup [--pairs P] [--every]

``jobctl --version`` against a bare interpreter, and ``jobctl ls`` of the 48 jobs in
tests/data/node-app-jobs against the smallest typer application: one command that does nothing.
With ``--every``, each command's ``--help`` against that application's, which shows its imports.
All from the same interpreter, by turns, the byte code cached.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
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


def run_ms(code: str, *arguments: str) -> float:
    """One run of a script."""
    began_s = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", code, *arguments],
        check=True,
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: os.sched_setaffinity(0, {HUB_CPU}),
    )
    return (time.perf_counter() - began_s) * 1e3


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


if __name__ == "__main__":
    main()
