"""The star property, over job sets alone: any schedule converges.

Deltas on the way are lost, doubled and overtaken; snapshots are paged; readers change their filter
and cross between a source and a hub of it; tombstones are forgotten; epochs end. Hypothesis draws
schedules that shrink; a plain generator draws many more, for a fiftieth of the cost of each step.
"""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from jobctl.core.filters import Filter
from tests.core.replicas import World

IDS = ("a1", "a2", "a3", "b1", "b2", "b3")
TYPES = ("etl", "create_session")
SESSIONS = (None, "s1", "s2")
STAGES = ("pending", "extract", "completed", "failed")
ERRORS = (None, "Cancelled by user")
LABELS = (None, {"team": "data"}, {"team": "web"})
MESSAGES = (None, "much " * 20)
LIMITS = (None, 20, 900)
FILTERS = (
    Filter(),
    Filter(active=True),
    Filter(stages=frozenset({"extract"})),
    Filter(types=frozenset({"etl"})),
    Filter(sessions=frozenset({"s1"})),
    Filter(ids=frozenset({"a1", "b1"})),
    Filter(types=frozenset({"etl"}), stages=frozenset({"extract", "completed"})),
    Filter(ids=frozenset({"a1", "a2"}), sessions=frozenset({"s2"})),
    Filter(stages=frozenset({"failed"})),
    Filter(stages=frozenset({"cancelled", "extract"})),
    Filter(labels=frozenset({"team=data"})),
    Filter(types=frozenset({"etl"}), labels=frozenset({"team", "team!=web"})),
)

shapes = st.fixed_dictionaries(
    {
        "type": st.sampled_from(TYPES),
        "session_id": st.sampled_from(SESSIONS),
        "stage": st.sampled_from(STAGES),
        "error": st.sampled_from(ERRORS),
        "labels": st.sampled_from(LABELS),
        "message": st.sampled_from(MESSAGES),
    }
)
ids, filters, limits = (st.sampled_from(values) for values in (IDS, FILTERS, LIMITS))
readers = st.integers(0, 1)


class AnyScheduleConverges(RuleBasedStateMachine):
    """Any order of changes, reads, losses and restarts."""

    @initialize(some=filters, other=filters)
    def begin(self, some: Filter, other: Filter) -> None:
        self.world = World(some, other)

    @rule(id=ids, shape=shapes)
    def write(self, id: str, shape: dict[str, Any]) -> None:
        self.world.write(id, shape)

    @rule(id=ids)
    def report(self, id: str) -> None:
        self.world.report(id, "reported")

    @rule(ids=st.sets(ids, min_size=1))
    def remove(self, ids: set[str]) -> None:
        for id in sorted(ids):
            self.world.remove(id)

    @rule(upset=st.sampled_from(["burn", "restart", "restore", "hub_reads"]))
    def upset(self, upset: str) -> None:
        getattr(self.world, upset)()

    @rule(number=readers, filter=filters)
    def subscribe(self, number: int, filter: Filter) -> None:
        self.world.subscribe(self.world.readers[number], filter)

    @rule(number=readers)
    def cross_over(self, number: int) -> None:
        self.world.cross_over(self.world.readers[number])

    @rule(number=readers, limit=limits)
    def pull(self, number: int, limit: int | None) -> None:
        self.world.pull(self.world.readers[number], limit)

    @rule(number=readers, limit=limits)
    def ask(self, number: int, limit: int | None) -> None:
        self.world.ask(self.world.readers[number], limit)

    @rule(number=readers, place=st.integers(0, 3), copies=st.integers(0, 2))
    def deliver(self, number: int, place: int, copies: int) -> None:
        self.world.deliver(self.world.readers[number], place, copies)

    @invariant()
    def readers_hold_what_their_cursors_say(self) -> None:
        if hasattr(self, "world"):
            self.world.check()

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.settle()


_plenty = settings.get_current_profile_name() == "deep"
AnyScheduleConverges.TestCase.settings = settings(
    max_examples=5000 if _plenty else 25, stateful_step_count=40
)
TestAnyScheduleConverges = pytest.mark.slow(AnyScheduleConverges.TestCase)


def step(world: World, chance: random.Random) -> None:
    """One step by chance: mostly changes and reads, now and then an upset."""
    reader = chance.choice(world.readers)
    kind = chance.choices(
        ["write", "report", "remove", "pull", "ask", "deliver", "subscribe", "cross", "upset"],
        [8, 3, 4, 8, 4, 5, 0.5, 0.7, 1.2],
    )[0]
    if kind == "write":
        shape = {
            "type": chance.choice(TYPES),
            "session_id": chance.choice(SESSIONS),
            "stage": chance.choice(STAGES),
            "error": chance.choice(ERRORS),
            "labels": chance.choice(LABELS),
            "message": chance.choice(MESSAGES),
        }
        world.write(chance.choice(IDS), shape)
    elif kind == "report":
        world.report(chance.choice(IDS), "reported")
    elif kind == "remove":
        for id in chance.sample(IDS, chance.choice([1, 1, 4])):
            world.remove(id)
    elif kind == "pull":
        world.pull(reader, chance.choice(LIMITS))
    elif kind == "ask":
        world.ask(reader, chance.choice(LIMITS))
    elif kind == "deliver":
        world.deliver(reader, chance.randrange(4), chance.choice([0, 1, 1, 2]))
    elif kind == "subscribe":
        world.subscribe(reader, chance.choice(FILTERS))
    elif kind == "cross":
        world.cross_over(reader)
    else:
        upsets = [world.burn, world.restart, world.restart, world.restore, world.hub_reads]
        chance.choice([*upsets, lambda: world.hub_reads(afresh=True)])()


@pytest.mark.slow
@pytest.mark.parametrize("block", range(5))
def test_many_random_schedules_converge(block: int) -> None:
    """I1, I2, I3, I7 after every step; the seed in the error is the schedule."""
    for seed in range(block * 60, block * 60 + (20_000 if _plenty else 60)):
        chance = random.Random(seed)
        world = World(chance.choice(FILTERS), chance.choice(FILTERS))
        try:
            for _ in range(150):
                step(world, chance)
                world.check()
            world.settle()
        except AssertionError as error:
            raise AssertionError(f"schedule {seed}: {error}") from error
