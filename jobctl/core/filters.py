"""Filters: which jobs a reader wants. Same field: or; different fields: and."""

from __future__ import annotations

from collections.abc import Iterable

from jobctl._stdlib import blake2b
from jobctl.core.job import Job, check_id
from jobctl.core.pipeline import TERMINAL
from jobctl.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NamedTuple
else:
    from jobctl._stdlib import NamedTuple

__all__ = ["EVERYTHING", "MAX_VALUES", "Filter"]

MAX_VALUES = 1000
"""Values of a filter that comes over the wire: a hub keeps it for as long as the session lasts."""

_FIELDS = {"id": "ids", "type": "types", "stage": "stages", "session": "sessions"}


class Filter(NamedTuple):
    """A choice of jobs by id, type, stage, session, and whether they are active.

    An empty set means "any". Only an id never changes in a job's life, so a filter on anything
    else may lose a job again (see the delta rules in jobset.py).
    """

    ids: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    stages: frozenset[str] = frozenset()
    sessions: frozenset[str] = frozenset()
    active: bool = False

    def matches(self, job: Job) -> bool:
        """Whether the reader wants this job as it stands."""
        return (
            (not self.ids or job.id in self.ids)
            and (not self.types or job.type in self.types)
            and (not self.stages or job.stage in self.stages)
            and (not self.sessions or job.session_id in self.sessions)
            and not (self.active and job.stage in TERMINAL)
        )

    def may_hold(self, id: str) -> bool:
        """Whether a job of this id could ever have been wanted."""
        return not self.ids or id in self.ids

    @property
    def may_lose(self) -> bool:
        """Whether a job that passed may fail to pass later, other than by its deletion."""
        return bool(self.types or self.stages or self.sessions) or self.active

    @property
    def tag(self) -> str:
        """Six hex digits that tell this filter from others in a cursor; ``""`` for no filter."""
        if self == EVERYTHING:
            return ""
        return blake2b(repr(self.to_wire()).encode(), digest_size=3).hexdigest()

    def to_wire(self) -> dict[str, Any]:
        """As `from_wire` takes it, in one canonical order."""
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
    ) -> Filter:
        """A filter out of any iterables; `InvalidId` for an id that cannot be one."""
        return cls(
            frozenset(check_id(id) for id in ids),
            frozenset(types),
            frozenset(stages),
            frozenset(sessions),
            active,
        )

    @classmethod
    def from_wire(cls, value: object) -> Filter:
        """``{id, type, stage, session: text or list of texts, active: bool}``; `UsageError`."""
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
        if sum(map(len, sets.values())) > MAX_VALUES:
            raise UsageError(f"a filter has {MAX_VALUES} values at the most")
        active = value.get("active", False)
        if not isinstance(active, bool):
            raise UsageError("the filter's active is true or false")
        return cls.make(**sets, active=active)


EVERYTHING = Filter()
"""The filter that lets every job pass."""
