"""The one place that reads the wall clock."""

from __future__ import annotations

import time

from jobctl.core.times import to_text

__all__ = ["now", "now_ms"]


def now_ms() -> int:
    """Return milliseconds since 1970-01-01 UTC by the wall clock, which may jump."""
    return time.time_ns() // 1_000_000


def now() -> str:
    """Return the current time, as job files write it."""
    return to_text(now_ms())
