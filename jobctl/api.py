"""Each command as a call of the same name, on a store; the command line is a coat over these.

They stamp the time and take any unique start of an id. What they raise is in errors.py. ``watch``,
``serve``, ``run_dummy``, ``prune`` and ``doctor`` are `jobctl.net.follow.follow`,
`jobctl.net.server.serve`, `jobctl.dummy.run_dummy`, `jobctl.prune.prune` and
`jobctl.doctor.doctor`, imported when they are asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from jobctl import job as jobs
from jobctl.clock import now
from jobctl.cursor import ZERO, Cursor
from jobctl.errors import JobNotFound
from jobctl.filters import EVERYTHING, Filter
from jobctl.job import Job, check_id
from jobctl.jobset import Delta
from jobctl.stores import Store

if TYPE_CHECKING:
    from jobctl.doctor import doctor
    from jobctl.dummy import run_dummy
    from jobctl.net.follow import follow as watch
    from jobctl.net.server import serve
    from jobctl.prune import prune

__all__ = [
    "advance",
    "cancel",
    "complete",
    "create",
    "doctor",
    "fail",
    "ls",
    "progress",
    "prune",
    "resolve",
    "retry",
    "rm",
    "run_dummy",
    "serve",
    "show",
    "watch",
]

_ELSEWHERE = {
    "doctor": ("jobctl.doctor", "doctor"),
    "prune": ("jobctl.prune", "prune"),
    "run_dummy": ("jobctl.dummy", "run_dummy"),
    "serve": ("jobctl.net.server", "serve"),
    "watch": ("jobctl.net.follow", "follow"),
}


def __getattr__(name: str) -> Any:
    if name not in _ELSEWHERE:
        raise AttributeError(f"module 'jobctl.api' has no attribute {name!r}")
    module, attribute = _ELSEWHERE[name]
    return getattr(import_module(module), attribute)


def resolve(store: Store, text: str) -> str:
    """The id that the text is, or is the only start of; `JobNotFound` otherwise."""
    ids = store.ids(check_id(text))
    if text in ids:
        return text
    if len(ids) == 1:
        return ids[0]
    raise JobNotFound(text, store.where, ids)


def ls(store: Store, filter: Filter = EVERYTHING, cursor: Cursor = ZERO) -> Delta:
    """The one read: the jobs under a filter that changed since the cursor, and what is gone.

    A cursor that cannot be resumed, or that belongs to another filter, gets everything.
    """
    if cursor.tag != filter.tag:
        cursor = ZERO
    return store.since(Cursor(cursor.epoch, cursor.revision)).filtered(filter)


def show(store: Store, id: str) -> Job:
    """The job as it is stored."""
    return store.get(resolve(store, id))


def create(
    store: Store,
    type: str = "job",
    *,
    id: str | None = None,
    session: str | None = None,
    title: str | None = None,
    stages: Sequence[str] | None = None,
) -> Job:
    """A new pending job, recorded."""
    job = jobs.create(type, now=now(), id=id, session_id=session, title=title, stages=stages)
    return store.create(job)


def advance(store: Store, id: str, stage: str | None = None, *, force: bool = False) -> Job:
    """The job in its next stage, or in the one named."""
    return store.update(
        resolve(store, id), lambda job: jobs.advance(job, stage, now=now(), force=force)
    )


def progress(
    store: Store, id: str, done: float, total: float | None = None, message: str | None = None
) -> Job:
    """The job with ``done`` of ``total`` steps, or ``done`` percent, of its stage behind it."""
    return store.update(
        resolve(store, id),
        lambda job: jobs.report(job, now=now(), done=done, total=total, message=message),
    )


def complete(
    store: Store, id: str, *, result: Any = None, result_session: str | None = None
) -> Job:
    """The job completed."""
    return store.update(
        resolve(store, id),
        lambda job: jobs.complete(job, now=now(), result=result, result_session_id=result_session),
    )


def fail(store: Store, id: str, message: str) -> Job:
    """The job failed, with the reason."""
    return store.update(resolve(store, id), lambda job: jobs.fail(job, message, now=now()))


def retry(store: Store, id: str) -> Job:
    """The failed job pending again."""
    return store.update(resolve(store, id), lambda job: jobs.retry(job, now=now()))


def cancel(store: Store, id: str) -> Job:
    """The pending job failed with "Cancelled by user"."""
    return store.update(resolve(store, id), lambda job: jobs.cancel(job, now=now()))


def rm(store: Store, id: str) -> None:
    """Remove the job."""
    store.remove(resolve(store, id))
