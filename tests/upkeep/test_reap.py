"""Reap: the lost jobs fail, and no others; ``tests/cli/test_lost.py`` has the command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from jobctl._clock import now
from jobctl.core import transitions
from jobctl.core.job import Job
from jobctl.stores import open_store
from jobctl.upkeep.reap import reap
from tests.hub.network import new_job
from tests.stores.support import plant_owner

DEAD = "1-" + "d" * 12


@pytest.mark.parametrize("meanwhile", ["completed", "taken up"])
def test_job_that_moved_on_since_the_read_is_left_alone(tmp_path: Path, meanwhile: str) -> None:
    """It ended, or another worker is at it, between our read and our write."""
    store, other = open_store(tmp_path / "jobs", create=True), open_store(tmp_path / "jobs")
    store.create(new_job("a1", owner=DEAD))
    plant_owner(tmp_path / "jobs", DEAD)
    real = store.update

    def move_on(job: Job) -> Job:
        if meanwhile == "completed":
            return transitions.complete(job, now=now())
        return job.replace(owner="2-" + "e" * 12)

    def update(id: str, change: Callable[[Job], Job]) -> Job:
        other.update(id, move_on)
        return real(id, change)

    store.update = update  # type: ignore[method-assign]
    assert reap(store).jobs == []
    assert store.get("a1").stage == ("completed" if meanwhile == "completed" else "pending")
    store.close()
    other.close()
