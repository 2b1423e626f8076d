"""A small parent process that restores the terminal if its child cannot: after ``kill -9``.

The shell waits for the parent, so the terminal is restored before the shell prints its prompt.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

from jobctl.cli.terminal.guard import Guard
from jobctl.cli.terminal.shared import SharedState

__all__ = ["shared_state", "supervise"]

_FROM_KERNEL = 0x80  # si_code: a key, whose signal the child gets too, or a hang-up

_PASSED_ON = tuple(
    number
    for name in ("SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGTSTP", "SIGCONT", "SIGUSR1",
                 "SIGUSR2", "SIGALRM", "SIGXCPU")
    if (number := getattr(signal, name, None)) is not None
)  # fmt: skip
_KEPT_BACK = (*_PASSED_ON, signal.SIGCHLD, signal.SIGTTOU, signal.SIGTTIN)

_shared: SharedState | None = None


def shared_state() -> SharedState:
    """Return what this process shares with its supervisor, or would share."""
    global _shared
    if _shared is None:
        _shared = SharedState()
    return _shared


def supervise(fd: int = 1, error_fd: int = 2) -> None:
    """Fork. Return in the child only; the parent waits, and ends as the child ends.

    The parent passes signals on, stops when the child has stopped, and restores the terminal ``fd``
    if the child was killed or crashed. A child whose parent was killed finds `supervisor_fd` of
    `shared_state` readable.

    Call it while there are no threads, and before anything is opened that the parent must not hold.
    If the fork fails, this process goes on without a supervisor.
    """
    shared = shared_state()
    sys.stdout.flush()
    sys.stderr.flush()
    ours, theirs = os.pipe()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _KEPT_BACK)
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:  # inherited; then none is ever sent
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    shared.guard = Guard.start(fd)
    try:
        pid = os.fork()
    except OSError:
        os.close(ours)
        os.close(theirs)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return
    if pid == 0:
        os.close(theirs)
        shared.supervisor_fd = ours
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return
    os.close(ours)
    try:
        _wait_for(pid, shared, fd, error_fd)
    finally:
        os._exit(1)


def _wait_for(pid: int, shared: SharedState, fd: int, error_fd: int) -> NoReturn:
    while True:
        number, is_from_kernel = _next_signal()
        # A terminal that hangs up tells the first process of the session, which we may be.
        if number in _PASSED_ON and (not is_from_kernel or number == signal.SIGHUP):
            os.kill(pid, number)
        while number == signal.SIGCHLD:
            changed, status = os.waitpid(pid, os.WNOHANG | os.WUNTRACED)
            if not changed:
                break
            if not os.WIFSTOPPED(status):
                shared.restore(fd, error_fd)
                if shared.guard is not None:
                    shared.guard.end()
                _end_as(status)
            shared.restore(fd, error_fd)  # after SIGSTOP
            _stop_by(os.WSTOPSIG(status))
            os.kill(pid, signal.SIGCONT)


def _next_signal() -> tuple[int, bool]:
    """Wait for a signal; return it, and whether the kernel sent it."""
    if hasattr(signal, "sigwaitinfo"):
        info = signal.sigwaitinfo(_KEPT_BACK)
        return info.si_signo, info.si_code == _FROM_KERNEL
    return signal.sigwait(_KEPT_BACK), False


def _stop_by(number: int) -> None:
    """Stop once, until the shell continues the job.

    The key may have sent us the signal too. All that is pending when we stop is dropped by SIGCONT.
    """
    if number != signal.SIGSTOP:
        signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)  # pending, unless it is SIGSTOP
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (number,))
    signal.pthread_sigmask(signal.SIG_BLOCK, _KEPT_BACK)


def _end_as(status: int) -> NoReturn:
    """End with the exit code or by the signal."""
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the child's core says more
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, (-code,))
        os.kill(os.getpid(), -code)
        code = 128 - code
    os._exit(code)
