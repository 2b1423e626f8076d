"""Who has died among the owners: told to every v1 session, once, after its first delta."""

from __future__ import annotations

from jobctl.core.cursor import ZERO
from jobctl.core.filters import Filter
from jobctl.core.jobset import Delta, JobSet
from jobctl.core.protocol import DeadOwners, Dialect, parse_from_hub
from jobctl.hub.sessions import Hub, Session
from tests.hub.world import make_job

DEAD = frozenset({"1-0123456789ab"})


def loaded() -> Hub:
    """A hub with one job."""
    hub = Hub()
    replica = JobSet("e")
    replica.put(make_job("a1", 1))
    hub.replace_replica(replica)
    return hub


def pumped(hub: Hub) -> list[tuple[object, tuple[int, ...]]]:
    """What there is to write until there is nothing more, and to whom."""
    written: list[tuple[object, tuple[int, ...]]] = []
    while outgoings := list(hub.pump()):
        for outgoing in outgoings:
            assert outgoing.error is None
            written += [(parse_from_hub(each), outgoing.sessions) for each in outgoing.messages]
    return written


def test_no_owners_message_while_no_owner_has_died() -> None:
    """The usual case costs no message."""
    hub = loaded()
    hub.open(1)
    assert not hub.set_dead_owners(frozenset())
    assert [type(said).__name__ for said, _ in pumped(hub)] == ["Delta"]


def test_every_session_gets_the_dead_owners_once_and_again_when_they_change() -> None:
    """The whole list each time; whoever comes later hears it after the first delta."""
    hub = loaded()
    hub.open(1)
    hub.open(2, filter=Filter.make(types=["other"]))
    pumped(hub)
    assert hub.set_dead_owners(DEAD)
    assert not hub.set_dead_owners(DEAD)
    assert pumped(hub) == [(DeadOwners(DEAD), (1, 2))]
    assert pumped(hub) == []
    hub.open(3, cursor=hub.cursor, details=True)
    delta, owners = pumped(hub)
    assert (owners, delta[1]) == ((DeadOwners(DEAD), (3,)), (3,))
    assert hub.set_dead_owners(frozenset())
    assert pumped(hub) == [(DeadOwners(frozenset()), (1, 2, 3))]


def test_a_stalled_session_gets_the_last_list_only() -> None:
    """No queue: it costs a number."""
    hub = loaded()
    hub.open(1)
    pumped(hub)
    hub.stall(1)
    for number in range(9):
        hub.set_dead_owners(frozenset({f"{number}-0123456789ab"}))
        assert pumped(hub) == []
    hub.recover(1)
    assert pumped(hub) == [(DeadOwners(frozenset({"8-0123456789ab"})), (1,))]


def test_a_plain_client_gets_no_owners_message() -> None:
    """The original program's clients know two messages."""
    hub = loaded()
    hub.open(1, Dialect.PLAIN, ZERO)
    list(hub.pump())
    hub.set_dead_owners(DEAD)
    assert list(hub.pump()) == []


class Counted(dict[int, Session]):
    """The hub's sessions, which counts how often one of them is looked up."""

    lookups = 0

    def __getitem__(self, id: int) -> Session:
        self.lookups += 1
        return super().__getitem__(id)


def test_sessions_that_are_told_nothing_cost_nothing_after_a_death() -> None:
    """A death left every plain and every stalled session to be looked at in each pump."""
    hub = loaded()
    for id in range(1, 101):
        hub.open(id, Dialect.PLAIN, ZERO, Filter.make(ids=["quiet"]))
    for id in range(101, 201):
        hub.open(id, filter=Filter.make(ids=["quiet"]))
    list(hub.pump())
    for id in range(101, 201):
        hub.stall(id)
    hub.set_dead_owners(DEAD)
    list(hub.pump())
    hub.sessions = counted = Counted(hub.sessions)
    for revision in range(2, 12):
        hub.feed(Delta("e", revision - 1, revision, (make_job("a1", revision),)))
        assert list(hub.pump()) == []
    assert counted.lookups == 0


def test_a_session_that_closes_in_the_middle_of_a_pump_is_passed_over() -> None:
    """Writing a page may break a session, which is then told nothing more."""
    hub = loaded()
    hub.open(1)
    hub.open(2)
    hub.set_dead_owners(DEAD)
    pump = hub.pump()
    assert next(pump).sessions == (1, 2)
    hub.close(1)
    assert [outgoing.sessions for outgoing in pump] == [(2,)]
