"""What keys of ``watch`` do to jobs."""

from __future__ import annotations

import asyncio

import pytest

from jobctl import api
from jobctl.cli.live import Act
from jobctl.cli.live_acts import perform
from jobctl.core.pipeline import BUILT_IN_ONLY
from jobctl.stores import open_store


@pytest.mark.parametrize("verb", ["cancel", "retry"])
def test_an_act_leaves_the_next_attempt_alone(verb: str) -> None:
    """The question was about another attempt than the one that is there by now."""
    store = open_store("memory:")
    id = api.create(store, "etl").id
    api.fail(store, id, "no")
    api.retry(store, id)
    if verb == "retry":
        api.fail(store, id, "no again")
    before = api.show(store, id)
    act = Act("cancel" if verb == "cancel" else "retry", id, 0)
    said = asyncio.run(perform(store, act, BUILT_IN_ONLY))
    assert said.startswith(f"job {id} is at attempt 2, not 1")
    assert api.show(store, id) == before


def test_an_act_says_what_it_has_done() -> None:
    """As one line."""
    store = open_store("memory:")
    id = api.create(store, "etl").id
    cancelled = asyncio.run(perform(store, Act("cancel", id, 0), BUILT_IN_ONLY))
    assert cancelled == f"job {id} is cancelled"
    retried = asyncio.run(perform(store, Act("retry", id, 0), BUILT_IN_ONLY))
    assert retried == f"job {id} is pending again"
    assert api.show(store, id).retry_count == 1
