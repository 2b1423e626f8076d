"""What the supervisor restores for a process that was killed."""

from __future__ import annotations

import os
import pty
import select
import termios
import time

from jobctl.cli.terminal.modes import LEAVE, own_modes
from jobctl.cli.terminal.shared import SharedState


def test_a_terminal_that_takes_no_more_is_restored_too() -> None:
    """What the killed process had sent before is dropped, since nobody reads it soon."""
    reader, terminal = pty.openpty()
    modes = termios.tcgetattr(terminal)
    shared = SharedState()
    shared.take(modes)
    termios.tcsetattr(terminal, termios.TCSANOW, own_modes(modes))
    os.set_blocking(terminal, False)
    refused = 0
    while refused < 10:  # the kernel passes some of it on, and has room again
        try:
            os.write(terminal, b"x")
            refused = 0
        except BlockingIOError:
            refused += 1
            time.sleep(0.01)
    shared.restore(terminal, terminal)
    got = b""
    while select.select([reader], [], [], 0.2)[0]:
        got += os.read(reader, 65536)
    assert LEAVE.encode() in got
    assert termios.tcgetattr(terminal) == modes
    os.close(reader)
    os.close(terminal)
