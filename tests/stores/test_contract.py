"""What `Store` promises, for every store."""

from __future__ import annotations

import select
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout

import pytest

from jobctl.core import transitions as jobs
from jobctl.core.cursor import ZERO, Cursor
from jobctl.core.job import Job
from jobctl.errors import Conflict, InvalidId, InvalidJob, JobNotFound
from jobctl.stores import Store, bad_files, foreign_jobs, path_of, refresh, runnable_job
from tests.stores.support import (
    T0,
    Follower,
    head,
    messages,
    new,
    state,
    tally,
    until,
    with_message,
)


def test_created_job_is_found_with_its_revision(store: Store) -> None:
    """`create` returns the job as stored, and `get` and `since` give the same."""
    created = store.create(new("a"))
    assert created.revision > 0
    assert store.get("a") == created
    assert store.since(ZERO).jobs == (created,)


def test_job_of_our_own_is_runnable(store: Store) -> None:
    """FAULTS row 65: nobody else can have written its command."""
    made = store.create(new("a"))
    assert runnable_job(store, "a") == made
    with pytest.raises(JobNotFound):
        runnable_job(store, "b")


def test_taken_id_is_refused(store: Store) -> None:
    """A second `create` of one id is a conflict and changes nothing."""
    store.create(new("a", title="first"))
    before = head(store)
    with pytest.raises(Conflict, match="exists already"):
        store.create(new("a", title="second"))
    assert store.get("a").title == "first"
    assert not store.since(before)


def test_each_change_takes_a_greater_revision(store: Store) -> None:
    """Create, update, remove and create again: the revisions only rise."""
    revisions = [store.create(new("a")).revision, store.update("a", with_message("1")).revision]
    store.remove("a")
    revisions.append(store.since(ZERO).through)
    revisions.append(store.create(new("a")).revision)
    assert revisions == sorted(set(revisions))


def test_what_jobctl_wrote_is_not_foreign(store: Store) -> None:
    """Neither as it was made nor as it was changed."""
    store.create(new("a"))
    store.create(new("b"))
    store.update("b", with_message("1"))
    assert foreign_jobs(store, store.since(ZERO).jobs) == set()
    assert foreign_jobs(store, [store.get("a"), new("not-there")]) == set()


def test_store_does_not_have_to_feign_what_only_directories_can(store: Store) -> None:
    """The capabilities are methods of those stores alone that have them."""
    in_a_directory = path_of(store) is not None
    for capability in ("path", "refresh", "bad", "foreign", "get_runnable"):
        assert hasattr(store, capability) == in_a_directory


def test_error_in_a_change_passes_through(store: Store) -> None:
    """What the change raises comes out as it is, and nothing is recorded."""

    class Odd(Exception):
        pass

    def change(job: Job) -> Job:
        raise Odd

    store.create(new("a"))
    before = head(store)
    with pytest.raises(Odd):
        store.update("a", change)
    assert not store.since(before)
    assert store.update("a", with_message("goes on")).message == "goes on"


def test_change_to_the_same_value_records_nothing(store: Store) -> None:
    """A change that returns the very job it got takes no revision."""
    store.create(new("a"))
    before = head(store)
    assert store.update("a", lambda job: job).id == "a"
    assert store.since(before).through == before.revision


def test_job_cannot_become_another(store: Store) -> None:
    """A change may not alter the id."""
    store.create(new("a"))
    with pytest.raises(Conflict, match="cannot become"):
        store.update("a", lambda job: job.replace(id="b"))
    assert store.ids() == ["a"]


def test_value_that_would_not_survive_is_refused(store: Store) -> None:
    """A value that cannot be read back is refused before anything is recorded."""
    store.create(new("a"))
    before = head(store)
    with pytest.raises(InvalidJob):
        store.update("a", lambda job: job.replace(message="\ud800"))
    with pytest.raises(InvalidJob):
        store.create(new("b").replace(result=float("nan")))
    assert not store.since(before)
    assert store.ids() == ["a"]


@pytest.mark.parametrize(
    "call",
    [
        lambda store: store.get("nobody"),
        lambda store: store.update("nobody", with_message("x")),
        lambda store: store.remove("nobody"),
    ],
    ids=["get", "update", "remove"],
)
def test_missing_job_is_named(store: Store, call: Callable[[Store], object]) -> None:
    """An id that nobody has is `JobNotFound`."""
    with pytest.raises(JobNotFound, match="nobody"):
        call(store)


@pytest.mark.parametrize("id", ["../x", "a/b", "x\0", "-rf", ".hidden", "a" * 65, "é", ""])
def test_ids_are_checked_before_anything_is_touched(store: Store, id: str) -> None:
    """FAULTS row 55: an id is letters, digits, '.', '_' and '-', or it is no id."""
    job = new("a").replace(id=id)
    for call in (
        lambda: store.get(id),
        lambda: store.create(job),
        lambda: store.update(id, with_message("x")),
        lambda: store.remove(id),
    ):
        with pytest.raises(InvalidId):
            call()
    assert store.ids() == []


def test_ids_are_sorted_and_chosen_by_prefix(store: Store) -> None:
    """`ids` gives those that start so, in order."""
    for id in ("b2", "a1", "b1"):
        store.create(new(id))
    assert store.ids() == ["a1", "b1", "b2"]
    assert store.ids("b") == ["b1", "b2"]
    assert store.ids("c") == []


# -- the one read ---------------------------------------------------------------------------


def test_zero_gets_everything(store: Store) -> None:
    """A reader without a past gets a reset with all jobs, in the order of their last change."""
    for id in ("a", "b", "c"):
        store.create(new(id))
    store.update("a", with_message("last"))
    delta = store.since(ZERO)
    assert delta.since == 0
    assert not delta.more
    assert [job.id for job in delta.jobs] == ["b", "c", "a"]
    assert delta.through == delta.jobs[-1].revision


def test_cursor_gets_exactly_the_difference(store: Store) -> None:
    """Only what changed after the cursor, each job once, in its newest version."""
    for id in ("a", "b"):
        store.create(new(id))
    cursor = head(store)
    store.update("b", with_message("1"))
    store.update("b", with_message("2"))
    store.create(new("c"))
    delta = store.since(cursor)
    assert delta.since == cursor.revision
    assert messages(delta) == {"b": "2", "c": None}
    assert not store.since(delta.cursor())


def test_deletion_is_a_record(store: Store) -> None:
    """A cursor from before a deletion is told of it, also when the job came in between."""
    store.create(new("a"))
    cursor = head(store)
    store.remove("a")
    store.create(new("b"))
    store.remove("b")
    delta = store.since(cursor)
    assert {item.id for item in delta.gone} == {"a", "b"}
    assert delta.jobs == ()


def test_removal_may_look_first(store: Store) -> None:
    """`remove` shows its check the job as it stands, and goes on if nothing is raised."""
    store.create(new("a"))
    store.update("a", with_message("newest"))
    seen: list[str | None] = []
    store.remove("a", lambda job: seen.append(job.message))
    assert seen == ["newest"]
    assert store.ids() == []


def test_what_a_check_raises_keeps_the_job(store: Store) -> None:
    """It passes through as it is, and nothing is recorded."""

    class Odd(Exception):
        pass

    def check(job: Job) -> None:
        raise Odd

    store.create(new("a"))
    before = head(store)
    with pytest.raises(Odd):
        store.remove("a", check)
    assert not store.since(before)
    assert store.get("a").id == "a"
    store.remove("a")
    with pytest.raises(JobNotFound):
        store.remove("a", check)


def test_nobody_writes_between_a_check_and_the_removal(store: Store) -> None:
    """The check runs under the writers' lock: whoever comes meanwhile finds no job."""
    store.create(new("a"))
    inside, leave = threading.Event(), threading.Event()

    def check(job: Job) -> None:
        inside.set()
        assert leave.wait(10)

    with ThreadPoolExecutor(2) as pool:
        removing = pool.submit(store.remove, "a", check)
        try:
            assert inside.wait(5)
            writing = pool.submit(store.update, "a", with_message("late"))
            with pytest.raises(FutureTimeout):
                writing.result(0.1)
        finally:
            leave.set()
        removing.result(5)
        with pytest.raises(JobNotFound):
            writing.result(5)
    assert store.ids() == []


def test_check_that_changes_the_job_sees_it_again(store: Store) -> None:
    """What is removed is what the last look of the check saw."""
    store.create(new("a"))
    seen: list[str | None] = []

    def check(job: Job) -> None:
        seen.append(job.message)
        if job.message is None:
            store.update("a", with_message("by the check"))

    store.remove("a", check)
    assert seen == [None, "by the check"]
    assert store.ids() == []


def test_reset_brings_the_tombstones_along(store: Store) -> None:
    """A replica loaded afresh can itself tell others of deletions."""
    store.create(new("a"))
    store.remove("a")
    assert [item.id for item in store.since(ZERO).gone] == ["a"]


def test_deleted_job_may_come_back(store: Store) -> None:
    """A new job under a deleted id is a job, and no longer gone."""
    store.create(new("a"))
    store.remove("a")
    cursor = head(store)
    store.create(new("a", title="again"))
    delta = store.since(cursor)
    assert [job.title for job in delta.jobs] == ["again"]
    assert delta.gone == ()


@pytest.mark.parametrize("bad", ["foreign", "future"])
def test_strange_cursor_gets_a_reset(store: Store, bad: str) -> None:
    """FAULTS row 31: a foreign or a future cursor gets everything, never silence."""
    store.create(new("a"))
    here = head(store)
    strange = Cursor("0" * 12, 1) if bad == "foreign" else Cursor(here.epoch, here.revision + 99)
    delta = store.since(strange)
    assert delta.since == 0
    assert [job.id for job in delta.jobs] == ["a"]


def test_behind_counts_what_a_read_would_look_at(store: Store) -> None:
    """`behind` is 0 for a reader at the head, and counts records otherwise."""
    store.create(new("a"))
    cursor = head(store)
    assert store.behind(cursor) == 0
    store.update("a", with_message("1"))
    store.create(new("b"))
    assert store.behind(cursor) == 2
    assert store.behind(ZERO) >= 2


def test_nothing_is_unsettled_or_bad_without_foreigners(store: Store) -> None:
    """A store that only we write to needs no second look and has no quarantine."""
    store.create(new("a"))
    assert refresh(store) is False
    assert refresh(store, {"a", "nobody"}) is False
    assert bad_files(store) == []


# -- many at once ---------------------------------------------------------------------------


@pytest.mark.slow
def test_threads_lose_no_update(store: Store) -> None:
    """Four threads count in three jobs: the sums are whole and no revision is given twice."""
    rounds = 40
    for id in "abc":
        store.create(new(id))

    def work(_: int) -> list[int]:
        return [store.update(id, tally).revision for _ in range(rounds) for id in "abc"]

    with ThreadPoolExecutor(4) as pool:
        revisions = [revision for part in pool.map(work, range(4)) for revision in part]
    assert state(store) == dict.fromkeys("abc", str(4 * rounds))
    assert len(set(revisions)) == len(revisions) == 4 * 3 * rounds


@pytest.mark.slow
def test_follower_converges_amid_writers(store: Store) -> None:
    """A reader that follows by cursor while others write and remove ends equal to the store."""
    store.create(new("first"))
    follower = Follower(store)
    follower.step()
    done = threading.Event()

    def work(name: str) -> None:
        for round in range(30):
            id = f"{name}{round % 5}"
            try:
                store.create(new(id))
            except Conflict:
                store.remove(id)
            store.create(new(f"{name}-{round}"))
            store.update(f"{name}-{round}", with_message(str(round)))

    def follow() -> None:
        while not done.is_set():
            follower.step()

    with ThreadPoolExecutor(3) as pool:
        following = pool.submit(follow)
        for worker in [pool.submit(work, name) for name in "xy"]:
            worker.result()
        done.set()
        following.result()
    until(lambda: not follower.step())
    assert follower.state() == state(store)
    assert follower.resets == 1


def test_reader_waits_for_no_writer(store: Store) -> None:
    """While a writer sits inside its change, `since` and `get` give what was there before."""
    store.create(new("a"))
    inside, leave = threading.Event(), threading.Event()

    def change(job: Job) -> Job:
        inside.set()
        assert leave.wait(10)
        return with_message("late")(job)

    with ThreadPoolExecutor(2) as pool:
        writing = pool.submit(store.update, "a", change)
        try:
            assert inside.wait(5)
            assert pool.submit(state, store).result(2) == {"a": None}
            assert store.get("a").message is None
        finally:
            leave.set()
        writing.result(5)
    assert state(store) == {"a": "late"}


def test_change_may_use_the_store_itself(store: Store) -> None:
    """FAULTS row 9: a change that updates another job neither hangs nor loses one."""
    for id in "ab":
        store.create(new(id))

    def change(job: Job) -> Job:
        store.update("b", with_message(f"with {store.get('a').id}"))
        return with_message("outer")(job)

    store.update("a", change)
    assert state(store) == {"a": "outer", "b": "with a"}


# -- bell and subscriptions -----------------------------------------------------------------


@pytest.mark.parametrize("kind", ["create", "update", "remove"])
def test_each_change_rings(store: Store, kind: str) -> None:
    """A listener is readable after a change, until it is drained."""
    store.create(new("a"))
    listener = store.listen()
    assert not listener.wait(0)
    if kind == "create":
        store.create(new("b"))
    elif kind == "update":
        store.update("a", with_message("x"))
    else:
        store.remove("a")
    assert select.select([listener], [], [], 1)[0]
    assert listener.drain() >= 1
    assert listener.drain() == 0
    listener.close()
    listener.close()


def test_subscriber_gets_what_changes_from_now_on(store: Store) -> None:
    """A callback hears of later changes only, until it unsubscribes."""
    store.create(new("old"))
    heard: list[str] = []
    unsubscribe = store.subscribe(lambda delta: heard.extend(job.id for job in delta.jobs))
    store.create(new("new"))
    until(lambda: "new" in heard)
    assert heard == ["new"]
    unsubscribe()
    store.create(new("later"))
    assert heard == ["new"]


def test_raising_subscriber_disturbs_nobody(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """A callback that raises is logged; others and later deltas still come."""
    heard: list[str] = []

    def bad(delta: object) -> None:
        raise ValueError("odd")

    store.subscribe(bad)
    store.subscribe(lambda delta: heard.extend(job.id for job in delta.jobs))
    store.create(new("a"))
    until(lambda: "a" in heard)
    store.create(new("b"))
    until(lambda: "b" in heard)
    assert "a subscriber raised" in caplog.text


def test_subscription_outlives_another_one(store: Store) -> None:
    """The last but one unsubscribes, also twice: the other goes on hearing."""
    heard: list[str] = []
    first = store.subscribe(lambda delta: None)
    store.subscribe(lambda delta: heard.extend(job.id for job in delta.jobs))
    first()
    first()
    store.create(new("a"))
    until(lambda: "a" in heard)


def test_retry_of_a_change_sees_the_stored_job(store: Store) -> None:
    """The transitions of job.py work through the store, errors and all."""
    store.create(new("a"))
    store.update("a", lambda job: jobs.fail(job, "boom", now=T0))
    again = store.update("a", lambda job: jobs.retry(job, now=T0))
    assert (again.stage, again.retry_count, again.error) == ("pending", 1, None)


def test_change_that_changes_nothing_gives_the_job_as_it_stands(store: Store) -> None:
    """With its revision, whoever wrote it."""
    store.create(new("a"))
    made = store.update("a", with_message("one"))
    assert store.update("a", lambda job: job) == made
    assert store.update("a", lambda job: job).revision == made.revision == 2


def test_removal_is_known_by_its_request(store: Store) -> None:
    """A repeated request finds its own deletion, and nobody else's."""
    store.create(new("a"))
    assert store.removed_by("a", "r1") is None
    store.remove("a", request="r1")
    assert store.removed_by("a", "r1") == head(store).revision
    assert store.removed_by("a", "r2") is None
    store.create(new("a"))
    assert store.removed_by("a", "r1") is None
    store.remove("a")
    assert store.removed_by("a", "r1") is None
    assert store.removed_by("never", "r1") is None
