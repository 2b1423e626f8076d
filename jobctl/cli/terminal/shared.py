"""What the supervisor needs to restore the terminal, in memory that both processes share."""

from __future__ import annotations

import fcntl
import marshal
import mmap
import os
import tempfile
import termios
from contextlib import suppress

from jobctl.cli.terminal.guard import Guard
from jobctl.cli.terminal.modes import ABORT, LEAVE, Modes, in_foreground, restore_modes

__all__ = ["SharedState"]

_SIZE = 4096
_LENGTH = 2  # bytes
_MAX_TEXT = 64 * 1024
_POLL_MS = 500


class SharedState:
    """Whether the terminal is taken, its modes before, and what was written to standard error.

    Text on standard error would be lost with the alternate screen, so it is kept until the end. One
    process writes, the other reads after that one has stopped or ended.
    """

    def __init__(self) -> None:
        self._page = mmap.mmap(-1, _SIZE)
        if hasattr(os, "memfd_create"):
            self.errors_fd = os.memfd_create("jobctl-errors", os.MFD_CLOEXEC)
        else:
            with tempfile.TemporaryFile() as file:
                self.errors_fd = os.dup(file.fileno())
        flags = fcntl.fcntl(self.errors_fd, fcntl.F_GETFL)
        fcntl.fcntl(self.errors_fd, fcntl.F_SETFL, flags | os.O_APPEND)
        self.guard: Guard | None = None
        self.supervisor_fd: int | None = None
        """Readable when the supervisor has ended; ``None`` without a supervisor."""

    def take(self, modes: Modes) -> None:
        """Record that the terminal is about to be taken, and its modes."""
        data = marshal.dumps(modes)
        assert len(data) <= _SIZE - _LENGTH, "modes take 200 bytes"
        self._page[_LENGTH : _LENGTH + len(data)] = data
        self._page[:_LENGTH] = len(data).to_bytes(_LENGTH, "big")
        if self.guard is not None:
            self.guard.tell(taken=True)

    def release(self) -> None:
        """Record that the terminal is restored."""
        self._page[:_LENGTH] = bytes(_LENGTH)
        if self.guard is not None:
            self.guard.tell(taken=False)

    @property
    def modes(self) -> Modes | None:
        """The modes to restore; ``None`` if the terminal is not taken."""
        length = int.from_bytes(self._page[:_LENGTH], "big")
        if not length:
            return None
        modes: Modes = marshal.loads(self._page[_LENGTH : _LENGTH + length])  # noqa: S302 - ours
        return modes

    def errors(self) -> bytes:
        """Return and forget what was written to standard error; at most its last 64 KiB."""
        with suppress(OSError):
            length = os.fstat(self.errors_fd).st_size
            data = os.pread(self.errors_fd, _MAX_TEXT, max(0, length - _MAX_TEXT))
            os.ftruncate(self.errors_fd, 0)
            return data
        return b""

    def restore(self, fd: int, error_fd: int) -> None:
        """Restore the terminal for a process that could not, if it is ours; print its errors."""
        modes = self.modes
        if modes is None or not in_foreground(fd):
            return
        if not _takes_output(fd, 0):  # a slow terminal: what is on its way is no longer of use
            with suppress(termios.error):
                termios.tcflush(fd, termios.TCOFLUSH)
        _write_soon(fd, (ABORT + LEAVE).encode())
        restore_modes(fd, modes)
        self.release()
        _write_soon(error_fd, self.errors())


def _write_soon(fd: int, data: bytes) -> None:
    """Write what the terminal takes; a stopped terminal (Ctrl-S) does not block us for ever."""
    with suppress(OSError):
        while data and _takes_output(fd, _POLL_MS):
            data = data[os.write(fd, data[:256]) :]


def _takes_output(fd: int, timeout_ms: int) -> bool:
    import select

    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    return bool(poll.poll(timeout_ms))
