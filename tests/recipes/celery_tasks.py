"""Celery: every task of the application is a job, with the task's own id."""

from __future__ import annotations

from typing import Any

from celery import Celery, Task

from jobctl import track


class TrackedTask(Task):
    """``Celery(task_cls=TrackedTask)``, and `self.job` in tasks with ``bind=True``."""

    job: Any = None

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Run the task as a job; when Celery runs it again, that is the job's next attempt."""
        with track(self.name, title=f"{self.name}{args}", id=self.request.id, again=True) as job:
            self.job = job
            result = super().__call__(*args, **options)
            job.result(result)
            return result


app = Celery("work", broker="memory://", backend="cache+memory://", task_cls=TrackedTask)


@app.task(bind=True, name="add")
def add(self: Any, numbers: list[int]) -> int:
    """A task that reports."""
    total = 0
    for done, number in enumerate(numbers, 1):
        total += number
        self.job.progress(done, len(numbers))
    return total


@app.task(name="boom")
def boom() -> None:
    """A task that fails."""
    raise ValueError("no such table")


@app.task(bind=True, name="shaky", max_retries=2, default_retry_delay=0)
def shaky(self: Any) -> str:
    """A task that succeeds at its second run."""
    if not self.request.retries:
        raise self.retry(exc=ValueError("no connection"))
    return "fine"


def main() -> None:
    """A worker in a thread, three tasks, and what came of them."""
    from celery.contrib.testing.worker import start_worker

    app.conf.broker_transport_options = {"polling_interval": 0.05}
    with start_worker(app, pool="solo", perform_ping_check=False):
        good, bad = add.delay([1, 2, 3]), boom.delay()
        print(good.id, good.get(timeout=20))
        bad.get(timeout=20, propagate=False)
        print(bad.id, bad.state)
        again = shaky.delay()
        print(again.id, again.get(timeout=20))


if __name__ == "__main__":
    main()
