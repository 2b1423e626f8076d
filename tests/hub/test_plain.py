"""The plain dialect: the original program's clients, who know no cursor and no deletion."""

import json
import tracemalloc

import pytest

from jobctl.core.cursor import Cursor
from jobctl.core.filters import Filter
from jobctl.core.job import Job
from jobctl.errors import ProtocolError
from tests.hub.world import PLAIN, World, subscribe_message

TEXT = "x" * 400


def test_init_holds_the_active_jobs_newest_first():
    """The first message is the list that the original's page starts with."""
    world = World()
    for number, stage in ((1, "pending"), (3, "extract"), (2, "completed"), (4, "failed")):
        world.put(f"a{number}", stage=stage)
    client = world.connect(1, dialect=PLAIN)
    world.pump()
    assert client.inits == [["a3", "a1"]]
    assert client.updates == []


def test_init_comes_even_when_there_are_no_jobs():
    """An empty list says "live"; silence would say nothing."""
    world = World()
    world.feed()
    client = world.connect(1, dialect=PLAIN)
    world.pump()
    assert client.inits == [[]]


def test_each_change_is_an_update_with_the_whole_job():
    """Updates carry every key, as on disk, and the revision."""
    world = World()
    world.put("a1", foreignKey={"kept": True})
    client = world.connect(1, dialect=PLAIN)
    world.pump()
    world.put("a1", stage="completed", foreignKey={"kept": True})
    world.pump()
    value = json.loads(client.messages[-1])
    assert value["type"] == "jobs:update"
    assert value["job"]["stage"] == "completed"
    assert value["job"]["foreignKey"] == {"kept": True}
    assert value["job"]["revision"] == 2


def test_deletion_sends_init_again():
    """What has no word in the dialect starts the client over."""
    world = World()
    world.put("a1")
    world.put("a2")
    client = world.connect(1, dialect=PLAIN)
    world.pump()
    world.delete("a1")
    world.pump()
    assert client.inits == [["a2", "a1"], ["a2"]]


def test_end_of_a_job_is_told_also_when_another_was_deleted():
    """Init holds the active jobs only, so those that ended meanwhile follow it as updates."""
    world = World()
    for number in range(1, 4):
        world.put(f"a{number}")
    client = world.connect(1, dialect=PLAIN)
    world.pump()
    world.hub.stall(1)
    world.put("a1", stage="completed")
    world.delete("a2")
    world.put("a3", stage="failed")
    world.hub.recover(1)
    world.pump()
    assert client.inits[-1] == []
    assert client.updates == ["a1", "a3"]
    assert client.stages == {"a1": "completed", "a3": "failed"}


def test_what_does_not_fit_into_init_follows_as_updates():
    """A first message past the page's bound is too much for some clients: newest first, then on."""
    world = World(max_page=1200)
    for number in range(1, 10):
        world.put(f"a{number}", title=TEXT)
    client = world.connect(1, dialect=PLAIN)
    world.pump()
    assert client.inits[0] + client.updates == [f"a{number}" for number in range(9, 0, -1)]
    assert max(len(message) for message in client.messages) < 1300
    assert client.stages == world.expected()


def test_changes_amid_the_rest_are_neither_lost_nor_repeated():
    """A job that changes before its turn came is told once, as it is now."""
    world = World(max_page=1200)
    for number in range(1, 10):
        world.put(f"a{number}", title=TEXT)
    client = world.connect(1, dialect=PLAIN)
    world.pump_once()
    world.put("a1", stage="extract", title=TEXT)
    world.put("a9", stage="completed", title=TEXT)
    world.put("b10", title=TEXT)
    world.pump()
    assert client.stages == world.expected()
    assert client.updates.count("a1") == 1


def test_deletion_amid_the_rest_starts_over():
    """Whether the deleted job had been sent does not matter: the new init is the truth."""
    world = World(max_page=1200)
    for number in range(1, 10):
        world.put(f"a{number}", title=TEXT)
    client = world.connect(1, dialect=PLAIN)
    world.pump_once()
    world.delete("a9")
    world.delete("a1")
    world.pump()
    assert client.stages == world.expected()


def test_rest_that_has_all_changed_does_not_stop_the_session():
    """When nothing of the rest is left to say, what changed since is said at once."""
    world = World(max_page=1200)
    for number in range(1, 5):
        world.put(f"a{number}", title=TEXT)
    client = world.connect(1, dialect=PLAIN)
    world.pump_once()
    left = set(world.expected()) - set(client.stages)
    assert left
    for id in left:
        world.put(id, stage="extract", title=TEXT)
    world.pump()
    assert client.stages == world.expected()


def test_new_epoch_amid_the_rest_starts_over():
    """The ids that were still to follow are of an order that is no more."""
    world = World(max_page=1200)
    for number in range(1, 10):
        world.put(f"a{number}", title=TEXT)
    client = world.connect(1, dialect=PLAIN)
    world.pump_once()
    world.begin_epoch("e2")
    world.pump()
    assert len(client.inits) == 2
    assert client.stages == world.expected()


def test_stalled_plain_session_gets_the_latest_version_only():
    """The plain dialect lags as cheaply as the other."""
    world = World()
    world.put("a1")
    client = world.connect(1, dialect=PLAIN)
    world.pump()
    world.hub.stall(1)
    for number in range(20):
        world.put("a1", title=str(number))
        world.pump()
    world.hub.recover(1)
    world.pump()
    assert client.updates == ["a1"]
    assert client.jobs["a1"]["title"] == "19"


def test_plain_client_may_have_a_filter_in_its_query_and_no_cursor():
    """Its first message is init whatever cursor it claims."""
    world = World()
    world.put("a1")
    world.put("b2", type="other")
    filter = Filter(types=frozenset({"other"}))
    client = world.connect(1, Cursor("e1", 2, filter.tag), filter, PLAIN)
    world.pump()
    assert client.inits == [["b2"]]
    with pytest.raises(ProtocolError, match="query"):
        world.hub.receive(1, subscribe_message(Cursor("e1", 1), filter))


def test_plain_ping_is_answered():
    """The original's clients ping with a time of their own and measure the way."""
    world = World()
    world.connect(1, dialect=PLAIN)
    answer = world.hub.receive(1, '{"type":"jobs:ping","at":1700000000123}')
    assert json.loads(answer or b"") == {"type": "jobs:pong", "at": 1700000000123}


def test_session_in_the_middle_of_its_init_holds_a_position():
    """It held the ids of all jobs that were to follow: 775 KiB each at 100,000 jobs."""
    world = World(max_page=1200)
    for number in range(3000):
        world.put(f"a{number}")
    world.connect(0, dialect=PLAIN)
    world.pump_once()
    tracemalloc.start()
    try:
        snapshot_start = 0
        for id in range(1, 41):
            if id == 21:
                snapshot_start = tracemalloc.get_traced_memory()[0]
            world.put("b1", title=str(id))  # each stands at a revision of its own
            world.connect(id, dialect=PLAIN)
            list(world.hub.pump())
            world.hub.stall(id)
        grown = tracemalloc.get_traced_memory()[0] - snapshot_start
    finally:
        tracemalloc.stop()
    assert {session.cursor.revision for session in world.hub.sessions.values()} >= {3001, 3040}
    assert grown / 20 < 3000


def test_init_of_a_large_set_costs_a_page(monkeypatch):
    """Each new session made the hub look at all jobs, and sort them."""
    examined: list[str] = []
    real = Filter.matches

    def matches(filter: Filter, job: Job) -> bool:
        examined.append(job.id)
        return real(filter, job)

    world = World(max_page=1200)
    for number in range(2000):
        world.put(f"a{number}")
    world.connect(1, dialect=PLAIN)
    world.pump_once()
    monkeypatch.setattr(Filter, "matches", matches)
    world.put("a5", title="x")
    world.hub.stall(1)
    client = world.connect(2, dialect=PLAIN)
    world.pump_once()
    assert len(client.inits[0]) > 1
    assert len(examined) < 20


def test_jobs_that_ended_follow_page_by_page():
    """Many ended and one was deleted while the client was away: it hears of each end once."""
    world = World(max_page=1200)
    for number in range(40):
        world.put(f"a{number}", title=TEXT)
    filter = Filter(types=frozenset({"etl"}))  # under one, a page begins with what is gone
    client = world.connect(1, filter=filter, dialect=PLAIN)
    world.pump()
    world.hub.stall(1)
    for number in range(0, 40, 2):
        world.put(f"a{number}", title=TEXT, stage="completed")
    world.delete("a39")
    world.hub.recover(1)
    world.pump_once()
    world.put("a0", title=TEXT, stage="failed")
    world.put("a2", title=TEXT, stage="extract")
    world.pump()
    ended = {id for id, stage in client.stages.items() if stage in ("completed", "failed")}
    assert ended == {f"a{number}" for number in range(0, 40, 2)} - {"a2"}
    assert client.stages == world.expected()
    assert max(len(message) for message in client.messages[-60:]) < 1300
