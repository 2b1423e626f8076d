"""Listing: `ls` of many jobs, against a loop that opens, parses and prints each file.

    python -m tests.benchmarks.bench_ls [--jobs N] [--pairs P] [--where tmpfs|disk]

``ls -o name`` and ``ls -o jsonl``, each of the jobs as jobctl wrote them, with a change log, and of
files as another program wrote them, without one. The loop is a script of the standard library: it
prints the id, or the whole object, of each file in the order of the listing. By turns, the byte
code cached; the files are in the page cache.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import median

from tests.benchmarks.bench_completion import by_jobctl, by_others
from tests.benchmarks.bench_startup import JOBCTL, run_ms
from tests.benchmarks.measure import scratch, table

_LOOP = """
import json, os, sys

directory, form = sys.argv[1:]
for name in os.listdir(directory):
    if name.endswith(".json"):
        with open(os.path.join(directory, name)) as file:
            job = json.load(file)
        print(job["id"] if form == "name" else json.dumps(job))
"""


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--where", choices=("tmpfs", "disk"), default="tmpfs")
    options = parser.parse_args()
    rows = []
    with scratch(options.where) as scratched:
        for writer, fill in (("jobctl", by_jobctl), ("another program", by_others)):
            directory = scratched / writer / "jobs"
            fill(directory, options.jobs)
            rows += [_row(form, writer, directory, options.pairs) for form in ("name", "jsonl")]
    table(f"ls of {options.jobs:,} jobs, s", ("", "ours", "loop", "times"), rows)


def _row(form: str, writer: str, directory: Path, pairs: int) -> tuple[str, ...]:
    runs = [
        (
            run_ms(JOBCTL, "ls", "-o", form, "--dir", str(directory)),
            run_ms(_LOOP, str(directory), form),
        )
        for _ in range(pairs + 1)
    ][1:]
    ours, theirs = (median(run[n] for run in runs) / 1e3 for n in range(2))
    ratio = median(run[0] / run[1] for run in runs)
    return f"{form}, written by {writer}", f"{ours:.2f}", f"{theirs:.2f}", f"{ratio:.2f}"


if __name__ == "__main__":
    main()
