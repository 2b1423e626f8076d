"""A plain table: columns as wide as needed, cut to the screen. Fast for any length."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence

from jobctl.cli.text import fit, visible, width

__all__ = ["columns_of_terminal", "lines", "paint"]

_COLOURS = {
    "failed": "31",
    "cancelled": "90",
    "completed": "32",
    "stalled": "33",
    "lost": "31",
    "dim": "2",
    "bold": "1",
}


def columns_of_terminal() -> int | None:
    """Return the terminal's width; ``None`` if output is not a terminal."""
    if not sys.stdout.isatty():
        return None
    try:
        return max(os.get_terminal_size(sys.stdout.fileno()).columns, 20)
    except OSError:
        return 80


def coloured() -> bool:
    """Whether to use colours: on a terminal, unless NO_COLOR or TERM=dumb; FORCE_COLOR wins."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def paint(text: str, style: str) -> str:
    """Return the text in a colour, if colours are used."""
    code = _COLOURS.get(style)
    return f"\x1b[{code}m{text}\x1b[0m" if code and text and coloured() else text


def lines(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    limit: int | None,
    show_header: bool = True,
    styles: Sequence[str] = (),
) -> Iterable[str]:
    """Yield the table's lines. Cells are untrusted text; ``styles`` has one entry per row.

    With a ``limit`` in columns no line is longer; columns at the end are cut first.
    """
    shown = [[visible(cell) for cell in row] for row in rows]
    table = [list(header), *shown] if show_header else shown
    if not table:
        return
    widths = [max(width(row[column]) for row in table) for column in range(len(header))]
    for index, row in enumerate(table):
        cells: list[str] = []
        left = limit if limit is not None else 1 << 30
        for column, cell in enumerate(row):
            last = column == len(row) - 1
            room = min(widths[column], left)
            text = fit(cell, room if limit is not None else 1 << 30)
            cells.append(text if last else text + " " * (room - width(text)))
            left -= room + 2
            if left <= 0:
                break
        line = "  ".join(cells).rstrip()
        style = "dim" if show_header and index == 0 else ""
        if styles and (index or not show_header):
            style = styles[index - 1 if show_header else index]
        yield paint(line, style)
