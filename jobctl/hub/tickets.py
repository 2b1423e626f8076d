"""One-time tickets that sign a browser in: for ``jobctl serve --open``.

The token itself must not be in a URL, where the browser's history keeps it, nor on a command line,
which every user of the machine can read. A ticket is worth nothing once it has been used.
"""

from __future__ import annotations

import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic

__all__ = ["TICKET_S", "Tickets"]

TICKET_S = 120.0
"""How long a ticket is valid, in seconds."""

_MAX_TICKETS = 16
"""Tickets that are valid at once. A new one replaces the oldest."""


class Tickets:
    """The tickets of one hub that are still valid."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._valid_until: OrderedDict[str, float] = OrderedDict()

    def issue(self) -> str:
        """Return a new ticket, which can be redeemed once within `TICKET_S`."""
        ticket = secrets.token_urlsafe(32)
        self._valid_until[ticket] = self._clock() + TICKET_S
        while len(self._valid_until) > _MAX_TICKETS:
            self._valid_until.popitem(last=False)
        return ticket

    def redeem(self, given: str) -> bool:
        """Whether the ticket is valid; it is not any more afterwards."""
        data = given.encode("utf-8", "surrogateescape")
        found = [
            ticket for ticket in self._valid_until if hmac.compare_digest(ticket.encode(), data)
        ]
        times_s = [self._valid_until.pop(ticket) for ticket in found]
        return any(self._clock() <= time_s for time_s in times_s)
