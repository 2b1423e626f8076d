"""The attempt that a worker makes at a job: a new job, or the next attempt at one that is there."""

from __future__ import annotations

from collections.abc import Callable

from jobctl._clock import now
from jobctl.core.job import Job
from jobctl.core.pipeline import FAILED
from jobctl.core.transitions import LOST_PREFIX, next_attempt, take_up
from jobctl.errors import Conflict, JobNotFound
from jobctl.stores import Store

__all__ = ["begin_attempt"]

_MAX_RACES = 3


def begin_attempt(
    store: Store, first: Job, begin: Callable[[Job], Job], *, again: bool, again_by: str
) -> Job:
    """Create the job ``first``, or begin the next attempt at the job with its id.

    That is done for a job whose worker is lost, also if it was failed for that already, and with
    ``again`` for every job that has ended, or was retried and waits for a worker since. It keeps
    its type and gets the title, session, stages and labels of ``first`` as far as they are
    given. Of several workers one succeeds. For the others, and for a job that somebody works on,
    raises `Conflict`; ``again_by`` says how ``again`` is set.

    ``begin`` returns the new job, or the next attempt, as the worker starts it.
    """
    dead = frozenset[str]()

    def begin_again(old: Job) -> Job:
        return begin(_next_attempt(old, first, dead, again=again, again_by=again_by))

    for _ in range(_MAX_RACES):
        try:
            return store.create(begin(first))
        except Conflict:
            dead = store.owners.dead()  # an owner that is dead stays so
        try:
            return store.update(first.id, begin_again)
        except JobNotFound:
            pass  # it was removed in between
    raise Conflict(f"job {first.id} is created and removed all the time", hint="choose another id")


def _next_attempt(old: Job, first: Job, dead: frozenset[str], *, again: bool, again_by: str) -> Job:
    was_lost = old.stage == FAILED and (old.error or "").startswith(LOST_PREFIX)
    waits = old.waits_for_worker
    if old.active and not old.lost(dead) and not (waits and again):
        hint = "choose another id" if old.owned_by is None else "its worker may be alive"
        raise Conflict(f"job {old.id} exists already, in stage {ascii(old.stage)}", hint=hint)
    if not (old.active or was_lost or again):
        raise Conflict(
            f"job {old.id} exists already, and is {old.stage}",
            hint=f"choose another id, or {again_by}",
        )
    given = {
        "title": first.title,
        "session_id": first.session_id,
        "stages": first.stages,
        "labels": first.labels,
    }
    job = take_up(old) if waits else next_attempt(old, now=now())
    extra = {key: value for key, value in old.extra.items() if key != "parent"} | {**first.extra}
    return job.replace(
        owner=first.owner,
        extra=extra,
        **{key: value for key, value in given.items() if value is not None},
    )
