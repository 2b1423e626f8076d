"""Sessions under a filter: woken for what concerns them, and told now and then how far they are."""

from __future__ import annotations

from typing import Any

import pytest

from jobctl.core.filters import Filter
from jobctl.hub import pages as pages_module
from tests.hub.world import World


def by_id(*ids: str) -> Filter:
    """The filter of a reader of these jobs."""
    return Filter.make(ids=ids)


def test_session_on_one_job_costs_nothing_for_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not one computation, whatever becomes of a thousand other jobs."""
    world = World()
    for number in range(100):
        world.put(f"a{number}")
    one = world.connect(1, filter=by_id("a7"))
    world.pump()
    assert one.stages == {"a7": "pending"}
    asked: list[object] = []
    real = pages_module.v1_page

    def counted(*args: Any, **how: Any) -> Any:
        asked.append(args)
        return real(*args, **how)

    monkeypatch.setattr(pages_module, "v1_page", counted)
    for round in range(10):
        for number in range(100):
            if number != 7:
                world.put(f"a{number}", title=str(round))
        world.pump()
    assert asked == []
    assert not world.hub.has_work
    world.put("a7", stage="extract")
    world.pump()
    assert len(asked) == 1
    assert one.stages == {"a7": "extract"}


def test_deletion_wakes_whoever_reads_the_job() -> None:
    """And nobody else."""
    world = World()
    world.put("a1")
    world.put("a2")
    one, two = world.connect(1, filter=by_id("a1")), world.connect(2, filter=by_id("a2"))
    world.pump()
    world.delete("a1")
    world.pump()
    assert (one.stages, two.stages) == ({}, {"a2": "pending"})
    assert (len(one.deltas), len(two.deltas)) == (2, 1)


def test_job_that_comes_later_wakes_who_waits_for_it() -> None:
    """Its id is known before it is."""
    world = World()
    one = world.connect(1, filter=by_id("a1"))
    world.pump()
    world.put("a1")
    world.pump()
    assert one.stages == {"a1": "pending"}


def test_quiet_session_is_told_how_far_it_has_come() -> None:
    """So that it need not be read for from far behind when it comes back."""
    world = World()
    world.put("a1")
    quiet = world.connect(1, filter=by_id("a1"))
    everything = world.connect(2)
    world.pump()
    for number in range(50):
        world.put("b1", title=str(number))
    world.pump()
    before = quiet.cursor
    assert world.hub.queue_position_updates()
    world.pump()
    assert quiet.cursor.revision == world.hub.replica.revision > before.revision
    assert (quiet.deltas[-1].jobs, quiet.deltas[-1].gone) == ((), ())
    assert not world.hub.queue_position_updates()
    assert len(everything.deltas) == 51 or everything.cursor == world.hub.cursor
    world.resume(1)
    world.pump()
    assert quiet.deltas[-1].since == before.revision or quiet.stages == {"a1": "pending"}


def test_no_position_update_for_stalled_or_paging_sessions() -> None:
    """The one has no room, and the other hears anyway."""
    world = World()
    world.put("a1")
    world.connect(1, filter=by_id("a1"))
    world.connect(2)
    world.pump()
    world.hub.stall(1)
    world.put("b1")
    world.pump()
    assert not world.hub.queue_position_updates()
    world.hub.recover(1)
    world.pump()
    assert world.hub.queue_position_updates()


@pytest.mark.parametrize("jobs", [0, 3])
def test_look_that_finds_nothing_wakes_nobody(jobs: int) -> None:
    """Each client that connects has the hub look, which woke all those that were there."""
    world = World()
    for number in range(jobs):
        world.put(f"a{number}")
    world.feed()
    for id in range(1, 100):
        world.connect(id)
    world.pump()
    for _ in range(3):
        world.feed()
        assert not world.hub.has_work
    world.put("b1")
    assert world.hub.has_work


def test_session_that_takes_another_filter_is_woken_by_that() -> None:
    """And no longer by the one before."""
    world = World()
    world.put("a1")
    world.put("a2")
    world.connect(1, filter=by_id("a1"))
    world.pump()
    world.hub.receive(1, '{"type":"jobs:subscribe","since":"0","filter":{"id":"a2"}}')
    assert world.hub.has_work
    list(world.hub.pump())
    world.put("a1", title="x")
    assert not world.hub.has_work
    world.put("a2", title="x")
    assert world.hub.has_work
    world.hub.close(1)
    assert not world.hub.has_work
    assert world.hub._by_id == {}


def test_ack_makes_no_work() -> None:
    """A thousand clients say one each second."""
    world = World()
    world.put("a1")
    world.connect(1)
    world.pump()
    assert world.hub.receive(1, '{"type":"jobs:ack","through":1}') is None
    assert not world.hub.has_work
    assert world.hub.session_progress(1).acked == 1


def test_session_progress_has_the_lag_in_revisions_and_jobs() -> None:
    """Fifty versions of one job are one job."""
    world = World()
    world.put("a1")
    world.connect(1)
    world.pump()
    world.hub.stall(1)
    for number in range(50):
        world.put("b1", title=str(number))
    world.pump()
    session_progress = world.hub.session_progress(1)
    assert (session_progress.sent, session_progress.lag_revisions) == (1, 50)
    assert session_progress.lag_jobs >= 1


def test_digest_tells_a_lost_job() -> None:
    """What a client holds, against what it should hold under its filter."""
    world = World()
    for number in range(5):
        world.put(f"a{number}", stage="extract" if number % 2 else "pending")
    everything, some = world.connect(1), world.connect(2, filter=Filter.make(stages=["extract"]))
    world.pump()
    assert everything.deltas[-1].digest == world.hub.replica.digest() == everything.set.digest()
    assert some.deltas[-1].digest == some.set.digest() != everything.set.digest()
    world.delete("a1")
    world.pump()
    assert everything.deltas[-1].digest == everything.set.digest()
    everything.set.delete("a2", 3)
    assert everything.deltas[-1].digest != everything.set.digest()
