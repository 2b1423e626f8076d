"""Makes untrusted text safe for a terminal.

A job file may contain anything: escape sequences move the cursor and set titles, bidirectional
controls reorder words, and a carriage return overwrites the line. Every such character is shown as
an escape. (rich passes ESC and C1 on even through ``escape()`` and ``Text``.)

Joiners and the emoji selector are invisible too, but scripts and emoji need them: they stay where
they have an effect (RFC 5892, appendix A, for the scripts; Unicode's annex 29 for emoji).
"""

from __future__ import annotations

import re
import sys
import unicodedata
from functools import lru_cache

__all__ = ["fit", "fits_encoding", "is_narrow", "visible", "width"]

_HOSTILE = (  # compiled at its first use, which few commands have
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ud800-\udfff"
    "\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\x1b": "\\e"}


_ZWNJ, _ZWJ, _EMOJI_SELECTOR = "\u200c", "\u200d", "\ufe0f"
_OUR_SYMBOLS = dict.fromkeys(map(ord, "●◐○✗⊘━─…·"))
_FIRST_COMBINING = "\u0300"
_KEYCAP = "\u20e3"
_VIRAMA = 9  # the combining class of what joins Indic letters
_EMOJI_CATEGORIES = ("So", "Sm", "Po", "Cn")  # the last one of emoji newer than this Python
_EMOJI_PUNCTUATION = "\u203c\u2049\u3030\u303d"


def visible(text: str) -> str:
    """Return the text with control, bidi, invisible and surrogate characters as escapes."""
    if text.isascii() and text.isprintable():
        return text
    return re.sub(_HOSTILE, _written_out, text)


def _is_needed(text: str, at: int) -> bool:
    """Whether the joiner or selector at this place changes how its neighbours are shown."""
    char, before, after = text[at], text[at - 1 : at], text[at + 1 : at + 2]
    if not before:
        return False
    if char == _EMOJI_SELECTOR:
        is_keycap = before in "0123456789#*" and after == _KEYCAP
        is_symbol = unicodedata.category(before) in ("So", "Sm") or before in _EMOJI_PUNCTUATION
        return is_keycap or is_symbol
    if not after:
        return False
    if unicodedata.combining(before) == _VIRAMA:
        return unicodedata.category(after) == "Lo"
    if char == _ZWNJ:  # between two letters of a script that joins them, such as Persian
        return unicodedata.bidirectional(before) == unicodedata.bidirectional(after) == "AL"
    return at in _emoji_joiners(text)


@lru_cache(maxsize=1)  # a text is examined once, not once for each of its joiners
def _emoji_joiners(text: str) -> frozenset[int]:
    """Return the places of joiners that make one emoji of those on their two sides."""
    from wcwidth import iter_graphemes

    places: set[int] = set()
    start = 0
    for cluster in iter_graphemes(text):
        places.update(
            start + at
            for at in range(1, len(cluster) - 1)
            if cluster[at] == _ZWJ
            and cluster[at - 1] != _ZWJ
            and unicodedata.category(cluster[at + 1]) in _EMOJI_CATEGORIES
        )
        start += len(cluster)
    return frozenset(places)


def _written_out(match: re.Match[str]) -> str:
    char = match[0]
    if char in (_ZWNJ, _ZWJ, _EMOJI_SELECTOR) and _is_needed(match.string, match.start()):
        return char
    code = ord(char)
    return _SHORT.get(char) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")


def width(text: str) -> int:
    """Return the number of columns on a terminal."""
    if is_narrow(text):
        return len(text)
    from wcwidth import width as width_of

    return width_of(text, control_codes="ignore")


def is_narrow(text: str) -> bool:
    """Whether each character is known to take one column, without the tables of all characters.

    Those tables take 20 ms to import, and a look-up in them takes long for each cell of a table.
    """
    if text.isascii():
        return True
    rest = text.translate(_OUR_SYMBOLS)
    return rest.isascii() or (max(rest) < _FIRST_COMBINING and rest.isprintable())


def fit(text: str, columns: int) -> str:
    """Cut the text to this number of columns, with an ellipsis if something is missing."""
    if width(text) <= columns:
        return text
    mark = "…" if fits_encoding("…") else "~"
    if columns <= 0:
        return ""
    if is_narrow(text):
        return text[: columns - 1].rstrip() + mark
    from wcwidth import clip

    return clip(text, 0, columns - 1, propagate_sgr=False, control_codes="ignore").rstrip() + mark


def fits_encoding(text: str) -> bool:
    """Whether standard output can encode the text."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
