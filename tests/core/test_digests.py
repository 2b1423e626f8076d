"""Digests under filters: equal to the recomputed ones, for the price of what changed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.core import digests as digests_module
from jobctl.core import transitions as jobs
from jobctl.core.cursor import ZERO
from jobctl.core.digests import Digests
from jobctl.core.filters import EVERYTHING, Filter
from jobctl.core.job import Job
from jobctl.core.jobset import Delta, JobSet
from jobctl.hub.sessions import Hub
from tests.hub.world import make_job
from tests.strategies import SESSIONS, STAGES, T0, TYPES, few_ids, filters

shapes = st.fixed_dictionaries(
    {
        "type": st.sampled_from(TYPES[-2:]),
        "session_id": st.sampled_from(SESSIONS),
        "stage": st.sampled_from(STAGES),
    }
)
steps = st.one_of(
    st.tuples(st.just("put"), few_ids, shapes),
    st.tuples(st.just("delete"), few_ids),
    st.tuples(st.just("keep"), filters),
    st.tuples(st.just("release"), filters),
    st.tuples(st.just("ask"), filters),
    st.tuples(st.just("reset")),
)


def recomputed(source: JobSet, filter: Filter) -> str:
    """The digest by a set that has kept none."""
    fresh = JobSet(source.epoch)
    for job in source:
        fresh.put(job)
    return fresh.digest(filter)


@given(st.lists(steps, max_size=40), st.sets(filters, max_size=4))
def test_kept_digest_equals_the_recomputed_one(schedule, kept):
    """After every step, whichever filters are kept, asked for, released, and kept again."""
    source = JobSet("e1")
    for filter in kept:
        source.keep_digest(filter)
    asked = {EVERYTHING, *kept}
    for kind, *values in schedule:
        revision = source.revision + 1
        if kind == "put":
            id, shape = values
            made = jobs.create("etl", now=T0, id=id)
            source.put(made.replace(revision=revision, **shape))
        elif kind == "delete":
            source.delete(values[0], revision)
        elif kind == "keep":
            source.keep_digest(values[0])
        elif kind == "release":
            source.release_digest(values[0])
        elif kind == "ask":
            asked.add(values[0])
        else:
            other = JobSet("e1")
            other.put(jobs.create("etl", now=T0, id="a1").replace(revision=1))
            assert source.apply(other.since(ZERO))
        for filter in asked:
            assert source.digest(filter) == recomputed(source, filter)


class Counting:
    """How often a job was compared with a filter, and a mark was computed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.matches = self.marks = 0
        real_matches, real_mark = Filter.matches, digests_module.version_hash

        def matches(filter: Filter, job: Job) -> bool:
            self.matches += 1
            return real_matches(filter, job)

        def version_hash(id: str, revision: int) -> int:
            self.marks += 1
            return real_mark(id, revision)

        monkeypatch.setattr(Filter, "matches", matches)
        monkeypatch.setattr(digests_module, "version_hash", version_hash)


def changed(hub: Hub, count: int) -> None:
    """So many changes of one job, each sent to every session."""
    for _ in range(count):
        revision = hub.replica.revision + 1
        job = make_job("a1", revision, stage="extract", title=str(revision))
        assert hub.feed(Delta("e", revision - 1, revision, (job,), merged=frozenset()))
        assert {sending.error for sending in hub.pump()} == {None}


@pytest.mark.parametrize("size", [10, 3000])
def test_change_under_a_filter_costs_the_same_in_any_set(monkeypatch, size):
    """It was a look at every job for each update: 169 ms of a blocked loop at 100,000 jobs."""
    hub = Hub()
    replica = JobSet("e")
    for number in range(1, size + 1):
        replica.put(make_job(f"a{number}", number, stage="extract"))
    hub.replace_replica(replica)
    hub.open(1, filter=Filter.make(stages=["extract"]), digest=True)
    hub.open(2, filter=Filter.make(types=["etl"], active=True), digest=True)
    while list(hub.pump()):
        pass
    counting = Counting(monkeypatch)
    changed(hub, 5)
    assert 0 < counting.matches <= 5 * 2 * 4
    assert 0 < counting.marks <= 5 * 2


def test_digest_that_no_session_wants_costs_nothing(monkeypatch):
    """It is kept for as long as a session has the filter, through a new replica as well."""
    hub = Hub()
    some, other = Filter.make(stages=["extract"]), Filter.make(types=["etl"])
    hub.open(1, filter=some, digest=True)
    hub.open(2, filter=some, digest=True)
    replica = JobSet("e")
    replica.put(make_job("a1", 1, stage="extract"))
    hub.replace_replica(replica)
    changed_filter = '{"type":"jobs:subscribe","digest":true,"filter":{"type":"etl"}}'
    hub.receive(1, changed_filter)
    hub.close(2)
    assert kept(hub) == {other}
    hub.close(1)
    assert kept(hub) == set()
    counting = Counting(monkeypatch)
    revision = hub.replica.revision + 1
    hub.feed(Delta("e", revision - 1, revision, (make_job("a1", revision),)))
    assert counting.matches == 0


def kept(hub: Hub) -> set[Filter]:
    """The filters whose digest the hub's replica keeps."""
    return set(hub.replica._digests._kept)


def test_change_is_compared_with_filters_on_its_id_only(monkeypatch):
    """A thousand clients, each on one quiet job, cost a change of another job nothing."""
    digests = Digests()
    for number in range(1000):
        digests.keep(Filter.make(ids=[f"quiet-{number}"]), empty=True)
    digests.keep(Filter.make(ids=["a1", "quiet-1"]), empty=True)
    counting = Counting(monkeypatch)
    digests.change("a1", None, make_job("a1", 1))
    assert counting.matches == 1
    for number in range(1000):
        digests.release(Filter.make(ids=[f"quiet-{number}"]))
    digests.release(Filter.make(ids=["a1", "quiet-1"]))
    assert digests._by_id == {}
