"""One-time tickets that sign a browser in."""

from __future__ import annotations

from jobctl.hub.tickets import TICKET_S, Tickets


class Clock:
    """A clock that stands still until it is set."""

    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_ticket_is_valid_once() -> None:
    """The second use is refused, and other tickets stay valid."""
    tickets = Tickets()
    first, second = tickets.issue(), tickets.issue()
    assert first != second
    assert tickets.redeem(first)
    assert not tickets.redeem(first)
    assert tickets.redeem(second)


def test_ticket_expires() -> None:
    """At its last moment it is still valid."""
    clock = Clock()
    tickets = Tickets(clock)
    in_time, late = tickets.issue(), tickets.issue()
    clock.now_s += TICKET_S
    assert tickets.redeem(in_time)
    clock.now_s += 0.1
    assert not tickets.redeem(late)


def test_other_texts_are_no_tickets() -> None:
    """Whatever a form may hold."""
    tickets = Tickets()
    tickets.issue()
    for text in ("", "x", "é", "\udcff", "0" * 4000):
        assert not tickets.redeem(text)


def test_number_of_valid_tickets_is_limited() -> None:
    """The oldest gives way."""
    tickets = Tickets()
    issued = [tickets.issue() for _ in range(17)]
    assert [tickets.redeem(ticket) for ticket in issued] == [False] + [True] * 16
