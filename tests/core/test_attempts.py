"""The present attempt of a job that was retried."""

from __future__ import annotations

from jobctl.core import transitions as jobs
from jobctl.core.conditions import Condition, judge
from jobctl.core.job import Job

T = [f"2026-01-01T00:0{minute}:00.000Z" for minute in range(10)]
MINUTE_MS = 60_000
T0_MS = 1_767_225_600_000


def retried() -> Job:
    """Made at 0, in b at 1, failed at 2, retried at 5, in a at 6."""
    job = jobs.create("etl", now=T[0], stages=["a", "b"])
    job = jobs.fail(jobs.advance(job, "b", now=T[1]), "boom", now=T[2])
    return jobs.advance(jobs.retry(job, now=T[5]), "a", now=T[6])


def test_elapsed_is_the_attempts() -> None:
    """It counted the days in which nobody tried again."""
    job = retried()
    assert [entry.stage for entry in job.attempt_timeline()] == ["pending", "a"]
    now_ms = T0_MS + 8 * MINUTE_MS
    assert job.elapsed_ms(now_ms) == 3 * MINUTE_MS
    assert job.total_ms(now_ms) == 8 * MINUTE_MS
    done = jobs.complete(job, now=T[7])
    assert (done.elapsed_ms(now_ms), done.total_ms(now_ms)) == (2 * MINUTE_MS, 7 * MINUTE_MS)


def test_first_attempt_is_all_there_is() -> None:
    """Also of a job that was put back to pending by force."""
    job = jobs.create("etl", now=T[0], stages=["a", "b"])
    job = jobs.advance(jobs.advance(job, "b", now=T[1]), "pending", now=T[3], force=True)
    assert job.elapsed_ms(T0_MS + 5 * MINUTE_MS) == 5 * MINUTE_MS


def test_a_stage_of_an_earlier_attempt_does_not_count() -> None:
    """``wait --for stage=b`` returned at once."""
    job = retried()
    assert judge(job, Condition("stage", "b")).kind == "waiting"
    assert judge(job, Condition("stage", "a")).kind == "met"
    assert judge(jobs.advance(job, "b", now=T[7]), Condition("stage", "b")).kind == "met"
    done = jobs.complete(job, now=T[7])
    assert judge(done, Condition("stage", "b")).kind == "met"  # "completed" is later than b
