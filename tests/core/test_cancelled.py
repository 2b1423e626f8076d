"""A cancelled job: failed in its file, as in the original program, and a kind of its own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jobctl.core import transitions as jobs
from jobctl.core.codec import encode, parse, to_wire
from jobctl.core.cursor import Cursor
from jobctl.core.filters import Filter
from jobctl.core.job import Cancellation, Job
from jobctl.core.jobset import JobSet
from jobctl.core.opaque import as_opaque
from jobctl.core.transitions import MAX_REASON, short_reason

T0, T1, T2 = (f"2026-01-01T00:00:0{second}.000Z" for second in range(3))
PENDING = jobs.create("etl", now=T0, id="a")
CANCELLED = jobs.cancel(PENDING, now=T1, by="anna", reason="no longer needed")
FAILED = jobs.fail(PENDING, "disk full", now=T1)
STAGE_FAILED, STAGE_CANCELLED = Filter.make(stages=["failed"]), Filter.make(stages=["cancelled"])


def _read(**values: Any) -> Job:
    return parse(json.dumps({"stage": "failed", **values}).encode(), id="a")


def test_the_file_says_failed_as_in_the_original_program() -> None:
    """And beside it, who cancelled it, when and why."""
    value = json.loads(encode(CANCELLED))
    assert (value["stage"], value["error"]) == ("failed", "Cancelled by user")
    assert value["cancelled"] == {"at": T1, "by": "anna", "reason": "no longer needed"}
    assert value["history"][-1] == {"stage": "failed", "at": T1}
    assert json.loads(encode(jobs.cancel(PENDING, now=T1)))["cancelled"] == {"at": T1}


def test_readers_see_a_kind_of_its_own() -> None:
    """Everywhere: in what is derived, in the stage that is shown, and in filters."""
    for job in (CANCELLED, parse(encode(CANCELLED), id="a"), as_opaque(CANCELLED)):
        assert job.is_cancelled
        assert job.shown_stage == "cancelled"
        assert job.derived(0)["cancelled"] is True
        assert job.cancellation == Cancellation(T1, "anna", "no longer needed")
        assert STAGE_CANCELLED.matches(job)
        assert not STAGE_FAILED.matches(job)
    for job in (PENDING, FAILED, as_opaque(FAILED), jobs.complete(PENDING, now=T1)):
        assert not job.is_cancelled
        assert job.shown_stage == job.stage
        assert job.derived(0)["cancelled"] is False
        assert job.cancellation is None
        assert not STAGE_CANCELLED.matches(job)
    assert STAGE_FAILED.matches(FAILED)


@pytest.mark.parametrize(
    ("values", "is_cancelled"),
    [
        ({"error": "Cancelled by user"}, True),
        ({"error": "Cancelled \\u0062y user"}, False),
        ({"error": "Cancelled by users"}, False),
        ({"error": "Killed", "cancelled": {"by": "bob"}}, True),
        ({"cancelled": True}, True),
        ({"cancelled": False}, False),
        ({"cancelled": "no"}, False),
        ({"error": {"message": "Cancelled by user"}}, True),
        ({"stage": "load", "error": "Cancelled by user", "cancelled": {}}, False),
    ],
)
def test_files_of_others_are_known_by_the_text_or_the_key(
    values: dict[str, Any], is_cancelled: bool
) -> None:
    """Files of jobctl 0.1.0 and of the original program have the text alone."""
    assert _read(**values).is_cancelled is is_cancelled


def test_an_escaped_text_is_the_same_text() -> None:
    """The quick look at a file's bytes does not decide alone."""
    old = encode(CANCELLED.replace(cancelled=None))
    for data in (old, old.replace(b"Cancelled by", b"\\u0043ancelled by")):
        for _ in range(40):  # the first files are read in another way
            assert parse(data, id="a").is_cancelled


@pytest.mark.parametrize(
    "said", [{"at": 7, "by": 3, "reason": ["x"]}, {"at": "soon", "by": "", "reason": None}, {}]
)
def test_odd_values_beside_a_cancellation_are_ignored(said: Any) -> None:
    """FAULTS row 68."""
    job = CANCELLED.replace(cancelled=said)
    assert job.cancellation == Cancellation(T1, None, None)


def test_another_attempt_is_not_cancelled() -> None:
    """Whoever retries it, and however it ends."""
    again = jobs.retry(CANCELLED, now=T2)
    assert again.cancelled is None
    assert b'"cancelled"' not in encode(again)
    assert jobs.next_attempt(CANCELLED, now=T2).cancelled is None
    # The original program keeps keys that it does not know.
    by_others = CANCELLED.replace(stage="failed", error="disk full", retry_count=1, updated_at=T2)
    assert not by_others.is_cancelled
    assert STAGE_FAILED.matches(by_others)
    cancelled_by_others = by_others.replace(error="Cancelled by user")
    assert cancelled_by_others.cancellation == Cancellation(T2, None, None)
    retried = CANCELLED.replace(stage="pending", error=None, retry_count=1, updated_at=T2)
    assert jobs.advance(retried, "load", now=T2).cancelled is None
    assert jobs.report(retried, done=1, now=T2).cancelled is None


def test_who_and_why_need_the_right_to_details() -> None:
    """A reason may be about people; that a job was cancelled may be seen by all."""
    for job in (CANCELLED, as_opaque(CANCELLED)):
        held = JobSet("e")
        held.put(job.replace(revision=1))
        assert json.loads(held.wire("a", details=True))["cancelled"] == CANCELLED.cancelled
        assert json.loads(held.wire("a", details=False))["cancelled"] == {"at": T1}
    opaque = JobSet("e", opaque=True)
    opaque.put(CANCELLED.replace(revision=1))
    for details in (True, False):
        shown = json.loads(opaque.wire("a", details=details))
        assert ("by" in shown["cancelled"]) is details
    assert json.loads(to_wire(CANCELLED.replace(run={"argv": ["x"]})))["cancelled"] == {"at": T1}


def test_plain_clients_mean_the_stages_of_the_files() -> None:
    """A page of the original program that shows failed jobs goes on showing cancelled ones."""
    plain = STAGE_FAILED.for_stages_on_disk
    assert plain.matches(CANCELLED)
    assert plain.matches(FAILED)
    other = Filter.make(stages=["load"])
    assert other.for_stages_on_disk == other


def test_cursors_of_before_stay_valid_where_the_filter_means_the_same() -> None:
    """Only ``failed`` means another set now, so only its cursors are reset."""
    assert Filter.make(stages=["pending"]).tag == "78c490"
    assert Filter.make(active=True).tag == "a7bd87"
    assert Filter.make(types=["a", "b"]).tag == "46d5d2"
    old_tag = "d36139"  # of jobctl 0.1.0
    held = JobSet("e")
    held.put(FAILED.replace(revision=1))
    held.put(CANCELLED.replace(id="b", revision=2))
    assert held.since(Cursor("e", 2, old_tag), STAGE_FAILED).since == 0
    assert held.since(Cursor("e", 2, STAGE_FAILED.tag), STAGE_FAILED).since == 2


def test_a_job_that_turns_out_cancelled_leaves_the_filter_on_failed() -> None:
    """Its stage in the file stays ``failed``."""
    held = JobSet("e")
    held.put(FAILED.replace(revision=1))
    held.put(FAILED.replace(error="Cancelled by user", revision=2))
    delta = held.since(Cursor("e", 1, STAGE_FAILED.tag), STAGE_FAILED)
    assert [item.id for item in delta.gone] == ["a"]
    held.put(FAILED.replace(error="another", revision=3))
    delta = held.since(Cursor("e", 2, STAGE_CANCELLED.tag), STAGE_CANCELLED)
    assert [item.id for item in delta.gone] == ["a"]


def test_a_reason_is_one_short_line() -> None:
    """It goes into the job's file, and onto terminals."""
    assert short_reason("a\n b\t\x1b[2Jc \udcff") == "a b c ?"
    assert short_reason("\x1b]8;;http://x\x07link\x1b]8;;\x07 \x9b31mred\x1b[0m") == "link red"
    assert short_reason("\x1b]0;title") == ""
    assert len(short_reason("x" * 9999)) == MAX_REASON


def test_who_asked_is_added_to_what_a_worker_of_before_recorded() -> None:
    """And to nothing else."""
    old = CANCELLED.replace(cancelled=None)
    again = jobs.explain_cancellation(old, by="anna", reason="no longer needed")
    assert again == CANCELLED
    assert jobs.explain_cancellation(CANCELLED, by="bob", reason=None) == CANCELLED
    assert jobs.explain_cancellation(FAILED, by="bob", reason=None) == FAILED
    assert jobs.explain_cancellation(PENDING, by="bob", reason=None) == PENDING
