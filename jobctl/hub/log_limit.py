"""What may happen often, said seldom: a log that no stranger can fill."""

from __future__ import annotations

__all__ = ["LogRateLimit"]

_WINDOW_S = 10.0


class LogRateLimit:
    """Lets ``limit`` events of a kind pass in ten seconds, and counts what it holds back.

    The kinds are words of ours, of which there are few: nothing is kept of who it was.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._windows: dict[str, tuple[float, int, int]] = {}

    def allow(self, kind: str, now_s: float) -> int | None:
        """How many were held back since the last that passed; ``None`` holds this one back too."""
        began_s, passed, held = self._windows.get(kind, (now_s, 0, 0))
        if now_s - began_s >= _WINDOW_S:
            began_s, passed = now_s, 0
        if passed >= self._limit:
            self._windows[kind] = (began_s, passed, held + 1)
            return None
        self._windows[kind] = (began_s, passed + 1, 0)
        return held
