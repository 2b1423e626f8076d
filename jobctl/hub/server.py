"""The hub on a port or a Unix socket: ``/ws/jobs`` in both dialects, and HTTP.

This is the shell around sessions.py. It binds the address, lets connections in (admission.py), has
them served (clients.py, http.py), and stops in an orderly way.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any

from jobctl.core.pipeline import BUILT_IN_ONLY, Pipelines
from jobctl.hub.access import AccessPolicy
from jobctl.hub.address import DEFAULT_PATH, hub_url
from jobctl.hub.admission import AdmissionControl, RequestHeadReader, is_upgrade
from jobctl.hub.authentication import Authentication, Refusals
from jobctl.hub.certificates import ServerCertificate
from jobctl.hub.clients import Clients
from jobctl.hub.control import Control
from jobctl.hub.discovery import announced
from jobctl.hub.http import HttpApi
from jobctl.hub.last_served import NOTHING_SERVED, LastServed
from jobctl.hub.listen import BACKLOG, Sockets, listen
from jobctl.hub.liveness import Liveness
from jobctl.hub.log_api import LogApi
from jobctl.hub.log_limit import LastingProblem, RecurringProblem
from jobctl.hub.metrics import Counts
from jobctl.hub.peers import PeerUid, PeerUids
from jobctl.hub.periodic import PeriodicTask, PeriodicTasks
from jobctl.hub.sessions import Hub
from jobctl.hub.status import HubStatus
from jobctl.stores import Store, path_of

__all__ = [
    "DEFAULT_PATH",
    "DEFAULT_PORT",
    "LOOPBACK_OF",
    "MAX_CONNECTIONS",
    "HubServer",
    "serve",
]

DEFAULT_PORT = 8765
MAX_CONNECTIONS = 10_000
"""Default connection limit, for all kinds of connections together."""

LOOPBACK_OF = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104
"""Under which address this machine reaches a hub that listens on all addresses."""

_AWAY_S = 600.0  # so long after its start the clients of an earlier hub come back

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
    tls: ssl.SSLContext | ServerCertificate | None = None,
    max_connections: int = MAX_CONNECTIONS,
    compression: bool = True,
    periodic_tasks: Iterable[PeriodicTask] = (),
    pipelines: Pipelines = BUILT_IN_ONLY,
    read_only: bool = False,
    session_url: str | None = None,
    stop: asyncio.Event,
    ready: Callable[[str], None] | None = None,
    sockets: Sockets | None = None,
) -> None:
    """Serve the store until ``stop`` is set, and then be gone within 3 s.

    ``port`` 0 takes a free one. ``unix`` is the path of a Unix socket to listen on as well, or
    alone with ``host`` ``None``. ``ready`` is called with the hub's URL once it listens: that of
    the port, if there is one. ``periodic_tasks`` are done meanwhile (see periodic.py). ``base`` is
    the path under which a proxy shows the hub, and ``access`` the access policy; by default for
    this user alone. ``tls`` is a context, or a certificate that follows its files. The page shows
    job types as ``pipelines`` has them. A ``read_only`` hub offers nothing that changes a job: it
    says so in each response, by the header ``Jobctl-Read-Only``, and on its page. ``session_url``
    is the template of the page's links to sessions (see config.py).

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
        read_only=read_only,
        session_url=session_url,
    )
    await server.run(host, port, stop, ready, unix=unix, sockets=sockets)


class HubServer:
    """One hub on one port, or one Unix socket, or both: its parts, and how it starts and stops.

    ``peer_uid`` looks up the user id of a connection's peer; the default is that of peers.py.
    """

    def __init__(
        self,
        store: Store,
        access: AccessPolicy,
        *,
        path: str,
        base: str = "",
        tls: ssl.SSLContext | ServerCertificate | None = None,
        max_connections: int = MAX_CONNECTIONS,
        compression: bool = True,
        watch_files: bool,
        periodic_tasks: Iterable[PeriodicTask] = (),
        pipelines: Pipelines = BUILT_IN_ONLY,
        read_only: bool = False,
        session_url: str | None = None,
        peer_uid: PeerUid | None = None,
    ) -> None:
        self._peer_uid = peer_uid
        self._store = store
        self._access = access
        self._path = base + path
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        again = "connections are accepted again"
        self._files_problem = RecurringProblem(LastingProblem(_log, again, level=logging.ERROR))
        self._full_problem = RecurringProblem(LastingProblem(_log, again))
        self.counts = Counts()
        self.hub = Hub()
        self._refusals = Refusals(self.counts)
        self._admission = AdmissionControl(
            max_connections, self._count_connections, tls=tls, on_refusal=self._refuse_one_too_many
        )
        self._authentication = Authentication(
            access, self._refusals, path=self._path, max_pending=self._admission.max_pending
        )
        directory = path_of(store)
        self._served = LastServed(directory) if directory is not None else None
        self._control = Control(store, access, self.counts, pipelines, read_only=read_only)
        self.clients = Clients(
            store,
            self.hub,
            self.counts,
            self._authentication,
            self._control,
            compression=compression,
            watch_files=watch_files,
            served=self._served,
        )
        self.feed = self.clients.feed
        self.status = HubStatus(
            store.where,
            self.clients,
            self._admission,
            self._refusals,
            http_connections=lambda: self._http.open_connections(),
            loop_delay_s=lambda: self._liveness.loop_delay_s(),
            pipelines=pipelines,
        )
        self._http: HttpApi = HttpApi(
            self.status,
            access,
            base=base,
            socket_path=path,
            logs=LogApi(store),
            control=self._control,
            pipelines=pipelines,
            read_only=read_only,
            place=store.where,
            session_url=session_url,
        )
        self._liveness: Liveness = Liveness(self.clients, self._http, access)
        own_tasks = [tls.task()] if isinstance(tls, ServerCertificate) else []
        self._periodic = PeriodicTasks([*periodic_tasks, *own_tasks])

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
            self._files_problem.close()
            self._full_problem.close()
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
        away_over = self._tell_what_ended_before()
        sweep = self._loop.create_task(self._liveness.run())
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
            if away_over is not None:
                away_over.cancel()
            self.clients.record_served()
            await self._stop_accepting(sockets)
            for server in servers:
                server.close()
            self._admission.close()
            self._control.close()
            await self.clients.stop_opening()
            await asyncio.gather(
                self.clients.close(),
                self._http.stop(),
                self.feed.close(),
                self._periodic.stop(),
            )
            for server in servers:
                await server.wait_closed()
            _log.info("stopped", extra={"sessions": len(self.clients.by_session)})

    def _tell_what_ended_before(self) -> asyncio.TimerHandle | None:
        """Tell plain clients that come soon what ended after an earlier hub was gone.

        They come back to us without a cursor, with jobs on their pages that may have ended.
        """
        if self._served is None:
            return None
        self.hub.set_served_before(*self._served.read())
        return self._loop.call_later(_AWAY_S, self.hub.set_served_before, *NOTHING_SERVED)

    def _urls(self, host: str | None, unix: str | None, sockets: Sockets) -> tuple[str, str]:
        """Return the hub's URL, and the URL that clients on this machine use."""
        if host is None:
            url = hub_url(f"unix:{unix}:{self._path}")
            return url, url
        port = sockets.tcp[0].getsockname()[1]
        return self._url(host, port), self._url(LOOPBACK_OF.get(host, host), port)

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

    # -- connections ------------------------------------------------------------------------

    def _count_connections(self) -> int:
        return len(self.clients.open) + self._http.open_connections()

    def _new_connection(self) -> RequestHeadReader:
        return RequestHeadReader(self._choose, self._admission)

    def _choose(self, head: bytes, transport: asyncio.Transport) -> asyncio.Protocol:
        """Return the protocol that takes over once the head of the request has arrived."""
        uid = self._uid_of(transport)
        if not is_upgrade(head):
            return self._http.new_connection(uid)
        return self.clients.new_connection(uid)

    def _uid_of(self, transport: asyncio.Transport) -> int | None:
        """Look up the user id of the peer: once a connection, and only if the policy needs it."""
        sock = transport.get_extra_info("socket")  # none if the connection was lost below TLS
        if self._peer_uid is None or self._access.needs_token or sock is None:
            return None
        return self._peer_uid(sock)

    def _refuse_one_too_many(self) -> None:
        self._authentication.make_room()
        most = self._admission.max_connections
        text = (
            f"{most} connections are the most: 'jobctl serve --max-connections {2 * most}' has more"
        )
        self.counts.refused["full"] += 1
        self._full_problem.report(f"connections are refused: {text}")

    def _log_loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log missing descriptors once: asyncio reports them a hundred times a second."""
        error = context.get("exception")
        if not isinstance(error, OSError) or error.errno not in (errno.EMFILE, errno.ENFILE):
            loop.default_exception_handler(context)
        else:
            self._files_problem.report(
                f"cannot accept connections: {error.strerror}; see 'ulimit -n'"
            )
