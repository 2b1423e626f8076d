"""Writes to a terminal without waiting for it, and without changing what its other users see."""

from __future__ import annotations

import os
import select
import time
from contextlib import suppress

__all__ = ["Output"]

_PIECE = 64  # bytes, written where the terminal cannot be opened again


class Output:
    """A terminal to write to: what it does not take at once waits in `pending`.

    The terminal is opened anew, because ``O_NONBLOCK`` on the given descriptor would also hold for
    the shell and all others that share it. If that is not allowed (the terminal of another user),
    small pieces are written while it is ready.
    """

    def __init__(self, fd: int) -> None:
        own = _opened_again(fd)
        self._is_own = own is not None
        self.fd = own if own is not None else fd
        self.pending = b""
        self.written = 0
        """Bytes that the terminal has taken."""

    def close(self) -> None:
        """Close our descriptor."""
        if self._is_own:
            os.close(self.fd)

    def send(self, data: bytes) -> bool:
        """Add the bytes to those that wait, and write; return whether all is written."""
        self.pending += data
        return self.flush()

    def flush(self) -> bool:
        """Write as much as the terminal takes now; return whether all is written.

        Raise `OSError` if the terminal is gone.
        """
        while self.pending:
            try:
                if self._is_own:
                    written = os.write(self.fd, self.pending)
                elif _ready(self.fd, 0):
                    written = os.write(self.fd, self.pending[:_PIECE])
                else:
                    return False
            except BlockingIOError:
                return False
            self.pending = self.pending[written:]
            self.written += written
        return True

    def send_within(self, data: bytes, seconds: float) -> bool:
        """Write all that waits and these bytes; return whether it was done within this time."""
        deadline_s = time.monotonic() + seconds
        with suppress(OSError):
            done = self.send(data)
            while not done and (left_s := deadline_s - time.monotonic()) > 0:
                _ready(self.fd, left_s)
                done = self.flush()
                if not done:
                    time.sleep(0.005)  # a terminal may be ready for less than a sequence
            return done
        return False


def _ready(fd: int, timeout_s: float) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    return bool(poll.poll(timeout_s * 1000))


def _opened_again(fd: int) -> int | None:
    """Return a descriptor of our own for the same terminal."""
    with suppress(OSError):
        device = os.fstat(fd).st_rdev
        own = os.open(os.ttyname(fd), os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        if os.fstat(own).st_rdev == device:
            return own
        os.close(own)
    return None
