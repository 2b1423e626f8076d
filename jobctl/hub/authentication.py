"""Whether a client may read: decided by its request, or by a token in its first message."""

from __future__ import annotations

import asyncio
import http
import logging
import random
import re
from urllib.parse import urlsplit

from websockets.http11 import Response

from jobctl.core.protocol import (
    CLOSE_BUSY,
    CLOSE_NO_TOKEN,
    Auth,
    close_reason_with_retry,
    parse_query,
)
from jobctl.errors import ProtocolError, UsageError
from jobctl.hub.access import AccessPolicy, AccessRefused, AccessRequest, unauthorized
from jobctl.hub.admission import PendingConnections
from jobctl.hub.connection import HubConnection
from jobctl.hub.handshake import Opening, refusal
from jobctl.hub.log_limit import LogRateLimit
from jobctl.hub.messages import parse_from_client
from jobctl.hub.metrics import Counts
from jobctl.hub.rights import Grant

__all__ = ["Authentication", "Refusals"]

_HANDSHAKE_S = 8.0
_RETRY_S = 5.0  # on average; see the 429 of access.py
_MAX_KEYS = 5  # unknown keys of one query that are logged
_KEY = re.compile(r"[A-Za-z][A-Za-z_-]{0,23}")

_log = logging.getLogger("jobctl.hub")


class Refusals:
    """Counts and logs what was refused."""

    def __init__(self, counts: Counts) -> None:
        self._loop = asyncio.get_running_loop()
        self._counts = counts
        self._log_limit = LogRateLimit(5)

    def record(self, refused: AccessRefused, peer: str) -> None:
        """Count and log a refused request.

        It is logged because the refusal may be a mistake in the configuration. The log is
        rate-limited.
        """
        self._counts.refused[refused.kind] += 1
        more = self._log_limit.allow(refused.kind, self._loop.time())
        if more is not None:
            said = {"reason": str(refused), "peer": peer, **({"more": more} if more else {})}
            _log.warning("refused", extra=said)

    def log_ignored(self, keys: tuple[str, ...], peer: str) -> None:
        """Log keys of a query that this hub does not know; the log is rate-limited.

        They are a mistake, or those of a client of a later version, which has to work. What looks
        like no key may be a token that was sent by mistake, so only its length is logged.
        """
        more = self._log_limit.allow("query", self._loop.time())
        if more is not None:
            names = ", ".join(
                key if _KEY.fullmatch(key) else f"({len(key)} characters)"
                for key in keys[:_MAX_KEYS]
            )
            said = {"keys": names, "peer": peer, **({"more": more} if more else {})}
            _log.warning("unknown query keys ignored", extra=said)


class Authentication:
    """Grants rights to WebSocket clients, by the access policy.

    ``path`` is that of the socket. At most ``max_pending`` clients that show no token at first are
    open at a time; another one takes the place of the oldest.
    """

    def __init__(
        self, access: AccessPolicy, refusals: Refusals, *, path: str, max_pending: int
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._access = access
        self._refusals = refusals
        self._path = path
        self.pending: PendingConnections[HubConnection] = PendingConnections(max_pending)

    async def check_request(self, connection: HubConnection, opening: Opening) -> Response | None:
        """Refuse a request before the handshake is answered, or note what it asks for."""
        peer = connection.peer
        url = urlsplit(opening.path)
        access_request = AccessRequest(
            opening.headers, _host_of(peer), connection.is_secure, url.query, connection.peer_uid
        )
        try:
            self._access.check_source(access_request)
            connection.grant = await self._access.authenticate(access_request)
            connection.same_origin = self._access.is_same_origin(access_request)
        except AccessRefused as refused:
            self._refusals.record(refused, peer)
            response = refusal(http.HTTPStatus(refused.status), f"{refused}\n")
            response.headers.update(refused.headers)
            return response
        if url.path != self._path:
            return refusal(http.HTTPStatus.NOT_FOUND, f"nothing here; jobs are at {self._path}\n")
        try:
            connection.subscribe = parse_query(url.query)
        except (UsageError, ValueError) as error:
            return refusal(http.HTTPStatus.BAD_REQUEST, f"{error}\n")
        if connection.subscribe.unknown:
            self._refusals.log_ignored(connection.subscribe.unknown, peer)
        return None

    async def check_first_message(self, connection: HubConnection) -> None:
        """Wait for the token in the first message, and set the rights that it grants.

        Close the connection if the token is wrong or late.
        """
        peer = connection.peer
        self._dismiss(self.pending.add(connection, self._loop.time()))
        try:
            first = connection.first_message()
            await asyncio.wait([first], timeout=_HANDSHAKE_S)
            if not first.done():
                raise TimeoutError
            said = parse_from_client(first.result())
            if not isinstance(said, Auth):
                raise unauthorized("a token is needed first")
            given = said.token.encode("utf-8", "replace")
            connection.grant = await self._access.check_token(given, _host_of(peer))
        except (TimeoutError, ProtocolError, AccessRefused) as error:
            refused = (
                error
                if isinstance(error, AccessRefused)
                else unauthorized(str(error) or "none came")
            )
            self._refusals.record(refused, peer)
            if refused.status == 401:
                connection.send_close_frame(CLOSE_NO_TOKEN, str(refused)[:100])
            else:
                why = str(refused).partition("; come back")[0]
                connection.send_close_frame(CLOSE_BUSY, _reason_with_retry(why))
        except ConnectionError:
            pass  # the client hung up
        finally:
            self.pending.remove(connection)

    def is_current(self, grant: Grant) -> bool:
        """Whether a grant still holds; see `AccessPolicy.is_current`."""
        return self._access.is_current(grant)

    def make_room(self) -> None:
        """Close the oldest clients above the limit: no connection is free.

        They may be that many if they all came within the grace.
        """
        self._dismiss(self.pending.evict(self._loop.time(), room=1))

    @staticmethod
    def _dismiss(evicted: list[HubConnection]) -> None:
        for connection in evicted:
            connection.send_close_frame(CLOSE_BUSY, _reason_with_retry("others come in"))


def _reason_with_retry(why: str) -> str:
    """Return the reason for closing with when to come back: browsers show no ``Retry-After``.

    Each client gets another time, so that they do not come back together.
    """
    return close_reason_with_retry(why, random.uniform(_RETRY_S / 2, _RETRY_S * 1.5))


def _host_of(peer: str) -> str:
    return peer.rpartition(":")[0] or peer
