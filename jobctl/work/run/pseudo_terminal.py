"""Relays a terminal through a pseudo-terminal with the same settings and size.

The real terminal stays the controlling one, and standard input. So settings that the command
changes on the pseudo-terminal are changed on the real one too, before output that follows them.

This is for programs that print, and only if it was asked for. A program that reads the keyboard
from its standard error (less) would read the pseudo-terminal, where nobody types. Passing on what
is typed would take it from those that read standard input, and the two cannot be told apart.
"""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import termios
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from jobctl.work.run.channel import Channel

__all__ = ["TerminalChannel"]

_INPUT, _OUTPUT, _LOCAL, _CHARACTERS = 0, 1, 3, 6  # places in the settings


class TerminalChannel(Channel):
    """A channel whose ends are a pseudo-terminal."""

    def __init__(self, stream: str, out_fd: int, take: Callable[[str, bytes], None] | None) -> None:
        self._mirrored: list[Any] | None = None
        self._before: list[Any] | None = None
        self._settings_guard = threading.RLock()
        super().__init__(stream, out_fd, take)

    def _open_ends(self) -> tuple[int, int]:
        master, slave = os.openpty()
        with suppress(termios.error, OSError):
            settings = termios.tcgetattr(self._out)
            settings[_OUTPUT] &= ~termios.OPOST  # the real terminal does that
            termios.tcsetattr(slave, termios.TCSANOW, settings)
            self._mirrored = termios.tcgetattr(slave)
            size = fcntl.ioctl(self._out, termios.TIOCGWINSZ, struct.pack("HHHH", 0, 0, 0, 0))
            fcntl.ioctl(slave, termios.TIOCSWINSZ, size)
        return master, slave

    def resize(self) -> bool:
        """Copy the terminal's size; return whether it has changed."""
        try:
            size = fcntl.ioctl(self._out, termios.TIOCGWINSZ, b"\0" * 8)
            with self._guard:
                if self._read < 0:
                    return False
                before = fcntl.ioctl(self._read, termios.TIOCGWINSZ, b"\0" * 8)
                fcntl.ioctl(self._read, termios.TIOCSWINSZ, size)
        except OSError:
            return False
        return size != before

    def mirror(self) -> None:
        """Change the real terminal as the command has changed the pseudo-terminal."""
        with self._settings_guard, suppress(termios.error, OSError):
            with self._guard:
                if self._read < 0 or self._mirrored is None:
                    return
                settings = termios.tcgetattr(self._read)
            if settings == self._mirrored or os.tcgetpgrp(self._out) != os.getpgrp():
                return
            real = termios.tcgetattr(self._out)
            if self._before is None:
                self._before = real
            self._set(
                [settings[_INPUT], real[1], real[2], settings[_LOCAL], *real[4:6], settings[6]]
            )
            self._mirrored = settings

    def restore(self, *, last: bool = False) -> None:
        """Undo the changes; `mirror` makes them again, unless this is the ``last`` time."""
        with self._settings_guard, suppress(termios.error, OSError):
            if self._before is not None and os.tcgetpgrp(self._out) == os.getpgrp():
                self._set(self._before)
                self._before = None
                if self._mirrored is not None:
                    self._mirrored = [*self._mirrored[:_INPUT], -1, *self._mirrored[_INPUT + 1 :]]
            if last:
                self._mirrored = None

    def _set(self, settings: list[Any]) -> None:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
        try:
            termios.tcsetattr(self._out, termios.TCSANOW, settings)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _before_write(self) -> None:
        self.mirror()
