"""What ``client.js`` makes of a job's record is what Python makes of it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from jobctl.core.codec import parse, to_wire
from jobctl.core.fields import BY_ATTRIBUTE
from jobctl.core.job import Job
from jobctl.core.pipeline import BUILT_IN
from jobctl.core.times import to_ms
from jobctl.stores import open_store
from jobctl.stores.contract import read_all
from tests.core.test_projection import field_sets, held
from tests.original_writes import at
from tests.strategies import moved_jobs

HERE = Path(__file__).parent
BAD_JOBS = HERE.parent / "data" / "bad-jobs"
NOW_MS = to_ms(at(1800))

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="needs node")


class Judge:
    """A program of Node that judges one job after the other."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            ["node", HERE / "judge.mjs"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def ask(self, job: dict[str, Any]) -> Any:
        """What it makes of the job."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"job": job, "nowMs": NOW_MS}).encode() + b"\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    """One for all jobs: it takes a while to start."""
    made = Judge()
    yield made
    made.process.communicate(timeout=20)


def judged(job: Job) -> dict[str, Any]:
    """What Python makes of it."""
    said = job.cancellation
    return {
        "cancelled": job.is_cancelled,
        "cancellation": None if said is None else {"by": said.by, "reason": said.reason},
        "acknowledged": job.is_acknowledged,
        "recorded": job._is_recorded_attempt(),
        "moved": job.moved_by_others,
        "entered": job.entered_ms,
        "began": job.began_ms,
        "ended": NOW_MS if job.active else job.ended_ms(NOW_MS),
        "stalled": job.stalled(NOW_MS),
        "lastStage": job.last_stage,
        "program": None if job.program is None else [*job.program],
    }


def sent(job: Job) -> dict[str, Any]:
    """The job as a client holds it."""
    missing = [BY_ATTRIBUTE[name].key for name in job.reading.missing] if job.reading else []
    derived = {"active": job.active, "lost": False, "missing": missing}
    return json.loads(to_wire(job, details=True)) | {"derived": derived}


def assert_same(judge: Judge, job: Job) -> None:
    """Node and Python agree."""
    expected = judged(job)
    answer = judge.ask(sent(job))
    if job.type not in BUILT_IN:
        expected["stalled"] = answer["stalled"]  # by the limit of a built-in type
    assert answer == expected


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(job=moved_jobs())
def test_any_job_is_judged_as_in_python(judge: Judge, job: Job) -> None:
    """Whatever programs have moved and retried it, and whatever times they have left."""
    assert_same(judge, job)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(job=moved_jobs(), fields=field_sets)
def test_a_job_with_some_fields_is_judged_as_the_whole_one(
    judge: Judge, job: Job, fields: frozenset[str]
) -> None:
    """By the facts that the hub sends beside it."""
    replica = held(job)
    one = replica.sent(job.id, fields=fields, details=True)
    facts = json.loads(f"{{{one.facts}}}").get(job.id)
    derived = {"active": job.active, "lost": False, "facts": facts}
    answer = judge.ask(json.loads(one.wire) | {"derived": derived})
    expected = judged(job)
    if "cancelled" not in fields and expected["cancellation"] is not None:
        expected["cancellation"] = {"by": None, "reason": None}
    if job.type not in BUILT_IN:
        expected["stalled"] = answer["stalled"]
    assert answer == expected


def test_bad_jobs_are_judged_as_in_python(judge: Judge, tmp_path: Path) -> None:
    """Those that are jobs at all."""
    shutil.copytree(BAD_JOBS, tmp_path / "jobs")
    store = open_store(tmp_path / "jobs")
    jobs = read_all(store).jobs
    assert len(jobs) > 5
    for job in jobs:
        assert_same(judge, job)
    store.close()


@pytest.mark.parametrize("missing", ["createdAt", "updatedAt", "stageStartedAt"])
@pytest.mark.parametrize("stage", ["extract", "completed", "failed"])
def test_times_that_a_file_lacks(judge: Judge, stage: str, missing: str) -> None:
    """Those of the file itself stand for them, and say less."""
    value = {
        "id": "a", "type": "create_session", "stage": stage, "createdAt": at(1),
        "updatedAt": at(9), "stageStartedAt": at(5), "retryCount": 0,
    }  # fmt: skip
    del value[missing]
    assert_same(judge, parse(json.dumps(value).encode(), id="a", file_ms=to_ms(at(60))))
