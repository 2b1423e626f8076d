"""The bell: the hint "something changed", between processes. It carries no data and may be lost.

Whoever waits reads the store whether the bell or a time-out woke it, so a ring that is dropped,
repeated or forged costs latency only. A listener is drained before the store is read: a ring that
comes during the read wakes the next one.
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
    """One who waits for the bell.

    Implementers guarantee: `fileno` is readable after a ring until `drain`; nothing ever blocks a
    ringer; `close` may be called twice and leaves nothing behind.
    """

    def fileno(self) -> int:
        """The descriptor to wait on (``select``, ``loop.add_reader``)."""

    def drain(self) -> int:
        """Take the rings that wait, in a flood not all of them; how many there were."""

    def wait(self, timeout_s: float) -> bool:
        """Wait for a ring and drain; ``False`` after the time-out."""

    def close(self) -> None:
        """Stop listening."""


class Bell(Protocol):
    """Where changes are announced: `ring` never blocks and never fails; it counts what it lost."""

    lost: int

    def ring(self) -> None:
        """Wake every listener, in this process and others."""

    def listen(self) -> Listener:
        """A new listener."""


class SocketListener:
    """Rings come as datagrams; ``forget`` is called once, after the socket is closed."""

    def __init__(self, sock: socket.socket, forget: Callable[[], None]) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._forget: Callable[[], None] | None = forget

    def fileno(self) -> int:
        return self._socket.fileno()

    def drain(self) -> int:
        rings = 0
        with suppress(BlockingIOError, ConnectionError):
            while rings < _MAX_DRAIN:  # of a flood, what is left wakes the next wait
                self._socket.recv(16)
                rings += 1
        return rings

    def wait(self, timeout_s: float) -> bool:
        if self._socket.fileno() < 0:
            return False
        # Not select(): in a process with a thousand connections it refuses our descriptor.
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
                    self.lost += 1  # it has rings enough to wake it, or is closing

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
        """Let go of the descriptors; listeners that are left hear nothing any more."""
        with self._guard:
            ringers, self._ringers = self._ringers, set()
        for ringer in ringers:
            ringer.close()
