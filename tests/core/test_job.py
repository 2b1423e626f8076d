"""Jobs: every move, legal and not, and what a job says of itself."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.core import transitions as jobs
from jobctl.core.codec import encode, parse
from jobctl.core.job import Command, HistoryEntry, Job, Steps, values_of
from jobctl.core.pipeline import BUILT_IN, BUILT_IN_ONLY, COMPLETED, FAILED, PENDING
from jobctl.core.times import duration_text, known_ms, parse_duration, to_ms, to_text
from jobctl.core.transitions import MAX_HISTORY, MAX_RESULT_BYTES
from jobctl.errors import IllegalTransition, InvalidId, InvalidJob
from tests import odd_times, strategies
from tests.conftest import Clock
from tests.odd_times import GO_ZERO

NOW_MS = to_ms("2026-11-23T12:00:00Z")
T0, T1, T2 = (f"2026-01-01T00:00:0{second}.000Z" for second in range(3))
WAY = ("pending", "extract", "analyze", "generate", "finalize", "completed")
MIDDLE = WAY[1:-1]


@dataclass
class Rows:
    """What a program may have for a result."""

    rows: int


class Colour(Enum):
    """The same."""

    RED = "red"


def at(stage: str, type: str = "create_session", **fields: object) -> Job:
    """A job in a stage, as a file might hold it."""
    made = jobs.create(type, now=T0, id="a1")
    return made.replace(stage=stage, updated_at=T0, **fields)


# -- every move from every stage --------------------------------------------------------------

MOVES: dict[str, Callable[[Job], Job]] = {
    "complete": lambda job: jobs.complete(job, now=T1),
    "fail": lambda job: jobs.fail(job, "no", now=T1),
    "retry": lambda job: jobs.retry(job, now=T1),
    "cancel": lambda job: jobs.cancel(job, now=T1),
    "report": lambda job: jobs.report(job, now=T1, done=50),
    "next": lambda job: jobs.advance(job, now=T1),
}
LEGAL = {
    "complete": {"pending", *MIDDLE},
    "fail": {"pending", *MIDDLE},
    "retry": {"failed"},
    "cancel": {"pending"},
    "report": {"pending", *MIDDLE},
    "next": {"pending", *MIDDLE},
}


@pytest.mark.parametrize("stage", [*WAY, "failed"])
@pytest.mark.parametrize("move", list(MOVES))
def test_each_move_is_legal_where_the_table_says(move: str, stage: str) -> None:
    """And elsewhere the error names the job, its stage, what was wanted, and what is possible."""
    job = at(stage)
    if stage in LEGAL[move]:
        assert MOVES[move](job) != job
        return
    with pytest.raises(IllegalTransition) as caught:
        MOVES[move](job)
    error = caught.value
    assert (error.id, error.stage, error.legal) == ("a1", stage, jobs.legal_moves(job))
    assert f"job a1 is {stage!r}: cannot" in str(error)
    possible = ", ".join(error.legal)
    assert str(error).endswith(
        f"possible: {possible}" if possible else "it does not change any more"
    )


@pytest.mark.parametrize("move", ["complete", "fail", "retry", "cancel"])
def test_a_job_that_ends_or_starts_afresh_has_no_owner(move: str) -> None:
    """The owner belongs to one attempt; a job that has ended is nobody's to lose."""
    stage = {"retry": "failed", "cancel": "pending"}.get(move, "extract")
    job = at(stage).replace(owner="1-" + "a" * 12)
    assert MOVES[move](job).owner is None


@pytest.mark.parametrize("there", WAY)
@pytest.mark.parametrize("here", [*WAY, "failed"])
def test_a_job_advances_forward_only(here: str, there: str) -> None:
    """Over any number of stages, never back, never out of an end; in place nothing happens."""
    job = at(here)
    if here == there != "completed":
        assert jobs.advance(job, there, now=T1) is job
    elif here not in ("completed", "failed") and WAY.index(there) > WAY.index(here):
        assert jobs.advance(job, there, now=T1).stage == there
    else:
        with pytest.raises(IllegalTransition):
            jobs.advance(job, there, now=T1)


@pytest.mark.parametrize("there", [*MIDDLE, "pending", "launching rockets"])
def test_force_goes_anywhere_but_out_of_an_end(there: str) -> None:
    """An operator may turn a job back; a finished one takes a retry."""
    assert jobs.advance(at("generate"), there, now=T1, force=True).stage == there
    for end in ("completed", "failed"):
        with pytest.raises(IllegalTransition):
            jobs.advance(at(end), there, now=T1, force=True)


@pytest.mark.parametrize("force", [False, True])
def test_nobody_advances_to_failed(force: bool) -> None:
    """A failure has a text: that is another move."""
    with pytest.raises(IllegalTransition):
        jobs.advance(at("extract"), "failed", now=T1, force=force)


def test_a_type_that_nobody_knows_goes_to_any_stage_by_name() -> None:
    """Forth and back, but not to no stage; to where it is nothing happens."""
    job = at("pending", "etl")
    for stage in ("load", "fetch", "load"):
        job = jobs.advance(job, stage, now=T1)
    with pytest.raises(IllegalTransition, match="name the next stage"):
        jobs.advance(job, now=T1)
    assert jobs.advance(job, "load", now=T1) is job
    with pytest.raises(IllegalTransition):
        jobs.advance(job, "pending", now=T1)


def test_a_job_follows_the_stages_that_it_brings() -> None:
    """In order; a stage that is not among them is illegal."""
    job = jobs.create("etl", now=T0, stages=["fetch", "clean"])
    with pytest.raises(IllegalTransition):
        jobs.advance(job, "load", now=T1)
    way = [job.stage]
    while job.active:
        job = jobs.advance(job, now=T1)
        way.append(job.stage)
    assert way == ["pending", "fetch", "clean", "completed"]


def test_a_foreign_stage_leads_back_to_the_pipeline() -> None:
    """A file may stand in a stage that its type does not have."""
    job = at("launching rockets")
    assert jobs.advance(job, "analyze", now=T1).stage == "analyze"
    with pytest.raises(IllegalTransition, match="name the next stage"):
        jobs.advance(job, now=T1)


@pytest.mark.parametrize("stage", [*WAY, "failed", "launching rockets"])
@pytest.mark.parametrize("type", ["create_session", "etl"])
def test_what_the_legal_moves_name_is_legal(stage: str, type: str) -> None:
    """Each of them, as the error lists them for a person."""
    job = at(stage, type)
    for move in jobs.legal_moves(job):
        if move.startswith("advance to "):
            name = move.removeprefix("advance to ")
            name = "anything" if name == "any other stage" else name
            assert jobs.advance(job, name, now=T1).stage == name
        else:
            MOVES[move](job)


# -- what a move leaves -----------------------------------------------------------------------


def test_a_new_job_is_pending() -> None:
    """With one time for all, and one line of history."""
    job = jobs.create("etl", now=T0, session_id="s", title="Nightly", stages=["a"])
    assert (job.type, job.session_id, job.title, job.stages) == ("etl", "s", "Nightly", ("a",))
    assert (job.stage, job.created_at, job.updated_at, job.stage_started_at) == (
        PENDING,
        T0,
        T0,
        T0,
    )
    assert job.history == (HistoryEntry(stage=PENDING, at=T0),)
    assert (job.retry_count, job.revision, job.active) == (0, 0, True)


def test_entering_a_stage_clears_what_was_said_of_the_last() -> None:
    """Progress and message belong to the stage."""
    job = jobs.report(at("extract"), now=T1, done=3, total=8, message="orders.csv")
    assert (job.progress, job.message) == (Steps(done=3, total=8), "orders.csv")
    job = jobs.advance(job, now=T2)
    assert (job.stage, job.progress, job.message) == ("analyze", None, None)
    assert (job.updated_at, job.stage_started_at) == (T2, T2)


def test_a_report_is_no_new_stage() -> None:
    """The stage's clock runs on; what is not said stays as it is."""
    job = jobs.report(at("extract", stage_started_at=T0), now=T1, message="orders.csv")
    job = jobs.report(job, now=T2, done=50)
    assert (job.progress, job.message) == (50, "orders.csv")
    assert (job.updated_at, job.stage_started_at) == (T2, T0)


@pytest.mark.parametrize(
    ("done", "total"),
    [(-1, None), (101, None), (float("nan"), None), (1, 0), (1, -1), (-1, 8), (1, float("inf"))],
)
def test_nonsense_is_no_progress(done: float, total: float | None) -> None:
    """Neither below nothing, nor over a hundred percent, nor of nothing."""
    with pytest.raises(InvalidJob):
        jobs.report(at("extract"), now=T1, done=done, total=total)


def test_a_completed_job_holds_its_result() -> None:
    """And the time of its end."""
    job = jobs.complete(at("finalize"), now=T1, result={"rows": (1, 2)}, result_session_id="r")
    assert (job.stage, job.completed_at, job.result_session_id) == (COMPLETED, T1, "r")
    assert job.result == {"rows": [1, 2]}


def test_a_failed_job_has_no_time_of_completion() -> None:
    """As in the data of the original program."""
    job = jobs.fail(at("extract"), "no such table", now=T1)
    assert (job.stage, job.error, job.completed_at) == (FAILED, "no such table", None)


def test_a_retried_job_starts_afresh() -> None:
    """One retry more; nothing left of the failure but the history."""
    failed = jobs.fail(at("extract", retry_count=2), "no such table", now=T1)
    job = jobs.retry(failed, now=T2)
    assert (job.stage, job.error, job.retry_count, job.completed_at) == (PENDING, None, 3, None)
    assert job.created_at == T0
    assert [line.stage for line in job.timeline()][-2:] == [FAILED, PENDING]


def test_a_cancelled_job_says_who_did_it() -> None:
    """In the words of the original program."""
    job = jobs.cancel(at("pending"), now=T1)
    assert (job.stage, job.error) == (FAILED, "Cancelled by user")


@pytest.mark.parametrize("result", [float("nan"), "\ud800", b"\xff", object()])
def test_a_result_that_is_not_json_is_refused(result: object) -> None:
    """Named as such, whatever the serializer raised."""
    with pytest.raises(InvalidJob, match="result"):
        jobs.complete(at("extract"), now=T1, result=result)


def test_a_result_is_bounded() -> None:
    """To the byte."""
    fits = "x" * (MAX_RESULT_BYTES - 2)
    assert jobs.complete(at("extract"), now=T1, result=fits).result == fits
    with pytest.raises(InvalidJob, match="65537 bytes"):
        jobs.complete(at("extract"), now=T1, result=fits + "x")


def test_the_history_is_bounded() -> None:
    """The first line and the newest ones are kept, also of a foreign history that is too long."""
    job = at("s499", "etl", history=tuple(HistoryEntry(stage=f"s{n}", at=T0) for n in range(500)))
    for number in range(5):
        job = jobs.advance(job, f"t{number}", now=T1)
    assert job.history is not None
    assert len(job.history) == MAX_HISTORY
    assert [job.history[0].stage, job.history[1].stage] == ["s0", "s442"]
    assert [line.stage for line in job.history[-5:]] == [f"t{number}" for number in range(5)]


def test_a_file_without_history_still_has_a_timeline() -> None:
    """As far as its times tell; and the next move keeps that much."""
    job = at("analyze", history=None, stage_started_at=T1)
    told = (HistoryEntry(stage=PENDING, at=T0), HistoryEntry(stage="analyze", at=T1))
    assert job.timeline() == told
    assert jobs.advance(job, now=T2).timeline() == (*told, HistoryEntry(stage="generate", at=T2))
    assert at("pending", history=None).timeline() == told[:1]


@pytest.mark.slow
@given(strategies.stored_jobs(), strategies.schedules)
def test_foreign_keys_survive_every_move(job: Job, schedule: list[strategies.Move]) -> None:
    """Whatever other programs keep in the file stays, with its value."""
    foreign = dict(job.extra)
    for move in schedule:
        try:
            job = move(job)
        except (IllegalTransition, InvalidJob):
            continue
        assert job.extra == foreign


@pytest.mark.slow
@given(strategies.new_jobs(), strategies.schedules)
def test_no_schedule_breaks_a_job(job: Job, schedule: list[strategies.Move]) -> None:
    """I7: an end is left by a retry alone; each value can be written; the history stays bounded."""
    for move in schedule:
        try:
            after = move(job)
        except (IllegalTransition, InvalidJob):
            continue
        encode(after)
        assert len(after.timeline()) <= MAX_HISTORY
        assert after.timeline()[-1].stage == after.stage
        if not job.active:
            assert (job.stage, after.stage) == (FAILED, PENDING)
            assert after.retry_count == job.retry_count + 1
        assert (after.id, after.type, after.created_at) == (job.id, job.type, job.created_at)
        job = after


# -- the value ---------------------------------------------------------------------------------

NO_TIME = "not an ISO 8601 time with a zone"
VALUES = {"id": "a1", "type": "etl", "stage": "pending", "createdAt": T0, "updatedAt": T0}


def test_a_job_does_not_change() -> None:
    """Nothing can be set or deleted, and no attribute be added."""
    job = at("extract")
    for name in ("stage", "revision", "source", "nonsense"):
        with pytest.raises(AttributeError):
            setattr(job, name, "x")
    with pytest.raises(AttributeError):
        del job.stage
    with pytest.raises(AttributeError):
        _ = job.nonsense  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        job.replace(nonsense=1)
    assert job == at("extract")


def test_jobs_of_equal_values_are_equal() -> None:
    """With one hash, wherever they come from; another revision makes another job."""
    job = jobs.create("etl", now=T0, id="a1", stages=["x"])
    read = parse(encode(job), id="a1")
    assert read == job
    assert hash(read) == hash(job)
    assert len({read, job, job.replace(revision=1)}) == 2
    assert job != job.replace(message="m")
    assert job != "a1"


@given(strategies.stored_jobs())
def test_a_job_survives_copies_and_pickles(job: Job) -> None:
    """For whoever sends it to another process."""
    read = parse(encode(job), id=job.id, revision=7)
    for same in (copy.copy(read), copy.deepcopy(read), pickle.loads(pickle.dumps(read))):
        assert same == read
    assert repr(read).startswith(f"Job(id={job.id!r}, type={job.type!r}, ")


def test_a_job_is_made_of_keywords() -> None:
    """Named as in the file, or as the attributes; what else there is, is foreign."""
    job = Job(**VALUES, retryCount=2, progress={"done": 1, "total": 2}, x=[1])
    assert (job.created_at, job.retry_count, job.progress) == (T0, 2, Steps(1, 2))
    assert job.extra == {"x": [1]}
    assert Job(id="a1", type="etl", stage="pending", created_at=T0, updated_at=T0) == Job(**VALUES)


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"stage": ""}, "stage: empty"),
        ({"type": 1}, "type: not a text"),
        ({"createdAt": "yesterday"}, f"createdAt: {NO_TIME}"),
        ({"completedAt": "0000-01-01T00:00:00Z"}, f"completedAt: {NO_TIME}"),
        ({"retryCount": None}, "retryCount: not a whole number"),
        ({"retryCount": -1}, "retryCount: not from 0 to 9007199254740991"),
        ({"retryCount": 2.5}, "retryCount: not a whole number"),
        ({"progress": 101}, "progress: not from 0 to 100"),
        ({"progress": []}, "progress: not a number"),
        ({"progress": {"done": 1}}, "progress.total: Field required"),
        ({"progress": {"done": 1, "total": 0}}, "progress.total: not above 0"),
        ({"progress": {"done": -1, "total": 1}}, "progress.done: below 0"),
        ({"stages": "ab"}, "stages: not a list"),
        ({"stages": ["a", 1]}, "stages.1: not a text"),
        ({"history": [{"stage": "a"}]}, "history.0.at: Field required"),
        ({"history": [{"stage": "a", "at": "x"}]}, f"history.0.at: {NO_TIME}"),
    ],
)  # fmt: skip
def test_a_job_of_unfit_values_is_refused(values: dict[str, object], why: str) -> None:
    """In our own error, which names the key."""
    with pytest.raises(InvalidJob) as caught:
        Job(**VALUES | {**values})
    assert caught.value.reason == why
    assert caught.value.id == "a1"


def test_a_job_without_what_it_needs_is_refused() -> None:
    """Each of the five keys."""
    for key in VALUES:
        with pytest.raises(InvalidJob, match=f"{key}: Field required"):
            Job(**{name: value for name, value in VALUES.items() if name != key})


@pytest.mark.parametrize(
    ("result", "kept"),
    [
        ({1: (2, 3)}, {"1": [2, 3]}),
        ({"at": datetime(2026, 1, 1, tzinfo=UTC)}, {"at": "2026-01-01T00:00:00Z"}),
        ([Path("/x"), Decimal("1.50"), b"x", {7}], ["/x", "1.50", "x", [7]]),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Rows(3), {"rows": 3}),
        (Colour.RED, "red"),
    ],
)
def test_a_result_is_kept_as_json(result: object, kept: object) -> None:
    """What Python programs have at hand becomes what JSON has for it."""
    assert jobs.complete(at("extract"), now=T1, result=result).result == kept


def test_what_run_ran_is_read_back() -> None:
    """And what is not that is somebody else's key."""
    ran = Command(argv=("a", "b"), cwd="/", env={"X": "1"}, exit_code=3, stderr=("no",))
    assert ran.to_value() == {
        "argv": ["a", "b"], "cwd": "/", "env": {"X": "1"}, "exitCode": 3, "stderr": ["no"],
    }  # fmt: skip
    assert at("extract", run=ran.to_value()).command == ran
    for other in (None, 1, {}, {"argv": [], "cwd": "/"}, {"argv": ["a"]}, {"argv": ["a"], "cwd": 1},
                  {"argv": ["a"], "cwd": "/", "env": {"a": 1}}):  # fmt: skip
        assert at("extract", run=other).command is None


# -- ids and other names (FAULTS row 55) ------------------------------------------------------


@pytest.mark.parametrize(
    "id",
    [
        "",
        "../x",
        "a/b",
        "a\\b",
        "a\x00b",
        "-rf",
        ".hidden",
        "..",
        "x" * 65,
        "x" * 300,
        "a b",
        "a\n",
        "é",
        "e\u0301",
        "K\u212a",
        "*",
        "a:b",
        "\ud800",
        "٣",
    ],
)
def test_an_id_that_is_no_safe_file_name_is_refused(id: str) -> None:
    """FAULTS row 55: traversal, NUL, length, options, hidden files, letters with twins."""
    with pytest.raises(InvalidId) as caught:
        jobs.create("etl", now=T0, id=id)
    assert caught.value.exit_code == 2
    assert str(caught.value).isprintable()
    assert str(caught.value).isascii()
    assert len(str(caught.value)) < 300


@given(strategies.ids)
def test_an_id_within_the_allowlist_is_taken(id: str) -> None:
    """As it stands."""
    assert jobs.create("etl", now=T0, id=id).id == id


def test_new_ids_differ_and_are_ids() -> None:
    """A thousand of them."""
    ids = {jobs.check_id(jobs.new_id()) for _ in range(1000)}
    assert len(ids) == 1000


@pytest.mark.parametrize("type", ["", "x" * 65, "a\nb", "\x1b[2J", "\ud800"])
def test_a_type_is_printable(type: str) -> None:
    """It stands in tables and in metrics."""
    with pytest.raises(InvalidJob, match="is not a type"):
        jobs.create(type, now=T0)


@pytest.mark.parametrize(
    "stages",
    [
        ["a,b"],
        [""],
        [" a"],
        ["a\n"],
        ["x" * 65],
        ["a", "a"],
        ["pending"],
        ["completed"],
        ["failed"],
    ],
)
def test_stages_that_cannot_be_told_apart_are_refused(stages: list[str]) -> None:
    """Each has a name of its own that fits into ``--stages a,b,c``."""
    with pytest.raises(InvalidJob):
        jobs.create("etl", now=T0, stages=stages)


def test_a_job_brings_no_more_stages_than_its_history_holds() -> None:
    """Pending and an end fit in as well."""
    most = [f"s{number}" for number in range(MAX_HISTORY - 3)]
    job = jobs.create("etl", now=T0, stages=most)
    while job.active:
        job = jobs.advance(job, now=T1)
    assert [line.stage for line in job.timeline()] == ["pending", *most, "completed"]
    with pytest.raises(InvalidJob, match="stages"):
        jobs.create("etl", now=T0, stages=[*most, "more"])


@pytest.mark.parametrize("stage", ["", "a,b", "a\nb", "x" * 65])
def test_a_free_stage_has_a_name(stage: str) -> None:
    """An empty one asks for the next stage, which a free job has not."""
    with pytest.raises((InvalidJob, IllegalTransition)):
        jobs.advance(at("pending", "etl"), stage, now=T1)


# -- what a job says of itself ----------------------------------------------------------------


def test_a_job_stalls_after_a_minute_in_its_stage(clock: Clock) -> None:
    """Built-in types only, active jobs only, later than sixty seconds only."""
    job = jobs.create("create_session", now=clock.now())
    job = jobs.advance(job, now=clock.now())
    clock.advance(60)
    assert not job.stalled(clock.now_ms())
    assert not jobs.create("etl", now=T0).stalled(clock.now_ms() + 10**9)
    clock.advance(0.001)
    assert job.stalled(clock.now_ms())
    assert not jobs.advance(job, now=clock.now()).stalled(clock.now_ms())
    assert not jobs.fail(job, "no", now=clock.now()).stalled(clock.now_ms() + 10**9)


def test_a_job_runs_from_its_creation_to_its_end(clock: Clock) -> None:
    """A failed one ends with its last change; a clock that jumps back makes no negative time."""
    job = jobs.create("etl", now=clock.now())
    clock.advance(2)
    assert job.elapsed_ms(clock.now_ms()) == 2000
    done, failed = jobs.complete(job, now=clock.now()), jobs.fail(job, "no", now=clock.now())
    clock.advance(-3600)
    assert done.elapsed_ms(clock.now_ms()) == failed.elapsed_ms(clock.now_ms()) == 2000
    assert job.elapsed_ms(clock.now_ms()) == 0
    assert done.derived(clock.now_ms()) == {
        "active": False,
        "cancelled": False,
        "stalled": False,
        "lost": False,
        "elapsedMs": 2000,
    }


@pytest.mark.parametrize("id", list(odd_times.cases(NOW_MS)))
def test_odd_times_make_no_odd_end(id: str) -> None:
    """FAULTS rows 14 and 68: neither a time that stands for none, nor one that cannot be."""
    keys, ended_ms, elapsed_ms = odd_times.cases(NOW_MS)[id]
    job = Job(**keys)
    assert job.ended_ms() == ended_ms
    assert job.ended_ms(NOW_MS) == ended_ms
    assert job.elapsed_ms(NOW_MS) == elapsed_ms
    assert job.derived(NOW_MS)["elapsedMs"] == elapsed_ms


def test_an_end_in_the_future_makes_no_long_duration() -> None:
    """FAULTS row 14: `prune` leaves the job until then, but nothing took that long."""
    keys = odd_times.cases(NOW_MS)["usual"].keys
    job = Job(**keys | {"completedAt": "2126-01-01T00:00:00Z"})
    assert job.ended_ms() == to_ms("2126-01-01T00:00:00Z")
    assert job.elapsed_ms(NOW_MS) == 59_000
    late = Job(**keys | {"updatedAt": "2126-01-01T00:00:00Z", "completedAt": None})
    assert late.elapsed_ms(NOW_MS) == 60_000


def test_a_job_of_the_future_has_its_own_duration() -> None:
    """FAULTS row 14: a clock that was put back by a day, after the job had ended."""
    keys = odd_times.cases(NOW_MS)["usual"].keys
    assert Job(**keys).elapsed_ms(NOW_MS - 86_400_000) == 59_000


def test_a_job_that_goes_on_has_no_end() -> None:
    """Whatever its file says."""
    keys = odd_times.cases(NOW_MS)["usual"].keys
    job = Job(**keys | {"stage": "extract"})
    assert job.ended_ms() is None
    assert job.elapsed_ms(NOW_MS) == 60_000
    assert Job(**values_of(job) | {"createdAt": GO_ZERO}).elapsed_ms(NOW_MS) is None


@pytest.mark.parametrize(
    ("times", "stalled"),
    [
        ({}, False),
        ({"stageStartedAt": GO_ZERO}, False),
        ({"stageStartedAt": "1970-01-01T00:00:00Z"}, False),
        ({"stageStartedAt": to_text(NOW_MS - 600_000)}, False),  # before it was created
        ({"stageStartedAt": to_text(NOW_MS - 599_000), "createdAt": to_text(0)}, True),
        ({"stageStartedAt": GO_ZERO, "updatedAt": to_text(NOW_MS - 61_000),
          "createdAt": GO_ZERO}, True),
        ({"stageStartedAt": GO_ZERO, "updatedAt": GO_ZERO, "createdAt": GO_ZERO}, False),
    ],
)  # fmt: skip
def test_odd_times_stall_nobody(times: dict[str, str], stalled: bool) -> None:
    """FAULTS row 68: a job is in its stage since a time that can be, or nobody knows."""
    keys = odd_times.cases(NOW_MS)["usual"].keys
    job = Job(**keys | {"type": "create_session", "stage": "extract", **times})
    assert job.stalled(NOW_MS) is stalled


def test_history_takes_no_odd_time() -> None:
    """FAULTS row 68: when a foreign writer left the zero time, the stage was entered at the last
    change of the file."""
    keys = odd_times.cases(NOW_MS)["usual"].keys
    job = Job(**keys | {"stage": "extract", "stageStartedAt": GO_ZERO})
    moved = jobs.advance(job, "load", now=to_text(NOW_MS))
    assert [entry.at for entry in moved.timeline()] == [
        keys["createdAt"],
        keys["updatedAt"],
        to_text(NOW_MS),
    ]


@pytest.mark.slow
@given(strategies.stored_jobs(), st.integers(0, 4_102_444_800_000))
def test_any_file_can_be_shown(job: Job, now_ms: int) -> None:
    """Everything derived has a value in its range, whatever stands in the file."""
    assert 0 <= job.fraction <= 1
    assert job.percent is None or 0 <= job.percent <= 100
    elapsed_ms, ended_ms = job.elapsed_ms(now_ms), job.ended_ms()
    assert elapsed_ms is None or 0 <= elapsed_ms
    created_ms = known_ms(job.created_at)
    assert ended_ms is None or created_ms is None or created_ms <= ended_ms
    assert job.stalled(now_ms) in (True, False)
    assert job.timeline()
    assert job.type in BUILT_IN or job.pipeline.eta_ms is None


def test_a_stage_that_a_foreign_writer_entered_joins_the_timeline(clock: Clock) -> None:
    """It changed ``stage`` and left ``history`` as it was."""
    job = jobs.create("create_session", now=clock.now())
    foreign = job.replace(stage="analyze", stage_started_at=clock.now())
    assert [entry.stage for entry in foreign.timeline()] == ["pending", "analyze"]
    moved = jobs.advance(foreign, now=clock.now())
    assert [entry.stage for entry in moved.timeline()] == ["pending", "analyze", "generate"]


def test_all_stages_are_done_before_the_exit_status_is_known() -> None:
    """In the last stage, at 100 %; a job without stages of its own stays where it is."""
    job = jobs.create("etl", now=T0, stages=["fetch", "load"])
    done = jobs.finish_stages(job, now=T1, result=7, result_session_id="s")
    assert (done.stage, done.progress, done.active) == ("load", 100, True)
    assert (done.result, done.result_session_id) == (7, "s")
    again = jobs.finish_stages(done, now=T1)
    assert (again.stage, again.result, len(again.timeline())) == ("load", 7, 2)
    free = jobs.advance(jobs.create("etl", now=T0), "run", now=T0)
    assert free.percent_of(BUILT_IN_ONLY) is None
    done = jobs.finish_stages(free, now=T1)
    assert (done.stage, done.percent_of(BUILT_IN_ONLY)) == ("run", 100)
    half = jobs.report(free, now=T1, done=3, total=8)
    assert half.percent_of(BUILT_IN_ONLY) == 37
    ended = jobs.complete(done, now=T1)
    with pytest.raises(IllegalTransition):
        jobs.finish_stages(ended, now=T1)
    failed = jobs.overrule(ended, "Exit code 3", now=T1)
    assert (failed.stage, failed.error, failed.completed_at) == ("failed", "Exit code 3", None)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(7200, "2h"), (5400, "1h30m"), (90, "1m30s"), (0.5, "0.5s"), (0, "0s"), (604_801, "1w1s")],
)
def test_durations_are_written_as_they_are_read(seconds: float, text: str) -> None:
    """In the largest units."""
    assert duration_text(seconds) == text
    assert parse_duration(text) == seconds
