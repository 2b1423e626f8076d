"""The plain dialect, which the clients of the original program speak: what a session gets next.

Its clients merge each job that they get into the one that they have, so a key that a newer version
lacks stays; and there is no deletion. So:

- A session begins with one ``jobs:init``: the active jobs, newest first, up to `MAX_INIT` bytes.
  The others follow as updates, and then the jobs that ended lately, where the session is to get
  them (`EndedSince`).
- Then each change is an update, also the change with which a job leaves the session's filter.
- Every key of ours that a job may lack is sent, as null.
- No message is longer than the limit that the client named. A job that is larger is `shortened`.
- An active job that is removed is told as failed, with the error `REMOVED`; one whose file is no
  job any more with the error ``Damaged file:`` and the reason. A job that had ended needs no
  message, if the client has its end.
- A session starts over, with another ``jobs:init``, only in a new epoch, or if the hub no longer
  knows what was removed since its last message.

The dialect has no cursor, so this file remembers what a set of jobs forgets: the last version of
removed jobs, and who left which filter. Only plain sessions need it; without one nothing is kept.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from jobctl.core.codec import to_wire
from jobctl.core.cursor import ZERO
from jobctl.core.filters import Filter
from jobctl.core.job import Job
from jobctl.core.jobset import Delta, JobSet
from jobctl.core.newest import Key, NewestFirst
from jobctl.core.omission import OMITTED, shortened
from jobctl.core.pipeline import FAILED
from jobctl.core.protocol import MAX_LIMIT, init_message, update_message
from jobctl.hub.session import EndedSince, Position

__all__ = ["MAX_ENDED", "MAX_INIT", "NULLABLE", "REMOVED", "PlainDialect"]

MAX_INIT = MAX_LIMIT
"""Bytes of ``jobs:init``, and of the ended jobs that follow it."""
MAX_ENDED = 1000
"""Ended jobs that are told after ``jobs:init``."""
REMOVED = "Removed"
"""The error with which a client is told that an active job was removed."""
NULLABLE = (
    "title", "message", "progress", "stages", "history", "result", "owner", "run", "parent",
    "labels", "host", "user", "cancelled", "acknowledged", OMITTED,
)  # fmt: skip
"""The keys of ours that a job may lack, those of later versions too."""

_INIT_OVERHEAD = len(init_message(()))
_JOB_OVERHEAD = max(_INIT_OVERHEAD, len(update_message(b""))) + len(",")

_MAX_EXAMINED = 8192  # jobs that are looked at for those that ended lately
_MAX_REMEMBERED = 8192  # removals, new jobs, and departures from one filter


class _Removed(NamedTuple):
    """A job that is gone: since which revision, its last version, when it was new, and the error.

    ``error`` is what clients are told if the job was active.
    """

    revision: int
    job: Job
    new_at: int
    error: str


class _Reader(NamedTuple):
    """What a session may see, and the client's own limit for a message, if it named one."""

    filter: Filter
    details: bool
    max_bytes: int | None

    def form(self, wire: bytes) -> bytes:
        """Return what the client gets of a job: with nulls, and so that a message can hold it."""
        form = with_nulls(wire)
        if self.max_bytes is None or len(form) <= self.max_bytes - _JOB_OVERHEAD:
            return form
        return shortened(form, self.max_bytes - _JOB_OVERHEAD, nulls=True)


class PlainDialect:
    """The pages of plain sessions, each of at most ``max_page`` bytes of updates or of one.

    ``jobs:init`` has at most ``max_init`` bytes or one job, and so have the ended jobs that follow
    it.
    """

    def __init__(self, max_page: int, max_init: int = MAX_INIT) -> None:
        self._max_page = max_page
        self._max_init = max_init
        self._newest = NewestFirst()  # follows the replica when a session starts
        self._filters: Counter[Filter] = Counter()
        self._removed: dict[str, _Removed] = {}
        self._new_at: dict[str, int] = {}
        self._left: dict[Filter, dict[str, int]] = {}
        # Jobs that were only acknowledged: their revision, and the newest that says anything else.
        self._acknowledged: dict[str, tuple[int, int]] = {}
        self.served_before = ZERO  # where an earlier hub stopped
        self.active_before: tuple[Job, ...] = ()  # jobs that were active there
        self._forgotten = 0  # what was removed or has left up to this revision may be unknown

    # -- what changes -----------------------------------------------------------------------

    @property
    def has_sessions(self) -> bool:
        """Whether there are plain sessions."""
        return bool(self._filters)

    def open(self, filter: Filter) -> None:
        """Add a session with this filter."""
        self._filters[filter] += 1

    def close(self, filter: Filter) -> None:
        """Remove a session with this filter. Nothing is kept once there is none."""
        self._filters[filter] -= 1
        if not self._filters[filter]:
            del self._filters[filter]
            self._left.pop(filter, None)
        if not self._filters:
            self.forget(0)

    def forget(self, revision: int) -> None:
        """Forget everything: there is no plain session, or another replica, at this revision."""
        self._newest = NewestFirst()
        self._removed.clear()
        self._new_at.clear()
        self._left.clear()
        self._acknowledged.clear()
        self._forgotten = revision

    def note(self, replica: JobSet, delta: Delta) -> None:
        """Remember what the delta is about to change in the replica."""
        if not self._filters:
            return
        losing = [filter for filter in self._filters if filter.may_lose]
        for job in delta.jobs:
            before = replica.get(job.id)
            self._removed.pop(job.id, None)
            acknowledged = self._acknowledged.pop(job.id, None)
            if before is None:
                self._remember(self._new_at, job.id, job.revision)
                continue
            if _is_only_acknowledged(before, job):
                was, told = acknowledged or (0, 0)
                told = told if was == before.revision else before.revision
                self._acknowledged[job.id] = job.revision, told
                if len(self._acknowledged) > _MAX_REMEMBERED:
                    del self._acknowledged[next(iter(self._acknowledged))]
            for filter in losing:
                if filter.matches(before) and not filter.matches(job):
                    self._remember(self._left.setdefault(filter, {}), job.id, job.revision)
        for item in delta.gone:
            id, before = item.id, replica.get(item.id)
            if before is not None:
                damage = item.damage
                error = REMOVED if damage is None else f"Damaged file: {damage}"
                new_at = self._new_at.pop(id, 0)
                removed = _Removed(item.revision, before, new_at, error)
                self._removed.pop(id, None)
                self._removed[id] = removed
                if len(self._removed) > _MAX_REMEMBERED:
                    first = self._removed.pop(next(iter(self._removed)))
                    self._forgotten = max(self._forgotten, first.revision)

    def _remember(self, revisions: dict[str, int], id: str, revision: int) -> None:
        revisions.pop(id, None)
        revisions[id] = revision  # the newest last
        if len(revisions) > _MAX_REMEMBERED:
            self._forgotten = max(self._forgotten, revisions.pop(next(iter(revisions))))

    # -- the pages --------------------------------------------------------------------------

    def page(
        self,
        replica: JobSet,
        position: Position,
        filter: Filter,
        *,
        details: bool,
        max_bytes: int | None = None,
    ) -> tuple[tuple[bytes, ...], Position]:
        """Return messages for a session at this position, and its position after them."""
        reader = _Reader(filter, details, max_bytes)
        if (
            position.must_send
            or position.epoch != replica.epoch
            or position.examined < max(replica.floor, self._forgotten)
        ):
            return self._start(replica, position.ended, reader)
        if position.before is not None:
            messages, position = self._rest(replica, position, reader)
            if messages:
                return messages, position
        if position.ended is not None:
            messages, position = self._ended(replica, position, reader)
            if messages:
                return messages, position
        return self._changes(replica, position, reader)

    def _start(
        self, replica: JobSet, ended: EndedSince | None, reader: _Reader
    ) -> tuple[tuple[bytes, ...], Position]:
        """Return ``jobs:init``. Jobs that do not fit follow, and then those that ended lately."""
        self._newest.follow(replica)
        head = replica.revision
        most = (reader.max_bytes or self._max_init) - _INIT_OVERHEAD
        jobs, before = self._older(replica, None, head, most, reader)
        start = Position(
            replica.epoch, head, head, head, must_send=False, before=before, ended=ended
        )
        return (init_message(jobs),), start

    def _rest(
        self, replica: JobSet, position: Position, reader: _Reader
    ) -> tuple[tuple[bytes, ...], Position]:
        """Return the next jobs that did not fit into ``jobs:init``.

        Those that changed since follow anyway.
        """
        jobs, before = self._older(
            replica, position.before, position.snapshot_start, self._max_page, reader
        )
        return tuple(map(update_message, jobs)), position._replace(before=before)

    def _older(
        self,
        replica: JobSet,
        before: Key | None,
        through: int,
        max_bytes: int,
        reader: _Reader,
    ) -> tuple[list[bytes], Key | None]:
        """Return the next page of active jobs, without those changed after ``through``.

        The second result is the key for the page after that, or ``None``.
        """
        jobs: list[bytes] = []
        size = 0
        for job in self._newest.before(replica, before):
            if job.revision <= through and reader.filter.matches(job):
                wire = reader.form(replica.wire(job.id, details=reader.details))
                size += len(wire) + len(b",")
                if jobs and size > max_bytes:
                    return jobs, before
                jobs.append(wire)
            before = (job.created_at, job.id)
        return jobs, None

    def _ended(
        self, replica: JobSet, position: Position, reader: _Reader
    ) -> tuple[tuple[bytes, ...], Position]:
        """Return the jobs that ended lately, oldest first. They need not match on their stage."""
        since = position.ended
        assert since is not None, "or the session is to get none"
        anything = reader.filter._replace(stages=frozenset(), active=False)
        jobs: list[bytes] = []
        size = 0
        for examined, job in enumerate(replica.newest_changes(position.snapshot_start)):
            if len(jobs) == MAX_ENDED or examined == _MAX_EXAMINED or since.is_over(job):
                break
            if job.active or not anything.matches(job) or not since.selects(job):
                continue
            wire = reader.form(replica.wire(job.id, details=reader.details))
            size += len(wire)
            if size > self._max_init:
                break
            jobs.append(wire)
        if since.revision is not None:
            jobs += self._removed_before(replica, reader._replace(filter=anything))
        return tuple(map(update_message, reversed(jobs))), position._replace(ended=None)

    def _removed_before(self, replica: JobSet, reader: _Reader) -> Iterator[bytes]:
        """Yield what tells a client of an earlier hub which of its jobs were removed since then."""
        for job in self.active_before:
            if replica.get(job.id) is None and reader.filter.matches(job):
                wire = _wire_as_failed(job, REMOVED, replica.revision, details=reader.details)
                yield reader.form(wire)

    def _changes(
        self, replica: JobSet, position: Position, reader: _Reader
    ) -> tuple[tuple[bytes, ...], Position]:
        """Return what changed since the session's last message."""
        messages: list[bytes] = []
        size, through, more = 0, position.examined, False
        filter = reader.filter
        left = self._left.get(filter, {})
        for id, revision, job in replica.changes(position.examined, filter.ids):
            wire: bytes | None = None
            if job is None:
                wire = self._wire_of_removed(id, position.examined, filter, details=reader.details)
            elif self._knows(job, position.examined):
                pass
            elif filter.matches(job) or left.get(id, 0) > position.examined:
                wire = replica.wire(id, details=reader.details)
            if wire is not None:
                message = update_message(reader.form(wire))
                size += len(message)
                if messages and size > self._max_page and revision > through:
                    more = True
                    break
                messages.append(message)
            through = revision
        if not more:
            through = max(through, replica.revision)
        return tuple(messages), Position(replica.epoch, through, through, must_send=False)

    def _knows(self, job: Job, examined: int) -> bool:
        """Whether the job has only been acknowledged since, which these clients do not show.

        They would take the update for a failure that has just happened.
        """
        revision, told = self._acknowledged.get(job.id, (0, 0))
        return revision == job.revision and examined >= told

    def _wire_of_removed(
        self, id: str, examined: int, filter: Filter, *, details: bool
    ) -> bytes | None:
        """Return what tells a client at ``examined`` that a job is gone, if it may have it."""
        removed = self._removed.get(id)
        if removed is None or removed.new_at > examined:
            return None  # it never had the job, or had its end
        revision, job = removed.revision, removed.job
        held = filter.matches(job) or self._left.get(filter, {}).get(id, 0) > examined
        if not held or (not job.active and job.revision <= examined):
            return None
        if job.active:
            return _wire_as_failed(job, removed.error, revision, details=details)
        return to_wire(job.replace(revision=revision), details=details)


def _is_only_acknowledged(before: Job, after: Job) -> bool:
    """Whether both say the same but for ``acknowledged``."""
    if before.acknowledged is None and after.acknowledged is None:
        return False
    one, other = (json.loads(to_wire(job, details=True)) for job in (before, after))
    for value in (one, other):
        value.pop("acknowledged", None)
        del value["revision"]
    return bool(one == other)


def _wire_as_failed(job: Job, error: str, revision: int, *, details: bool) -> bytes:
    failed = job.replace(
        revision=revision, stage=FAILED, error=error, completed_at=None, progress=None,
        message=None, owner=None, cancelled=None, acknowledged=None,
    )  # fmt: skip
    return to_wire(failed, details=details)


def with_nulls(wire: bytes) -> bytes:
    """Return the wire form of a job with null for each key of `NULLABLE` that it lacks."""
    keys = json.loads(wire).keys()
    nulls = b"".join(b',"%s":null' % key.encode() for key in NULLABLE if key not in keys)
    return b"%s%s}" % (wire[:-1], nulls)
