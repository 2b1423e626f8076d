"""How a job looks in a line: its stage strip, bar, ages. Pure functions of a job and a time."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Container, Iterable

from jobctl.cli.text import fits_encoding, visible
from jobctl.core.eta import UsualDurations
from jobctl.core.job import Job
from jobctl.core.pipeline import COMPLETED, FAILED, PENDING
from jobctl.core.times import known_ms

__all__ = ["ago", "band", "bar", "duration", "eta", "mark", "moment", "short_ids", "strip"]

_SYMBOLS = {"done": "●", "here": "◐", "ahead": "○", "failed": "✗", "bar": "━", "rest": "─"}
_PLAIN = {"done": "#", "here": ">", "ahead": ".", "failed": "x", "bar": "=", "rest": "-"}


def _symbols() -> dict[str, str]:
    return _SYMBOLS if fits_encoding("".join(_SYMBOLS.values())) else _PLAIN


def strip(job: Job) -> str:
    """One symbol a stage between pending and completed: done, here, ahead, failed."""
    symbols = _symbols()
    names = job.pipeline.names()[1:-1] or ("work",)
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
            marks.append(symbols["failed" if job.stage == FAILED else "here"])
        else:
            marks.append(symbols["ahead"])
    return "".join(marks)


def bar(percent: int | None, columns: int) -> str:
    """A progress bar so many columns wide; blank where nobody knows."""
    if percent is None:
        return " " * columns
    symbols = _symbols()
    full = columns * min(max(percent, 0), 100) // 100
    return symbols["bar"] * full + symbols["rest"] * (columns - full)


def duration(ms: int | None) -> str:
    """``850ms``, ``12s``, ``3m05s``, ``2h07m``, ``4d03h``; ``-`` for one that is not known."""
    if ms is None:
        return "-"
    if ms < 1000:
        return f"{ms}ms"
    seconds = ms // 1000
    if seconds < 60:
        return f"{seconds}s"
    if seconds < 3600:
        return f"{seconds // 60}m{seconds % 60:02d}s"
    if seconds < 86400:
        return f"{seconds // 3600}h{seconds % 3600 // 60:02d}m"
    return f"{seconds // 86400}d{seconds % 86400 // 3600:02d}h"


def ago(text: str, now_ms: int) -> str:
    """The age of a moment, in one unit: ``5s``, ``12m``, ``3h``, ``9d``; ``-`` for none."""
    ms = known_ms(text)
    if ms is None:
        return "-"
    seconds = max(0, now_ms - ms) // 1000
    for limit, size, unit in ((60, 1, "s"), (3600, 60, "m"), (86400, 3600, "h")):
        if seconds < limit:
            return f"{seconds // size}{unit}"
    return f"{seconds // 86400}d"


def moment(text: str, form: str | None, now_ms: int) -> str:
    """The moment as ``relative``, ``iso``, or ``local``: in this machine's zone; ``-`` for none."""
    ms = known_ms(text)
    if ms is None:
        return "-"
    if form == "relative":
        return f"{ago(text, now_ms)} ago"
    if form == "iso":
        return text
    return time.strftime("%Y-%m-%d %H:%M:%S%z", time.localtime(ms / 1000))


def eta(job: Job, usual: UsualDurations) -> str:
    """What jobs of the type usually take, for an active job; blank where nobody knows."""
    known = usual.band(job)
    return band(known) if known is not None else ""


def band(ms: tuple[int, int]) -> str:
    """``30s-2m``, or one of them where they are alike."""
    low, high = (duration(each).replace("m00s", "m") for each in ms)
    return low if low == high else f"{low}-{high}"


def mark(job: Job, now_ms: int, dead: Container[str] = ()) -> str:
    """``lost`` when its owner is among the dead, ``stalled``, or nothing."""
    if job.lost(dead):
        return "lost"
    return "stalled" if job.stalled(now_ms) else ""


def short_ids(ids: Iterable[str], among: Iterable[str] = ()) -> dict[str, str]:
    """Each id cut to 8 characters, or to as many as tell it from all others and those ``among``.

    What is shown may be typed again: it has to be unique in the store, not on the screen only.
    """
    shown = set(ids)
    known = sorted(shown.union(among))
    shorts: dict[str, str] = {}
    for id in shown:
        index = bisect_left(known, id)
        beside = known[max(index - 1, 0) : index] + known[index + 1 : index + 2]
        common = max((_common(id, other) for other in beside), default=0)
        shorts[id] = visible(id[: max(8, common + 1)])
    return shorts


def _common(one: str, other: str) -> int:
    """How many characters both start with."""
    for index, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return index
    return min(len(one), len(other))
