"""A process pool: one job for the whole, and one for each task, in the process that works on it."""

from __future__ import annotations

import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed

from jobctl import track


def clean(name: str) -> int:
    """One task; what goes wrong fails its own job only."""
    with track("clean", title=name) as job:
        job.progress(50)
        if name.startswith("bad"):
            raise ValueError(f"cannot clean {name}")
        return len(name)


def main(method: str, names: list[str]) -> None:
    """Clean all, and count what could not be."""
    context = multiprocessing.get_context(method)
    with track("nightly", title="Clean all") as job, ProcessPoolExecutor(2, context) as pool:
        tasks = [pool.submit(clean, name) for name in names]
        failed = 0
        for done, task in enumerate(as_completed(tasks), 1):
            failed += task.exception() is not None
            job.progress(done, len(tasks), f"{failed} failed")
        job.result({"cleaned": len(tasks) - failed, "failed": failed})


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
