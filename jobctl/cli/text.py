"""Makes untrusted text safe for a terminal.

A job file may contain anything: escape sequences move the cursor and set titles, bidirectional
controls reorder words, and a carriage return overwrites the line. Every such character is shown as
an escape. (rich passes ESC and C1 on even through ``escape()`` and ``Text``.)
"""

from __future__ import annotations

import re
import sys

__all__ = ["fit", "fits_encoding", "visible", "width"]

_HOSTILE = (  # compiled at its first use, which few commands have
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e0fff]"
)
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\x1b": "\\e"}


def visible(text: str) -> str:
    """Return the text with control, bidi, invisible and surrogate characters as escapes."""
    if text.isascii() and text.isprintable():
        return text
    return re.sub(_HOSTILE, _written_out, text)


def _written_out(match: re.Match[str]) -> str:
    char = match[0]
    code = ord(char)
    return _SHORT.get(char) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")


def width(text: str) -> int:
    """Return the number of columns on a terminal."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def fit(text: str, columns: int) -> str:
    """Cut the text to this number of columns, with an ellipsis if something is missing."""
    if width(text) <= columns:
        return text
    from rich.cells import set_cell_size

    mark = "…" if fits_encoding("…") else "~"
    return set_cell_size(text, max(columns - 1, 0)).rstrip() + mark if columns > 0 else ""


def fits_encoding(text: str) -> bool:
    """Whether standard output can encode the text."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
