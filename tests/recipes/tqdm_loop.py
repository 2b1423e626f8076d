"""A tqdm bar that reports to a job as well: on the terminal and in every browser."""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm

from jobctl import track


class tracked_tqdm(tqdm):
    """``tracked_tqdm(items, job=job)``: the bar's state is the job's progress."""

    def __init__(self, *args: Any, job: Any, **options: Any) -> None:
        self._job = job
        super().__init__(*args, **options)

    def display(self, *args: Any, **options: Any) -> Any:
        """As often as the bar is drawn; the job takes ten values a second at the most."""
        if self.total:
            self._job.progress(self.n, self.total, self.desc or None)
        return super().display(*args, **options)


def main(count: int) -> None:
    """Load some rows."""
    with track("load", title="Load rows") as job:
        for row in tracked_tqdm(range(count), job=job, desc="rows"):
            if row == count - 1:
                break  # as if the rest was not needed


if __name__ == "__main__":
    main(int(sys.argv[1]))
