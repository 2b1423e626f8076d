"""A terminal that takes 2 kB/s, or nothing: the newest frame counts, and keys work at once."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pyte
import pytest

from tests.cli.conftest import environment

pytestmark = pytest.mark.slow

_BYTES_PER_S = 2000


class SlowTerminal:
    """The program on a terminal of 100 columns and 62 rows, read slowly."""

    def __init__(self, *args: str) -> None:
        self.data = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 62, 100, 0, 0))
            program = [sys.executable, "-m", "tests.cli.terminal.session_program", *args]
            os.execve(sys.executable, program, environment(TERM="xterm-256color"))

    def read_for(self, seconds: float, bytes_per_s: int = _BYTES_PER_S) -> bool:
        """Read so long at this rate; return whether there is more to come."""
        end_s = time.monotonic() + seconds
        while (left_s := end_s - time.monotonic()) > 0:
            if select.select([self.fd], [], [], left_s)[0]:
                try:
                    got = os.read(self.fd, bytes_per_s // 20)
                except OSError:  # EIO: the program has ended
                    return False
                self.data += got
                time.sleep(len(got) / bytes_per_s)
        return True

    def ended_within(self, seconds: float) -> int | None:
        """Read slowly until the program has ended; return its exit code."""
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            self.read_for(0.05)
        return None

    def display(self) -> list[str]:
        """What an emulator shows of what was read."""
        screen = pyte.Screen(100, 62)
        pyte.Stream(screen).feed(self.data.decode())
        return [row.rstrip() for row in screen.display]


@pytest.fixture
def moving() -> Iterator[SlowTerminal]:
    """60 rows that all change 50 times a second."""
    made = SlowTerminal("--rows", "60", "--moving", "0.02", "--wide", "9")
    yield made
    _end(made)


def _end(terminal: SlowTerminal) -> None:
    os.close(terminal.fd)  # a hang-up ends what still runs
    end_s = time.monotonic() + 10
    try:
        while not os.waitpid(terminal.pid, os.WNOHANG)[0] and time.monotonic() < end_s:
            time.sleep(0.02)
    except ChildProcessError:
        pass


def test_frames_are_left_out_and_the_newest_is_shown() -> None:
    """24 frames of 5 kB, ten a second, would take a minute."""
    terminal = SlowTerminal("--rows", "60", "--moving", "0.02", "--steps", "120", "--wide", "9")
    try:
        end_s = time.monotonic() + 25
        while "step 120" not in terminal.display()[60] and time.monotonic() < end_s:
            terminal.read_for(0.5)
        terminal.read_for(0.5)
        rows = terminal.display()
        assert rows[1:61] == [f"row {row} " + " ".join(["step 120"] * 9) for row in range(60)]
        assert terminal.data.count(b"\x1b[?2026h") < 15
        os.write(terminal.fd, b"q")
        assert terminal.ended_within(2) == 0
    finally:
        _end(terminal)


def test_a_key_works_at_once(moving: SlowTerminal) -> None:
    """What is on its way to the terminal is given up; the end is complete."""
    moving.read_for(5)
    os.write(moving.fd, b"q")
    assert moving.ended_within(1.5) == 0
    began = len(moving.data)
    while moving.read_for(0.5, 100_000) and b"last frame" not in moving.data:
        pass
    after = moving.data[began:].partition(b"\x1b[?1049l")[2]
    assert after.startswith(b"\rthe last frame\r")
    assert len(moving.data) - began < 6000  # the kernel keeps 4 KiB of what was sent


def test_a_terminal_that_takes_nothing_does_not_keep_it(moving: SlowTerminal) -> None:
    """As after Ctrl-S: the end does not wait for ever."""
    moving.read_for(1)
    time.sleep(1.5)
    os.write(moving.fd, b"q")
    end_s = time.monotonic() + 5
    while time.monotonic() < end_s and not (ended := os.waitpid(moving.pid, os.WNOHANG))[0]:
        time.sleep(0.05)
    assert ended[0] == moving.pid
    assert os.waitstatus_to_exitcode(ended[1]) == 0


def test_the_terminals_other_users_block_as_before(moving: SlowTerminal) -> None:
    """``O_NONBLOCK`` on a shared descriptor makes the shell's own output fail."""
    moving.read_for(1)
    for fd in (0, 1):
        text = Path(f"/proc/{moving.pid}/fdinfo/{fd}").read_text()
        assert not int(text.split("flags:")[1].split()[0], 8) & os.O_NONBLOCK
