"""The bell: the hint "something changed", between processes. It carries no data and may be lost.

A listener reads the store after a ring and after a timeout, so a ring that is lost, repeated or
forged costs latency only. Drain the listener before you read the store: then a ring during the read
wakes the next wait.
"""

from __future__ import annotations

import select
import threading
from collections.abc import Callable
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Protocol
else:
    from jobctl._stdlib import Protocol

__all__ = ["Bell", "Listener", "MemoryBell"]

_MAX_DRAIN = 1000


class Listener(Protocol):
    """Waits for rings of the bell.

    Implementers guarantee: `fileno` is readable from a ring until `drain`; a listener never blocks
    whoever rings; `close` may be called twice and frees everything.
    """

    def fileno(self) -> int:
        """Return the descriptor to wait on (``select``, ``loop.add_reader``)."""

    def drain(self) -> int:
        """Take the rings that have arrived; return how many. A flood may need several calls."""

    def wait(self, timeout_s: float) -> bool:
        """Wait for a ring and drain; return ``False`` after the timeout."""

    def close(self) -> None:
        """Stop listening."""


class Bell(Protocol):
    """Announces changes. `ring` never blocks and never raises.

    ``lost`` counts rings that were lost.
    """

    lost: int

    def ring(self) -> None:
        """Wake all listeners, in this process and in others."""

    def listen(self) -> Listener:
        """Return a new listener."""


class SocketListener:
    """Gets rings as datagrams. ``forget`` is called once, after the socket is closed."""

    def __init__(self, sock: socket.socket, forget: Callable[[], None]) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._forget: Callable[[], None] | None = forget

    def fileno(self) -> int:
        return self._socket.fileno()

    def drain(self) -> int:
        rings = 0
        with suppress(BlockingIOError, ConnectionError):
            while rings < _MAX_DRAIN:  # the rest of a flood wakes the next wait
                self._socket.recv(16)
                rings += 1
        return rings

    def wait(self, timeout_s: float) -> bool:
        if self._socket.fileno() < 0:
            return False
        # Not select(): it cannot handle descriptors above 1023.
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        poll.poll(max(0.0, timeout_s) * 1000)
        return self.drain() > 0

    def close(self) -> None:
        self._socket.close()
        forget, self._forget = self._forget, None
        if forget is not None:
            forget()


class MemoryBell:
    """A bell within one process."""

    def __init__(self) -> None:
        self.lost = 0
        self._guard = threading.Lock()
        self._ringers: set[socket.socket] = set()

    def ring(self) -> None:
        with self._guard:
            for ringer in self._ringers:
                try:
                    ringer.send(b"!")
                except OSError:
                    self.lost += 1  # its queue is full, so it will wake anyway; or it is closing

    def listen(self) -> Listener:
        import socket

        ringer, heard = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        ringer.setblocking(False)
        with self._guard:
            self._ringers.add(ringer)
        return SocketListener(heard, lambda: self._drop(ringer))

    def _drop(self, ringer: socket.socket) -> None:
        with self._guard:
            self._ringers.discard(ringer)
        ringer.close()

    def close(self) -> None:
        """Close the descriptors; remaining listeners get no more rings."""
        with self._guard:
            ringers, self._ringers = self._ringers, set()
        for ringer in ringers:
            ringer.close()
