"""One job on the whole screen: everything about it, and the end of its log."""

from __future__ import annotations

from collections.abc import Container

from jobctl.cli.job_table.frame import Frame, Row, row_of, wrapped
from jobctl.cli.text import visible
from jobctl.core.eta import UsualDurations
from jobctl.core.job import Job

__all__ = ["Detail"]

_LATER = {"session", "result session", "created", "updated", "completed", "owner", "host", "user",
          "usage", "log", "revision", "remark", "environment"}  # fmt: skip
"""Fields that stand at the end."""
_LOG_APART = 14
"""On a screen of this many rows the end of the log has a part of its own."""
_SCROLLED = 100
"""So many rows of the log can be scrolled to on a smaller screen."""


class Detail:
    """Shows one job. ``top`` is the first line that is shown of the text above the log."""

    def __init__(self, id: str) -> None:
        self.id = id
        self.top = 0
        self.log: list[str] = []
        self.log_note = ""
        self._page = 1
        self._last_top = 0

    def press(self, key: str) -> None:
        """Scroll."""
        step = {
            "up": -1, "k": -1, "down": 1, "j": 1, "pgup": -self._page, "pgdn": self._page,
            " ": self._page, "home": -self.top, "g": -self.top, "end": self._last_top,
            "G": self._last_top,
        }.get(key, 0)  # fmt: skip
        self.top = min(max(self.top + step, 0), self._last_top)

    def frame(
        self,
        job: Job,
        columns: int,
        rows: int,
        now_ms: int,
        dead: Container[str],
        usual: UsualDurations,
    ) -> Frame:
        """Return these many rows about the job."""
        from jobctl.cli.show import details  # not before somebody looks at a job

        now_ms = now_ms // 1000 * 1000  # repainted once a second
        text: list[Row] = []
        for line, style in _in_order(details(job, now_ms, dead, None, usual)):
            text += [row_of(part, columns, style) for part in wrapped(line, columns)]
        log = self._log_rows(columns, rows if rows >= _LOG_APART else _SCROLLED)
        room = rows
        below: list[Row] = []
        if log and rows >= _LOG_APART:
            room = max(rows - len(log), rows * 3 // 5)
            below = [log[0], *log[1:][-(rows - room - 1) :]]
        elif log:
            text += [row_of("", columns), *log]
        self._page = max(room - 1, 1)
        self._last_top = max(len(text) - room, 0)
        self.top = min(self.top, self._last_top)
        shown = text[self.top : self.top + room]
        shown += [row_of("", columns)] * (rows - len(shown) - len(below))
        return shown + below

    def _log_rows(self, columns: int, most: int) -> list[Row]:
        """Return a heading and the last rows of the log, at most ``most``.

        No more lines than these are wrapped: some logs are a megabyte of wide characters.
        """
        if not self.log and not self.log_note:
            return []
        head = "log" + (f": {visible(self.log_note)}" if self.log_note else "")
        parts: list[str] = []
        for line in reversed(self.log):
            parts += reversed(wrapped(line, columns))
            if len(parts) >= most:
                break
        last = [row_of(part, columns) for part in reversed(parts[:most])]
        return [row_of(head, columns, "bold"), *last]


def _in_order(lines: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the lines of ``jobctl show`` with the timeline before the less important fields."""
    end = lines.index(("", "")) if ("", "") in lines else len(lines)
    at = lines.index(("timeline", "bold"))
    fields, between, timeline = lines[:end], lines[end : at - 1], lines[at - 1 :]
    later = [line for line in fields if line[0][:15].rstrip() in _LATER]
    first = [line for line in fields if line not in later]
    return [*first, *timeline, *between, ("", ""), *later]
