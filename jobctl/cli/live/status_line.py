"""The last rows of the list: counts of each kind, whether it is live, and the keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from jobctl.cli.job_table.ranks import KINDS
from jobctl.cli.text import fit, fits_encoding, width

__all__ = ["beside", "counts_text", "first_that_fits"]

_SHORT = {
    "running": "run", "pending": "wait", "stalled": "stall", "failed": "fail",
    "cancelled": "cancel", "completed": "done",
}  # fmt: skip


def counts_text(counts: Mapping[str, int], columns: int) -> str:
    """Return ``3 running · 1 lost · 480 completed``, without the kinds that there are none of.

    Beside the kinds of jobs there may be ``damaged`` files and ``overdue`` types. On a narrow
    screen the words are shorter.
    """
    shown = [(counts[kind], kind) for kind in (*KINDS, "overdue", "damaged") if counts.get(kind)]
    short = [(f"{count} {_SHORT.get(kind, kind)}", kind) for count, kind in shown]
    alerts = [text for text, kind in short if kind not in ("cancelled", "completed")]
    texts = [
        separator().join(f"{count} {kind}" for count, kind in shown),
        separator().join(text for text, _ in short),
        " ".join(text for text, _ in short),
        " ".join(text for text, kind in short if kind != "cancelled"),
    ]
    while alerts:  # rather fewer counts than half a number
        texts.append(" ".join(alerts))
        alerts.pop(0)
    return first_that_fits(texts, columns)


def separator() -> str:
    """Return what stands between two parts of a line."""
    return " · " if fits_encoding("·") else ", "


def first_that_fits(texts: Iterable[str], columns: int) -> str:
    """Return the first of these texts that fits; the last one is cut."""
    text = ""
    for text in texts:
        if width(text) <= columns:
            return text
    return fit(text, columns)


def beside(text: str, hints: Iterable[str], columns: int) -> str:
    """Return the text with the first of the hints that fits at the right end of the row."""
    text = fit(text, columns)
    room = columns - width(text) - 2
    for hint in hints:
        if width(hint) <= room:
            return text + " " * (columns - width(text) - width(hint)) + hint
    return text
