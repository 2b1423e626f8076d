"""The hub without I/O: deltas in, "send these bytes to these sessions" out.

It has one replica of a store and many sessions. Each session is a cursor. There is no queue per
client: when a session's transport is writable, the next delta is computed from its cursor. A
stalled client therefore costs one integer and the delta in flight. It slows no other client down
and later gets the latest state. Sessions at the same position with the same filter, dialect and
rights share one computation and one encoding.

The shell (server.py) reports sessions that open, send, stall, recover and close, and what the store
returns. `Hub.pump` returns what to write. There is no clock, task or socket here, and no method
waits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from operator import attrgetter
from typing import NamedTuple

from jobctl.core.cursor import ZERO, Cursor, store_cursor
from jobctl.core.filters import EVERYTHING, Filter
from jobctl.core.job import Job
from jobctl.core.jobset import Delta, JobSet
from jobctl.core.protocol import (
    MAX_PAGE,
    Ack,
    Auth,
    Dialect,
    Ping,
    Subscribe,
    bad_files_message,
    dead_owners_messages,
    pong_message,
)
from jobctl.errors import ProtocolError
from jobctl.hub.messages import ActMessage, parse_from_client
from jobctl.hub.pages import Pages
from jobctl.hub.plain import MAX_INIT
from jobctl.hub.session import EndedSince, Kind, Position, Session, SessionProgress

__all__ = ["Hub", "Outgoing", "Session"]


class Outgoing(NamedTuple):
    """Messages to send, in this order, to each of these sessions.

    In ``made`` the shell keeps what it makes of the messages, to use it again if other sessions get
    the same messages later. If ``error`` is set, computing the messages failed and these sessions
    must be closed.
    """

    messages: tuple[bytes, ...]
    sessions: tuple[int, ...]
    made: dict[str, bytes]
    error: Exception | None = None


class Hub:
    """A replica of a store, and the sessions that read it."""

    def __init__(self, *, max_page: int = MAX_PAGE, max_init: int = MAX_INIT) -> None:
        self.replica = JobSet(opaque=True)
        self.sessions: dict[int, Session] = {}
        self.loaded = False
        self.dead: frozenset[str] = frozenset()
        self._owners_version = 0  # incremented when `dead` changes
        self._bad: dict[str, str] = {}  # files in quarantine as the store named them last
        self._damage: dict[str, str] = {}  # the replica's, as of the last delta
        self._bad_version = 1  # incremented when either changes
        self._bad_readers: set[int] = set()  # sessions that are told of these files
        self._max_page = max_page
        # `_due`: sessions that the next pump looks at, in this order. `_by_id` and `_any_id`: which
        # sessions a change wakes. A session with a filter on ids is woken only by these ids.
        self._due: dict[int, None] = {}
        self._any_id: set[int] = set()
        self._by_id: dict[str, set[int]] = {}
        self._pages = Pages(max_page, max_init)

    # -- from the store ---------------------------------------------------------------------

    def feed(self, delta: Delta) -> bool:
        """Apply a delta of the store; return ``False`` if it does not continue the replica.

        After ``False``, read the store again from `cursor`.
        """
        before, held = self.replica.cursor, len(self.replica)
        follows = delta.epoch == before.epoch and delta.since == before.revision
        if follows:
            self._pages.plain.note(self.replica, delta)
        if not self.replica.apply(delta):
            return False
        found = bool(delta.jobs or delta.gone) or self.replica.cursor != before
        if not self.loaded or (delta.since == 0 and not follows and (found or held)):
            self._begin_anew()
        elif not found:
            pass  # as most looks, while clients connect
        else:
            self._due.update(dict.fromkeys(self._any_id))
            for id in [*(job.id for job in delta.jobs), *(item.id for item in delta.gone)]:
                self._due.update(dict.fromkeys(self._by_id.get(id, ())))
        self.loaded = True
        if found or delta.since == 0:
            self._note_damage()
        return True

    def replace_replica(self, replica: JobSet) -> None:
        """Use a replica that was loaded elsewhere, for example a large one in a thread."""
        self.replica = replica
        for session in self.sessions.values():
            if session.proves:
                replica.keep_digest(session.filter)
        self.loaded = True
        self._note_damage()
        self._begin_anew()

    def _begin_anew(self) -> None:
        """Forget everything that was derived from the replica."""
        self._pages.forget(self.replica.revision)
        self._wake_all()

    def _wake_all(self) -> None:
        self._due.update(dict.fromkeys(self.sessions))

    def set_dead_owners(self, dead: frozenset[str]) -> bool:
        """Record the set of dead owners; return whether it changed. The next `pump` sends it."""
        if dead == self.dead:
            return False
        self.dead = dead
        self._owners_version += 1
        self._wake_all()
        return True

    def set_bad_files(self, reasons: dict[str, str]) -> bool:
        """Record the files in quarantine by name; return whether the list changed.

        The next `pump` sends it to the sessions that asked for it.
        """
        if reasons == self._bad:
            return False
        self._bad = reasons
        self._bad_changed()
        return True

    @property
    def bad_files(self) -> dict[str, str]:
        """The files that are no jobs, with the reasons."""
        return self._bad | {f"{id}.json": reason for id, reason in self._damage.items()}

    def _note_damage(self) -> None:
        damage = self.replica.damage
        if damage != self._damage:
            self._damage = damage
            self._bad_changed()

    def _bad_changed(self) -> None:
        self._bad_version += 1
        self._due.update(dict.fromkeys(self._bad_readers))

    def queue_position_updates(self) -> bool:
        """Queue an empty delta for sessions that were sent nothing for long.

        Return whether there are any. Changes that a filter leaves out still move a session's
        position. The empty delta tells the client its new cursor, so that it does not have to read
        from far behind after a reconnect. Call this every few seconds.
        """
        found = False
        for session in self.sessions.values():
            position = session.position
            if (
                session.filter != EVERYTHING
                and session.dialect is Dialect.V1
                and session.writable
                and not position.snapshot_start
                and position.epoch == self.replica.epoch
                and position.sent < self.replica.revision
            ):
                session.position = position._replace(must_send=True)
                self._due[session.id] = None
                found = True
        return found

    @property
    def cursor(self) -> Cursor:
        """The cursor for the next read of the store."""
        return self.replica.cursor if self.loaded else ZERO

    def is_ahead(self, cursor: Cursor) -> bool:
        """Whether the cursor is ahead of the replica; a new read of the store may reach it."""
        return not self.loaded or (
            cursor.epoch == self.replica.epoch and cursor.revision > self.replica.revision
        )

    # -- from the sessions ------------------------------------------------------------------

    def open(
        self,
        id: int,
        dialect: Dialect = Dialect.V1,
        cursor: Cursor = ZERO,
        filter: Filter = EVERYTHING,
        *,
        digest: bool = False,
        details: bool = False,
        ended: EndedSince | None = None,
        bad_files: bool = False,
        max_bytes: int | None = None,
        sight: Filter = EVERYTHING,
        can: str = "",
    ) -> Session:
        """Open a session; the next `pump` returns its first delta.

        ``cursor`` is the one that the client sent. ``details`` says whether it may see command
        lines. ``max_bytes`` is its own limit for a message. ``ended`` says which ended jobs a plain
        session gets at first; by default those that ended after ``served_before``, which is where
        an earlier hub stopped. ``sight`` is the filter of what the client may see, and ``can`` what
        the first delta says of its rights (see `delta_message`).
        """
        if dialect is Dialect.PLAIN:
            filter = filter.of_whole_jobs.for_stages_on_disk
        filter = filter.within(sight)
        cursor = store_cursor(cursor, details=details)
        session = Session(id, dialect, filter, self._position_at(dialect, cursor, filter))
        session.digest = digest
        session.details = details
        session.sight, session.can = sight, can
        session.bad_files = bad_files and sight == EVERYTHING
        session.max_bytes = max_bytes
        self.sessions[id] = session
        if dialect is Dialect.PLAIN:
            self._pages.plain.open(filter)
            if ended is None and self.served_before.epoch == self.replica.epoch:
                ended = EndedSince(revision=self.served_before.revision)
            session.position = session.position._replace(ended=ended)
        self._register(session)
        return session

    def close(self, id: int) -> None:
        """Remove the session; do nothing if it is unknown."""
        session = self.sessions.pop(id, None)
        if session is not None:
            self._unregister(session)
            self._due.pop(id, None)
            if session.dialect is Dialect.PLAIN:
                self._pages.plain.close(session.filter)

    def _register(self, session: Session) -> None:
        """Add a session to the wake-up index, when it is new or has a new filter."""
        if session.filter.ids:
            for id in session.filter.ids:
                self._by_id.setdefault(id, set()).add(session.id)
        else:
            self._any_id.add(session.id)
        if session.bad_files:
            self._bad_readers.add(session.id)
        if session.proves:
            self.replica.keep_digest(session.filter)
        self._due[session.id] = None

    def _unregister(self, session: Session) -> None:
        if session.proves:
            self.replica.release_digest(session.filter)
        self._any_id.discard(session.id)
        self._bad_readers.discard(session.id)
        for id in session.filter.ids:
            readers = self._by_id[id]
            readers.discard(session.id)
            if not readers:
                del self._by_id[id]

    def receive(
        self, id: int, data: str | bytes, now: Callable[[], str] = lambda: ""
    ) -> bytes | ActMessage | None:
        """Handle a message of the client; return the answer to send at once, or ``None``.

        An act is returned as it is, for the caller to carry out.

        ``now`` returns the time, which a pong tells the client. It is called for a ping only.

        Call `pump` afterwards if `has_work`. Raises `ProtocolError` for an invalid message; then
        close the connection with ``CLOSE_BAD_MESSAGE``.
        """
        session = self.sessions[id]
        match parse_from_client(data):
            case ActMessage() as act:
                if session.dialect is Dialect.PLAIN:
                    raise ProtocolError("acts are for clients of jobctl.v1")
                return act
            case Auth():
                pass  # not needed: the client is authenticated already
            case Ping(at):
                return pong_message(at, now())
            case Ack(through):
                session.acked = max(session.acked, min(through, session.position.sent))
            case Subscribe(cursor, filter, digest, _, bad_files, max_bytes):
                if session.dialect is Dialect.PLAIN:
                    raise ProtocolError("a plain client's filter stands in its query")
                filter = filter.within(session.sight)
                bad_files = bad_files and session.sight == EVERYTHING
                self._unregister(session)
                session.filter, session.digest, session.bad_files = filter, digest, bad_files
                session.bad_version = 0
                if max_bytes is not None:  # otherwise the one in the query stays
                    session.max_bytes = max_bytes
                self._register(session)
                cursor = store_cursor(cursor, details=session.details)
                session.position = self._position_at(session.dialect, cursor, filter)
                session.held = self.is_ahead(session.cursor)
        return None

    def release(self, id: int) -> None:
        """End the wait of a held session: a cursor that is still ahead of the replica is reset."""
        if id in self.sessions:
            self.sessions[id].held = False
            self._due[id] = None

    def stall(self, id: int) -> None:
        """Send nothing to this session until `recover`: its transport is full."""
        if id in self.sessions:
            self.sessions[id].writable = False

    def recover(self, id: int) -> None:
        """Send to this session again: its transport is writable.

        The next `pump` has its next delta.
        """
        if id in self.sessions:
            self.sessions[id].writable = True
            self._due[id] = None

    @property
    def has_plain_sessions(self) -> bool:
        """Whether there are sessions of the plain dialect, which know no cursor."""
        return self._pages.plain.has_sessions

    @property
    def served_before(self) -> Cursor:
        """Where an earlier hub stopped: what ended since then is told to plain sessions."""
        return self._pages.plain.served_before

    def set_served_before(self, cursor: Cursor, active: Iterable[Job]) -> None:
        """Set where an earlier hub stopped, and jobs that were active there.

        Plain sessions that begin from now on are told which jobs ended or were removed since then.
        """
        self._pages.plain.served_before = cursor
        self._pages.plain.active_before = tuple(active)

    def active_jobs(self, limit: int) -> Iterator[Job]:
        """Yield at most so many active jobs, the last changed first."""
        jobs = self.replica.newest_changes(self.replica.revision)
        return islice((job for job in jobs if job.active), limit)

    @property
    def has_work(self) -> bool:
        """Whether the next `pump` has sessions to look at."""
        return bool(self._due)

    # -- to the sessions --------------------------------------------------------------------

    def pump(self) -> Iterator[Outgoing]:
        """Yield what to write now: at most one page for each writable session that lags.

        A session counts as served once it is in what this yields: write all of it, or close the
        session. Call this again until it yields nothing.
        """
        if not self.loaded:
            return
        epoch, head = self.replica.epoch, self.replica.revision
        groups: dict[Kind, list[Session]] = {}
        due, self._due = self._due, {}
        for id in due:
            session = self.sessions[id]
            position = session.position
            if (
                not session.writable
                or session.held
                or (
                    position.examined == head
                    and position.epoch == epoch
                    and not position.must_send
                    and not position.unfinished
                )
            ):
                continue
            groups.setdefault(session.kind, []).append(session)
        for kind, sessions in groups.items():
            ids = tuple(session.id for session in sessions)
            try:
                page = self._pages.get(self.replica, kind)
            except Exception as error:
                yield Outgoing((), ids, {}, error)
                continue
            position = page.position
            for session in sessions:
                session.position = position
                if page.messages:
                    session.can = ""
                if position.examined != head or position.unfinished:
                    self._due[session.id] = None  # there is more to come
            if page.messages:
                yield Outgoing(page.messages, ids, page.made)
        if self._owners_version or self._bad_readers:
            yield from self._send_lists(due)

    def _send_lists(self, due: Iterable[int]) -> Iterator[Outgoing]:
        """Send the lists of dead owners and bad files to sessions that lack them.

        Only to sessions that hold every change. Only those that this pump looked at can have become
        ready for it: a change of a list makes its sessions due, and each of the other conditions
        comes true for a due session only.
        """
        owners, bad = self._owners_version, self._bad_version
        lagging = [
            session
            for session in map(self.sessions.get, due)
            if session is not None
            and (
                session.owners_version != owners
                or (session.bad_files and session.bad_version != bad)
            )
            and self._holds_everything(session)
        ]
        lag_owners: dict[int, list[int]] = {}  # by the limit for a message
        lag_bad: dict[int, list[int]] = {}
        for session in sorted(lagging, key=attrgetter("id")):
            limit = session.max_bytes or self._max_page
            if session.owners_version != owners:
                session.owners_version = owners
                lag_owners.setdefault(limit, []).append(session.id)
            if session.bad_files and session.bad_version != bad:
                session.bad_version = bad
                lag_bad.setdefault(limit, []).append(session.id)
        for limit, ids in lag_owners.items():
            yield Outgoing(dead_owners_messages(self.dead, limit), tuple(ids), {})
        for limit, ids in lag_bad.items():
            yield Outgoing((bad_files_message(self.bad_files, limit),), tuple(ids), {})

    def _holds_everything(self, session: Session) -> bool:
        """Whether a session of jobctl.v1 can be written to and has nothing more to get."""
        position = session.position
        return (
            session.dialect is Dialect.V1
            and session.writable
            and not session.held
            and not position.must_send
            and position.examined == self.replica.revision
            and position.epoch == self.replica.epoch
        )

    def session_progress(self, id: int) -> SessionProgress:
        """Return how far the session has been served, and how far it has acknowledged."""
        session = self.sessions[id]
        sent = session.position.examined if session.position.epoch == self.replica.epoch else 0
        return SessionProgress(
            sent,
            session.acked,
            max(0, self.replica.revision - sent),
            self.replica.changed_since(sent),
        )

    def _position_at(self, dialect: Dialect, cursor: Cursor, filter: Filter) -> Position:
        """Return the position for a cursor: the start for a plain client or another filter."""
        if dialect is Dialect.PLAIN or cursor.tag != filter.tag:
            cursor = ZERO
        return Position(cursor.epoch, cursor.revision, cursor.revision)
