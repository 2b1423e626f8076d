"""Which jobs a pruning removes, and which it never does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jobctl._clock import now, now_ms
from jobctl.core import transitions as jobs
from jobctl.core.cursor import ZERO, Cursor
from jobctl.core.job import Job
from jobctl.core.jobset import Delta
from jobctl.core.pipeline import Pipelines, parse_types
from jobctl.core.times import to_text
from jobctl.errors import StoreError, StoreLocked, UsageError
from jobctl.stores import Check, Store, open_store
from jobctl.upkeep import prune as prune_module
from jobctl.upkeep.prune import Pruned, Pruner, Rule, prune
from tests import odd_times
from tests.bare_files import age_files, full

DAY_MS = 86_400_000
NOW_MS = now_ms()


def at(days_ago: float) -> str:
    """The time so many days ago."""
    return to_text(NOW_MS - round(days_ago * DAY_MS))


def ended(id: str, days_ago: float, stage: str = "completed", type: str = "etl") -> Job:
    """A job that took a day and ended so long ago."""
    job = jobs.create(type, now=at(days_ago + 1), id=id)
    if stage == "failed":
        return jobs.fail(job, "no luck", now=at(days_ago))
    return jobs.complete(job, now=at(days_ago))


@pytest.fixture(params=["memory", "directory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Jobs of all kinds: the digits are the days since they ended."""
    made = open_store("memory:" if request.param == "memory" else tmp_path / "jobs", create=True)
    made.create(jobs.create("etl", now=at(99), id="pending-99"))
    made.create(jobs.advance(jobs.create("etl", now=at(99), id="work-99"), "x", now=at(98)))
    for days in (1, 6, 8, 30):
        made.create(ended(f"done-{days}", days))
    made.create(ended("failed-9", 9, "failed"))
    made.create(ended("mail-10", 10, type="mail"))
    yield made
    made.close()


def gone_from(store: Store, before: list[str]) -> set[str]:
    """The ids that are not there any more."""
    return set(before) - set(store.ids())


@pytest.mark.parametrize(
    ("rule", "gone"),
    [
        ({}, {"done-8", "done-30", "failed-9", "mail-10"}),
        ({"older_than_s": 20 * 86_400}, {"done-30"}),
        ({"older_than_s": 3600}, {"done-1", "done-6", "done-8", "done-30", "failed-9", "mail-10"}),
        ({"stages": ["failed"]}, {"failed-9"}),
        ({"stages": ["completed"], "types": ["etl"]}, {"done-8", "done-30"}),
        ({"types": ["mail", "nothing"]}, {"mail-10"}),
        ({"keep": 3}, {"failed-9", "mail-10", "done-30"}),
        ({"keep": 0}, {"done-1", "done-6", "done-8", "done-30", "failed-9", "mail-10"}),
        ({"keep": 4, "older_than_s": 20 * 86_400}, {"done-30"}),
        ({"keep": 99}, set()),
        ({"keep": 1, "stages": ["failed"]}, set()),
    ],
)
def test_what_ended_goes_by_age_and_number(
    store: Store, rule: dict[str, object], gone: set[str]
) -> None:
    """Over 7 days ago where nothing is said; what is kept is counted among what is chosen from."""
    before = store.ids()
    would = prune(store, dry_run=True, **rule)  # type: ignore[arg-type]
    assert set(would.removed) == gone
    assert store.ids() == before
    told: list[str] = []
    done = prune(store, each=told.append, **rule)  # type: ignore[arg-type]
    assert gone_from(store, before) == gone
    assert (list(done.removed), done) == (told, would)


@pytest.mark.parametrize(
    "rule",
    [{"stages": ["pending"]}, {"stages": ["completed", "x"]}, {"keep": -1}, {"older_than_s": -1.0}],
)
def test_what_cannot_be_meant_is_refused(store: Store, rule: dict[str, object]) -> None:
    """An active stage most of all; nothing is removed."""
    before = store.ids()
    with pytest.raises(UsageError):
        prune(store, **rule)  # type: ignore[arg-type]
    assert store.ids() == before


def test_the_end_of_a_job_is_what_its_file_says() -> None:
    """completedAt; without it the last thing that happened; nothing for a time that is none."""
    rule = Rule.make()
    done, failed = ended("a", 3), ended("b", 3, "failed")
    assert rule.end_of(done) == rule.end_of(failed)
    touched = {"updated_at": at(1)}
    assert rule.end_of(done.replace(**touched)) == rule.end_of(done)
    assert rule.end_of(failed.replace(**touched)) == rule.end_of(ended("c", 1))
    foreign = done.replace(completed_at=None, stage_started_at=None, **touched)
    assert rule.end_of(foreign) == rule.end_of(ended("c", 1))
    none = dict.fromkeys(
        ("created_at", "updated_at", "stage_started_at", "completed_at"), "0000-01-01T00:00:00Z"
    )
    assert rule.end_of(done.replace(**none)) is None


@pytest.mark.parametrize("id", list(odd_times.cases(NOW_MS)))
def test_odd_times_make_no_job_old(tmp_path: Path, id: str) -> None:
    """FAULTS rows 14 and 68: by hand or by a hub, a job that has just ended stays."""
    keys = odd_times.cases(NOW_MS)[id].keys
    odd_times.write(tmp_path, keys)
    store = open_store(tmp_path, adopt=True)
    assert prune(store, older_than_s=3600).removed == ()
    assert Pruner(store, Rule.make(older_than_s=3600)).run().removed == ()
    assert store.ids() == [id]
    store.close()


def test_what_is_raised_before_keeps_them_all(store: Store) -> None:
    """It is asked once, with the ids, and not when there are none."""
    before = store.ids()

    class No(Exception):
        pass

    def ask(ids: tuple[str, ...]) -> None:
        assert set(ids) == {"done-8", "done-30", "failed-9", "mail-10"}
        raise No

    with pytest.raises(No):
        prune(store, before=ask)
    assert store.ids() == before
    assert prune(store, keep=99, before=ask).removed == ()


def test_what_changed_meanwhile_stays(store: Store) -> None:
    """Retried, edited, or gone by itself between the choice and the removal."""

    def meanwhile(ids: tuple[str, ...]) -> None:
        store.update("failed-9", lambda job: jobs.retry(job, now=now()))
        store.update("done-8", lambda job: job.replace(title="looked at"))
        store.remove("mail-10")

    done = prune(store, before=meanwhile)
    assert (done.removed, done.changed, done.failed) == (("done-30",), 3, ())
    assert {"failed-9", "done-8"} <= set(store.ids())


def test_a_retry_that_fails_again_is_another_end(store: Store) -> None:
    """The same stage, and yet not the job that was chosen."""

    def meanwhile(ids: tuple[str, ...]) -> None:
        store.update("failed-9", lambda job: jobs.retry(job, now=now()))
        store.update("failed-9", lambda job: jobs.fail(job, "no luck", now=now()))

    assert "failed-9" not in prune(store, before=meanwhile).removed
    assert store.get("failed-9").retry_count == 1


# -- failures -------------------------------------------------------------------------------


class Failing:
    """A store of which some removals fail."""

    def __init__(self, store: Store, error_of: Callable[[str], Exception | None]) -> None:
        self._store = store
        self._error_of = error_of
        self.tried: list[str] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def remove(self, id: str, check: Check | None = None) -> None:
        self.tried.append(id)
        error = self._error_of(id)
        if error is not None:
            raise error
        self._store.remove(id, check)


def test_a_failure_keeps_no_other_job(store: Store) -> None:
    """It is told of, and the rest is removed."""
    failing = Failing(store, lambda id: StoreError(f"cannot {id}") if "8" in id else None)
    done = prune(failing)  # type: ignore[arg-type]
    assert set(done.removed) == {"done-30", "failed-9", "mail-10"}
    assert [str(error) for error in done.failed] == ["cannot done-8"]


@pytest.mark.parametrize(
    ("error", "tries"),
    [(StoreLocked("/jobs", 5, None), 1), (StoreError("/jobs belongs to another user"), 2)],
)
def test_what_is_no_fault_of_a_job_is_not_tried_for_each(
    store: Store, error: StoreError, tries: int
) -> None:
    """A lock that is held costs its time-out once, a store that refuses is asked twice."""
    failing = Failing(store, lambda id: error)
    done = prune(failing)  # type: ignore[arg-type]
    assert (len(failing.tried), done.removed, done.failed) == (tries, (), (error,))


# -- again and again ------------------------------------------------------------------------


def pruner(store: Store, **rule: object) -> Pruner:
    """One that has its rule."""
    return Pruner(store, Rule.make(**rule))  # type: ignore[arg-type]


def test_a_pruner_removes_what_has_become_old(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also without a change in the store; once each."""
    work = pruner(store)
    assert set(work.run().removed) == {"done-8", "done-30", "failed-9", "mail-10"}
    assert work.run().removed == ()
    two_days_on = now_ms() + 2 * DAY_MS
    monkeypatch.setattr(prune_module, "now_ms", lambda: two_days_on)
    assert work.run().removed == ("done-6",)
    assert set(store.ids()) == {"done-1", "pending-99", "work-99"}


def test_a_pruner_reads_only_what_changed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its second reading begins where the first one ended; what came meanwhile counts."""
    work = pruner(store)
    work.run()
    cursors = []
    real = store.since

    def since(cursor: Cursor, *page: Any, **start: Any) -> Delta:
        cursors.append(cursor)
        return real(cursor, *page, **start)

    monkeypatch.setattr(store, "since", since)
    store.create(ended("old-50", 50))
    store.create(jobs.create("etl", now=now(), id="new"))
    assert work.run().removed == ("old-50",)
    assert ZERO not in cursors


def test_a_pruner_never_removes_what_is_retried_in_between(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After it has read, before it removes."""
    work = pruner(store, stages=["failed"])
    remove = store.remove

    def late(id: str, check: Check | None = None) -> None:
        store.update(id, lambda job: jobs.retry(job, now=now()))
        remove(id, check)

    monkeypatch.setattr(store, "remove", late)
    done = work.run()
    assert (done.removed, done.changed) == ((), 1)
    assert store.get("failed-9").stage == "pending"
    assert work.run() == Pruned()


def test_a_pruner_keeps_to_its_rule_after_changes(store: Store) -> None:
    """A job that left by another hand, or is active again, is not counted any more."""
    work = pruner(store, keep=5)
    assert work.run().removed == ("done-30",)
    store.remove("done-1")
    store.update("failed-9", lambda job: jobs.retry(job, now=now()))
    store.create(ended("done-2", 2))
    store.create(ended("done-3", 3))
    assert work.run().removed == ()
    store.create(ended("done-4", 4))
    assert work.run().removed == ("mail-10",)


def test_a_pruner_stops_when_it_is_told_to(store: Store) -> None:
    """Before the next job."""
    stopping = threading.Event()
    stopping.set()
    assert pruner(store).run(stopping).removed == ()
    assert "done-30" in store.ids()


def test_a_pruner_sees_what_other_programs_wrote(tmp_path: Path) -> None:
    """Files that came by no bell and no record, with nobody else looking."""
    from jobctl.core.codec import encode

    store = open_store(tmp_path / "jobs", create=True, adopt=True)
    work = pruner(store)
    assert work.run().removed == ()
    (tmp_path / "jobs" / "foreign.json").write_bytes(encode(ended("foreign", 50)))
    assert work.run().removed == ("foreign",)
    assert list((tmp_path / "jobs").glob("*.json")) == []
    store.close()


# -- files of other programs ----------------------------------------------------------------


@pytest.fixture
def mixed(tmp_path: Path) -> Iterator[Store]:
    """Files of other programs, with all that a job has and with little of it, and jobs of ours."""
    odd_times.write(
        tmp_path,
        full("full"),
        {"id": "bare", "stage": "completed"},
        {"id": "typed", "stage": "failed", "type": "etl"},
        {"id": "new", "stage": "completed", "completedAt": at(1)},
        {"id": "active", "stage": "work"},
    )
    age_files(tmp_path, "bare", "typed")
    made = open_store(tmp_path, adopt=True)
    made.create(ended("done-8", 8))
    made.create(ended("done-9", 9))
    yield made
    made.close()


@pytest.mark.parametrize(
    ("rule", "gone", "left"),
    [
        ({}, {"full", "done-8", "done-9"}, 2),
        ({"foreign": True}, {"full", "done-8", "done-9", "bare", "typed"}, 0),
        ({"older_than_s": 0}, {"full", "done-8", "done-9"}, 3),
        ({"keep": 1}, {"full", "done-9"}, 3),  # what is not removed takes nobody's place
        ({"keep": 1, "foreign": True}, {"full", "bare", "typed", "done-8", "done-9"}, 0),
        ({"types": ["etl"]}, {"full", "done-8", "done-9"}, 1),
        ({"types": ["mail"]}, set(), 0),
    ],
)
def test_what_may_be_no_job_stays(
    mixed: Store, rule: dict[str, object], gone: set[str], left: int
) -> None:
    """FAULTS row 11: unless it is said otherwise; by hand and by a hub."""
    before = mixed.ids()
    would = prune(mixed, dry_run=True, **rule)  # type: ignore[arg-type]
    assert (set(would.removed), would.foreign) == (gone, left)
    assert mixed.ids() == before
    done = pruner(mixed, **rule).run()
    assert gone_from(mixed, before) == set(done.removed) == gone


def test_what_jobctl_has_written_is_ours(mixed: Store) -> None:
    """FAULTS row 11: whatever the file lacked before."""
    mixed.update("typed", lambda job: jobs.retry(job, now=at(20)))
    mixed.update("typed", lambda job: jobs.fail(job, "again", now=at(10)))
    assert set(prune(mixed).removed) == {"full", "done-8", "done-9", "typed"}


def test_what_another_program_has_put_there_meanwhile_stays(
    mixed: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAULTS row 11: in the place of an old job, between the choice and the removal."""
    work = Pruner(mixed, Rule.make())
    remove = mixed.remove
    end = to_text(ended("x", 9).ended_ms() or 0)

    def late(id: str, check: Check | None = None) -> None:
        if id == "done-9":
            odd_times.write(tmp_path, {"id": id, "stage": "completed", "completedAt": end})
        remove(id, check)

    monkeypatch.setattr(mixed, "remove", late)
    done = work.run()
    assert set(done.removed) == {"full", "done-8"}
    assert done.changed == 1
    assert "done-9" in mixed.ids()


# -- types that have to succeed regularly ---------------------------------------------------


def expecting(*types: str) -> Pipelines:
    """Settings that expect these types every day."""
    tables: dict[str, tuple[Any, str]] = {
        type: ({"expect-every": "1d"}, "jobctl.toml") for type in types
    }
    return Pipelines(parse_types(tables))


def test_last_success_of_an_expected_type_stays(store: Store) -> None:
    """Else the type would look as if it had never succeeded; all others go as the rule says."""
    before = store.ids()
    pruned = prune(store, older_than_s=0, pipelines=expecting("mail", "etl", "unknown"))
    assert gone_from(store, before) == {"done-6", "done-8", "done-30", "failed-9"}
    assert (len(pruned.removed), pruned.needed) == (4, 2)


def test_last_success_that_is_not_old_enough_is_not_counted(store: Store) -> None:
    """It stays by the rule itself, and the older ones go."""
    pruned = prune(store, older_than_s=7 * 86_400, pipelines=expecting("etl"))
    assert set(pruned.removed) == {"done-8", "done-30", "failed-9", "mail-10"}
    assert pruned.needed == 0


def test_newer_success_frees_the_one_before(store: Store) -> None:
    """Also for the hub's pruner, which reads what has changed only."""
    pruner = Pruner(store, Rule.make(older_than_s=9.5 * 86_400), expecting("mail"))
    assert set(pruner.run().removed) == {"done-30"}
    store.create(ended("mail-0", 0, type="mail"))
    assert pruner.run().removed == ("mail-10",)
    assert pruner.run().removed == ()


def test_dry_run_names_what_would_be_removed_and_no_more(store: Store) -> None:
    """The last success is not among it."""
    pruned = prune(store, older_than_s=0, types=["mail"], pipelines=expecting("mail"), dry_run=True)
    assert (pruned.removed, pruned.needed) == ((), 1)
