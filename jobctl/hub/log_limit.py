"""Limits for the log: no client and no lasting problem can fill it."""

from __future__ import annotations

import asyncio
import logging

__all__ = ["LastingProblem", "LogRateLimit", "RecurringProblem"]

_WINDOW_S = 10.0
_QUIET_S = 10.0
_MAX_TEXTS = 8


class LogRateLimit:
    """Allows ``limit`` events of each kind in ten seconds and counts those it suppresses.

    Kinds are a few fixed words, so the memory is bounded. Nothing is kept about single clients.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._windows: dict[str, tuple[float, int, int]] = {}

    def allow(self, kind: str, now_s: float) -> int | None:
        """Return how many events were suppressed since the last allowed one.

        ``None`` to suppress this one.
        """
        began_s, passed, held = self._windows.get(kind, (now_s, 0, 0))
        if now_s - began_s >= _WINDOW_S:
            began_s, passed = now_s, 0
        if passed >= self._limit:
            self._windows[kind] = (began_s, passed, held + 1)
            return None
        self._windows[kind] = (began_s, passed + 1, 0)
        return held


class LastingProblem:
    """Logs a problem once while it lasts, and once more when it is over.

    While it lasts, another text about it is another problem, up to eight of them. ``over`` is
    logged as a warning too, so that the same readers of the log see the end of the problem.
    """

    def __init__(self, logger: logging.Logger, over: str, *, level: int = logging.WARNING) -> None:
        self._logger, self._over, self._level = logger, over, level
        self._texts: set[str] = set()

    @property
    def lasts(self) -> bool:
        """Whether the problem was reported and is not over."""
        return bool(self._texts)

    def report(self, text: str) -> None:
        """Log the problem, unless it is known."""
        if text not in self._texts and len(self._texts) < _MAX_TEXTS:
            self._texts.add(text)
            self._logger.log(self._level, "%s", text)

    def end(self) -> None:
        """Log that the problem is over, if there was one."""
        if self._texts:
            self._texts.clear()
            self._logger.warning("%s", self._over)


class RecurringProblem:
    """A lasting problem that consists of single events: it is over after ten seconds without one.

    Belongs to the running event loop.
    """

    def __init__(self, problem: LastingProblem) -> None:
        self._loop = asyncio.get_running_loop()
        self._problem = problem
        self._last_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def report(self, text: str) -> None:
        """Report an event."""
        self._last_s = self._loop.time()
        self._problem.report(text)
        if self._timer is None:
            self._timer = self._loop.call_later(_QUIET_S, self._end_if_quiet)

    def close(self) -> None:
        """Log nothing more."""
        if self._timer is not None:
            self._timer.cancel()

    def _end_if_quiet(self) -> None:
        quiet_at_s = self._last_s + _QUIET_S
        if self._loop.time() < quiet_at_s:
            self._timer = self._loop.call_at(quiet_at_s, self._end_if_quiet)
            return
        self._timer = None
        self._problem.end()
