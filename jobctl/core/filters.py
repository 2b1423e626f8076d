"""Filters select jobs. Values of one field are combined with or, different fields with and.

The requirements on labels (labels.py) must all be met.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from jobctl._stdlib import blake2b
from jobctl.core.job import Job, check_id
from jobctl.core.labels import parse_selectors, selects
from jobctl.core.pipeline import CANCELLED, FAILED, TERMINAL
from jobctl.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NamedTuple
else:
    from jobctl._stdlib import NamedTuple

__all__ = ["ALWAYS", "EVERYTHING", "MAX_FIELDS", "MAX_VALUES", "NOTHING", "Filter", "fields_of"]

MAX_VALUES = 1000
"""Maximum number of values in a filter from the wire; the hub keeps it during the session."""

MAX_FIELDS = 64
"""Maximum number of keys that a reader may ask for, and of characters in each."""
ALWAYS = frozenset({"id", "type", "stage", "createdAt", "revision"})
"""The keys of a job that every reader gets."""

_FIELDS = {
    "id": "ids", "type": "types", "stage": "stages", "session": "sessions", "label": "labels",
}  # fmt: skip
_ONE_OF = ("ids", "types", "stages", "sessions")
_MEANING = "cancelled jobs are not failed"
"""Goes into the tag of a filter on the stage ``failed``, which selected them up to jobctl 0.1.0."""


class Filter(NamedTuple):
    """Selects jobs by id, type, stage, session, labels, and whether they are active.

    An empty set selects all values. Stages are those that people see (`Job.shown_stage`): a
    cancelled job is ``cancelled``, not ``failed``. ``labels`` are selectors in canonical form, such
    as ``team=data``; use `make`. Only the id of a job never changes, so under a filter on other
    fields a job may leave again (see the delta rules in jobset.py).

    ``fields`` are the keys of a job that the reader gets beside `ALWAYS`, or ``None`` for all of
    them (see projection.py). They select no job. They are a part of the filter because a cursor
    belongs to them too: what a reader holds depends on both.
    """

    ids: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    stages: frozenset[str] = frozenset()
    sessions: frozenset[str] = frozenset()
    active: bool = False
    labels: frozenset[str] = frozenset()
    fields: frozenset[str] | None = None

    def matches(self, job: Job) -> bool:
        """Whether the filter selects the job."""
        return (
            (not self.ids or job.id in self.ids)
            and (not self.types or job.type in self.types)
            and (not self.stages or _stage_of(job) in self.stages)
            and (not self.sessions or job.session_id in self.sessions)
            and not (self.active and job.stage in TERMINAL)
            and (not self.labels or selects(self.labels, job.labels))
        )

    def may_hold(self, id: str) -> bool:
        """Whether the filter could select a job with this id."""
        return not self.ids or id in self.ids

    @property
    def may_lose(self) -> bool:
        """Whether a job that the filter selects may leave it later, other than by its deletion."""
        return bool(self.types or self.stages or self.sessions or self.labels) or self.active

    @property
    def tag(self) -> str:
        """Six hex digits that identify the filter in a cursor; ``""`` for no filter."""
        return "" if self == EVERYTHING else _tag_of(self)

    @property
    def for_stages_on_disk(self) -> Filter:
        """The filter that takes the stages as those of the files: a cancelled job has failed.

        So the original program's page and other plain clients mean them.
        """
        if FAILED not in self.stages:
            return self
        return self._replace(stages=self.stages | {CANCELLED})

    def within(self, scope: Filter) -> Filter:
        """Return the filter that selects what both select, with our ``fields``."""
        if scope == EVERYTHING:
            return self
        if self == EVERYTHING:
            return scope
        both: dict[str, frozenset[str]] = {}
        for field in _ONE_OF:
            ours, theirs = getattr(self, field), getattr(scope, field)
            both[field] = ours & theirs if ours and theirs else ours or theirs
            if not both[field] and (ours or theirs):
                return NOTHING._replace(fields=self.fields)  # an empty set would select all values
        return Filter(
            **both,
            active=self.active or scope.active,
            labels=self.labels | scope.labels,
            fields=self.fields,
        )

    @property
    def needs(self) -> frozenset[str]:
        """The features (protocol.py) that a hub must have to apply the filter.

        A hub without ``cancelled`` counts cancelled jobs as failed, which a reader can correct.
        """
        label = {"label"} if self.labels else set()
        return frozenset(label | ({CANCELLED} if CANCELLED in self.stages else set()))

    def with_fields(self, fields: Iterable[str] | None) -> Filter:
        """Return the filter with these ``fields``, or with all keys; `UsageError`."""
        return self._replace(fields=None if fields is None else fields_of(list(fields)))

    @property
    def of_whole_jobs(self) -> Filter:
        """The filter that selects the same jobs with all of their keys."""
        return self if self.fields is None else self._replace(fields=None)

    def to_wire(self) -> dict[str, Any]:
        """Return the filter as JSON, in a canonical order; the inverse of `from_wire`.

        Without ``fields``, which stand beside it in a message.
        """
        wire: dict[str, Any] = {
            key: sorted(getattr(self, field))
            for key, field in _FIELDS.items()
            if getattr(self, field)
        }
        if self.active:
            wire["active"] = True
        return wire

    @classmethod
    def make(
        cls,
        *,
        ids: Iterable[str] = (),
        types: Iterable[str] = (),
        stages: Iterable[str] = (),
        sessions: Iterable[str] = (),
        active: bool = False,
        labels: Iterable[str] = (),
        fields: Iterable[str] | None = None,
    ) -> Filter:
        """Make a filter from any iterables; raise `InvalidId` or `UsageError` for invalid ones."""
        return cls(
            frozenset(check_id(id) for id in ids),
            frozenset(types),
            frozenset(stages),
            frozenset(sessions),
            active,
            parse_selectors(labels),
        ).with_fields(fields)

    @classmethod
    def from_wire(cls, value: object) -> Filter:
        """Parse ``{id, type, stage, session, label: text or list of texts, active: bool}``.

        `UsageError`.
        """
        if value is None:
            return EVERYTHING
        if not isinstance(value, dict):
            raise UsageError("a filter is an object")
        unknown = sorted(set(value) - {*_FIELDS, "active"})
        if unknown:
            raise UsageError(f"a filter has no field {ascii(str(unknown[0])[:40])}")
        sets: dict[str, list[str]] = {}
        for key, field in _FIELDS.items():
            texts = value.get(key, [])
            texts = [texts] if isinstance(texts, str) else texts
            if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
                raise UsageError(f"the filter's {key} is a text or a list of texts")
            sets[field] = texts
        commas = sum(text.count(",") for text in sets["labels"])
        if sum(map(len, sets.values())) + commas > MAX_VALUES:
            raise UsageError(f"a filter has {MAX_VALUES} values at the most")
        active = value.get("active", False)
        if not isinstance(active, bool):
            raise UsageError("the filter's active is true or false")
        return cls.make(**sets, active=active)


@lru_cache(maxsize=64)  # each page of a session asks
def _tag_of(filter: Filter) -> str:
    text = repr(filter.to_wire()) + (_MEANING if FAILED in filter.stages else "")
    text += "" if filter.fields is None else f" fields {sorted(filter.fields)!r}"
    return blake2b(text.encode(), digest_size=3).hexdigest()


def fields_of(value: object) -> frozenset[str] | None:
    """Return the keys that a reader asks for beside `ALWAYS`, from a list of texts.

    ``None`` stays: it stands for all keys. Any name may be a key of some program. Raises
    `UsageError`.
    """
    if value is None:
        return None
    if not isinstance(value, list) or len(value) > MAX_FIELDS:
        raise UsageError(f"fields are a list of {MAX_FIELDS} names at the most")
    for name in value:
        if not isinstance(name, str) or not 0 < len(name) <= MAX_FIELDS or "," in name:
            raise UsageError(
                f"a name in fields has 1 to {MAX_FIELDS} characters, no comma; not "
                f"{ascii(name)[:32]}"
            )
    return frozenset(value) - ALWAYS


def _stage_of(job: Job) -> str:
    """Return `Job.shown_stage`; most jobs have not failed, so this is faster."""
    return job.stage if job.stage != FAILED else job.shown_stage


EVERYTHING = Filter()
"""The filter that selects every job."""

NOTHING = Filter(ids=frozenset({""}))
"""A filter that selects no job: no id is empty."""
