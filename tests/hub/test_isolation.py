"""One broken session yields an error for itself and its like; the others go on."""

import pytest

from jobctl.core.filters import Filter
from jobctl.errors import ProtocolError
from tests.hub.world import World


class Broken(Filter):
    """A filter with a defect; like no other."""

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def matches(self, job: object) -> bool:
        raise RuntimeError("defect")


def test_session_that_cannot_be_computed_is_an_error_for_itself_alone():
    """The others are sent what they lack in the same turn."""
    world = World()
    world.put("a1")
    well = world.connect(1)
    world.connect(2, filter=Broken(ids=frozenset({"a1"})))
    world.connect(3, filter=Filter(ids=frozenset({"a1"})))
    turn = world.pump_once()
    errors = {outgoing.sessions: outgoing.error for outgoing in turn if outgoing.error}
    assert list(errors) == [(2,)]
    assert str(errors[2,]) == "defect"
    assert well.stages == world.expected()
    assert sorted(world.hub.sessions) == [1, 3]


def test_broken_session_does_not_move():
    """It was not written to, so its cursor stands where its client is."""
    world = World()
    world.put("a1")
    session = world.hub.open(1, filter=Broken(ids=frozenset({"a1"})))
    before = session.position
    assert [outgoing.error is not None for outgoing in world.hub.pump()] == [True]
    assert session.position == before


def test_session_moves_only_with_a_message():
    """Whoever moved was sent exactly the way there: nothing is taken for written that was not."""
    world = World()
    world.put("a1")
    session = world.hub.open(1)
    sent = {id for outgoing in world.hub.pump() for id in outgoing.sessions}
    assert sent == {1}
    assert session.cursor == world.store.cursor
    world.hub.stall(1)
    world.put("a2")
    assert list(world.hub.pump()) == []
    assert session.cursor.revision == 1


@pytest.mark.parametrize(
    "data",
    [
        "",
        "null",
        "[]",
        "{}",
        '{"type":"jobs:steal"}',
        '{"type":"jobs:ack"}',
        '{"type":"jobs:ack","through":-1}',
        '{"type":"jobs:ack","through":true}',
        '{"type":"jobs:subscribe","filter":[]}',
        '{"type":"jobs:subscribe","filter":{"colour":"red"}}',
        '{"type":"jobs:subscribe","filter":{"id":"../x"}}',
        b"\xff\xfe",
        "[" * 20_000,
    ],
)
def test_nonsense_from_a_client_is_a_protocol_error(data):
    """The shell closes such a connection with its code; the hub is as it was."""
    world = World()
    world.put("a1")
    client = world.connect(1)
    with pytest.raises(ProtocolError):
        world.hub.receive(1, data)
    world.pump()
    assert client.stages == world.expected()
