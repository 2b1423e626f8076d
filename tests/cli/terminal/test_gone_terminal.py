"""``watch`` on a terminal that goes away: a closed window, an ``ssh`` that was cut."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import sys
import termios
import time
from pathlib import Path

import pytest

from tests.cli.conftest import environment

pytestmark = pytest.mark.slow


def started(jobs: Path, *options: str, hup_is_ignored: bool, has_control: bool) -> tuple[int, int]:
    """Start ``watch`` as the first process of a session; return its id and the other end."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    values = environment(JOBCTL_DIR=str(jobs), TERM="xterm-256color")
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            if has_control:
                fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)
            if hup_is_ignored:
                signal.signal(signal.SIGHUP, signal.SIG_IGN)
            for fd in range(3):
                os.dup2(theirs, fd)
            os.closerange(3, 256)
            os.execve(sys.executable, [sys.executable, "-m", "jobctl", "watch", *options], values)
        finally:
            os._exit(99)
    os.close(theirs)
    return pid, ours


def read_until(fd: int, text: bytes) -> None:
    """Read what the terminal gets until it has this text."""
    found = b""
    while text not in found:
        found += os.read(fd, 65536)


def exit_code(pid: int, within_s: float = 15) -> int | None:
    """Wait for the end; ``None`` if the process was still there, which is ended then."""
    deadline_s = time.monotonic() + within_s
    while time.monotonic() < deadline_s:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.05)
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


@pytest.mark.parametrize(
    ("options", "hup_is_ignored", "has_control", "code"),
    [
        ([], False, True, 128 + signal.SIGHUP),  # as ssh -t, tmux and xterm -e start it
        ([], True, True, 128 + signal.SIGTERM),  # nohup
        (["--no-keys"], True, True, 128 + signal.SIGHUP),
        ([], False, False, 128 + signal.SIGHUP),  # not its own terminal: a plain live table
    ],
)
def test_watch_ends_when_its_terminal_is_gone(
    tmp_path: Path, options: list[str], hup_is_ignored: bool, has_control: bool, code: int
) -> None:
    """No process stays behind, whoever gets the signal of the hang-up."""
    pid, terminal = started(
        tmp_path, *options, hup_is_ignored=hup_is_ignored, has_control=has_control
    )
    read_until(terminal, b"live:")
    os.close(terminal)
    assert exit_code(pid) == code
