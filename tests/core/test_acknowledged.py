"""A failed or lost job that somebody has taken note of."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jobctl.core import transitions as jobs
from jobctl.core.codec import encode, parse, parse_trusted, parse_wire, to_wire
from jobctl.core.job import Acknowledgement, Job
from jobctl.core.opaque import as_opaque
from jobctl.errors import IllegalTransition

T0, T1, T2, T3 = (f"2026-01-01T00:00:0{second}.000Z" for second in range(4))
PENDING = jobs.create("etl", now=T0, id="a")
RUNNING = jobs.advance(PENDING, "load", now=T1)
FAILED = jobs.fail(RUNNING, "disk full", now=T2)
KNOWN = jobs.acknowledge(FAILED, now=T3, by="anna", note="disk replaced")


def test_it_says_who_when_and_why() -> None:
    """Beside what the job is: no time, stage or error of it changes."""
    value = json.loads(encode(KNOWN))
    said = {"at": T3, "by": "anna", "note": "disk replaced", "attempt": 0}
    assert value.pop("acknowledged") == said
    assert value == json.loads(encode(FAILED))
    assert KNOWN.ended_ms() == FAILED.ended_ms()
    assert KNOWN.derived(0) == FAILED.derived(0)
    own = encode(KNOWN)
    for job in (
        KNOWN,
        parse(own, id="a"),
        parse_trusted(own, id="a"),
        parse_wire(json.loads(to_wire(KNOWN, details=True))),
        as_opaque(KNOWN),
    ):
        assert job.is_acknowledged
        assert job.acknowledgement == Acknowledgement(T3, "anna", "disk replaced")
    assert FAILED.acknowledgement is as_opaque(FAILED).acknowledgement is None


def test_the_newest_note_is_kept() -> None:
    """Without a new one, the one before stays."""
    again = jobs.acknowledge(KNOWN, now=T3, by="bob", note="ordered")
    assert again.acknowledgement == Acknowledgement(T3, "bob", "ordered")
    assert jobs.acknowledge(again, now=T3, by="eve").acknowledgement == (T3, "eve", "ordered")
    assert jobs.withdraw_acknowledgement(again) == FAILED
    assert jobs.withdraw_acknowledgement(FAILED) is FAILED


@pytest.mark.parametrize("job", [PENDING, RUNNING, jobs.complete(RUNNING, now=T2)])
def test_other_jobs_cannot_be_acknowledged(job: Job) -> None:
    """The error names the stage."""
    with pytest.raises(IllegalTransition, match=f"is '{job.stage}': cannot acknowledge") as raised:
        jobs.acknowledge(job, now=T3)
    assert "only failed and lost jobs" in str(raised.value)


def test_cancelled_job_is_no_failure() -> None:
    """It ended because somebody asked for it."""
    with pytest.raises(IllegalTransition, match="is 'cancelled'"):
        jobs.acknowledge(jobs.cancel(PENDING, now=T1), now=T3)


def test_lost_job_keeps_it_when_it_is_failed() -> None:
    """``reap`` fails it: who knows the one knows the other. If it goes on, that is over."""
    lost = jobs.acknowledge(RUNNING, now=T2, is_lost=True, by="anna")
    assert lost.is_acknowledged
    assert lost.stage == "load"
    assert jobs.fail(lost, "Lost: worker gone", now=T3).is_acknowledged
    for moved in (jobs.advance(lost, "store", now=T3), jobs.complete(lost, now=T3)):
        assert moved.acknowledged is None
        assert not moved.is_acknowledged


def test_another_attempt_is_not_acknowledged() -> None:
    """Whoever begins it: jobctl, or a program that does not know the key."""
    for again in (jobs.retry(KNOWN, now=T3), jobs.next_attempt(KNOWN, now=T3)):
        assert again.acknowledged is None
        assert b"acknowledged" not in encode(again)
    value = json.loads(encode(KNOWN)) | {"retryCount": 1, "error": "again"}
    for keys in (value, {key: item for key, item in value.items() if key != "history"}):
        others = parse(json.dumps(keys).encode(), id="a")
        assert others.stage == "failed"
        assert not others.is_acknowledged
        anew = jobs.acknowledge(others, now=T3, note="new")
        assert anew.is_acknowledged
        assert parse(encode(anew), id="a").is_acknowledged


def test_job_that_another_program_has_failed() -> None:
    """Its history lacks the failure, which is added; so the acknowledgement is of that."""
    value = json.loads(encode(RUNNING)) | {"stage": "failed", "error": "x", "updatedAt": T2}
    known = jobs.acknowledge(parse(json.dumps(value).encode(), id="a"), now=T3)
    assert known.is_acknowledged
    assert [entry.stage for entry in known.timeline()] == ["pending", "load", "failed"]


@pytest.mark.parametrize(
    ("said", "known"),
    [
        (True, True), ({}, True), ({"at": "now", "by": 3}, True),
        (False, False), (None, False), ("yes", False), ([], False), ({"attempt": 4}, False),
    ],
)  # fmt: skip
def test_any_value_of_another_program_is_read(said: Any, known: bool) -> None:
    """Without an error, and kept as it is."""
    text = f'{{"stage": "failed", "acknowledged": {json.dumps(said)}, "n": 1e400}}'.replace(
        "1e400", "0.10"
    )
    job = parse(text.encode(), id="a")
    assert job.is_acknowledged is known
    assert job.acknowledgement == (Acknowledgement() if known else None)
    assert b'"n": 0.10' in encode(jobs.acknowledge(job, now=T3))


def test_only_readers_with_details_see_who_and_why() -> None:
    """A note may be about people; that a job was acknowledged may be seen by all."""
    for job in (KNOWN, as_opaque(KNOWN)):
        shown = json.loads(to_wire(job, details=False))["acknowledged"]
        assert shown == {"at": T3, "attempt": 0}
        assert json.loads(to_wire(job, details=True))["acknowledged"] == KNOWN.acknowledged
    assert parse_wire(json.loads(to_wire(KNOWN))).acknowledgement == Acknowledgement(T3)
