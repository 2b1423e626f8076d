"""Sessions under a filter: the gone rule, and quiet."""

import json

from jobctl.core.filters import Filter
from tests.hub.world import PLAIN, World

ACTIVE = Filter(active=True)
EXTRACT = Filter(stages=frozenset({"extract"}))
ETL = Filter(types=frozenset({"etl"}))
ONE = Filter(ids=frozenset({"a1"}))
SESSION = Filter(sessions=frozenset({"s1"}))


def test_job_that_leaves_the_filter_is_gone():
    """A job that the filter no longer lets pass must be dropped by who holds it."""
    world = World()
    world.put("a1")
    client = world.connect(1, filter=ACTIVE)
    world.pump()
    world.put("a1", stage="completed")
    world.pump()
    assert [item.id for item in client.deltas[-1].gone] == ["a1"]
    assert client.stages == {}


def test_job_that_leaves_by_session_or_type_is_gone():
    """Every field that filters look at may change, but for the id."""
    world = World()
    world.put("a1", sessionId="s1")
    by_session, by_type = world.connect(1, filter=SESSION), world.connect(2, filter=ETL)
    world.pump()
    world.put("a1", sessionId="s2", type="other")
    world.pump()
    assert by_session.stages == by_type.stages == {}


def test_job_that_enters_the_filter_arrives():
    """A job that begins to match is sent as any change."""
    world = World()
    world.put("a1")
    client = world.connect(1, filter=EXTRACT)
    world.pump()
    assert client.stages == {}
    world.put("a1", stage="extract")
    world.pump()
    assert client.stages == {"a1": "extract"}


def test_job_that_entered_and_left_while_the_session_stalled_may_be_gone_and_harms_nobody():
    """Whether it was ever held is not known, so it may be named; a drop of nothing is nothing."""
    world = World()
    world.put("a1")
    client = world.connect(1, filter=EXTRACT)
    world.pump()
    world.hub.stall(1)
    world.put("a1", stage="extract")
    world.put("a1", stage="analyze")
    world.hub.recover(1)
    world.pump()
    assert client.stages == {}


def test_gone_is_not_said_of_what_never_matched():
    """A job that changes nothing that the filter looks at was never held: silence."""
    world = World()
    world.put("b1", type="other")
    client = world.connect(1, filter=ETL)
    world.pump()
    for stage in ("extract", "analyze", "completed"):
        world.put("b1", type="other", stage=stage)
        assert world.pump() == []
    assert len(client.deltas) == 1


def test_gone_is_said_to_one_who_resumes_from_before_the_change():
    """The change of the field lies after the cursor, so the job may still be held."""
    world = World()
    world.put("a1")
    client = world.connect(1, filter=ACTIVE)
    world.pump()
    world.hub.close(1)
    world.put("a1", stage="failed")
    world.put("a1", stage="failed", title="later")
    world.resume(1)
    world.pump()
    assert [item.id for item in client.deltas[-1].gone] == ["a1"]


def test_gone_is_not_said_twice():
    """A later change of a job that left already concerns the session no more."""
    world = World()
    world.put("a1")
    world.connect(1, filter=ACTIVE)
    world.pump()
    world.put("a1", stage="completed")
    world.pump()
    world.put("a1", stage="completed", title="later")
    assert world.pump() == []


def test_deletion_goes_to_all_but_filters_on_other_ids():
    """Nobody knows what a deleted job was; only its id is sure."""
    world = World()
    world.put("a2", type="other")
    clients = {
        id: world.connect(id, filter=filter) for id, filter in enumerate((ETL, ACTIVE, ONE), 1)
    }
    world.pump()
    world.delete("a2")
    owners_version = {id for outgoing in world.pump() for id in outgoing.sessions}
    assert owners_version == {1, 2}
    assert all(client.stages == {} for client in clients.values())


def test_quiet_session_is_not_written_to():
    """A session that watches one job is woken for nothing else."""
    world = World()
    world.put("a1")
    client = world.connect(1, filter=ONE)
    world.pump()
    for number in range(2, 30):
        world.put(f"a{number}")
        assert world.pump() == []
    assert len(client.deltas) == 1


def test_delta_after_a_quiet_time_follows_from_the_clients_cursor():
    """What the hub has looked through in silence, the client has not: ``since`` is the client's."""
    world = World()
    world.put("a1")
    client = world.connect(1, filter=ONE)
    world.pump()
    for number in range(2, 30):
        world.put(f"a{number}")
        world.pump()
    world.put("a1", stage="extract")
    world.pump()
    assert (client.deltas[-1].since, client.deltas[-1].through) == (1, 30)
    assert client.stages == {"a1": "extract"}


def test_quiet_session_resumes_from_its_old_cursor():
    """The silence was no loss: the same read from further back finds the same."""
    world = World()
    world.put("a1")
    client = world.connect(1, filter=ONE)
    world.pump()
    for number in range(2, 10):
        world.put(f"a{number}")
        world.pump()
    world.resume(1)
    world.pump()
    assert (client.deltas[-1].since, client.deltas[-1].through) == (1, 9)
    assert not client.deltas[-1].jobs


def test_filtered_snapshot_is_paged_over_what_does_not_match():
    """A page counts what is sent; what is passed over costs no page."""
    world = World(max_page=1200)
    for number in range(40):
        world.put(f"a{number}", type="etl" if number % 10 == 0 else "other", title="x" * 400)
    client = world.connect(1, filter=ETL)
    world.pump()
    assert client.stages == world.expected(ETL)
    assert 1 < len(client.deltas) < 5


FAILED = Filter.make(stages=["failed"])
CANCELLED = Filter.make(stages=["cancelled"])
STOPPED = {"stage": "failed", "error": "Cancelled by user"}


def test_failed_and_cancelled_are_two_stages_to_filters():
    """A job that turns from one into the other leaves the first filter and enters the second."""
    world = World()
    world.put("a1", stage="failed", error="disk full")
    failed, cancelled = world.connect(1, filter=FAILED), world.connect(2, filter=CANCELLED)
    world.pump()
    assert (failed.stages, cancelled.stages) == ({"a1": "failed"}, {})
    world.put("a1", **STOPPED)
    world.pump()
    assert (failed.stages, cancelled.stages) == ({}, {"a1": "failed"})
    assert [item.id for item in failed.deltas[-1].gone] == ["a1"]


def test_a_plain_client_that_shows_failed_jobs_shows_cancelled_ones():
    """The original program's page knows no other stage for them."""
    world = World()
    world.feed()
    client = world.connect(1, dialect=PLAIN, filter=FAILED)
    world.pump()
    world.put("a1", **STOPPED)
    world.put("a2", stage="completed")
    world.pump()
    assert [json.loads(message)["job"]["id"] for message in client.messages[1:]] == ["a1"]


def test_a_job_whose_labels_change_leaves_and_enters():
    """Labels are looked at as any other field."""
    world = World()
    world.put("a1", labels={"team": "data"})
    data = world.connect(1, filter=Filter.make(labels=["team=data"]))
    web = world.connect(2, filter=Filter.make(labels=["team", "team!=data"]))
    world.pump()
    assert (data.stages, web.stages) == ({"a1": "pending"}, {})
    world.put("a1", labels={"team": "web"})
    world.pump()
    assert (data.stages, web.stages) == ({}, {"a1": "pending"})
    world.put("a1")
    world.pump()
    assert web.stages == {}
