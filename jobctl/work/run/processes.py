"""The processes below the command: found, signalled, and reaped once their parent is gone."""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = [
    "adopting_orphans",
    "cpu_ms",
    "kill_descendants",
    "own_peak_bytes",
    "peak_memory_bytes",
    "reap_orphans",
    "send",
    "signal_all",
]

_MARGIN_BYTES = 1024 * 1024  # the kernel counts pages in batches for each processor
_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


@contextmanager
def adopting_orphans() -> Iterator[None]:
    """Within the block, processes below us whose parent ends become our children.

    So they stay below us and can be found. Without this, init or another process adopts them.
    Linux only (see prctl(2)); elsewhere, and where Python has no ctypes, this does nothing.
    """
    adopts = _set_subreaper(True)
    try:
        yield
    finally:
        if adopts:
            _set_subreaper(False)


def _set_subreaper(on: bool) -> bool:
    if sys.platform != "linux":
        return False
    try:
        import ctypes  # 2 ms

        prctl = ctypes.CDLL(None).prctl
    except (ImportError, OSError, AttributeError):
        return False
    none = ctypes.c_ulong(0)
    value = ctypes.c_ulong(on)
    return bool(prctl(_PR_SET_CHILD_SUBREAPER, value, none, none, none) == 0)


def reap_orphans(command: int) -> bool:
    """Reap all children that have ended, except the command, whose status is still needed.

    Return whether there are children left. Only for a process without other children of its own.
    """
    while hasattr(os, "waitid"):
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None or ended.si_pid == command:
                return True  # when the command has been reaped, the others follow
            os.waitpid(ended.si_pid, os.WNOHANG)
        except ChildProcessError:
            return False
    return False


def peak_memory_bytes(usage: resource.struct_rusage, own_bytes: int) -> int | None:
    """Return the most memory that one process of the command had; ``None`` if it is not known.

    On Linux the kernel counts the memory of the process that starts the command, ours, as the
    command's too. So a peak is only known if it is above ``own_bytes``, see `own_peak_bytes`.
    """
    found = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return found if found > own_bytes + _MARGIN_BYTES or not own_bytes else None


def own_peak_bytes() -> int:
    """Return the most memory that this process has had; 0 where a command does not inherit it."""
    if sys.platform != "linux":
        return 0
    with suppress(OSError, ValueError):
        for line in Path("/proc/self/status").read_text().split("\n"):
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def cpu_ms(usage: resource.struct_rusage) -> int:
    """Return the CPU time of the command and of all processes below it that were waited for."""
    return round((usage.ru_utime + usage.ru_stime) * 1000)


def send(pid: int, number: int) -> None:
    """Send the signal to our child, unless it runs as another user by now."""
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def signal_all(command: int, root: int, number: int) -> None:
    """Send the signal to the command and to everything below ``root``, also if it is stopped.

    ``root`` is the command, or this process if it adopts orphans.
    """
    found = _descendants(root)
    numbers = [number] if number == signal.SIGKILL else [number, signal.SIGCONT]
    try:
        if root == command:
            for one in numbers:
                send(command, one)
        for process in found:
            for one in numbers:
                process.send(one)
    finally:
        for process in found:
            process.close()


def kill_descendants(root: int) -> None:
    """Send SIGKILL to everything below the process."""
    for process in _descendants(root):
        process.send(signal.SIGKILL)
        process.close()


class _Process:
    """A process below ours; ProcessLookupError if it is gone.

    A descriptor, unlike an id, cannot come to mean another process. Where there is none, because
    Linux is older than 5.3, a container forbids it, or too many files are open, the id is used.
    """

    def __init__(self, pid: int) -> None:
        self.pid, self.fd = pid, -1
        if hasattr(os, "pidfd_open"):
            try:
                self.fd = os.pidfd_open(pid)
            except ProcessLookupError:
                raise
            except OSError:
                pass

    def send(self, number: int) -> None:
        if self.fd < 0:
            send(self.pid, number)
            return
        with suppress(OSError):
            signal.pidfd_send_signal(self.fd, number)

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)


def _descendants(root: int) -> list[_Process]:
    """Return all processes below this one, as far as the system shows them.

    What the parents on the way down have left behind is below another process, and is not found
    unless we adopt it.
    """
    found: list[_Process] = []
    todo = [root]
    children = _children()
    while todo:
        parent = todo.pop()
        for pid in children.get(parent, ()):
            try:
                process = _Process(pid)
            except OSError:
                continue
            if process.fd >= 0 and _parent_of(pid) != parent:
                process.close()  # another process has the id by now
                continue
            found.append(process)
            todo.append(pid)
    return found


def _children() -> dict[int, list[int]]:
    """Return the ids of all processes by the ids of their parents."""
    found: dict[int, list[int]] = {}
    for pid, parent in _parents():
        found.setdefault(parent, []).append(pid)
    return found


def _parents() -> list[tuple[int, int]]:
    if not os.path.isdir("/proc/self"):
        return _parents_by_ps()
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    pairs = [(pid, _parent_of(pid)) for pid in pids]
    return [(pid, parent) for pid, parent in pairs if parent is not None]


def _parents_by_ps() -> list[tuple[int, int]]:
    """Return process ids and their parents' ids by ps(1), for example on macOS."""
    import subprocess  # most systems have /proc

    argv = ["/bin/ps", "-A", "-o", "pid=", "-o", "ppid="]
    try:
        listing = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
    except OSError:
        return []
    lines = listing.communicate()[0].split(b"\n")
    pairs = [tuple(map(int, line.split())) for line in lines if line.strip()]
    return [(pid, parent) for pid, parent in pairs if pid != listing.pid]


def _parent_of(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return None
