"""What several tests of tracked work use."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from jobctl.core.cursor import ZERO
from jobctl.core.job import Job
from jobctl.stores import Store
from tests.stores.support import environment


def only(store: Store) -> Job:
    """Return the only job in the store."""
    (job,) = store.since(ZERO).jobs
    return job


def output_of(code: str, directory: Path) -> str:
    """Return what a Python program prints, which has the directory as its argument."""
    return subprocess.run(
        [sys.executable, "-c", code, str(directory)],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
