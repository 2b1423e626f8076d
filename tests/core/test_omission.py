"""A job that is larger than a client's messages may be."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.core.codec import parse_wire, to_wire
from jobctl.core.job import Job
from jobctl.core.omission import shortened
from tests.strategies import stored_jobs

BASE = {
    "id": "a1", "type": "etl", "sessionId": None, "stage": "failed", "retryCount": 0,
    "createdAt": "2025-01-01T00:00:00.000Z", "updatedAt": "2025-01-01T00:00:00.000Z",
    "completedAt": None, "stageStartedAt": None, "error": None, "resultSessionId": None,
}  # fmt: skip


def wire_of(**fields: Any) -> bytes:
    """The wire form of a job with these keys."""
    return json.dumps({**BASE, **fields, "revision": 7}, separators=(",", ":")).encode()


def test_result_history_and_run_are_left_out_and_named():
    """All of them, and only those that the job has."""
    history = [{"stage": "pending", "at": BASE["createdAt"]}] * 100
    short = json.loads(shortened(wire_of(history=history, result={"a": 1}, title="t"), 4096))
    assert short == {**BASE, "title": "t", "revision": 7, "omitted": ["result", "history"]}


def test_other_keys_follow_the_largest_first():
    """Until the job fits."""
    wire = wire_of(title="t" * 500, message="m" * 3000, error="e" * 2000, foreign="f" * 1000)
    short = json.loads(shortened(wire, 2500))
    assert short["omitted"] == ["message", "error"]
    assert "message" not in short
    assert short["error"] is None
    assert (short["title"], short["foreign"]) == ("t" * 500, "f" * 1000)


def test_with_nulls_each_key_is_sent_as_null():
    """A store that merges would keep the value of an earlier version."""
    wire = wire_of(result=[1], history=None, foreign="f" * 1000)
    short = json.loads(shortened(wire, 500, nulls=True))
    assert short == {
        **BASE, "result": None, "history": None, "foreign": None, "revision": 7,
        "omitted": ["result", "foreign"],
    }  # fmt: skip


def test_what_stays_keeps_its_text():
    """Numbers too that Python would print in another way."""
    number = b"12345678901234567.89"
    wire = wire_of(result=1)[:-1] + b',"n":' + number + b',"\\u00e9\\"":"\\u2028"}'
    short = shortened(wire, 4096)
    assert b'"n":' + number in short
    assert 'é"' in json.loads(short)
    assert b'"\\u2028"' in short


@given(stored_jobs(), st.integers(600, 5000), st.booleans())
def test_any_job_fits_and_is_a_job(job: Job, max_bytes: int, nulls: bool) -> None:
    """What places it is as it was."""
    job = job.replace(result={"text": "r" * 6000}, error="e" * 3000, type="etl", stage="load")
    short = shortened(to_wire(job, details=True), max_bytes, nulls=nulls)
    assert len(short) <= max_bytes
    read = parse_wire(json.loads(short))
    for name in ("id", "type", "stage", "created_at", "updated_at", "retry_count", "revision"):
        assert getattr(read, name) == getattr(job, name)
    assert "result" in read.extra["omitted"]


def test_ten_thousand_small_keys_take_no_time():
    """Such a file is easily written. Most of its keys are not named."""
    wire = wire_of(
        **{f"key{number}": number + 10**9 for number in range(10_000)}, **{"k" * 9999: 1}
    )
    began = time.process_time()
    short = shortened(wire, 4096)
    assert time.process_time() - began < 1
    assert len(short) <= 4096
    assert json.loads(short)["omitted"][0] == "…"
    assert len(json.loads(short)["omitted"]) == 30


@pytest.mark.parametrize("nulls", [True, False])
def test_it_ends_where_nothing_is_left_to_omit(nulls):
    """A type of 10,000 characters stays."""
    wire = wire_of(type="t" * 10_000, result=1)
    assert json.loads(shortened(wire, 4096, nulls=nulls))["type"] == "t" * 10_000
