"""What a view gives to the terminal and gets from it: frames and keys."""

from __future__ import annotations

from jobctl.cli.table import _COLOURS

__all__ = ["Frame", "Key", "Span", "sgr"]

Key = str
"""A printable character as itself, or a name: ``up down left right pgup pgdn home end enter esc
backspace tab``."""

Span = tuple[str, str]
"""A text, and its styles separated by spaces: those of `jobctl.cli.table`, and ``reverse``.

The text contains no control characters.
"""

Frame = list[list[Span]]
"""The rows from the top, each a list of spans."""

_ATTRIBUTES = {"bold": "1", "dim": "2", "reverse": "7"}
_CODES = {**_COLOURS, **_ATTRIBUTES}


def sgr(style: str, *, colours: bool) -> str:
    """Return the parameters of the escape sequence for a style, ``""`` for the plain style.

    Without ``colours`` (``NO_COLOR``) only bold, dim and reverse are used. Unknown names are
    ignored.
    """
    if not style:
        return ""
    codes = _CODES if colours else _ATTRIBUTES
    return ";".join(codes[name] for name in style.split() if name in codes)
