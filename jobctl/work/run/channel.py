"""Passes a command's output on unchanged, through a pipe, and hands a copy to whoever keeps it."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import sys
import termios
import threading
from collections.abc import Callable
from contextlib import suppress
from time import monotonic

__all__ = ["Channel"]

_CHUNK = 64 * 1024
_PIPE_SIZE = 1024 * 1024
_KEPT = 16 * 1024
_LINGER_S = 0.3
_MAX_LINGER_S = 2.0
_READER_GONE = {errno.EPIPE, errno.EBADF, errno.EIO, errno.ENXIO, errno.ECONNRESET}
_GONE = select.POLLERR | select.POLLHUP | select.POLLNVAL


class Channel:
    """Passes data from ``child_fd``, which the command gets, to ``out_fd``.

    It may stand for several of the command's descriptors that lead to the same place. ``stream`` is
    its name in the log. Call `start` before the command starts, `hand_over` once it has, and
    `close` at the end.
    """

    def __init__(self, stream: str, out_fd: int, take: Callable[[str, bytes], None] | None) -> None:
        self.stream = stream
        self._out, self._take = out_fd, take
        self._read, self.child_fd = self._open_ends()
        self._ended = threading.Event()
        self._guard = threading.Lock()
        self._taken = self._relayed = self._owed = 0  # bytes
        self._stopped = self._closed = False
        self._wake_read, self._wake = os.pipe()
        self._tail = b""
        self._last_s = self._ended_s = 0.0
        self._thread = threading.Thread(target=self._run, name="jobctl-relay", daemon=True)

    def _open_ends(self) -> tuple[int, int]:
        read, write = os.pipe()
        with suppress(OSError, AttributeError):
            fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
        return read, write

    def start(self) -> None:
        """Start to pass data on. RuntimeError if there can be no thread."""
        self._thread.start()

    def hand_over(self) -> None:
        """Close our copy of the command's end: the command has been started with it."""
        os.close(self.child_fd)
        self.child_fd = -1

    def begin_end(self) -> None:
        """Note that the command has ended: what it wrote by now is passed on in any case."""
        self._owed, self._ended_s = self._bytes_to_relay(), monotonic()
        self._last_s = self._ended_s

    def wait_until_idle(self) -> None:
        """Wait until what is written by now has been passed on, for 0.3 s at most."""
        owed, end_s = self._bytes_to_relay(), monotonic() + _LINGER_S
        while self._relayed < owed and not self._ended.wait(0.002) and monotonic() < end_s:
            pass

    def has_ended(self, wait_s: float) -> bool:
        """Whether everything was passed on, or enough of what the command's children write.

        The command's own output is passed on completely, however slow the reader is. Output of a
        process that it left behind is passed on until there is a short pause, for two seconds at
        most.
        """
        if not self._thread.is_alive() or self._ended.wait(wait_s):
            return True
        now_s = monotonic()
        silent = now_s - self._last_s > _LINGER_S
        late = now_s - self._ended_s > _MAX_LINGER_S
        return self._relayed >= self._owed and (silent or late)

    def stop(self) -> None:
        """Pass nothing on any more."""
        if self._thread.is_alive() and not self._ended.is_set():
            self._stopped = True
            os.write(self._wake, b"!")
            self._ended.wait(_LINGER_S)

    def _bytes_to_relay(self) -> int:
        """Return how many bytes have been written in total."""
        waiting = b"\0" * 4
        with self._guard, suppress(OSError):
            if self._read >= 0:
                waiting = fcntl.ioctl(self._read, termios.FIONREAD, waiting)
            return self._taken + int.from_bytes(waiting, sys.byteorder)
        return self._taken

    def tail(self) -> tuple[bytes, bool]:
        """Return the newest data, and whether there is more before it."""
        return self._tail, self._taken > len(self._tail)

    def close(self) -> None:
        """Free everything, as soon as a reader that is blocked lets the thread end."""
        if self.child_fd >= 0:
            self.stop()  # without a command there would be no end
        with self._guard:
            self._closed = True
            if self._ended.is_set() or not self._thread.is_alive():
                self._close_descriptors()

    def _close_descriptors(self) -> None:
        for fd in (self._read, self.child_fd, self._wake, self._wake_read):
            if fd >= 0:
                with suppress(OSError):
                    os.close(fd)
        self._read = self.child_fd = self._wake = self._wake_read = -1

    def _run(self) -> None:
        try:
            poll = select.poll()
            poll.register(self._read, select.POLLIN)
            poll.register(self._wake_read, select.POLLIN)
            poll.register(self._out, 0)  # only whether its reader goes away
            while not self._stopped:
                ready = dict(poll.poll())
                if self._wake_read in ready and os.read(self._wake_read, 1) == b"!":
                    return
                if ready.get(self._out, 0) & _GONE:
                    self._close_read()
                    return
                if self._read in ready and not self._pass_on():
                    return
        finally:
            with self._guard:
                self._ended.set()
                if self._closed:
                    self._close_descriptors()

    def _pass_on(self) -> bool:
        """Pass on what is there; return whether more may follow."""
        with self._guard:
            data = _read(self._read)
            self._taken += len(data)
        if not data:
            return False
        self._last_s = monotonic()
        self._tail = (self._tail + data[-_KEPT:])[-_KEPT:]
        if self._take is not None:
            self._take(self.stream, data)
        self._before_write()
        if not _write_all(self._out, data):
            self._close_read()
            return False
        self._relayed += len(data)
        return True

    def _before_write(self) -> None:
        """Do what must be done before output is passed on."""

    def _close_read(self) -> None:
        """Close our end, so that the command gets SIGPIPE."""
        with self._guard:
            os.close(self._read)
            self._read = -1


def _read(fd: int) -> bytes:
    """Read available data; empty at the end, which a pseudo-terminal signals with an error."""
    try:
        return os.read(fd, _CHUNK)
    except OSError as error:
        if error.errno == errno.EIO:
            return b""
        raise


def _write_all(fd: int, data: bytes) -> bool:
    """Write all data; return whether there is still a reader."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            select.select([], [fd], [])
        except OSError as error:
            # For example a full disk: the data is lost, as it would be without us.
            return error.errno not in _READER_GONE
    return True
