"""``jobctl run -d``: go on in the background, in a session of one's own."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import sys

from jobctl.cli.exits import Exit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

__all__ = ["Background", "detach"]

_STARTED = b"1"


class Background:
    """The background process, until its command has started. Messages still go to the caller.

    ``unread`` are the descriptors that lead to /dev/null because nobody reads them any more.
    """

    def __init__(self, started_fd: int) -> None:
        self._started_fd = started_fd
        self._stderr: TextIO | None = sys.stderr
        self._for_caller: TextIO | None = None
        os.setsid()
        if os.get_inheritable(2) and _is_callers(2):
            copy = os.dup(2)
            self._for_caller = open(copy, "w", buffering=1, errors="backslashreplace")  # noqa: SIM115
            sys.stderr = self._for_caller
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        os.dup2(null, 0)
        # Others are a file, or closed.
        self.unread = tuple(fd for fd in (1, 2) if os.get_inheritable(fd) and _is_callers(fd))
        for fd in self.unread:
            os.dup2(null, fd)
        os.close(null)

    def started(self) -> None:
        """Let the caller go on: the job is recorded and its command runs."""
        if self._for_caller is not None:
            sys.stderr = self._stderr
            with contextlib.suppress(OSError):  # a warning that the caller did not read
                self._for_caller.close()
        with contextlib.suppress(OSError):  # the caller is gone
            os.write(self._started_fd, _STARTED)
        os.close(self._started_fd)


def detach() -> Background | None:
    """Fork; return the `Background` in the new process, and in ours ``None`` once it has started.

    The new process has a session of its own and its standard input from /dev/null. Standard output
    and error are /dev/null too if they are a terminal, or a pipe or socket, whose reader would wait
    for the end of the command. Raises `Exit` here if the new process ends before its command has
    started; it has said why.
    """
    read, write = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        return Background(write)
    os.close(write)
    try:
        with open(read, "rb", buffering=0) as pipe:
            if pipe.read(1) == _STARTED:
                return None
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except BaseException:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGTERM)
        raise
    raise Exit(code if code >= 0 else 128 - code)


def _is_callers(fd: int) -> bool:
    """Whether the descriptor is a terminal, or a pipe or socket of the caller."""
    mode = os.fstat(fd).st_mode
    return os.isatty(fd) or stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
