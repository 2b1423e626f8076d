"""Jobs that jobctl made and that the original program moves: times, progress, owner, attempts."""

from __future__ import annotations

from typing import Any

import pytest

from jobctl.core import transitions as jobs
from jobctl.core.codec import encode, parse
from jobctl.core.conditions import Condition, judge
from jobctl.core.eta import MIN_LEARNED, UsualDurations
from jobctl.core.job import HistoryEntry, Job
from jobctl.core.times import known_ms, to_ms
from jobctl.core.transitions import MAX_HISTORY
from tests.original_writes import at, by_others, completed, failed, moved_to, retried

OWNER = "4711-0123456789ab"


def made(*, owner: str | None = None, type: str = "create_session") -> Job:
    """A job of jobctl's, in ``extract`` since second 5, with 3 of 8 done."""
    job = jobs.create(type, now=at(0), id="a1").replace(owner=owner)
    job = jobs.advance(job, "extract", now=at(5))
    return jobs.report(job, now=at(6), done=3, total=8, message="orders.csv")


def told(job: Job) -> list[tuple[str, str]]:
    """The timeline."""
    return [(entry.stage, entry.at) for entry in job.timeline()]


BEGAN = [("pending", at(0)), ("extract", at(5))]

# -- times ------------------------------------------------------------------------------------


def test_the_end_is_when_it_completed() -> None:
    """Not when the stage before began, which is what ``stageStartedAt`` has."""
    job = by_others(made(), moved_to("finalize", 60), completed(90))
    assert told(job) == [*BEGAN, ("completed", at(90))]
    assert job.elapsed_ms(to_ms(at(3000))) == 90_000
    bare = by_others(made(), {"history": None}, moved_to("finalize", 60), completed(90))
    assert told(bare) == [("pending", at(0)), ("completed", at(90))]


def test_the_end_of_a_failure_is_its_last_update() -> None:
    """The original's ``completedAt`` stays null."""
    job = by_others(made(), moved_to("finalize", 60), failed(90))
    assert told(job) == [*BEGAN, ("failed", at(90))]
    assert job.elapsed_ms(to_ms(at(3000))) == 90_000


def test_a_retry_writes_the_true_times() -> None:
    """They are not shown only, but kept."""
    job = jobs.retry(by_others(made(), moved_to("analyze", 60), failed(90)), now=at(200))
    assert job.history is not None
    assert told(job) == [*BEGAN, ("failed", at(90)), ("pending", at(200))]
    again = parse(encode(job), id="a1")
    assert told(again) == told(job)


@pytest.mark.parametrize(
    "more", [{}, {"stageStartedAt": None}, {"stageStartedAt": at(120)}], ids=str
)
def test_a_retry_by_the_original_is_when_it_was_updated(more: dict[str, Any]) -> None:
    """Whatever it does to ``stageStartedAt``."""
    job = by_others(made(), moved_to("analyze", 60), failed(90), retried(120, **more))
    assert told(job) == [*BEGAN, ("pending", at(120))]
    assert told(jobs.advance(job, "extract", now=at(130)))[2:] == [
        ("pending", at(120)), ("extract", at(130)),
    ]  # fmt: skip
    bare = by_others(made(), {"history": None}, failed(90), retried(120, **more))
    assert told(bare) == [("pending", at(0)), ("pending", at(120))]


def test_a_stage_of_the_next_attempt_is_another_entry() -> None:
    """Also if it has the name of the last one."""
    job = by_others(made(), failed(90), retried(120), moved_to("extract", 130))
    assert told(job) == [*BEGAN, ("extract", at(130))]
    ended = by_others(job, failed(150))
    assert told(ended) == [*BEGAN, ("failed", at(150))]
    never_begun = by_others(jobs.create("t", now=at(0), id="a1"), failed(90), retried(120))
    assert told(never_begun) == [("pending", at(0)), ("pending", at(120))]


def test_a_job_that_failed_twice_has_the_end_of_its_second_failure() -> None:
    """The first one is jobctl's, the second the original's."""
    job = by_others(jobs.fail(made(), "no", now=at(30)), retried(60), failed(90))
    assert told(job) == [*BEGAN, ("failed", at(30)), ("failed", at(90))]


def test_times_never_go_back() -> None:
    """A program that changes the stage alone leaves the time of the stage before."""
    job = by_others(made(), {"stage": "analyze", "updatedAt": at(60)})
    assert told(job) == [*BEGAN, ("analyze", at(60))]
    assert not job.stalled(to_ms(at(100)))
    assert job.stalled(to_ms(at(121)))
    longer = by_others(made(), {"stage": "analyze"})
    assert told(longer)[-1] == ("analyze", at(6))


def test_a_pending_job_is_never_stalled() -> None:
    """The original's has no ``stageStartedAt``."""
    made_there = by_others(made(), {"history": None, "stage": "pending", "stageStartedAt": None})
    assert not made_there.stalled(to_ms(at(3000)))
    assert not by_others(made(), failed(9), retried(10)).stalled(to_ms(at(3000)))


def test_durations_are_learned_from_jobs_that_the_original_completed() -> None:
    """From creation to ``completedAt``."""
    ended = [
        by_others(made(), moved_to("finalize", 20), completed(60 + n)).replace(id=f"j{n}")
        for n in range(MIN_LEARNED)
    ]
    assert UsualDurations(ended).band(made()) == (62_000, 63_600)


# -- progress and message ---------------------------------------------------------------------


def test_progress_of_another_stage_is_not_shown() -> None:
    """Both belong to the stage that jobctl recorded last."""
    before = made()
    assert (before.current_progress, before.current_message) == (before.progress, "orders.csv")
    assert (before.fraction, before.derived(0).get("progressStale")) == (0.375, None)
    for writes in (
        [moved_to("analyze", 60)],
        [moved_to("analyze", 60), failed(90)],
        [moved_to("analyze", 60), completed(90)],
        [failed(90), retried(120)],
        [failed(90), retried(120), moved_to("extract", 130)],
    ):
        job = by_others(before, *writes)
        assert job.progress == before.progress, "the file's keys stay"
        assert (job.current_progress, job.current_message, job.fraction) == (None, None, 0)
        assert job.derived(0)["progressStale"] is True
    assert by_others(before, moved_to("analyze", 60)).percent == 40


def test_progress_of_a_job_without_history_is_shown() -> None:
    """Who writes no history writes of the present stage."""
    job = by_others(made(), {"history": None}, moved_to("analyze", 60))
    assert (job.current_progress, job.current_message) == (job.progress, "orders.csv")


def test_a_report_is_of_the_present_stage() -> None:
    """So it records that stage first, with its time, and drops what was of another."""
    job = by_others(made(), moved_to("analyze", 60))
    half = jobs.report(job, now=at(70), done=50)
    assert (half.current_progress, half.current_message, half.message) == (50, None, None)
    assert told(half) == [*BEGAN, ("analyze", at(60))]
    assert half.history is not None
    assert half.history[-1] == HistoryEntry("analyze", at(60))
    said = jobs.report(job, now=at(70), message="sorting")
    assert (said.current_progress, said.progress, said.current_message) == (None, None, "sorting")
    assert parse(encode(said), id="a1").current_message == "sorting"


def test_a_report_changes_the_history_only_then() -> None:
    """It does not otherwise."""
    job = made()
    assert jobs.report(job, now=at(9), done=4, total=8).history is job.history
    bare = by_others(job, {"history": None})
    assert jobs.report(bare, now=at(9), done=4, total=8).history is None


# -- owner and attempt ------------------------------------------------------------------------


def test_an_owner_counts_in_its_attempt_only() -> None:
    """A job that the original retried is not lost: nobody of ours works on it."""
    job = made(owner=OWNER)
    assert job.lost({OWNER})
    assert by_others(job, moved_to("analyze", 60)).lost({OWNER})
    for writes in ([retried(120)], [retried(120), moved_to("extract", 130)]):
        again = by_others(job, failed(90), *writes)
        assert (again.owner, again.owned_by) == (OWNER, None)
        assert not again.lost({OWNER})
        assert judge(again, Condition(), lost=again.lost({OWNER})).kind == "waiting"


def test_an_owner_of_a_later_attempt_counts() -> None:
    """Whoever made the attempts before."""
    first = jobs.retry(jobs.fail(made(), "no", now=at(30)), now=at(40)).replace(owner=OWNER)
    assert first.lost({OWNER})
    assert jobs.advance(first, "extract", now=at(41)).lost({OWNER})
    theirs = by_others(made(), failed(90), retried(120), moved_to("extract", 130), failed(150))
    ours = jobs.retry(theirs, now=at(200)).replace(owner=OWNER)
    assert (ours.retry_count, ours.lost({OWNER})) == (2, True)
    assert parse(encode(ours), id="a1").lost({OWNER})
    assert not by_others(ours, failed(210), retried(220, 3)).lost({OWNER})


def test_an_owner_counts_after_many_attempts() -> None:
    """The history is bounded, so the attempt stands in it."""
    job = made()
    for number in range(2 * MAX_HISTORY):
        job = jobs.fail(job, "no", now=at(10 + number))
        job = jobs.retry(job, now=at(10 + number)).replace(owner=OWNER)
        assert job.lost({OWNER})
        assert not by_others(job, retried(1000, job.retry_count + 1)).lost({OWNER})


def test_an_owner_counts_in_files_of_0_1_0() -> None:
    """They have no number of the attempt in their history, and may be cut."""
    job = jobs.fail(made(), "no", now=at(30))
    job = jobs.retry(job, now=at(40)).replace(owner=OWNER)
    assert "attempt" not in encode(job).decode(), "as 0.1.0 writes it"
    long = tuple(HistoryEntry("extract", at(n)) for n in range(MAX_HISTORY))
    assert job.replace(history=long, retry_count=9).lost({OWNER})


def test_a_forced_way_back_is_no_attempt() -> None:
    """The job was not retried."""
    job = jobs.retry(jobs.fail(made(), "no", now=at(30)), now=at(40)).replace(owner=OWNER)
    job = jobs.advance(job, "extract", now=at(41))
    assert jobs.advance(job, "pending", now=at(42), force=True).lost({OWNER})


def test_a_move_of_ours_drops_an_owner_of_another_attempt() -> None:
    """It would count again otherwise, in an attempt that it has nothing to do with."""
    theirs = by_others(made(owner=OWNER), failed(90), retried(120))
    for ours in (
        jobs.advance(theirs, "extract", now=at(130)),
        jobs.report(theirs, now=at(130), done=5),
    ):
        assert (ours.owner, ours.lost({OWNER})) == (None, False)
        assert ours.history is not None
        assert ours.history[-1].extra == {"attempt": 1}
    foreign = by_others(made(), failed(90), retried(120), {"owner": {"name": "node"}})
    assert jobs.advance(foreign, "extract", now=at(130)).owner == {"name": "node"}


def test_wait_for_a_stage_sees_what_the_original_did() -> None:
    """The stage that it moved the job to counts."""
    job = by_others(made(), moved_to("generate", 60))
    assert judge(job, Condition("stage", "analyze")).kind == "met"
    assert known_ms(job.timeline()[-1].at) == to_ms(at(60))
