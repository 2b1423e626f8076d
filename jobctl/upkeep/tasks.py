"""Prune and reap as periodic tasks of a hub."""

from __future__ import annotations

import threading

from jobctl.core.pipeline import BUILT_IN_ONLY, Pipelines
from jobctl.hub.periodic import PeriodicTask, TaskResult
from jobctl.stores import Store
from jobctl.upkeep.prune import Pruner, Rule
from jobctl.upkeep.reap import reap

__all__ = ["prune_task", "reap_task"]


_PRUNE_EVERY_S = 60.0


_REAP_EVERY_S = 1.0


def prune_task(
    store: Store, older_than_s: float, pipelines: Pipelines = BUILT_IN_ONLY
) -> PeriodicTask:
    """Return the task that removes jobs that ended over ``older_than_s`` seconds ago.

    It needs a store object of its own. ``pipelines`` are those of `Pruner`.
    """
    pruner = Pruner(store, Rule.make(older_than_s=older_than_s), pipelines)

    def call(stopping: threading.Event) -> TaskResult:
        pruned = pruner.run(stopping)
        return TaskResult({"removed": len(pruned.removed)} if pruned.removed else {}, pruned.failed)

    return PeriodicTask("prune", _PRUNE_EVERY_S, call)


def reap_task(store: Store) -> PeriodicTask:
    """Return the task that fails lost jobs within two seconds of their worker's death."""

    def call(_stopping: threading.Event) -> TaskResult:
        reaped = reap(store)
        ids = [job.id for job in reaped.jobs]
        return TaskResult(
            {"jobs": len(ids), "ids": ids} if ids else {}, [e for _, e in reaped.failed]
        )

    return PeriodicTask("reap", _REAP_EVERY_S, call)
