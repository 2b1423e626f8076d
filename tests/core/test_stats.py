"""Counts, failure rates and durations of groups of jobs."""

from __future__ import annotations

from statistics import quantiles
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.core import transitions as jobs
from jobctl.core.job import Job
from jobctl.core.stats import Grouping, GroupStats, group_stats, percentile
from jobctl.core.times import to_text
from jobctl.errors import UsageError

NOW_MS = 1_767_225_600_000
DAY_MS = 86_400_000
DEAD = "12345-0123456789ab"


def started(id: str, ago_ms: int = 60_000, type: str = "etl", **more: Any) -> Job:
    """A job that was created so long ago, and is at work."""
    made = jobs.create(type, now=to_text(NOW_MS - ago_ms), id=id).replace(**more)
    return jobs.advance(made, "load", now=to_text(NOW_MS - ago_ms), force=True)


def completed(id: str, ago_ms: int, took_ms: int = 1000, **more: Any) -> Job:
    """A job that completed so long ago."""
    return jobs.complete(started(id, ago_ms + took_ms, **more), now=to_text(NOW_MS - ago_ms))


def failed(id: str, ago_ms: int, **more: Any) -> Job:
    """A job that failed so long ago."""
    return jobs.fail(started(id, ago_ms + 10, **more), "no", now=to_text(NOW_MS - ago_ms))


def one(found: list[GroupStats]) -> GroupStats:
    """The only group."""
    (group,) = found
    return group


def stats(*which: Job, **options: Any) -> list[GroupStats]:
    """The groups of these jobs, now."""
    return group_stats(which, now_ms=NOW_MS, **options)


def test_each_outcome_counts_as_what_it_is() -> None:
    """A lost job is a failure; a cancelled job and one at work are neither."""
    cancelled = jobs.cancel(
        jobs.create("etl", now=to_text(NOW_MS - 10), id="x"), now=to_text(NOW_MS)
    )
    group = one(
        stats(
            completed("c1", 1000),
            completed("c2", 2000),
            failed("f", 500),
            cancelled,
            started("run"),
            started("lost", owner=DEAD),
            dead={DEAD},
        )
    )
    assert (group.jobs, group.active, group.lost) == (6, 2, 1)
    assert (group.completed, group.failed, group.cancelled) == (2, 1, 1)
    assert group.failure_rate == pytest.approx(2 / 4)
    assert (group.last_success_ms, group.last_failure_ms) == (NOW_MS - 1000, NOW_MS - 500)


def test_retried_job_counts_once_by_its_last_attempt() -> None:
    """Its duration is that of the last attempt, and its retries are counted."""
    job = failed("a", 100_000)
    job = jobs.retry(job, now=to_text(NOW_MS - 9000))
    job = jobs.advance(job, "load", now=to_text(NOW_MS - 8000), force=True)
    group = one(stats(jobs.complete(job, now=to_text(NOW_MS - 5000))))
    assert (group.jobs, group.completed, group.failed, group.retries) == (1, 1, 0, 1)
    assert group.failure_rate == 0
    assert group.median_ms == 4000
    assert group.last_failure_ms is None


def test_what_is_unknown_is_none() -> None:
    """A rate without an outcome, and a duration without a success."""
    group = one(stats(started("a")))
    assert (group.failure_rate, group.median_ms, group.p95_ms) == (None, None, None)
    assert (group.last_success_ms, group.last_failure_ms) == (None, None)
    group = one(stats(failed("a", 1)))
    assert (group.failure_rate, group.median_ms) == (1.0, None)


def test_failed_jobs_have_no_part_in_the_durations() -> None:
    """A job that fails at once would make the others look fast."""
    group = one(stats(completed("a", 5, took_ms=60_000), failed("b", 5), failed("c", 5)))
    assert (group.median_ms, group.p95_ms) == (60_000, 60_000)


def test_a_period_is_about_the_end_of_a_job() -> None:
    """Not about its creation; the jobs that are active now count too."""
    long = completed("long", 1000, took_ms=9 * DAY_MS)
    old = completed("old", 8 * DAY_MS)
    at_work = started("run", 30 * DAY_MS)
    group = one(stats(long, old, at_work, since_ms=NOW_MS - 7 * DAY_MS))
    assert (group.completed, group.active) == (1, 1)
    group = one(stats(long, old, at_work, until_ms=NOW_MS - 7 * DAY_MS))
    assert (group.completed, group.active) == (1, 0)
    assert group.last_success_ms == NOW_MS - 8 * DAY_MS


def test_last_success_may_be_before_the_period() -> None:
    """Someone who looks at the last week wants to know that it was two weeks ago."""
    which = (completed("a", 14 * DAY_MS), failed("b", DAY_MS))
    group = one(stats(*which, since_ms=NOW_MS - 7 * DAY_MS))
    assert (group.completed, group.failure_rate) == (0, 1.0)
    assert group.last_success_ms == NOW_MS - 14 * DAY_MS


def test_group_without_a_job_in_the_period_is_left_out() -> None:
    """It would be a line without numbers."""
    assert stats(completed("a", 14 * DAY_MS), since_ms=NOW_MS - DAY_MS) == []


def test_unknown_end_counts_only_without_a_period() -> None:
    """A file of another program may have no usable time."""
    job = Job(id="a", type="x", stage="completed", createdAt="0001-01-01T00:00:00.000Z",
              updatedAt="0001-01-01T00:00:00.000Z")  # fmt: skip
    group = one(stats(job))
    assert (group.completed, group.median_ms, group.last_success_ms) == (1, None, None)
    assert stats(job, since_ms=0) == []


def test_groups_with_failures_come_first() -> None:
    """Then those with many jobs, then by name."""
    which = [completed("a", 1, type="many"), completed("b", 1, type="many")]
    which += [completed("c", 1, type="z"), completed("d", 1, type="b"), failed("e", 1, type="bad")]
    assert [group.group for group in stats(*which)] == ["bad", "many", "b", "z"]


def test_groups_by_host_and_by_label() -> None:
    """Jobs without a host, with one that is no text, or without the label are one group."""
    a = completed("a", 1, labels={"team": "data"}, host="db1")
    b = completed("b", 1, labels={"team": "web"}, host="db1")
    c = completed("c", 1, host={"name": "db1"})
    assert {g.group: g.jobs for g in stats(a, b, c, by=Grouping("host"))} == {"db1": 2, None: 1}
    by_team = stats(a, b, c, by=Grouping("label", "team"))
    assert {group.group: group.jobs for group in by_team} == {"data": 1, "web": 1, None: 1}


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("label", "label=KEY"),
        ("label=", "label=KEY"),
        ("hosts", "did you mean 'host'?"),
        ("type=etl", "did you mean"),
        ("", "type, host or label=KEY"),
    ],
)
def test_other_groupings_are_refused_with_a_hint(text: str, hint: str) -> None:
    """Above all a label without its key."""
    with pytest.raises(UsageError) as caught:
        Grouping.parse(text)
    assert hint in (caught.value.hint or "")


def test_a_grouping_prints_what_it_was_parsed_from() -> None:
    """JSON output names it."""
    for text in ("type", "host", "label=team", "label=app/name"):
        assert str(Grouping.parse(text)) == text


@given(st.lists(st.integers(0, 10**9), min_size=2, max_size=40))
def test_percentiles_are_those_of_the_standard_library(values: list[int]) -> None:
    """Those of the method ``inclusive``; within the rounding to whole milliseconds."""
    values.sort()
    cuts = quantiles(values, n=20, method="inclusive")
    assert percentile(values, 0.5) == pytest.approx(cuts[9], abs=1)
    assert percentile(values, 0.95) == pytest.approx(cuts[18], abs=1)


def test_percentiles_of_one_value_are_that_value() -> None:
    """And of none there are none."""
    assert percentile([7], 0.5) == percentile([7], 0.95) == 7
    assert percentile([], 0.5) is None
