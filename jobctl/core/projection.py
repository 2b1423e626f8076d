"""A job for a reader that asked for some of its keys only, and what such a job still tells.

A reader with ``fields`` gets the keys that it named, and `ALWAYS`. What can be judged from the
other keys only (whether the job was cancelled, when its attempt began, …) comes beside the job as
*facts*, where it differs from what the keys that came tell. So each judgement of a `PartialJob`
equals that of the whole job. A client in another language follows the same rule: take the fact if
there is one, and otherwise apply the rule of `Job` to the keys that came.

The facts, under the keys of `RULES`: ``attempt`` is the job's ``retryCount``. ``cancelled``,
``acknowledged``, ``moved`` (by a program that writes no history) and ``recorded`` (whether the
history is of this attempt) are true or false. ``enteredMs`` and ``beganMs`` are when the job
entered its stage and when its attempt began, in milliseconds since 1970, or null. ``endsMs`` are
the times at which it may have ended, best first. ``lastStage`` is a name or null, and ``owner``
that of the owner in this attempt of an active job, or null. ``program`` is `Job.program` of a
command: a list of two texts, or null if it may not be seen or is long.
"""

from __future__ import annotations

import json
from json.decoder import scanstring  # type: ignore[attr-defined]

from jobctl.core.codec import check_wire, reading_of
from jobctl.core.fields import BY_KEY, HistoryEntry, program_of
from jobctl.core.filters import ALWAYS
from jobctl.core.job import Draft, Job, draft_of, values_of
from jobctl.core.pipeline import TERMINAL
from jobctl.core.times import to_text
from jobctl.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from typing import Any

    from jobctl.core.lenient import Reading

__all__ = ["MAX_FACTS", "PartialJob", "facts_text", "parse_partial", "projected"]

MAX_FACTS = 1024
"""Maximum number of bytes of the facts about a job in a message."""

_MAX_LAST_STAGE = 100  # characters: a longer name is not told
_MAX_PROGRAM = 128  # bytes of JSON: longer ones are not told
_NOT_ASKED = {"updatedAt": ""}  # what stands for a required key
_scan = json.JSONDecoder().scan_once  # type: ignore[attr-defined]
_set = object.__setattr__


def _last_stage(job: Job) -> str | None:
    stage = job.last_stage
    return stage if stage is None or len(stage) <= _MAX_LAST_STAGE else None


def _program(run: object) -> list[str] | None:
    program = program_of(run)
    return None if program is None or len(json.dumps(program)) > _MAX_PROGRAM else [*program]


RULES: Mapping[str, Callable[[Job], Any]] = {
    "attempt": lambda job: job.retry_count,
    "cancelled": lambda job: job.is_cancelled,
    "acknowledged": lambda job: job.is_acknowledged,
    "moved": lambda job: job.moved_by_others,
    "recorded": lambda job: job._is_recorded_attempt(),
    "enteredMs": lambda job: job.entered_ms,
    "beganMs": lambda job: job.began_ms,
    "endsMs": lambda job: [ms for ms, _ in job._ends()],
    "lastStage": _last_stage,
    "owner": lambda job: job.owned_by if job.active else None,
    "program": lambda job: _program(job.run),
}
"""How each fact follows from a whole job."""

_JUDGED = frozenset({
    "updatedAt", "completedAt", "stageStartedAt", "error", "retryCount", "stages", "history",
    "owner", "cancelled", "acknowledged", "run",
})  # fmt: skip
"""The keys that `RULES` read, beside `ALWAYS`."""


# -- at the hub -----------------------------------------------------------------------------


def projected(wire: bytes, fields: frozenset[str], reading: Reading | None) -> tuple[bytes, str]:
    """Return the wire form with these keys and `ALWAYS`, and the `facts_text` of what it lacks.

    ``reading`` says how the job's file was read. The values keep their text.
    """
    text = wire.decode()
    kept: list[str] = []
    values: dict[str, Any] = {}
    lacks: list[str] = []
    place = 1
    while text[place] != "}":
        start = place
        key, place = scanstring(text, place + 1, True)
        value, place = _scan(text, place + 1)
        if key in fields or key in ALWAYS:
            kept.append(text[start:place])
        elif value is not None and key in _JUDGED:
            lacks.append(key)
        values[key] = value
        if text[place] == ",":
            place += 1
    facts = _facts_text(values, lacks, reading) if lacks else ""
    return f"{{{','.join(kept)}}}".encode(), facts


def facts_text(wire: bytes, part: bytes, reading: Reading | None) -> str:
    """Return the facts that ``part``, the same job without some keys, does not tell.

    As a member of a JSON object, ``"id":{"beganMs":…}``, or an empty string if there are none.
    """
    values, kept = json.loads(wire), json.loads(part)
    lacks = [key for key in values if key in _JUDGED and kept.get(key) is None]
    return _facts_text(values, lacks, reading)


def _facts_text(values: dict[str, Any], lacks: list[str], reading: Reading | None) -> str:
    history, stage = values.get("history"), values["stage"]
    told: Collection[str] = RULES
    facts: dict[str, Any] = {}
    lacks_run = "run" in lacks
    if lacks_run:
        lacks = [key for key in lacks if key != "run"]  # only one rule reads it
    if not lacks:
        told = ()
    elif (
        lacks == ["history"]
        and history
        and history[-1]["stage"] == stage
        and not values.get("retryCount")
    ):  # as most jobs: the history tells little more, and the rules take a while
        told = ("lastStage",) if stage in TERMINAL else ()
    if told:
        whole = _judged(values, reading)
        part = _judged(values | dict.fromkeys(lacks), reading)
        facts = {key: said for key in told if (said := RULES[key](whole)) != RULES[key](part)}
    if lacks_run and (program := _program(values["run"])) != []:
        facts["program"] = program
    if not facts:
        return ""
    return f'"{values["id"]}":{json.dumps(facts, separators=(",", ":"), ensure_ascii=False)}'


def _judged(values: dict[str, Any], reading: Reading | None) -> Job:
    """Return a job with the attributes that `RULES` read, from values as the hub sends them.

    They are canonical, so they are not converted again: that would take most of the time.
    """
    get = values.get
    job = Draft()
    job.id, job.type, job.stage = values["id"], values["type"], values["stage"]
    job.created_at, job.updated_at = values["createdAt"], get("updatedAt") or ""
    job.completed_at, job.stage_started_at = get("completedAt"), get("stageStartedAt")
    job.error, job.retry_count = get("error"), get("retryCount") or 0
    job.owner, job.cancelled, job.acknowledged = get("owner"), get("cancelled"), get("acknowledged")
    stages, history = get("stages"), get("history")
    job.stages = None if stages is None else tuple(stages)
    job.history = None if history is None else tuple(map(_entry_of, history))
    job.reading, job.source, job.run = reading, None, None  # see _facts_text for run
    return job.finish()


def _entry_of(value: dict[str, Any]) -> HistoryEntry:
    return HistoryEntry(value["stage"], value["at"], value if len(value) > 2 else None)


# -- at the reader --------------------------------------------------------------------------


def parse_partial(value: object, odd: object, facts: object, fields: frozenset[str]) -> PartialJob:
    """Return the job in a decoded message to a reader that asked for these fields.

    ``odd`` and ``facts`` are what stands beside it. Raises `InvalidJob` if it is not a job.
    """
    given = check_wire(value)
    record = _record_of(given, reading_of(odd))
    told = facts if isinstance(facts, dict) else {}
    return PartialJob.of(record, fields, {key: told[key] for key in RULES if key in told})


def _record_of(values: Mapping[str, Any], reading: Reading | None) -> Job:
    """Return a job of these keys alone; those that are required have a value in any case."""
    absent = {key: value for key, value in _NOT_ASKED.items() if values.get(key) is None}
    draft = draft_of({**values, **dict.fromkeys(absent, values.get("createdAt"))})
    for key, value in absent.items():
        _set(draft, BY_KEY[key].attribute, value)
    draft.reading = reading
    return draft.finish()


class PartialJob(Job):
    """A job of which the hub has sent some of the keys: a reader asked for these ``fields``.

    An attribute that was not asked for is ``None``, and ``updated_at`` and ``extra`` are empty;
    ``retry_count`` is that of the job in any case. What a `Job` judges is as for the whole job:
    whether it is active, cancelled, acknowledged, lost, stalled or trouble, when it entered its
    stage, began and ended, and its `last_stage`. The others tell what follows from the attributes:
    `timeline` needs ``history``, `percent` needs ``progress`` and ``stages``, `cancellation` needs
    ``cancelled``.

    It cannot be changed or written: `replace` raises `UsageError`.
    """

    __slots__ = ("_facts", "_fields", "_record")

    _facts: Mapping[str, Any]
    _fields: frozenset[str]
    _record: Job

    @classmethod
    def of(cls, record: Job, fields: frozenset[str], facts: Mapping[str, Any]) -> PartialJob:
        """Return the job; ``record`` has the keys that came, and the facts stand above it."""
        new: PartialJob = object.__new__(cls)
        for name in Draft.__slots__:
            _set(new, name, getattr(record, name))
        attempt = facts.get("attempt")
        if type(attempt) is int:
            _set(new, "retry_count", attempt)
        _set(new, "_record", record)
        _set(new, "_facts", facts)
        _set(new, "_fields", fields)
        return new

    @property
    def fields(self) -> frozenset[str] | None:
        """The keys that the reader asked for."""
        return self._fields

    def replace(self, **changes: Any) -> Job:
        """Raise `UsageError`: what is not known cannot be written."""
        raise UsageError(
            f"job {self.id} was read with some of its fields only, so it cannot be changed",
            hint="read it without fields",
        )

    def _fact(self, key: str) -> Any:
        return self._facts[key] if key in self._facts else RULES[key](self._record)

    @property
    def is_cancelled(self) -> bool:
        return bool(self._fact("cancelled"))

    @property
    def is_acknowledged(self) -> bool:
        return bool(self._fact("acknowledged"))

    @property
    def moved_by_others(self) -> bool:
        return bool(self._fact("moved"))

    def _is_recorded_attempt(self) -> bool:
        return bool(self._fact("recorded"))

    @property
    def owned_by(self) -> str | None:
        owner = self._fact("owner") if self.active else self._record.owned_by
        return owner if isinstance(owner, str) else None

    @property
    def entered_ms(self) -> int | None:
        return _number(self._fact("enteredMs"))

    @property
    def began_ms(self) -> int | None:
        return _number(self._fact("beganMs"))

    @property
    def last_stage(self) -> str | None:
        stage = self._fact("lastStage")
        return stage if isinstance(stage, str) else None

    def _ends(self) -> list[tuple[int, str]]:
        ends = self._fact("endsMs")
        return [(ms, "") for ms in ends if type(ms) is int] if isinstance(ends, list) else []

    @property
    def program(self) -> tuple[str, ...] | None:
        program = self._fact("program")
        return tuple(map(str, program)) if isinstance(program, list) else None

    def _entered_at(self) -> str:
        entered = self.entered_ms
        return self.updated_at if entered is None else to_text(entered)

    def _moved_at(self) -> str:
        return self._entered_at()

    def _values(self) -> tuple[Any, ...]:
        facts = json.dumps(self._facts, sort_keys=True)
        return (*self._record._values(), tuple(sorted(self._fields)), facts)

    def __reduce__(self) -> tuple[Any, ...]:
        reading = self._record.reading
        return _unpickled, (values_of(self._record), reading, self._fields, dict(self._facts))


def _unpickled(
    values: dict[str, Any], reading: Any, fields: frozenset[str], facts: dict[str, Any]
) -> PartialJob:
    values = {key: value for key, value in values.items() if value or key not in _NOT_ASKED}
    return PartialJob.of(_record_of(values, reading), fields, facts)


def _number(value: object) -> int | None:
    return value if type(value) is int else None
