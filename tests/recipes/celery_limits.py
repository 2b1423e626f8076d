"""Celery: tasks that the worker's pool ends before they do."""

from __future__ import annotations

import sys
import time

from celery import Celery

from tests.recipes.celery_tasks import TrackedTask

app = Celery("work", broker="memory://", backend="cache+memory://", task_cls=TrackedTask)
app.conf.broker_transport_options = {"polling_interval": 0.05}


@app.task(name="slow")
def slow() -> None:
    """A task that takes too long."""
    time.sleep(50)


def main(*limits: str) -> None:
    """A worker with processes, and the task under each of the limits."""
    from celery.contrib.testing.worker import start_worker

    with start_worker(app, pool="prefork", concurrency=1, perform_ping_check=False):
        for limit in limits:
            if limit == "revoke":
                task = slow.apply_async(time_limit=40)
                time.sleep(2)
                app.control.revoke(task.id, terminate=True)
                time.sleep(1)
            else:
                task = slow.apply_async(**{limit: 1})
                task.get(timeout=20, propagate=False) if limit == "time_limit" else time.sleep(3)
            print(limit, task.id, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
