"""FAULTS row 63: whoever reads a store goes on while the answer says ``more``."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jobctl import api
from jobctl._clock import now
from jobctl.core import transitions as jobs
from jobctl.core.cursor import ZERO, Cursor
from jobctl.core.filters import Filter
from jobctl.core.jobset import Delta
from jobctl.errors import StoreError, TimedOut
from jobctl.reader.wait import wait
from jobctl.stores import Store, open_store, read_all
from jobctl.stores.memory import MemoryStore
from jobctl.stores.subscriptions import Subscriptions
from jobctl.upkeep.prune import Pruner, Rule, prune
from jobctl.upkeep.reap import reap
from tests.hub.network import Reader, new_job, retitle, running_hub, stored, until
from tests.stores.support import plant_owner

DEAD = "1-00000000000a"
Since = Callable[..., Delta]


def in_pages(real: Since, *, size: int = 2, waits: int = 0) -> Since:
    """A store's read that is never complete at once, as beside fast writers.

    It gives so many jobs at a time; and so often, before it goes on, an answer that does not move.
    """
    left = 0

    def since(cursor: Cursor, *page: Any, **start: Any) -> Delta:
        nonlocal left
        delta = real(cursor, *page, **start)
        if delta.since and left:
            left -= 1
            return delta._replace(through=delta.since, jobs=(), gone=(), more=True)
        if len(delta.jobs) <= size:
            return delta
        left = waits
        through = delta.jobs[size - 1].revision
        gone = tuple(item for item in delta.gone if item.revision <= through)
        return delta._replace(through=through, jobs=delta.jobs[:size], gone=gone, more=True)

    return since


@pytest.fixture(params=[0, 3], ids=["moving", "waiting"])
def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Store]:
    """Seven jobs, of which five have ended, read two at a time."""
    made = open_store(tmp_path / "jobs", create=True)
    for number in range(5):
        made.create(jobs.complete(new_job(f"done{number}"), now=now()))
    for id in ("one", "two"):
        made.create(new_job(id, owner=DEAD))
    monkeypatch.setattr(made, "since", in_pages(made.since, waits=request.param))
    assert made.since(ZERO).more
    yield made
    made.close()


ALL = {*(f"done{number}" for number in range(5)), "one", "two"}


def test_ls_lists_all(store: Store) -> None:
    """All of them, from zero and after a cursor, under a filter as well."""
    delta = api.ls(store)
    assert ({job.id for job in delta.jobs}, delta.more) == (ALL, False)
    active = Filter.make(active=True)
    assert {job.id for job in api.ls(store, active).jobs} == {"one", "two"}
    later = api.ls(store, cursor=Cursor(delta.epoch, delta.jobs[0].revision))
    assert {job.id for job in later.jobs} == ALL - {delta.jobs[0].id}
    assert later.since == delta.jobs[0].revision


def test_prune_takes_all_into_account(store: Store) -> None:
    """The newest are spared out of all, and none of the others is left over."""
    would = prune(store, keep=2, dry_run=True)
    assert would.removed == ("done0", "done1", "done2")
    assert prune(store, keep=2) == would
    assert set(store.ids()) == {"done3", "done4", "one", "two"}


def test_pruner_takes_all_into_account(store: Store) -> None:
    """At its first run and at later ones."""
    pruner = Pruner(store, Rule.make(keep=2))
    assert len(pruner.run().removed) == 3
    for number in range(5, 10):
        store.create(jobs.complete(new_job(f"done{number}"), now=now()))
    assert len(pruner.run().removed) == 5


def test_reap_fails_all_lost_jobs_before_it_forgets_their_owner(
    store: Store, tmp_path: Path
) -> None:
    """A job that was not read would be nobody's for ever."""
    plant_owner(tmp_path / "jobs", DEAD)
    assert {job.id for job in reap(store).jobs} == {"one", "two"}
    assert store.owners.dead() == frozenset()


def test_wait_chooses_from_all(store: Store) -> None:
    """The jobs that match now, wherever they stand in the order."""
    outcome = wait(store, filter=Filter.make(stages=["completed"]), timeout_s=5)
    assert len(outcome.verdicts) == 5
    with pytest.raises(TimedOut, match="2 of 2 jobs not ended"):
        wait(store, filter=Filter.make(active=True), timeout_s=0)


@pytest.mark.parametrize("timeout_s", [0, 1.5])
def test_wait_for_gone_does_not_take_an_unread_job_for_gone(store: Store, timeout_s: float) -> None:
    """What a page does not hold stands on the next one."""
    with pytest.raises(TimedOut, match="2 of 2 jobs still there"):
        wait(store, ["one", "two"], until="gone", timeout_s=timeout_s)


async def test_dead_worker_is_told_after_its_last_words(store: Store, tmp_path: Path) -> None:
    """Whoever hears that it died has read all that it wrote, so a job that ended is not lost."""
    stuck, tries = False, 0
    real = store.since

    def since(cursor: Cursor, *page: Any, **start: Any) -> Delta:
        nonlocal tries
        if stuck:
            tries += 1
            return Delta(cursor.epoch, cursor.revision, cursor.revision, more=True)
        return real(cursor, *page, **start)

    store.since = since  # type: ignore[method-assign]
    async with Reader.of_store(store) as reader:
        await until(lambda: reader.deltas and not reader.deltas[-1].more)
        stuck = True
        for id in ("one", "two"):
            store.update(id, lambda job: jobs.complete(job, now=now()))
        plant_owner(tmp_path / "jobs", DEAD)
        await until(lambda: tries > 20)
        assert reader.dead == []
        stuck = False
        await until(lambda: reader.dead)
        assert {reader.set.get(id).stage for id in ("one", "two")} == {"completed"}


async def test_follow_says_more_until_all_is_read(store: Store) -> None:
    """A reader takes what it has for all there is when it is told so, and not before."""
    async with Reader.of_store(store) as reader:
        await until(lambda: reader.deltas and not reader.deltas[-1].more)
        assert {job.id for job in reader.set} == ALL
        assert [delta.more for delta in reader.deltas[:-1]] == [True] * (len(reader.deltas) - 1)
        for id in sorted(ALL):
            store.update(id, retitle("again"))
        await until(lambda: {job.title for job in reader.set} == {"again"})
        assert reader.resets == 1


async def test_follow_ends_a_read_that_brought_nothing_more(store: Store) -> None:
    """Also the empty answer that says so is passed on, to a reader that has waited for it."""
    real, finished = store.since, False

    def since(cursor: Cursor, *page: Any, **start: Any) -> Delta:
        delta = real(cursor, *page, **start)
        return delta if finished or delta.more else delta._replace(more=True)

    store.since = since  # type: ignore[method-assign]
    async with Reader.of_store(store) as reader:
        await until(lambda: len(reader.set) == len(ALL))
        await asyncio.sleep(0)
        assert reader.deltas[-1].more
        finished = True
        await until(lambda: not reader.deltas[-1].more)


async def test_hub_shows_nobody_a_part(store: Store) -> None:
    """Its first client gets everything, and its last page is the end of it."""
    async with running_hub(store) as hub, Reader.of_hub(hub.url) as reader:
        await until(lambda: reader.deltas and not reader.deltas[-1].more)
        assert {job.id for job in reader.set} == ALL
        for id in sorted(ALL):
            store.update(id, retitle("again"))
        await until(lambda: {job.title for job in reader.set} == {"again"})
        assert reader.resets == 1


async def test_hub_whose_load_fails_half_way_loads_again(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What was read before the error is shown to nobody; the next read begins anew."""
    monkeypatch.setattr("jobctl.hub.feed.POLL_S", 0.1)
    caplog.set_level(logging.ERROR)
    real, failing = store.since, 2

    def since(cursor: Cursor, *page: Any, **start: Any) -> Delta:
        nonlocal failing
        if cursor != ZERO and failing:
            failing -= 1
            raise StoreError("the disk is away")
        return real(cursor, *page, **start)

    store.since = since  # type: ignore[method-assign]
    async with running_hub(store) as hub, Reader.of_hub(hub.url) as reader:
        await until(lambda: reader.deltas and not reader.deltas[-1].more)
        assert {job.id for job in reader.set} == ALL
        assert (failing, reader.resets) == (0, 1)


async def test_hub_that_is_reset_shows_nobody_a_part(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that had everything before, and whose cursor is not good any more."""
    async with running_hub(store) as hub, Reader.of_hub(hub.url) as reader:
        await until(lambda: reader.deltas and not reader.deltas[-1].more)
        seen: list[int] = []
        reader.on_delta = lambda delta: seen.append(len(hub.server.hub.replica))
        real, again = store.since, True

        def since(cursor: Cursor, *page: Any, **start: Any) -> Delta:
            nonlocal again
            if again:
                again = False
                return real(ZERO)
            return real(cursor, *page, **start)

        monkeypatch.setattr(store, "since", since)
        store.update("one", retitle("again"))
        await until(lambda: reader.set.get("one").title == "again")
        assert set(seen) == {len(ALL)}
        assert stored_in_pages(store) == {job.id for job in reader.set}


def stored_in_pages(store: Store) -> set[str]:
    """What the store holds."""
    return {job.id for job in read_all(store).jobs}


def test_subscriber_is_told_all() -> None:
    """Each page is a call, and one that does not move ends the turn: the bell rings again."""
    store = MemoryStore()
    watcher = Subscriptions(store.head, in_pages(store.since, waits=2), store.listen)
    seen: list[str] = []
    unsubscribe = watcher.add(lambda delta: seen.extend(job.id for job in delta.jobs))
    for id in "abcdefg":
        store.create(new_job(id))
    end = asyncio.run(_seen(seen, 7))
    unsubscribe()
    store.close()
    assert end == list("abcdefg")
    assert stored(store).keys() == set(seen)


async def _seen(seen: list[str], number: int) -> list[str]:
    await until(lambda: len(seen) >= number)
    return seen
