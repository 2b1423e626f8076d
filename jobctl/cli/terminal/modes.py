"""The modes of a terminal: how a full-screen view takes it, and how it is given back.

Only sequences that xterm, tmux, screen and the Linux console understand or ignore are used.
"""

from __future__ import annotations

import contextlib
import os
import signal
import termios
import time
from typing import Any

__all__ = [
    "ABORT",
    "ENTER",
    "LEAVE",
    "in_foreground",
    "own_modes",
    "restore_modes",
    "set_modes",
    "size",
    "wait_for_foreground",
]

ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[?2004h"
"""Alternate screen, no cursor, no wrapping, and pasted text marked, so that it is no keys."""

LEAVE = "\x1b[?2026l\x1b[m\x1b[?2004l\x1b[?7h\x1b[?25h\x1b[H\x1b[J\x1b[?1049l\r"
"""Undoes `ENTER`. The screen is cleared for terminals that have no alternate screen."""

ABORT = "\x18\x1b\\"
"""Ends a sequence that was cut: CAN, and ST for those that take CAN as part of a string."""

_CONTROL_FLAGS = 3  # places in what tcgetattr returns
_CHARACTERS = 6

Modes = list[Any]
"""What `termios.tcgetattr` returns."""


def size(fd: int) -> tuple[int, int]:
    """Return columns and rows of the terminal.

    ``COLUMNS`` and ``LINES``, which shells set once, count only if the terminal does not know its
    size; then 80 columns and 24 rows.
    """
    columns = rows = 0
    with contextlib.suppress(OSError):
        columns, rows = os.get_terminal_size(fd)
    return columns or _from_environment("COLUMNS", 80), rows or _from_environment("LINES", 24)


def _from_environment(name: str, default: int) -> int:
    text = os.environ.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and 0 < int(text) < 10_000 else default


def own_modes(modes: Modes) -> Modes:
    """Return the modes for a view: a key is read at once and not shown. Ctrl-C stays a signal."""
    own = [*modes]
    own[_CONTROL_FLAGS] &= ~(termios.ICANON | termios.ECHO)
    own[_CHARACTERS] = [*modes[_CHARACTERS]]
    # Not zero: a shell that found it after a crash would read that as the end of its input.
    own[_CHARACTERS][termios.VMIN], own[_CHARACTERS][termios.VTIME] = 1, 0
    return own


def set_modes(fd: int, modes: Modes) -> None:
    """Set the modes; keys that wait to be read are kept. From the background this stops us."""
    while True:
        try:
            termios.tcsetattr(fd, termios.TCSANOW, modes)
        except termios.error as error:
            if error.args[0] != 4:  # EINTR
                raise
        else:
            return


def restore_modes(fd: int, modes: Modes) -> None:
    """Set the modes, unless another program has changed ours; never stop for it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTTOU,))
    try:
        if in_foreground(fd) or termios.tcgetattr(fd) == own_modes(modes):
            set_modes(fd, modes)
    except termios.error:
        pass  # the terminal is gone
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def in_foreground(fd: int) -> bool:
    """Whether the terminal is ours: true as well where it is nobody's, without job control."""
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:
        return True


def wait_for_foreground(fd: int) -> None:
    """In the background, stop as a program that writes to the terminal: ``fg`` continues.

    Raise `OSError` if we are not stopped, since there is no shell that could continue us.
    """
    quick = 0
    while not in_foreground(fd):
        began_s = time.monotonic()
        signal.raise_signal(signal.SIGTTOU)
        if time.monotonic() - began_s < 0.05:
            quick += 1
            if quick == 5:
                raise OSError(5, "the terminal belongs to another program")
            time.sleep(0.05)
