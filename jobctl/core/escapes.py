"""Removes the escape sequences of terminals from text that is kept as one line."""

from __future__ import annotations

import re

__all__ = ["without_escapes"]

_ESCAPE = (  # compiled at its first use
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # CSI, also one that was cut
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])"  # OSC, DCS, SOS, PM, APC: up to their end
    r"[^\x07\x1b\x9c\r\n]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"  # for example a choice of the character set
    r"|[\x80-\x9f]"  # the other 8-bit forms
)
"""Escape sequences of terminals, of text. Source: ECMA-48, sections 5.3 to 5.6."""


def without_escapes(text: str) -> str:
    """Return the text without escape sequences: colours, titles, links, 8-bit forms, all others.

    An incomplete one is removed as well, at most up to the end of its line.
    """
    return text if text.isprintable() else re.sub(_ESCAPE, "", text)
