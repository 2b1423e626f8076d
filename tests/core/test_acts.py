"""Acts: what is parsed, what is refused, and that a repeat changes nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.core import acts, transitions
from jobctl.core.acts import Asker, parse_act
from jobctl.core.codec import encode, parse, to_wire
from jobctl.core.cursor import Cursor
from jobctl.core.job import Job
from jobctl.core.opaque import as_opaque
from jobctl.errors import ActRefused, InvalidJob

T0, T1 = "2026-11-28T12:00:00.000Z", "2026-11-28T12:00:01.000Z"
OPS = Asker("ops", "web1/socket")


def act(verb: str, **more: Any) -> acts.Act:
    """A valid act of this verb, on attempt 0 of job ``a`` unless said otherwise."""
    said = {"req": "r1", "id": "a", **({} if verb == "create" else {"attempt": 0}), **more}
    return parse_act({key: given for key, given in said.items() if given is not None}, verb)


def new(**more: Any) -> Job:
    """A pending job ``a``."""
    return transitions.create("etl", now=T0, id="a", **more)


def as_read(job: Job) -> Job:
    """The job as it is read back from its file."""
    return parse(encode(job), id=job.id, revision=job.revision)


@pytest.mark.parametrize(
    ("verb", "value", "said"),
    [
        ("cancel", {"req": None}, "req"),
        ("cancel", {"req": "a b"}, "req"),
        ("cancel", {"req": "x" * 65}, "req"),
        ("cancel", {"req": 7}, "req"),
        ("cancel", {"id": "../etc"}, "not a job id"),
        ("cancel", {"id": None}, "id of a job"),
        ("cancel", {"id": 5}, "id of a job"),
        ("cancel", {"attempt": None}, "needs attempt"),
        ("cancel", {"attempt": "0"}, "whole number"),
        ("cancel", {"attempt": True}, "whole number"),
        ("cancel", {"attempt": -1}, "whole number"),
        ("cancel", {"revision": 1.5}, "whole number"),
        ("cancel", {"reason": 5}, "reason of cancel is a text"),
        ("cancel", {"reason": "x" * 8193}, "at most 8192"),
        ("cancel", {"force": True}, "no key 'force'"),
        ("retry", {"rerun": True}, "no key 'rerun'"),
        ("fail", {}, "needs error"),
        ("progress", {"done": True}, "done of progress is a number"),
        ("progress", {"done": float("nan")}, "done of progress is a number"),
        ("create", {}, "needs jobType"),
        ("create", {"jobType": "etl", "attempt": 0}, "leave them out"),
        ("create", {"jobType": "etl", "stages": "a,b"}, "a list of texts"),
        ("create", {"jobType": "etl", "labels": {"a": 1}}, "an object of texts"),
        ("create", {"jobType": "etl", "run": {"argv": ["sh"]}}, "never runs a command"),
        ("create", {"jobType": "etl", "argv": ["sh"]}, "never runs a command"),
        ("explode", {}, "no act 'explode'"),
    ],
)
def test_invalid_act_is_refused_by_name(verb: str, value: dict[str, Any], said: str) -> None:
    """What is wrong is said, and the code is ``invalid``."""
    with pytest.raises(ActRefused, match=said) as refused:
        act(verb, **value)
    assert refused.value.code == "invalid"


def test_acts_change_the_job_and_name_the_asker() -> None:
    """Each new history entry says who asked, and through which hub."""
    job = acts.create(act("create", jobType="etl", title="one"), OPS, now=T0)
    job = acts.change(act("advance", req="r2", stage="load"), job, OPS, now=T1)
    job = acts.change(act("progress", req="r3", done=5, total=10), as_read(job), OPS, now=T1)
    job = acts.change(act("fail", req="r4", error="no disk"), as_read(job), OPS, now=T1)
    job = as_read(job)
    assert job.history is not None
    assert [(entry.stage, entry.extra) for entry in job.history] == [
        (stage, {"by": "ops", "via": "web1/socket"}) for stage in ("pending", "load", "failed")
    ]
    assert acts.created_by(job) == "ops"
    assert [text.split(" ")[:2] for text in job.extra["acts"]] == [
        ["r1", "create"], ["r2", "advance"], ["r3", "progress"], ["r4", "fail"]
    ]  # fmt: skip


def test_entry_of_another_program_is_not_signed() -> None:
    """Progress after a foreign move adds the foreign entry, which the asker did not make."""
    job = as_read(new()).replace(stage="load", updated_at=T1, stage_started_at=T1)
    job = acts.change(act("progress", done=5), job, OPS, now=T1)
    assert job.history is not None
    assert [entry.extra for entry in job.history] == [None, None]


def test_attempt_of_a_retry_is_kept_beside_the_asker() -> None:
    """A history that needs the number of the attempt keeps it."""
    job = transitions.fail(new(), "no", now=T0).replace(retry_count=4)
    job = acts.change(act("retry", attempt=4), job, OPS, now=T1)
    assert job.history is not None
    assert job.history[-1].extra == {"attempt": 5, "by": "ops", "via": "web1/socket"}


def test_repeat_is_recognised_and_other_content_is_refused() -> None:
    """The same request id with the same content was done; with another content it is invalid."""
    job = as_read(acts.change(act("cancel", reason="no"), new(), OPS, now=T1))
    assert acts.was_done(job, act("cancel", reason="no"))
    assert not acts.was_done(job, act("cancel", req="r2", reason="no"))
    for other in (act("cancel", reason="yes"), act("retry"), act("cancel", attempt=1)):
        with pytest.raises(ActRefused, match="used for another act") as refused:
            acts.was_done(job, other)
        assert refused.value.code == "invalid"


def test_last_sixteen_requests_are_kept() -> None:
    """The oldest ones go first, and what others put under the key does no harm."""
    job = new().replace(extra={"acts": ["junk", 7, None, "r1 cancel"], "other": 1})
    for number in range(17):
        job = acts.change(act("progress", req=f"q{number}", done=number), job, OPS, now=T1)
    kept = as_read(job).extra["acts"]
    assert [text.split()[0] for text in kept] == [f"q{number}" for number in range(1, 17)]
    assert job.extra["other"] == 1
    for junk in ("text", {"a": 1}, 7, [["x"]]):
        assert not acts.was_done(new().replace(extra={"acts": junk}), act("cancel"))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"attempt": 1}, "is at attempt 1, not 2"),
        ({"revision": 6}, "is at revision 7, not 6"),
    ],
)
def test_act_for_another_state_is_a_conflict_with_the_job(given: dict[str, int], said: str) -> None:
    """A click never hits the next attempt, nor a job that has changed since."""
    job = new()
    with pytest.raises(ActRefused, match=said) as refused:
        acts.check(act("cancel", **given), job, 7)
    assert (refused.value.code, refused.value.job) == ("conflict", job)
    acts.check(act("cancel", revision=7), job, 7)


def test_stage_that_does_not_allow_the_act_is_a_conflict() -> None:
    """The job as it stands comes with the refusal."""
    job = new()
    with pytest.raises(ActRefused, match="retry") as refused:
        acts.change(act("retry"), job, OPS, now=T1)
    assert (refused.value.code, refused.value.job) == ("conflict", job)


def test_command_is_not_made_pending() -> None:
    """A hub never runs a command, so nobody would take the job up; the hint says what works."""
    run = {"argv": ["sh", "-c", "exit 1"], "cwd": "/"}
    job = transitions.fail(new(), "Exit code 1", now=T0).replace(run=run)
    assert job.command is not None
    with pytest.raises(ActRefused, match="jobctl retry --rerun a") as refused:
        acts.change(act("retry"), job, OPS, now=T1)
    assert refused.value.code == "unsupported"


def test_created_id_depends_on_asker_and_request() -> None:
    """A repeat without an id means the same job, somebody else's request another one."""
    value = {"req": "r1", "jobType": "etl"}
    one, again = parse_act(value, "create", "ops"), parse_act(value, "create", "ops")
    other, next_ = (
        parse_act(value, "create", "eve"),
        parse_act({**value, "req": "r2"}, "create", "ops"),
    )
    assert one.id == again.id
    assert len({one.id, other.id, next_.id}) == 3


def test_request_ids_are_on_no_wire_and_askers_only_with_details() -> None:
    """`to_wire` hides both, from the file's job and from a replica's."""
    job = as_read(acts.change(act("fail", error="no"), new(), OPS, now=T1))
    for kind in (job, as_opaque(job)):
        seen, all_of_it = (json.loads(to_wire(kind, details=details)) for details in (False, True))
        assert "acts" not in seen
        assert "acts" not in all_of_it
        assert [entry.keys() for entry in seen["history"]] == [{"stage", "at"}] * 2
        assert all_of_it["history"][1]["by"] == "ops"


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
_keys = st.sampled_from(
    ["attempt", "revision", "jobType", "stage", "done", "total", "message", "result", "error",
     "reason", "note", "undo", "labels", "stages", "title", "run"]
)  # fmt: skip
_values = st.sampled_from([0, 1, 0.5, "load", "pending", True, ["a"], {"a": "b"}, "\ud800"]) | _json


@given(
    st.sampled_from(sorted(acts.RIGHT_OF)), st.dictionaries(_keys, _values),
    st.sampled_from(["pending", "load", "failed", "completed"]),
)  # fmt: skip
def test_whatever_is_sent_is_done_or_refused(verb: str, value: dict[str, Any], stage: str) -> None:
    """Nothing else is raised, and a refusal can be sent."""
    job = new()
    if stage == "failed":
        job = transitions.fail(job, "no", now=T0)
    elif stage == "completed":
        job = transitions.complete(job, now=T0)
    elif stage == "load":
        job = transitions.advance(job, "load", now=T0)
    value = {"attempt": 0, **value} if verb != "create" else value
    try:
        parsed = parse_act({"req": "r1", "id": "a", **value}, verb)
        acts.check(parsed, job, 7)
        if verb == "create":
            encode(acts.create(parsed, OPS, now=T1))
        elif verb != "remove":
            encode(acts.change(parsed, job, OPS, now=T1))
    except (ActRefused, InvalidJob) as error:
        refused = error if isinstance(error, ActRefused) else ActRefused("invalid", str(error))
        json.loads(acts.refused_message("r1", refused))


def test_deep_result_is_refused() -> None:
    """Before anything recurses over it."""
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ActRefused, match="nested") as refused:
        act("complete", result=deep)
    assert refused.value.code == "invalid"
    while isinstance(deep, list):
        deep = deep.pop()


def test_answers_are_one_json_object() -> None:
    """With the full cursor, and the job as it stands beside a conflict."""
    said = json.loads(acts.done_message(act("cancel"), 7, Cursor("e-limited", 7, "abcdef")))
    assert said == {
        "type": "jobs:done", "req": "r1", "id": "a", "revision": 7, "cursor": "e-limited:7:abcdef",
    }  # fmt: skip
    refused = ActRefused("busy", "too much", hint="wait", retry_after_s=1.5)
    said = json.loads(acts.refused_message(None, refused, b'{"id":"a"}'))
    assert said == {
        "type": "jobs:refused", "req": None, "code": "busy", "message": "too much", "hint": "wait",
        "retryAfter": 1.5, "job": {"id": "a"},
    }  # fmt: skip
