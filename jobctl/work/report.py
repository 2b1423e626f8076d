"""How often progress is written: the newest report of a job, and when it may be written.

A call for every row must cost next to nothing, so `is_early` is all that most of them do.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from jobctl._clock import now
from jobctl.core import transitions
from jobctl.core.job import Job
from jobctl.work.text import clean_text, steps

__all__ = ["LINGER_S", "MIN_INTERVAL_S", "Report"]

MIN_INTERVAL_S = 0.1
"""Minimum time between written reports of progress."""
LINGER_S = 0.15
"""After that time plus this one, the recorder writes a pending report itself."""
_NEVER = float("inf")


class Report:
    """The newest progress and message of a job. All times are monotonic, in seconds.

    It is closed until `open` and after `close`: then nothing is written. All methods but `set` and
    `is_early` are called under the recorder's guard.
    """

    __slots__ = ("_look_s", "_message", "_next_s", "_pending", "_steps")

    def __init__(self) -> None:
        self._steps: tuple[float, float | None] | None = None
        self._message: object = None
        self.close()

    def set(self, steps: tuple[float, float | None] | None, message: object = None) -> None:
        """Replace the progress, the message, or both; ``None`` keeps the earlier one."""
        if steps is not None:
            self._steps = steps
        if message is not None:
            self._message = message

    def is_early(self) -> bool:
        """Whether a report is already scheduled and it is too early to look at it again."""
        return self._pending and monotonic() < self._look_s

    def look_now(self) -> None:
        """Let the next `is_early` be false, because the call has something to raise."""
        self._look_s = 0.0

    def open(self) -> None:
        """Allow the first report at once."""
        self._pending, self._next_s = False, 0.0

    def close(self) -> None:
        """Forget a pending report and write no more."""
        self._pending, self._next_s, self._look_s = True, _NEVER, _NEVER

    def clear(self) -> None:
        """Forget the values: the stage that they belong to has ended."""
        self._steps = self._message = None

    def may_write(self, retry_at_s: float) -> bool:
        """Whether it may be written now, by a store that is not tried before ``retry_at_s``."""
        return max(self._next_s, retry_at_s) <= monotonic()

    def postpone(self) -> None:
        """Make it pending, until the next time that it may be written."""
        now_s = monotonic()
        self._pending = True
        self._look_s = self._next_s if self._next_s > now_s else now_s + MIN_INTERVAL_S

    def is_pending(self) -> bool:
        """Whether there is a report that has not been taken."""
        return self._pending and self._next_s < _NEVER

    def due_s(self, *, linger: bool) -> float | None:
        """Return when the recorder is to write it; ``None`` if there is nothing to write.

        ``linger`` leaves the next call some time to write it.
        """
        if not self.is_pending():
            return None
        return self._next_s + (LINGER_S if linger else 0.0)

    def discard_pending(self) -> None:
        """Treat a pending report as written: the next write replaces it."""
        self._pending = False

    def restore(self) -> None:
        """Make it pending again: it could not be written."""
        self._pending = True

    def take(self) -> Callable[[Job], Job]:
        """Return the change that writes the report, which is no longer pending."""
        self._pending = False  # first, so that a later report is pending again
        progress, message, at = self._steps, self._message, now()
        self._next_s = monotonic() + MIN_INTERVAL_S

        def write(old: Job) -> Job:
            done, total = (None, None) if progress is None else steps(*progress)
            text = None if message is None else clean_text(message)
            return transitions.report(old, now=at, done=done, total=total, message=text)

        return write
