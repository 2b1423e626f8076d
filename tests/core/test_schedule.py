"""Types that have to succeed regularly: which are overdue, and what is known of their runs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.core import transitions as jobs
from jobctl.core.filters import EVERYTHING, Filter
from jobctl.core.job import Job
from jobctl.core.jobset import Delta, Gone, JobSet
from jobctl.core.pipeline import Pipelines, parse_types
from jobctl.core.schedule import Ended, Overdue, TypeRuns, expected_types, short_duration
from jobctl.core.times import to_text

NOW_MS = 1_767_225_600_000
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
DEAD = "12345-0123456789ab"

BACKUP = {"expect-every": "1d", "grace": "2h"}


def settings(**types: dict[str, Any]) -> Pipelines:
    """The pipelines of settings with these tables."""
    return Pipelines(parse_types({name: (table, "x.toml") for name, table in types.items()}))


def at(ago_ms: int) -> str:
    """The time so long ago."""
    return to_text(NOW_MS - ago_ms)


def at_work(id: str, ago_ms: int, type: str = "backup", **more: Any) -> Job:
    """A job that began so long ago."""
    made = jobs.create(type, now=at(ago_ms), id=id)
    return jobs.advance(made, "load", now=at(ago_ms), force=True).replace(**more)


def success(id: str, ago_ms: int, type: str = "backup", took_ms: int = 1000) -> Job:
    """A job that completed so long ago."""
    return jobs.complete(at_work(id, ago_ms + took_ms, type), now=at(ago_ms))


def failure(id: str, ago_ms: int, type: str = "backup") -> Job:
    """A job that failed so long ago."""
    return jobs.fail(at_work(id, ago_ms + 1000, type), "no", now=at(ago_ms))


def found(*which: Job, dead: tuple[str, ...] = (), **types: dict[str, Any]) -> list[Overdue]:
    """The overdue types among ``types``, by default the backup."""
    runs = TypeRuns(settings(**(types or {"backup": BACKUP})))
    runs.take(which, NOW_MS)
    return runs.overdue(NOW_MS, dead)


# -- when a type is overdue -----------------------------------------------------------------


def test_time_is_measured_from_the_end_of_the_last_success() -> None:
    """Up to and including expect-every and grace it is in time, whenever the run began."""
    limit_ms = DAY_MS + 2 * HOUR_MS
    assert found(success("a", limit_ms, took_ms=9 * DAY_MS)) == []
    (late,) = found(success("a", limit_ms + 1))
    assert late == Overdue("backup", DAY_MS, 2 * HOUR_MS, NOW_MS - limit_ms - 1, NOW_MS - 1)


def test_only_a_success_counts() -> None:
    """Not a failure, nor a cancelled job, nor one of another type."""
    old = success("a", 3 * DAY_MS)
    cancelled = jobs.cancel(jobs.create("backup", now=at(10), id="c"), now=at(5))
    for other in (failure("b", HOUR_MS), cancelled, success("o", HOUR_MS, type="etl")):
        assert [item.type for item in found(old, other)] == ["backup"]
    assert found(old, success("b", HOUR_MS)) == []


def test_run_at_work_is_no_success_yet() -> None:
    """The type is overdue still, and since when the run is at work is said."""
    (late,) = found(success("a", 3 * DAY_MS), at_work("b", HOUR_MS))
    assert late.running_since_ms == NOW_MS - HOUR_MS
    assert late.describe(NOW_MS) == (
        "backup is overdue: last success 3d00h ago, expected every 1d; running for 1h00m"
    )


def test_lost_or_pending_run_is_not_at_work() -> None:
    """Nobody works on it."""
    pending = jobs.create("backup", now=at(HOUR_MS), id="p")
    lost = at_work("l", HOUR_MS, owner=DEAD)
    (late,) = found(success("a", 3 * DAY_MS), pending, lost, dead=(DEAD,))
    assert late.running_since_ms is None
    assert late.describe(NOW_MS) == ("backup is overdue: last success 3d00h ago, expected every 1d")


def test_type_that_never_succeeded_counts_from_the_oldest_job() -> None:
    """Of whatever type; so a directory that is used for long says so, and a new one does not."""
    (late,) = found(failure("x", 2 * DAY_MS, type="etl"))
    assert late.last_success_ms is None
    assert late.describe(NOW_MS) == "backup is overdue: no success is known, expected every 1d"
    assert found(failure("x", DAY_MS, type="etl")) == []
    assert found(failure("b", HOUR_MS), at_work("c", HOUR_MS)) == []


def test_without_any_job_nothing_is_overdue() -> None:
    """Nothing is known."""
    assert found() == []


def test_type_without_expectation_is_never_overdue() -> None:
    """Whatever else settings say of it."""
    assert found(success("a", 99 * DAY_MS), backup={"label": "Backup"}) == []


def test_success_in_the_future_does_not_count() -> None:
    """A wrong clock wrote it; otherwise the type would be in time for ever."""
    wrong = success("a", -400 * DAY_MS, took_ms=403 * DAY_MS)
    (late,) = found(wrong)
    assert late.last_success_ms == NOW_MS - 3 * DAY_MS
    assert found(success("a", -HOUR_MS // 2), success("old", 9 * DAY_MS)) == []


def test_overdue_types_come_by_name() -> None:
    """Several types, each with its own time."""
    late = found(
        success("a", 3 * HOUR_MS), success("b", 3 * HOUR_MS, type="b"),
        success("z", 3 * HOUR_MS, type="z"),
        z={"expect-every": "1h"}, b={"expect-every": "3h"}, backup={"expect-every": "2h"},
    )  # fmt: skip
    assert [item.type for item in late] == ["backup", "z"]


def test_json_form() -> None:
    """Durations in milliseconds, times as text."""
    (late,) = found(success("a", 3 * DAY_MS))
    assert late.to_value() == {
        "type": "backup",
        "lastSuccess": at(3 * DAY_MS),
        "expectEveryMs": DAY_MS,
        "graceMs": 2 * HOUR_MS,
        "dueAt": at(3 * DAY_MS - DAY_MS - 2 * HOUR_MS),
        "runningSince": None,
    }


@pytest.mark.parametrize(
    ("ms", "text"),
    [(DAY_MS, "1d"), (30 * DAY_MS, "30d"), (90 * 60_000, "1h30m"), (HOUR_MS, "1h"), (500, "500ms"),
     (1000, "1s"), (100_000, "1m40s"), (0, "0ms")],
)  # fmt: skip
def test_short_durations(ms: int, text: str) -> None:
    """Without a second part that is zero."""
    assert short_duration(ms) == text


def test_filter_that_leaves_successes_out_says_nothing_of_them() -> None:
    """``ls --stage failed`` sees no success at all."""
    known = settings(backup=BACKUP, etl={"expect-every": "1h"}, other={"label": "x"})
    assert expected_types(known, EVERYTHING) == ["backup", "etl"]
    assert expected_types(known, Filter.make(types=["etl", "other"])) == ["etl"]
    assert expected_types(known, Filter.make(types=["other"])) == []
    for narrow in ({"stages": ["failed"]}, {"ids": ["a"]}, {"sessions": ["s"]},
                   {"active": True}, {"labels": ["a=b"]}):  # fmt: skip
        assert expected_types(known, Filter.make(**narrow)) is None  # type: ignore[arg-type]


# -- kept up to date ------------------------------------------------------------------------


def test_removed_success_no_longer_counts() -> None:
    """Then the one before it is the last."""
    runs = TypeRuns(settings(backup=BACKUP))
    runs.take([success("a", 3 * DAY_MS), success("b", HOUR_MS)], NOW_MS)
    assert runs.overdue(NOW_MS) == []
    assert runs.last_successes() == {"b"}
    runs.drop("b")
    assert [item.last_success_ms for item in runs.overdue(NOW_MS)] == [NOW_MS - 3 * DAY_MS]
    runs.drop("a")
    assert [item.last_success_ms for item in runs.overdue(NOW_MS)] == [None]


def test_job_that_changes_its_type_or_outcome_is_counted_once() -> None:
    """Also a completed job that another program sets back."""
    runs = TypeRuns(settings(backup=BACKUP, etl={"label": "ETL"}))
    job = success("a", HOUR_MS)
    runs.take([job], NOW_MS)
    runs.take([job.replace(type="etl")], NOW_MS)
    assert runs.state("backup", NOW_MS).ended["completed"] == 0
    assert runs.state("etl", NOW_MS).ended["completed"] == 1
    runs.take([job.replace(stage="load", completed_at=None)], NOW_MS)
    state = runs.state("backup", NOW_MS)
    assert (state.active, state.ended["completed"], state.last_success_ms) == (1, 0, None)


def test_state_of_a_type() -> None:
    """Lost jobs and stalled ones are active, and a lost job is not stalled."""
    table = {"stalled-after": "10m"}
    runs = TypeRuns(settings(backup=table))
    cancelled = jobs.cancel(jobs.create("backup", now=at(10), id="c"), now=at(5))
    runs.take(
        [
            at_work("new", 60_000), at_work("stalled", HOUR_MS),
            at_work("lost", HOUR_MS, owner=DEAD), success("s", 5000), failure("f", 7000),
            failure("g", 9000), cancelled,
        ],
        NOW_MS,
    )  # fmt: skip
    state = runs.state("backup", NOW_MS, {DEAD})
    assert (state.active, state.lost, state.stalled) == (3, 1, 1)
    assert state.ended == {"completed": 1, "failed": 2, "cancelled": 1}
    assert (state.last_success_ms, state.last_failure_ms) == (NOW_MS - 5000, NOW_MS - 7000)
    assert runs.state("backup", NOW_MS + 10 * 60_000).stalled == 3


def test_jobs_say_when_they_will_have_stalled() -> None:
    """At that very millisecond they are `Job.stalled`, and not before."""
    known = settings(backup={"stalled-after": "10m"})
    job = at_work("a", HOUR_MS)
    stalls_ms = job.stalls_at_ms(known)
    assert stalls_ms is not None
    assert job.stalled(stalls_ms, known)
    assert not job.stalled(stalls_ms - 1, known)
    assert success("b", HOUR_MS).stalls_at_ms(known) is None
    assert jobs.create("backup", now=at(HOUR_MS)).stalls_at_ms(known) is None


def test_next_overdue_tells_when_to_look_again() -> None:
    """Nothing has to be asked before."""
    runs = TypeRuns(settings(backup=BACKUP, etl={"expect-every": "30d"}))
    assert runs.next_overdue_ms(NOW_MS) is None
    runs.take([success("a", HOUR_MS), success("e", DAY_MS, type="etl")], NOW_MS)
    next_ms = runs.next_overdue_ms(NOW_MS)
    assert next_ms == NOW_MS + 25 * HOUR_MS + 1
    assert runs.overdue(next_ms - 1) == []
    assert [item.type for item in runs.overdue(next_ms)] == ["backup"]
    assert runs.next_overdue_ms(next_ms) == NOW_MS - DAY_MS + 33 * DAY_MS + 1


# -- following a set ------------------------------------------------------------------------


class Source:
    """A set of jobs that is changed by deltas, as the hub's replica is."""

    def __init__(self, *, opaque: bool = True) -> None:
        self.jobs = JobSet("e", opaque=opaque)
        self._revision = 0

    def put(self, *which: Job) -> None:
        """Write jobs, each with the next revision."""
        since = self._revision
        new = []
        for job in which:
            self._revision += 1
            new.append(job.replace(revision=self._revision))
        assert self.jobs.apply(Delta("e", since, self._revision, tuple(new)))

    def remove(self, id: str) -> None:
        """Remove a job."""
        since, self._revision = self._revision, self._revision + 1
        gone = (Gone(id, self._revision),)
        assert self.jobs.apply(Delta("e", since, self._revision, (), gone))


def news(runs: TypeRuns, source: Source) -> list[tuple[str, str, int]]:
    """What `follow` tells: type, outcome and attempt."""
    return [
        (type, ended.outcome, ended.attempt)
        for part in runs.follow(source.jobs, NOW_MS)
        for type, ended in part
    ]


def test_jobs_that_ended_before_the_first_look_are_no_news() -> None:
    """A hub that starts has not seen them end; those that end later are told once."""
    source, runs = Source(), TypeRuns(settings(backup=BACKUP))
    source.put(success("a", HOUR_MS), at_work("b", HOUR_MS))
    assert news(runs, source) == []
    assert runs.state("backup", NOW_MS).ended["completed"] == 1
    source.put(success("b", 1000), failure("c", 1000), success("e", 5, type="etl"))
    assert news(runs, source) == [("backup", "completed", 0), ("backup", "failed", 0)]
    assert news(runs, source) == []


def test_jobs_that_ended_between_start_and_first_look_are_news() -> None:
    """A hub starts, a job ends, and only then Prometheus comes."""
    source = Source()
    runs = TypeRuns(settings(backup=BACKUP), news_from_ms=NOW_MS - HOUR_MS)
    source.put(success("old", HOUR_MS + 1), success("a", HOUR_MS))
    assert news(runs, source) == [("backup", "completed", 0)]


def test_each_attempt_is_told_once() -> None:
    """A change of a job that has ended, as a label, is no news; another attempt is."""
    source, runs = Source(), TypeRuns(settings(backup=BACKUP))
    source.put(success("z", HOUR_MS))
    news(runs, source)
    job = failure("a", 9000)
    source.put(job)
    assert news(runs, source) == [("backup", "failed", 0)]
    source.put(job.replace(labels={"team": "x"}))
    assert news(runs, source) == []
    again = jobs.fail(jobs.retry(job, now=at(8000)), "again", now=at(7000))
    source.put(again)  # both changes since the last look
    assert news(runs, source) == [("backup", "failed", 1)]


def test_removed_jobs_are_forgotten_and_a_reset_tells_nothing_twice() -> None:
    """After a reset the set has a new epoch and the same jobs."""
    source, runs = Source(), TypeRuns(settings(backup=BACKUP))
    source.put(success("old", DAY_MS))
    news(runs, source)
    source.put(success("a", HOUR_MS), failure("b", HOUR_MS))
    assert len(news(runs, source)) == 2
    source.remove("a")
    assert news(runs, source) == []
    assert runs.state("backup", NOW_MS).ended == {"completed": 1, "failed": 1, "cancelled": 0}
    whole = JobSet("other", opaque=True)
    whole.apply(Delta("other", 0, 7, (failure("b", HOUR_MS).replace(revision=3),
                                      failure("n", HOUR_MS).replace(revision=7))))  # fmt: skip
    source.jobs = whole
    assert news(runs, source) == [("backup", "failed", 0)]
    assert runs.state("backup", NOW_MS).ended == {"completed": 0, "failed": 2, "cancelled": 0}


def test_follow_that_is_left_goes_on_where_it_was() -> None:
    """As when a request is cancelled: nothing is lost, and the first load stays no news."""
    source, runs = Source(), TypeRuns(settings(backup=BACKUP))
    source.put(*(success(f"a{number}", HOUR_MS) for number in range(600)))
    next(iter(runs.follow(source.jobs, NOW_MS)))
    source.remove("a599")
    assert news(runs, source) == []
    assert runs.state("backup", NOW_MS).ended["completed"] == 599
    source.put(success("b", 1))
    assert news(runs, source) == [("backup", "completed", 0)]


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abcd"), st.sampled_from(["work", "done", "fail", "rm"]),
            st.sampled_from(["backup", "etl"]), st.integers(0, 5 * DAY_MS),
        ),
        max_size=30,
    )
)  # fmt: skip
def test_followed_is_what_is_read_at_once(changes: list[tuple[str, str, str, int]]) -> None:
    """Whatever changed, in whatever order: the same as from scratch."""
    known = settings(backup={**BACKUP, "stalled-after": "1d"})
    source, runs = Source(), TypeRuns(known)
    kinds = {"work": at_work, "done": success, "fail": failure}
    for id, kind, type, ago_ms in changes:
        if kind != "rm":
            source.put(kinds[kind](id, ago_ms, type))
        elif source.jobs.get(id) is not None:
            source.remove(id)
        if ago_ms % 2:
            news(runs, source)
    news(runs, source)
    fresh = TypeRuns(known)
    fresh.take(source.jobs, NOW_MS)
    assert runs.state("backup", NOW_MS) == fresh.state("backup", NOW_MS)
    assert runs.last_success("backup") == fresh.last_success("backup")


def test_an_ended_attempt_has_its_duration() -> None:
    """That of the attempt, not of the job."""
    runs = TypeRuns(settings(backup=BACKUP))
    job = jobs.retry(failure("a", HOUR_MS), now=at(9000))
    ((_, ended),) = runs.take([jobs.complete(job, now=at(4000))], NOW_MS)
    assert ended == Ended(1, "completed", NOW_MS - 4000, 5000)
