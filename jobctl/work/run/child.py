"""The command's process: started as without us, together with everything that it starts."""

from __future__ import annotations

import errno
import os
import shutil
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from time import monotonic, sleep

from jobctl.errors import JobctlError

__all__ = ["CannotRun", "Signals", "given_environment", "inherited_ignores", "spawn", "stop"]

_ENDING = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT}
_OTHERS = (
    *("USR1", "USR2", "ALRM", "VTALRM", "PROF", "XCPU", "ABRT", "PWR", "IO", "STKFLT", "TRAP"),
    *("SYS", "SEGV", "BUS", "FPE", "ILL"),  # a fault of ours ends us, although they are blocked
)
_BY_OWN_WRITES = frozenset(
    {int(signal.SIGPIPE), int(signal.SIGXFSZ)} if hasattr(signal, "sigtimedwait") else ()
)
"""Signals that a write of ours may cause too; who sent them is known where this exists."""
_FORWARDED: set[int] = {
    *_ENDING,
    signal.SIGTSTP,
    signal.SIGCONT,
    *(getattr(signal, f"SIG{name}") for name in _OTHERS if hasattr(signal, f"SIG{name}")),
    *(range(signal.SIGRTMIN, signal.SIGRTMAX + 1) if hasattr(signal, "SIGRTMIN") else ()),
    *_BY_OWN_WRITES,
}
"""Those whose default ends, stops or continues a process. SIGTTIN and SIGTTOU are left to the
kernel, which sends no others."""
_IGNORED_BY_PYTHON = frozenset({int(signal.SIGPIPE), int(signal.SIGXFSZ)})
_SHELLS = {"sh", "ash", "bash", "dash", "ksh", "ksh93", "mksh", "oksh", "yash", "zsh"}
_TO_LEADER = {signal.SIGHUP, signal.SIGCONT}
_HEARD = {*_FORWARDED, signal.SIGCHLD, signal.SIGWINCH}


class CannotRun(JobctlError):
    """The command could not be started; exit code 127 if it does not exist, else 126."""

    def __init__(self, program: str, error: OSError) -> None:
        missing = isinstance(error, FileNotFoundError)
        reason = "command not found" if missing else error.strerror or str(error)
        super().__init__(f"cannot run {ascii(program)[1:-1]}: {reason}")
        self.exit_code = 127 if missing else 126


class Signals:
    """Signals to us while the command runs: none ends us, and each is reported once."""

    def __init__(self) -> None:
        self.before: set[int] = set()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Block the signals for `next`, in all threads that are started within the block."""
        child = signal.signal(
            signal.SIGCHLD, signal.SIG_DFL
        )  # if it were ignored, the exit status would be lost
        self.before = {int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)}
        try:
            yield
        finally:
            while self._take(0) is not None:
                pass  # drop signals that arrived after the command ended
            signal.pthread_sigmask(signal.SIG_SETMASK, self.before)
            signal.signal(signal.SIGCHLD, child)

    def next(self, timeout_s: float) -> tuple[int, bool] | None:
        """Return the next signal and whether to forward it; ``None`` after the timeout.

        A signal from the terminal (Ctrl-C) reaches the command too and is not forwarded. But when
        the terminal goes away, the kernel sends SIGHUP and SIGCONT to the session leader alone; the
        command would be that leader if it had been started without us. A signal
        from a process is assumed to be sent to us alone. If it was sent to the whole process group,
        the command gets it twice, because the two cases cannot be told apart.
        """
        info = self._take(timeout_s)
        if info is None:
            return None
        number, from_process = info
        if number in _TO_LEADER and os.getsid(0) == os.getpid():
            from_process = True
        return number, from_process and number in _FORWARDED

    def before_start(self) -> int | None:
        """Return a signal that would have ended the command if it had been running already."""
        while (info := self._take(0)) is not None:
            if info[0] in _ENDING and signal.getsignal(info[0]) is not signal.SIG_IGN:
                return info[0]
        return None

    def since_then(self) -> list[int]:
        """Return the signals that arrived during the start, which the command may have missed."""
        came = []
        while (info := self._take(0)) is not None:
            if info[0] in _FORWARDED:
                came.append(info[0])
        return came

    def ends(self) -> bool:
        """Whether a signal has arrived that ends what we do after the command."""
        while (info := self._take(0)) is not None:
            if info[0] in _ENDING:
                return True
        return False

    @staticmethod
    def _take(timeout_s: float) -> tuple[int, bool] | None:
        """Return a signal and whether a process sent it to us; ``None`` after the timeout."""
        if hasattr(signal, "sigtimedwait"):
            info = signal.sigtimedwait(_HEARD, timeout_s)
            if info is None:
                return None
            if info.si_signo in _BY_OWN_WRITES and info.si_pid == os.getpid():
                return Signals._take(0)  # the write has failed, and says so itself
            return info.si_signo, info.si_code <= 0
        return _take_by_polling(timeout_s)


def _take_by_polling(timeout_s: float) -> tuple[int, bool] | None:
    """For macOS, which has no sigtimedwait() and does not say who sent a signal."""
    deadline_s = monotonic() + timeout_s
    while not (pending := signal.sigpending() & _HEARD):
        if monotonic() >= deadline_s:
            return None
        sleep(0.02)
    number = signal.sigwait(pending)
    by_terminal = number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP) and _in_foreground()
    return number, not by_terminal


def _in_foreground() -> bool:
    for fd in (0, 1, 2):
        with suppress(OSError):
            return os.tcgetpgrp(fd) == os.getpgrp()
    return False


@cache
def inherited_ignores() -> frozenset[int]:
    """Return the signals of those that Python ignores that were ignored before Python started.

    No system keeps that, so it is inferred: a service of systemd ignores SIGPIPE by default, and a
    shell ignores itself what it lets its commands ignore. Other programs that ignore a signal
    mostly do so for themselves alone. Call this before a fork: it looks at the parent.
    """
    found = set()
    if os.environ.get("SYSTEMD_EXEC_PID") == str(os.getpid()):
        found.add(int(signal.SIGPIPE))
    parent = f"/proc/{os.getppid()}"
    with suppress(OSError, ValueError, IndexError):
        if _is_shell(parent):
            status = Path(f"{parent}/status").read_text()
            mask = int(status.partition("\nSigIgn:")[2].split()[0], 16)
            found |= {number for number in _IGNORED_BY_PYTHON if mask >> number - 1 & 1}
    return frozenset(found)


def _is_shell(process: str) -> bool:
    """Whether the directory in /proc is that of a shell."""
    program = os.path.basename(os.readlink(f"{process}/exe"))
    if program == "busybox":
        program = Path(f"{process}/comm").read_text().strip()
    return program in _SHELLS


def spawn(
    argv: Sequence[str], env: Mapping[str, str], *, fds: Mapping[int, int], mask: set[int]
) -> int:
    """Start the command; return its process id. Raises `CannotRun`.

    ``fds`` are descriptors of the command and those of ours that take their place; ``mask`` are the
    signals that were blocked before us.
    """
    actions = [(os.POSIX_SPAWN_DUP2, ours, its) for its, ours in fds.items()]

    def start(path: str, words: list[str]) -> int:
        return os.posix_spawn(
            path,
            words,
            env,
            file_actions=actions,
            setsigmask=mask,
            setsigdef=[*_IGNORED_BY_PYTHON - inherited_ignores()],
        )

    try:
        path = _found(argv[0], env)
        try:
            return start(path, list(argv))
        except OSError as error:
            if error.errno != errno.ENOEXEC:
                raise
            return start("/bin/sh", ["sh", path, *argv[1:]])  # as execvp(3) does
    except OSError as error:
        raise CannotRun(argv[0], error) from error


def _found(program: str, env: Mapping[str, str]) -> str:
    """Return the program's path, by the ``PATH`` that the command gets; OSError."""
    if "/" in program:
        return program
    path = env.get("PATH", os.defpath)
    if program and (found := shutil.which(program, path=path)) is not None:
        return found
    there = program and shutil.which(program, os.F_OK, path) is not None
    number = errno.EACCES if there else errno.ENOENT
    raise OSError(number, os.strerror(number), program)


def given_environment() -> dict[str, str]:
    """Return our original environment: Python adds ``LC_CTYPE`` if no language is set.

    Source: PEP 538.
    """
    env = dict(os.environ)
    if env.get("LC_CTYPE") in ("C.UTF-8", "C.utf8", "UTF-8"):
        with suppress(OSError):
            given = Path("/proc/self/environ").read_bytes().split(b"\0")
            if not any(line.startswith(b"LC_CTYPE=") for line in given):
                del env["LC_CTYPE"]
    return env


def stop() -> None:
    """Stop this process until SIGCONT, as Ctrl-Z does: not where nobody could continue it."""
    # Sent while it is blocked, it is one with a SIGTSTP of the terminal that is still pending.
    os.kill(os.getpid(), signal.SIGTSTP)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTSTP})
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTSTP})
