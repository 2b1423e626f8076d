"""Readings of this machine's local clock as times, also where summer time begins or ends."""

from __future__ import annotations

import time

__all__ = ["local_ms"]

_DAY_MS = 86_400_000


def local_ms(reading_ms: int, *, last: bool = False) -> int:
    """Return the time at which the local clock reads this, in milliseconds since 1970.

    ``reading_ms`` is the reading as if it were UTC. A reading that occurs twice, because the clock
    is put back, is the first of both times; with ``last`` the second. A reading that is skipped,
    because the clock is put forward, is the moment at which that happens.
    """
    around = {_offset_ms(reading_ms + days * _DAY_MS) for days in (-1, 0, 1)}
    times = sorted(reading_ms - offset for offset in around)
    real = [ms for ms in times if ms + _offset_ms(ms) == reading_ms]
    if real:
        return real[-1 if last else 0]
    before, after = times[0], times[-1]
    while after - before > 1:
        middle = (before + after) // 2
        if middle + _offset_ms(middle) < reading_ms:
            before = middle
        else:
            after = middle
    return after


def _offset_ms(ms: int) -> int:
    """Return how far the local clock is ahead of UTC at a time."""
    return time.localtime(ms // 1000).tm_gmtoff * 1000
