"""``jobctl run`` against the bare command: what it adds to a start, and to what it relays.

    python -m tests.benchmarks.bench_run [--pairs P] [--mib M]

The command is ``true`` for the start, against a typer application that runs it; and a program that
writes M MiB to standard error, into a pipe that is read as fast as it can be. By turns, in one run.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from statistics import median

from tests.benchmarks.measure import scratch, table

_WRITER = """
import os, sys
block = b"x" * (1 << 16)
for _ in range(int(sys.argv[1]) * 16):
    data = block
    while data: data = data[os.write(2, data):]
"""
_TYPER = """
import os, subprocess, sys, typer

app = typer.Typer()


@app.command()
def main(command: list[str]) -> None:
    sys.exit(subprocess.run(command).returncode)


app()
"""


def run_ms(argv: list[str], env: dict[str, str]) -> float:
    """One run, its standard error read to the end."""
    began_s = time.perf_counter()
    with subprocess.Popen(argv, env=env, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        while process.stderr.read1(1 << 20):
            pass
    assert process.returncode == 0
    return (time.perf_counter() - began_s) * 1e3


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--mib", type=int, default=200)
    options = parser.parse_args()
    jobctl = [sys.executable, "-m", "jobctl", "run", "--"]
    writer = [sys.executable, "-c", _WRITER, str(options.mib)]
    with scratch("disk") as path:
        env = {**os.environ, "JOBCTL_DIR": str(path)}
        ways = (
            ["true"],
            [sys.executable, "-c", _TYPER, "true"],
            [*jobctl, "true"],
            writer,
            [*jobctl, *writer],
        )
        runs = [[run_ms(way, env) for way in ways] for _ in range(options.pairs)]
    bare, typer, tracked, written, relayed = zip(*runs, strict=True)
    ratio = median(ours / theirs for ours, theirs in zip(tracked, typer, strict=True))
    beside = [all - start for all, start in zip(relayed, tracked, strict=True)]
    speed = options.mib / median(beside) * 1e3
    table(
        f"jobctl run, {options.pairs} pairs",
        ["what", "ms", "against"],
        [
            ["true", f"{median(bare):.1f}", ""],
            ["a typer application that runs true", f"{median(typer):.1f}", ""],
            ["jobctl run true", f"{median(tracked):.1f}", f"{ratio:.2f}x the typer application"],
            [f"{options.mib} MiB to standard error", f"{median(written):.1f}", ""],
            ["the same through us", f"{median(relayed):.1f}", f"{speed:.0f} MiB/s"],
        ],
    )


if __name__ == "__main__":
    main()
