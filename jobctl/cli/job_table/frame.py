"""Frames: rows of styled text that fit a terminal. And texts of a fixed number of columns."""

from __future__ import annotations

from jobctl.cli.text import fit, fits_encoding, visible, width

__all__ = ["Frame", "Key", "Row", "Span", "left", "left_cut", "right", "row_of", "wrapped"]

Key = str
"""A printable character, or the name of a key: ``up``, ``pgdn``, ``enter``, ``esc``…"""
Span = tuple[str, str]
"""Safe text, and its style: names separated by spaces, such as ``failed reverse``; or empty."""
Row = list[Span]
Frame = list[Row]
"""The rows of the screen, from the top."""


def left(text: str, columns: int) -> str:
    """Return safe text cut or padded to this width, at the left."""
    text = fit(text, columns)
    return text + " " * (columns - width(text))


def right(text: str, columns: int) -> str:
    """Return safe text cut or padded to this width, at the right."""
    text = fit(text, columns)
    return " " * (columns - width(text)) + text


def left_cut(text: str, columns: int) -> str:
    """Return ASCII text of this width; if it is too long, its end, which tells it from others."""
    if len(text) <= columns:
        return text + " " * (columns - len(text))
    mark = "…" if fits_encoding("…") else "~"
    return mark + text[len(text) - columns + 1 :] if columns > 0 else ""


def row_of(text: str, columns: int, style: str = "") -> Row:
    """Return a row with this safe text, as wide as the screen."""
    return [(left(text, columns), style)]


def wrapped(text: str, columns: int) -> list[str]:
    """Return untrusted text as lines of at most this width; a line end begins a new line."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        lines += _wrapped(visible(paragraph), columns)
    return lines


def _wrapped(text: str, columns: int) -> list[str]:
    if width(text) <= columns:
        return [text]
    if text.isascii():
        clusters, widths = list(text), [1] * len(text)
    else:
        from wcwidth import iter_graphemes

        clusters = list(iter_graphemes(text))
        widths = [width(cluster) for cluster in clusters]
    lines, begin, used, space = [], 0, 0, -1
    for at, cluster in enumerate(clusters):
        if used + widths[at] > columns and at > begin:
            end = space + 1 if space > begin else at
            lines.append("".join(clusters[begin:end]).rstrip())
            begin, space = end, -1
            used = sum(widths[begin:at])
        used += widths[at]
        if cluster == " ":
            space = at
    lines.append("".join(clusters[begin:]))
    return [fit(line, columns) for line in lines]
