"""One WebSocket connection of the hub: the sans-I/O protocol of websockets on an asyncio transport.

A connection has no task of its own. It calls its hub when something happens (`ConnectionEvents`):
`connected`, then `requested`. The hub answers the handshake with `HubConnection.answer`. Messages
are kept until the hub calls `HubConnection.release`, because the session opens later. At the end
comes `lost`.

A frame is built once for all clients that get it. What a client's socket does not accept at once
waits here as a view of the shared bytes. asyncio before Python 3.12 would copy it into a buffer of
the client's transport, which for one page and 5,000 clients took hundreds of MiB.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import socket
import struct
import termios
import zlib
from collections.abc import Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Protocol, cast

from websockets.extensions import ServerExtensionFactory
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from jobctl.core.cursor import ZERO, Cursor, store_cursor
from jobctl.core.filters import EVERYTHING
from jobctl.core.protocol import HUB_HEADERS, MAX_FROM_CLIENT, SUBPROTOCOL, Dialect, Subscribe
from jobctl.hub.admission import is_unix
from jobctl.hub.handshake import Opening, Terms, explained, opening_of, read_opening
from jobctl.hub.rights import Grant

__all__ = ["ConnectionEvents", "HubConnection", "deflated_frame", "text_frame", "unsent_bytes"]

CLOSE_TIMEOUT_S = 1.0
"""How long a peer may take to answer a close frame, or to hang up after a refusal."""

_SEND_BUFFER = 64 * 1024
"""SO_SNDBUF: without it the kernel buffers megabytes of old versions for a stalled client."""

_TLS_CHUNK = 16 * 1024  # the bytes of one TLS record
_MAX_EARLY = 4  # messages that are kept before no more is read
_WINDOW_S = 10
_MAX_ALLOWED = 4096  # pages that a client may acknowledge at once
_MIN_DEFLATED = 256  # bytes: smaller messages are not worth compressing
_WINDOW_BITS = 15
_PONG = 0x80 | Opcode.PONG
_MESSAGE = (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)


def unsent_bytes(transport: asyncio.WriteTransport) -> int:
    """Return how many bytes the peer has not received, in our buffer and in the kernel's."""
    sock = transport.get_extra_info("socket")
    queued = 0
    with suppress(OSError, ValueError, AttributeError):
        queued = struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0" * 4))[0]
    return transport.get_write_buffer_size() + queued


def text_frame(message: bytes) -> bytes:
    """Return the message as one unmasked, uncompressed text frame."""
    return Frame(Opcode.TEXT, message).serialize(mask=False)


def deflated_frame(message: bytes) -> bytes:
    """Return the message as one compressed text frame; a small message stays uncompressed.

    The frame does not depend on earlier messages (``server_no_context_takeover``, RFC 7692), so all
    clients that negotiated compression share it.
    """
    if len(message) < _MIN_DEFLATED:
        return text_frame(message)
    deflate = zlib.compressobj(wbits=-_WINDOW_BITS)
    data = deflate.compress(message) + deflate.flush(zlib.Z_SYNC_FLUSH)
    # Built by hand: the library accepts reserved bits only from its own extensions.
    head, size = 0xC1, len(data) - 4
    if size < 126:
        start = bytes((head, size))
    elif size < 65536:
        start = struct.pack("!BBH", head, 126, size)
    else:
        start = struct.pack("!BBQ", head, 127, size)
    return start + data[:-4]


class ConnectionEvents(Protocol):
    """Callbacks of a connection to its hub. All come from the event loop, and none may wait."""

    def connected(self, connection: HubConnection) -> None:
        """The connection has its transport."""

    def requested(self, connection: HubConnection, opening: Opening) -> None:
        """A complete request arrived: call `HubConnection.answer` now or later."""

    def received(self, connection: HubConnection, message: str | bytes) -> None:
        """A message arrived."""

    def stalled(self, connection: HubConnection) -> None:
        """The socket accepts no more; what is written now waits."""

    def recovered(self, connection: HubConnection) -> None:
        """The kernel has accepted all that was written."""

    def lost(self, connection: HubConnection) -> None:
        """The connection has ended."""


class _ServerProtocol(ServerProtocol):
    """The library's protocol.

    Selects ``jobctl.v1`` if the client offers it, else no subprotocol. Every response has the
    headers of a hub, those that the library makes itself too.
    """

    def select_subprotocol(self, subprotocols: Sequence[Subprotocol]) -> Subprotocol | None:
        return Subprotocol(SUBPROTOCOL) if SUBPROTOCOL in subprotocols else None

    def send_response(self, response: Response) -> None:
        response.headers.update(HUB_HEADERS)
        super().send_response(response)


class HubConnection(asyncio.Protocol):
    """A WebSocket connection, from the head of its request to its end."""

    __slots__ = (
        "_allowed",
        "_asked",
        "_dismissed",
        "_early",
        "_eof_due",
        "_events",
        "_extensions",
        "_fd",
        "_first",
        "_handed",
        "_held",
        "_leaving",
        "_logger",
        "_loop",
        "_parts",
        "_ping_sent",
        "_rest",
        "_taken",
        "_unwritten",
        "_window",
        "grant",
        "last_seen_s",
        "opened_at",
        "paused",
        "peer_uid",
        "protocol",
        "same_origin",
        "sent_bytes",
        "session_id",
        "subscribe",
        "transport",
        "unread_answers",
        "url",
    )

    def __init__(
        self,
        events: ConnectionEvents,
        extensions: Sequence[ServerExtensionFactory],
        logger: logging.Logger,
        peer_uid: int | None = None,
    ) -> None:
        self.protocol: _ServerProtocol | None = None  # until it is known who reads the request
        self.transport = cast("asyncio.Transport", None)  # until `connection_made`
        self.peer_uid = peer_uid
        self.grant: Grant | None = None
        self.same_origin = True
        """Whether no page of another origin opened the connection."""
        self.unread_answers = 0
        """How many answers to acts were written since the socket was last writable."""
        self.subscribe = Subscribe(ZERO, EVERYTHING)
        self.session_id = 0
        self.opened_at = ""
        self.url = ""
        """The URL of the request as the log shows it; empty until it is needed."""
        self.sent_bytes = 0
        self.paused = False
        """Whether the transport has asked for no more data."""
        self._events = events
        self._extensions, self._logger = extensions, logger
        self._asked = False
        self._rest = b""
        self._loop = asyncio.get_running_loop()
        self.last_seen_s = self._loop.time()
        self._fd = -1  # of a socket that may be written to past its transport; there is none yet
        self._unwritten: list[bytes | memoryview] = []
        self._eof_due = False  # close our side once all is written
        self._handed = 0  # bytes that the transport or the socket has accepted
        self._taken = 0  # those of them that the peer had received at the last look
        self._leaving = False  # the end is timed
        self._dismissed = False  # its messages are ignored
        self._held = True  # its messages are kept until the session is open
        self._early: list[str | bytes] = []
        self._first: asyncio.Future[str | bytes] | None = None
        self._parts: tuple[Opcode, bytearray] | None = None  # of a fragmented message
        self._ping_sent = False
        self._window = (0, 0)
        self._allowed = 0  # messages that the client may send beyond its rate

    # -- properties ---------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether messages may be sent: after the handshake, before either side closes."""
        return self.protocol is not None and self.protocol.state is State.OPEN

    @property
    def closed_by(self) -> tuple[int | None, str | None]:
        """The code and the reason of the close frame, once the connection is lost."""
        if self.protocol is None:
            return None, None
        return self.protocol.close_code, self.protocol.close_reason

    @property
    def dialect(self) -> Dialect:
        """The dialect that the client asked for; known once the connection is open."""
        v1 = self.protocol is not None and self.protocol.subprotocol == SUBPROTOCOL
        return Dialect.V1 if v1 else Dialect.PLAIN

    @property
    def details(self) -> bool:
        """Whether the client may see command lines."""
        return self.grant is not None and self.grant.details

    @property
    def cursor(self) -> Cursor:
        """The cursor that the client sent, as a cursor of the hub's replica."""
        return store_cursor(self.subscribe.cursor, details=self.details)

    @property
    def peer(self) -> str:
        """The peer's address and port, ``unix``, or ``?`` if unknown."""
        if is_unix(self.transport):
            return "unix"
        address = self.transport.get_extra_info("peername")
        return f"{address[0]}:{address[1]}" if isinstance(address, tuple) else "?"

    @property
    def is_secure(self) -> bool:
        """Whether the connection uses our TLS."""
        return self.transport.get_extra_info("sslcontext") is not None

    @property
    def deflates(self) -> bool:
        """Whether the client accepts `deflated_frame`."""
        for extension in self.protocol.extensions if self.protocol is not None else ():
            if isinstance(extension, PerMessageDeflate):
                return extension.local_max_window_bits == _WINDOW_BITS
        return False

    # -- the handshake ------------------------------------------------------------------------

    def answer(
        self,
        opening: Opening,
        refused: Response | None = None,
        more: Sequence[tuple[str, str]] = (),
    ) -> None:
        """Answer the handshake: refuse it, or accept it with ``more`` headers.

        `is_open` says whether the connection is open now. It is not if the request has a mistake,
        which is said to the client, or if the client has gone.
        """
        if self.transport.is_closing():
            return
        if opening.terms is not None:
            if refused is None:
                self._accept(opening.terms, more)
                return
            self.protocol = self._new_protocol(State.CONNECTING)
        protocol = self.protocol
        assert protocol is not None, "it has read the request"
        response = refused
        if opening.raw is not None:
            if response is None:
                response = explained(protocol.accept(opening.raw))
                if response.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
                    response.headers.update(more)
            opening.raw.headers.clear()  # several KiB of a browser's, which the parser would keep
        assert response is not None, "there are terms, or a raw request"
        if protocol.state is State.CONNECTING and not protocol.eof_sent:
            protocol.send_response(response)
            self._send()

    def _accept(self, terms: Terms, more: Sequence[tuple[str, str]]) -> None:
        data, extensions = terms.answer(self._extensions, more)
        self.protocol = protocol = self._new_protocol(State.OPEN)
        protocol.extensions = extensions
        if terms.subprotocol is not None:
            protocol.subprotocol = Subprotocol(terms.subprotocol)
        self._write(data)
        rest, self._rest = self._rest, b""
        if rest:
            self._read(rest)

    def _new_protocol(self, state: State) -> _ServerProtocol:
        return _ServerProtocol(
            extensions=self._extensions, state=state, max_size=MAX_FROM_CLIENT, logger=self._logger
        )

    # -- messages from the client -------------------------------------------------------------

    def hold(self) -> None:
        """Keep messages from now on until `release`; stop reading after a few of them."""
        self._held = True

    def release(self) -> None:
        """Report the messages that were kept, in order, and from now on each message at once."""
        self._held = False
        while self._early and not self._held:
            self._events.received(self, self._early.pop(0))
        if not self._early and not self.transport.is_closing():
            self.transport.resume_reading()

    def first_message(self) -> asyncio.Future[str | bytes]:
        """Return a future of the next message, while all others are kept.

        It raises `ConnectionError` if the connection is lost first.
        """
        self._first = self._loop.create_future()
        if self._early:
            self._first.set_result(self._early.pop(0))
        return self._first

    def _take(self, frame: Frame) -> None:
        """Add a frame to its message; report the message when it is complete."""
        if frame.opcode is Opcode.CONT:
            assert self._parts is not None, "the protocol lets no other through"
            opcode, parts = self._parts
            parts += frame.data
            data: bytes | bytearray | memoryview = parts
        elif frame.fin:
            opcode, data = frame.opcode, frame.data
        else:
            opcode, data = frame.opcode, bytearray(frame.data)
            self._parts = (opcode, data)
        if not frame.fin or self._dismissed:
            return
        self._parts = None
        try:
            message = bytes(data) if opcode is Opcode.BINARY else str(data, "utf-8")
        except UnicodeDecodeError as error:
            reason = f"{error.reason} at position {error.start}"
            assert self.protocol is not None, "it has read the frame"
            self.protocol.fail(CloseCode.INVALID_DATA, reason)
            self._send()
            return
        if self._first is not None and not self._first.done():
            self._first.set_result(message)
        elif not self._held:
            self._events.received(self, message)
        else:
            self._early.append(message)
            if len(self._early) > _MAX_EARLY:
                self.transport.pause_reading()

    def exceeds_message_rate(self, limit: int) -> bool:
        """Count a message; return whether more than ``limit`` a second arrived for ten seconds.

        One message for each page that was written is not counted: clients acknowledge pages.
        """
        if self._allowed:
            self._allowed -= 1
            return False
        window, count = self._window
        now = int(self._loop.time() / _WINDOW_S)
        self._window = (now, count + 1 if now == window else 1)
        return self._window[1] > limit * _WINDOW_S

    # -- to the client ------------------------------------------------------------------------

    def write_frames(self, frames: bytes) -> None:
        """Write prebuilt frames; do nothing if the connection is closing."""
        if self.is_open:
            self._write(frames)
            self.sent_bytes += len(frames)

    def write_page(self, frames: bytes) -> None:
        """Write the frames of one page, and allow the client a message for it."""
        self.write_frames(frames)
        self._allowed = min(_MAX_ALLOWED, self._allowed + 1)

    def send_close_frame(self, code: int, reason: str) -> None:
        """Send a close frame and hear no more messages. Does not wait.

        A peer that is still there after `CLOSE_TIMEOUT_S` is cut, one whose handshake has no answer
        yet at once.
        """
        self._dismissed = True
        protocol = self.protocol
        if protocol is None or protocol.state is State.CONNECTING:
            self.abort()
        elif protocol.state is State.OPEN:
            protocol.send_close(code, reason)
            self._send()

    def ping_if_quiet(self, quiet_s: float) -> None:
        """Send one ping after ``quiet_s`` seconds without a sign of life.

        While data waits to be written a ping would wait behind it, and tell nothing more.
        """
        if (
            not self._ping_sent
            and not self._unwritten
            and self.protocol is not None
            and self.protocol.state is State.OPEN
            and self._loop.time() - self.last_seen_s >= quiet_s
        ):
            self._ping_sent = True
            self.protocol.send_ping(b"jobctl")
            self._send()

    def silent_s(self) -> float:
        """Return for how many seconds the peer has neither sent nor received anything.

        A slow reader's pong waits behind the data, so data that is received counts as a sign of
        life.
        """
        taken = self._handed - unsent_bytes(self.transport)
        if taken > self._taken:
            self.last_seen_s = self._loop.time()
        self._taken = taken
        return self._loop.time() - self.last_seen_s

    def abort(self) -> None:
        """Close the connection at once."""
        self.transport.abort()

    def _send(self) -> None:
        """Write what the protocol has to send. If the connection should end now, time its end."""
        assert self.protocol is not None, "it has something to say"
        for data in self.protocol.data_to_send():
            if data:
                self._write(data)
            else:
                self._eof_due = True
                self._end_if_written()
        if not self._leaving and self.protocol.close_expected():
            self._leaving = True
            self._loop.call_later(CLOSE_TIMEOUT_S, self.abort)

    def _write(self, data: bytes) -> None:
        """Write after all that was written before; what the socket does not accept waits here."""
        waiting = self._unwritten
        if not waiting:
            rest = self._push(data)
            if rest:
                waiting.append(rest)
        elif len(waiting) > 1 and data[0] == _PONG == waiting[-1][0]:
            waiting[-1] = data  # only the last ping need be answered (RFC 6455, section 5.5.3)
        else:
            waiting.append(data)

    def _push(self, data: bytes | memoryview) -> bytes | memoryview:
        """Write as much as the socket accepts, without a copy; return the rest."""
        while data and not self.paused and not self.transport.is_closing():
            if self._fd < 0:
                sent = min(len(data), _TLS_CHUNK)
                self.transport.write(memoryview(data)[:sent])
            else:
                try:
                    sent = os.write(self._fd, data)
                except BlockingIOError:
                    sent = 0
                except OSError:
                    self.transport.write(data)  # it meets the same error, and ends the connection
                    return b""
                if sent < len(data):
                    # The transport is left with one byte: it calls `resume_writing` once the
                    # socket takes it.
                    self.transport.write(memoryview(data)[sent : sent + 1])
                    sent += 1
            self._handed += sent
            if sent == len(data):
                return b""
            data = memoryview(data)[sent:]
        return data

    def _end_if_written(self) -> None:
        """Close our side of the connection if that is due and all has been written."""
        if self._eof_due and not self._unwritten and not self.transport.is_closing():
            if self.transport.can_write_eof():
                self.transport.write_eof()
            else:
                self.transport.close()

    # -- asyncio's calls ----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport), "it is a stream"
        self.transport = transport
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        if not self.is_secure:
            transport.set_write_buffer_limits(0)
            if sock is not None:
                self._fd = sock.fileno()
        else:
            # With TLS asyncio takes a limit as passed when it is reached, and 0 always is.
            transport.set_write_buffer_limits(1, 0)
        self._events.connected(self)

    def data_received(self, data: bytes) -> None:
        self.last_seen_s = self._loop.time()
        self._ping_sent = False
        if self.protocol is not None:
            self._read(data)
        elif self._asked:
            self._rest += data  # the handshake has no answer yet
            if len(self._rest) > MAX_FROM_CLIENT:
                self.abort()
        elif (ordinary := read_opening(data)) is not None:
            self._asked = True
            opening, self._rest = ordinary
            self._events.requested(self, opening)
        else:
            self.protocol = self._new_protocol(State.CONNECTING)
            self._read(data)

    def _read(self, data: bytes) -> None:
        """Have the protocol read it, write what it answers, and take what it finds."""
        assert self.protocol is not None, "it reads"
        self.protocol.receive_data(data)
        events = self.protocol.events_received()
        self._send()
        for event in events:
            if isinstance(event, Request):
                self._events.requested(self, opening_of(event))
            elif isinstance(event, Frame) and event.opcode in _MESSAGE:
                self._take(event)

    def eof_received(self) -> None:
        if self.protocol is not None:
            self.protocol.receive_eof()
            self._send()

    def pause_writing(self) -> None:
        self.paused = True
        self._events.stalled(self)

    def resume_writing(self) -> None:
        self.paused = False
        self.unread_answers = 0
        while self._unwritten:
            rest = self._push(self._unwritten[0])
            if rest:
                self._unwritten[0] = rest
                return
            del self._unwritten[0]
        self._end_if_written()
        self._events.recovered(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fd = -1  # the number may soon be another's
        self._unwritten.clear()
        if self.protocol is not None:
            self.protocol.receive_eof()
        if self._first is not None and not self._first.done():
            self._first.set_exception(ConnectionError("the connection was lost"))
            self._first.exception()  # perhaps nobody waits any more
        self._events.lost(self)
