"""Each command as a function of the same name, on a store. The command line calls these.

They set the time, and accept any unique start of an id. The exceptions are in errors.py. ``watch``,
``wait``, ``serve``, ``run``, ``run_dummy``, ``prune``, ``reap`` and ``doctor`` are imported from
other modules on first use. Reads with ``--url`` are in `jobctl.reader.once`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence

from jobctl._clock import now, now_ms
from jobctl.core import transitions
from jobctl.core.cursor import ZERO, Cursor
from jobctl.core.eta import UsualDurations
from jobctl.core.filters import EVERYTHING, Filter
from jobctl.core.job import Job
from jobctl.core.jobset import Delta
from jobctl.core.pipeline import BUILT_IN_ONLY, COMPLETED, Pipelines
from jobctl.errors import Conflict, TimedOut
from jobctl.stores import Store, logs_of, read_all, resolve
from jobctl.stores.owners import CancelRequest, OwnerInfo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from jobctl.core.stats import GroupStats
    from jobctl.hub.server import serve
    from jobctl.reader.follow import follow as watch
    from jobctl.reader.http_api import clients
    from jobctl.reader.wait import wait, wait_async
    from jobctl.upkeep.doctor import doctor
    from jobctl.upkeep.prune import prune
    from jobctl.upkeep.reap import reap
    from jobctl.work.dummy import run_dummy
    from jobctl.work.run import run

__all__ = [
    "ack",
    "advance",
    "cancel",
    "clients",
    "complete",
    "create",
    "doctor",
    "fail",
    "logs",
    "ls",
    "progress",
    "prune",
    "reap",
    "resolve",
    "retry",
    "rm",
    "run",
    "run_dummy",
    "serve",
    "show",
    "stats",
    "usual",
    "wait",
    "wait_async",
    "watch",
]

RECENT = 500
"""How many recent revisions `usual` reads."""
CANCEL_S = 15.0
"""How long `cancel` waits for the owner: longer than ``jobctl run`` waits before it kills."""

_ELSEWHERE = {
    "doctor": ("jobctl.upkeep.doctor", "doctor"),
    "prune": ("jobctl.upkeep.prune", "prune"),
    "clients": ("jobctl.reader.http_api", "clients"),
    "reap": ("jobctl.upkeep.reap", "reap"),
    "run": ("jobctl.work.run", "run"),
    "run_dummy": ("jobctl.work.dummy", "run_dummy"),
    "serve": ("jobctl.hub.server", "serve"),
    "wait": ("jobctl.reader.wait", "wait"),
    "wait_async": ("jobctl.reader.wait", "wait_async"),
    "watch": ("jobctl.reader.follow", "follow"),
}


def __getattr__(name: str) -> Any:
    if name not in _ELSEWHERE:
        raise AttributeError(f"module 'jobctl.api' has no attribute {name!r}")
    from importlib import import_module

    module, attribute = _ELSEWHERE[name]
    return getattr(import_module(module), attribute)


def ls(
    store: Store,
    filter: Filter = EVERYTHING,
    cursor: Cursor = ZERO,
    *,
    usual: UsualDurations | None = None,
) -> Delta:
    """Return the jobs under a filter that changed since the cursor, and what is gone.

    A cursor that cannot be resumed, or that belongs to another filter, gets all jobs. ``usual``
    learns from all jobs that were read, whatever the filter.
    """
    if cursor.tag != filter.tag:
        cursor = ZERO
    delta = read_all(store, Cursor(cursor.epoch, cursor.revision))
    if usual is not None:
        usual.take(delta.jobs)
    return delta.filtered(filter)


def usual(store: Store, pipelines: Pipelines = BUILT_IN_ONLY) -> UsualDurations:
    """Return the usual durations, from recent changes; cheap for any number of jobs.

    ``pipelines`` are those that settings define, here as in `create` and `advance`.
    """
    head = store.head()
    if head == ZERO and len(store.ids()) > RECENT:
        # Many foreign files without an order: to read them all would take long.
        return UsualDurations(pipelines=pipelines)
    start = Cursor(head.epoch, head.revision - RECENT) if head.revision > RECENT else ZERO
    return UsualDurations(store.since(start).jobs, pipelines=pipelines)


def show(store: Store, id: str) -> Job:
    """Return the job as it is stored."""
    return store.get(resolve(store, id))


def stats(
    store: Store,
    filter: Filter = EVERYTHING,
    *,
    by: str = "type",
    since_ms: int | None = None,
    until_ms: int | None = None,
) -> list[GroupStats]:
    """Return counts, failure rates and durations of the jobs under a filter, group by group.

    ``by`` is ``type``, ``host`` or ``label=KEY``. With a period only jobs count that ended in it,
    and those that are active now, unless it ends before now; see `jobctl.core.stats`.
    """
    from jobctl.core.stats import Grouping, group_stats

    dead = store.owners.dead()  # before the read, which then has everything that they wrote
    return group_stats(
        ls(store, filter).jobs,
        Grouping.parse(by),
        now_ms=now_ms(),
        since_ms=since_ms,
        until_ms=until_ms,
        dead=dead,
    )


def logs(
    store: Store,
    id: str,
    *,
    tail: int | None = None,
    since_ms: int | None = None,
    timestamps: bool = False,
    stderr: bool = False,
) -> bytes:
    """Return what the job's command has printed so far, as it was kept; `LogNotFound` if nothing.

    ``tail`` is the number of last lines; the others are those of `LogText`.
    """
    from jobctl.core.log_text import LogText, last_lines
    from jobctl.stores.log_reading import has_log, read_parts, why_no_log

    job = show(store, id)
    kept = logs_of(store)
    if kept is None or not has_log(store, job):
        raise why_no_log(job)
    text = LogText(timestamps=timestamps, stderr=stderr, since_ms=since_ms)
    found = b"".join(text.feed(part) for part in read_parts(kept, job.id))
    return found if tail is None else last_lines(found, tail)


def create(
    store: Store,
    type: str = "job",
    *,
    id: str | None = None,
    session: str | None = None,
    title: str | None = None,
    stages: Sequence[str] | None = None,
    labels: Mapping[str, str] | None = None,
    pipelines: Pipelines = BUILT_IN_ONLY,
) -> Job:
    """Record a new pending job."""
    job = transitions.create(
        type,
        now=now(),
        id=id,
        session_id=session,
        title=title,
        stages=stages,
        labels=labels,
        pipelines=pipelines,
    )
    return store.create(job)


def advance(
    store: Store,
    id: str,
    stage: str | None = None,
    *,
    force: bool = False,
    pipelines: Pipelines = BUILT_IN_ONLY,
) -> Job:
    """Move the job to its next stage, or to ``stage``.

    While its command runs, a job that would complete stays in its last stage, see `complete`.
    """

    def change(job: Job) -> Job:
        moved = transitions.advance(job, stage, now=now(), force=force, pipelines=pipelines)
        if moved.stage == COMPLETED and _runs(job, store):
            return transitions.finish_stages(job, now=now(), pipelines=pipelines)
        return moved

    return store.update(resolve(store, id), change)


def progress(
    store: Store, id: str, done: float, total: float | None = None, message: str | None = None
) -> Job:
    """Record progress in the current stage: ``done`` of ``total``, or ``done`` percent."""
    return store.update(
        resolve(store, id),
        lambda job: transitions.report(job, now=now(), done=done, total=total, message=message),
    )


def complete(
    store: Store,
    id: str,
    *,
    result: Any = None,
    result_session: str | None = None,
    pipelines: Pipelines = BUILT_IN_ONLY,
) -> Job:
    """Complete the job.

    While a command of ``jobctl run`` works on it, the job goes to its last stage, with all of that
    done: the exit status of the command decides whether it completes or fails.
    """

    def change(job: Job) -> Job:
        if _runs(job, store):
            return transitions.finish_stages(
                job, now=now(), result=result, result_session_id=result_session, pipelines=pipelines
            )
        return transitions.complete(job, now=now(), result=result, result_session_id=result_session)

    return store.update(resolve(store, id), change)


def _runs(job: Job, store: Store) -> bool:
    """Whether a command works on the job: ``jobctl run`` owns it, and is alive."""
    return job.runs and not job.lost(store.owners.dead())


def fail(store: Store, id: str, message: str) -> Job:
    """Fail the job with a reason."""
    return store.update(resolve(store, id), lambda job: transitions.fail(job, message, now=now()))


def retry(store: Store, id: str, *, attempt: int | None = None) -> Job:
    """Make the failed job pending again.

    With ``attempt``, only if this is still the job's attempt (`Job.retry_count`); else `Conflict`.
    """

    def change(job: Job) -> Job:
        is_lost = job.active and job.lost(store.owners.dead())
        return transitions.retry(_at(job, attempt), now=now(), is_lost=is_lost)

    return store.update(resolve(store, id), change)


def ack(store: Store, id: str, note: str | None = None, *, undo: bool = False) -> Job:
    """Acknowledge that the job has failed or is lost, with an optional note.

    It is kept in the job, with our user's name, until the job is retried or goes on. ``note`` is
    kept on one line and at most 500 characters long; without one an earlier note stays. ``undo``
    takes the acknowledgement back. Raises `IllegalTransition` for other jobs.
    """
    if undo:
        return store.update(resolve(store, id), transitions.withdraw_acknowledgement)
    id, dead = resolve(store, id), store.owners.dead()
    by, said = _asker(None), transitions.short_reason(note) if note is not None else None
    return store.update(
        id,
        lambda job: transitions.acknowledge(
            job, now=now(), is_lost=job.lost(dead), by=by, note=said or None
        ),
    )


def cancel(
    store: Store,
    id: str,
    *,
    reason: str | None = None,
    timeout_s: float = CANCEL_S,
    attempt: int | None = None,
) -> Job:
    """Cancel the job: it fails with "Cancelled by user", and `Job.cancellation` says by whom.

    ``reason`` is kept in the job, on one line and at most 500 characters long. With ``attempt``,
    only this attempt of the job is cancelled (`Job.retry_count`); else `Conflict`.

    A pending job without an owner, and a job whose owner is dead, fails at once. A living owner is
    asked to end the job within ``timeout_s`` seconds; then `TimedOut` is raised, and the request
    stays. Raises `Conflict` if the job ended otherwise meanwhile, `IllegalTransition` if no owner
    is known.
    """
    job = _at(store.get(resolve(store, id)), attempt)
    name = job.owned_by if job.active else None
    dead = store.owners.dead()
    reason = transitions.short_reason(reason) if reason is not None else None
    request = CancelRequest(_asker(store.owners.info(name) if name is not None else None), reason)
    if name is None or name in dead or not _ask_owner(store, job, name, request, attempt):
        return store.update(
            job.id,
            lambda job: transitions.cancel(
                _at(job, attempt),
                now=now(),
                at_work=job.lost(dead),
                by=request.by,
                reason=request.reason,
            ),
        )
    deadline = time.monotonic() + timeout_s
    while (job := _at(store.get(job.id), attempt)).active:
        if name in store.owners.dead():
            return cancel(store, job.id, reason=reason, timeout_s=timeout_s, attempt=attempt)
        if time.monotonic() >= deadline:
            raise TimedOut(
                f"job {job.id}: {store.owners.info(name) or 'its owner'} has been asked to end it, "
                f"and has not for {timeout_s:g} s",
                hint="is it stopped? it stays asked",
            )
        time.sleep(0.05)
    if not job.is_cancelled:
        raise Conflict(f"job {job.id} {job.stage} before it could be cancelled")
    if job.cancelled is not None:
        return job
    return store.update(  # a worker of jobctl 0.1.0 does not record who asked
        job.id,
        lambda job: transitions.explain_cancellation(job, by=request.by, reason=request.reason),
    )


def _at(job: Job, attempt: int | None) -> Job:
    """Return the job if it is at this attempt, or if any will do; `Conflict` otherwise."""
    if attempt is not None and job.retry_count != attempt:
        raise Conflict(f"job {job.id} is at attempt {job.retry_count + 1}, not {attempt + 1}")
    return job


def _ask_owner(
    store: Store, job: Job, name: str, request: CancelRequest, attempt: int | None
) -> bool:
    """Ask the owner to cancel the job; return ``False`` if it cannot be asked."""
    if attempt is None:
        return store.owners.request_cancel(name, job.id, request)
    asked = False

    def ask(job: Job) -> Job:  # under the lock, so that the next attempt does not begin meanwhile
        nonlocal asked
        if _at(job, attempt).owned_by == name and job.active:
            asked = store.owners.request_cancel(name, job.id, request)
        return job

    store.update(job.id, ask)
    return asked


def _asker(owner: OwnerInfo | None) -> str:
    """Return our user's name; with that of this machine if the ``owner`` is on another one."""
    import pwd

    uid, host = os.getuid(), os.uname().nodename
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = f"uid {uid}"  # a container may have no entry for it
    return name if owner is None or owner.host == host else f"{name}@{host}"


def rm(store: Store, id: str, *, damaged: bool = False) -> str:
    """Remove the job and return its id; with ``damaged`` also a file that is not a job.

    Without ``damaged`` such a file raises `DamagedFile`.
    """
    id = resolve(store, id)
    store.remove(id, damaged=damaged)
    return id
