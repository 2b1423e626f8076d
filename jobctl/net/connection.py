"""One WebSocket connection of the hub, as the sweep and the pump need it.

websockets' own ``send``, ``close`` and keepalive wait in ``drain()`` for a paused peer, so none of
them is used: prebuilt frames go straight to the transport while the state is OPEN (its state
machine cares for pings, pongs and closes only), and back-pressure is a callback.
"""

from __future__ import annotations

import asyncio
import collections
import fcntl
import socket
import struct
import termios
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

from websockets.asyncio.server import Server, ServerConnection
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from jobctl.cursor import ZERO
from jobctl.filters import EVERYTHING
from jobctl.net.door import Rights
from jobctl.protocol import Subscribe

__all__ = ["HubConnection", "deflated_frame", "text_frame", "untaken"]

_SEND_BUFFER = 64 * 1024
"""SO_SNDBUF: without it the kernel hoards megabytes of stale versions for a stalled client."""


_WINDOW_S = 10


_LEAST_DEFLATED = 256  # bytes: below that it is not worth the while
_WINDOW_BITS = 15


def untaken(transport: asyncio.WriteTransport) -> int:
    """Bytes that the peer has not taken, be they with us or with the system, where that tells."""
    sock = transport.get_extra_info("socket")
    queued = 0
    with suppress(OSError, ValueError, AttributeError):
        queued = struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0" * 4))[0]
    return transport.get_write_buffer_size() + queued


def text_frame(message: bytes) -> bytes:
    """The message as one unmasked, uncompressed text frame."""
    return Frame(Opcode.TEXT, message).serialize(mask=False)


def deflated_frame(message: bytes) -> bytes:
    """The message as one compressed text frame, for all who negotiated it; a small one as it is.

    It depends on nothing that was sent before (``server_no_context_takeover``, RFC 7692), so that
    one frame does for everybody.
    """
    if len(message) < _LEAST_DEFLATED:
        return text_frame(message)
    deflate = zlib.compressobj(wbits=-_WINDOW_BITS)
    data = deflate.compress(message) + deflate.flush(zlib.Z_SYNC_FLUSH)
    # By hand: the library lets no frame with a reserved bit through but its extensions'.
    head, size = 0xC1, len(data) - 4
    if size < 126:
        start = bytes((head, size))
    elif size < 65536:
        start = struct.pack("!BBH", head, 126, size)
    else:
        start = struct.pack("!BBQ", head, 127, size)
    return start + data[:-4]


class HubConnection(ServerConnection):
    """A connection that tells its hub when it stalls and recovers, and when it was last heard."""

    # Slots, since the library's own attributes just fit into a dictionary that shares its keys with
    # all others of the class (30 in CPython), which saves 1.2 KiB.
    __slots__ = (
        "_pinged",
        "_unsent",
        "_window",
        "heard_s",
        "on_made",
        "on_recover",
        "on_stall",
        "opened_at",
        "peer_uid",
        "rights",
        "sent_bytes",
        "session_id",
        "subscribe",
    )

    def __init__(self, protocol: ServerProtocol, server: Server, **options: Any) -> None:
        super().__init__(protocol, server, **options)
        # Keys that come later than other instances do are not shared.
        self.recv_messages = self.transport = cast("Any", None)
        self.session_id = 0
        self.on_made: Callable[[HubConnection], None] | None = None
        self.on_stall: Callable[[int], None] | None = None
        self.on_recover: Callable[[int], None] | None = None
        self.heard_s = self.loop.time()
        self.subscribe = Subscribe(ZERO, EVERYTHING)
        self._unsent = 0
        self._pinged = False
        self._window = (0, 0)
        self.peer_uid: int | None = None
        self.rights: Rights | None = None
        self.opened_at = ""
        self.sent_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
            if sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().connection_made(transport)
        if self.on_made is not None:
            self.on_made(self)

    def data_received(self, data: bytes) -> None:
        self.heard_s = self.loop.time()
        self._pinged = False
        super().data_received(data)

    @property
    def deflates(self) -> bool:
        """Whether the client takes `deflated_frame`."""
        for extension in self.protocol.extensions:
            if isinstance(extension, PerMessageDeflate):
                return extension.local_max_window_bits == _WINDOW_BITS
        return False

    def forget_handshake(self) -> None:
        """Let go of what only the opening needed, several KiB; once the state is OPEN."""
        if self.request is not None:
            self.request.headers.clear()  # the request itself the protocol's parser keeps
        self.response = None
        # A deque takes 600 bytes when it is empty, and this one stays so: nobody drains.
        self.drain_waiters = cast("collections.deque[asyncio.Future[None]]", [])

    def pause_writing(self) -> None:
        super().pause_writing()
        if self.on_stall is not None:
            self.on_stall(self.session_id)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.on_recover is not None:
            self.on_recover(self.session_id)

    def write_frames(self, frames: bytes) -> None:
        """Hand prebuilt frames to the transport; for one that is closing, nothing."""
        if self.protocol.state is State.OPEN:
            self.transport.write(frames)
            self.sent_bytes += len(frames)

    def talks_too_fast(self, most: int) -> bool:
        """To be asked for each message: whether more than so many a second came for ten seconds."""
        window, count = self._window
        now = int(self.loop.time() / _WINDOW_S)
        self._window = (now, count + 1 if now == window else 1)
        return self._window[1] > most * _WINDOW_S

    def ping_if_quiet(self, quiet_s: float) -> None:
        """Ask for a sign of life after so long a silence; once, until one comes."""
        if (
            not self._pinged
            and self.protocol.state is State.OPEN
            and self.loop.time() - self.heard_s >= quiet_s
        ):
            self._pinged = True
            self.protocol.send_ping(b"jobctl")
            self.send_data()

    def silent_s(self) -> float:
        """How long the peer has neither said anything nor taken any of what waits for it.

        A slow reader's pong waits behind the data, so data that moves is a sign of life too.
        """
        unsent = untaken(self.transport)
        if unsent < self._unsent:
            self.heard_s = self.loop.time()
        self._unsent = unsent
        return self.loop.time() - self.heard_s

    def say_goodbye(self, code: int, reason: str) -> None:
        """Send a close frame without waiting for anything."""
        if self.protocol.state is State.OPEN:
            self.protocol.send_close(code, reason)
            self.send_data()
