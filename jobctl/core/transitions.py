"""The transitions: pure functions from a job to its next version.

No transition reads a clock: ``now`` is an argument, a time as times.py writes it. ``pipelines`` are
those that the program knows. A job with its own stages does not need them.
"""

from __future__ import annotations

import json
import os
import re

from jobctl.core.escapes import without_escapes
from jobctl.core.fields import HistoryEntry, Steps
from jobctl.core.job import (
    CANCELLED_ERROR,
    MAX_HISTORY,
    NO_KEYS,
    Draft,
    Job,
    attempt_in,
    check_id,
    new_id,
)
from jobctl.core.labels import check_labels
from jobctl.core.pipeline import BUILT_IN_ONLY, COMPLETED, FAILED, PENDING, TERMINAL
from jobctl.errors import IllegalTransition, InvalidJob, did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from jobctl.core.pipeline import Pipelines

__all__ = [
    "CANCELLED",
    "LOST_PREFIX",
    "MAX_HISTORY",
    "MAX_REASON",
    "MAX_RESULT_BYTES",
    "acknowledge",
    "advance",
    "cancel",
    "check_result",
    "complete",
    "create",
    "explain_cancellation",
    "fail",
    "finish_stages",
    "legal_moves",
    "next_attempt",
    "overrule",
    "report",
    "retry",
    "short_reason",
    "take_up",
    "withdraw_acknowledgement",
]

MAX_RESULT_BYTES = 64 * 1024
MAX_REASON = 500
"""Characters of the reason for a cancellation, and of the note of an acknowledgement."""
CANCELLED = CANCELLED_ERROR
"""The error of a cancelled job, as in the original program."""
LOST_PREFIX = "Lost: "
"""The error of a job that failed because its worker was lost begins with this."""

_NO_CONTROLS = dict.fromkeys((*range(0x20), *range(0x7F, 0xA0)), " ")
_STAGE_NAME = re.compile(r"[^\s,\x00-\x1f\x7f](?:[^\x00-\x1f\x7f,]{0,62}[^\s,\x00-\x1f\x7f])?\Z")


def create(
    type: str,
    *,
    now: str,
    id: str | None = None,
    session_id: str | None = None,
    title: str | None = None,
    stages: Sequence[str] | None = None,
    labels: Mapping[str, str] | None = None,
    pipelines: Pipelines = BUILT_IN_ONLY,
) -> Job:
    """Return a new pending job; raise `UsageError` for an invalid part."""
    if not type or len(type) > 64 or not type.isprintable():
        raise InvalidJob(f"{ascii(type[:80])} is not a type: 1 to 64 printable characters")
    if stages is None:
        stages = pipelines.new_stages(type)  # for readers whose settings do not define the type
    if stages is not None:
        _check_stages(stages)
    job = Draft()
    job.id = check_id(id) if id is not None else new_id()
    job.type = type
    job.session_id = session_id
    job.stage = PENDING
    job.created_at = job.updated_at = job.stage_started_at = now
    job.title = title
    job.stages = tuple(stages) if stages is not None else None
    job.history = (HistoryEntry(PENDING, now),)
    job.retry_count = job.revision = 0
    job.completed_at = job.error = job.result_session_id = job.message = job.progress = None
    job.result = job.owner = job.run = job.cancelled = job.source = None
    job.host = job.user = job.acknowledged = None
    job.labels = check_labels(labels)
    job.extra = NO_KEYS
    return job.finish()


def advance(
    job: Job,
    stage: str | None = None,
    *,
    now: str,
    force: bool = False,
    pipelines: Pipelines = BUILT_IN_ONLY,
) -> Job:
    """Return the job in ``stage``, or in its next stage; only forward, unless ``force`` is set.

    A job of unknown type without its own stages may go to any stage by name. A job that is in
    ``stage`` already is returned as it is.
    """
    pipeline = pipelines.of(job)
    wanted = f"advance to {stage!r}" if stage else "advance"
    if not job.active:
        raise IllegalTransition(job.id, job.stage, wanted, legal_moves(job, pipelines))
    if stage is None:
        stage = pipeline.next(job.stage)
        if stage is None:
            raise IllegalTransition(
                job.id, job.stage, "advance: name the next stage", legal_moves(job, pipelines)
            )
    if stage == COMPLETED:
        return complete(job, now=now)
    if stage == FAILED:
        raise IllegalTransition(
            job.id, job.stage, "advance to 'failed'", legal_moves(job, pipelines)
        )
    if stage == job.stage:
        return job
    if not _STAGE_NAME.match(stage):
        raise InvalidJob(f"{ascii(stage[:80])} is not a stage: 1 to 64 printable characters")
    here, there = pipeline.index(job.stage), pipeline.index(stage)
    free = len(pipeline.stages) == 2
    backward = stage == PENDING or (there is not None and here is not None and there <= here)
    if not force and (backward or (there is None and not free)):
        raise IllegalTransition(
            job.id,
            job.stage,
            wanted,
            legal_moves(job, pipelines),
            meant=did_you_mean(stage, pipeline.names()),
        )
    return _enter(job, stage, now)


def report(
    job: Job,
    *,
    now: str,
    done: float | None = None,
    total: float | None = None,
    message: str | None = None,
) -> Job:
    """Return the job with new progress: ``done`` of ``total``, or ``done`` percent.

    Both belong to the stage of the last history entry. So if another program has moved the job,
    this adds an entry for the current stage, and removes what the file has of an earlier one.
    """
    if not job.active:
        raise IllegalTransition(job.id, job.stage, "report progress", legal_moves(job))
    update: dict[str, Any] = {"updated_at": now}
    update |= _record_of_move(job)
    if done is not None:
        update["progress"] = _progress(job, done, total)
    if message is not None:
        update["message"] = message
    return job.replace(**update)


def complete(
    job: Job, *, now: str, result: Any = None, result_session_id: str | None = None
) -> Job:
    """Return the completed job; ``result`` is any JSON value of at most `MAX_RESULT_BYTES`."""
    if not job.active:
        raise IllegalTransition(job.id, job.stage, "complete", legal_moves(job))
    update: dict[str, Any] = {"completed_at": now, "owner": None}
    if result is not None:
        update["result"] = check_result(result, id=job.id)
    if result_session_id is not None:
        update["result_session_id"] = result_session_id
    return _enter(job, COMPLETED, now, **update)


def finish_stages(
    job: Job,
    *,
    now: str,
    result: Any = None,
    result_session_id: str | None = None,
    pipelines: Pipelines = BUILT_IN_ONLY,
) -> Job:
    """Return the active job in its last stage, with all of that done.

    That is what "completed" means while a command runs: how it ends decides what becomes of the
    job. ``result`` and ``result_session_id`` are kept for that.
    """
    if not job.active:
        raise IllegalTransition(job.id, job.stage, "complete", legal_moves(job))
    update: dict[str, Any] = {"updated_at": now, "progress": 100}
    if result is not None:
        update["result"] = check_result(result, id=job.id)
    if result_session_id is not None:
        update["result_session_id"] = result_session_id
    stages = pipelines.of(job).stages
    last = stages[-2].name if len(stages) > 2 else job.stage  # the last one is "completed"
    if last != job.stage:
        job = _enter(job, last, now)
    return job.replace(**update)


def overrule(job: Job, error: str, *, now: str) -> Job:
    """Return the completed job as failed: the exit status of its command says so."""
    return _enter(job, FAILED, now, error=error, completed_at=None, owner=None)


def fail(job: Job, error: str, *, now: str) -> Job:
    """Return the failed job with this error; ``completedAt`` stays null, as in the original."""
    if not job.active:
        raise IllegalTransition(job.id, job.stage, "fail", legal_moves(job))
    return _enter(job, FAILED, now, error=error, owner=None)


def retry(job: Job, *, now: str, is_lost: bool = False) -> Job:
    """Return the failed job as pending: ``retryCount`` plus one, no error, no result.

    ``is_lost`` says that the owner of an active job is dead, for the error's hint.
    """
    if job.stage != FAILED:
        first = "its worker has died: 'jobctl reap' fails it first;" if is_lost else None
        raise IllegalTransition(job.id, job.stage, "retry", legal_moves(job), meant=first)
    return _restart(job, now)


def next_attempt(job: Job, *, now: str) -> Job:
    """Return the job as pending again, from any stage, for a worker that starts it again.

    An attempt that was active fails first, as its worker is lost.
    """
    if job.active:
        job = fail(job, f"{LOST_PREFIX}another worker took the job over", now=now)
    return _restart(job.replace(result_session_id=None), now)


def take_up(job: Job) -> Job:
    """Return the job that `Job.waits_for_worker`, for the worker that begins this attempt.

    If another program has retried it, its history gets the entry that this program did not write.
    """
    if not job.waits_for_worker:
        raise IllegalTransition(job.id, job.stage, "take up", legal_moves(job))
    return job.replace(**_record_of_move(job))


def cancel(
    job: Job,
    *,
    now: str,
    at_work: bool = False,
    by: str | None = None,
    reason: str | None = None,
    pipelines: Pipelines = BUILT_IN_ONLY,
) -> Job:
    """Return the pending job as cancelled: failed with "Cancelled by user".

    With ``at_work``, for the process that works on the job, it may be in any stage. ``by`` is who
    asked for it, and ``reason`` why, at most `MAX_REASON` characters.
    """
    if job.stage != PENDING and not (at_work and job.active):
        raise IllegalTransition(job.id, job.stage, "cancel", legal_moves(job, pipelines))
    return explain_cancellation(fail(job, CANCELLED, now=now), by=by, reason=reason)


def explain_cancellation(job: Job, *, by: str | None, reason: str | None) -> Job:
    """Return the cancelled job with who asked for it and why.

    A job that has this already, or is not cancelled (any more), is returned as it is.
    """
    if not job.is_cancelled or job.cancelled is not None:
        return job
    said = {"at": job.timeline()[-1].at, "by": by, "reason": reason}
    return job.replace(cancelled={key: value for key, value in said.items() if value})


def acknowledge(
    job: Job, *, now: str, is_lost: bool = False, by: str | None = None, note: str | None = None
) -> Job:
    """Return the failed or lost job with who has taken note of it, and their remark.

    ``is_lost`` says that an active job's owner is dead (`Job.lost`). It holds for this attempt:
    `retry` and `advance` remove it, and a lost job that fails keeps it. Doing this again replaces
    who and when, and keeps the note if there is no new one. Times of the job do not change,
    because they say when it ended. ``note`` has at most `MAX_REASON` characters.
    """
    if job.is_cancelled or (job.stage != FAILED and not (is_lost and job.active)):
        moves = () if job.is_cancelled else legal_moves(job)
        only = "only failed and lost jobs can be acknowledged;"
        raise IllegalTransition(job.id, job.shown_stage, "acknowledge", moves, meant=only)
    before = job.acknowledgement
    if note is None and before is not None:
        note = before.note
    said = {"at": now, "by": by, "note": note, "attempt": job.retry_count}
    said = {key: value for key, value in said.items() if value is not None}
    return job.replace(**{**_record_of_move(job), "acknowledged": said})


def withdraw_acknowledgement(job: Job) -> Job:
    """Return the job without its acknowledgement; the job itself if it has none."""
    return job.replace(acknowledged=None) if job.acknowledged is not None else job


def short_reason(text: str) -> str:
    """Return a reason or a note as a job keeps it: one line of at most `MAX_REASON` characters."""
    text = without_escapes(text.encode(errors="replace").decode())
    line = " ".join(text.translate(_NO_CONTROLS).split())
    return line if len(line) <= MAX_REASON else line[: MAX_REASON - 1] + "…"


def legal_moves(job: Job, pipelines: Pipelines = BUILT_IN_ONLY) -> tuple[str, ...]:
    """Return what may be done with the job in its current stage, as words for people."""
    if job.stage == COMPLETED:
        return ()
    if job.stage == FAILED:
        return ("retry",)
    pipeline = pipelines.of(job)
    here = pipeline.index(job.stage)
    later = [stage.name for stage in pipeline.stages[(here or 0) + 1 :]]
    if len(pipeline.stages) == 2:
        later.insert(0, "any other stage")
    moves = [*(f"advance to {name}" for name in later), "fail"]
    return (*moves, "cancel") if job.stage == PENDING else tuple(moves)


def _enter(job: Job, stage: str, now: str, **update: Any) -> Job:
    history = (*job.timeline(), HistoryEntry(stage, now))
    retry_count = update.get("retry_count", job.retry_count)
    # Whoever knows that a job is lost knows that it fails.
    acknowledged = job.acknowledged if stage == FAILED and job.is_acknowledged else None
    return job.replace(
        stage=stage,
        updated_at=now,
        stage_started_at=now,
        progress=None,
        message=None,
        history=_bounded(_with_attempt(history, retry_count)),
        cancelled=None,
        acknowledged=acknowledged,
        **{**_no_former_owner(job), **update},
    )


def _bounded(history: tuple[HistoryEntry, ...]) -> tuple[HistoryEntry, ...]:
    if len(history) > MAX_HISTORY:
        history = (history[0], *history[1 - MAX_HISTORY :])
    return history


def _with_attempt(history: tuple[HistoryEntry, ...], retry_count: int) -> tuple[HistoryEntry, ...]:
    """Return the history with the attempt in its last entry, if the others do not give it."""
    if not retry_count or attempt_in(history) == retry_count:
        return history
    last = history[-1]
    return (*history[:-1], HistoryEntry(last.stage, last.at, {"attempt": retry_count}))


def _record_of_move(job: Job) -> dict[str, Any]:
    """Return the change that adds a history entry for a stage that another program has set."""
    if not job.moved_by_others:
        return {}
    history = _bounded(_with_attempt(job.timeline(), job.retry_count))
    update: dict[str, Any] = {"history": history, "progress": None, "message": None}
    update |= {"cancelled": None, "acknowledged": None}
    return {**update, **_no_former_owner(job)}


def _no_former_owner(job: Job) -> dict[str, Any]:
    """Return the change that removes the owner of an earlier attempt, which would count again."""
    return {"owner": None} if job.former_owner is not None else {}


def _restart(job: Job, now: str) -> Job:
    return _enter(
        job,
        PENDING,
        now,
        error=None,
        result=None,
        completed_at=None,
        owner=None,
        retry_count=job.retry_count + 1,
    )


def _progress(job: Job, done: float, total: float | None) -> Steps | float:
    if total is None:
        if not 0 <= done <= 100:
            raise InvalidJob(f"{done!r} is no percentage; write DONE/TOTAL to count", id=job.id)
        return done
    if not (0 <= done < float("inf") and 0 < total < float("inf")):
        raise InvalidJob(f"{done!r}/{total!r} is no progress", id=job.id)
    return Steps(min(done, total), total)


def _check_stages(stages: Sequence[str]) -> None:
    if len(stages) > MAX_HISTORY - 3:
        raise InvalidJob(f"{len(stages)} stages, over the {MAX_HISTORY - 3} allowed")
    for name in stages:
        if not _STAGE_NAME.match(name):
            raise InvalidJob(f"{ascii(name[:80])} is not a stage: 1 to 64 printable characters")
        if name == PENDING or name in TERMINAL:
            raise InvalidJob(f"every job has the stage {name!r}: leave it out")
    if len(set(stages)) < len(stages):
        raise InvalidJob(f"a stage stands twice in {','.join(stages)}")


def check_result(result: Any, *, id: str) -> Any:
    """Return the result as it will be read back, without tuples, NaN or bytes; `InvalidJob`."""
    try:
        text = json.dumps(
            result, default=_json_of, allow_nan=False, ensure_ascii=False, separators=(",", ":")
        )
        data = text.encode()
        value = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidJob(f"the result is not JSON: {error}", id=id) from error
    if len(data) > MAX_RESULT_BYTES:
        raise InvalidJob(
            f"the result has {len(data)} bytes, over the {MAX_RESULT_BYTES} allowed", id=id
        )
    return value


def _json_of(value: Any) -> Any:
    """Return a JSON value for types that `json` does not support."""
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    if hasattr(value, "model_dump"):
        return value.model_dump()
    if hasattr(value, "__dataclass_fields__"):
        return {name: getattr(value, name) for name in value.__dataclass_fields__}
    if isinstance(value, (set, frozenset)) or kind == "collections.deque":
        return list(value)
    if isinstance(value, (bytes, bytearray)):
        return value.decode()
    if hasattr(value, "isoformat"):
        return value.isoformat().replace("+00:00", "Z")
    if hasattr(value, "__fspath__"):
        return os.fspath(value)
    if hasattr(type(value), "__members__"):  # an enumeration
        return value.value
    if kind in ("decimal.Decimal", "uuid.UUID"):
        return str(value)
    raise TypeError(f"{kind} is no JSON value")
