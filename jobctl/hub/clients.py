"""The WebSocket clients of a hub: their connections, and the sessions that they get.

A connection is answered once it may read (authentication.py). Its session opens after a read of the
store (feed.py), and then gets what the hub returns (sending.py).
"""

from __future__ import annotations

import asyncio
import http
import itertools
import logging
import random
from collections.abc import Iterable
from typing import Any

from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory

from jobctl._clock import now, now_ms
from jobctl.core.cursor import ZERO, Cursor
from jobctl.core.filters import Filter
from jobctl.core.protocol import (
    CLOSE_BAD_MESSAGE,
    CLOSE_GOING_AWAY,
    CLOSE_NO_TOKEN,
    CLOSE_SESSION_FAILED,
    CLOSE_TOO_FAST,
    FIRST_MESSAGE_HEADER,
    Dialect,
    close_reason_with_retry,
)
from jobctl.errors import ProtocolError
from jobctl.hub.authentication import Authentication
from jobctl.hub.connection import CLOSE_TIMEOUT_S, HubConnection, text_frame
from jobctl.hub.control import Control, Route
from jobctl.hub.eager import now_or_later
from jobctl.hub.feed import Feed
from jobctl.hub.handshake import Opening, refusal, url_of
from jobctl.hub.last_served import MAX_ACTIVE, LastServed
from jobctl.hub.messages import ActMessage
from jobctl.hub.metrics import Counts
from jobctl.hub.rights import Grant
from jobctl.hub.sending import Sender
from jobctl.hub.session import EndedSince
from jobctl.hub.sessions import Hub
from jobctl.stores import Store

__all__ = ["Clients"]

_MAX_MESSAGES = 100  # per client and second, on average over ten seconds
_MAX_UNREAD_ANSWERS = 200
_RECONNECTS_PER_S = 250  # clients are told to reconnect at this rate

# No context takeover: keeping a compression window per connection would cost memory.
_DEFLATE = ServerPerMessageDeflateFactory(
    server_no_context_takeover=True, client_no_context_takeover=True
)

_log = logging.getLogger("jobctl.hub")


class Clients:
    """All WebSocket clients. ``open`` are their connections, ``by_session`` those with a session.

    They receive the calls of `ConnectionEvents`. ``feed`` keeps the hub's replica up to date while
    there are sessions.
    """

    def __init__(
        self,
        store: Store,
        hub: Hub,
        counts: Counts,
        authentication: Authentication,
        control: Control,
        *,
        compression: bool,
        watch_files: bool,
        served: LastServed | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._where = store.where
        self.hub = hub
        self.counts = counts
        self._authentication = authentication
        self._control = control
        self._served = served
        self.open: set[HubConnection] = set()
        self.by_session: dict[int, HubConnection] = {}
        self.sender = Sender(
            hub,
            self.by_session,
            counts,
            on_error=self.fail_sessions,
            on_defect=self._report_defect,
        )
        self.feed = Feed(store, hub, self.sender.pump, watch_files=watch_files)
        self._extensions = [_DEFLATE] if compression else []
        self._protocol_log = _quiet_logger()
        self._all_lost: asyncio.Future[None] | None = None
        self._waiting: list[HubConnection] = []  # sessions that open after the next look
        self._held: list[HubConnection] = []  # sessions whose cursor is ahead of the replica
        self._opening: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()  # those of single connections: there are few
        self._ids = itertools.count(1)
        self._acts: set[asyncio.Task[None]] = set()
        self._closed = False

    def new_connection(self, peer_uid: int | None) -> HubConnection:
        """Return the protocol of a new connection; ``peer_uid`` is the user id of its peer."""
        return HubConnection(self, self._extensions, self._protocol_log, peer_uid)

    async def stop_opening(self) -> None:
        """Open no more sessions."""
        self._closed = True
        tasks = [*self._tasks, *([self._opening] if self._opening is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _report_defect(self, error: Exception) -> None:
        self.feed.fail(error)

    # -- `ConnectionEvents` -----------------------------------------------------------------

    def connected(self, connection: HubConnection) -> None:
        self.open.add(connection)

    def requested(self, connection: HubConnection, opening: Opening) -> None:
        task = now_or_later(self._answer(connection, opening))
        if isinstance(task, asyncio.Task):
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def received(self, connection: HubConnection, message: str | bytes) -> None:
        id = connection.session_id
        try:
            if connection.exceeds_message_rate(_MAX_MESSAGES):
                self.counts.refused["messages"] += 1
                self._dismiss(connection, CLOSE_TOO_FAST, "too many messages")
                return
            self._receive(id, connection, message)
        except ProtocolError as error:
            self._dismiss(connection, CLOSE_BAD_MESSAGE, str(error)[:100])
        except Exception as error:
            self.fail_sessions((id,), error)
        if id in self.hub.sessions and self.hub.sessions[id].held:
            connection.hold()
            self._held.append(connection)
            self._open_soon()

    def stalled(self, connection: HubConnection) -> None:
        self.hub.stall(connection.session_id)

    def recovered(self, connection: HubConnection) -> None:
        self.hub.recover(connection.session_id)
        self.sender.pump_soon()

    def lost(self, connection: HubConnection) -> None:
        self.open.discard(connection)
        if self._all_lost is not None and not self.open and not self._all_lost.done():
            self._all_lost.set_result(None)
        id = connection.session_id
        if self.by_session.pop(id, None) is None:
            return
        self.hub.close(id)
        if _log.isEnabledFor(logging.INFO):
            code, reason = connection.closed_by
            extra = self.log_fields(
                id, peer=connection.peer, url=connection.url, code=code, reason=reason
            )
            _log.info("close", extra=extra)
        if not self.by_session and self.feed.active:
            self.feed.stop()
            _log.info("unsubscribed", extra={"store": self._where, "sessions": 0})

    # -- sessions ---------------------------------------------------------------------------

    async def _answer(self, connection: HubConnection, opening: Opening) -> None:
        """Answer the handshake, and start the session of a client that may read.

        It waits only for a token, so `requested` runs it without its own task.
        """
        try:
            if _log.isEnabledFor(logging.INFO):
                connection.url = url_of(opening, secure=connection.is_secure)
            refused = await self._authentication.check_request(connection, opening)
            if refused is None and self._closed:
                unavailable = http.HTTPStatus.SERVICE_UNAVAILABLE
                refused = refusal(unavailable, "the hub goes away; come back\n")
            # A client without a token learns from the header that it has to send one first.
            more = [(FIRST_MESSAGE_HEADER, "jobs:auth")] if connection.grant is None else []
            connection.answer(opening, refused, more)
            if connection.is_open and connection.grant is None:
                await self._authentication.check_first_message(connection)
            if connection.is_open and connection.grant is not None:  # it may be lost by now
                self._begin(connection)
        except Exception as error:
            self._fail(connection, error)

    def _begin(self, connection: HubConnection) -> None:
        """Start the session of a client that may read; it opens after a read of the store."""
        connection.session_id = id = next(self._ids)
        self.by_session[id] = connection
        connection.opened_at = now()
        self.counts.opened[connection.dialect.value] += 1
        if _log.isEnabledFor(logging.INFO):
            dialect = connection.dialect.value
            _log.info("open", extra=self.log_fields(id, url=connection.url, dialect=dialect))
        if len(self.by_session) == 1:
            self.feed.start()
            _log.info("subscribed", extra={"store": self._where, "sessions": 1})
        self._waiting.append(connection)
        self._open_soon()

    def _open_soon(self) -> None:
        if self._opening is None or self._opening.done():
            self._opening = self._loop.create_task(self._open_sessions())

    async def _open_sessions(self) -> None:
        """Open the waiting sessions, with one read of the store for all of one turn of the loop."""
        while self._waiting or self._held:
            waiting, self._waiting = self._waiting, []
            held, self._held = self._held, []
            try:
                await self.feed.first_read()
                if any(self.hub.is_ahead(one.cursor) for one in waiting):
                    await self.feed.read_now()
                if any(one.subscribe.bad_files for one in waiting):
                    await self.feed.note_bad_files()
            except Exception as error:
                self.fail_sessions([one.session_id for one in (*waiting, *held)], error)
                continue
            for connection in held:
                self.hub.release(connection.session_id)
                connection.release()
            for connection in waiting:
                if connection.session_id in self.by_session:
                    try:
                        self._open(connection)
                    except Exception as error:
                        self._fail(connection, error)
            self.sender.pump_or_fail()

    def _open(self, connection: HubConnection) -> None:
        subscribe, grant = connection.subscribe, connection.grant
        assert grant is not None, "it may read"
        filter = subscribe.filter.within(grant.sight)
        self._count_start(subscribe.cursor, connection.cursor, filter)
        ended: EndedSince | None = None
        if subscribe.ended_s is not None:
            ended = EndedSince(time_ms=now_ms() - round(subscribe.ended_s * 1000))
        self.hub.open(
            connection.session_id,
            connection.dialect,
            subscribe.cursor,
            subscribe.filter,
            digest=subscribe.digest,
            details=connection.details,
            ended=ended,
            bad_files=subscribe.bad_files,
            max_bytes=subscribe.max_bytes,
            sight=grant.sight,
            can=self._control.can(grant, same_origin=connection.same_origin),
        )
        if connection.paused:
            self.hub.stall(connection.session_id)
        connection.release()
        if connection.dialect is Dialect.PLAIN:
            self.record_served()

    def record_served(self) -> None:
        """Record what is served, if there are clients that will not know it when they come back."""
        if self._served is not None and self.hub.has_plain_sessions:
            self._served.write(self.hub.cursor, self.hub.active_jobs(MAX_ACTIVE))

    def _count_start(self, sent: Cursor, cursor: Cursor, filter: Filter) -> None:
        """Count how a session starts. ``sent`` is the client's cursor, ``cursor`` the replica's."""
        if sent == ZERO:
            self.counts.starts["fresh"] += 1
            return
        self.counts.reconnects += 1
        resumes = self.hub.replica.resumes(cursor, filter)
        self.counts.starts["resumed" if resumes else "reset"] += 1

    def _receive(self, id: int, connection: HubConnection, message: str | bytes) -> None:
        if id not in self.hub.sessions:
            return  # it failed, and is being closed
        answer = self.hub.receive(id, message, now)
        if isinstance(answer, ActMessage):
            self._act(id, connection, answer)
        elif answer is None:
            if self.hub.has_work:
                self.sender.pump_soon()
        elif self.hub.sessions[id].writable:
            connection.write_frames(text_frame(answer))

    def _act(self, id: int, connection: HubConnection, act: ActMessage) -> None:
        """Carry out an act, and answer it when it is done.

        A client that does not read its answers is sent away. It sends the acts again with the same
        request ids.
        """
        if connection.paused and connection.unread_answers >= _MAX_UNREAD_ANSWERS:
            self._dismiss(connection, CLOSE_TOO_FAST, "read the answers to your acts")
            return
        connection.unread_answers += 1
        grant = connection.grant
        assert grant is not None, "it has a session"
        filter = self.hub.sessions[id].filter
        route = Route("socket", connection.peer, filter, connection.same_origin)
        task = self._loop.create_task(self._answer_act(connection, act, grant, route))
        self._acts.add(task)
        task.add_done_callback(self._acts.discard)

    async def _answer_act(
        self, connection: HubConnection, act: ActMessage, grant: Grant, route: Route
    ) -> None:
        answer = await self._control.perform(act.value, act.verb, grant, route)
        if not connection.paused:
            connection.unread_answers = max(0, connection.unread_answers - 1)
        connection.write_frames(text_frame(answer.message))

    def close_ended_grants(self) -> None:
        """Close the connections whose token was changed or removed, or has expired."""
        for connection in list(self.open):
            grant = connection.grant
            if grant is not None and not self._authentication.is_current(grant):
                self.counts.refused["token"] += 1
                self._dismiss(
                    connection, CLOSE_NO_TOKEN, "the token was changed, removed or expired"
                )

    def log_fields(self, id: int, **more: object) -> dict[str, object]:
        """Return the fields of every log event about a session."""
        connection = self.by_session.get(id)
        peer = connection.peer if connection is not None else ""
        return {"session": id, "peer": peer, "sessions": len(self.by_session), **more}

    def fail_sessions(self, ids: Iterable[int], error: Exception) -> None:
        """Close these sessions after an error; their clients reconnect with their cursors."""
        for id in ids:
            connection = self.by_session.get(id)
            if connection is not None:
                self._fail(connection, error)

    def _fail(self, connection: HubConnection, error: Exception) -> None:
        """Close a connection after a defect of the hub, and log the defect."""
        self.counts.failures += 1
        extra = self.log_fields(connection.session_id, peer=connection.peer)
        _log.error("session failed", exc_info=error, extra=extra)
        self._dismiss(connection, CLOSE_SESSION_FAILED, "the session failed; come back")

    def _dismiss(self, connection: HubConnection, code: int, reason: str) -> None:
        """Close the session and its connection now, with this code."""
        self.hub.close(connection.session_id)
        connection.send_close_frame(code, reason)

    # -- the end ----------------------------------------------------------------------------

    async def close(self) -> None:
        """Close connections in an orderly way, then abort those that do not answer."""
        spread_s = 0.3 + len(self.open) / _RECONNECTS_PER_S
        for connection in list(self.open):
            back_s = random.uniform(0.1, spread_s)
            connection.send_close_frame(
                CLOSE_GOING_AWAY, close_reason_with_retry("the hub goes away", back_s)
            )
        await self._until_all_are_lost(CLOSE_TIMEOUT_S)
        for connection in list(self.open):
            connection.abort()
        await self._until_all_are_lost(None)

    async def _until_all_are_lost(self, timeout_s: float | None) -> None:
        if self.open:
            self._all_lost = self._loop.create_future()
            await asyncio.wait([self._all_lost], timeout=timeout_s)


def _quiet_logger() -> logging.Logger:
    """Return a silent logger: websockets logs every failed handshake with a traceback."""
    logger = logging.getLogger("jobctl.websockets")
    logger.setLevel(logging.CRITICAL)
    return logger
