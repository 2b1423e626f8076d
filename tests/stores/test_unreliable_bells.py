"""The bell is optional: with rings lost, repeated or late, every reader converges."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobctl.stores import Store, open_store
from tests.stores.support import Follower, make_unruly, new, state, until, with_message


@pytest.fixture(params=["memory", "directory"])
def kind(request: pytest.FixtureRequest) -> str:
    """Which store the bell belongs to."""
    return str(request.param)


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["drop", "repeat", "reorder"])
def test_follower_converges_with_an_unruly_bell(kind: str, fault: str, tmp_path: Path) -> None:
    """FAULTS row 21: whoever waits reads, whether the bell or the time-out woke it."""
    store: Store = open_store("memory:" if kind == "memory" else tmp_path, create=True)
    make_unruly(store, fault)
    store.create(new("a"))
    listener = store.listen()
    follower = Follower(store)
    for round in range(20):
        store.update("a", with_message(str(round)))
        store.create(new(f"b{round}"))
        if round % 3 == 0:
            store.remove(f"b{round}")
        listener.wait(0.01)
        follower.step()
    listener.wait(0.01)
    follower.step()
    assert follower.state() == state(store)
    assert follower.resets == 1
    listener.close()
    store.close()


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["drop", "repeat", "reorder"])
def test_subscriber_hears_within_the_poll(kind: str, fault: str, tmp_path: Path) -> None:
    """FAULTS row 21: with every ring lost, a callback still comes within 2 s."""
    store: Store = open_store("memory:" if kind == "memory" else tmp_path, create=True)
    make_unruly(store, fault)
    heard: list[str] = []
    store.subscribe(lambda delta: heard.extend(job.id for job in delta.jobs))
    store.create(new("a"))
    until(lambda: "a" in heard, deadline_s=2.0)
    assert heard == ["a"]
    store.close()
