"""Renews in a forked child what belongs to its parent: threads and held locks.

Programs that embed Python, such as uWSGI, fork without Python's hooks (`os.register_at_fork`). So
whatever uses a thread or a lock calls `notice_fork` first, which compares the process id.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

__all__ = ["in_forked_child", "notice_fork"]

_pid = os.getpid()
_calling_pid = _pid  # that of the process whose handlers are being called, or were
_guard = threading.RLock()
_handlers: list[Callable[[], None]] = []


def in_forked_child(handler: Callable[[], None]) -> Callable[[], None]:
    """Have ``handler`` called in each forked child, once; usable as a decorator."""
    _handlers.append(handler)
    return handler


def notice_fork() -> None:
    """Call the handlers if this process was forked and they were not called yet; takes 0.1 µs."""
    if os.getpid() != _pid:
        _call_handlers()


def _call_handlers() -> None:
    """Call the handlers, unless a handler calls this. Other threads wait until all are done."""
    global _pid, _calling_pid
    with _guard:
        pid = os.getpid()
        if pid in (_pid, _calling_pid):
            return
        _calling_pid = pid
        for handler in _handlers:
            handler()
        _pid = pid


def _after_fork_in_child() -> None:
    global _guard
    _guard = threading.RLock()
    _call_handlers()


os.register_at_fork(after_in_child=_after_fork_in_child)
