"""The HTTP side of the hub: dashboard, health, metrics, and the jobs as JSON.

Every response is small or paged, so that no request blocks the hub. The access policy is the same
as for WebSockets and is applied in one place: `_middleware`.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import logging
import math
import re
import zlib
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any, Protocol
from urllib.parse import parse_qs, urlencode

from aiohttp import HttpVersion11, web

from jobctl._clock import now_ms
from jobctl._version import __version__
from jobctl.core.acts import (
    BUSY,
    CONFLICT,
    FORBIDDEN,
    GONE,
    INVALID,
    READ_ONLY,
    RIGHT_OF,
    UNSUPPORTED,
)
from jobctl.core.cursor import ZERO, Cursor, epoch_for, store_cursor
from jobctl.core.filters import EVERYTHING
from jobctl.core.pipeline import BUILT_IN_ONLY, Pipelines
from jobctl.core.protocol import (
    HUB_HEADERS,
    MAX_FROM_CLIENT,
    Subscribe,
    json_object,
    parse_query,
)
from jobctl.core.schedule import Overdue
from jobctl.errors import (
    InvalidCursor,
    InvalidId,
    JobctlError,
    JobNotFound,
    LogNotFound,
    ProtocolError,
    StoreError,
    UsageError,
)
from jobctl.hub.access import AccessPolicy, AccessRefused, AccessRequest
from jobctl.hub.connection import unsent_bytes
from jobctl.hub.control import Control, Route
from jobctl.hub.cross_origin import cross_origin_headers, is_preflight, preflight_headers
from jobctl.hub.handshake import UPGRADE_REQUIRED
from jobctl.hub.log_api import LOG_KEYS, LogApi, LogQuery
from jobctl.hub.log_limit import LastingProblem
from jobctl.hub.metrics import Counts
from jobctl.hub.rights import Grant, Way
from jobctl.hub.sessions import Hub
from jobctl.page import CLIENT_FILES, DASHBOARD_FILES, asset, files_digest, modules_of

__all__ = ["HttpApi", "ServerState", "grant_of"]

_STORE_TIMEOUT_S = 5.0
_BODY_S = 5.0
_IDLE_S = 2.0  # the whole head has been read already
_JOBS_KEYS = ("active", "fields", "id", "label", "limit", "session", "since", "stage", "type")
_MAX_JOBS = 1000  # in a response
_LIMIT = re.compile(r"[0-9]{1,9}")  # int() refuses thousands of digits
_MAX_RESPONSE = 256 * 1024  # bytes of jobs in a response
_MAX_EXAMINED = 20_000  # jobs examined in one turn of the loop: about 20 ms
_RETRY_LATER = {"Retry-After": "2"}
_SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}
_CONTENT_TYPES = {".js": "text/javascript", ".css": "text/css"}
_STYLE = re.compile("<style>(.*?)</style>", re.DOTALL)
_VIEW = re.compile(r"/(?:jobs/[A-Za-z0-9._~%-]+/?)?(?:\?[!-~]{0,2000})?")
"""The address of a view of the dashboard, without the base path."""
_AUTHORITY = re.compile(r"[A-Za-z0-9._:\[\]-]+")
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
READ_ONLY_HEADER = {"Jobctl-Read-Only": "1"}
"""Of each response of a hub that offers nothing that changes a job."""
_OF_ALL_JOBS = ("/metrics", "/api/clients", "/api/overdue")
"""What is about all jobs is not for a client that may see only some of them."""
_ALL_JOBS_ONLY = "this is about all jobs, and the token is limited to some of them"
_STATUS_OF = {
    "done": 200, FORBIDDEN: 403, CONFLICT: 409, GONE: 404, INVALID: 400, READ_ONLY: 403, BUSY: 503,
    UNSUPPORTED: 422,
}  # fmt: skip
_SIGN_IN = ("/login", "/login.js")
_FILES = ("index.html", "login.html", "login.js", *CLIENT_FILES, *DASHBOARD_FILES)
_SCRIPTS = ("/login.js", *(f"/{name}" for name in (*CLIENT_FILES, *DASHBOARD_FILES)))
"""The same for everybody, and without anything about jobs. A page's ``import`` sends no token."""

_log = logging.getLogger("jobctl.hub")


class ServerState(Protocol):
    """What the HTTP side reads from the server."""

    hub: Hub
    counts: Counts

    async def refresh(self) -> None:
        """Update the hub's replica from the store; raise `JobctlError` if that fails."""

    def failing_part(self) -> str:
        """Return the failing part of the hub, or an empty string when it is healthy."""

    def clients(self) -> list[dict[str, Any]]:
        """Return the sessions as JSON objects."""

    async def overdue(self) -> list[Overdue]:
        """Return the types that have not succeeded in time."""

    async def metrics(self, accept: str) -> tuple[bytes, str]:
        """Return the metrics in the format for this ``Accept`` header, and their content type."""

    def record_refusal(self, refused: AccessRefused, peer: str) -> None:
        """Count and log a refused request."""


class _Connection(web.RequestHandler):
    """One HTTP connection and its one request: the user id of the peer if known, and its grant.

    ``cross_origin`` are the headers for the page of another origin that sent the request.
    aiohttp calls no handler for a malformed request, so the response to it is made here.
    """

    peer_uid: int | None = None
    grant: Grant | None = None
    cross_origin: Mapping[str, str] = MappingProxyType({})

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ConnectionError("an answer was begun, and cannot be taken back")
        return _with_common_headers(
            _refusal(status, "that is no request" if status == 400 else "it failed")
        )


class HttpApi:
    """The HTTP side of one hub, under the path ``base``."""

    def __init__(
        self,
        state: ServerState,
        access: AccessPolicy,
        *,
        base: str,
        socket_path: str,
        logs: LogApi,
        control: Control,
        pipelines: Pipelines = BUILT_IN_ONLY,
        read_only: bool = False,
        place: str | None = None,
        session_url: str | None = None,
    ) -> None:
        self._logs = logs
        self._control = control
        self._read_only = read_only
        self._place, self._session_url = place, session_url
        self._pipelines = _pipelines_value(pipelines)
        self._state, self._access, self._base = state, access, base
        self._socket_path = socket_path
        for name in _FILES:  # of one version, whatever an upgrade replaces while the hub runs
            asset(name)
        self._old_version = LastingProblem(_log, "")
        self._unsent: dict[int, tuple[int, float]] = {}
        app = web.Application(middlewares=[self._middleware], client_max_size=4096)
        app.add_routes(
            [
                web.get(f"{base}/", self._page),
                web.get(f"{base}/jobs/{{id}}", self._page),
                *(web.get(base + path, self._script) for path in _SCRIPTS),
                web.get(f"{base}/assets/{{digest}}/{{name:.+}}", self._lasting_script),
                web.get(f"{base}/healthz", self._health),
                web.get(f"{base}/metrics", self._metrics),
                web.get(f"{base}/api/jobs", self._jobs),
                web.get(f"{base}/api/jobs/{{id}}", self._job),
                web.get(f"{base}/api/jobs/{{id}}/log", self._log),
                web.get(f"{base}/api/clients", self._clients),
                web.get(f"{base}/api/overdue", self._overdue),
                web.get(f"{base}/login", self._login_form),
                web.post(f"{base}/login", self._login),
            ]
        )
        if control.enabled:
            app.add_routes(
                [
                    web.post(f"{base}/api/jobs", self._act),
                    web.post(f"{base}/api/jobs/{{id}}/{{verb}}", self._act),
                ]
            )
        if base:
            app.add_routes([web.get(base, self._to_base)])
        app.on_response_prepare.append(_add_hub_headers)
        self._runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=0.5)

    async def start(self) -> None:
        """Prepare for connections; call it before `new_connection`."""
        await self._runner.setup()

    def new_connection(self, peer_uid: int | None = None) -> asyncio.Protocol:
        """Return the protocol object for a new connection.

        ``peer_uid`` applies to all its requests.
        """
        assert self._runner.server is not None, "it was started"
        logger = _quiet_logger()
        connection = _Connection(
            self._runner.server,
            loop=asyncio.get_running_loop(),
            logger=logger,
            access_log=logger,
            keepalive_timeout=_IDLE_S,
            lingering_time=1.0,
        )
        connection.peer_uid = peer_uid
        return connection

    async def stop(self) -> None:
        """Close all connections; takes about half a second at most."""
        server = self._runner.server
        open_now = [one.transport for one in server.connections] if server is not None else []
        await self._runner.cleanup()
        self._logs.close()
        for transport in open_now:
            if transport is not None:
                transport.abort()  # it is closing, but would wait until the peer has received all

    def open_connections(self) -> int:
        """Return the number of open connections."""
        server = self._runner.server
        return len(server.connections) if server is not None else 0

    def sweep(self, now_s: float, patience_s: float) -> None:
        """Abort connections whose client has received nothing for ``patience_s`` seconds."""
        server = self._runner.server
        before, self._unsent = self._unsent, {}
        for protocol in server.connections if server is not None else []:
            transport = protocol.transport
            unsent = unsent_bytes(transport) if transport is not None else 0
            if transport is None or not unsent:
                continue
            known, since_s = before.get(id(protocol), (unsent, now_s))
            since_s = since_s if known == unsent else now_s
            self._unsent[id(protocol)] = (unsent, since_s)
            if now_s - since_s >= patience_s:
                transport.abort()

    def close_ended_grants(self) -> None:
        """Abort the connections whose token was changed or removed, or has expired.

        They are those that follow a log; all other answers are short.
        """
        server = self._runner.server
        for protocol in server.connections if server is not None else []:
            grant = getattr(protocol, "grant", None)
            if grant is None or self._access.is_current(grant) or protocol.transport is None:
                continue
            protocol.transport.abort()

    # -- for every request --------------------------------------------------------------------

    @web.middleware
    async def _middleware(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        answer = _with_common_headers(await self._answer(request, handler))
        answer.headers.update(_connection(request).cross_origin)
        if self._read_only:
            answer.headers.update(READ_ONLY_HEADER)
        self._state.counts.requests[answer.status] += 1
        return answer

    async def _answer(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        access_request = _access_request(request)
        path = request.path.removeprefix(self._base)
        try:
            self._access.check_source(access_request)
            if path == self._socket_path:  # before a token is asked for: a proxy is wrong
                return web.Response(
                    status=426, text=UPGRADE_REQUIRED, headers={"Upgrade": "websocket"}
                )
            if is_preflight(access_request, request.method):
                headers = preflight_headers(self._access, access_request)
                return web.Response(status=204, headers=headers)
            connection = _connection(request)
            connection.cross_origin = cross_origin_headers(
                self._access, access_request, authenticated=False
            )
            if path != "/healthz":  # open to all users: it only says whether the hub is healthy
                grant = connection.grant = await self._access.authenticate(access_request)
                connection.cross_origin = cross_origin_headers(
                    self._access, access_request, authenticated=grant is not None
                )
                is_import = path in _SCRIPTS and self._access.is_named_origin(access_request)
                if grant is None and path not in _SIGN_IN and not is_import:
                    raise self._access.ask_for_token()
                if grant is not None and path in _OF_ALL_JOBS and not grant.sees_everything:
                    return _refusal(403, _ALL_JOBS_ONLY)
        except AccessRefused as refused:
            if (
                refused.status == 401
                and _VIEW.fullmatch(path or "/")
                and "text/html" in request.headers.get("Accept", "")
            ):
                return web.Response(status=303, headers={"Location": self._login_for(request)})
            self._state.record_refusal(refused, access_request.peer)
            return _refusal(refused.status, str(refused), refused.headers)
        if path != "/healthz":
            self._note_old_version(request)
        try:
            return await handler(request)
        except web.HTTPException as error:
            allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
            text = {404: "nothing here", 405: "only these: " + allow.get("Allow", "")}.get(
                error.status, error.reason
            )
            return _refusal(error.status, text, allow)
        except JobctlError as error:
            usage = error.exit_code == 2
            return _refusal(400 if usage else 503, str(error), None if usage else _RETRY_LATER)
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception:
            _log.exception("request failed")
            return _refusal(500, "the hub failed; its log says more")

    def _note_old_version(self, request: web.Request) -> None:
        """Log once that a request came by HTTP/1.0: nginx passes requests on so by default.

        The hub cannot tell them from those of this machine, and some local programs use that
        version too, so they are not refused.
        """
        if self._access.trusts_this_machine and request.version < HttpVersion11:
            self._old_version.report(
                "a request came by HTTP/1.0, as nginx's proxy_pass sends them: if a proxy passes "
                "on the requests of others, they count as this machine's own; "
                "start the hub with --token-file"
            )

    # -- the pages ----------------------------------------------------------------------------

    async def _to_base(self, request: web.Request) -> web.Response:
        return web.Response(status=308, headers={"Location": f"{self._base}/"})

    async def _page(self, request: web.Request) -> web.Response:
        html = asset("index.html").replace("{base}", self._base)
        first = "dashboard/job.js" if "id" in request.match_info else "dashboard/main.js"
        assets = f"{self._base}/assets/{files_digest()}"
        preloads = "\n".join(
            f'<link rel="modulepreload" href="{assets}/{name}">'
            for name in modules_of("dashboard/main.js", first)
        )
        html = html.replace("{preloads}", preloads).replace("{assets}", assets)
        return self._html(request, html.replace("{settings}", self._settings(request)))

    def _settings(self, request: web.Request) -> str:
        """Return what the page has to know about the hub, as JSON for a ``script`` element."""
        values = {
            "base": self._base,
            "socket": self._base + self._socket_path,
            "readOnly": self._read_only,
            "pipelines": self._pipelines,
            "place": self._place if _sees_details(request) else None,
            "sessionUrl": self._session_url,
            "version": __version__,
        }
        return json.dumps(values).replace("<", "\\u003c")

    async def _script(self, request: web.Request) -> web.Response:
        return _file(request.path.removeprefix(f"{self._base}/"))

    async def _lasting_script(self, request: web.Request) -> web.Response:
        """Serve a file of the page under an address that is another one when the files change.

        So a browser asks for it once. A page that was loaded before the hub was replaced still
        has the old address, and gets the new file.
        """
        name = request.match_info["name"]
        if f"/{name}" not in _SCRIPTS:
            raise web.HTTPNotFound
        answer = _file(name)
        if request.match_info["digest"] == files_digest():
            answer.headers["Cache-Control"] = "private, max-age=31536000, immutable"
        return answer

    async def _login_form(self, request: web.Request) -> web.Response:
        return self._html(request, self._sign_in(""))

    def _login_for(self, request: web.Request) -> str:
        """Return the address of the sign-in page that leads back to what was requested."""
        wanted = request.rel_url.raw_path_qs.removeprefix(self._base)
        back = "" if wanted in ("", "/") else f"?{urlencode({'next': wanted})}"
        return f"{self._base}/login{back}"

    def _sign_in(self, said: str) -> str:
        return asset("login.html").replace("{base}", self._base).replace("{said}", said)

    async def _login(self, request: web.Request) -> web.Response:
        try:
            async with asyncio.timeout(_BODY_S):
                form = await request.post()
        except TimeoutError:
            return _refusal(408, "no token came")
        access_request = _access_request(request)
        try:
            grant = None
            if "ticket" in form:
                self._access.check_ticket(str(form["ticket"]))
            else:
                token = str(form.get("token", "")).encode()
                grant = await self._access.check_token(token, access_request.peer)
        except AccessRefused as refused:
            self._state.record_refusal(refused, access_request.peer)
            said = "That is not the token." if refused.status == 401 else "Come back later."
            if refused.kind == "ticket":
                said = "That link is used up. Type the token."
            return self._html(request, self._sign_in(said), status=refused.status)
        wanted = request.query.get("next", "/")
        view = wanted if _VIEW.fullmatch(wanted) else "/"  # never another site
        answer = web.Response(status=303, headers={"Location": f"{self._base}{view}"})
        name, value = self._access.cookie(access_request, grant)
        answer.set_cookie(
            name, value, path=f"{self._base}/", httponly=True, samesite="Strict",
            secure=access_request.is_encrypted,
        )  # fmt: skip
        return answer

    def _html(self, request: web.Request, text: str, *, status: int = 200) -> web.Response:
        host = request.headers.get("Host", "")
        sockets = f" ws://{host} wss://{host}" if _AUTHORITY.fullmatch(host) else ""
        policy = (
            f"default-src 'none'; script-src 'self'; style-src {_style_sources(text)}; "
            f"connect-src 'self'{sockets}; img-src data:; form-action 'self'; "
            "base-uri 'none'; frame-ancestors 'none'"
        )
        return web.Response(
            text=text,
            status=status,
            content_type="text/html",
            headers={"Content-Security-Policy": policy},
        )

    async def _health(self, request: web.Request) -> web.Response:
        try:
            await self._refresh()
            failing_part = self._state.failing_part()
        except JobctlError as error:
            failing_part = f"store: {error}"
        if not failing_part:
            return web.Response(text="ok\n")
        if not self._access.is_own(
            _access_request(request)
        ):  # and nobody was asked for a token here
            failing_part = failing_part.partition(":")[0]
        return _refusal(503, failing_part, _RETRY_LATER)

    async def _metrics(self, request: web.Request) -> web.Response:
        with suppress(JobctlError):  # then report the last known state
            await self._refresh()
        try:
            async with asyncio.timeout(_STORE_TIMEOUT_S):
                accept = ",".join(request.headers.getall("Accept", []))
                body, content_type = await self._state.metrics(accept)
        except TimeoutError:
            return _refusal(503, "the store does not answer", _RETRY_LATER)
        return web.Response(body=body, headers={"Content-Type": content_type, "Vary": "Accept"})

    async def _refresh(self) -> None:
        """Update the hub's replica; raise `StoreError` if the store does not answer in time."""
        try:
            async with asyncio.timeout(_STORE_TIMEOUT_S):
                await self._state.refresh()
        except TimeoutError as error:
            raise StoreError(f"the store has not answered for {_STORE_TIMEOUT_S:g} s") from error

    # -- the API ------------------------------------------------------------------------------

    async def _jobs(self, request: web.Request) -> web.Response:
        _check_keys(request, _JOBS_KEYS)
        subscribe, snapshot_start = _parse_read(request.rel_url.raw_query_string)
        subscribe = subscribe._replace(filter=subscribe.filter.within(_grant(request).sight))
        limit = _limit(request.query.get("limit"))
        details = _sees_details(request)
        await self._refresh()
        hub = self._state.hub
        deaths = zlib.crc32("\n".join(sorted(hub.dead)).encode())
        # The epoch tells readers with and without details apart.
        epoch = epoch_for(hub.replica.epoch, details=details)
        head = Cursor(epoch, hub.replica.revision, subscribe.filter.tag)
        tag = f'"{head};{subscribe.cursor}@{snapshot_start};{limit or ""};{deaths:x}"'
        if _matches_etag(request, tag):
            return web.Response(status=304, headers=_etag_headers(tag))
        return _json(
            await self._delta(subscribe, snapshot_start, limit, details=details), _etag_headers(tag)
        )

    async def _delta(
        self, subscribe: Subscribe, snapshot_start: int, limit: int | None, *, details: bool
    ) -> bytes:
        """Return one page: the fields of a ``jobs:delta``, the next cursor, and the lost jobs.

        The hub keeps no state between two pages. The cursor of a page that is followed by others
        therefore also has the revision at which the first page started (see `JobSet.since`).
        """
        hub = self._state.hub
        cursor = store_cursor(subscribe.cursor, details=details)
        if snapshot_start and not cursor.revision <= snapshot_start <= hub.replica.revision:
            cursor = ZERO
        since = -1
        while True:
            delta = hub.replica.since(
                cursor,
                subscribe.filter,
                limit=_MAX_RESPONSE,
                max_examined=_MAX_EXAMINED,
                snapshot_start=snapshot_start,
                details=details,
            )
            since = delta.since if since < 0 or delta.since == 0 else since
            snapshot_start = delta.snapshot_start if delta.more else snapshot_start
            if delta.jobs or delta.gone or not delta.more:
                break
            cursor = delta.cursor(subscribe.filter)
            await asyncio.sleep(0)  # let other tasks run; the replica may change
        jobs, through, more = delta.jobs, delta.through, delta.more
        if limit is not None and len(jobs) > limit and jobs[limit - 1].revision < jobs[-1].revision:
            # No cursor names a place between two jobs that share a revision.
            through, more = jobs[limit - 1].revision, True
            jobs = tuple(job for job in jobs if job.revision <= through)
            if subscribe.filter.may_lose or delta.since == 0:
                snapshot_start = hub.replica.revision
        epoch = epoch_for(delta.epoch, details=details)
        here = Cursor(epoch, through, subscribe.filter.tag)
        head = {
            "epoch": epoch,
            "since": since,
            "through": through,
            "more": more,
            "cursor": f"{here}@{snapshot_start}" if more and snapshot_start else str(here),
            "gone": [item.id for item in delta.gone],
            "lost": [job.id for job in jobs if job.lost(hub.dead)],
        }
        start = json.dumps(head)[:-1]
        fields = subscribe.filter.fields
        if fields is None:
            wires = [hub.replica.wire(job.id, details=details) for job in jobs]
        else:
            sent = [hub.replica.sent(job.id, details=details, fields=fields) for job in jobs]
            wires = [one.wire for one in sent]
            start += f', "derived": {{{",".join(one.facts for one in sent if one.facts)}}}'
        return start.encode() + b', "jobs": [' + b",".join(wires) + b"]}"

    async def _job(self, request: web.Request) -> web.Response:
        _check_keys(request)
        details = _sees_details(request)
        await self._refresh()
        id, hub = request.match_info["id"], self._state.hub
        job = hub.replica.get(id)
        grant = _grant(request)
        if job is None and id in hub.replica.damage and grant.sees_everything:
            return _refusal(404, f"the file of job {id} is damaged: {hub.replica.damage[id]}")
        if job is None or not grant.sight.matches(job):
            return _refusal(404, f"no job {ascii(id[:128])[1:-1]}")
        tag = f'"{epoch_for(hub.replica.epoch, details=details)}:{job.revision}"'
        if _matches_etag(request, tag):
            return web.Response(status=304, headers=_etag_headers(tag))
        return _json(hub.replica.wire(job.id, details=details), _etag_headers(tag))

    async def _log(self, request: web.Request) -> web.StreamResponse:
        if not _sees_details(request):
            return _refusal(403, "a job's log is for the hub's own user and whoever has a token")
        _check_keys(request, LOG_KEYS)
        query = LogQuery(request.query, now_ms())
        if not await self._sees_job(request, request.match_info["id"]):
            return _refusal(404, f"no job {ascii(request.match_info['id'][:128])[1:-1]}")

        def prepare(answer: web.StreamResponse) -> None:
            _with_common_headers(answer).headers.update(_connection(request).cross_origin)

        try:
            return await self._logs.answer(request, request.match_info["id"], query, prepare)
        except InvalidId as error:
            return _refusal(404, str(error))
        except JobNotFound as error:
            return _refusal(404, f"no job {ascii(error.id[:128])[1:-1]}")
        except LogNotFound as error:
            return _refusal(404, str(error))

    async def _sees_job(self, request: web.Request, id: str) -> bool:
        """Whether the client's filter lets it see the job, as far as that is in question."""
        grant = _grant(request)
        if grant.sees_everything:
            return True
        await self._refresh()
        job = self._state.hub.replica.get(id)
        return job is not None and grant.sight.matches(job)

    # -- acts ---------------------------------------------------------------------------------

    async def _act(self, request: web.Request) -> web.Response:
        """Carry out an act (see core/acts.py): ``POST /api/jobs`` and ``/api/jobs/ID/VERB``."""
        _check_keys(request)
        verb = request.match_info.get("verb", "create")
        if verb not in RIGHT_OF or (verb == "create") != ("id" not in request.match_info):
            return _refusal(404, "nothing here")
        if request.content_type != "application/json":
            return _refusal(415, "an act is sent as application/json")
        try:
            async with asyncio.timeout(_BODY_S):
                body = await _body(request)
        except TimeoutError:
            return _refusal(408, "no act came")
        if body is None:
            return _refusal(413, f"an act has at most {MAX_FROM_CLIENT} bytes")
        try:
            value = json_object(body)
        except ProtocolError as error:
            return _refusal(400, str(error))
        if "id" in request.match_info:
            value["id"] = request.match_info["id"]
        access_request = _access_request(request)
        route = Route(
            "http",
            access_request.peer,
            EVERYTHING,
            self._access.is_same_origin(access_request) and _is_sure(access_request, request),
        )
        answer = await self._control.perform(value, verb, _grant(request), route)
        headers = {}
        if answer.retry_after_s is not None:
            headers["Retry-After"] = str(math.ceil(answer.retry_after_s))
        return web.Response(
            body=answer.message + b"\n",
            status=_STATUS_OF[answer.outcome],
            content_type="application/json",
            headers=headers,
        )

    async def _clients(self, request: web.Request) -> web.Response:
        _check_keys(request)
        return _json(json.dumps({"clients": self._state.clients()}).encode(), {})

    async def _overdue(self, request: web.Request) -> web.Response:
        _check_keys(request)
        await self._refresh()
        try:
            async with asyncio.timeout(_STORE_TIMEOUT_S):
                found = await self._state.overdue()
        except TimeoutError:  # the next request goes on where this one stopped
            return _refusal(503, "there are too many jobs to look at yet", _RETRY_LATER)
        at_ms = now_ms()
        values = [{**item.to_value(), "text": item.describe(at_ms)} for item in found]
        return _json(json.dumps({"overdue": values}).encode(), {})


def grant_of(request: web.Request) -> Grant | None:
    """Return the grant of an authenticated request; ``None`` on the sign-in page."""
    return _connection(request).grant


def _grant(request: web.Request) -> Grant:
    grant = grant_of(request)
    assert grant is not None, "the middleware has asked for a token"
    return grant


def _is_sure(access_request: AccessRequest, request: web.Request) -> bool:
    """Whether it is certain that no other page sent the request, if a cookie gives its rights.

    A browser says where a POST comes from. What does not say it may be a browser behind something
    that removes these headers.
    """
    if _grant(request).way is not Way.COOKIE:
        return True
    return bool(access_request.all("sec-fetch-site") or access_request.all("origin"))


async def _body(request: web.Request) -> bytes | None:
    """Return the body of a request; ``None`` if it is larger than a message may be."""
    data = bytearray()
    async for part in request.content.iter_any():
        data += part
        if len(data) > MAX_FROM_CLIENT:
            return None
    return bytes(data)


def _connection(request: web.Request) -> _Connection:
    connection = request.protocol
    assert isinstance(connection, _Connection), "we make them"
    return connection


def _access_request(request: web.Request) -> AccessRequest:
    return AccessRequest.of(
        request.raw_headers,
        request.remote or "unix",
        secure=request.secure,
        query=request.rel_url.raw_query_string,
        uid=_connection(request).peer_uid,
    )


def _style_sources(html: str) -> str:
    """Return the CSP sources of the hub's style sheet and of the page's own style (CSP level 2)."""
    digests = [hashlib.sha256(style.encode()).digest() for style in _STYLE.findall(html)]
    hashes = [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]
    return " ".join(["'self'", *hashes])


def _pipelines_value(pipelines: Pipelines) -> dict[str, Any]:
    """Return the job types for the page: their labels, times, and stages in order."""
    return {
        type: {
            "label": pipeline.label,
            "stalledMs": pipeline.stalled_after_ms,
            "expectMs": pipeline.expect_every_ms,
            "takesRetries": pipeline.takes_retries,
            "usualMs": pipeline.eta_ms,
            "stages": [stage._asdict() for stage in pipeline.stages],
        }
        for type, pipeline in pipelines.all().items()
    }


def _parse_read(query: str) -> tuple[Subscribe, int]:
    """Return the read that the query asks for, and the revision at its first page, or 0."""
    try:
        subscribe = parse_query(query)
        since, _, page = parse_qs(query).get("since", [""])[-1].partition("@")
    except ValueError as error:
        raise UsageError(f"the query cannot be read: {error}") from error
    if not page:
        return subscribe, 0
    snapshot_start = int(page) if page.isascii() and page.isdigit() and len(page) < 17 else 0
    try:
        cursor = Cursor.parse(since) if snapshot_start else ZERO
    except InvalidCursor:
        cursor = ZERO
    return subscribe._replace(cursor=cursor), snapshot_start if cursor != ZERO else 0


def _check_keys(request: web.Request, known: tuple[str, ...] = ()) -> None:
    """Raise `UsageError` if the query has another key: it would have no effect."""
    unknown = next((key for key in request.query if key not in known), None)
    if unknown is not None:
        raise UsageError(
            f"the query has the unknown key {ascii(unknown[:40])}; "
            f"the known ones are: {', '.join(known) or 'none'}"
        )


def _limit(text: str | None) -> int | None:
    if text is None:
        return None
    if not _LIMIT.fullmatch(text) or not 0 < int(text) <= _MAX_JOBS:
        raise web.HTTPBadRequest(reason=f"limit is a number from 1 to {_MAX_JOBS}")
    return int(text)


async def _add_hub_headers(request: web.BaseRequest, answer: web.StreamResponse) -> None:
    """Add them also to the responses that aiohttp makes before it calls a middleware."""
    answer.headers.update(HUB_HEADERS)


def _with_common_headers(answer: web.StreamResponse) -> web.StreamResponse:
    """Add the headers that every response has; the connection closes after it."""
    answer.headers.update(_SECURITY)
    answer.headers.update(HUB_HEADERS)
    answer.headers["Server"] = "jobctl"
    answer.headers.setdefault("Cache-Control", "no-store")
    answer.force_close()  # idle connections would need a limit too
    return answer


def _quiet_logger() -> logging.Logger:
    """Return a silent logger: aiohttp logs malformed requests with a traceback and their bytes."""
    logger = logging.getLogger("jobctl.aiohttp")
    logger.setLevel(logging.CRITICAL)
    return logger


def _matches_etag(request: web.Request, tag: str) -> bool:
    """Whether the client already has the version with this ETag."""
    return tag in request.headers.get("If-None-Match", "")


def _etag_headers(tag: str) -> dict[str, str]:
    """Return the headers of a response that depends on the reader's rights and origin."""
    vary = "Authorization, Cookie, Origin"
    return {"ETag": tag, "Cache-Control": "private, no-cache", "Vary": vary}


def _sees_details(request: web.Request) -> bool:
    grant = grant_of(request)
    return grant is not None and grant.details


def _json(body: bytes, headers: dict[str, str]) -> web.Response:
    return web.Response(body=body, content_type="application/json", headers=headers)


def _file(name: str) -> web.Response:
    """Return a file of the page or of the client, with its content type."""
    suffix = name[name.rindex(".") :]
    return web.Response(text=asset(name), content_type=_CONTENT_TYPES.get(suffix, "text/plain"))


def _refusal(status: int, text: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(text=f"{text}\n", status=status, headers=headers)
