"""The active jobs of a set by age: as sorted anew, for the price of what changed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jobctl.core import transitions as jobs
from jobctl.core.jobset import JobSet
from jobctl.core.newest import NewestFirst
from tests.strategies import few_ids

TIMES = tuple(f"2026-01-01T00:00:0{second}.000Z" for second in range(4))
puts = st.tuples(few_ids, st.sampled_from(TIMES), st.sampled_from(["pending", "completed"]))
steps = st.one_of(puts, few_ids, st.sampled_from([1, 2]))


@given(st.lists(steps, max_size=60), few_ids, st.sampled_from(TIMES))
def test_it_is_as_if_sorted_anew(schedule, id, at):
    """Whatever happens to jobs between two looks, from any key on."""
    source, index = JobSet("e1", max_tombstones=1), NewestFirst()
    for step in schedule:
        revision = source.revision + 1
        if isinstance(step, tuple):
            made = jobs.create("etl", now=step[1], id=step[0])
            source.put(made.replace(revision=revision, stage=step[2]))
        elif isinstance(step, str):
            source.delete(step, revision)
        else:
            index.follow(source)
            check(source, index, (at, id))
    index.follow(source)
    check(source, index, (at, id))


def check(source: JobSet, index: NewestFirst, key: tuple[str, str]) -> None:
    """Against the plain way."""
    want = sorted(((job.created_at, job.id) for job in source if job.active), reverse=True)
    assert [(job.created_at, job.id) for job in index.before(source)] == want
    older = [(job.created_at, job.id) for job in index.before(source, key)]
    assert older == [one for one in want if one < key]


def test_jobs_that_are_gone_take_no_room_for_ever():
    """Ten thousand jobs that came and went leave hardly a key."""
    source, index = JobSet("e1", max_tombstones=10), NewestFirst()
    for number in range(10_000):
        made = jobs.create("etl", now=TIMES[0], id=f"a{number}")
        source.put(made.replace(revision=source.revision + 1))
        index.follow(source)
        source.delete(f"a{number}", source.revision + 1)
    assert len(index._keys) < 100
