"""The waits between tries: doubling, capped, and jittered after the cap as well."""

from __future__ import annotations

import random
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from jobctl.reader.backoff import BASE_S, CAP_S, Backoff


def ceilings(tries: int) -> list[float]:
    """The waits of the unluckiest draw."""
    backoff = Backoff(lambda: 1.0)
    return [backoff.next_s() for _ in range(tries)]


def test_ceiling_doubles_from_the_base_to_the_cap():
    """0.5 s, 1 s, 2 s, … and never over 15 s, however often."""
    waits = ceilings(2000)
    assert waits[:7] == [0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0]
    assert waits[0] == BASE_S
    assert set(waits[6:]) == {CAP_S}


@given(st.floats(0, 1, exclude_max=True), st.integers(0, 40))
def test_every_wait_lies_between_nothing_and_the_ceiling(draw, tries):
    """Full jitter: the whole range is used, but for a hub that is not asked in a spin."""
    backoff = Backoff(lambda: draw)
    waits = [backoff.next_s() for _ in range(tries + 1)]
    assert 0.05 <= waits[-1] <= max(0.05, ceilings(tries + 1)[-1])


def test_clients_at_the_cap_are_spread():
    """FAULTS row 34: 500 clients after many tries do not reconnect at the same moment."""
    waits = []
    for seed in range(500):
        backoff = Backoff(random.Random(seed).random)
        waits.append([backoff.next_s() for _ in range(12)][-1])
    waits.sort()
    assert waits[0] < 1
    assert waits[-1] > CAP_S - 1
    assert max(later - earlier for earlier, later in pairwise(waits)) < 0.5
    in_a_second = [sum(at <= wait < at + 1 for wait in waits) for at in range(14)]
    assert max(in_a_second) < 3 * 500 / 15


def test_reset_starts_over():
    """Once somebody spoke sense, the next trouble is a new one."""
    backoff = Backoff(lambda: 1.0)
    for _ in range(9):
        backoff.next_s()
    backoff.reset()
    assert (backoff.tries, backoff.next_s()) == (0, BASE_S)
