"""A session is a cursor: first snapshot, live update, resume and catching up are one read."""

import builtins
import json

import pytest

from jobctl.core.cursor import ZERO, Cursor
from jobctl.core.filters import EVERYTHING, Filter
from jobctl.core.job import values_of
from jobctl.core.jobset import DAMAGED, Delta
from jobctl.core.protocol import BadFiles, Dialect
from jobctl.hub import pages as pages_module
from jobctl.hub.sessions import Hub
from tests.hub.world import PLAIN, World, make_job, subscribe_message


def test_says_nothing_before_the_store_was_read():
    """Without a replica there is no truth to tell, not even "no jobs"."""
    hub = Hub()
    hub.open(1)
    assert list(hub.pump()) == []
    assert hub.feed(Delta("e1", 0, 0))
    assert len(list(hub.pump())) == 1


def test_first_delta_of_a_fresh_client_holds_all_jobs():
    """A snapshot is the difference to nothing."""
    world = World()
    world.put("a1")
    world.put("a2", stage="completed")
    client = world.connect(1)
    world.pump()
    assert client.stages == world.expected()
    assert client.deltas[0].since == 0


def test_first_delta_comes_even_when_there_is_nothing_to_say():
    """A client that resumes at the head must hear that it is live."""
    world = World()
    world.put("a1")
    client = world.connect(1)
    world.pump()
    world.resume(1)
    world.pump()
    assert (client.deltas[-1].since, client.deltas[-1].through) == (1, 1)
    assert len(client.deltas) == 2


def test_update_goes_to_every_session_from_where_it_stood():
    """A live update is the same read from the session's own cursor."""
    world = World()
    world.put("a1")
    clients = [world.connect(id) for id in (1, 2)]
    world.pump()
    world.put("a1", stage="extract")
    world.pump()
    for client in clients:
        assert [job.stage for job in client.deltas[-1].jobs] == ["extract"]
        assert (client.deltas[-1].since, client.deltas[-1].through) == (1, 2)


def test_nothing_is_sent_twice():
    """Once pumped dry, the hub has nothing to say until something changes."""
    world = World()
    world.put("a1")
    world.connect(1)
    assert world.pump()
    assert world.pump() == []


def test_resume_gets_exactly_the_difference():
    """A client that was cut off is sent what changed since its cursor, and the deletions."""
    world = World()
    for id in ("a1", "a2", "a3"):
        world.put(id)
    client = world.connect(1)
    world.pump()
    world.hub.close(1)
    world.put("a2", stage="extract")
    world.delete("a3")
    world.resume(1)
    world.pump()
    last = client.deltas[-1]
    assert [job.id for job in last.jobs] == ["a2"]
    assert [item.id for item in last.gone] == ["a3"]
    assert client.stages == world.expected()


def test_versions_that_a_session_missed_are_merged():
    """However many versions there were in between, one message holds the newest."""
    world = World()
    world.put("a1")
    client = world.connect(1)
    world.pump()
    for stage in ("extract", "analyze", "generate"):
        world.put("a1", stage=stage)
    assert len(world.pump()) == 1
    assert [job.stage for job in client.deltas[-1].jobs] == ["generate"]


def test_stalled_session_is_left_alone_and_lands_on_the_latest_state():
    """A stalled session costs its cursor; once it recovers, it gets one compact delta."""
    world = World()
    world.put("a1")
    slow, quick = world.connect(1), world.connect(2)
    world.pump()
    world.hub.stall(1)
    for number in range(50):
        world.put("a1", title=str(number))
        world.pump()
    assert len(slow.deltas) == 1
    assert len(quick.deltas) == 51
    assert world.hub.session_progress(1).lag_jobs >= 1
    assert world.hub.session_progress(2).lag_jobs == 0
    world.hub.recover(1)
    world.pump()
    assert len(slow.deltas) == 2
    assert slow.deltas[-1].jobs[0].title == "49"


def test_equal_sessions_are_sent_the_same_bytes_object():
    """Equal (since, filter, dialect) is computed and encoded once."""
    world = World()
    world.put("a1")
    filter = Filter(types=frozenset({"etl"}))
    for id in (1, 2):
        world.connect(id)
        world.connect(id + 10, filter=filter)
        world.connect(id + 20, dialect=Dialect.PLAIN)
    for turn in (world.pump_once(), (world.put("a2"), world.pump_once())[1]):
        shared = {outgoing.sessions for outgoing in turn}
        assert shared == {(1, 2), (11, 12), (21, 22)}


def test_sessions_that_stand_apart_meet_again():
    """After a stall a session shares its encodings with the others as before."""
    world = World()
    world.put("a1")
    for id in (1, 2):
        world.connect(id)
    world.pump()
    world.hub.stall(1)
    world.put("a2")
    world.pump()
    world.hub.recover(1)
    assert [outgoing.sessions for outgoing in world.pump()] == [(1,)]
    world.put("a3")
    assert [outgoing.sessions for outgoing in world.pump()] == [(1, 2)]


def test_subscribe_moves_a_session_to_another_cursor_and_filter():
    """The same connection may ask anew, from nothing or from a cursor it kept."""
    world = World()
    world.put("a1")
    world.put("b2", type="other")
    client = world.connect(1)
    world.pump()
    filter = Filter(types=frozenset({"other"}))
    client.filter = filter
    world.hub.receive(1, subscribe_message(ZERO, filter))
    world.pump()
    assert client.stages == {"b2": "pending"}
    client.filter = EVERYTHING
    world.hub.receive(1, subscribe_message(Cursor("e1", 0), EVERYTHING))
    world.pump()
    assert client.stages == world.expected()


def test_ack_is_kept_within_what_was_sent():
    """Nobody can have taken what was not sent, and acks do not go back."""
    world = World()
    world.put("a1")
    world.put("a2")
    world.connect(1)
    world.pump()
    session = world.hub.sessions[1]
    for through, acked in ((1, 1), (99, 2), (1, 2)):
        world.hub.receive(1, f'{{"type":"jobs:ack","through":{through}}}')
        assert session.acked == acked


def test_close_of_an_unknown_session_does_nothing():
    """The shell may close twice, or close what was cut before it was opened."""
    world = World()
    world.hub.close(7)
    world.hub.stall(7)
    world.hub.recover(7)
    assert world.hub.sessions == {}


def test_delta_that_does_not_follow_is_refused_and_asked_for_anew():
    """A late or repeated ring cannot take the replica back or over a gap."""
    world = World()
    world.put("a1")
    stale = world.store.since(Cursor("e1", 1))
    world.put("a2")
    before = world.hub.cursor
    assert not world.hub.feed(stale)
    assert not world.hub.feed(Delta("e1", 5, 9))
    assert not world.hub.feed(Delta("e2", 2, 9))
    assert world.hub.cursor == before


def test_burned_revisions_move_the_replica_and_say_nothing():
    """A crashed write leaves a hole in the counter that no client needs to hear of."""
    world = World()
    world.put("a1")
    client = world.connect(1)
    world.pump()
    world.hub.feed(Delta("e1", 1, 5))
    assert world.pump() == []
    world.store.revision = 5
    world.put("a2")
    world.pump()
    assert (client.deltas[-1].since, client.deltas[-1].through) == (1, 6)


def test_replica_holds_the_wire_form_of_a_job_once():
    """A hub writes no job, so it keeps nothing of a file but what it sends."""
    hub = Hub()
    job = make_job("a1", 1, title="Nightly load")
    hub.feed(Delta("e1", 0, 1, (job,)))
    held = hub.replica.get("a1")
    assert held is not None
    assert held.source is hub.replica.wire("a1", details=True) is hub.replica.wire("a1")
    assert json.loads(held.source) == {**values_of(job), "revision": 1}
    assert (held.title, held.stage, held.active) == (job.title, job.stage, True)


@pytest.mark.parametrize("dialect", [Dialect.V1, PLAIN])
def test_sessions_that_come_one_after_the_other_share_a_page(dialect: Dialect) -> None:
    """Each turn of the loop encoded the first pages anew, and compressed them anew."""
    world = World(max_page=1700 if dialect is Dialect.V1 else 1900)
    for number in range(6):
        world.put(f"a{number}", title="x" * 400)
    made: list[dict[str, bytes]] = []
    for id in range(1, 4):
        world.connect(id, dialect=dialect)
        made += [outgoing.made for outgoing in world.pump()]
        assert world.clients[id].stages == world.expected()
    assert len(made) == 9
    assert len({builtins.id(each) for each in made}) == 3


def test_page_that_is_kept_is_forgotten_when_a_job_changes() -> None:
    """Or a client would be sent what no longer is."""
    world = World()
    world.put("a1")
    world.connect(1)
    [first] = world.pump()
    world.connect(2)
    [again] = world.pump()
    assert again.messages is first.messages
    assert again.made is first.made
    world.put("a1", stage="extract")
    lagging = world.connect(3)
    world.pump()
    assert lagging.stages == {"a1": "extract"}
    hidden = world.connect(5, details=False)
    world.pump()
    assert hidden.messages != lagging.messages
    world.begin_epoch("e2")
    other = world.connect(4)
    world.pump()
    assert other.set.epoch == "e2"


def test_pages_that_are_kept_take_a_bounded_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a thousand clients ask for."""
    monkeypatch.setattr(pages_module, "_MAX_KEPT_SIZE", 16_000)
    world = World(max_page=4000)
    for number in range(100):
        world.put(f"a{number}", title="x" * 400)
    for number in range(100):
        ids = frozenset({f"a{number}", f"a{number // 2}"})
        world.hub.open(number, filter=Filter(ids=ids))
        world.hub.open(1000 + number, cursor=Cursor("e1", number))
    while list(world.hub.pump()):
        pass
    kept = [len(message) for page in world.hub._pages._kept.values() for message in page.messages]
    assert 0 < sum(kept) <= 5 * 4000


def test_few_pages_are_kept_however_small_they_are() -> None:
    """The filter of a client is kept with each of them, and may be large."""
    world = World()
    world.put("a1")
    for number in range(200):
        world.hub.open(number, filter=Filter(ids=frozenset({f"b{number}"})))
    while list(world.hub.pump()):
        pass
    assert 0 < len(world.hub._pages._kept) <= 64


def test_files_in_quarantine_are_told_to_those_who_ask():
    """Once they have all jobs, and when the list changes; the replica's damage is part of it."""
    world = World()
    world.put("a1")
    asks, other = world.connect(1, bad_files=True), world.connect(2)
    world.pump()
    assert asks.bad == [BadFiles({})]
    world.hub.set_bad_files({"odd name.json": "its name is not a job id"})
    world.delete("a1", DAMAGED + "not JSON")
    world.pump()
    both = {"a1.json": "not JSON", "odd name.json": "its name is not a job id"}
    assert asks.bad[1:] == [BadFiles(both)]
    world.put("a1")
    assert not world.hub.set_bad_files({"odd name.json": "its name is not a job id"})
    world.pump()
    assert asks.bad[2:] == [BadFiles({"odd name.json": "its name is not a job id"})]
    assert other.bad == []
