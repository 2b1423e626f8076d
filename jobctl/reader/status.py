"""The events of a reader: deltas, lists, and changes of its own status."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jobctl.core.jobset import Delta
from jobctl.core.protocol import BadFiles, DeadOwners

__all__ = ["Event", "State", "Status"]

State = Literal["idle", "connecting", "open", "closed", "error"]


@dataclass(frozen=True, slots=True)
class Status:
    """A change of a client's state.

    ``open``: live. ``closed``: the connection ended; the next try is in ``retry_s`` seconds.
    ``error``: a try failed; the next one is in ``retry_s`` seconds, or there is none (``None``).
    """

    state: State
    source: Literal["hub", "directory"]
    where: str
    detail: str = ""
    retry_s: float | None = None
    digest_mismatch: bool = False
    """The connection was closed because our jobs do not match the hub's digest."""


Event = Delta | Status | DeadOwners | BadFiles
"""What a reader yields; `BadFiles` only if it was asked for them."""
