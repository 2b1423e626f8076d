"""Passes standard error on unchanged, and keeps the last lines."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import select
import struct
import sys
import termios
import threading
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any

__all__ = ["Relay"]

_CHUNK = 64 * 1024
_PIPE_SIZE = 1024 * 1024
_KEPT = 8 * 1024
_MAX_LINES = 10
_MAX_LINE = 300
_LINGER_S = 0.3
_MAX_LINGER_S = 2.0
_READER_GONE = {errno.EPIPE, errno.EBADF, errno.EIO, errno.ENXIO, errno.ECONNRESET}
_ESCAPE = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")


class Relay:
    """Passes data from ``child_fd``, the command's standard error, to ``out_fd``.

    If ``out_fd`` is a terminal, the command gets a pseudo-terminal of the same size. Call `start`
    before the command writes, and ``close`` at the end.
    """

    def __init__(self, out_fd: int) -> None:
        self._out = out_fd
        self._tty = os.isatty(out_fd)
        self._read, self.child_fd = _pty_like(out_fd) if self._tty else _pipe()
        self._ended = threading.Event()
        self._guard = threading.Lock()
        self._taken = self._relayed = 0  # bytes
        self._stopped = self._closed = False
        self._wake_read, self._wake = os.pipe()
        self._tail = b""
        self._last_s = 0.0
        self._keyboard: _Keyboard | None = None
        self._thread = threading.Thread(target=self._run, name="jobctl-relay", daemon=True)

    def start(self) -> None:
        """Close our copy of the command's end and start to pass data on."""
        os.close(self.child_fd)
        self.child_fd = -1
        self._thread.start()

    def resize(self) -> bool:
        """Copy the terminal's size; return whether it has changed."""
        if not self._tty:
            return False
        try:
            size = fcntl.ioctl(self._out, termios.TIOCGWINSZ, b"\0" * 8)
            before = fcntl.ioctl(self._read, termios.TIOCGWINSZ, b"\0" * 8)
            fcntl.ioctl(self._read, termios.TIOCSWINSZ, size)
        except OSError:
            return False
        return size != before

    def forward_keyboard(self) -> None:
        """Pass the keyboard on to a command that reads it from standard error (``less``).

        Such a command switches line editing off there.
        """
        if not self._tty or self._read < 0:
            return
        try:
            settings = termios.tcgetattr(self._read)
        except (termios.error, OSError):
            return
        wanted = not settings[3] & termios.ICANON
        if wanted and self._keyboard is None:
            self._keyboard = _Keyboard.like(settings)
        elif not wanted and self._keyboard is not None:
            self._drop_keyboard()
        else:
            return
        os.write(self._wake, b"k")

    def _drop_keyboard(self) -> None:
        keyboard, self._keyboard = self._keyboard, None
        if keyboard is not None:
            keyboard.restore()

    def finish(self, interrupted: Callable[[], bool]) -> None:
        """Pass on what the command wrote and what follows shortly after; then stop.

        The command's own output is passed on completely, however slow the reader is. Output of a
        process that it left behind is passed on until there is a short pause, for two seconds at
        most. Everything ends when ``interrupted`` returns ``True``.
        """
        self._drop_keyboard()
        if not self._thread.is_alive():
            return
        owed, ended_s = self._bytes_to_relay(), monotonic()
        self._last_s = ended_s
        while not self._ended.wait(0.02):
            now_s = monotonic()
            silent = now_s - self._last_s > _LINGER_S
            late = now_s - ended_s > _MAX_LINGER_S
            if interrupted() or (self._relayed >= owed and (silent or late)):
                self._stopped = True
                os.write(self._wake, b"!")
                self._ended.wait(_LINGER_S)
                return

    def _bytes_to_relay(self) -> int:
        """Return how many bytes have been written in total."""
        waiting = b"\0" * 4
        with self._guard, suppress(OSError):
            if self._read >= 0:
                waiting = fcntl.ioctl(self._read, termios.FIONREAD, waiting)
            return self._taken + int.from_bytes(waiting, sys.byteorder)
        return self._taken

    def last_lines(self) -> list[str]:
        """Return the command's last lines, without colours and overwritten text."""
        text = _ESCAPE.sub(b"", self._tail).decode("utf-8", "backslashreplace")
        lines = [line.rstrip("\r").rpartition("\r")[2].rstrip() for line in text.split("\n")]
        if len(self._tail) == _KEPT:
            lines = lines[1:]  # the beginning of the first line is missing
        return [line[:_MAX_LINE] for line in lines if line][-_MAX_LINES:]

    def close(self) -> None:
        """Free everything, as soon as a reader that is blocked lets the thread end."""
        self._drop_keyboard()
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
            while not self._stopped:
                keyboard = self._keyboard
                poll = select.poll()
                poll.register(self._read, select.POLLIN)
                poll.register(self._wake_read, select.POLLIN)
                if keyboard is not None:
                    poll.register(keyboard.fd, select.POLLIN)
                ready = dict(poll.poll())
                if keyboard is not None and keyboard.fd in ready:
                    keyboard.pass_on(self._read)
                if self._wake_read in ready and os.read(self._wake_read, 1) == b"!":
                    return
                if self._read not in ready:
                    continue
                with self._guard:
                    data = _read(self._read)
                    self._taken += len(data)
                if not data:
                    return
                self._last_s = monotonic()
                self._tail = (self._tail + data[-_KEPT:])[-_KEPT:]
                if not _write_all(self._out, data):
                    # The reader is gone: close, so that the command gets SIGPIPE.
                    with self._guard:
                        os.close(self._read)
                        self._read = -1
                    return
                self._relayed += len(data)
        finally:
            with self._guard:
                self._ended.set()
                if self._closed:
                    self._close_descriptors()


class _Keyboard:
    """The terminal's keyboard, while the command reads it through us."""

    def __init__(self, fd: int, before: list[Any]) -> None:
        self.fd = fd
        self._before = before

    @classmethod
    def like(cls, settings: list[Any]) -> _Keyboard | None:
        """Open the keyboard with these input settings; ``None`` without a terminal."""
        try:
            fd = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            before = termios.tcgetattr(fd)
            if os.tcgetpgrp(fd) != os.getpgrp():
                raise OSError("in the background")
            after = [settings[0], before[1], before[2], settings[3], *before[4:6], settings[6]]
            termios.tcsetattr(fd, termios.TCSANOW, after)
        except (termios.error, OSError):
            os.close(fd)
            return None
        return cls(fd, before)

    def pass_on(self, to_fd: int) -> None:
        with suppress(OSError):
            os.write(to_fd, os.read(self.fd, 1024))

    def restore(self) -> None:
        with suppress(termios.error, OSError):
            termios.tcsetattr(self.fd, termios.TCSADRAIN, self._before)
        os.close(self.fd)


def _pipe() -> tuple[int, int]:
    read, write = os.pipe()
    with suppress(OSError, AttributeError):
        fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
    return read, write


def _pty_like(fd: int) -> tuple[int, int]:
    """Return a pseudo-terminal with the same size and settings that does not change its output."""
    master, slave = os.openpty()
    with suppress(termios.error, OSError):
        settings = termios.tcgetattr(fd)
        settings[1] &= ~termios.OPOST  # the real terminal does that
        termios.tcsetattr(slave, termios.TCSANOW, settings)
        size = fcntl.ioctl(fd, termios.TIOCGWINSZ, struct.pack("HHHH", 0, 0, 0, 0))
        fcntl.ioctl(slave, termios.TIOCSWINSZ, size)
    return master, slave


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
