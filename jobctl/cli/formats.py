"""Formats parts of a job for one line: stage strip, bar, times. Pure functions."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Container, Iterable

from jobctl.cli.text import fit, fits_encoding, visible
from jobctl.core.eta import UsualDurations
from jobctl.core.job import Job
from jobctl.core.pipeline import COMPLETED, FAILED, PENDING, Pipeline, Pipelines
from jobctl.core.times import duration, known_ms

__all__ = [
    "acknowledged", "ago", "band", "bar", "duration", "error", "eta", "labels", "mark", "moment",
    "short_ids", "stages", "strip", "titled",
]  # fmt: skip

_MAX_TITLE = 20  # columns of a title that stands before an error

_SYMBOLS = {
    "done": "●",
    "here": "◐",
    "ahead": "○",
    "failed": "✗",
    "cancelled": "⊘",
    "bar": "━",
    "rest": "─",
}
_PLAIN = {
    "done": "#",
    "here": ">",
    "ahead": ".",
    "failed": "x",
    "cancelled": "/",
    "bar": "=",
    "rest": "-",
}


def _symbols() -> dict[str, str]:
    return _SYMBOLS if fits_encoding("".join(_SYMBOLS.values())) else _PLAIN


def strip(job: Job, pipeline: Pipeline) -> str:
    """Return one symbol per stage between pending and completed: done, here, ahead, failed…"""
    symbols = _symbols()
    names = pipeline.names()[1:-1] or ("work",)
    if job.stage == COMPLETED:
        return symbols["done"] * len(names)
    stage = job.stage
    if stage == FAILED:
        before = [entry.stage for entry in job.timeline() if entry.stage != FAILED]
        stage = before[-1] if before else PENDING
    here = names.index(stage) if stage in names else (-1 if stage == PENDING else 0)
    marks = []
    for index in range(len(names)):
        if index < here:
            marks.append(symbols["done"])
        elif index == here or (job.stage == FAILED and here < 0 and index == 0):
            marks.append(symbols[job.shown_stage if job.stage == FAILED else "here"])
        else:
            marks.append(symbols["ahead"])
    return "".join(marks)


def stages(job: Job, pipeline: Pipeline, columns: int) -> str:
    """Return the `strip`; if it has more stages than columns, a bar with ``12/40``."""
    count = max(len(pipeline.stages) - 2, 1)
    if count <= columns:
        return strip(job, pipeline)
    done = _stages_begun(job, pipeline)
    text = f"{done}/{count}"
    room = columns - len(text) - 1
    return f"{bar(100 * done // count, room)} {text}" if room > 0 else fit(text, columns)


def _stages_begun(job: Job, pipeline: Pipeline) -> int:
    """Return how many of the pipeline's stages the job has entered."""
    if job.stage == COMPLETED:
        return len(pipeline.stages) - 2
    for entry in reversed(job.attempt_timeline()):
        index = pipeline.index(entry.stage)
        if index is not None:
            return index
    return 0


def bar(percent: int | None, columns: int) -> str:
    """Return a progress bar of this width; blank if the percentage is unknown."""
    if percent is None:
        return " " * columns
    symbols = _symbols()
    full = columns * min(max(percent, 0), 100) // 100
    return symbols["bar"] * full + symbols["rest"] * (columns - full)


def size(count: int) -> str:
    """Return a number of bytes as three digits and a decimal unit: ``812 MB``, ``1.25 GB``."""
    value = float(max(count, 0))
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} TB" if value < 999.5 else f"{value:.0f} TB"


def usage(job: Job) -> str:
    """Return the memory and CPU time of the job's command, as far as they are known."""
    end = job.command_end
    if end is None:
        return ""
    parts = []
    if end.max_rss_bytes is not None:
        parts.append(f"peak {size(end.max_rss_bytes)}")
    if end.cpu_ms is not None:
        parts.append(f"CPU {duration(max(end.cpu_ms, 0))}")
    return (" · " if fits_encoding("·") else ", ").join(parts)


def ago(text: str, now_ms: int) -> str:
    """Return the age in one unit: ``5s``, ``12m``, ``3h``, ``9d``; ``-`` if unknown."""
    ms = known_ms(text)
    if ms is None:
        return "-"
    seconds = max(0, now_ms - ms) // 1000
    for limit, size, unit in ((60, 1, "s"), (3600, 60, "m"), (86400, 3600, "h")):
        if seconds < limit:
            return f"{seconds // size}{unit}"
    return f"{seconds // 86400}d"


def moment(text: str, form: str | None, now_ms: int) -> str:
    """Return the time as ``relative``, ``iso``, or ``local`` (this machine's zone).

    ``-`` if unknown.
    """
    ms = known_ms(text)
    if ms is None:
        return "-"
    if form == "relative":
        return f"{ago(text, now_ms)} ago"
    if form == "iso":
        return text
    return time.strftime("%Y-%m-%d %H:%M:%S%z", time.localtime(ms / 1000))


def eta(job: Job, usual: UsualDurations) -> str:
    """Return the usual duration of an active job's type; blank if unknown."""
    known = usual.band(job)
    return band(known) if known is not None else ""


def band(ms: tuple[int, int]) -> str:
    """Return ``30s-2m``, or one value if both are equal."""
    low, high = (duration(each).replace("m00s", "m") for each in ms)
    return low if low == high else f"{low}-{high}"


def mark(job: Job, now_ms: int, dead: Container[str], pipelines: Pipelines) -> str:
    """Return ``lost`` if the job's owner is dead, ``stalled``, or an empty string."""
    if job.lost(dead):
        return "lost"
    return "stalled" if job.stalled(now_ms, pipelines) else ""


def error(job: Job) -> str:
    """Return the job's error, or who cancelled it and why; an empty string without either."""
    cancellation = job.cancellation
    return str(cancellation) if cancellation is not None else job.error or ""


def acknowledged(job: Job) -> str:
    """Return ``ack`` if somebody has acknowledged that the job has failed or is lost."""
    return "ack" if job.acknowledged is not None and job.is_acknowledged else ""


def titled(job: Job, error: str) -> str:
    """Return the error with the job's title before it, which is cut so that the error is seen."""
    if not job.title:
        return error
    return f"{fit(visible(job.title), _MAX_TITLE)}: {error}"


def labels(job: Job) -> str:
    """Return ``app=etl,team=data``; an empty string without labels."""
    return ",".join(f"{key}={value}" for key, value in sorted((job.labels or {}).items()))


def short_ids(ids: Iterable[str], among: Iterable[str] = (), *, whole: int = 12) -> dict[str, str]:
    """Cut each id to 8 characters, or more if needed to differ from all others.

    An id of at most ``whole`` characters stays: somebody has chosen it, and knows it. A short id
    may be typed again, so it must be unique among the store's ids (``among``) too.
    """
    shown = set(ids)
    known = sorted(shown.union(among))
    shorts: dict[str, str] = {}
    for id in shown:
        index = bisect_left(known, id)
        beside = known[max(index - 1, 0) : index] + known[index + 1 : index + 2]
        common = max((_common(id, other) for other in beside), default=0)
        shorts[id] = visible(id if len(id) <= whole else id[: max(8, common + 1)])
    return shorts


def _common(one: str, other: str) -> int:
    """Return the length of the common prefix."""
    for index, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return index
    return min(len(one), len(other))
