"""Backoff: how long a client waits before it reconnects."""

from __future__ import annotations

import random
from collections.abc import Callable

__all__ = ["BASE_S", "CAP_S", "Backoff"]

BASE_S = 0.5
CAP_S = 15.0
_MIN_S = 0.05


class Backoff:
    """Exponential backoff with full jitter: base 0.5 s, doubling, cap 15 s.

    The jitter applies at the cap too. (The original program adds it before the cap, so from the
    fifth try on all its clients wait exactly 15 s and reconnect at the same moment.) Reset it after
    a valid message. A connection alone is not enough: a hub that accepts and then closes would be
    retried without any delay.
    """

    def __init__(self, draw: Callable[[], float] = random.random) -> None:
        self._draw = draw
        self.tries = 0

    def next_s(self) -> float:
        """Return how many seconds to wait before the next try."""
        ceiling_s = min(CAP_S, BASE_S * (1 << min(self.tries, 10)))
        self.tries += 1
        return max(_MIN_S, ceiling_s * self._draw())

    def reset(self) -> None:
        """Reset the backoff: a valid message arrived."""
        self.tries = 0
