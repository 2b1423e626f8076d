"""Pages: a snapshot larger than one message, and the floor while it is being paged."""

from jobctl.core.cursor import Cursor
from tests.hub.world import World

TEXT = "x" * 400


def paged(**options: int) -> World:
    """A world of ten jobs of which a page holds about two."""
    world = World(max_page=1200, **options)
    for number in range(10):
        world.put(f"a{number}", title=TEXT)
    return world


def test_snapshot_comes_in_pages_until_synced():
    """Every page but the last says ``more``, and each follows on the one before."""
    world = paged()
    client = world.connect(1)
    world.pump()
    assert len(client.deltas) > 3
    assert [delta.more for delta in client.deltas[:-1]] == [True] * (len(client.deltas) - 1)
    assert not client.deltas[-1].more
    assert [delta.since for delta in client.deltas[1:]] == [
        delta.through for delta in client.deltas[:-1]
    ]
    assert client.stages == world.expected()


def test_one_page_a_turn_so_that_others_have_theirs():
    """A client with much to catch up on does not keep the others waiting."""
    world = paged()
    world.connect(1)
    live = world.connect(2, Cursor("e1", 10))
    world.clients[2].set = world.store.__class__("e1")
    world.clients[2].set.revision = 10
    world.hub.sessions[2].digest = False  # it does not hold what it says
    turn = world.pump_once()
    assert sorted(outgoing.sessions for outgoing in turn) == [(1,), (2,)]
    assert not live.deltas[-1].more


def test_single_job_larger_than_a_page_is_sent_all_the_same():
    """A page bounds how many jobs are sent at once; it never keeps one back."""
    world = World(max_page=100)
    world.put("a1", title="y" * 5000)
    world.put("a2")
    client = world.connect(1)
    world.pump()
    assert client.stages == world.expected()


def test_changes_amid_the_pages_are_not_lost():
    """What changes, appears or goes while a client pages is told in a later page."""
    world = paged()
    client = world.connect(1)
    world.pump_once()
    assert "a0" in client.stages
    world.put("a0", stage="completed", title=TEXT)
    world.delete("a1")
    world.delete("a9")
    world.put("b1", title=TEXT)
    world.pump()
    assert client.stages == world.expected()


def test_client_that_pages_its_first_snapshot_is_not_reset_for_ever():
    """The floor is checked against where the snapshot began, not against the page."""
    world = paged(max_tombstones=2)
    for number in range(8):  # raises the floor over the revisions of the first pages
        world.put(f"c{number}")
        world.delete(f"c{number}")
    assert world.hub.replica.floor > 10
    client = world.connect(1)
    world.pump()
    assert [delta.since == 0 for delta in client.deltas].count(True) == 1
    assert client.stages == world.expected()


def test_client_that_pages_hears_of_deletions_since_it_began():
    """The floor that rises over the beginning of a snapshot does reset it: a deletion is lost."""
    world = paged(max_tombstones=2)
    client = world.connect(1)
    world.pump_once()
    assert "a0" in client.stages
    world.delete("a0")
    for number in range(8):
        world.put(f"c{number}")
        world.delete(f"c{number}")
    assert world.hub.replica.get("a0") is None
    assert world.hub.replica.floor > 11
    world.pump()
    assert client.stages == world.expected()
    assert [delta.since == 0 for delta in client.deltas].count(True) == 2


def test_snapshot_that_was_cut_off_amid_its_pages_goes_on():
    """A cursor amid a snapshot is as good as any other: no second snapshot."""
    world = paged()
    client = world.connect(1)
    world.pump_once()
    world.resume(1)
    world.delete("a0")
    world.pump()
    assert [delta.since == 0 for delta in client.deltas].count(True) == 1
    assert client.stages == world.expected()


def test_long_resume_is_paged_too():
    """Catching up is the same read, so it has the same bound."""
    world = World(max_page=1200)
    world.put("a0")
    client = world.connect(1)
    world.pump()
    world.hub.stall(1)
    for number in range(1, 9):
        world.put(f"a{number}", title=TEXT)
    world.hub.recover(1)
    world.pump()
    assert [delta.since == 0 for delta in client.deltas].count(True) == 1
    assert max(len(message) for message in client.messages) < 1200 + 400
    assert client.stages == world.expected()
