"""The cursor: how far a reader has read, under one filter."""

from __future__ import annotations

import re

from jobctl.errors import InvalidCursor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple
else:
    from jobctl._stdlib import NamedTuple

__all__ = ["MAX_REVISION", "ZERO", "Cursor", "epoch_for", "store_cursor", "store_epoch"]

MAX_REVISION = 2**53 - 1
"""The largest revision that every JSON reader holds exactly (RFC 8259, section 6)."""

_LIMITED = "-limited"

_FORM = re.compile(r"([A-Za-z0-9-]{1,40}):(0|[1-9][0-9]{0,15})(?::([0-9a-f]{6}))?\Z")


class Cursor(NamedTuple):
    """``(epoch, revision)``, and the tag of the filter that it belongs to (``""`` for no filter).

    The reader has everything up to and including ``revision``. Printed as ``epoch:revision`` or
    ``epoch:revision:tag``.
    """

    epoch: str
    revision: int
    tag: str = ""

    def __str__(self) -> str:
        return f"{self.epoch}:{self.revision}" + (f":{self.tag}" if self.tag else "")

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Parse a printed cursor; ``0`` and ``-:0`` are `ZERO`. `InvalidCursor` otherwise."""
        if text == "0":
            return ZERO
        match = _FORM.match(text)
        if match is None or int(match[2]) > MAX_REVISION:
            raise InvalidCursor(text)
        return cls(match[1], int(match[2]), match[3] or "")


ZERO = Cursor("-", 0)
"""The cursor of a reader that has seen nothing: it belongs to no epoch."""


# A reader without the right "details" does not hold what the store holds. So its cursors belong to
# an epoch of their own, and a reader who gains or loses the right starts over by the usual reset.


def epoch_for(epoch: str, *, details: bool) -> str:
    """Return the epoch that a reader with or without details gets for the store's ``epoch``."""
    return epoch if details else epoch + _LIMITED


def store_epoch(epoch: str) -> str:
    """Return the store's epoch for the one that a reader got."""
    return epoch.removesuffix(_LIMITED)


def store_cursor(cursor: Cursor, *, details: bool) -> Cursor:
    """Return the store's cursor for the one of a reader with or without details.

    Returns `ZERO` if the reader had other rights when it got the cursor.
    """
    epoch = store_epoch(cursor.epoch)
    if epoch_for(epoch, details=details) != cursor.epoch:
        return ZERO
    return cursor._replace(epoch=epoch)
