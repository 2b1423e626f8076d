"""Computes the bytes that turn one frame on a terminal into the next. It does no I/O."""

from __future__ import annotations

from operator import itemgetter

from jobctl.cli.terminal.frame import Frame, Span, sgr
from jobctl.cli.text import is_narrow, visible

__all__ = ["BEGIN_UPDATE", "END_UPDATE", "Painter", "plain_rows"]

BEGIN_UPDATE, END_UPDATE = "\x1b[?2026h", "\x1b[?2026l"
"""A synchronized update: the terminal shows its result at once. Others ignore the sequences."""

_CLEAR = "\x1b[m\x1b[H\x1b[2J"
_ERASE_REST = "\x1b[K"

_Cell = tuple[str, str]
"""A grapheme cluster, and its style as in `sgr`. The second cell of a wide cluster has ``""``."""
_BLANK: _Cell = (" ", "")
_TEXT = itemgetter(0)

_MAX_GAP = 6
"""So many unchanged cells are written again: moving the cursor over them takes as many bytes."""


class Painter:
    """Remembers what is on the terminal and paints what differs.

    Each change is at most one synchronized update. The last column is written only where the cursor
    is placed explicitly afterwards, so whether a terminal wraps there does not matter. Clusters of
    several characters are of different widths in different terminals: the text after one is placed
    explicitly, so that a wrong width does not move it.
    """

    def __init__(self, *, colours: bool = True) -> None:
        self._colours = colours
        self._size: tuple[int, int] | None = None
        self._frame: Frame = []
        self._cells: list[list[_Cell]] = []

    def forget(self) -> None:
        """Paint everything the next time, since the terminal's content is unknown."""
        self._size = None

    def paint(self, frame: Frame, columns: int, rows: int) -> str:
        """Return what to write so that the terminal shows the frame; ``""`` if it already does.

        Rows and columns that do not fit are cut off.
        """
        out: list[str] = []
        frame = frame[:rows]
        if self._size != (columns, rows):
            self._size = (columns, rows)
            self._frame, self._cells = [], []
            out.append(_CLEAR)
        shown, cells = self._frame, self._cells
        pen = _Pen(out)
        for index, row in enumerate(frame):
            if index < len(shown) and row == shown[index]:
                continue
            new = _cells_of(row, columns, colours=self._colours)
            if index == len(cells):
                cells.append([])
            _paint_row(pen, index, cells[index], new, columns)
            cells[index] = new
        for index in range(len(frame), len(cells)):
            if cells[index]:
                pen.move(index, 0)
                pen.erase_rest()
        del cells[len(frame) :]
        self._frame = [list(row) for row in frame]
        pen.style("")
        return BEGIN_UPDATE + "".join(out) + END_UPDATE if out else ""


class _Pen:
    """Writes sequences; remembers the style."""

    def __init__(self, out: list[str]) -> None:
        self._out = out
        self._style = ""

    def move(self, row: int, column: int) -> None:
        self._out.append(f"\x1b[{row + 1};{column + 1}H")

    def to_column(self, column: int) -> None:
        self._out.append(f"\x1b[{column + 1}G")

    def style(self, style: str) -> None:
        if style != self._style:
            self._out.append(f"\x1b[0;{style}m" if style else "\x1b[m")
            self._style = style

    def erase_rest(self) -> None:
        """Erase from the cursor on, in the plain style: terminals fill with its background."""
        self.style("")
        self._out.append(_ERASE_REST)

    def write(self, cells: list[_Cell]) -> None:
        for text, style in cells:
            if style != self._style:
                self.style(style)
            self._out.append(text)


def _paint_row(pen: _Pen, row: int, old: list[_Cell], new: list[_Cell], columns: int) -> None:
    """Write the cells that differ. Blank cells at the end of a row are in neither list."""
    runs = _differences(old, new)
    if not (_is_simple(old) and _is_simple(new)):
        start = runs[0][0] if runs else len(new)
        if runs or len(old) > len(new):
            _paint_anchored(pen, row, new, start, columns)
        return
    for start, end in runs:
        pen.move(row, start)
        pen.write(new[start:end])
    if len(old) > len(new):
        if not runs or runs[-1][1] != len(new):
            pen.move(row, len(new))
        pen.erase_rest()


def _paint_anchored(pen: _Pen, row: int, new: list[_Cell], start: int, columns: int) -> None:
    """Write the cells from ``start`` on, with the column after each cluster of characters."""
    pen.move(row, start)
    if start < columns:
        pen.erase_rest()
    at = start
    for index in range(start, len(new)):
        if len(new[index][0]) > 1:
            end = index + 1
            while end < len(new) and not new[end][0]:
                end += 1
            pen.write(new[at:end])
            if end < len(new):
                pen.to_column(end)
            at = end
    pen.write(new[at:])


def _differences(old: list[_Cell], new: list[_Cell]) -> list[tuple[int, int]]:
    """Return the ranges of cells to write, those with small gaps joined."""
    runs: list[tuple[int, int]] = []
    places = [index for index, pair in enumerate(zip(old, new, strict=False)) if pair[0] != pair[1]]
    places += [index for index in range(len(old), len(new)) if new[index] != _BLANK]
    for index in places:
        if runs and index - runs[-1][1] <= _MAX_GAP:
            runs[-1] = (runs[-1][0], index + 1)
        else:
            runs.append((index, index + 1))
    # Cells of a wide cluster are written together.
    return [(start, _whole(new, end)) for start, end in runs]


def _is_simple(cells: list[_Cell]) -> bool:
    """Whether each cluster is one character."""
    return max(map(len, map(_TEXT, cells)), default=0) <= 1


def _whole(cells: list[_Cell], end: int) -> int:
    while end < len(cells) and not cells[end][0]:
        end += 1
    return end


def _cells_of(row: list[Span], columns: int, *, colours: bool) -> list[_Cell]:
    """Return the row as cells, at most ``columns``, without blank cells at the end."""
    cells: list[_Cell] = []
    for text, style in row:
        code = sgr(style, colours=colours)
        text = visible(text)
        if is_narrow(text):
            cells += [(char, code) for char in text]
        else:
            _append_clusters(cells, text, code)
        if len(cells) >= columns:
            break
    if len(cells) > columns:
        cut = columns
        while cut and not cells[cut][0]:  # a wide cluster that does not fit is left out
            cut -= 1
        del cells[cut:]
    while cells and cells[-1] == _BLANK:
        cells.pop()
    return cells


def _append_clusters(cells: list[_Cell], text: str, code: str) -> None:
    from wcwidth import iter_graphemes, wcswidth

    for cluster in iter_graphemes(text):
        if cluster.isascii():
            cells.append((cluster, code))
            continue
        width = wcswidth(cluster)
        if width <= 0:  # a combining character without a base: it belongs to the cell before
            if cells and cells[-1][0]:
                cells[-1] = (cells[-1][0] + cluster, cells[-1][1])
            continue
        cells.append((cluster, code))
        cells += [("", code)] * (width - 1)


def plain_rows(frame: Frame, columns: int, *, colours: bool = True) -> list[str]:
    """Return the rows as lines for the normal screen, without the ends of the lines."""
    lines = []
    for row in frame:
        out: list[str] = []
        pen = _Pen(out)
        pen.write(_cells_of(row, columns, colours=colours))
        pen.style("")
        lines.append("".join(out))
    return lines
