"""Files of other programs that have a ``stage`` and little else."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from jobctl._clock import now_ms
from jobctl.core.times import to_text

__all__ = ["OLD", "age_files", "full"]

OLD = to_text(now_ms() - 30 * 86_400_000)
"""A month ago."""


def full(id: str, **keys: Any) -> dict[str, Any]:
    """What `prune` needs to see in a job of another program: it completed a month ago."""
    return {
        "id": id,
        "type": "etl",
        "stage": "completed",
        "createdAt": OLD,
        "updatedAt": OLD,
        "completedAt": OLD,
        **keys,
    }


def age_files(directory: Path, *ids: str) -> None:
    """Let these files be a month old: a time that they lack is their modification time."""
    then = time.time() - 30 * 86_400
    for id in ids:
        os.utime(directory / f"{id}.json", (then, then))
