"""Cursors that cannot be resumed: a reset in the open, never silence."""

import pytest

from jobctl.core.cursor import MAX_REVISION, ZERO, Cursor
from jobctl.core.filters import EVERYTHING, Filter
from jobctl.core.protocol import Dialect, parse_query
from tests.hub.world import World, subscribe_message

OTHER = Filter(types=frozenset({"other"}))


def filled() -> World:
    world = World()
    world.put("a1")
    world.put("a2")
    return world


@pytest.mark.parametrize(
    "cursor",
    [
        pytest.param(Cursor("foreign", 1), id="foreign epoch"),
        pytest.param(Cursor("foreign", 0), id="foreign epoch at zero"),
        pytest.param(Cursor("e1", 3), id="future"),
        pytest.param(Cursor("e1", MAX_REVISION), id="far future"),
        pytest.param(Cursor("e1", 1, OTHER.tag), id="another filter"),
        pytest.param(ZERO, id="zero"),
    ],
)
def test_cursor_that_means_nothing_here_is_reset(cursor):
    """The first delta says "clear first" and holds everything (FAULTS row 31)."""
    world = filled()
    client = world.connect(1, cursor)
    world.pump()
    assert [delta.since for delta in client.deltas] == [0]
    assert client.stages == world.expected()


@pytest.mark.parametrize("text", ["-1", "e1:-1", "e1:99999999999999999999", "x", "e1:01", "", "☃"])
def test_nonsense_is_reset(text):
    """A cursor that nobody can read belongs to no epoch (FAULTS row 31)."""
    from urllib.parse import urlencode

    subscribe = parse_query(urlencode({"since": text}))
    world = filled()
    client = world.connect(1, subscribe.cursor, subscribe.filter)
    world.pump()
    assert client.deltas[0].since == 0
    assert client.stages == world.expected()


def test_cursor_below_the_floor_is_reset():
    """A deletion after the cursor may be forgotten, so the client starts over."""
    world = World(max_tombstones=1)
    world.put("a1")
    client = world.connect(1)
    world.pump()
    world.hub.close(1)
    world.delete("a1")
    for number in range(4):
        world.put(f"b{number}")
        world.delete(f"b{number}")
    assert world.hub.replica.floor > 2
    world.resume(1)
    world.pump()
    assert client.deltas[-1].since == 0
    assert client.stages == {}


def test_new_epoch_resets_every_open_session():
    """A directory that was restored from a copy is another order: all start over at once."""
    world = filled()
    clients = [world.connect(1), world.connect(2, filter=Filter(types=frozenset({"etl"})))]
    plain = world.connect(3, dialect=Dialect.PLAIN)
    world.pump()
    world.delete("a1")
    world.begin_epoch("e2")
    world.pump()
    for client in clients:
        assert (client.deltas[-1].epoch, client.deltas[-1].since) == ("e2", 0)
        assert client.stages == {"a2": "pending"}
    assert plain.inits == [["a2", "a1"], ["a2"]]


def test_new_epoch_resets_a_session_that_stands_at_an_equal_revision():
    """Revisions of two epochs may be equal by chance; the epoch tells them apart."""
    world = filled()
    client = world.connect(1)
    world.pump()
    world.begin_epoch("e2")
    assert world.store.revision == client.set.revision
    world.pump()
    assert client.set.epoch == "e2"


def test_subscription_under_another_filter_is_reset():
    """A cursor belongs to one filter, also on an open connection."""
    world = filled()
    world.put("b1", type="other")
    client = world.connect(1)
    world.pump()
    client.filter = OTHER
    world.hub.receive(1, subscribe_message(Cursor("e1", 3), OTHER))
    world.pump()
    assert client.deltas[-1].since == 0
    assert client.stages == {"b1": "pending"}


def test_cursor_of_the_same_filter_resumes():
    """The tag is that of the filter's meaning, however it was written."""
    world = filled()
    filter = Filter.from_wire({"type": ["etl", "other"]})
    client = world.connect(1, filter=filter)
    world.pump()
    world.hub.close(1)
    world.put("a3")
    world.connect(1, client.cursor, Filter.from_wire({"type": ["other", "etl"]}), client=client)
    world.pump()
    assert client.deltas[-1].since == 2


def test_future_is_told_from_the_past():
    """The shell looks at the store once more before a cursor that may be ahead is reset."""
    world = filled()
    assert world.hub.is_ahead(Cursor("e1", 3))
    assert not world.hub.is_ahead(Cursor("e1", 2))
    assert not world.hub.is_ahead(Cursor("foreign", 3))
    assert World().hub.is_ahead(ZERO)


def test_reload_of_the_same_epoch_keeps_the_sessions():
    """A replica that was loaded anew, tombstones and floor along, resumes everyone."""
    world = filled()
    client = world.connect(1)
    world.pump()
    world.hub.stall(1)
    world.delete("a1")
    world.hub.replace_replica(_loaded(world))
    world.hub.recover(1)
    world.pump()
    assert client.deltas[-1].since == 2
    assert client.stages == world.expected(EVERYTHING)


def _loaded(world: World):
    """What a feed makes in a thread out of a full load."""
    from jobctl.core.jobset import JobSet

    replica = JobSet()
    assert replica.apply(world.store.since(ZERO, tombstones=True))
    return replica
