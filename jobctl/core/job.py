"""The job: an immutable value. transitions.py makes its next version.

Keys are camelCase on disk and on the wire; unknown keys are kept through every rewrite. Times are
text as times.py writes it, whatever form the file has.
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
    Acknowledgement,
    Cancellation,
    Command,
    CommandEnd,
    HistoryEntry,
    Steps,
    Unfit,
    anything,
    command_end_of,
    command_of,
    program_of,
    text,
    time,
)
from jobctl.core.pipeline import BUILT_IN_ONLY, CANCELLED, COMPLETED, FAILED, PENDING, TERMINAL
from jobctl.core.times import known_ms
from jobctl.errors import InvalidId, InvalidJob

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence
    from typing import Any, NoReturn

    from jobctl.core.lenient import Reading, Remark
    from jobctl.core.pipeline import Pipeline, Pipelines

    Scan = Callable[[str, int], tuple[Any, int]]

__all__ = [
    "ACTS",
    "CANCELLED_ERROR",
    "MAX_HISTORY",
    "TROUBLE_MS",
    "Acknowledgement",
    "Cancellation",
    "Command",
    "CommandEnd",
    "Draft",
    "HistoryEntry",
    "Job",
    "Steps",
    "attempt_in",
    "check_id",
    "draft_of",
    "may_be_id",
    "new_id",
    "values_of",
]

MAX_HISTORY = 64
"""Maximum number of entries in `Job.history`: the first and the newest ones are kept."""
CANCELLED_ERROR = "Cancelled by user"
"""The error of a cancelled job, as in the original program."""
MAX_AHEAD_MS = 3_600_000
"""Clocks of machines may differ by this much; see `Job.ended_ms`."""

TROUBLE_MS = 86_400_000
"""A failure is trouble for this long; see `Job.is_trouble`."""

_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}\Z")
_OWNER = re.compile(r"[0-9]{1,10}-[0-9a-f]{12}\Z")

NEW_LINE = 0x0A  # the second byte of a file in the usual layout; the wire form has none

_PARENT_BYTES = b'"parent"'

ACTS = "acts"
"""The key of the last acts that hubs carried out on the job: see acts.py. It is not for readers."""
_ACTS_BYTES = b'"acts"'

NO_KEYS: Mapping[str, Any] = MappingProxyType({})
"""The `Job.extra` of a job without foreign keys."""


class Draft:
    """The attributes of a job while they are being set; `finish` makes it a `Job`.

    Only for parsers in this package that have checked the values. Setting a slot costs a tenth of
    ``object.__setattr__``, and a job has over twenty.

    ``source`` is used by codec.py. For a file in the usual layout it is the file's bytes, and for a
    job from the wire its wire form. For any other file, and after a change, it is a pair: the
    file's bytes, and the names of the attributes that have changed since. ``None`` if there is no
    file. ``reading`` says how an odd file was read (see lenient.py); it is ``None`` otherwise.
    """

    __slots__ = (
        "acknowledged",
        "cancelled",
        "completed_at",
        "created_at",
        "error",
        "extra",
        "history",
        "host",
        "id",
        "labels",
        "message",
        "owner",
        "progress",
        "reading",
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
        "user",
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
    host: Any
    user: Any
    labels: dict[str, str] | None
    cancelled: Any
    acknowledged: Any
    revision: int
    extra: Mapping[str, Any]
    source: Any
    reading: Reading | None

    def finish(self) -> Job:
        """Return this object as an immutable `Job`."""
        self.__class__ = Job  # which has the same slots
        return self  # type: ignore[return-value]


class Job(Draft):
    """One unit of tracked work.

    ``revision`` is 0 until a store has recorded the job; it is on the wire, never on disk.
    ``progress`` is `Steps`, or a percentage from 0 to 100. It may be of an earlier stage, as
    ``message``: see `current_progress`. ``owner``, ``run``, ``cancelled``, ``acknowledged``,
    ``host`` and ``user`` may be anything in a foreign file: see `owned_by`, `command`,
    `cancellation` and `acknowledgement`. ``extra`` has the keys that nobody
    here knows.

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
        new.acknowledged = self.acknowledged
        new.cancelled = self.cancelled
        new.completed_at = self.completed_at
        new.created_at = self.created_at
        new.error = self.error
        new.extra = self.extra
        new.history = self.history
        new.host = self.host
        new.id = self.id
        new.labels = self.labels
        new.message = self.message
        new.owner = self.owner
        new.progress = self.progress
        new.result = self.result
        new.result_session_id = self.result_session_id
        new.retry_count = self.retry_count
        new.reading = self.reading
        new.revision = self.revision
        new.run = self.run
        new.session_id = self.session_id
        new.stage = self.stage
        new.stage_started_at = self.stage_started_at
        new.stages = self.stages
        new.title = self.title
        new.type = self.type
        new.updated_at = self.updated_at
        new.user = self.user
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
        if new.reading is not None and changed:
            new.reading = new.reading.without(changed)
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
        new.host, new.user = self.host, self.user
        new.labels, new.cancelled = self.labels, self.cancelled
        new.acknowledged = self.acknowledged
        new.revision, new.source = revision, self.source
        return new.finish()

    def __getattr__(self, name: str) -> Any:
        """Parse an attribute from the source on first use."""
        if name == "reading":
            return None  # usual files and jobs from the wire leave it unset
        if name not in _SET_LATER:
            raise AttributeError(f"a job has no {name!r}")
        values, _ = _scan(self.source.decode(), 0)
        get = values.get
        for key, set_ in _TEXTS:
            set_(self, get(key))
        for key, convert, set_ in _OTHERS:
            value = get(key)
            set_(self, convert(value) if value is not None else None)
        _set_extra(self, foreign_keys(values))
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
            self.stages, self.history, self.result, self.owner, self.run, self.host,
            self.user, self.labels,
            self.cancelled, self.acknowledged, self.extra,
        )  # fmt: skip

    @property
    def fields(self) -> frozenset[str] | None:
        """The keys that its reader asked for (see `PartialJob`); ``None`` for a whole job."""
        return None

    @property
    def active(self) -> bool:
        """Whether the job is neither completed nor failed."""
        return self.stage not in TERMINAL

    @property
    def runs(self) -> bool:
        """Whether a command of ``jobctl run`` works on the job, if its owner is alive."""
        return self.active and self.run is not None and self.owned_by is not None

    @property
    def parent(self) -> str | None:
        """The id of the ``run`` within which the job is tracked; ``None`` if there is none."""
        source = self.source
        if type(source) is bytes and _PARENT_BYTES not in source:
            return None  # without parsing
        id = self.extra.get("parent")
        return id if isinstance(id, str) and _ID.match(id) else None

    @property
    def has_acts(self) -> bool:
        """Whether hubs have changed the job: see acts.py, and `redact` for who may see what."""
        source = self.source
        if type(source) is bytes and _ACTS_BYTES not in source:
            return False  # without parsing
        return ACTS in self.extra or any(entry.extra for entry in self.history or ())

    @property
    def is_cancelled(self) -> bool:
        """Whether the job was cancelled. In its file it has failed, as in the original program."""
        if self.stage != FAILED:
            return False
        if self._has_cancellation():
            return True
        source = self.source
        if type(source) is bytes and b"\\" not in source and _CANCELLED_BYTES not in source:
            return False  # without parsing the error
        return self.error == CANCELLED_ERROR

    def _has_cancellation(self) -> bool:
        """Whether ``cancelled`` is of this attempt; other programs keep it when they retry."""
        said = self.cancelled
        return (isinstance(said, dict) or said is True) and not self.moved_by_others

    @property
    def shown_stage(self) -> str:
        """The stage that people see and filter by: that of the file, or ``cancelled``."""
        return CANCELLED if self.is_cancelled else self.stage

    @property
    def cancellation(self) -> Cancellation | None:
        """When, by whom and why the job was cancelled; ``None`` if it was not."""
        if not self.is_cancelled:
            return None
        said = self.cancelled if self._has_cancellation() else None
        said = said if isinstance(said, dict) else {}
        at, by, reason = (said.get(key) for key in ("at", "by", "reason"))
        known = known_ms(at) if isinstance(at, str) else None
        return Cancellation(
            at if known is not None else self.timeline()[-1].at,
            by if isinstance(by, str) and by else None,
            reason if isinstance(reason, str) and reason else None,
        )

    @property
    def is_acknowledged(self) -> bool:
        """Whether somebody has acknowledged that this attempt has failed or is lost."""
        said = self.acknowledged
        if said is None or not (isinstance(said, dict) or said is True) or self.stage == COMPLETED:
            return False
        attempt = said.get("attempt") if isinstance(said, dict) else None
        if type(attempt) is int and attempt != self.retry_count:
            return False  # other programs keep the key when they retry
        return not self.moved_by_others

    @property
    def acknowledgement(self) -> Acknowledgement | None:
        """When, by whom and with which note this attempt was acknowledged; ``None`` if not."""
        if not self.is_acknowledged:
            return None
        said = self.acknowledged if isinstance(self.acknowledged, dict) else {}
        at, by, note = (said.get(key) for key in ("at", "by", "note"))
        return Acknowledgement(
            at if isinstance(at, str) and known_ms(at) is not None else None,
            by if isinstance(by, str) and by else None,
            note if isinstance(note, str) and note else None,
        )

    @property
    def remarks(self) -> tuple[Remark, ...]:
        """What was odd in the job's file and did not cost the job."""
        return self.reading.remarks if self.reading is not None else ()

    @property
    def owned_by(self) -> str | None:
        """The name of the job's owner in this attempt, if the file has it (see stores/owners.py).

        The owner of an earlier attempt does not count. It stays in the file when another program
        retries the job.
        """
        return self.owner if self._names_owner() and self._is_recorded_attempt() else None

    @property
    def former_owner(self) -> str | None:
        """The name of the owner of an earlier attempt that is still in the file."""
        return self.owner if self._names_owner() and not self._is_recorded_attempt() else None

    @property
    def waits_for_worker(self) -> bool:
        """Whether the job was retried and no worker has taken it up since."""
        return self.stage == PENDING and self.retry_count > 0 and self.owned_by is None

    def _names_owner(self) -> bool:
        return isinstance(self.owner, str) and _OWNER.match(self.owner) is not None

    def _is_recorded_attempt(self) -> bool:
        """Whether the history's last entry is of this attempt, as far as is known."""
        if not self.retry_count or not self.history:
            return True
        return attempt_in(self.history) in (None, self.retry_count)

    @property
    def moved_by_others(self) -> bool:
        """Whether another program has moved the job since jobctl recorded its last stage.

        Such a program sets the stage and keeps the keys that it does not know: history, progress,
        message and owner.
        """
        if not self.history:
            return False
        last = self.history[-1]
        if last.stage != self.stage:
            return True
        if self._is_recorded_attempt():
            return False
        # The stage has the name of one of an earlier attempt.
        if self.stage == PENDING or not self.active:
            return True
        return (known_ms(self.stage_started_at) or 0) > (known_ms(last.at) or 0)

    @property
    def current_progress(self) -> Steps | float | None:
        """The progress of the current stage.

        The file's is of the stage of the last history entry. So it is ``None`` after another
        program has moved the job.
        """
        progress = self.progress
        return None if progress is None or self.moved_by_others else progress

    @property
    def current_message(self) -> str | None:
        """The message of the current stage; see `current_progress`."""
        message = self.message
        return None if message is None or self.moved_by_others else message

    @property
    def command(self) -> Command | None:
        """The command of ``jobctl run``, or ``None`` for other jobs."""
        return command_of(self.run)

    @property
    def program(self) -> tuple[str, ...] | None:
        """What the command of ``jobctl run`` is compared with: its program and first argument.

        The first argument is the first that is not an option, or "": ``("make", "test")``.
        ``()`` for other jobs, and ``None`` for a command that may not be seen.
        """
        return program_of(self.run)

    @property
    def command_end(self) -> CommandEnd | None:
        """How the command ended, also if `command` is not available."""
        return command_end_of(self.run)

    @property
    def pipeline(self) -> Pipeline:
        """The job's pipeline: its own stages, or those of its type if that is built in.

        `Pipelines.of` also knows the types that settings define.
        """
        return BUILT_IN_ONLY.of(self)

    @property
    def fraction(self) -> float:
        """How much of the current stage is done, 0 to 1."""
        progress = self.current_progress
        if isinstance(progress, Steps):
            return min(progress.done / progress.total, 1.0)
        return (progress or 0) / 100

    @property
    def percent(self) -> int | None:
        """How much of the whole job is done under its `pipeline`, 0 to 100.

        ``None`` for an unknown stage.
        """
        return self.percent_of(BUILT_IN_ONLY)

    def percent_of(self, pipelines: Pipelines) -> int | None:
        """Return how much of the whole job is done, 0 to 100; ``None`` for an unknown stage.

        Without stages of its own, a job has done as much as its progress says.
        """
        pipeline = pipelines.of(self)
        is_open = len(pipeline.stages) == 2 and self.stage not in (PENDING, *TERMINAL)
        if is_open and self.progress is not None:
            return int(100 * min(max(self.fraction, 0.0), 1.0))
        return pipeline.percent(self.stage, self.fraction)

    def stalled(self, now_ms: int, pipelines: Pipelines = BUILT_IN_ONLY) -> bool:
        """Whether the job is active and in its stage for longer than its pipeline allows.

        A pending job waits for its worker, so it is never stalled.
        """
        limit_ms = pipelines.of(self).stalled_after_ms
        if limit_ms is None or not self.active or self.stage == PENDING:
            return False
        entered_ms = known_ms(self._entered_at())
        if entered_ms is None or now_ms - entered_ms <= limit_ms:
            return False
        entered_ms = self.entered_ms  # this needs the history, which mostly is not parsed yet
        return entered_ms is not None and now_ms - entered_ms > limit_ms

    def stalls_at_ms(self, pipelines: Pipelines = BUILT_IN_ONLY) -> int | None:
        """Return when the job is `stalled` if it stays in its stage; ``None`` if it never is."""
        limit_ms = pipelines.of(self).stalled_after_ms
        if limit_ms is None or not self.active or self.stage == PENDING:
            return None
        entered_ms = self.entered_ms
        return None if entered_ms is None else entered_ms + limit_ms + 1

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
        ends = self._ends()
        if not ends:
            return None
        if now_ms is None:
            return ends[0][0]
        created = known_ms(self.created_at)
        present = max(now_ms, created or 0)
        return next((ms for ms, _ in ends if ms <= present + MAX_AHEAD_MS), present)

    def _ends(self) -> list[tuple[int, str]]:
        """Return the times at which the job may have ended, best first, with their attributes."""
        if self.active:
            return []
        created, entered = known_ms(self.created_at), known_ms(self.stage_started_at)
        completed, updated = known_ms(self.completed_at), known_ms(self.updated_at)
        if self.stage == FAILED and completed is not None and completed < (entered or 0):
            completed = None  # of an earlier attempt: the program that failed this one left it
        if self.reading is not None and "updated_at" in self.reading.missing and entered:
            updated = None  # when the file was written says less than the file itself
        changes = ((updated, "updated_at"), (entered, "stage_started_at"))
        changed = max(((ms, name) for ms, name in changes if ms is not None), default=(None, ""))
        ends = [
            (ms, name)
            for ms, name in ((completed, "completed_at"), changed)
            if ms is not None and ms >= (created or 0)
        ]
        if not ends and created is not None:
            ends = [(created, "created_at")]
        return ends

    def latest_end_ms(self) -> int | None:
        """Return when the job ended at the latest: `ended_ms`, where that is known for certain.

        Where it was guessed, this is not before the file's modification time.
        """
        ends, reading = self._ends(), self.reading
        if not ends:
            return None
        end, attribute = ends[0]
        if reading is None or reading.guess is None or attribute not in reading.guessed:
            return end
        return max(end, reading.guess.file_ms)

    def elapsed_ms(self, now_ms: int) -> int | None:
        """Return how long the present attempt took until its end, or until ``now_ms`` while active.

        Never negative. ``None`` if the file does not have these times.
        """
        began_ms = self.began_ms
        end_ms = now_ms if self.active else self.ended_ms(now_ms)
        return None if began_ms is None or end_ms is None else max(0, end_ms - began_ms)

    def total_ms(self, now_ms: int) -> int | None:
        """Return the time from creation to the end, or to ``now_ms`` while active; never negative.

        ``None`` if the file does not have these times.
        """
        if self.reading is not None and "created_at" in self.reading.missing:
            return None
        created_ms = known_ms(self.created_at)
        end_ms = now_ms if self.active else self.ended_ms(now_ms)
        if created_ms is None or end_ms is None:
            return None
        return max(0, end_ms - created_ms)

    @property
    def entered_ms(self) -> int | None:
        """When the job entered its stage, in ms since 1970; ``None`` if no time is known."""
        entered = known_ms(self._entered_at())
        if entered is None or not self.moved_by_others:
            return entered
        moved = known_ms(self._moved_at())
        return None if moved is None else max(entered, moved)

    @property
    def began_ms(self) -> int | None:
        """When the present attempt began, in ms since 1970; ``None`` if no time is known."""
        if self.reading is not None and "created_at" in self.reading.missing:
            return None
        created = known_ms(self.created_at)
        if created is None or not self.retry_count:
            return created
        began = known_ms(self.attempt_timeline()[0].at)
        return created if began is None else max(created, began)

    @property
    def last_stage(self) -> str | None:
        """The last stage of the job's work that it was in; for an ended job the one before the end.

        ``None`` if that is not known. Stages of work are the job's own, or all but the pending and
        the final ones.
        """
        if self.active:
            return self.stage
        own = self.stages
        entered = (entry.stage for entry in reversed(self.history or ()))
        is_work = own.__contains__ if own is not None else lambda stage: stage not in _NO_WORK
        return next(filter(is_work, entered), None)

    def lost(self, dead: Container[str]) -> bool:
        """Whether the job is active and its owner is among the ``dead`` ones."""
        return self.active and self.owned_by is not None and self.owned_by in dead

    def is_trouble(self, now_ms: int, dead: Container[str] = ()) -> bool:
        """Whether somebody has to look at the job: it is lost, or has failed within `TROUBLE_MS`.

        Not if it was cancelled, or acknowledged.
        """
        if self.active:
            return self.lost(dead) and not self.is_acknowledged
        if self.stage != FAILED or self.is_cancelled:
            return False
        ended = self.ended_ms(now_ms)
        recent = ended is not None and now_ms - ended < TROUBLE_MS
        return recent and not self.is_acknowledged

    def derived(
        self, now_ms: int, dead: Container[str] = (), pipelines: Pipelines = BUILT_IN_ONLY
    ) -> dict[str, Any]:
        """Return what JSON output adds: ``{active, cancelled, stalled, lost, elapsedMs}``.

        And ``remarks``, a list of texts, if there are any. And ``progressStale``, which is true, if
        the job's progress or message is of an earlier stage.
        """
        values: dict[str, Any] = {
            "active": self.active,
            "cancelled": self.is_cancelled,
            "stalled": self.stalled(now_ms, pipelines),
            "lost": self.lost(dead),
            "elapsedMs": self.elapsed_ms(now_ms),
        }
        if (self.progress is not None or self.message is not None) and self.moved_by_others:
            values["progressStale"] = True
        if self.remarks:
            values["remarks"] = [str(remark) for remark in self.remarks]
        return values

    def timeline(self) -> tuple[HistoryEntry, ...]:
        """Return every stage that the job has entered, oldest first, as far as it is known.

        A foreign program that changes the stage does not write the history, so it is completed
        here.
        """
        if self.history:
            if not self.moved_by_others:
                return self.history
            return (*self.history, HistoryEntry(self.stage, self._moved_at()))
        start = HistoryEntry(PENDING, self.created_at)
        if self.stage == PENDING and not self.retry_count:
            return (start,)
        return (start, HistoryEntry(self.stage, self._moved_at()))

    def attempt_timeline(self) -> tuple[HistoryEntry, ...]:
        """Return the part of `timeline` that belongs to the present attempt."""
        entries = self.timeline()
        for index in range(len(entries) - 1, 0, -1):
            if entries[index].stage == PENDING:
                return entries[index:]
        return entries

    def _entered_at(self) -> str:
        """Return when the job entered its current stage, by the first time that is possible."""
        created = known_ms(self.created_at) or 0
        times = [self.stage_started_at, self.updated_at, self.created_at]
        can_be = (text for text in times if text and (known_ms(text) or -1) >= created)
        return next(can_be, self.updated_at)

    def _moved_at(self) -> str:
        """Return when another program moved the job to its current stage; not before the history.

        The original program sets ``stageStartedAt`` with a stage of the pipeline only. With all
        other stages it leaves the time of the stage before.
        """
        ended = [getattr(self, name) for _, name in self._ends()]
        if not self.history:
            if ended:
                return str(ended[0])
            return self.updated_at if self.stage == PENDING else self._entered_at()
        last = self.history[-1].at
        last_ms = known_ms(last) or 0
        began = None if self.stage == PENDING else self.stage_started_at
        times = ended or [began, self.updated_at]
        return next((text for text in times if (known_ms(text) or 0) > last_ms), last)


_REVISION = {"revision"}
_NO_WORK = {PENDING, *TERMINAL}
_CANCELLED_BYTES = CANCELLED_ERROR.encode()
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


def new_id() -> str:
    """Return a new id: a random UUID, as the original program uses."""
    # As uuid.uuid4() makes it (RFC 9562, section 5.4); importing that module costs 2 ms.
    bits = int.from_bytes(os.urandom(16), "big")
    bits = bits & ~(0xF << 76 | 0x3 << 62) | (0x4 << 76 | 0x2 << 62)
    digits = f"{bits:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def attempt_in(history: Sequence[HistoryEntry]) -> int | None:
    """Return the attempt (`Job.retry_count`) of the last entry; ``None`` if the history was cut.

    An attempt begins with ``pending`` after the end of the one before. Where that does not give the
    number, because other programs have retried the job too, an entry has it as ``attempt``.
    """
    retries = 0
    for place in range(len(history) - 1, -1, -1):
        entry = history[place]
        attempt = entry.extra.get("attempt") if entry.extra else None
        if type(attempt) is int:
            return attempt + retries
        if place and entry.stage == PENDING and history[place - 1].stage in TERMINAL:
            retries += 1
    return retries if len(history) < MAX_HISTORY else None


def check_id(id: str) -> str:
    """Return the id if it is valid, that is, safe as a file name; `InvalidId` otherwise."""
    if not _ID.match(id):
        raise InvalidId(id)
    return id


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
    job.extra = foreign_keys(values)
    job.source = None
    return job


def foreign_keys(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the keys of a file that nobody here knows."""
    if BY_KEY.keys() >= values.keys():
        return NO_KEYS
    return {k: v for k, v in values.items() if k not in BY_KEY and k != "revision"} or NO_KEYS


def may_be_id(text: str) -> bool:
    """Whether the text has the form of an id."""
    return _ID.match(text) is not None


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
    if job.host is not None:
        values["host"] = job.host
    if job.user is not None:
        values["user"] = job.user
    if job.labels is not None:
        values["labels"] = job.labels
    if job.cancelled is not None:
        values["cancelled"] = job.cancelled
    if job.acknowledged is not None:
        values["acknowledged"] = job.acknowledged
    values["revision"] = job.revision
    if job.extra:
        values.update(job.extra)
    return values


def _unpickled(values: dict[str, Any]) -> Job:
    return draft_of(values).finish()
