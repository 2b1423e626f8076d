"""The job: an immutable value, and the pure transitions that make the next one of it.

On disk and on the wire the keys are camelCase; keys that nobody here knows are kept through every
rewrite. Times are text as clock.py writes it, so that a foreign file comes back as it was.
No transition reads a clock: ``now`` is an argument.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Container, Sequence
from functools import partial
from operator import is_
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticSerializationError, from_json, to_json

from jobctl.clock import known_ms
from jobctl.errors import IllegalTransition, InvalidId, InvalidJob, did_you_mean
from jobctl.pipeline import (
    COMPLETED,
    FAILED,
    PENDING,
    TERMINAL,
    Pipeline,
    defined_stages,
    pipeline_of,
)

__all__ = [
    "CANCELLED",
    "MAX_HISTORY",
    "MAX_RESULT_BYTES",
    "Command",
    "CommandEnd",
    "Entered",
    "Job",
    "Steps",
    "advance",
    "cancel",
    "check_id",
    "check_result",
    "complete",
    "create",
    "fail",
    "new_id",
    "report",
    "retry",
]

MAX_HISTORY = 64
"""Entries of `Job.history` that are kept: the first and the newest ones."""
MAX_RESULT_BYTES = 64 * 1024
CANCELLED = "Cancelled by user"
"""What a cancelled job fails with, as in the original program."""
MAX_AHEAD_MS = 3_600_000
"""Clocks of machines may differ by this much; see `Job.ended_ms`."""

_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}\Z")
_OWNER = re.compile(r"[0-9]{1,10}-[0-9a-f]{12}\Z")
_STAGE_NAME = re.compile(r"[^\s,\x00-\x1f\x7f](?:[^\x00-\x1f\x7f,]{0,62}[^\s,\x00-\x1f\x7f])?\Z")

_Time = Annotated[
    str,
    StringConstraints(
        # [0-9] and not \d, which takes the digits of all scripts.
        pattern=r"^([1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
        r"T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?"
        r"(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
    ),
]
_Stage = Annotated[str, StringConstraints(min_length=1)]


def _own_key() -> Any:
    """A key that the original program does not have: written only when it is set.

    What decides that is no Python function: a signal that came within one would be swallowed, since
    pydantic turns whatever is raised there, `KeyboardInterrupt` too, into a ValueError.
    """
    return Field(default=None, exclude_if=partial(is_, None))


def _revision(value: object) -> int:
    """The store alone knows the revision: whatever a foreign file says is no news and no error."""
    return value if type(value) is int and 0 <= value < 2**53 else 0


class _Value(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="allow",
        alias_generator=to_camel,
        validate_by_name=False,
        validate_by_alias=True,
        serialize_by_alias=True,
    )


class Entered(_Value):
    """One line of a job's history: the stage, and when it was entered."""

    stage: str
    at: _Time


class Steps(_Value):
    """Progress in steps: ``done`` of ``total``."""

    done: Annotated[float | int, Field(ge=0, allow_inf_nan=False)]
    total: Annotated[float | int, Field(gt=0, allow_inf_nan=False)]


class Command(_Value):
    """What ``jobctl run`` ran: the words, where, with which chosen variables; and how it ended.

    ``duration_ms`` is by a clock that does not jump; ``stderr`` are the last lines, when it failed.
    ``exact`` is false where the words are for reading only: they could not be kept to the letter.
    """

    argv: Annotated[tuple[str, ...], Field(min_length=1)]
    cwd: str
    env: dict[str, str] | None = _own_key()
    exact: bool | None = _own_key()
    exit_code: int | None = _own_key()
    signal: str | None = _own_key()
    duration_ms: int | None = _own_key()
    stderr: tuple[str, ...] | None = _own_key()


class CommandEnd(_Value):
    """How a command ended: all that a reader gets who may not see the command itself."""

    exit_code: int | None = None
    signal: str | None = None
    duration_ms: int | None = None


class Job(_Value):
    """One unit of tracked work.

    ``revision`` is 0 until a store has recorded the job; it is on the wire, never on disk.
    ``progress`` is of the present stage: `Steps`, or a percentage from 0 to 100. ``owner`` and
    ``run`` may be anything in a foreign file: see `owned_by` and `command`.
    """

    id: str
    type: str
    session_id: str | None = None
    stage: _Stage
    created_at: _Time
    updated_at: _Time
    completed_at: _Time | None = None
    stage_started_at: _Time | None = None
    error: str | None = None
    retry_count: Annotated[int, Field(ge=0, lt=2**53)] = 0
    result_session_id: str | None = None
    title: str | None = _own_key()
    message: str | None = _own_key()
    progress: Steps | Annotated[float | int, Field(ge=0, le=100, allow_inf_nan=False)] | None = (
        _own_key()
    )
    stages: tuple[str, ...] | None = _own_key()
    history: tuple[Entered, ...] | None = _own_key()
    result: Any = _own_key()
    owner: Any = _own_key()
    run: Any = _own_key()
    revision: Annotated[int, BeforeValidator(_revision)] = 0

    @property
    def active(self) -> bool:
        """Neither completed nor failed."""
        return self.stage not in TERMINAL

    @property
    def owned_by(self) -> str | None:
        """The name of the process that works on the job, if it told (see stores/owners.py)."""
        return self.owner if isinstance(self.owner, str) and _OWNER.match(self.owner) else None

    @property
    def command(self) -> Command | None:
        """What ``jobctl run`` ran, where that is what the job is."""
        try:
            return Command.model_validate(self.run) if self.run is not None else None
        except ValidationError:
            return None  # somebody else's key

    @property
    def command_end(self) -> CommandEnd | None:
        """How the command ended, as far as the job tells, also where it has no `command`."""
        try:
            return CommandEnd.model_validate(self.run) if self.run is not None else None
        except ValidationError:
            return None  # somebody else's key

    @property
    def pipeline(self) -> Pipeline:
        """The way this job goes: its own stages, or those of its type."""
        return pipeline_of(self.type, self.stages)

    @property
    def fraction(self) -> float:
        """How much of the present stage is done, 0 to 1."""
        if isinstance(self.progress, Steps):
            return min(self.progress.done / self.progress.total, 1.0)
        return (self.progress or 0) / 100

    @property
    def percent(self) -> int | None:
        """How much of the whole is done, 0 to 100; ``None`` when the stage says nothing of it."""
        return self.pipeline.percent(self.stage, self.fraction)

    def stalled(self, now_ms: int) -> bool:
        """Active, and in its stage for longer than its pipeline allows."""
        limit_ms = self.pipeline.stalled_after_ms
        if limit_ms is None or not self.active:
            return False
        entered_ms = known_ms(self._entered_at())
        return entered_ms is not None and now_ms - entered_ms > limit_ms

    def ended_ms(self, now_ms: int | None = None) -> int | None:
        """When the job ended, in ms since 1970; ``None`` while it is active, or if no time tells.

        It is ``completedAt`` if that is not before ``createdAt``. Else, as for a failed job, whose
        ``completedAt`` is null, it is ``updatedAt``, or ``stageStartedAt`` if that is later. Times
        that stand for none do not count (`known_ms`). The end is never before ``createdAt``: if
        all others are, it is ``createdAt`` itself.

        A time in the future counts: a job that seems to end there must not be removed. With
        ``now_ms`` it does not, for durations that are shown: what lies over `MAX_AHEAD_MS` after
        both ``now_ms`` and ``createdAt`` comes from a clock that was wrong.
        """
        if self.active:
            return None
        created, entered = known_ms(self.created_at), known_ms(self.stage_started_at)
        completed, updated = known_ms(self.completed_at), known_ms(self.updated_at)
        if self.stage == FAILED and completed is not None and completed < (entered or 0):
            completed = None  # of an earlier attempt: the program that failed this one left it
        changed = max((ms for ms in (updated, entered) if ms is not None), default=None)
        ends = [ms for ms in (completed, changed) if ms is not None and ms >= (created or 0)]
        if not ends:
            return created
        if now_ms is None:
            return ends[0]
        present = max(now_ms, created or 0)
        return next((ms for ms in ends if ms <= present + MAX_AHEAD_MS), present)

    def elapsed_ms(self, now_ms: int) -> int | None:
        """From creation to the end, or to ``now_ms`` while active; never negative.

        ``None`` if the file does not tell when the job was created, or when it ended.
        """
        created_ms = known_ms(self.created_at)
        end_ms = now_ms if self.active else self.ended_ms(now_ms)
        if created_ms is None or end_ms is None:
            return None
        return max(0, end_ms - created_ms)

    def lost(self, dead: Container[str]) -> bool:
        """Active, and the process that works on it is among the ``dead`` ones."""
        return self.active and self.owned_by is not None and self.owned_by in dead

    def derived(self, now_ms: int, dead: Container[str] = ()) -> dict[str, Any]:
        """What machine output adds to the job: ``{active, stalled, lost, elapsedMs}``."""
        return {
            "active": self.active,
            "stalled": self.stalled(now_ms),
            "lost": self.lost(dead),
            "elapsedMs": self.elapsed_ms(now_ms),
        }

    def timeline(self) -> tuple[Entered, ...]:
        """Every stage entered, oldest first, as far as the file tells.

        A foreign writer that moves the stage knows nothing of the history.
        """
        if self.history:
            if self.history[-1].stage == self.stage:
                return self.history
            return (*self.history, Entered(stage=self.stage, at=self._entered_at()))
        start = Entered(stage=PENDING, at=self.created_at)
        if self.stage == PENDING:
            return (start,)
        return (start, Entered(stage=self.stage, at=self._entered_at()))

    def _entered_at(self) -> str:
        """When the present stage was entered: the first time that can be, of those that tell."""
        created = known_ms(self.created_at) or 0
        times = [self.stage_started_at, self.updated_at, self.created_at]
        can_be = (text for text in times if text and (known_ms(text) or -1) >= created)
        return next(can_be, self.updated_at)


# -- ids ------------------------------------------------------------------------------------


def new_id() -> str:
    """A fresh id, as the original program makes them: a random UUID."""
    return str(uuid.uuid4())


def check_id(id: str) -> str:
    """The id itself, if it is one; `InvalidId` otherwise. An id is safe as a file name."""
    if not _ID.match(id):
        raise InvalidId(id)
    return id


def check_result(result: Any, *, id: str) -> Any:
    """The result as it will be read again, without tuples, NaN or bytes; `InvalidJob`."""
    try:
        data = to_json(result, inf_nan_mode="constants")
        value = from_json(data, allow_inf_nan=False)
    except (PydanticSerializationError, ValueError, RecursionError) as error:
        raise InvalidJob(f"the result is not JSON: {error}", id=id) from error
    if len(data) > MAX_RESULT_BYTES:
        raise InvalidJob(
            f"the result has {len(data)} bytes, over the {MAX_RESULT_BYTES} allowed", id=id
        )
    return value


# -- transitions ----------------------------------------------------------------------------


def create(
    type: str,
    *,
    now: str,
    id: str | None = None,
    session_id: str | None = None,
    title: str | None = None,
    stages: Sequence[str] | None = None,
) -> Job:
    """A new pending job; `InvalidId` or `InvalidJob` when a part is not fit."""
    if not type or len(type) > 64 or not type.isprintable():
        raise InvalidJob(f"{ascii(type[:80])} is not a type: 1 to 64 printable characters")
    if stages is None:
        stages = defined_stages(type)  # for readers whose settings do not define the type
    if stages is not None:
        _check_stages(stages)
    return Job.model_construct(
        id=check_id(id) if id is not None else new_id(),
        type=type,
        session_id=session_id,
        stage=PENDING,
        created_at=now,
        updated_at=now,
        stage_started_at=now,
        title=title,
        stages=tuple(stages) if stages is not None else None,
        history=(Entered(stage=PENDING, at=now),),
    )


def advance(job: Job, stage: str | None = None, *, now: str, force: bool = False) -> Job:
    """The job in ``stage``, or in the next one of its pipeline; forward only, unless forced.

    A job whose type is unknown and that brings no stages may go to any stage by name.
    """
    pipeline = job.pipeline
    wanted = f"advance to {stage!r}" if stage else "advance"
    if not job.active:
        raise IllegalTransition(job.id, job.stage, wanted, legal_moves(job))
    if stage is None:
        stage = pipeline.next(job.stage)
        if stage is None:
            raise IllegalTransition(
                job.id, job.stage, "advance: name the next stage", legal_moves(job)
            )
    if stage == COMPLETED:
        return complete(job, now=now)
    if stage == FAILED:
        raise IllegalTransition(job.id, job.stage, "advance to 'failed'", legal_moves(job))
    if not _STAGE_NAME.match(stage):
        raise InvalidJob(f"{ascii(stage[:80])} is not a stage: 1 to 64 printable characters")
    here, there = pipeline.index(job.stage), pipeline.index(stage)
    free = len(pipeline.stages) == 2
    backward = stage in (job.stage, PENDING) or (
        there is not None and here is not None and there <= here
    )
    if not force and (backward or (there is None and not free)):
        raise IllegalTransition(
            job.id, job.stage, wanted, legal_moves(job), meant=did_you_mean(stage, pipeline.names())
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
    """The job with new progress: ``done`` of ``total``, or ``done`` percent without a total."""
    if not job.active:
        raise IllegalTransition(job.id, job.stage, "report progress", legal_moves(job))
    update: dict[str, Any] = {"updated_at": now}
    if done is not None:
        update["progress"] = _progress(job, done, total)
    if message is not None:
        update["message"] = message
    return job.model_copy(update=update)


def complete(
    job: Job, *, now: str, result: Any = None, result_session_id: str | None = None
) -> Job:
    """The job completed; ``result`` is any JSON value of at most `MAX_RESULT_BYTES`."""
    if not job.active:
        raise IllegalTransition(job.id, job.stage, "complete", legal_moves(job))
    update: dict[str, Any] = {"completed_at": now, "owner": None}
    if result is not None:
        update["result"] = check_result(result, id=job.id)
    if result_session_id is not None:
        update["result_session_id"] = result_session_id
    return _enter(job, COMPLETED, now, **update)


def fail(job: Job, error: str, *, now: str) -> Job:
    """The job failed with this text; ``completedAt`` stays null, as in the original."""
    if not job.active:
        raise IllegalTransition(job.id, job.stage, "fail", legal_moves(job))
    return _enter(job, FAILED, now, error=error, owner=None)


def retry(job: Job, *, now: str) -> Job:
    """The failed job pending again: one more ``retryCount``, error and result cleared."""
    if job.stage != FAILED:
        raise IllegalTransition(job.id, job.stage, "retry", legal_moves(job))
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


def cancel(job: Job, *, now: str, at_work: bool = False) -> Job:
    """The pending job failed with "Cancelled by user".

    ``at_work`` is for whoever speaks for the work: it may be in any stage then.
    """
    if job.stage != PENDING and not (at_work and job.active):
        raise IllegalTransition(job.id, job.stage, "cancel", legal_moves(job))
    return fail(job, CANCELLED, now=now)


def legal_moves(job: Job) -> tuple[str, ...]:
    """What may be done with the job in its present stage, as words for a person."""
    if job.stage == COMPLETED:
        return ()
    if job.stage == FAILED:
        return ("retry",)
    pipeline = job.pipeline
    here = pipeline.index(job.stage)
    later = [stage.name for stage in pipeline.stages[(here or 0) + 1 :]]
    if len(pipeline.stages) == 2:
        later.insert(0, "any other stage")
    moves = [*(f"advance to {name}" for name in later), "fail"]
    return (*moves, "cancel") if job.stage == PENDING else tuple(moves)


def _enter(job: Job, stage: str, now: str, **update: Any) -> Job:
    history = (*job.timeline(), Entered(stage=stage, at=now))
    if len(history) > MAX_HISTORY:
        history = (history[0], *history[1 - MAX_HISTORY :])
    return job.model_copy(
        update={
            "stage": stage,
            "updated_at": now,
            "stage_started_at": now,
            "progress": None,
            "message": None,
            "history": history,
            **update,
        }
    )


def _progress(job: Job, done: float, total: float | None) -> Steps | float:
    if total is None:
        if not 0 <= done <= 100:
            raise InvalidJob(f"{done!r} is no percentage; write DONE/TOTAL to count", id=job.id)
        return done
    if not (0 <= done < float("inf") and 0 < total < float("inf")):
        raise InvalidJob(f"{done!r}/{total!r} is no progress", id=job.id)
    return Steps(done=done, total=total)


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
