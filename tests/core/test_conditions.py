"""Waiting for jobs, sans-I/O: thousands of schedules against a simple oracle."""

from __future__ import annotations

import random
from collections import Counter
from itertools import count

import pytest

from jobctl.core import transitions as jobs
from jobctl.core.conditions import LOST, Condition, ConditionTracker, Outcome, Verdict, code_of
from jobctl.core.cursor import ZERO, Cursor
from jobctl.core.filters import EVERYTHING, Filter
from jobctl.core.job import Job
from jobctl.core.jobset import Delta, JobSet
from jobctl.core.times import to_text
from jobctl.errors import IllegalTransition, UsageError

IDS = ("a1", "a2", "b1", "b2")
CONDITIONS = ("terminal", "completed", "gone", "stage=analyze", "stage=no-such", "stage=failed")
BLOCKS, IN_A_BLOCK = 20, 150

Known = dict[str, Job]
Point = tuple[Known, frozenset[str]]
"""What the reader knows, and whose workers are lost, each time there was news."""


class World:
    """A store, one reader of it, and all that the reader has come to know."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.truth = JobSet("e0")
        self._moments = count(1_767_225_600_000, 1000)
        self._epochs = count(1)

    def put(self, job: Job) -> None:
        self.truth.put(job.replace(revision=self.truth.revision + 1))

    def step(self) -> None:
        """One of the things that happen to jobs."""
        id, draw = self.chance.choice(IDS), self.chance.random()
        job, now = self.truth.get(id), to_text(next(self._moments))
        if draw < 0.03:
            self.restore()
        elif job is None:
            kind = self.chance.choice(["create_session", "etl"])
            self.put(jobs.create(kind, now=now, id=id))
        elif draw < 0.12:
            self.truth.delete(id, self.truth.revision + 1)
        else:
            try:
                self.put(self._moved(job, draw, now))
            except IllegalTransition:
                pass

    def _moved(self, job: Job, draw: float, now: str) -> Job:
        if not job.active:
            return jobs.retry(job, now=now)
        if draw < 0.4:
            return jobs.complete(job, now=now)
        if draw < 0.6:
            return jobs.fail(job, "boom" if draw < 0.5 else "", now=now)
        if draw < 0.65:
            return jobs.cancel(job, now=now, at_work=True)
        if draw < 0.7:
            return jobs.report(job, now=now, done=draw * 100)
        if draw < 0.85 or job.type == "etl":
            return jobs.advance(job, self.chance.choice(["analyze", "generate"]), now=now)
        return jobs.advance(job, now=now)

    def restore(self) -> None:
        """The directory comes back from a copy: the same jobs, another epoch."""
        kept, self.truth = list(self.truth), JobSet(f"e{next(self._epochs)}")
        for job in kept:
            self.put(job)


class Reader:
    """Pages through the world as a client does, and feeds a waiter."""

    def __init__(self, world: World, tracker: ConditionTracker, filter: Filter) -> None:
        self.world, self.tracker, self.filter = world, tracker, filter
        self.cursor, self.snapshot_start = ZERO, 0
        self.known: Known = {}
        self.lost: dict[str, Job] = {}
        self.points: list[Point] = []
        self.said: list[Verdict] = []
        self._dead: set[str] = set()
        self._whole = False

    def read(self) -> bool:
        """The next page; whether there is more."""
        limit = self.world.chance.choice([None, 300, 600])
        delta = self.world.truth.since(
            self.cursor, self.filter, limit=limit, snapshot_start=self.snapshot_start
        )
        self.cursor, self.snapshot_start = delta.cursor(self.filter), delta.snapshot_start
        if delta.since == 0:
            self.known, self._whole = {}, False
        self.known |= {job.id: job for job in delta.jobs}
        for item in delta.gone:
            self.known.pop(item.id, None)
        self._whole = self._whole or not delta.more
        if self._whole:
            self._mark_lost()
            for id, job in list(self.lost.items()):
                if id not in self.known or self.known[id].updated_at != job.updated_at:
                    del self.lost[id]
            self.points.append((dict(self.known), frozenset(self.lost)))
        self.said += self.tracker.take(delta)
        return delta.more

    def catch_up(self) -> None:
        while self.read():
            pass

    def mark_lost(self, ids: list[str]) -> None:
        self._dead |= set(ids)
        self.said += self.tracker.mark_lost(ids)
        if self._whole:
            self._mark_lost()
            self.points.append((dict(self.known), frozenset(self.lost)))

    def _mark_lost(self) -> None:
        self.lost |= {id: self.known[id] for id in self._dead if id in self.known}
        self._dead.clear()


def expected(condition: str, ids: tuple[str, ...], any: bool, points: list[Point]) -> int | None:
    """The oracle: the code that is due after all this news, ``None`` while it is undecided."""
    ends: dict[str, str] = {}  # how each job stood when it was last not waiting
    for known, lost in points:
        before = dict(ends)
        for id in ids:
            ends[id] = _stands(condition, known.get(id), id in lost, ends.get(id, "waiting"))
        kinds = [ends[id] for id in ids]
        done = "waiting" not in kinds
        codes = {"vanished": 4, "failed": 3, "cancelled": 6, "missed": 1}
        worst = next((code for kind, code in codes.items() if kind in kinds), 0)
        if any and condition == "terminal":
            ended = ("met", "failed", "cancelled")
            new = [id for id in ids if ends[id] in ended and before.get(id) != ends[id]]
            if new:
                dead = [id for id in new if id in lost and known[id].active]
                first = min(set(new) - set(dead) or dead, key=lambda id: known[id].revision)
                return codes.get(ends[first], 0)
            if done:
                return 4
        elif any:
            if "met" in kinds:
                return 0
            if done:
                return worst
        elif done or "vanished" in kinds or (worst and condition != "terminal"):
            return worst
    return None


def _stands(condition: str, job: Job | None, lost: bool, before: str) -> str:
    if condition == "gone":
        return "met" if job is None else "waiting"
    if condition.startswith("stage=") and before == "met":
        return "met"
    if job is None:
        return before if before != "waiting" else "vanished"
    stage = "cancelled" if job.error == "Cancelled by user" else job.stage
    if condition.startswith("stage="):
        order = ["pending", "extract", "analyze", "generate", "finalize", "completed"]
        wanted = condition.removeprefix("stage=")
        been = [entry.stage for entry in job.history or ()]
        again = [index for index, stage in enumerate(been) if stage == "pending"]
        been = [*(been[again[-1] :] if again else been)[:-1], stage]  # of this attempt
        past = order[order.index(wanted) :] if wanted in order and job.type != "etl" else []
        if wanted in been or set(past) & set(been):
            return "met"
        ended = {"completed": "missed", "failed": "failed", "cancelled": "cancelled"}
    else:
        ended = {"completed": "met", "failed": "failed", "cancelled": "cancelled"}
    return ended.get(stage, "failed" if lost else "waiting")


def run_schedule(seed: int) -> tuple[str, int | None]:
    """One random schedule; returns its condition and how it came out, after checking it."""
    chance = random.Random(seed)
    world = World(chance)
    for _ in range(chance.randrange(12)):  # what ended, failed or vanished before
        world.step()
    ids = tuple(chance.sample(IDS, chance.choice([1, 1, 2, 3])))
    condition, any = chance.choice(CONDITIONS), chance.random() < 0.4
    tracker = ConditionTracker(ids, Condition.parse(condition), any=any)
    reader = Reader(world, tracker, chance.choice([EVERYTHING, Filter.make(ids=ids)]))
    for _ in range(chance.randrange(25)):
        draw = chance.random()
        if draw < 0.5:
            world.step()
        elif draw < 0.95:
            reader.read()
        else:
            reader.mark_lost(chance.sample(IDS, 2))
        due = expected(condition, ids, any, reader.points)
        assert (tracker.outcome.code if tracker.outcome else None) == due, seed
    reader.catch_up()
    due = expected(condition, ids, any, reader.points)
    assert (tracker.outcome.code if tracker.outcome else None) == due, seed
    if tracker.outcome is None:
        running = {id for id in ids if (job := world.truth.get(id)) and job.active}
        assert running or condition == "gone" or any, "nothing is left to wait for"
        error = tracker.timed_out("1 s", "here")
        kinds = {verdict.id: verdict.kind for verdict in tracker.verdicts}
        named = [id for id in ids if f"{id} (" in str(error)]
        assert named == [id for id in ids if kinds[id] == "waiting"] != [], seed
        assert error.exit_code == 124
    told = {verdict.id: verdict.kind for verdict in reader.said}
    stands = {verdict.id: verdict.kind for verdict in tracker.verdicts}
    assert {id: told.get(id) for id in ids if stands[id] != "waiting"} == {
        id: kind for id, kind in stands.items() if kind != "waiting"
    }, "every verdict was told when it came"
    if not any and due == 0 and tracker.outcome is not None:
        assert {verdict.kind for verdict in tracker.outcome.verdicts} <= {"met"}
    return condition, due


@pytest.mark.parametrize("block", range(BLOCKS))
def test_any_schedule_comes_out_as_the_oracle_says(block: int) -> None:
    """3,000 schedules: jobs end, fail, vanish, are retried, lost, and restored from a copy."""
    for seed in range(block * IN_A_BLOCK, (block + 1) * IN_A_BLOCK):
        run_schedule(seed)


def test_the_schedules_come_out_in_every_way() -> None:
    """A generator that decides nothing would prove nothing."""
    seen = Counter(run_schedule(seed) for seed in range(1000))
    for condition, codes in {
        "terminal": {0, 3, 4, 6, None},
        "completed": {0, 3, 4, 6, None},
        "gone": {0, None},
        "stage=analyze": {0, 3, 4, 6, None},
        "stage=no-such": {1, 3, 4, 6, None},
        "stage=failed": {0, 1, 4, 6, None},
    }.items():
        for code in codes:
            assert seen[condition, code] >= 3, (condition, code, seen)


# -- single points ----------------------------------------------------------------------------


def snapshot(*found: Job, more: bool = False) -> Delta:
    """All jobs, as the first read tells them."""
    numbered = [job.replace(revision=at) for at, job in enumerate(found, 1)]
    return Delta("e", 0, max(len(found), 1), tuple(numbered), more=more)


def made(id: str, *stages: str, type: str = "create_session") -> Job:
    """A job that went through these stages."""
    job = jobs.create(type, now=to_text(0), id=id)
    for stage in stages:
        job = (
            jobs.fail(job, "boom", now=to_text(0))
            if stage == "failed"
            else jobs.advance(job, stage, now=to_text(0))
        )
    return job


def outcome(condition: str, *found: Job, any: bool = False) -> Outcome | None:
    tracker = ConditionTracker([job.id for job in found], Condition.parse(condition), any=any)
    tracker.take(snapshot(*found))
    return tracker.outcome


def test_a_job_that_ended_before_is_decided_by_the_first_read() -> None:
    """No race: the snapshot is a read like any other."""
    assert outcome("terminal", made("j", "completed")) is not None
    done = outcome("completed", made("j", "failed"))
    assert done is not None
    assert (done.code, str(done)) == (3, "job j failed: boom; see 'jobctl show j'")


def test_a_page_of_a_snapshot_decides_nothing_about_absence() -> None:
    """A job may stand on the next page."""
    tracker = ConditionTracker(["j", "k"], Condition())
    assert tracker.take(snapshot(made("j", "completed"), more=True)) == []
    assert tracker.outcome is None
    assert str(tracker.timed_out("1 s", "here")) == "here could not be read within 1 s"
    last = made("k", "completed").replace(revision=2)
    kinds = [verdict.kind for verdict in tracker.take(Delta("e", 1, 2, (last,)))]
    assert (kinds, tracker.outcome is not None and tracker.outcome.code) == (["met", "met"], 0)


@pytest.mark.parametrize(
    ("job", "stage", "code"),
    [
        (made("j", "analyze"), "analyze", 0),
        (made("j", "generate"), "analyze", 0),
        (made("j", "generate", "failed"), "analyze", 0),
        (made("j", "extract"), "analyze", None),
        (made("j", "extract", "failed"), "analyze", 3),
        (made("j", "completed"), "analyze", 0),
        (made("j", "completed"), "rockets", 1),
        (made("j", "completed", type="etl"), "analyze", 1),
        (made("j", "analyze", "load", type="etl"), "analyze", 0),
        (made("j", "load", type="etl"), "analyze", None),
        (made("j", "failed"), "failed", 0),
        (jobs.cancel(made("j"), now=to_text(0)), "failed", 6),
        (jobs.cancel(made("j"), now=to_text(0)), "cancelled", 0),
        (made("j", "failed"), "cancelled", 3),
        (made("j"), "pending", 0),
    ],
)
def test_a_stage_is_met_by_who_is_has_been_or_is_past_it(
    job: Job, stage: str, code: int | None
) -> None:
    """Past it only where the pipeline knows it; who ended without it cannot meet it any more."""
    done = outcome(f"stage={stage}", job)
    assert (done.code if done else None) == code


def test_a_stage_that_was_met_stays_met_for_foreign_writers_too() -> None:
    """They keep no history."""
    foreign = made("j", "analyze", type="etl").replace(history=None)
    tracker = ConditionTracker(["j", "k"], Condition("stage", "analyze"))
    tracker.take(snapshot(foreign, made("k", type="etl")))
    moved = foreign.replace(stage="load", revision=3)
    tracker.take(Delta("e", 2, 3, (moved,)))
    assert [verdict.kind for verdict in tracker.verdicts] == ["met", "waiting"]


def test_a_failed_job_that_is_retried_before_the_decision_is_pending() -> None:
    """The wait for all goes on with what is now."""
    tracker = ConditionTracker(["j", "k"], Condition())
    tracker.take(snapshot(made("j", "failed"), made("k")))
    again = jobs.retry(made("j", "failed"), now=to_text(0)).replace(revision=3)
    tracker.take(Delta("e", 2, 3, (again,)))
    assert [verdict.kind for verdict in tracker.verdicts] == ["waiting", "waiting"]
    assert tracker.outcome is None


def test_a_lost_job_fails_unless_it_ended_or_comes_back() -> None:
    """Its reason is said; what another worker writes counts again."""
    tracker = ConditionTracker(["j", "k"], Condition())
    tracker.take(snapshot(made("j"), made("k")))
    assert [verdict.reason for verdict in tracker.mark_lost({"j"})] == [LOST]
    again = made("j", "extract").replace(revision=3)
    tracker.take(Delta("e", 2, 3, (again,)))
    assert [verdict.kind for verdict in tracker.verdicts] == ["waiting", "waiting"]
    tracker.mark_lost({"j", "k", "unknown"})
    assert tracker.outcome is not None
    assert (tracker.outcome.code, code_of(tracker.outcome.verdicts)) == (3, 3)
    assert str(tracker.outcome) == "2 of 2 jobs failed: j, k; see 'jobctl show j'"
    alone = ConditionTracker(["j"], Condition("gone"))
    alone.take(snapshot(made("j")))
    assert alone.mark_lost({"j"}) == []  # it may be removed all the same
    ended = ConditionTracker(["j", "k"], Condition())
    ended.take(snapshot(made("j", "completed"), made("k")))
    assert ended.mark_lost({"j"}) == []


def test_the_first_of_several_is_the_one_that_ended_first() -> None:
    """In the order of revisions, when they come with one read."""
    bad, good = made("j", "failed"), made("k", "completed")
    codes = [outcome("terminal", *both, any=True) for both in ((bad, good), (good, bad))]
    assert [done.code for done in codes if done is not None] == [3, 0]
    done = outcome("completed", bad, good, any=True)
    assert done is not None
    assert done.met


def test_a_cancelled_job_is_its_own_outcome() -> None:
    """Exit code 6, with who and why; not found comes before failed, and failed before cancelled."""
    stopped = jobs.cancel(made("j"), now=to_text(0), by="anna", reason="too late")
    for condition, any in (("terminal", False), ("terminal", True), ("completed", False)):
        done = outcome(condition, stopped, any=any)
        assert done is not None
        assert (done.code, done.met) == (6, False)
        assert str(done) == "job j was cancelled by anna: too late; see 'jobctl show j'"
    both = outcome("terminal", stopped, made("k", "failed"))
    assert both is not None
    assert (both.code, str(both)) == (3, "job k failed: boom; see 'jobctl show k'")
    missing = ConditionTracker(["j", "k", "l"], Condition())
    missing.take(snapshot(stopped, made("k", "failed")))
    assert missing.outcome is not None
    assert (missing.outcome.code, str(missing.outcome)) == (4, "job l is not there")
    two = outcome("terminal", stopped, stopped.replace(id="k"))
    assert str(two) == "2 of 2 jobs were cancelled: j, k; see 'jobctl show j'"


def test_nothing_to_wait_for_is_decided_at_once() -> None:
    """All of none meet it; any of none never will."""
    done = [ConditionTracker((), Condition(), any=any).outcome for any in (False, True)]
    assert [(one.code, str(one)) for one in done if one is not None] == [
        (0, "the condition is met"),
        (4, "no job that could meet the condition"),
    ]


def test_a_job_that_vanishes_is_told_from_one_that_never_was() -> None:
    """Both are exit code 4."""
    tracker = ConditionTracker(["j", "k"], Condition())
    tracker.take(snapshot(made("j")))
    assert str(tracker.outcome) == "job k is not there"
    tracker = ConditionTracker(["j"], Condition())
    tracker.take(snapshot(made("j")))
    tracker.take(JobSet("other").since(Cursor("e", 1)))
    assert str(tracker.outcome) == "job j was removed while it was waited for"


@pytest.mark.parametrize("text", ["", "stage", "stage=", "done", "terminal=1", "Completed"])
def test_what_cannot_be_waited_for_is_a_usage_error(text: str) -> None:
    """It says what can."""
    with pytest.raises(UsageError, match="terminal, completed, gone or stage=NAME"):
        Condition.parse(text)


def test_a_job_that_is_absent_is_doubted_until_somebody_has_looked() -> None:
    """It may be back, or gone beyond doubt; and it may come again after that."""
    for goal, kind in (("terminal", "vanished"), ("gone", "met"), ("completed", "vanished")):
        truth = JobSet("e")
        tracker = ConditionTracker(["a1", "b1"], Condition.parse(goal), confirm_absence=True)

        def put(job: Job, truth: JobSet = truth) -> None:
            truth.put(job.replace(revision=truth.revision + 1))

        for id in ("a1", "b1"):
            put(jobs.create("etl", now=to_text(0), id=id))
        first = truth.since(ZERO)
        tracker.take(first)
        assert tracker.absent == set()
        truth.delete("a1", truth.revision + 1)
        gone = truth.since(first.cursor())
        assert tracker.take(gone) == []
        assert (tracker.absent, tracker.outcome, tracker.may_still_be_met) == ({"a1"}, None, False)
        put(jobs.create("etl", now=to_text(0), id="a1"))
        back = truth.since(gone.cursor())
        assert tracker.take(back) == []
        assert tracker.absent == set()
        truth.delete("a1", truth.revision + 1)
        tracker.take(truth.since(back.cursor()))
        assert [(one.id, one.kind) for one in tracker.mark_gone(["a1"])] == [("a1", kind)]
        assert tracker.absent == set()
        assert (tracker.outcome is not None) == (kind == "vanished")
