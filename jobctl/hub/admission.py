"""Admission control: limits on connections, before it is known what each of them wants.

WebSockets and plain HTTP share one port. `RequestHeadReader` reads the head of the first request,
limited in size and time. Then it hands the connection over: upgrade requests to websockets, all
others to aiohttp. Until then a connection costs only its bytes. It is counted from the moment it is
accepted, also during the TLS handshake, so pending handshakes have a limit too.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterator
from itertools import takewhile
from typing import Generic, TypeVar

from jobctl.core.protocol import HUB_HEADERS
from jobctl.hub.certificates import ServerCertificate

__all__ = [
    "GRACE_S",
    "HEAD_TIMEOUT_S",
    "MAX_HEAD",
    "AdmissionControl",
    "PendingConnections",
    "RequestHeadReader",
    "is_unix",
    "is_upgrade",
]

T = TypeVar("T")

MAX_HEAD = 16 * 1024
"""Maximum length of a request's head in bytes, including cookies."""
HEAD_TIMEOUT_S = 8.0
"""Time limit for the TLS handshake and the head together."""
GRACE_S = 1.0

_END = b"\r\n\r\n"


_RETRY_S = 5


class PendingConnections(Generic[T]):
    """Connections that have not shown yet what they want, at most ``limit`` of them.

    Above the limit the oldest are evicted if they are pending for more than a second. Real clients
    need less than that, so they always find room.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._since_s: dict[T, float] = {}  # the oldest first

    def __len__(self) -> int:
        return len(self._since_s)

    def __iter__(self) -> Iterator[T]:
        return iter(self._since_s)

    def __contains__(self, one: object) -> bool:
        return one in self._since_s

    def add(self, one: T, now_s: float) -> list[T]:
        """Add a connection; return those that are evicted for it."""
        self._since_s[one] = now_s
        return self.evict(now_s)

    def evict(self, now_s: float, room: int = 0) -> list[T]:
        """Evict what is above the limit less ``room``; return it. The grace counts all the same."""
        gone: list[T] = []
        while len(self._since_s) > self._limit - room:
            oldest, since_s = next(iter(self._since_s.items()))
            if now_s - since_s < GRACE_S:
                break
            del self._since_s[oldest]
            gone.append(oldest)
        return gone

    def remove(self, one: T) -> None:
        """Remove a connection: it is no longer pending, or it is closed."""
        self._since_s.pop(one, None)

    def entered_by(self, then_s: float) -> list[T]:
        """Return the connections that were added at this time or before, oldest first."""
        return [one for one, _ in takewhile(lambda item: item[1] <= then_s, self._since_s.items())]

    def oldest_s(self) -> float | None:
        """Return when the oldest connection was added; ``None`` without one."""
        return next(iter(self._since_s.values()), None)


class AdmissionControl:
    """The connection limit: above ``max_connections`` of all kinds, clients get 503.

    ``on_refusal`` is called for each of those. At most a third of the connections may be pending
    (see `PendingConnections`); ``other_connections`` returns the number of all others. With ``tls``
    every connection must use TLS.
    """

    def __init__(
        self,
        max_connections: int,
        other_connections: Callable[[], int],
        *,
        tls: ssl.SSLContext | ServerCertificate | None = None,
        on_refusal: Callable[[], None] = lambda: None,
    ) -> None:
        self.max_connections = max_connections
        self.max_pending = max(1, max_connections // 3)
        self._tls = tls
        self.pending: PendingConnections[RequestHeadReader] = PendingConnections(self.max_pending)
        self._other_connections, self._on_refusal = other_connections, on_refusal
        self._closed = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def tls(self) -> ssl.SSLContext | None:
        """The TLS context for a new connection; ``None`` without TLS."""
        return self._tls.context if isinstance(self._tls, ServerCertificate) else self._tls

    @property
    def closed(self) -> bool:
        """Whether the hub is stopping."""
        return self._closed

    @property
    def full(self) -> bool:
        """Whether the connection limit is reached."""
        return len(self.pending) + self._other_connections() >= self.max_connections

    def add(self, connection: RequestHeadReader) -> bool:
        """Count a new pending connection; return ``False`` if the limit is reached.

        Then pending connections above their own limit go first. They may be that many if they all
        came within the grace.
        """
        loop = asyncio.get_running_loop()
        if self.full:
            self._reject(self.pending.evict(loop.time(), room=1))
        if self.full:
            self._on_refusal()
            return False
        self._reject(self.pending.add(connection, loop.time()))
        if self._timer is None:
            self._timer = loop.call_later(HEAD_TIMEOUT_S, self._expire)
        return True

    @staticmethod
    def _reject(evicted: list[RequestHeadReader]) -> None:
        for connection in evicted:
            connection.reject("others come in; come back")

    def _expire(self) -> None:
        """Answer connections whose time is over. One timer serves all; it is set for the oldest."""
        loop = asyncio.get_running_loop()
        for connection in self.pending.entered_by(loop.time() - HEAD_TIMEOUT_S):
            connection.reject("no request came", 408)
        oldest_s = self.pending.oldest_s()
        self._timer = None
        if oldest_s is not None:
            self._timer = loop.call_at(oldest_s + HEAD_TIMEOUT_S, self._expire)

    def close(self) -> None:
        """Close all pending connections, and all that are accepted from now on."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for connection in list(self.pending):
            connection.abort()


class RequestHeadReader(asyncio.Protocol):
    """Reads the head of a request and hands the connection over to another protocol.

    ``choose`` gets the head and the transport and returns that protocol. TLS is for TCP only: a
    Unix socket is protected by the permissions of its file.
    """

    def __init__(
        self,
        choose: Callable[[bytes, asyncio.Transport], asyncio.Protocol],
        admission: AdmissionControl,
    ) -> None:
        self._choose, self._admission = choose, admission
        self._head = bytearray()
        self._read_bytes = 0
        self._transport: asyncio.Transport | None = None
        self._is_plain = True  # what we read and write is HTTP
        self._tls_task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport), "it is a stream"
        self._transport = transport
        if self._admission.closed:
            transport.abort()
            return
        tls = None if is_unix(transport) else self._admission.tls
        self._is_plain = tls is None
        if not self._admission.add(self):
            self._answer_and_close(503, "too many connections; come back later")
            return
        if tls is not None:
            transport.pause_reading()
            loop = asyncio.get_running_loop()
            self._tls_task = loop.create_task(self._start_tls(transport, tls))

    async def _start_tls(self, transport: asyncio.Transport, tls: ssl.SSLContext) -> None:
        """Do the TLS handshake. Bytes that have arrived before are kept."""
        loop = asyncio.get_running_loop()
        # Or up to 64 KiB of ciphertext wait there, beside what waits in the connection.
        transport.set_write_buffer_limits(0)
        try:
            secure = await loop.start_tls(
                transport, self, tls, server_side=True, ssl_handshake_timeout=HEAD_TIMEOUT_S
            )
        except (OSError, asyncio.CancelledError):
            secure = None
        self._is_plain = True
        if secure is None or self not in self._admission.pending:
            self._remove()
            (secure or transport).abort()
            return
        self._transport = secure
        self._read()

    def data_received(self, data: bytes) -> None:
        if self not in self._admission.pending:
            return  # it was answered already
        self._read_bytes += len(data)
        self._head = (self._head + data).lstrip(b"\r\n")  # blank lines: RFC 9112, section 2.2
        self._read()

    def _read(self) -> None:
        if not self._is_plain:
            return
        if _END in self._head:
            assert self._transport is not None, "it has just sent something"
            self._hand_over(self._choose(bytes(self._head), self._transport))
        elif self._read_bytes > MAX_HEAD:
            self._remove()
            self._answer_and_close(431, f"a request's head has {MAX_HEAD} bytes at the most")

    def connection_lost(self, exc: Exception | None) -> None:
        self._remove()
        self._transport = None

    def abort(self) -> None:
        """Close the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def reject(self, why: str, status: int = 503) -> None:
        """Answer with an error and close the connection."""
        self._remove()
        self._answer_and_close(status, why)

    def _hand_over(self, to: asyncio.Protocol) -> None:
        self._remove()
        transport = self._transport
        assert transport is not None, "it has just sent something"
        head, self._head = bytes(self._head), bytearray()
        transport.set_protocol(to)
        to.connection_made(transport)
        to.data_received(head)

    def _remove(self) -> None:
        self._admission.pending.remove(self)

    def _answer_and_close(self, status: int, text: str) -> None:
        """Send an answer and close.

        Abort if the peer does not read it or TLS is not established.
        """
        transport = self._transport
        if transport is None:
            return
        if not self._is_plain:
            transport.abort()
            return
        transport.write(_response(status, text))
        transport.close()
        asyncio.get_running_loop().call_later(1.0, transport.abort)


_REASONS = {
    408: "Request Timeout",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}


def _response(status: int, text: str) -> bytes:
    """Return a complete HTTP response with one line of text."""
    body = f"{text}\n".encode()
    retry = f"Retry-After: {_RETRY_S}\r\n" if status == 503 else ""
    ours = "".join(f"{name}: {value}\r\n" for name, value in HUB_HEADERS)
    head = (
        f"HTTP/1.1 {status} {_REASONS[status]}\r\n{ours}{retry}Content-Type: text/plain\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


def is_upgrade(head: bytes) -> bool:
    """Whether the request asks for a WebSocket."""
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"upgrade" and b"websocket" in value.lower():
            return True
    return False


def is_unix(transport: asyncio.BaseTransport) -> bool:
    """Whether the connection uses a Unix socket."""
    sock = transport.get_extra_info("socket")
    return sock is not None and sock.family == socket.AF_UNIX
