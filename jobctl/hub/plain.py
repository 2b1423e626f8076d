"""The plain dialect, which the clients of the original program speak: what a session gets next.

It has no cursor and no deletion. A session begins with ``jobs:init``: the active jobs, newest
first, and those that did not fit follow as updates. Then each change is an update. When a job is
gone, or the replica starts over, the session starts over too, with a new ``jobs:init``.
"""

from __future__ import annotations

from jobctl.core.cursor import Cursor
from jobctl.core.filters import Filter
from jobctl.core.jobset import JobSet
from jobctl.core.newest import Key, NewestFirst
from jobctl.core.protocol import init_message, update_message
from jobctl.hub.session import Position

__all__ = ["PlainDialect"]


class PlainDialect:
    """The pages of plain sessions, each of at most ``max_page`` bytes of jobs or of one job."""

    def __init__(self, max_page: int) -> None:
        self._max_page = max_page
        self._newest = NewestFirst()  # follows the replica when a session starts

    def forget_order(self) -> None:
        """Forget the order of the jobs: there is no plain session, or another replica."""
        self._newest = NewestFirst()

    def page(
        self, replica: JobSet, position: Position, filter: Filter, *, details: bool
    ) -> tuple[tuple[bytes, ...], Position]:
        """Return messages for a session at this position, and its position after them."""
        if position.must_send:
            return self._start(replica, filter, details=details)
        while position.unfinished and position.epoch == replica.epoch:
            messages, position = self._rest(replica, position, filter, details=details)
            if messages:
                return messages, position
        cursor = Cursor(position.epoch, position.examined, filter.tag)
        delta = replica.since(cursor, filter, limit=self._max_page, details=details)
        if delta.since == 0:
            return self._start(replica, filter, details=details)
        if delta.gone:
            return self._start(replica, filter, ended=position.examined, details=details)
        wires = (replica.wire(job.id, details=details) for job in delta.jobs)
        messages = tuple(map(update_message, wires))
        return messages, Position(delta.epoch, delta.through, delta.through, must_send=False)

    def _start(
        self, replica: JobSet, filter: Filter, *, ended: int | None = None, details: bool
    ) -> tuple[tuple[bytes, ...], Position]:
        """Return ``jobs:init``. Jobs that do not fit follow, and then those that ended since."""
        self._newest.follow(replica)
        head = replica.revision
        ids, before = self._older(replica, None, filter, head, details=details)
        start = Position(
            replica.epoch, head, head, head, must_send=False, before=before, ended=ended
        )
        wires = [replica.wire(id, details=details) for id in ids]
        return (init_message(wires),), start

    def _rest(
        self, replica: JobSet, position: Position, filter: Filter, *, details: bool
    ) -> tuple[tuple[bytes, ...], Position]:
        """Return the next jobs that did not fit into ``jobs:init``.

        Those that changed since follow anyway.
        """
        if position.before is not None:
            ids, before = self._older(
                replica, position.before, filter, position.snapshot_start, details=details
            )
            position = position._replace(before=before)
        else:
            assert position.ended is not None, "or nothing is left"
            cursor = Cursor(position.epoch, position.ended, filter.tag)
            delta = replica.since(
                cursor,
                filter,
                limit=self._max_page,
                snapshot_start=position.snapshot_start,
                details=details,
            )
            if delta.since == 0:
                return self._start(replica, filter, details=details)
            ids = [
                job.id
                for job in delta.jobs
                if not job.active and job.revision <= position.snapshot_start
            ]
            more = delta.more and delta.through < position.snapshot_start
            position = position._replace(ended=delta.through if more else None)
        if not position.unfinished:
            position = position._replace(snapshot_start=0)
        wires = (replica.wire(id, details=details) for id in ids)
        return tuple(map(update_message, wires)), position

    def _older(
        self, replica: JobSet, before: Key | None, filter: Filter, through: int, *, details: bool
    ) -> tuple[list[str], Key | None]:
        """Return the ids of the next page of active jobs, without those changed after ``through``.

        The second result is the key for the page after that, or ``None``.
        """
        ids: list[str] = []
        size = 0
        for job in self._newest.before(replica, before):
            if job.revision <= through and filter.matches(job):
                size += len(replica.wire(job.id, details=details))
                if ids and size > self._max_page:
                    return ids, before
                ids.append(job.id)
            before = (job.created_at, job.id)
        return ids, None
