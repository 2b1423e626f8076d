"""The list of seeded faults follows the code."""

from __future__ import annotations

from tests.mutation.__main__ import place_of
from tests.mutation.faults import FAULTS


def test_each_fault_has_its_text_once() -> None:
    """Or the mutation run, which is outside CI, would pass over it."""
    assert [place for fault in FAULTS if isinstance(place := place_of(fault), str)] == []
