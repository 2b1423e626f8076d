"""How Celery's pool of processes (billiard) ends a task, as an error that people understand.

At the hard time limit, on ``revoke(terminate=True)`` and when the worker is stopped, the pool sends
SIGTERM to the process of the task. Its handler there raises ``SystemExit(-241)``, and 0.1 s later
the pool sends SIGKILL. Nothing here imports Celery: without it there is nothing to explain.
"""

from __future__ import annotations

import signal
import sys
from typing import Any

__all__ = ["PoolError", "explained"]

_TOLERANCE_S = 0.5
"""The limit counts from when the pool hands the task over, which is before the block is entered."""


class PoolError(Exception):
    """The error of a job that the pool has ended."""


def explained(error: BaseException | None, elapsed_s: float) -> BaseException | None:
    """Return a `PoolError` if the pool has ended the task after ``elapsed_s``, else the error.

    To be called in the thread of the task.
    """
    if error is None or "billiard" not in sys.modules:
        return error
    kind = type(error)
    if kind.__module__ == "billiard.exceptions" and kind.__name__ == "SoftTimeLimitExceeded":
        return PoolError("Soft time limit exceeded")
    number = _signal_of(error)
    if number is None:
        return error
    limit_s = _time_limit_s()
    if number == signal.SIGTERM and limit_s is not None and elapsed_s > limit_s - _TOLERANCE_S:
        return PoolError("Time limit exceeded")
    return PoolError(f"Terminated by {signal.Signals(number).name}")


def _signal_of(error: BaseException) -> int | None:
    """Return the signal in ``SystemExit(-(256 - signal))``, as billiard's handler raises it."""
    code = error.code if isinstance(error, SystemExit) else None
    if type(code) is not int or -code not in range(192, 256):
        return None
    number = 256 + code
    return number if number in {*signal.Signals} else None


def _time_limit_s() -> float | None:
    """Return the hard time limit of Celery's current task, as its worker finds it."""
    celery = sys.modules.get("celery")
    task: Any = getattr(celery, "current_task", None)
    if not task:  # a proxy, which is false outside of tasks
        return None
    limits = getattr(task.request, "timelimit", None) or (None,)
    configured = getattr(task.app.conf, "task_time_limit", None)
    found = limits[0] or task.time_limit or _option("--time-limit") or configured
    try:
        return float(found) if found else None
    except (TypeError, ValueError):
        return None


def _option(name: str) -> str | None:
    """Return an option of the worker's command line, which the task's process inherits."""
    words = iter(sys.argv)
    for word in words:
        if word == name:
            return next(words, None)
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
    return None
