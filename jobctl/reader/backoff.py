"""How long a client waits before it tries again."""

from __future__ import annotations

import random
from collections.abc import Callable

__all__ = ["BASE_S", "CAP_S", "Backoff"]

BASE_S = 0.5
CAP_S = 15.0
_MIN_S = 0.05


class Backoff:
    """Exponential backoff with full jitter: base 0.5 s, doubling, cap 15 s.

    The jitter is drawn *after* the cap as well. (The original program adds it before, so from the
    fifth try on all its clients wait 15 s sharp and come back as one herd.) Reset it after a valid
    message, not after a bare accept, or a hub that accepts and closes is asked for ever at once.
    """

    def __init__(self, draw: Callable[[], float] = random.random) -> None:
        self._draw = draw
        self.tries = 0

    def next_s(self) -> float:
        """The seconds to wait before the next try."""
        ceiling_s = min(CAP_S, BASE_S * (1 << min(self.tries, 10)))
        self.tries += 1
        return max(_MIN_S, ceiling_s * self._draw())

    def reset(self) -> None:
        """Start over: somebody spoke sense to us."""
        self.tries = 0
