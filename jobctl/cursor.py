"""The cursor: how far one reader has got, under one filter."""

from __future__ import annotations

import re
from typing import NamedTuple

from jobctl.errors import InvalidCursor

__all__ = ["MAX_REVISION", "ZERO", "Cursor"]

MAX_REVISION = 2**53 - 1
"""The largest revision that every JSON reader holds exactly (RFC 8259, section 6)."""

_FORM = re.compile(r"([A-Za-z0-9-]{1,40}):(0|[1-9][0-9]{0,15})(?::([0-9a-f]{6}))?\Z")


class Cursor(NamedTuple):
    """``(epoch, revision)``, and the tag of the filter it was made under (``""`` for none).

    Everything up to and including ``revision`` has been seen. Printed ``epoch:revision`` or
    ``epoch:revision:tag``.
    """

    epoch: str
    revision: int
    tag: str = ""

    def __str__(self) -> str:
        return f"{self.epoch}:{self.revision}" + (f":{self.tag}" if self.tag else "")

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """The inverse of ``str()``; ``0`` and ``-:0`` are `ZERO`. `InvalidCursor` otherwise."""
        if text == "0":
            return ZERO
        match = _FORM.match(text)
        if match is None or int(match[2]) > MAX_REVISION:
            raise InvalidCursor(text)
        return cls(match[1], int(match[2]), match[3] or "")


ZERO = Cursor("-", 0)
"""The cursor of a reader that has seen nothing: it belongs to no epoch."""
