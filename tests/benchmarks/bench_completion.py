"""Completion: what somebody waits for who presses the Tab key.

    python -m tests.benchmarks.bench_completion [--jobs N] [--pairs P]

``jobctl __complete`` in a directory of so many jobs against a bare interpreter, by turns, the byte
code cached. The jobs were written by jobctl, so that the change log has them in order, or by
another program, so that nothing but each file's time tells the newest; one in twenty is active.
"""

from __future__ import annotations

import argparse
import os
import random
from pathlib import Path
from statistics import median

from jobctl import complete, create, open_store
from jobctl.core.codec import encode
from jobctl.core.job import Job
from tests.benchmarks.bench_startup import JOBCTL, run_ms
from tests.benchmarks.measure import scratch, table

_NOW = "2026-10-04T01:19:13.817Z"
_TYPES = ("create_session", "submit_answers", "nightly")


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--pairs", type=int, default=21)
    options = parser.parse_args()
    with scratch("disk") as scratched:
        rows = []
        for writer, fill in (("jobctl", by_jobctl), ("another program", by_others)):
            directory = scratched / writer / "jobctl" / "jobs"
            fill(directory, options.jobs)
            rows += _rows(writer, directory, options.pairs)
    table(
        f"Completion among {options.jobs:,} jobs, ms",
        ("", "ours", "bare Python", "difference", "worst"),
        rows,
    )


def _rows(writer: str, directory: Path, pairs: int) -> list[tuple[str, ...]]:
    os.environ["XDG_STATE_HOME"] = str(directory.parent.parent)  # the default takes longest to find
    os.environ.pop("JOBCTL_DIR", None)
    some = next(directory.glob("*.json")).stem
    asked = {
        "show": ["ids", "--", ""],
        f"show {some[:2]}": ["ids", "--", some[:2]],
        "rm ID": ["ids", "--", "", some],
        "cancel": ["active", "--", ""],
        "advance ID": ["next", "--", "", some],
        "--type": ["types", "--", ""],
        "--session": ["sessions", "--", ""],
        "--url": ["hubs", "--", ""],
    }
    runs = [
        (run_ms("pass"), *(run_ms(JOBCTL, "__complete", *line) for line in asked.values()))
        for _ in range(pairs + 1)
    ][1:]
    return [
        (
            f"{line}, written by {writer}",
            f"{median(run[n] for run in runs):.0f}",
            f"{median(run[0] for run in runs):.0f}",
            f"{median(run[n] - run[0] for run in runs):.0f}",
            f"{max(run[n] - run[0] for run in runs):.0f}",
        )
        for n, line in enumerate(asked, 1)
    ]


def _jobs(count: int) -> list[Job]:
    chance = random.Random(4)
    jobs = (
        create(chance.choice(_TYPES), session_id=f"s-{n % 37}", title=f"Job number {n}", now=_NOW)
        for n in range(count)
    )
    return [job if chance.random() < 0.05 else complete(job, now=_NOW) for job in jobs]


def by_jobctl(directory: Path, count: int) -> None:
    """Write so many jobs with jobctl."""
    store = open_store(directory, create=True)
    for job in _jobs(count):
        store.create(job)
    store.close()


def by_others(directory: Path, count: int) -> None:
    """Write so many jobs as another program does, without a change log."""
    directory.mkdir(parents=True)
    for job in _jobs(count):
        (directory / f"{job.id}.json").write_bytes(encode(job))


if __name__ == "__main__":
    main()
