"""Pruning and reaping as periodic tasks of a hub."""

from __future__ import annotations

import threading

from jobctl.hub.periodic import PeriodicTask, TaskResult
from jobctl.stores import Store
from jobctl.upkeep.prune import Pruner, Rule
from jobctl.upkeep.reap import reap

__all__ = ["prune_task", "reap_task"]


_PRUNE_EVERY_S = 60.0


_REAP_EVERY_S = 1.0


def prune_task(store: Store, older_than_s: float) -> PeriodicTask:
    """The chore that removes what ended over so many seconds ago; the store is its own."""
    pruner = Pruner(store, Rule.make(older_than_s=older_than_s))

    def call(stopping: threading.Event) -> TaskResult:
        pruned = pruner.run(stopping)
        return TaskResult({"removed": len(pruned.removed)} if pruned.removed else {}, pruned.failed)

    return PeriodicTask("prune", _PRUNE_EVERY_S, call)


def reap_task(store: Store) -> PeriodicTask:
    """Fails the lost jobs of the store, within two seconds of their worker's death."""

    def call(_stopping: threading.Event) -> TaskResult:
        reaped = reap(store)
        ids = [job.id for job in reaped.jobs]
        return TaskResult(
            {"jobs": len(ids), "ids": ids} if ids else {}, [e for _, e in reaped.failed]
        )

    return PeriodicTask("reap", _REAP_EVERY_S, call)
