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

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from jobctl.core.cursor import ZERO, Cursor, epoch_for, store_cursor
from jobctl.core.filters import EVERYTHING, Filter
from jobctl.core.jobset import Delta, JobSet
from jobctl.core.newest import Key, NewestFirst
from jobctl.core.protocol import (
    MAX_PAGE,
    Ack,
    Auth,
    Dialect,
    Ping,
    Subscribe,
    dead_owners_message,
    delta_message,
    init_message,
    pong_message,
    update_message,
)
from jobctl.errors import ProtocolError
from jobctl.hub.messages import parse_from_client

__all__ = ["Hub", "Outgoing", "Session"]

_MAX_KEPT_SIZE = 4  # full pages that are kept for sessions that come later
_MAX_KEPT_PAGES = 64  # of any size: with each page a client's filter is kept, and may be large


class Position(NamedTuple):
    """How far a session has been served.

    The client has everything up to ``sent``. Nothing up to ``examined`` concerns it, so the next
    search starts there. ``snapshot_start`` is the revision at which the snapshot that is being
    paged started, or 0. ``must_send`` says that the client must get a message next, even an empty
    delta.

    A plain session that is still getting its first jobs lacks the active ones created before
    ``before``, and then those that ended after the revision ``ended``.
    """

    epoch: str
    sent: int
    examined: int
    snapshot_start: int = 0
    must_send: bool = True
    before: Key | None = None
    ended: int | None = None

    @property
    def unfinished(self) -> bool:
        """Whether more of a plain snapshot is to be sent."""
        return self.before is not None or self.ended is not None


class Session:
    """One connected client. ``acked`` is the newest revision that it acknowledged.

    ``details`` says whether it may see command lines (see redaction.py). ``held`` says that its
    cursor is ahead of the replica, so it waits for a new read of the store. ``owners_version`` is
    the version of the list of dead owners that was sent to it.
    """

    __slots__ = (
        "acked",
        "details",
        "dialect",
        "digest",
        "filter",
        "held",
        "id",
        "owners_version",
        "position",
        "writable",
    )  # fmt: skip

    def __init__(self, id: int, dialect: Dialect, filter: Filter, position: Position) -> None:
        self.id = id
        self.dialect = dialect
        self.filter = filter
        self.position = position
        self.writable = True
        self.digest = False
        self.details = False
        self.held = False
        self.owners_version = 0
        self.acked = 0

    @property
    def proves(self) -> bool:
        """Whether its deltas include the digest of what the client holds."""
        return self.digest and self.dialect is Dialect.V1

    @property
    def cursor(self) -> Cursor:
        """What was sent to the client, as a cursor of the hub's replica."""
        return Cursor(self.position.epoch, self.position.sent, self.filter.tag)


class _Kind(NamedTuple):
    """All that decides what a session is sent. Only sessions of equal kind share messages."""

    position: Position
    dialect: Dialect
    filter: Filter
    digest: bool
    details: bool


class SessionProgress(NamedTuple):
    """The revisions sent to and acknowledged by a session, and how far it lags behind."""

    sent: int
    acked: int
    lag_revisions: int
    lag_jobs: int


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


class _Page(NamedTuple):
    """What a session gets, its position afterwards, and what the shell made of it."""

    messages: tuple[bytes, ...]
    position: Position
    made: dict[str, bytes]

    @property
    def size(self) -> int:
        """The bytes of the messages."""
        return sum(map(len, self.messages))


class Hub:
    """A replica of a store, and the sessions that read it."""

    def __init__(self, *, max_page: int = MAX_PAGE) -> None:
        self.replica = JobSet(opaque=True)
        self.sessions: dict[int, Session] = {}
        self.loaded = False
        self.dead: frozenset[str] = frozenset()
        self._owners_version = 0  # incremented when `dead` changes
        self._max_page = max_page
        # `_due`: sessions that the next pump looks at, in this order. `_by_id` and `_any_id`: which
        # sessions a change wakes. A session with a filter on ids is woken only by these ids.
        self._due: dict[int, None] = {}
        self._any_id: set[int] = set()
        self._by_id: dict[str, set[int]] = {}
        self._pages: dict[_Kind, _Page] = {}
        self._pages_at = ZERO
        self._pages_size = 0
        self._plain_sessions = 0
        self._newest = NewestFirst()  # for plain sessions; follows the replica when one starts

    # -- from the store ---------------------------------------------------------------------

    def feed(self, delta: Delta) -> bool:
        """Apply a delta of the store; return ``False`` if it does not continue the replica.

        After ``False``, read the store again from `cursor`.
        """
        before, held = self.replica.cursor, len(self.replica)
        if not self.replica.apply(delta):
            return False
        found = bool(delta.jobs or delta.gone) or self.replica.cursor != before
        if not self.loaded or (delta.since == 0 and (found or held)):
            self._begin_anew()
        elif not found:
            pass  # as most looks, while clients connect
        else:
            self._due.update(dict.fromkeys(self._any_id))
            for id in [*(job.id for job in delta.jobs), *(item.id for item in delta.gone)]:
                self._due.update(dict.fromkeys(self._by_id.get(id, ())))
        self.loaded = True
        return True

    def replace_replica(self, replica: JobSet) -> None:
        """Use a replica that was loaded elsewhere, for example a large one in a thread."""
        self.replica = replica
        for session in self.sessions.values():
            if session.proves:
                replica.keep_digest(session.filter)
        self.loaded = True
        self._begin_anew()

    def _begin_anew(self) -> None:
        """Forget everything that was derived from the replica."""
        self._newest = NewestFirst()
        self._forget_pages()
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
    ) -> Session:
        """Open a session; the next `pump` returns its first delta.

        ``cursor`` is the one that the client sent. ``details`` says whether it may see command
        lines.
        """
        cursor = store_cursor(cursor, details=details)
        session = Session(id, dialect, filter, self._position_at(dialect, cursor, filter))
        session.digest = digest
        session.details = details
        self.sessions[id] = session
        self._plain_sessions += dialect is Dialect.PLAIN
        self._register(session)
        return session

    def close(self, id: int) -> None:
        """Remove the session; do nothing if it is unknown."""
        session = self.sessions.pop(id, None)
        if session is not None:
            self._unregister(session)
            self._due.pop(id, None)
            if session.dialect is Dialect.PLAIN:
                self._plain_sessions -= 1
                if not self._plain_sessions:
                    self._newest = NewestFirst()

    def _register(self, session: Session) -> None:
        """Add a session to the wake-up index, when it is new or has a new filter."""
        if session.filter.ids:
            for id in session.filter.ids:
                self._by_id.setdefault(id, set()).add(session.id)
        else:
            self._any_id.add(session.id)
        if session.proves:
            self.replica.keep_digest(session.filter)
        self._due[session.id] = None

    def _unregister(self, session: Session) -> None:
        if session.proves:
            self.replica.release_digest(session.filter)
        self._any_id.discard(session.id)
        for id in session.filter.ids:
            readers = self._by_id[id]
            readers.discard(session.id)
            if not readers:
                del self._by_id[id]

    def receive(self, id: int, data: str | bytes) -> bytes | None:
        """Handle a message of the client; return the answer to send at once, or ``None``.

        Call `pump` afterwards if `has_work`. Raises `ProtocolError` for an invalid message; then
        close the connection with ``CLOSE_BAD_MESSAGE``.
        """
        session = self.sessions[id]
        match parse_from_client(data):
            case Auth():
                pass  # not needed: the client is authenticated already
            case Ping(at):
                return pong_message(at)
            case Ack(through):
                session.acked = max(session.acked, min(through, session.position.sent))
            case Subscribe(cursor, filter, digest):
                if session.dialect is Dialect.PLAIN:
                    raise ProtocolError("a plain client's filter stands in its query")
                self._unregister(session)
                session.filter, session.digest = filter, digest
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
        groups: dict[_Kind, list[Session]] = {}
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
            kind = _Kind(position, session.dialect, session.filter, session.digest, session.details)
            groups.setdefault(kind, []).append(session)
        for kind, sessions in groups.items():
            ids = tuple(session.id for session in sessions)
            try:
                page = self._page(kind)
            except Exception as error:
                yield Outgoing((), ids, {}, error)
                continue
            position = page.position
            for session in sessions:
                session.position = position
                if position.examined != head or position.unfinished:
                    self._due[session.id] = None  # there is more to come
            if page.messages:
                yield Outgoing(page.messages, ids, page.made)
        if self._owners_version:
            yield from self._send_dead_owners(due)

    def _page(self, kind: _Kind) -> _Page:
        """Return the page for sessions of this kind, and keep it until the replica changes.

        So clients that connect one after the other share a page, and those that were stalled in the
        same page and recover one after the other.
        """
        if self._pages_at != self.replica.cursor:
            self._forget_pages()
            self._pages_at = self.replica.cursor
        page = self._pages.get(kind)
        if page is None:
            position, dialect, filter, digest, details = kind
            if dialect is Dialect.V1:
                messages, position = self._v1(position, filter, digest=digest, details=details)
            else:
                messages, position = self._plain(position, filter, details=details)
            page = _Page(messages, position, {})
            if messages:
                self._keep_page(kind, page)
        return page

    def _keep_page(self, kind: _Kind, page: _Page) -> None:
        """Keep the page, and drop the oldest ones when they are too many or too large."""
        self._pages[kind] = page
        self._pages_size += page.size
        while len(self._pages) > _MAX_KEPT_PAGES or (
            self._pages_size > _MAX_KEPT_SIZE * self._max_page and len(self._pages) > 1
        ):
            self._pages_size -= self._pages.pop(next(iter(self._pages))).size

    def _forget_pages(self) -> None:
        self._pages.clear()
        self._pages_size = 0

    def _send_dead_owners(self, due: Iterable[int]) -> Iterator[Outgoing]:
        """Send the list of dead owners to the sessions that lack it and hold every change.

        Only sessions that this pump looked at can have become ready for it: a change of the list
        makes all sessions due, and each of the other conditions comes true for a due session only.
        """
        lagging = [
            session
            for session in map(self.sessions.get, sorted(due))
            if session is not None
            and session.owners_version != self._owners_version
            and session.dialect is Dialect.V1
            and session.writable
            and not session.held
            and not session.position.must_send
            and session.position.examined == self.replica.revision
            and session.position.epoch == self.replica.epoch
        ]
        for session in lagging:
            session.owners_version = self._owners_version
        if lagging:
            yield Outgoing(
                (dead_owners_message(self.dead),), tuple(session.id for session in lagging), {}
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

    def _v1(
        self, position: Position, filter: Filter, *, digest: bool, details: bool
    ) -> tuple[tuple[bytes, ...], Position]:
        cursor = Cursor(position.epoch, position.examined, filter.tag)
        delta = self.replica.since(
            cursor,
            filter,
            limit=self._max_page,
            snapshot_start=position.snapshot_start,
            details=details,
        )
        since = position.sent if delta.since else 0
        snapshot_start = delta.snapshot_start if delta.more else 0
        if not (delta or position.must_send):
            return (), position._replace(examined=delta.through, snapshot_start=snapshot_start)
        proof = self.replica.digest(filter) if digest and not delta.more else None
        wires = (self.replica.wire(job.id, details=details) for job in delta.jobs)
        owners_version = (
            delta if details else delta._replace(epoch=epoch_for(delta.epoch, details=False))
        )
        message = delta_message(owners_version, since, wires, filter.tag, proof)
        moved = Position(delta.epoch, delta.through, delta.through, snapshot_start, must_send=False)
        return (message,), moved

    # The plain dialect has no cursor and no deletion: for those the session starts over.

    def _plain(
        self, position: Position, filter: Filter, *, details: bool
    ) -> tuple[tuple[bytes, ...], Position]:
        if position.must_send:
            return self._plain_start(filter, details=details)
        while position.unfinished and position.epoch == self.replica.epoch:
            messages, position = self._plain_rest(position, filter, details=details)
            if messages:
                return messages, position
        cursor = Cursor(position.epoch, position.examined, filter.tag)
        delta = self.replica.since(cursor, filter, limit=self._max_page, details=details)
        if delta.since == 0:
            return self._plain_start(filter, details=details)
        if delta.gone:
            return self._plain_start(filter, ended=position.examined, details=details)
        wires = (self.replica.wire(job.id, details=details) for job in delta.jobs)
        messages = tuple(map(update_message, wires))
        return messages, Position(delta.epoch, delta.through, delta.through, must_send=False)

    def _plain_start(
        self, filter: Filter, *, ended: int | None = None, details: bool
    ) -> tuple[tuple[bytes, ...], Position]:
        """Return ``jobs:init``. Jobs that do not fit follow, and then those that ended since."""
        self._newest.follow(self.replica)
        head = self.replica.revision
        ids, before = self._older(None, filter, head, details=details)
        start = Position(
            self.replica.epoch, head, head, head, must_send=False, before=before, ended=ended
        )
        wires = [self.replica.wire(id, details=details) for id in ids]
        return (init_message(wires),), start

    def _plain_rest(
        self, position: Position, filter: Filter, *, details: bool
    ) -> tuple[tuple[bytes, ...], Position]:
        """Return the next jobs that did not fit into ``jobs:init``.

        Those that changed since follow anyway.
        """
        if position.before is not None:
            ids, before = self._older(
                position.before, filter, position.snapshot_start, details=details
            )
            position = position._replace(before=before)
        else:
            assert position.ended is not None, "or nothing is left"
            cursor = Cursor(position.epoch, position.ended, filter.tag)
            delta = self.replica.since(
                cursor,
                filter,
                limit=self._max_page,
                snapshot_start=position.snapshot_start,
                details=details,
            )
            if delta.since == 0:
                return self._plain_start(filter, details=details)
            ids = [
                job.id
                for job in delta.jobs
                if not job.active and job.revision <= position.snapshot_start
            ]
            more = delta.more and delta.through < position.snapshot_start
            position = position._replace(ended=delta.through if more else None)
        if not position.unfinished:
            position = position._replace(snapshot_start=0)
        wires = (self.replica.wire(id, details=details) for id in ids)
        return tuple(map(update_message, wires)), position

    def _older(
        self, before: Key | None, filter: Filter, through: int, *, details: bool
    ) -> tuple[list[str], Key | None]:
        """Return the ids of the next page of active jobs, without those changed after ``through``.

        The second result is the key for the page after that, or ``None``.
        """
        ids: list[str] = []
        size = 0
        for job in self._newest.before(self.replica, before):
            if job.revision <= through and filter.matches(job):
                size += len(self.replica.wire(job.id, details=details))
                if ids and size > self._max_page:
                    return ids, before
                ids.append(job.id)
            before = (job.created_at, job.id)
        return ids, None
