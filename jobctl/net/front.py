"""The front of the port: WebSockets and plain HTTP come in by the same door.

Whoever connects sends the head of a request first. `Front` reads it, bounded in size and time, and
then hands the connection on, whole: an upgrade to websockets, everything else to aiohttp. Until
then it costs no more than its bytes, and it is counted, so that half-open handshakes have a limit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["HEAD_TIMEOUT_S", "MAX_HEAD", "Front", "Gate", "is_upgrade"]

MAX_HEAD = 16 * 1024
"""Bytes of a request's head, cookies and all."""
HEAD_TIMEOUT_S = 8.0

_END = b"\r\n\r\n"


class Gate:
    """Lets ``max_connections`` of all kinds in; the rest gets 503.

    ``others`` says how many there are beside those that are still in front.
    """

    def __init__(self, max_connections: int, others: Callable[[], int]) -> None:
        self.max_connections = max_connections
        self.fronts: set[Front] = set()
        self.refused = 0
        self._others = others
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether the hub goes away."""
        return self._closed

    @property
    def full(self) -> bool:
        """Whether the next one is one too many."""
        return len(self.fronts) + self._others() >= self.max_connections

    def close(self) -> None:
        """Cut all that are still in front, and whoever was accepted just now and is yet to come."""
        self._closed = True
        for front in list(self.fronts):
            front.abort()


class Front(asyncio.Protocol):
    """Reads a request's head, and hands the connection on.

    ``choose`` gets the head, and gives the protocol that takes over.
    """

    def __init__(
        self, choose: Callable[[bytes], asyncio.Protocol], gate: Gate, protocol: object
    ) -> None:
        self.protocol = protocol  # where websockets looks for it, having made us for a connection
        self._choose, self._gate = choose, gate
        self._head = bytearray()
        self._read_bytes = 0
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport), "it is a stream"
        self._transport = transport
        if self._gate.closed:
            transport.abort()
            return
        if self._gate.full:
            self._gate.refused += 1
            self._end(_answer(503, "too many connections; come back later", retry_s=5))
            return
        self._gate.fronts.add(self)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(HEAD_TIMEOUT_S, self._late)

    def data_received(self, data: bytes) -> None:
        if self not in self._gate.fronts:
            return  # it has its answer
        self._read_bytes += len(data)
        self._head = (self._head + data).lstrip(b"\r\n")  # blank lines: RFC 9112, section 2.2
        if _END in self._head:
            self._hand_on(self._choose(bytes(self._head)))
        elif self._read_bytes > MAX_HEAD:
            self._leave()
            self._end(_answer(431, f"a request's head has {MAX_HEAD} bytes at the most"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()
        self._transport = None

    def abort(self) -> None:
        """Cut it."""
        if self._transport is not None:
            self._transport.abort()

    def _hand_on(self, to: asyncio.Protocol) -> None:
        self._leave()
        transport = self._transport
        assert transport is not None, "it has just sent something"
        head, self._head = bytes(self._head), bytearray()
        transport.set_protocol(to)
        to.connection_made(transport)
        to.data_received(head)

    def _late(self) -> None:
        self._leave()
        self._end(_answer(408, "no request came"))

    def _leave(self) -> None:
        self._gate.fronts.discard(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end(self, answer: bytes) -> None:
        """Answer, and close; whoever does not take the answer is cut."""
        transport = self._transport
        if transport is not None:
            transport.write(answer)
            transport.close()
            asyncio.get_running_loop().call_later(1.0, transport.abort)


_REASONS = {
    408: "Request Timeout",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}


def _answer(status: int, text: str, *, retry_s: int | None = None) -> bytes:
    """A whole HTTP answer of one line, after which the connection is closed."""
    body = f"{text}\n".encode()
    retry = f"Retry-After: {retry_s}\r\n" if retry_s is not None else ""
    head = (
        f"HTTP/1.1 {status} {_REASONS[status]}\r\n{retry}Content-Type: text/plain\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


def is_upgrade(head: bytes) -> bool:
    """Whether the request wants to become a WebSocket."""
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"upgrade" and b"websocket" in value.lower():
            return True
    return False
