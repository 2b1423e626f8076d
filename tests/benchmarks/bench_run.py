"""``jobctl run`` against the bare command: what it adds to a start, and to what it relays.

    python -m tests.benchmarks.bench_run [--pairs P] [--mib M]

The command is ``true`` for the start, against a typer application that runs it; and programs that
write M MiB into a pipe that is read as fast as it can be: to standard error in blocks, and to both
streams in alternating lines, with and without a log and with secrets to mask. By turns, in one run.
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
_LINES = """
import os, sys
lines = b"2026-01-01 12:00:00 INFO worker: row of the table has been loaded, in 12 ms\\n" * 54
for count in range((int(sys.argv[1]) << 20) // len(lines)):
    data = lines
    while data: data = data[os.write(1 + count % 2, data):]
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
    """One run, its output read to the end."""
    began_s = time.perf_counter()
    with subprocess.Popen(
        argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout is not None
        while process.stdout.read1(1 << 20):
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
    lines = [sys.executable, "-c", _LINES, str(options.mib)]
    with scratch("disk") as path:
        env = {**os.environ, "JOBCTL_DIR": str(path)}
        secrets = {
            **env,
            **{f"BENCH_TOKEN_{count}": f"secret-value-{count}" for count in range(20)},
        }
        ways = (
            (["true"], env),
            ([sys.executable, "-c", _TYPER, "true"], env),
            ([*jobctl, "true"], env),
            (writer, env),
            ([*jobctl, *writer], env),
            (lines, env),
            ([*jobctl[:-1], "--no-log", "--", *lines], env),
            ([*jobctl, *lines], env),
            ([*jobctl, *lines], secrets),
        )
        runs = [[run_ms(way, its) for way, its in ways] for _ in range(options.pairs)]
    bare, typer, tracked, written, relayed, *alternating = zip(*runs, strict=True)

    def rate(ours: tuple[float, ...]) -> str:
        beside = median(all - start for all, start in zip(ours, tracked, strict=True))
        return f"{options.mib / beside * 1e3:.0f} MiB/s"

    ratio = median(ours / theirs for ours, theirs in zip(tracked, typer, strict=True))
    names = ("lines to both, alternating", "through us, --no-log", "with a log", "and 20 secrets")
    table(
        f"jobctl run, {options.pairs} pairs",
        ["what", "ms", "against"],
        [
            ["true", f"{median(bare):.1f}", ""],
            ["a typer application that runs true", f"{median(typer):.1f}", ""],
            ["jobctl run true", f"{median(tracked):.1f}", f"{ratio:.2f}x the typer application"],
            [f"{options.mib} MiB to standard error", f"{median(written):.1f}", ""],
            ["the same through us", f"{median(relayed):.1f}", rate(relayed)],
            [f"{options.mib} MiB in {names[0]}", f"{median(alternating[0]):.1f}", ""],
            *(
                [f"the same {name}", f"{median(ms):.1f}", rate(ms)]
                for name, ms in zip(names[1:], alternating[1:], strict=True)
            ),
        ],
    )


if __name__ == "__main__":
    main()
