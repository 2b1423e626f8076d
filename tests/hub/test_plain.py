"""The plain dialect: the original program's clients, who know no cursor and no deletion."""

import json
import tracemalloc

import pytest

from jobctl.core.cursor import ZERO, Cursor
from jobctl.core.filters import EVERYTHING, Filter
from jobctl.core.job import Job
from jobctl.core.jobset import DAMAGED
from jobctl.core.times import to_ms
from jobctl.errors import ProtocolError
from jobctl.hub import plain
from jobctl.hub.plain import MAX_INIT, NULLABLE
from jobctl.hub.session import EndedSince
from tests.hub.world import PLAIN, World, make_job, subscribe_message

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


def test_removed_active_job_is_told_as_failed():
    """The dialect has no deletion, and a client's store keeps what it has: one update ends it."""
    world = World()
    world.put("a1", progress={"done": 3, "total": 8}, message="on it")
    world.put("a2")
    client = world.connect(1, dialect=PLAIN)
    world.pump()
    world.delete("a1")
    world.pump()
    assert client.inits == [["a2", "a1"]]
    assert client.updates == ["a1"]
    told = client.jobs["a1"]
    assert (told["stage"], told["error"], told["completedAt"]) == ("failed", "Removed", None)
    assert (told["progress"], told["message"], told["owner"]) == (None, None, None)
    assert (told["type"], told["revision"]) == ("etl", 3)


def test_damaged_active_job_is_told_as_such_and_comes_back():
    """Nobody removed it: its file is no job for now."""
    world = World()
    world.put("a1", progress={"done": 3, "total": 8})
    client = world.connect(1, dialect=PLAIN)
    world.pump()
    world.delete("a1", DAMAGED + "not JSON")
    world.pump()
    told = client.jobs["a1"]
    assert (told["stage"], told["error"]) == ("failed", "Damaged file: not JSON")
    world.put("a1", progress={"done": 4, "total": 8})
    world.pump()
    told = client.jobs["a1"]
    assert (told["stage"], told["error"], told["progress"]["done"]) == ("pending", None, 4)


def test_removed_ended_job_is_not_told():
    """Its client has the end, and does not list it any more."""
    world = World()
    world.put("a1")
    client = world.connect(1, dialect=PLAIN)
    world.put("a1", stage="completed")
    world.pump()
    world.delete("a1")
    world.pump()
    assert (len(client.inits), client.updates) == (1, [])
    world.put("a2")
    world.pump()
    world.put("a2", stage="failed", error="no")
    world.pump()
    world.delete("a2")
    world.pump()
    assert client.updates == ["a2", "a2"]
    assert client.jobs["a2"]["error"] == "no"


def test_job_that_ended_and_was_removed_while_its_client_was_stalled_is_told_as_ended():
    """As it ended, not as removed."""
    world = World()
    world.put("a1")
    client = world.connect(1, dialect=PLAIN)
    world.pump()
    world.hub.stall(1)
    world.put("a1", stage="completed")
    world.delete("a1")
    world.hub.recover(1)
    world.pump()
    assert client.updates == ["a1"]
    assert client.stages == {"a1": "completed"}


def test_job_that_came_and_went_while_its_client_was_stalled_is_not_told():
    """It never had the job."""
    world = World()
    client = world.connect(1, dialect=PLAIN)
    world.feed()
    world.pump()
    world.hub.stall(1)
    world.put("a1")
    world.delete("a1")
    world.hub.recover(1)
    world.pump()
    assert client.updates == []


def test_job_that_came_back_is_told_as_it_is():
    """Removed and created again between two messages."""
    world = World()
    world.put("a1", stage="extract")
    client = world.connect(1, dialect=PLAIN)
    world.pump()
    world.hub.stall(1)
    world.delete("a1")
    world.put("a1", stage="pending")
    world.hub.recover(1)
    world.pump()
    assert (client.updates, client.stages) == (["a1"], {"a1": "pending"})


def test_removal_does_not_start_anybody_over():
    """27 full snapshots were sent for as many removals, 26 s for 3,000 jobs after one."""
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
    assert len(client.inits) == 1
    assert client.updates == ["a1", "a2", "a3"]
    assert client.stages == {"a1": "completed", "a2": "failed", "a3": "failed"}


@pytest.mark.parametrize(
    "filter", [Filter(active=True), Filter(stages=frozenset({"extract"}))], ids=["active", "stage"]
)
def test_update_with_which_a_job_leaves_the_filter_is_sent(filter: Filter):
    """The client would show it there for ever; and it is sent once."""
    world = World()
    world.put("a1", stage="extract")
    world.put("a2", stage="completed")
    client = world.connect(1, filter=filter, dialect=PLAIN)
    world.pump()
    assert client.inits == [["a1"]]
    world.put("a1", stage="completed")
    world.pump()
    world.put("a1", stage="completed", title="later")
    world.put("a2", stage="completed", title="never in it")
    world.pump()
    assert (len(client.inits), client.updates) == (1, ["a1"])
    assert client.jobs["a1"]["stage"] == "completed"


def test_job_that_left_the_filter_and_changed_again_is_told_as_it_is():
    """Its client was stalled meanwhile, and has the version from before."""
    world = World()
    world.put("a1", stage="extract")
    client = world.connect(1, filter=Filter(active=True), dialect=PLAIN)
    world.pump()
    world.hub.stall(1)
    world.put("a1", stage="completed")
    world.put("a1", stage="completed", title="later")
    world.hub.recover(1)
    world.pump()
    assert (client.updates, client.jobs["a1"]["title"]) == (["a1"], "later")


def test_every_key_that_a_job_may_lack_is_sent_as_null():
    """A store that merges showed the progress 3/8 of a stage long past through the job's end."""
    world = World()
    world.put("a1", progress={"done": 3, "total": 8}, title="t", message="m", owner="1-" + "a" * 12)
    client = world.connect(1, dialect=PLAIN)
    world.pump()
    init = json.loads(client.messages[0])["jobs"][0]
    assert init["progress"] == {"done": 3, "total": 8}
    assert {key for key in NULLABLE if init[key] is None} == {*NULLABLE} - {
        "progress", "title", "message", "owner",
    }  # fmt: skip
    world.put("a1", stage="failed", error="no")
    world.pump()
    assert [client.jobs["a1"][key] for key in NULLABLE] == [None] * len(NULLABLE)


def test_ended_jobs_follow_the_init_where_they_are_asked_for():
    """A page that was cut off learns how its jobs ended; a fresh one gets the active jobs alone."""
    world = World()
    ends = {"a1": "00:09:59", "a2": "00:10:00", "a3": "00:20:00"}
    for id, at in ends.items():
        world.put(id, stage="completed", completedAt=f"2026-01-01T{at}.000Z", type=id)
    world.put("a4")
    since = EndedSince(time_ms=to_ms("2026-01-01T00:10:00.000Z"))
    clients = {}
    for id, filter in enumerate((EVERYTHING, Filter(active=True), Filter(types=frozenset({"a2"})))):
        clients[id] = world.connect(id, filter=filter, dialect=PLAIN, ended=since)
    clients[3] = world.connect(3, dialect=PLAIN)
    world.pump()
    assert [client.inits for client in clients.values()] == [[["a4"]], [["a4"]], [[]], [["a4"]]]
    told = [client.updates for client in clients.values()]
    assert told == [["a2", "a3"], ["a2", "a3"], ["a2"], []]


def test_jobs_that_ended_while_the_hub_was_away_are_told_to_those_that_come_then():
    """The hub knows the revision that the one before it served last."""
    world = World()
    world.put("a1", stage="completed")
    world.put("a2", stage="completed")
    world.put("a3")
    world.hub.set_served_before(Cursor("e1", 1), [make_job("a4", 1), make_job("a3", 1)])
    client = world.connect(1, dialect=PLAIN)
    world.pump()
    assert (client.inits, client.updates) == ([["a3"]], ["a4", "a2"])
    assert (client.jobs["a4"]["stage"], client.jobs["a4"]["error"]) == ("failed", "Removed")
    world.hub.set_served_before(ZERO, ())
    late = world.connect(2, dialect=PLAIN)
    world.pump()
    assert late.updates == []


def test_ended_jobs_that_follow_the_init_are_bounded():
    """At most a thousand of them, the newest."""
    world = World(max_init=MAX_INIT)
    for number in range(1, 1005):
        world.put(f"a{number}", stage="completed")
    world.hub.set_served_before(Cursor("e1", 0), ())
    client = world.connect(1, dialect=PLAIN)
    world.pump()
    assert client.updates == [f"a{number}" for number in range(5, 1005)]


def test_session_starts_over_where_removals_are_forgotten(monkeypatch: pytest.MonkeyPatch):
    """Better than to leave jobs on a page for ever."""
    monkeypatch.setattr(plain, "_MAX_REMEMBERED", 2)
    world = World()
    for number in range(1, 6):
        world.put(f"a{number}")
    client = world.connect(1, dialect=PLAIN)
    world.pump()
    world.hub.stall(1)
    for number in range(1, 4):
        world.delete(f"a{number}")
    world.hub.recover(1)
    world.pump()
    assert client.inits == [["a5", "a4", "a3", "a2", "a1"], ["a5", "a4"]]


def test_nothing_is_remembered_without_plain_sessions():
    """Neither before the first nor after the last."""
    world = World()
    world.put("a1")
    world.delete("a1")
    dialect = world.hub._pages.plain
    assert not dialect._removed
    world.connect(1, filter=Filter(active=True), dialect=PLAIN)
    world.pump()
    world.put("a2")
    world.put("a3")
    world.put("a3", stage="failed")
    world.delete("a2")
    assert dialect._removed
    assert dialect._left
    world.hub.close(1)
    kept = [dialect._removed, dialect._left, dialect._new_at, dialect._filters]
    assert not any(kept)


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


def test_deletion_amid_the_rest_is_told_where_the_job_had_been_sent():
    """Whether it had been is not known of each client, so both are told."""
    world = World(max_page=1200)
    for number in range(1, 10):
        world.put(f"a{number}", title=TEXT)
    client = world.connect(1, dialect=PLAIN)
    world.pump_once()
    world.delete("a9")
    world.delete("a1")
    world.pump()
    assert len(client.inits) == 1
    assert client.stages == world.expected() | {"a9": "failed", "a1": "failed"}


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


def test_what_changed_while_a_client_was_away_follows_page_by_page():
    """Many ended and one was deleted meanwhile: it hears of each end once."""
    world = World(max_page=1500)
    for number in range(40):
        world.put(f"a{number}", title=TEXT)
    filter = Filter(types=frozenset({"etl"}))
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
    assert len(client.inits) == 1
    assert client.stages == world.expected() | {"a39": "failed"}
    assert max(len(message) for message in client.messages[-60:]) < 1500


def test_first_job_of_an_empty_store_is_an_update():
    """A read from revision 0 answers as a reset does, but it continues an empty set."""
    world = World()
    world.feed()
    client = world.connect(1, dialect=PLAIN)
    world.pump()
    world.put("a1")
    world.pump()
    assert (client.inits, client.updates) == ([[]], ["a1"])


def test_acknowledged_job_is_no_news():
    """The dialect does not have it: an update would look like a failure of just now."""
    world = World()
    world.put("a1", stage="failed", error="x")
    world.put("a2", stage="pending")
    client = world.connect(1, dialect=PLAIN)
    world.pump()
    world.put("a1", stage="failed", error="x", acknowledged={"by": "anna"})
    world.put("a1", stage="failed", error="x", acknowledged={"by": "anna", "note": "later"})
    world.pump()
    assert client.updates == []
    world.put("a1", stage="pending", acknowledged={"by": "anna"}, retryCount=1)
    world.pump()
    world.put("a1", stage="pending", retryCount=1)
    world.pump()
    assert client.updates == ["a1"]
    assert "acknowledged" in NULLABLE


def test_change_before_an_acknowledgement_is_told():
    """A client that has not had it gets the newest state."""
    world = World()
    world.put("a1")
    client = world.connect(1, dialect=PLAIN)
    world.pump()
    world.put("a1", stage="failed", error="x")
    world.put("a1", stage="failed", error="x", acknowledged=True)
    world.pump()
    assert client.updates == ["a1"]
    assert client.jobs["a1"]["stage"] == "failed"
