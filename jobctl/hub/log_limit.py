"""A rate-limited log: no client can fill it."""

from __future__ import annotations

__all__ = ["LogRateLimit"]

_WINDOW_S = 10.0


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
