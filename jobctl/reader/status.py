"""Where a reader stands with its source: the events beside the deltas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["State", "Status"]

State = Literal["idle", "connecting", "open", "closed", "error"]


@dataclass(frozen=True, slots=True)
class Status:
    """A change of state of a client.

    ``open`` means live; ``closed`` that the connection ended and comes back in ``retry_s`` seconds;
    ``error`` that a try failed and the next one comes in ``retry_s`` seconds (``None``: none will).
    """

    state: State
    source: Literal["hub", "directory"]
    where: str
    detail: str = ""
    retry_s: float | None = None
    digest_mismatch: bool = False
    """The connection was given up since what we hold is not what the hub holds."""
