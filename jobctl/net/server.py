"""The hub on a port: ``/ws/jobs``, for both dialects.

The shell around hub.py: it accepts, reads the store when the bell rings (feed.py), writes what the
hub says, tells it who stalls and recovers, and sweeps away the silent.
"""

from __future__ import annotations

import asyncio
import errno
import http
import itertools
import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from typing import Any, cast
from urllib.parse import urlsplit

from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as websockets_serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.typing import Subprotocol

from jobctl.errors import AddressInUse, HubError, ProtocolError, UsageError
from jobctl.hub import Hub
from jobctl.net.connection import HubConnection, text_frame
from jobctl.net.discovery import announced
from jobctl.net.feed import Feed
from jobctl.net.housekeeping import Chore, Housekeeping
from jobctl.net.origin import Doorkeeper
from jobctl.protocol import (
    CLOSE_BAD_MESSAGE,
    CLOSE_GOING_AWAY,
    CLOSE_SESSION_FAILED,
    MAX_FROM_CLIENT,
    SUBPROTOCOL,
    Dialect,
    parse_query,
)
from jobctl.stores import Store

__all__ = ["DEFAULT_PATH", "DEFAULT_PORT", "SILENCE_S", "HubServer", "serve"]

DEFAULT_PORT = 8765
DEFAULT_PATH = "/ws/jobs"
SILENCE_S = 18.0
"""A peer that has given no sign of life for this long is cut; with the sweep, within 20 s."""

_SWEEP_S = 2.0
_QUIET_S = 6.0
_GOODBYE_S = 1.0  # for peers to answer our close frame
_HANDSHAKE_S = 8.0

_log = logging.getLogger("jobctl.hub")


async def serve(
    store: Store,
    *,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    path: str = DEFAULT_PATH,
    watch_files: bool = True,
    allow_hosts: Iterable[str] = (),
    allow_origins: Iterable[str] = (),
    chores: Iterable[Chore] = (),
    stop: asyncio.Event,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve the store until ``stop`` is set, and then be gone within 3 s.

    ``ready`` is called with the hub's URL once it listens; ``port`` 0 takes a free one. ``chores``
    are done meanwhile (see housekeeping.py). Raises `AddressInUse` and `HubError` for an address
    that cannot be bound.
    """
    keeper = Doorkeeper(host, allow_hosts=allow_hosts, allow_origins=allow_origins)
    server = HubServer(store, keeper, path=path, watch_files=watch_files, chores=chores)
    await server.run(host, port, stop, ready)


class HubServer:
    """One hub on one port."""

    def __init__(
        self,
        store: Store,
        keeper: Doorkeeper,
        *,
        path: str,
        watch_files: bool,
        chores: Iterable[Chore] = (),
    ) -> None:
        self._store = store
        self._keeper = keeper
        self._path = path
        self._loop = asyncio.get_running_loop()
        self.hub = Hub()
        self.feed = Feed(store, self.hub, self._pump, watch_files=watch_files)
        self._housekeeping = Housekeeping(chores)
        self._sessions: dict[int, HubConnection] = {}
        self._connections: set[HubConnection] = set()
        self._ids = itertools.count(1)
        self._pump_handle: asyncio.Handle | None = None

    async def run(
        self,
        host: str,
        port: int,
        stop: asyncio.Event,
        ready: Callable[[str], None] | None = None,
    ) -> None:
        """Listen until ``stop`` is set or a task of ours fails, which is raised."""
        try:
            server = await websockets_serve(
                self._handle,
                host,
                port,
                create_connection=cast("type[ServerConnection]", self._connection),
                process_request=self._process_request,
                select_subprotocol=_select_subprotocol,
                compression=None,
                ping_interval=None,
                close_timeout=_GOODBYE_S,
                open_timeout=_HANDSHAKE_S,
                max_size=MAX_FROM_CLIENT,
                max_queue=4,
                write_limit=(0, 0),
                server_header=None,
                logger=_quiet_logger(),
            )
        except OSError as error:
            await self.feed.close()
            if error.errno == errno.EADDRINUSE:
                raise AddressInUse(host, port) from error
            raise HubError(
                f"cannot listen on {host}:{port}: {error.strerror or error}",
                url=f"{host}:{port}",
                hint="choose another address with --host and --port",
            ) from error
        sweep = self._loop.create_task(self._sweep())
        stopped = self._loop.create_task(stop.wait())
        try:
            with ExitStack() as stack:
                port = next(iter(server.sockets)).getsockname()[1]
                url = f"ws://{f'[{host}]' if ':' in host else host}:{port}{self._path}"
                if self._store.path is not None:
                    stack.enter_context(announced(self._store.path, url))
                _log.info("listening", extra={"url": url, "store": self._store.where})
                if ready is not None:
                    ready(url)
                self._housekeeping.start()
                ends: list[asyncio.Future[Any]] = [stopped, sweep, self.feed.failed]
                done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for end in done:
                end.result()
        finally:
            stopped.cancel()
            sweep.cancel()
            server.close(close_connections=False)
            await asyncio.gather(self._say_goodbye(), self.feed.close(), self._housekeeping.stop())
            await server.wait_closed()
            _log.info("stopped", extra={"sessions": len(self._sessions)})

    async def _say_goodbye(self) -> None:
        """Close all that answer, then cut the rest: a paused peer would hold us for ever."""
        for connection in list(self._connections):
            connection.say_goodbye(CLOSE_GOING_AWAY, "the hub goes away; come back")
        lost = [connection.connection_lost_waiter for connection in self._connections]
        if lost:
            await asyncio.wait(lost, timeout=_GOODBYE_S)
        for connection in list(self._connections):
            connection.transport.abort()
        if lost:
            await asyncio.wait(lost)

    # -- connections ------------------------------------------------------------------------

    def _connection(self, *args: Any, **options: Any) -> HubConnection:
        connection = HubConnection(*args, **options)
        connection.on_made = self._connections.add  # not before: it has no transport yet
        connection.connection_lost_waiter.add_done_callback(
            lambda _: self._connections.discard(connection)
        )
        return connection

    def _process_request(self, connection: ServerConnection, request: Request) -> Response | None:
        """Refuse what must not pass, before anything is answered."""
        assert isinstance(connection, HubConnection), "we create them"
        hosts = request.headers.get_all("Host")
        refusal = self._keeper.refusal(
            hosts[0] if len(hosts) == 1 else None, request.headers.get_all("Origin")
        )
        if refusal is not None:
            _log.warning("refused", extra={"reason": refusal, "peer": _peer(connection)})
            return connection.respond(http.HTTPStatus.FORBIDDEN, f"{refusal}\n")
        url = urlsplit(request.path)
        if url.path != self._path:
            return connection.respond(
                http.HTTPStatus.NOT_FOUND, f"nothing here; jobs are at {self._path}\n"
            )
        try:
            connection.subscribe = parse_query(url.query)
        except (UsageError, ValueError) as error:
            return connection.respond(http.HTTPStatus.BAD_REQUEST, f"{error}\n")
        return None

    async def _handle(self, connection: ServerConnection) -> None:
        assert isinstance(connection, HubConnection), "we create them"
        subscribe = connection.subscribe
        id = next(self._ids)
        dialect = Dialect.V1 if connection.subprotocol == SUBPROTOCOL else Dialect.PLAIN
        self._sessions[id] = connection
        connection.forget_handshake()
        _log.info("open", extra=self._about(id, dialect=dialect.value))
        try:
            if len(self._sessions) == 1:
                self.feed.start()
                _log.info("subscribed", extra={"store": self._store.where, "sessions": 1})
            await self.feed.first_look()
            if self.hub.is_ahead(subscribe.cursor):
                await self.feed.look()
            connection.session_id = id
            connection.on_stall = self.hub.stall
            connection.on_recover = self._recover
            self.hub.open(id, dialect, subscribe.cursor, subscribe.filter)
            self._pump_soon()
            async for message in connection:
                self._receive(id, connection, message)
                if id in self.hub.sessions and self.hub.sessions[id].held:
                    await self.feed.look()
                    self.hub.release(id)
                    self._pump_soon()
        except ConnectionClosed:
            pass
        except ProtocolError as error:
            connection.say_goodbye(CLOSE_BAD_MESSAGE, str(error)[:100])
        except Exception:
            _log.exception("session failed", extra=self._about(id))
            connection.say_goodbye(CLOSE_SESSION_FAILED, "the session failed; come back")
        finally:
            self.hub.close(id)
            self._sessions.pop(id, None)
            code, reason = connection.close_code, connection.close_reason
            _log.info("close", extra=self._about(id, code=code, reason=reason))
            if not self._sessions and self.feed.active:
                self.feed.stop()
                _log.info("unsubscribed", extra={"store": self._store.where, "sessions": 0})

    def _receive(self, id: int, connection: HubConnection, message: str | bytes) -> None:
        if id not in self.hub.sessions:
            return  # it broke, and has not heard of it yet
        answer = self.hub.receive(id, message)
        if answer is None:
            self._pump_soon()
        elif self.hub.sessions[id].writable:
            connection.write_frames(text_frame(answer))

    def _about(self, id: int, **more: object) -> dict[str, object]:
        """What every log event of a session says."""
        connection = self._sessions.get(id)
        peer = _peer(connection) if connection is not None else ""
        return {"session": id, "peer": peer, "sessions": len(self._sessions), **more}

    # -- writing ----------------------------------------------------------------------------

    def _pump(self) -> None:
        """Write the next page of every session that can take it."""
        if self._pump_handle is not None:
            self._pump_handle.cancel()
            self._pump_handle = None
        wrote = False
        for sending in self.hub.pump():
            if sending.error is not None:
                self._break(sending.sessions, sending.error)
                continue
            wrote = True
            frames = b"".join([text_frame(message) for message in sending.messages])
            for id in sending.sessions:
                try:
                    self._sessions[id].write_frames(frames)
                except Exception as error:
                    self._break((id,), error)
        if wrote:
            self._pump_soon()  # for those with more to come, after the others had their turn

    def _pump_soon(self) -> None:
        if self._pump_handle is None:
            self._pump_handle = self._loop.call_soon(self._pump_or_fail)

    def _pump_or_fail(self) -> None:
        try:
            self._pump()
        except Exception as error:
            self.feed.fail(error)

    def _recover(self, id: int) -> None:
        self.hub.recover(id)
        self._pump_soon()

    def _break(self, ids: Iterable[int], error: Exception) -> None:
        """Give up these sessions; the others go on. Their clients come back with their cursors."""
        for id in ids:
            _log.error("session failed", exc_info=error, extra=self._about(id))
            self.hub.close(id)
            connection = self._sessions.get(id)
            if connection is not None:
                connection.say_goodbye(CLOSE_SESSION_FAILED, "the session failed; come back")

    async def _sweep(self) -> None:
        """Ping the quiet, cut the silent. A sweep that comes late accuses nobody: it was we."""
        swept_s = self._loop.time()
        while True:
            await asyncio.sleep(_SWEEP_S)
            now_s = self._loop.time()
            we_slept = now_s - swept_s > 2 * _SWEEP_S
            swept_s = now_s
            for connection in list(self._connections):
                if we_slept:
                    connection.heard_s = now_s
                elif connection.silent_s() >= SILENCE_S:
                    _log.info("silent", extra=self._about(connection.session_id))
                    connection.transport.abort()
                elif connection.protocol.state is State.OPEN:
                    connection.ping_if_quiet(_QUIET_S)


def _select_subprotocol(
    connection: ServerConnection, offered: Sequence[Subprotocol]
) -> Subprotocol | None:
    """Ours for who asks for it, none for everybody else."""
    return Subprotocol(SUBPROTOCOL) if SUBPROTOCOL in offered else None


def _peer(connection: ServerConnection) -> str:
    with suppress(Exception):
        host, port = connection.remote_address[:2]
        return f"{host}:{port}"
    return "?"


def _quiet_logger() -> logging.Logger:
    """websockets logs each failed handshake with its traceback: ours says what matters."""
    logger = logging.getLogger("jobctl.websockets")
    logger.setLevel(logging.CRITICAL)
    return logger
