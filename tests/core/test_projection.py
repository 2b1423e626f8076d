"""Jobs with some of their fields: what comes, and that they are judged as the whole jobs."""

from __future__ import annotations

import copy
import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.core.codec import encode, parse, parse_wire
from jobctl.core.cursor import ZERO
from jobctl.core.fields import FIELDS
from jobctl.core.filters import ALWAYS, EVERYTHING, MAX_FIELDS, Filter
from jobctl.core.job import Job
from jobctl.core.jobset import Delta, JobSet
from jobctl.core.projection import MAX_FACTS, RULES, PartialJob
from jobctl.core.protocol import delta_message, parse_from_hub
from jobctl.core.times import to_ms
from jobctl.core.transitions import advance, complete, fail, retry
from jobctl.errors import InvalidJob, UsageError
from jobctl.stores import open_store, read_all
from tests.original_writes import at, by_others, failed, retried
from tests.strategies import moved_jobs, stored_jobs

BAD_JOBS = Path(__file__).parents[1] / "data" / "bad-jobs"
OWNER = "4711-0123456789ab"
NOWS = [to_ms(at(1800)), to_ms("2026-01-01T02:00:00.000Z"), to_ms("2026-07-01T00:00:00.000Z")]
KEYS = [field.key for field in FIELDS]

field_sets = st.frozensets(
    st.sampled_from([*KEYS, "parent", "no such key"]), max_size=6
) | st.sampled_from([frozenset(KEYS) - {"history"}, frozenset(KEYS) - {"history", "updatedAt"}])
"""What a reader may ask for; often all but the history."""


def judged(job: Job) -> dict[str, Any]:
    """All that a reader may ask a job."""
    said: dict[str, Any] = {name: rule(job) for name, rule in RULES.items()}
    for now_ms in NOWS:
        said[f"at {now_ms}"] = (
            job.stalled(now_ms), job.ended_ms(now_ms), job.elapsed_ms(now_ms),
            job.total_ms(now_ms), job.lost({OWNER}), job.is_trouble(now_ms, {OWNER}),
        )  # fmt: skip
    said["more"] = (
        job.active, job.shown_stage, job.stalls_at_ms(), job.ended_ms(), job.latest_end_ms(),
        job.runs if job.run is not None else None, job.last_stage, job.retry_count,
        job.waits_for_worker,
    )  # fmt: skip
    return said


def held(*jobs: Job, opaque: bool = True) -> JobSet:
    """A replica as a hub has it."""
    made = JobSet("e1", opaque=opaque)
    made.apply(Delta("e1", 0, 9, tuple(job.replace(revision=7) for job in jobs)))
    return made


def received(
    replica: JobSet, id: str, fields: frozenset[str] | None, **options: Any
) -> tuple[Job, dict[str, Any]]:
    """The job as a reader with these fields gets it, and the keys that came."""
    sent = replica.sent(id, fields=fields, **options)
    texts = [sent.odd], [sent.facts]
    message = delta_message(Delta("e1", 0, 9), 0, [sent.wire], "", None, *texts)
    read = parse_from_hub(message, fields)
    assert isinstance(read, Delta)
    return read.jobs[0], json.loads(sent.wire)


def assert_same(job: Job, fields: frozenset[str], *, details: bool = True) -> None:
    """The job is judged as the whole one, and only the keys that were asked for came."""
    replica = held(job)
    whole, all_keys = received(replica, job.id, None, details=details)
    part, keys = received(replica, job.id, fields, details=details)
    assert keys == {key: all_keys[key] for key in all_keys if key in fields or key in ALWAYS}
    assert isinstance(part, PartialJob)
    assert part.fields == fields
    if "run" not in fields:
        assert part.run is None
    expected, found = judged(whole), judged(part)
    if whole.run is not None and "run" not in fields:
        expected["more"] = found["more"] = ()
    assert found == expected
    if "progress" in fields and "message" in fields:
        assert part.current_progress == whole.current_progress
        assert part.derived(NOWS[0], {OWNER}) == whole.derived(NOWS[0], {OWNER})
    for attribute in ("cancellation", "acknowledgement"):
        if {"cancelled", "acknowledged", "history"} <= fields:
            assert getattr(part, attribute) == getattr(whole, attribute)


@given(job=moved_jobs() | stored_jobs(), fields=field_sets, details=st.booleans())
def test_any_job_is_judged_as_the_whole_one(
    job: Job, fields: frozenset[str], details: bool
) -> None:
    """Whatever its history is, and whatever the reader asked for."""
    assert_same(job, fields - ALWAYS, details=details)


@given(job=moved_jobs() | stored_jobs(), fields=field_sets)
def test_a_job_that_is_cut_is_judged_as_the_whole_one(job: Job, fields: frozenset[str]) -> None:
    """The reader's limit for a message takes keys away that it asked for."""
    job = job.replace(result="x" * 4000, error=job.error and "boom" * 500)
    replica = held(job)
    fields = (fields | {"history", "result", "error", "title"}) - ALWAYS
    limit = 3000
    sent = replica.sent(job.id, fields=fields, details=True, max_bytes=limit)
    part, keys = received(replica, job.id, fields, details=True, max_bytes=limit)
    whole, _ = received(replica, job.id, None, details=True)
    assert "result" in keys["omitted"]
    assert sent.size <= limit + 2
    expected, found = judged(whole), judged(part)
    if whole.run is not None and part.run is None:
        expected["more"] = found["more"] = ()
    assert found == expected


@pytest.mark.parametrize("fields", [frozenset(), frozenset({"title"}), frozenset({"retryCount"})])
def test_bad_jobs(tmp_path: Path, fields: frozenset[str]) -> None:
    """Those that are jobs at all, with what is odd in their files."""
    shutil.copytree(BAD_JOBS, tmp_path / "jobs")
    store = open_store(tmp_path / "jobs")
    jobs = read_all(store).jobs
    store.close()
    assert len(jobs) > 5
    for job in jobs:
        assert_same(job, fields)


@pytest.mark.parametrize("missing", ["createdAt", "updatedAt", "stageStartedAt"])
@pytest.mark.parametrize("stage", ["extract", "completed", "failed"])
def test_times_that_a_file_lacks(stage: str, missing: str) -> None:
    """Those of the file itself stand for them, and say less."""
    value = {
        "id": "a", "type": "create_session", "stage": stage, "createdAt": at(1),
        "updatedAt": at(9), "stageStartedAt": at(5), "retryCount": 0,
    }  # fmt: skip
    del value[missing]
    job = parse(json.dumps(value).encode(), id="a", file_ms=to_ms(at(60)))
    for fields in (frozenset[str](), frozenset({"updatedAt"}), frozenset({"stageStartedAt"})):
        assert_same(job, fields)


def job_in_extract() -> Job:
    """A job that entered a stage of its own."""
    value = {
        "id": "a", "type": "create_session", "stage": "pending", "createdAt": at(0),
        "updatedAt": at(0), "title": "orders", "result": {"rows": 3}, "owner": OWNER,
    }  # fmt: skip
    return advance(parse_wire(value), "extract", now=at(5))


def test_an_ordinary_job_costs_no_facts() -> None:
    """Its keys tell all that there is."""
    fields = frozenset({"title", "stageStartedAt", "owner"})
    sent = held(job_in_extract()).sent("a", fields=fields)
    assert sent.facts == ""
    assert json.loads(sent.wire) == {
        "id": "a", "type": "create_session", "stage": "extract", "createdAt": at(0),
        "stageStartedAt": at(5), "title": "orders", "owner": OWNER, "revision": 7,
    }  # fmt: skip


def test_facts_say_what_the_history_tells() -> None:
    """That another program has retried the job, and what of an earlier attempt is still there."""
    job = fail(job_in_extract(), "Cancelled by user", now=at(20))
    told = held(by_others(job, retried(90))).sent("a", fields=frozenset({"error", "retryCount"}))
    assert json.loads(f"{{{told.facts}}}") == {
        "a": {
            "moved": True, "recorded": False, "enteredMs": to_ms(at(90)),
            "beganMs": to_ms(at(90)),
        }
    }  # fmt: skip
    told = held(by_others(job_in_extract(), failed(90))).sent("a", fields=frozenset())
    facts = json.loads(f"{{{told.facts}}}")["a"]
    assert (facts["lastStage"], facts["endsMs"]) == ("extract", [to_ms(at(90))])


@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize("attempts", [1, 2])
def test_a_reader_that_wants_no_history_alone(attempts: int, ends: bool) -> None:
    """As a table does: an attempt of its own begins later than the job."""
    job = job_in_extract()
    for attempt in range(1, attempts):
        job = retry(fail(job, "no", now=at(20 * attempt)), now=at(20 * attempt + 5))
        job = advance(job, "extract", now=at(20 * attempt + 9))
    if ends:
        job = complete(job, now=at(90))
    fields = frozenset(KEYS) - {"history"} - ALWAYS
    assert_same(job, fields)
    told = json.loads(f"{{{held(job).sent('a', fields=fields).facts}}}")
    began = {"beganMs": to_ms(at(25))} if attempts > 1 else {}
    last = {"lastStage": "extract"} if ends else {}
    assert told.get("a", {}) == began | last


def test_facts_are_short() -> None:
    """A stage of any length may be the last one."""
    entered = {"stage": "é" * 5000, "at": at(9)}
    ended = {"stage": "failed", "at": at(20)}
    job = by_others(job_in_extract(), {"history": [entered, ended]}, failed(20))
    told = held(job).sent("a", fields=frozenset())
    assert len(told.facts.encode()) < MAX_FACTS
    assert json.loads(f"{{{told.facts}}}")["a"].get("lastStage") is None


def test_a_reader_without_details_gets_none_by_naming_it() -> None:
    """What may not be seen is taken away before the fields are chosen."""
    run = {"argv": ["curl", "-H", "Authorization: hidden"], "cwd": "/hidden", "exitCode": 1}
    job = job_in_extract().replace(run=run, title="curl -H 'Authorization: hidden'", host="hidden")
    replica = held(job)
    fields = frozenset({"run", "title", "host"})
    for _ in range(2):  # also from what is kept
        assert b"hidden" in replica.sent("a", fields=fields, details=True).wire
        limited = replica.sent("a", fields=fields, details=False)
        assert b"hidden" not in limited.wire + limited.facts.encode()
        assert json.loads(limited.wire)["run"] == {"exitCode": 1}
        assert json.loads(limited.wire)["title"] == "curl"


def test_a_job_is_encoded_once_for_each_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """For all readers with the same fields and rights."""
    from jobctl.core import jobset, projection

    made: list[bytes] = []
    encode = projection.projected
    monkeypatch.setattr(
        projection, "projected", lambda *given: made.append(given[0]) or encode(*given)
    )
    replica, fields = held(job_in_extract()), frozenset({"title"})
    first = replica.sent("a", fields=fields)
    assert replica.sent("a", fields=frozenset(["title"])) == first
    assert len(made) == 1
    replica.put(advance(job_in_extract(), "analyze", now=at(9)).replace(revision=10))
    assert b'"analyze"' in replica.sent("a", fields=fields).wire
    assert len(made) == 2
    monkeypatch.setattr(jobset, "_MAX_PROJECTED", 10)
    assert replica.sent("a", fields=frozenset({"error"})) == replica.sent(
        "a", fields=frozenset({"error"})
    )
    assert len(replica._projections) == 1, "what is kept has a limit"


# -- what a reader holds ----------------------------------------------------------------------


def test_what_was_not_asked_for_is_empty() -> None:
    """``None``, or the value of a job that has none."""
    part, _ = received(held(job_in_extract()), "a", frozenset({"title"}))
    assert part.title == "orders"
    assert (part.updated_at, part.retry_count, part.extra) == ("", 0, {})
    empty = {field.attribute: getattr(part, field.attribute) for field in FIELDS}
    asked = {"id", "type", "stage", "created_at", "title", "updated_at", "retry_count"}
    assert {name for name, value in empty.items() if value is not None} == asked
    assert part.fields == {"title"}
    assert job_in_extract().fields is None


def test_a_partial_job_is_never_written() -> None:
    """Keys that did not come would be lost."""
    part, _ = received(held(job_in_extract()), "a", frozenset({"title"}))
    with pytest.raises(UsageError, match="some of its fields"):
        advance(part, "analyze", now=at(9))
    with pytest.raises(UsageError, match="some of its fields"):
        part.replace(title="x")
    with pytest.raises(InvalidJob, match="some fields only"):
        encode(part)


def test_a_partial_job_is_a_value() -> None:
    """It can be compared, hashed, copied and pickled."""
    job = by_others(job_in_extract(), failed(90))
    part, _ = received(held(job), "a", frozenset({"title"}))
    again = pickle.loads(pickle.dumps(part))
    assert again == part == copy.deepcopy(part)
    assert again.fields == part.fields
    assert hash(again) == hash(part)
    assert judged(again) == judged(part)
    other, _ = received(held(job), "a", frozenset({"title", "error"}))
    assert part != other
    assert part != job


# -- the filter -------------------------------------------------------------------------------


def test_a_cursor_belongs_to_the_fields() -> None:
    """One of other fields gets a reset, since other keys would be missing."""
    replica = held(job_in_extract())
    filters = [
        EVERYTHING, Filter.make(fields=[]), Filter.make(fields=["title"]),
        Filter.make(fields=["title", "error"]), Filter.make(types=["etl"]),
        Filter.make(types=["etl"], fields=["title"]),
    ]  # fmt: skip
    assert len({filter.tag for filter in filters}) == len(filters)
    for one in filters:
        cursor = replica.since(ZERO, one).cursor(one)
        for other in filters:
            assert replica.resumes(cursor, other) == (one == other)
    same = Filter.make(fields=["title", "id", "revision"])
    assert same.tag == Filter.make(fields=["title"]).tag, "those always come"


@pytest.mark.parametrize(
    "fields",
    ["title", 5, {"title": 1}, ["x"] * (MAX_FIELDS + 1), [""], ["x" * 65], ["a,b"], [5], [None]],
    ids=str,
)
def test_fields_that_are_none_are_refused(fields: Any) -> None:
    """By one sentence that says what they are."""
    from jobctl.core.filters import fields_of

    with pytest.raises(UsageError, match="fields") as raised:
        fields_of(fields)
    assert len(str(raised.value)) < 100, "as the reason of a close frame"
