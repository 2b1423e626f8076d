"""Restores the screen if the process and its supervisor are both killed, as by ``kill -9 %1``.

It is a shell in a process group of its own, since a signal to the job's group, or to all processes
named jobctl, must not reach it. The shell that waits for the job may print its prompt first, which
is then lost with the alternate screen, until Enter is pressed. Shells with line editing restore the
modes of the terminal themselves.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress

from jobctl.cli.terminal.modes import ABORT, LEAVE

__all__ = ["Guard"]

_SCRIPT = """\
trap '' HUP INT QUIT TERM TSTP TTOU
while read -r now; do taken=$now; done
[ "$taken" = 1 ] || exit 0
printf %b "$1"
"""
_WAIT_S = 0.1


class Guard:
    """A shell that reads, line by line, whether the terminal is taken, and acts at the end."""

    def __init__(self, pid: int, pipe: int) -> None:
        self._pid, self._pipe = pid, pipe

    @classmethod
    def start(cls, fd: int) -> Guard | None:
        """Start it for the terminal ``fd``; ``None`` if that fails."""
        ours, theirs = os.pipe()
        leave = (ABORT + LEAVE).replace("\\", "\\\\")
        try:
            pid = os.posix_spawn(
                "/bin/sh", ["sh", "-c", _SCRIPT, "terminal-guard", leave], {},
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, ours, 0),
                    (os.POSIX_SPAWN_DUP2, fd, 1),
                    (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
                ],
                setpgroup=0, setsigmask=(),
            )  # fmt: skip
        except OSError:
            os.close(theirs)
            return None
        finally:
            os.close(ours)
        return cls(pid, theirs)

    def tell(self, *, taken: bool) -> None:
        """Say whether the terminal is taken."""
        with suppress(OSError):  # it was killed
            os.write(self._pipe, b"1\n" if taken else b"0\n")

    def end(self) -> None:
        """Have it end, and wait for that: it is our child."""
        os.close(self._pipe)
        deadline_s = time.monotonic() + _WAIT_S
        with suppress(OSError):
            while not os.waitpid(self._pid, os.WNOHANG)[0] and time.monotonic() < deadline_s:
                time.sleep(0.001)
