"""The hub on a port or a Unix socket: ``/ws/jobs`` in both dialects, and HTTP.

This is the shell around sessions.py. It accepts connections (admission.py, access.py), reads the
store when the bell rings (feed.py), writes what the hub returns, reports stalled and recovered
connections to the hub, and closes connections that are silent.
"""

from __future__ import annotations

import asyncio
import errno
import http
import itertools
import logging
import random
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from typing import Any
from urllib.parse import urlsplit

from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.http11 import Response

from jobctl._clock import now
from jobctl.core.cursor import ZERO, Cursor
from jobctl.core.filters import Filter
from jobctl.core.pipeline import BUILT_IN_ONLY, Pipelines
from jobctl.core.protocol import (
    CLOSE_BAD_MESSAGE,
    CLOSE_BUSY,
    CLOSE_GOING_AWAY,
    CLOSE_NO_TOKEN,
    CLOSE_SESSION_FAILED,
    CLOSE_TOO_FAST,
    FIRST_MESSAGE_HEADER,
    Auth,
    Dialect,
    close_reason_with_retry,
    parse_query,
)
from jobctl.errors import ProtocolError, StoreError, UsageError
from jobctl.hub.access import AccessPolicy, AccessRefused, AccessRequest, unauthorized
from jobctl.hub.address import DEFAULT_PATH, hub_url
from jobctl.hub.admission import AdmissionControl, PendingConnections, RequestHeadReader, is_upgrade
from jobctl.hub.connection import CLOSE_TIMEOUT_S, HubConnection, deflated_frame, text_frame
from jobctl.hub.discovery import announced
from jobctl.hub.eager import now_or_later
from jobctl.hub.feed import Feed
from jobctl.hub.handshake import Opening, refusal
from jobctl.hub.http import HttpApi
from jobctl.hub.listen import BACKLOG, Sockets, listen
from jobctl.hub.log_limit import LogRateLimit
from jobctl.hub.messages import parse_from_client
from jobctl.hub.metrics import Counts, Exporter
from jobctl.hub.peers import PeerUid, PeerUids
from jobctl.hub.periodic import PeriodicTask, PeriodicTasks
from jobctl.hub.sessions import Hub
from jobctl.stores import Store, path_of

__all__ = [
    "DEFAULT_PATH",
    "DEFAULT_PORT",
    "LIVENESS_TIMEOUT_S",
    "MAX_CONNECTIONS",
    "HubServer",
    "serve",
]

DEFAULT_PORT = 8765
LIVENESS_TIMEOUT_S = 18.0
"""A connection without a sign of life for this long is aborted; with the sweep, within 20 s."""

_SWEEP_S = 2.0
_MAX_LOOP_DELAY_S = 1.0  # `/healthz` reports a longer delay of the event loop
_MAX_READ_S = 5.0  # `/healthz` reports a longer read of the store
_PING_AFTER_S = 6.0
_HANDSHAKE_S = 8.0
MAX_CONNECTIONS = 10_000
"""Default connection limit, for all kinds of connections together."""

_MAX_MESSAGES = 100  # per client and second, on average over ten seconds
_LOOPBACK_OF = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104
_RECONNECTS_PER_S = 250  # clients are told to reconnect at this rate

# No context takeover: keeping a compression window per connection would cost memory.
_DEFLATE = ServerPerMessageDeflateFactory(
    server_no_context_takeover=True, client_no_context_takeover=True
)

_log = logging.getLogger("jobctl.hub")


async def serve(
    store: Store,
    *,
    host: str | None = "127.0.0.1",
    port: int = DEFAULT_PORT,
    unix: str | None = None,
    path: str = DEFAULT_PATH,
    watch_files: bool = True,
    base: str = "",
    access: AccessPolicy | None = None,
    tls: ssl.SSLContext | None = None,
    max_connections: int = MAX_CONNECTIONS,
    compression: bool = True,
    periodic_tasks: Iterable[PeriodicTask] = (),
    pipelines: Pipelines = BUILT_IN_ONLY,
    stop: asyncio.Event,
    ready: Callable[[str], None] | None = None,
    sockets: Sockets | None = None,
) -> None:
    """Serve the store until ``stop`` is set, and then be gone within 3 s.

    ``port`` 0 takes a free one. ``unix`` is the path of a Unix socket to listen on as well, or
    alone with ``host`` ``None``. ``ready`` is called with the hub's URL once it listens: that of
    the port, if there is one. ``periodic_tasks`` are done meanwhile (see periodic.py). ``base`` is
    the path under which a proxy shows the hub, and ``access`` the access policy; by default for
    this user alone. The page shows job types as ``pipelines`` has them.

    Raises `AddressInUse` or `HubError` for an address that cannot be bound, and leaves nothing
    behind then. Opening a store may make its directory: to bind first, call `listen` with the same
    address, then open the store, and pass the ``sockets``. They are closed in the end.
    """
    server = HubServer(
        store,
        access or AccessPolicy(host or "localhost"),
        path=path,
        base=base,
        tls=tls,
        max_connections=max_connections,
        compression=compression,
        watch_files=watch_files,
        periodic_tasks=periodic_tasks,
        pipelines=pipelines,
    )
    await server.run(host, port, stop, ready, unix=unix, sockets=sockets)


class HubServer:
    """One hub on one port, or one Unix socket, or both.

    ``peer_uid`` looks up the user id of a connection's peer; the default is that of peers.py.
    """

    def __init__(
        self,
        store: Store,
        access: AccessPolicy,
        *,
        path: str,
        base: str = "",
        tls: ssl.SSLContext | None = None,
        max_connections: int = MAX_CONNECTIONS,
        compression: bool = True,
        watch_files: bool,
        periodic_tasks: Iterable[PeriodicTask] = (),
        pipelines: Pipelines = BUILT_IN_ONLY,
        peer_uid: PeerUid | None = None,
    ) -> None:
        self._peer_uid = peer_uid
        self._store = store
        self._access = access
        self._path = base + path
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._admission = AdmissionControl(
            max_connections, self._count_connections, tls=tls, on_refusal=self._record_too_many
        )
        self.counts = Counts()
        self._exporter = Exporter(self)
        self._http = HttpApi(self, access, base=base, socket_path=path, pipelines=pipelines)
        self._bad_files = 0
        self._last_sweep_s, self._loop_delay_s = self._loop.time(), 0.0
        self._refusal_log_limit, self._error_log_limit = LogRateLimit(5), LogRateLimit(1)
        self.hub = Hub()
        self.feed = Feed(store, self.hub, self._pump, watch_files=watch_files)
        self._periodic = PeriodicTasks(periodic_tasks)
        self._sessions: dict[int, HubConnection] = {}
        self._connections: set[HubConnection] = set()
        self._unauthenticated: PendingConnections[HubConnection] = PendingConnections(
            self._admission.max_pending
        )  # without a token
        self._extensions = [_DEFLATE] if compression else []
        self._protocol_log = _quiet_logger()
        self._all_lost: asyncio.Future[None] | None = None
        self._waiting: list[HubConnection] = []  # sessions that open after the next look
        self._held: list[HubConnection] = []  # sessions whose cursor is ahead of the replica
        self._opening: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()  # those of single connections: there are few
        self._ids = itertools.count(1)
        self._pump_handle: asyncio.Handle | None = None

    async def run(
        self,
        host: str | None,
        port: int,
        stop: asyncio.Event,
        ready: Callable[[str], None] | None = None,
        *,
        unix: str | None = None,
        sockets: Sockets | None = None,
    ) -> None:
        """Listen until ``stop`` is set or a task of ours fails, which is raised.

        ``sockets`` listen already; without them the address is bound first of all.
        """
        assert host is not None or unix is not None, "it listens somewhere"
        try:
            sockets = listen(host, port, unix) if sockets is None else sockets
        except BaseException:
            await self.feed.close()
            raise
        peers = None if self._peer_uid is not None else PeerUids()
        self._peer_uid = self._peer_uid or peers
        complained_to = self._loop.get_exception_handler()
        try:
            await self._http.start()
            self._loop.set_exception_handler(self._log_loop_error)
            await self._serve(sockets, self._urls(host, unix, sockets), stop, ready)
        finally:
            self._loop.set_exception_handler(complained_to)
            sockets.close()
            if peers is not None:
                peers.close()

    async def _serve(
        self,
        sockets: Sockets,
        urls: tuple[str, str],
        stop: asyncio.Event,
        ready: Callable[[str], None] | None,
    ) -> None:
        """Serve until ``stop`` is set or a task fails."""
        servers = [
            await self._loop.create_server(self._new_connection, sock=sock) for sock in sockets.tcp
        ]
        if sockets.unix is not None:
            servers.append(
                await self._loop.create_unix_server(self._new_connection, sock=sockets.unix)
            )
        for sock in sockets:
            sock.listen(BACKLOG)  # what asyncio takes is also how many it accepts at a time
        self._last_sweep_s = self._loop.time()
        sweep = self._loop.create_task(self._sweep())
        stopped = self._loop.create_task(stop.wait())
        url, here = urls
        try:
            with ExitStack() as files:
                files.callback(sockets.remove_file)  # while we still listen, so that it is ours
                if (path := path_of(self._store)) is not None:
                    files.enter_context(
                        announced(
                            path,
                            here,
                            needs_token=self._access.needs_token,
                            token=self._access.own_token,
                        )
                    )
                _log.info("listening", extra={"url": url, "store": self._store.where})
                if ready is not None:
                    ready(url)
                self._periodic.start()
                ends: list[asyncio.Future[Any]] = [stopped, sweep, self.feed.failed]
                done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for end in done:
                end.result()
        finally:
            stopped.cancel()
            sweep.cancel()
            await self._stop_accepting(sockets)
            for server in servers:
                server.close()
            self._admission.close()
            tasks = [*self._tasks, *([self._opening] if self._opening is not None else [])]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.gather(
                self._close_connections(),
                self._http.stop(),
                self.feed.close(),
                self._periodic.stop(),
            )
            for server in servers:
                await server.wait_closed()
            _log.info("stopped", extra={"sessions": len(self._sessions)})

    def _urls(self, host: str | None, unix: str | None, sockets: Sockets) -> tuple[str, str]:
        """Return the hub's URL, and the URL that clients on this machine use."""
        if host is None:
            url = hub_url(f"unix:{unix}:{self._path}")
            return url, url
        port = sockets.tcp[0].getsockname()[1]
        return self._url(host, port), self._url(_LOOPBACK_OF.get(host, host), port)

    def _url(self, host: str, port: int) -> str:
        scheme = "wss" if self._tls is not None else "ws"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}{self._path}"

    async def _stop_accepting(self, sockets: Iterable[socket.socket]) -> None:
        """Stop accepting; let connections that were just accepted get their transport first.

        Before Python 3.12 asyncio loses them. A connection gets its transport one turn of the loop
        after it was accepted. If the server is closed by then, an assertion fails and the
        connection stays open until it is garbage-collected.
        """
        for sock in sockets:
            self._loop.remove_reader(sock.fileno())
        for _ in range(3):
            await asyncio.sleep(0)

    async def _close_connections(self) -> None:
        """Close connections in an orderly way, then abort those that do not answer."""
        spread_s = 0.3 + len(self._connections) / _RECONNECTS_PER_S
        for connection in list(self._connections):
            back_s = random.uniform(0.1, spread_s)
            connection.send_close_frame(
                CLOSE_GOING_AWAY, close_reason_with_retry("the hub goes away", back_s)
            )
        await self._until_all_are_lost(CLOSE_TIMEOUT_S)
        for connection in list(self._connections):
            connection.abort()
        await self._until_all_are_lost(None)

    async def _until_all_are_lost(self, timeout_s: float | None) -> None:
        if self._connections:
            self._all_lost = self._loop.create_future()
            await asyncio.wait([self._all_lost], timeout=timeout_s)

    # -- connections ------------------------------------------------------------------------

    def _count_connections(self) -> int:
        return len(self._connections) + self._http.open_connections()

    def _new_connection(self) -> RequestHeadReader:
        return RequestHeadReader(self._choose, self._admission)

    def _choose(self, head: bytes, transport: asyncio.Transport) -> asyncio.Protocol:
        """Return the protocol that takes over once the head of the request has arrived."""
        uid = self._uid_of(transport)
        if not is_upgrade(head):
            return self._http.new_connection(uid)
        return HubConnection(self, self._extensions, self._protocol_log, uid)

    def _uid_of(self, transport: asyncio.Transport) -> int | None:
        """Look up the user id of the peer: once a connection, and only if the policy needs it."""
        sock = transport.get_extra_info("socket")  # none if the connection was lost below TLS
        if self._peer_uid is None or self._access.needs_token or sock is None:
            return None
        return self._peer_uid(sock)

    def _log_loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Rate-limit asyncio's log about missing descriptors: it comes a hundred times a second."""
        error = context.get("exception")
        if not isinstance(error, OSError) or error.errno not in (errno.EMFILE, errno.ENFILE):
            loop.default_exception_handler(context)
        elif self._error_log_limit.allow("files", self._loop.time()) is not None:
            _log.error("cannot accept connections: %s; see 'ulimit -n'", error.strerror)

    # The next six methods are called by the connections: see `ConnectionEvents`.

    def connected(self, connection: HubConnection) -> None:
        self._connections.add(connection)

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
            self._fail_sessions((id,), error)
        if id in self.hub.sessions and self.hub.sessions[id].held:
            connection.hold()
            self._held.append(connection)
            self._open_soon()

    def stalled(self, connection: HubConnection) -> None:
        self.hub.stall(connection.session_id)

    def recovered(self, connection: HubConnection) -> None:
        self.hub.recover(connection.session_id)
        self._pump_soon()

    def lost(self, connection: HubConnection) -> None:
        self._connections.discard(connection)
        if self._all_lost is not None and not self._connections and not self._all_lost.done():
            self._all_lost.set_result(None)
        id = connection.session_id
        if self._sessions.pop(id, None) is None:
            return
        self.hub.close(id)
        if _log.isEnabledFor(logging.INFO):
            code, reason = connection.closed_by
            extra = self._log_fields(id, peer=connection.peer, code=code, reason=reason)
            _log.info("close", extra=extra)
        if not self._sessions and self.feed.active:
            self.feed.stop()
            _log.info("unsubscribed", extra={"store": self._store.where, "sessions": 0})

    async def _answer(self, connection: HubConnection, opening: Opening) -> None:
        """Answer the handshake, and start the session of a client that may read.

        It waits only for a token, so `requested` runs it without its own task.
        """
        try:
            refused = await self._process_request(connection, opening)
            if refused is None and self._admission.closed:
                unavailable = http.HTTPStatus.SERVICE_UNAVAILABLE
                refused = refusal(unavailable, "the hub goes away; come back\n")
            # A client without a token learns from the header that it has to send one first.
            more = [(FIRST_MESSAGE_HEADER, "jobs:auth")] if connection.rights is None else []
            connection.answer(opening, refused, more)
            if connection.is_open and connection.rights is None:
                await self._authenticate(connection)
            if connection.is_open and connection.rights is not None:  # it may be lost by now
                self._begin(connection)
        except Exception as error:
            self._fail(connection, error)

    async def _process_request(
        self, connection: HubConnection, opening: Opening
    ) -> Response | None:
        """Refuse a request before the handshake is answered, or note what it asks for."""
        peer = connection.peer
        url = urlsplit(opening.path)
        secure = connection.transport.get_extra_info("sslcontext") is not None
        access_request = AccessRequest(
            opening.headers, _host_of(peer), secure, url.query, connection.peer_uid
        )
        try:
            self._access.check_source(access_request)
            connection.rights = await self._access.authenticate(access_request)
        except AccessRefused as refused:
            self.record_refusal(refused, peer)
            response = refusal(http.HTTPStatus(refused.status), f"{refused}\n")
            response.headers.update(refused.headers)
            return response
        if url.path != self._path:
            return refusal(http.HTTPStatus.NOT_FOUND, f"nothing here; jobs are at {self._path}\n")
        try:
            connection.subscribe = parse_query(url.query)
        except (UsageError, ValueError) as error:
            return refusal(http.HTTPStatus.BAD_REQUEST, f"{error}\n")
        return None

    def _begin(self, connection: HubConnection) -> None:
        """Start the session of a client that may read; it opens after a read of the store."""
        connection.session_id = id = next(self._ids)
        self._sessions[id] = connection
        connection.opened_at = now()
        self.counts.opened[connection.dialect.value] += 1
        if _log.isEnabledFor(logging.INFO):
            _log.info("open", extra=self._log_fields(id, dialect=connection.dialect.value))
        if len(self._sessions) == 1:
            self.feed.start()
            _log.info("subscribed", extra={"store": self._store.where, "sessions": 1})
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
            except Exception as error:
                self._fail_sessions([one.session_id for one in (*waiting, *held)], error)
                continue
            for connection in held:
                self.hub.release(connection.session_id)
                connection.release()
            for connection in waiting:
                if connection.session_id in self._sessions:
                    try:
                        self._open(connection)
                    except Exception as error:
                        self._fail(connection, error)
            self._pump_or_fail()

    def _open(self, connection: HubConnection) -> None:
        subscribe = connection.subscribe
        self._count_start(subscribe.cursor, connection.cursor, subscribe.filter)
        self.hub.open(
            connection.session_id,
            connection.dialect,
            subscribe.cursor,
            subscribe.filter,
            digest=subscribe.digest,
            details=connection.details,
        )
        if connection.paused:
            self.hub.stall(connection.session_id)
        connection.release()

    async def _authenticate(self, connection: HubConnection) -> None:
        """Wait for the token in the first message, and set the rights that it grants.

        Close the connection if the token is wrong or late.
        """
        peer = connection.peer
        for oldest in self._unauthenticated.add(connection, self._loop.time()):
            oldest.send_close_frame(CLOSE_BUSY, "others come in; come back")
        try:
            first = connection.first_message()
            await asyncio.wait([first], timeout=_HANDSHAKE_S)
            if not first.done():
                raise TimeoutError
            said = parse_from_client(first.result())
            if not isinstance(said, Auth):
                raise unauthorized("a token is needed first")
            given = said.token.encode("utf-8", "replace")
            connection.rights = await self._access.check_token(given, _host_of(peer))
        except (TimeoutError, ProtocolError, AccessRefused) as error:
            refused = (
                error
                if isinstance(error, AccessRefused)
                else unauthorized(str(error) or "none came")
            )
            self.record_refusal(refused, peer)
            code = CLOSE_NO_TOKEN if refused.status == 401 else CLOSE_BUSY
            connection.send_close_frame(code, str(refused)[:100])
        except ConnectionError:
            pass  # the client hung up
        finally:
            self._unauthenticated.remove(connection)

    def record_refusal(self, refused: AccessRefused, peer: str) -> None:
        """Count and log a refused request.

        It is logged because the refusal may be a mistake in the configuration. The log is
        rate-limited.
        """
        self.counts.refused[refused.kind] += 1
        more = self._refusal_log_limit.allow(refused.kind, self._loop.time())
        if more is not None:
            said = {"reason": str(refused), "peer": peer, **({"more": more} if more else {})}
            _log.warning("refused", extra=said)

    def _record_too_many(self) -> None:
        most = self._admission.max_connections
        text = f"{most} connections are the most: 'jobctl serve --max-connections N' has more"
        self.record_refusal(AccessRefused(503, "full", text), "?")

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
        answer = self.hub.receive(id, message)
        if answer is None:
            if self.hub.has_work:
                self._pump_soon()
        elif self.hub.sessions[id].writable:
            connection.write_frames(text_frame(answer))

    def _log_fields(self, id: int, **more: object) -> dict[str, object]:
        """Return the fields of every log event about a session."""
        connection = self._sessions.get(id)
        peer = connection.peer if connection is not None else ""
        return {"session": id, "peer": peer, "sessions": len(self._sessions), **more}

    # -- writing ----------------------------------------------------------------------------

    def _pump(self) -> None:
        """Write the next page to every session that is ready for it."""
        if self._pump_handle is not None:
            self._pump_handle.cancel()
            self._pump_handle = None
        wrote = False
        for outgoing in self.hub.pump():
            if outgoing.error is not None:
                self._fail_sessions(outgoing.sessions, outgoing.error)
                continue
            wrote = True
            count = len(outgoing.sessions)
            self.counts.deltas += len(outgoing.messages) * count
            made = outgoing.made
            if "plain" not in made:
                made["plain"] = b"".join(map(text_frame, outgoing.messages))
            plain = made["plain"]
            self.counts.plain_bytes += len(plain) * count
            for id in outgoing.sessions:
                try:
                    connection = self._sessions[id]
                    frames = plain
                    if connection.deflates:
                        # Compressed once for all: the frame depends on no earlier message.
                        if "deflated" not in made:
                            made["deflated"] = b"".join(map(deflated_frame, outgoing.messages))
                        frames = made["deflated"]
                    connection.write_frames(frames)
                    self.counts.bytes += len(frames)
                except Exception as error:
                    self._fail_sessions((id,), error)
        if wrote:
            self._pump_soon()  # for sessions with more pages, after other tasks have run

    def _pump_soon(self) -> None:
        if self._pump_handle is None:
            self._pump_handle = self._loop.call_soon(self._pump_or_fail)

    def _pump_or_fail(self) -> None:
        try:
            self._pump()
        except Exception as error:
            self.feed.fail(error)

    def _fail_sessions(self, ids: Iterable[int], error: Exception) -> None:
        """Close these sessions after an error; their clients reconnect with their cursors."""
        for id in ids:
            connection = self._sessions.get(id)
            if connection is not None:
                self._fail(connection, error)

    def _fail(self, connection: HubConnection, error: Exception) -> None:
        """Close a connection after a defect of the hub, and log the defect."""
        self.counts.failures += 1
        extra = self._log_fields(connection.session_id, peer=connection.peer)
        _log.error("session failed", exc_info=error, extra=extra)
        self._dismiss(connection, CLOSE_SESSION_FAILED, "the session failed; come back")

    def _dismiss(self, connection: HubConnection, code: int, reason: str) -> None:
        """Close the session and its connection now, with this code."""
        self.hub.close(connection.session_id)
        connection.send_close_frame(code, reason)

    async def _sweep(self) -> None:
        """Ping quiet connections and abort silent ones.

        If this task itself runs late, all connections get more time: the silence was ours.
        """
        sends_positions = False
        while True:
            await asyncio.sleep(_SWEEP_S)
            now_s = self._loop.time()
            late_s = self._loop_delay_s = max(0.0, now_s - self._last_sweep_s - _SWEEP_S)
            self.counts.loop_lag.add(late_s)
            we_slept = late_s > _SWEEP_S
            self._last_sweep_s = now_s
            self._http.sweep(now_s, LIVENESS_TIMEOUT_S)
            sends_positions = not sends_positions
            if sends_positions and self.hub.queue_position_updates():
                self._pump_soon()
            for connection in list(self._connections):
                if we_slept:
                    connection.last_seen_s = now_s
                elif connection.silent_s() >= LIVENESS_TIMEOUT_S:
                    _log.info("silent", extra=self._log_fields(connection.session_id))
                    connection.abort()
                else:
                    connection.ping_if_quiet(_PING_AFTER_S)

    # -- state for HTTP and metrics ---------------------------------------------------------

    async def refresh(self) -> None:
        """Update the hub's replica from the store.

        While there are sessions, it is up to date anyway.
        """
        if self.feed.active and self.hub.loaded:
            return
        dead = await self.feed.dead()  # before the read, which then has everything that they wrote
        if not await self.feed.read_now():
            raise StoreError(self.feed.last_error or f"{self._store.where} cannot be read now")
        self.hub.set_dead_owners(dead)

    def failing_part(self) -> str:
        """Return the failing part and its problem (``store: …``), or an empty string."""
        if self.feed.failed.done():
            return f"task: it has died: {self.feed.failed.exception()}"
        if self.feed.last_error:
            return f"store: {self.feed.last_error}"
        if (read_s := self.feed.reading_s()) > _MAX_READ_S:
            return f"store: a read has taken {read_s:.0f} s so far"
        late_s = max(self._loop_delay_s, self._loop.time() - self._last_sweep_s - _SWEEP_S)
        return f"loop: {late_s:.1f} s late" if late_s > _MAX_LOOP_DELAY_S else ""

    def clients(self) -> list[dict[str, Any]]:
        """Return the sessions as JSON objects, oldest first."""
        rows = []
        for id, connection in self._sessions.items():
            session = self.hub.sessions.get(id)
            if session is None:
                continue
            session_progress = self.hub.session_progress(id)
            rows.append(
                {
                    "id": id,
                    "peer": connection.peer,
                    "dialect": session.dialect.value,
                    "filter": session.filter.to_wire(),
                    "openedAt": connection.opened_at,
                    "sent": session_progress.sent,
                    "acked": session_progress.acked,
                    "lagRevisions": session_progress.lag_revisions,
                    "lagJobs": session_progress.lag_jobs,
                    "stalled": not session.writable,
                    "compressed": connection.deflates,
                    "bytes": connection.sent_bytes,
                }
            )
        return rows

    async def metrics(self) -> bytes:
        """Return the metrics in Prometheus' text format."""
        with suppress(StoreError, OSError):
            self._bad_files = len(await self.feed.bad())
        self.counts.rings, self.counts.reads = self.feed.rings, self.feed.reads
        return self._exporter.text()

    def connections(self) -> dict[str, int]:
        """Return the number of connections by state."""
        return {
            "opening": len(self._admission.pending) + len(self._connections) - len(self._sessions),
            "session": len(self._sessions),
            "http": self._http.open_connections(),
        }

    def sessions(self) -> dict[str, int]:
        """Return the number of sessions by dialect."""
        found = Counter(session.dialect.value for session in self.hub.sessions.values())
        return {dialect.value: found[dialect.value] for dialect in Dialect}

    def jobs(self) -> dict[str, int]:
        """Return the number of jobs by state."""
        found = Counter("active" if job.active else job.stage for job in self.hub.replica)
        return {state: found[state] for state in ("active", "completed", "failed")}

    def lags(self) -> list[int]:
        """Return for each session how many revisions it lags behind."""
        return [self.hub.session_progress(id).lag_revisions for id in self.hub.sessions]

    def quarantined(self) -> int:
        """Return the number of files in quarantine at the last read."""
        return self._bad_files

    def revision(self) -> int:
        """Return the newest revision of the replica."""
        return self.hub.replica.revision


def _host_of(peer: str) -> str:
    return peer.rpartition(":")[0] or peer


def _quiet_logger() -> logging.Logger:
    """Return a silent logger: websockets logs every failed handshake with a traceback."""
    logger = logging.getLogger("jobctl.websockets")
    logger.setLevel(logging.CRITICAL)
    return logger
