"""One job as one row of the list, in columns that stay in their places."""

from __future__ import annotations

from typing import NamedTuple

from jobctl.cli import formats
from jobctl.cli.job_table.columns import Columns
from jobctl.cli.job_table.frame import Row, left, left_cut, right
from jobctl.cli.text import visible
from jobctl.core.eta import UsualDurations
from jobctl.core.job import Job
from jobctl.core.pipeline import FAILED, PENDING

__all__ = ["RowFormat", "header"]

_MAX_KEPT = 2000
_WITH_TITLE = 36  # columns that a title and an error need
_MINUTE_MS = 60_000
_HOUR_MS = 60 * _MINUTE_MS


class _Kept(NamedTuple):
    """A row, what it was made of, and when it is no longer right."""

    job: Job
    given: tuple[object, ...]
    before: str
    after: str
    row: Row
    at_ms: int
    until_ms: int | None


class RowFormat:
    """Formats rows for one width, and keeps what depends on the job alone.

    Only the elapsed time of an active job changes by itself.
    """

    def __init__(self, columns: Columns, usual: UsualDurations) -> None:
        self.columns = columns
        self._usual = usual
        self._kept: dict[str, _Kept] = {}

    def row(
        self, job: Job, kind: str, depth: int, id: str, now_ms: int, *, selected: bool = False
    ) -> tuple[Row, int | None]:
        """Return the row of a job that is counted as ``kind``, with its short ``id``.

        And until when it stays as it is if the job does not change; ``None`` for ever.
        """
        given = (kind, depth, id, selected)
        kept = self._kept.get(job.id)
        if kept is not None and kept.job is job and kept.given == given:
            if kept.until_ms is None or kept.at_ms <= now_ms < kept.until_ms:
                return kept.row, kept.until_ms
            before, after = kept.before, kept.after
        else:
            if len(self._kept) > _MAX_KEPT:
                self._kept.clear()
            before, after = self._halves(job, kind, depth, id)
        elapsed_ms = job.elapsed_ms(now_ms)
        time, until_ms = "", None
        if self.columns.time:
            time = right(formats.duration(_whole_seconds(elapsed_ms)), self.columns.time)
            if job.active and elapsed_ms is not None:
                until_ms = now_ms + (1000 if elapsed_ms < _HOUR_MS else _MINUTE_MS)
        style = _style(kind)
        if selected:
            style = f"{style} reverse".lstrip()
        row = [(before + time + after, style)]
        self._kept[job.id] = _Kept(job, given, before, after, row, now_ms, until_ms)
        return row, until_ms

    def _halves(self, job: Job, kind: str, depth: int, id: str) -> tuple[str, str]:
        """Return what stands before and after the elapsed time."""
        columns, usual = self.columns, self._usual
        gap = " " * columns.gap
        pipeline = usual.pipelines.of(job)
        indent = min(depth * 2, max(columns.id - 6, 0) // 2 * 2)
        before = []
        if columns.stages:
            before.append(left(formats.stages(job, pipeline, columns.stages), columns.stages))
        before.append(" " * indent + left_cut(id, columns.id - indent))
        if columns.type:
            before.append(left(visible(job.type), columns.type))
        if columns.session:
            before.append(left(visible(job.session_id or "-"), columns.session))
        stage = job.shown_stage
        if not columns.text and kind in ("lost", "stalled"):
            stage = kind  # there is no room to say it elsewhere
        if columns.stage:
            before.append(left(visible(stage), columns.stage))
        percent = job.percent_of(usual.pipelines) if stage != FAILED else None
        after = []
        if columns.bar:
            after.append(formats.bar(percent, columns.bar))
        if columns.percent:
            after.append(right(f"{percent}%" if percent is not None else "", columns.percent))
        if columns.usually:
            after.append(left(formats.eta(job, usual), columns.usually))
        if columns.text:
            after.append(left(visible(_detail(job, kind, columns.text)), columns.text))
        head = gap.join(before)
        if columns.time:
            head += gap
        return head, "".join(gap + cell for cell in after)


def header(columns: Columns) -> Row:
    """Return the row with the names of the columns."""
    gap = " " * columns.gap
    cells = [
        right(name, size) if name in ("TIME", "DONE") else left(name, size)
        for name, size in columns.header
    ]
    return [(gap.join(cells), "dim")]


def _whole_seconds(ms: int | None) -> int | None:
    """Return the time without what changes faster than once a second."""
    return ms // 1000 * 1000 if ms is not None and ms >= 1000 else ms


def _detail(job: Job, kind: str, columns: int) -> str:
    """Return the job's mark, title and error, or its mark, title and message.

    Where there is room for one of them only, an error goes before the title.
    """
    error = formats.error(job)
    said = [kind if kind in ("lost", "stalled") else "", formats.acknowledged(job)]
    if error:
        said.append(formats.titled(job, error) if columns >= _WITH_TITLE else error)
    else:
        said.append(job.title or "")
    if not error:
        said.append(job.current_message or "")
    return ": ".join(part for part in said if part)


def _style(kind: str) -> str:
    if kind == "running":
        return ""
    return "dim" if kind == PENDING else kind
