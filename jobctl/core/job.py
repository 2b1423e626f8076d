"""The job: an immutable value, and the pure transitions that make the next version.

Keys are camelCase on disk and on the wire; unknown keys are kept through every rewrite. Times are
text as times.py writes it, so that a foreign file is written back unchanged. No transition reads a
clock: ``now`` is an argument.
"""

from __future__ import annotations

import json
import os
import re
from types import MappingProxyType

from jobctl.core.fields import (
    BY_ATTRIBUTE,
    BY_KEY,
    FIELDS,
    Command,
    CommandEnd,
    HistoryEntry,
    Steps,
    Unfit,
    anything,
    command_end_of,
    command_of,
    text,
    time,
)
from jobctl.core.pipeline import (
    COMPLETED,
    FAILED,
    PENDING,
    TERMINAL,
    Pipeline,
    defined_stages,
    pipeline_of,
)
from jobctl.core.times import known_ms
from jobctl.errors import IllegalTransition, InvalidId, InvalidJob, did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence
    from typing import Any, NoReturn

    Scan = Callable[[str, int], tuple[Any, int]]

__all__ = [
    "CANCELLED",
    "MAX_HISTORY",
    "MAX_RESULT_BYTES",
    "Command",
    "CommandEnd",
    "Draft",
    "HistoryEntry",
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
    "values_of",
]

MAX_HISTORY = 64
"""Maximum number of entries in `Job.history`: the first and the newest ones are kept."""
MAX_RESULT_BYTES = 64 * 1024
CANCELLED = "Cancelled by user"
"""The error of a cancelled job, as in the original program."""
MAX_AHEAD_MS = 3_600_000
"""Clocks of machines may differ by this much; see `Job.ended_ms`."""

_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}\Z")
_OWNER = re.compile(r"[0-9]{1,10}-[0-9a-f]{12}\Z")
_STAGE_NAME = re.compile(r"[^\s,\x00-\x1f\x7f](?:[^\x00-\x1f\x7f,]{0,62}[^\s,\x00-\x1f\x7f])?\Z")

NEW_LINE = 0x0A  # the second byte of a file in the usual layout; the wire form has none

NO_KEYS: Mapping[str, Any] = MappingProxyType({})
"""The `Job.extra` of a job without foreign keys."""


class Draft:
    """The attributes of a job while they are being set; `finish` makes it a `Job`.

    Only for parsers in this package that have checked the values. Setting a slot costs a tenth of
    ``object.__setattr__``, and a job has over twenty.

    ``source`` is used by codec.py. For a file in the usual layout it is the file's bytes, and for a
    job from the wire its wire form. For any other file, and after a change, it is a pair: the
    file's bytes, and the names of the attributes that have changed since. ``None`` if there is no
    file.
    """

    __slots__ = (
        "completed_at",
        "created_at",
        "error",
        "extra",
        "history",
        "id",
        "message",
        "owner",
        "progress",
        "result",
        "result_session_id",
        "retry_count",
        "revision",
        "run",
        "session_id",
        "source",
        "stage",
        "stage_started_at",
        "stages",
        "title",
        "type",
        "updated_at",
    )

    id: str
    type: str
    session_id: str | None
    stage: str
    created_at: str
    updated_at: str
    completed_at: str | None
    stage_started_at: str | None
    error: str | None
    retry_count: int
    result_session_id: str | None
    title: str | None
    message: str | None
    progress: Steps | float | None
    stages: tuple[str, ...] | None
    history: tuple[HistoryEntry, ...] | None
    result: Any
    owner: Any
    run: Any
    revision: int
    extra: Mapping[str, Any]
    source: Any

    def finish(self) -> Job:
        """Return this object as an immutable `Job`."""
        self.__class__ = Job  # which has the same slots
        return self  # type: ignore[return-value]


class Job(Draft):
    """One unit of tracked work.

    ``revision`` is 0 until a store has recorded the job; it is on the wire, never on disk.
    ``progress`` is of the present stage: `Steps`, or a percentage from 0 to 100. ``owner`` and
    ``run`` may be anything in a foreign file: see `owned_by` and `command`. ``extra`` has the keys
    that nobody here knows.

    Two jobs are equal when all values are; how their files spell them does not count. A job is made
    of keywords, named as on disk or as the attributes; `InvalidJob` where one does not fit.
    """

    __slots__ = ()

    def __new__(cls, **values: Any) -> Job:
        for name in [name for name in values if name in BY_ATTRIBUTE]:
            key = BY_ATTRIBUTE[name].key
            if key != name and key not in values:
                values[key] = values.pop(name)
        return draft_of(values).finish()

    def replace(self, **changes: Any) -> Job:
        """Return the job with these attributes changed.

        They are checked when the job is written.
        """
        if changes.keys() == _REVISION and self._is_usual():
            return self._at_revision(changes["revision"])
        new = Draft()
        new.completed_at = self.completed_at
        new.created_at = self.created_at
        new.error = self.error
        new.extra = self.extra
        new.history = self.history
        new.id = self.id
        new.message = self.message
        new.owner = self.owner
        new.progress = self.progress
        new.result = self.result
        new.result_session_id = self.result_session_id
        new.retry_count = self.retry_count
        new.revision = self.revision
        new.run = self.run
        new.session_id = self.session_id
        new.stage = self.stage
        new.stage_started_at = self.stage_started_at
        new.stages = self.stages
        new.title = self.title
        new.type = self.type
        new.updated_at = self.updated_at
        new.source = source = self.source
        changed = []
        for name, value in changes.items():
            old = getattr(self, name)
            if value is old:
                continue
            setattr(new, name, value)
            if name != "revision" and not (type(value) is type(old) is str and value == old):
                changed.append(name)
        if type(source) is tuple:
            new.source = (source[0], source[1].union(changed))
        elif source is not None:
            new.source = (source, frozenset(changed)) if source[1] == NEW_LINE else None
        return new.finish()

    def _is_usual(self) -> bool:
        """Whether the source is the unchanged bytes of a file in the usual layout."""
        return type(self.source) is bytes and self.source[1] == NEW_LINE

    def _at_revision(self, revision: int) -> Job:
        """Return a copy with another revision; unparsed parts of the source stay unparsed."""
        new = Draft()
        new.id, new.type, new.session_id, new.stage = (
            self.id,
            self.type,
            self.session_id,
            self.stage,
        )
        new.created_at, new.updated_at = self.created_at, self.updated_at
        new.completed_at, new.stage_started_at = self.completed_at, self.stage_started_at
        new.retry_count, new.owner, new.run = self.retry_count, self.owner, self.run
        new.revision, new.source = revision, self.source
        return new.finish()

    def __getattr__(self, name: str) -> Any:
        """Parse an attribute from the source on first use."""
        if name not in _SET_LATER:
            raise AttributeError(f"a job has no {name!r}")
        values, _ = _scan(self.source.decode(), 0)
        get = values.get
        for key, set_ in _TEXTS:
            set_(self, get(key))
        for key, convert, set_ in _OTHERS:
            value = get(key)
            set_(self, convert(value) if value is not None else None)
        _set_extra(self, _foreign(values))
        return getattr(self, name)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a job does not change: job.replace({name}=…) makes another one")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a job does not change")

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Job):
            return NotImplemented
        return self._values() == other._values()

    def __hash__(self) -> int:
        return hash((self.id, self.revision))

    def __repr__(self) -> str:
        told = [f"{key}={value!r}" for key, value in values_of(self).items()]
        return f"Job({', '.join(told)})"

    def __copy__(self) -> Job:
        return self

    def __deepcopy__(self, memo: object) -> Job:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (values_of(self),)

    def _values(self) -> tuple[Any, ...]:
        return (
            self.id, self.revision, self.stage, self.updated_at, self.type, self.session_id,
            self.created_at, self.completed_at, self.stage_started_at, self.error,
            self.retry_count, self.result_session_id, self.title, self.message, self.progress,
            self.stages, self.history, self.result, self.owner, self.run, self.extra,
        )  # fmt: skip

    @property
    def active(self) -> bool:
        """Whether the job is neither completed nor failed."""
        return self.stage not in TERMINAL

    @property
    def owned_by(self) -> str | None:
        """The name of the job's owner, if the file has it (see stores/owners.py)."""
        return self.owner if isinstance(self.owner, str) and _OWNER.match(self.owner) else None

    @property
    def command(self) -> Command | None:
        """The command of ``jobctl run``, or ``None`` for other jobs."""
        return command_of(self.run)

    @property
    def command_end(self) -> CommandEnd | None:
        """How the command ended, also if `command` is not available."""
        return command_end_of(self.run)

    @property
    def pipeline(self) -> Pipeline:
        """The job's pipeline: its own stages, or those of its type."""
        return pipeline_of(self.type, self.stages)

    @property
    def fraction(self) -> float:
        """How much of the current stage is done, 0 to 1."""
        if isinstance(self.progress, Steps):
            return min(self.progress.done / self.progress.total, 1.0)
        return (self.progress or 0) / 100

    @property
    def percent(self) -> int | None:
        """How much of the whole job is done, 0 to 100; ``None`` for an unknown stage."""
        return self.pipeline.percent(self.stage, self.fraction)

    def stalled(self, now_ms: int) -> bool:
        """Whether the job is active and in its stage for longer than its pipeline allows."""
        limit_ms = self.pipeline.stalled_after_ms
        if limit_ms is None or not self.active:
            return False
        entered_ms = known_ms(self._entered_at())
        return entered_ms is not None and now_ms - entered_ms > limit_ms

    def ended_ms(self, now_ms: int | None = None) -> int | None:
        """Return when the job ended, in ms since 1970.

        ``None`` if it is active or no time is known. This is ``completedAt`` if it is not before
        ``createdAt``. Otherwise, as for a failed job, whose ``completedAt`` is null, it is the
        later of ``updatedAt`` and ``stageStartedAt``. Placeholder times do not count (`known_ms`).
        The end is never before ``createdAt``.

        A time in the future counts, because a job that seems to end there must not be removed. With
        ``now_ms``, for durations that are shown, it does not: a time more than `MAX_AHEAD_MS` after
        both ``now_ms`` and ``createdAt`` comes from a wrong clock.
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
        """Return the time from creation to the end, or to ``now_ms`` while active; never negative.

        ``None`` if the file does not have these times.
        """
        created_ms = known_ms(self.created_at)
        end_ms = now_ms if self.active else self.ended_ms(now_ms)
        if created_ms is None or end_ms is None:
            return None
        return max(0, end_ms - created_ms)

    def lost(self, dead: Container[str]) -> bool:
        """Whether the job is active and its owner is among the ``dead`` ones."""
        return self.active and self.owned_by is not None and self.owned_by in dead

    def derived(self, now_ms: int, dead: Container[str] = ()) -> dict[str, Any]:
        """Return what JSON output adds: ``{active, stalled, lost, elapsedMs}``."""
        return {
            "active": self.active,
            "stalled": self.stalled(now_ms),
            "lost": self.lost(dead),
            "elapsedMs": self.elapsed_ms(now_ms),
        }

    def timeline(self) -> tuple[HistoryEntry, ...]:
        """Return every stage that the job has entered, oldest first, as far as it is known.

        A foreign program that changes the stage does not write the history, so it is completed
        here.
        """
        if self.history:
            if self.history[-1].stage == self.stage:
                return self.history
            return (*self.history, HistoryEntry(self.stage, self._entered_at()))
        start = HistoryEntry(PENDING, self.created_at)
        if self.stage == PENDING:
            return (start,)
        return (start, HistoryEntry(self.stage, self._entered_at()))

    def _entered_at(self) -> str:
        """Return when the job entered its current stage, by the first time that is possible."""
        created = known_ms(self.created_at) or 0
        times = [self.stage_started_at, self.updated_at, self.created_at]
        can_be = (text for text in times if text and (known_ms(text) or -1) >= created)
        return next(can_be, self.updated_at)


_REVISION = {"revision"}
_scan: Scan = json.JSONDecoder().scan_once  # type: ignore[attr-defined]
_SET_LATER = {
    name: getattr(Draft, name).__set__
    for name in (
        "completed_at", "error", "extra", "history", "message", "progress", "result",
        "result_session_id", "run", "stage_started_at", "stages", "title", "updated_at",
    )
}  # fmt: skip
"""The attributes that a reader may leave unset, where the source is bytes that have them."""
_set_extra = _SET_LATER["extra"]
_TEXTS = [
    (field.key, _SET_LATER[field.attribute])
    for field in FIELDS
    if field.attribute in _SET_LATER and field.convert in (text, time, anything)
]
_OTHERS = [
    (field.key, field.convert, _SET_LATER[field.attribute])
    for field in FIELDS
    if field.attribute in _SET_LATER and field.convert not in (text, time, anything)
]


# -- ids ------------------------------------------------------------------------------------


def new_id() -> str:
    """Return a new id: a random UUID, as the original program uses."""
    # As uuid.uuid4() makes it (RFC 9562, section 5.4); importing that module costs 2 ms.
    bits = int.from_bytes(os.urandom(16), "big")
    bits = bits & ~(0xF << 76 | 0x3 << 62) | (0x4 << 76 | 0x2 << 62)
    digits = f"{bits:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def check_id(id: str) -> str:
    """Return the id if it is valid, that is, safe as a file name; `InvalidId` otherwise."""
    if not _ID.match(id):
        raise InvalidId(id)
    return id


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


# -- values ---------------------------------------------------------------------------------


def draft_of(values: Mapping[str, Any], *, revision: int = 0) -> Draft:
    """Return a draft from JSON values by the keys of `FIELDS`; all other keys are unknown ones.

    Raises `InvalidJob` for the first value that is invalid or missing.
    """
    job = Draft()
    for key, attribute, convert, required, default, _ in FIELDS:
        value = values.get(key, default)
        if value is not None or required or default is not None:
            if required and key not in values:
                raise InvalidJob(f"{key}: Field required", id=_id_in(values))
            try:
                value = convert(value)
            except Unfit as error:
                at = error.within(key)
                raise InvalidJob(f"{at.where}: {at.reason}", id=_id_in(values)) from error
        setattr(job, attribute, value)
    given = values.get("revision", revision)
    job.revision = given if type(given) is int and 0 <= given < 2**53 else 0
    job.extra = _foreign(values)
    job.source = None
    return job


def _foreign(values: Mapping[str, Any]) -> Mapping[str, Any]:
    if BY_KEY.keys() >= values.keys():
        return NO_KEYS
    return {k: v for k, v in values.items() if k not in BY_KEY and k != "revision"} or NO_KEYS


def _id_in(values: Mapping[str, Any]) -> str | None:
    id = values.get("id")
    return id if isinstance(id, str) and _ID.match(id) else None


def values_of(job: Draft) -> dict[str, Any]:
    """Return the job as JSON values in canonical order: `FIELDS`, ``revision``, unknown keys.

    Keys that the original program does not have are left out if they have no value.
    """
    values: dict[str, Any] = {
        "id": job.id,
        "type": job.type,
        "sessionId": job.session_id,
        "stage": job.stage,
        "createdAt": job.created_at,
        "updatedAt": job.updated_at,
        "completedAt": job.completed_at,
        "stageStartedAt": job.stage_started_at,
        "error": job.error,
        "retryCount": job.retry_count,
        "resultSessionId": job.result_session_id,
    }
    if job.title is not None:
        values["title"] = job.title
    if job.message is not None:
        values["message"] = job.message
    if job.progress is not None:
        steps = job.progress
        values["progress"] = steps.to_value() if isinstance(steps, Steps) else steps
    if job.stages is not None:
        values["stages"] = list(job.stages)
    if job.history is not None:
        values["history"] = [line.to_value() for line in job.history]
    if job.result is not None:
        values["result"] = job.result
    if job.owner is not None:
        values["owner"] = job.owner
    if job.run is not None:
        values["run"] = job.run
    values["revision"] = job.revision
    if job.extra:
        values.update(job.extra)
    return values


def _unpickled(values: dict[str, Any]) -> Job:
    return draft_of(values).finish()


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
    """Return a new pending job; raise `InvalidId` or `InvalidJob` for an invalid part."""
    if not type or len(type) > 64 or not type.isprintable():
        raise InvalidJob(f"{ascii(type[:80])} is not a type: 1 to 64 printable characters")
    if stages is None:
        stages = defined_stages(type)  # for readers whose settings do not define the type
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
    job.result = job.owner = job.run = job.source = None
    job.extra = NO_KEYS
    return job.finish()


def advance(job: Job, stage: str | None = None, *, now: str, force: bool = False) -> Job:
    """Return the job in ``stage``, or in its next stage; only forward, unless ``force`` is set.

    A job of unknown type without its own stages may go to any stage by name.
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
    """Return the job with new progress: ``done`` of ``total``, or ``done`` percent."""
    if not job.active:
        raise IllegalTransition(job.id, job.stage, "report progress", legal_moves(job))
    update: dict[str, Any] = {"updated_at": now}
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


def fail(job: Job, error: str, *, now: str) -> Job:
    """Return the failed job with this error; ``completedAt`` stays null, as in the original."""
    if not job.active:
        raise IllegalTransition(job.id, job.stage, "fail", legal_moves(job))
    return _enter(job, FAILED, now, error=error, owner=None)


def retry(job: Job, *, now: str) -> Job:
    """Return the failed job as pending: ``retryCount`` plus one, no error, no result."""
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
    """Return the pending job, failed with "Cancelled by user".

    With ``at_work``, for the process that works on the job, it may be in any stage.
    """
    if job.stage != PENDING and not (at_work and job.active):
        raise IllegalTransition(job.id, job.stage, "cancel", legal_moves(job))
    return fail(job, CANCELLED, now=now)


def legal_moves(job: Job) -> tuple[str, ...]:
    """Return what may be done with the job in its current stage, as words for people."""
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
    history = (*job.timeline(), HistoryEntry(stage, now))
    if len(history) > MAX_HISTORY:
        history = (history[0], *history[1 - MAX_HISTORY :])
    return job.replace(
        stage=stage,
        updated_at=now,
        stage_started_at=now,
        progress=None,
        message=None,
        history=history,
        **update,
    )


def _progress(job: Job, done: float, total: float | None) -> Steps | float:
    if total is None:
        if not 0 <= done <= 100:
            raise InvalidJob(f"{done!r} is no percentage; write DONE/TOTAL to count", id=job.id)
        return done
    if not (0 <= done < float("inf") and 0 < total < float("inf")):
        raise InvalidJob(f"{done!r}/{total!r} is no progress", id=job.id)
    return Steps(done, total)


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
