"""A training that torchrun starts in several processes, of which rank 0 reports.

jobctl run -- torchrun --nproc-per-node 4 train.py
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from jobctl import track

EPOCHS = 4


def train(epoch: int) -> float:
    """One epoch; its loss."""
    if os.environ.get("RANK") == os.environ.get("FAILING_RANK"):
        raise RuntimeError("out of memory")
    return 1.0 / (epoch + 1)


def tracked(stages: list[str]) -> AbstractContextManager[Any]:
    """The job, in the process of rank 0; elsewhere nothing."""
    if os.environ.get("RANK", "0") == "0":
        return track("train", stages=stages, into_run=True)
    return nullcontext()


with tracked(["load", "train"]) as job:
    for epoch in range(EPOCHS):
        loss = train(epoch)
        if job is not None:
            job.progress(epoch + 1, EPOCHS, f"loss {loss:.3f}")
