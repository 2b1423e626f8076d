"""Waiting over real stores and real hubs, which stop and start meanwhile."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from jobctl._clock import now
from jobctl.core import transitions as jobs
from jobctl.core.filters import Filter
from jobctl.errors import HubError, InvalidId, JobNotFound, StoreError, TimedOut, UsageError
from jobctl.reader import client as client_module
from jobctl.reader import follow as follow_module
from jobctl.reader import wait as wait_module
from jobctl.reader.status import Status
from jobctl.reader.wait import wait, wait_async
from jobctl.stores import Store, open_store
from tests.hub.network import Reader, Running, hasty, new_job, running_hub, until

SCHEDULES = int(os.environ.get("JOBCTL_WAIT_SCHEDULES", "66"))
AT_ONCE = 22  # more would not keep to their times
SOURCES = ("hub", "url", "bare")
DEADLINE_S = 15.0


@pytest.fixture(autouse=True)
def haste(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub that was lost is tried again soon.

    By the real backoff, some of a thousand would be unlucky five times, and wait for longer than
    they have.
    """
    monkeypatch.setattr(follow_module, "_HUB_RETRY_S", 0.3)
    monkeypatch.setattr(client_module, "Backoff", hasty)


def has_served(hub: Running) -> bool:
    """Whether somebody has got all there is, or nobody wants it: else nobody would ever get on."""
    sessions = hub.server.hub.sessions.values()
    return not hub.server.clients.by_session or any(
        not session.position.must_send for session in sessions
    )


@asynccontextmanager
async def restarting_hub(served: Store, *, stays_s: float) -> AsyncIterator[str]:
    """The URL of a hub that goes away and comes back on the same port, again and again."""
    urls: list[str] = []
    leave = asyncio.Event()

    async def run() -> None:
        while not leave.is_set():
            port = int(urls[0].split(":")[2].split("/")[0]) if urls else 0
            async with running_hub(served, port=port) as hub:
                urls.append(hub.url)
                try:
                    async with asyncio.timeout(stays_s):
                        await leave.wait()
                except TimeoutError:
                    await until(lambda: leave.is_set() or has_served(hub), 10)

    task = asyncio.create_task(run())
    await until(lambda: urls or task.done())
    try:
        yield urls[0]
    finally:
        leave.set()
        await task


def finish(store: Store, id: str, fate: str) -> None:
    """What becomes of the job, by way of another stage or a failure."""
    if fate == "retried":
        store.update(id, lambda job: jobs.fail(job, "first try", now=now()))
        store.update(id, lambda job: jobs.retry(job, now=now()))
    store.update(id, lambda job: jobs.advance(job, "work", now=now()))
    if fate == "failed":
        store.update(id, lambda job: jobs.fail(job, "boom", now=now()))
    elif fate == "vanished":
        store.remove(id)
    elif fate != "running":
        store.update(id, lambda job: jobs.complete(job, now=now()))


def allowed(until: str, fates: set[str], *, any: bool) -> set[int]:
    """Every exit code that some order of events makes right.

    A job that is to be retried fails first, which may be seen or not; and so it is with the stage
    of one that vanishes.
    """
    again, gone, running = ({fate} & fates for fate in ("retried", "vanished", "running"))
    good, bad = {"completed", "retried"} & fates, {"failed", "retried"} & fates
    if until == "gone":
        return {0} if gone and (any or fates == gone) else {124}
    if until == "stage=work":
        alone = not any or fates <= {"retried", "vanished"}
        return {0} | ({3} if again and alone else set()) | ({4} if gone and alone else set())
    if any:
        sooner = bad if until == "terminal" or not running else set()
        if good:
            return {0} | ({3} if sooner and (until == "terminal" or good == again) else set())
        if running and not sooner:
            return {124}
        return {3} if bad else {4}
    failed = "failed" in fates
    if gone:
        return {4} | ({3} if bad else set())
    if until == "completed":
        return ({3} if failed else {124} if running else {0}) | ({3} if again else set())
    if running:
        return {124}
    return {3} if failed else {0, 3} if again else {0}


async def one_schedule(seed: int, store: Store, url: str | None) -> None:
    chance = random.Random(seed)
    ids = [f"s{seed}-{number}" for number in range(chance.choice([1, 2, 4]))]
    kinds = ["completed", "completed", "completed", "failed", "vanished", "retried", "running"]
    fates = {id: chance.choice(kinds) for id in ids}
    goal = chance.choice(["terminal", "terminal", "completed", "stage=work", "gone"])
    any = chance.random() < 0.3
    for id in ids:
        await asyncio.to_thread(store.create, new_job(id))
    early = [id for id in ids if chance.random() < 0.3 and fates[id] != "vanished"]
    for id in early:
        await asyncio.to_thread(finish, store, id, fates[id])
    codes = allowed(goal, set(fates.values()), any=any)

    async def work() -> None:
        for id in ids:
            if id not in early:
                await asyncio.sleep(chance.uniform(0, 0.8))
                await asyncio.to_thread(finish, store, id, fates[id])

    chosen: dict[str, Any] = {"ids": ids}
    if chance.random() < 0.3 and not early:
        for id in ids:
            change = {"session_id": f"session{seed}"}
            store.update(id, lambda job, change=change: job.replace(**change))  # type: ignore[misc]
        chosen = {"filter": Filter(sessions=frozenset({f"session{seed}"}), active=True)}
    worker: asyncio.Task[None] | None = None

    def start() -> None:
        nonlocal worker
        worker = worker or asyncio.create_task(work())

    opened = 0

    def note(status: Status) -> None:
        """Start once the jobs are chosen: by the first connection, where a URL is read."""
        nonlocal opened
        opened += status.state == "open"
        if opened > (url is not None):
            start()

    if "ids" in chosen:
        start()  # else none of the jobs ends before they are chosen
    began_s = time.monotonic()
    try:
        async with asyncio.timeout(DEADLINE_S):
            while True:
                opened = 0
                try:
                    outcome = await wait_async(
                        None if url else store, url=url, until=goal, any=any,
                        timeout_s=1.8 if 124 in codes else 8.0, on_status=note, **chosen,
                    )  # fmt: skip
                    code, what = outcome.code, str(outcome)
                except TimedOut:
                    code, what = 124, "timed out"
                except HubError:  # it was down at the very start: said at once, so come again
                    await asyncio.sleep(0.02)
                    continue
                except JobNotFound as error:
                    code, what = error.exit_code, f"at the start: {error}"
                    if fates.get(error.id) == "vanished":
                        codes |= {4}  # the hub was away for so long that it came too late for it
                break
    finally:
        start()
        assert worker is not None
        await worker
    said = f"{seed}: {goal} any={any} {fates} early={early} took {time.monotonic() - began_s:.1f} s"
    assert code in codes, f"{code} ({what}) is not in {codes}: {said}"


@pytest.mark.slow
@pytest.mark.parametrize("source", SOURCES)
async def test_schedules_over_restarts_come_out_right(
    directory: Path, writer: Store, served: Store, source: str
) -> None:
    """No hang and no wrong code: through a hub, by its URL, and in the bare directory."""
    seeds = [seed for seed in range(SCHEDULES) if SOURCES[seed % len(SOURCES)] == source]
    at_once = [seeds[begin : begin + AT_ONCE] for begin in range(0, len(seeds), AT_ONCE)]
    if source == "bare":
        for some in at_once:
            await asyncio.gather(*(one_schedule(seed, writer, None) for seed in some))
        return
    async with restarting_hub(served, stays_s=0.7) as url:
        where = url if source == "url" else None
        for some in at_once:
            await asyncio.gather(*(one_schedule(seed, writer, where) for seed in some))


@pytest.mark.parametrize("by_url", [False, True])
async def test_jobs_are_named_by_any_unique_start(
    served: Store, writer: Store, by_url: bool
) -> None:
    """An unknown one is an error at once; for ``gone`` it is what was wanted."""
    for id in ("mine-1", "mine-2", "other"):
        writer.create(jobs.complete(new_job(id), now=now()))
    async with running_hub(served) as hub:
        where: dict[str, Any] = {"url": hub.url} if by_url else {"store": writer}
        outcome = await wait_async(ids=["oth", "other", "mine-1"], **where)
        assert [verdict.id for verdict in outcome.verdicts] == ["other", "mine-1"]
        assert (await wait_async(ids="oth", **where)).met
        for until_what in ("terminal", "gone"):
            with pytest.raises(JobNotFound, match="mine-1, mine-2"):
                await wait_async(ids=["mine"], until=until_what, **where)
        with pytest.raises(JobNotFound, match="no job zzz"):
            await wait_async(ids=["zzz", "other"], any=True, **where)
        gone = await wait_async(ids=["zzz"], until="gone", **where)
        assert [(one.id, one.kind) for one in gone.verdicts] == [("zzz", "met")]
        with pytest.raises(InvalidId):
            await wait_async(ids=["../x"], until="gone", **where)


@pytest.mark.parametrize("by_url", [False, True])
async def test_a_filter_chooses_what_is_there_at_the_start(
    served: Store, writer: Store, by_url: bool
) -> None:
    """They are followed when they leave the filter, as they do when they end."""
    writer.create(new_job("a1"))
    writer.create(jobs.complete(new_job("b1"), now=now()))
    async with running_hub(served) as hub:
        where: dict[str, Any] = {"url": hub.url} if by_url else {"store": writer}
        waiting = asyncio.create_task(wait_async(filter=Filter(active=True), **where))
        await until(
            lambda: any(one.filter.ids for one in hub.server.hub.sessions.values()),
            what="the wait that follows by id",
        )
        writer.create(new_job("a2"))
        writer.update("a1", lambda job: jobs.complete(job, now=now()))
        outcome = await asyncio.wait_for(waiting, 5)
        assert [(one.id, one.reason) for one in outcome.verdicts] == [("a1", "completed")]
        none = Filter(types=frozenset({"none"}))
        assert (await wait_async(filter=none, **where)).code == 0
        assert (await wait_async(filter=none, any=True, **where)).code == 4


@pytest.mark.parametrize("by_url", [False, True])
async def test_a_cancelled_job_is_neither_met_nor_failed(
    served: Store, writer: Store, by_url: bool
) -> None:
    """However the jobs are chosen, and also if it is cancelled while it is waited for."""
    writer.create(new_job("a1", labels={"team": "data"}))
    writer.create(jobs.fail(new_job("a2", labels={"team": "web"}), "no", now=now()))
    async with running_hub(served) as hub:
        where: dict[str, Any] = {"url": hub.url} if by_url else {"store": writer}
        chosen = Filter.make(labels=["team=data"])
        waiting = asyncio.create_task(wait_async(filter=chosen, **where))
        await until(
            lambda: any(one.filter.ids for one in hub.server.hub.sessions.values()),
            what="the wait that follows by id",
        )
        writer.update("a1", lambda job: jobs.cancel(job, now=now(), by="anna", reason="late"))
        outcome = await asyncio.wait_for(waiting, 5)
        assert [(one.id, one.kind) for one in outcome.verdicts] == [("a1", "cancelled")]
        assert outcome.code == 6
        assert "job a1 was cancelled by anna: late" in str(outcome)
        assert (await wait_async(ids=["a1", "a2"], **where)).code == 3
        stopped = Filter.make(stages=["cancelled"])
        assert [one.id for one in (await wait_async(filter=stopped, **where)).verdicts] == ["a1"]


async def test_time_out_while_the_jobs_are_chosen_is_one(
    writer: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not a condition that is met by no jobs at all."""
    writer.create(new_job("a1"))
    real = wait_module._in_store
    monkeypatch.setattr(
        wait_module, "_in_store", lambda *args, **how: (time.sleep(0.3), real(*args, **how))[1]
    )
    for until_what in ("terminal", "gone"):
        with pytest.raises(TimedOut, match=r"could not be read within 0\.1 s"):
            await wait_async(writer, "a1", until=until_what, timeout_s=0.1)


async def test_more_jobs_than_a_request_can_name(served: Store, writer: Store) -> None:
    """By the URL of a hub as well."""
    ids = [f"{number:03d}-{'x' * 60}" for number in range(wait_module.once.MAX_IDS + 30)]
    for id in ids:
        writer.create(jobs.complete(new_job(id), now=now()))
    async with running_hub(served) as hub:
        for where in ({"url": hub.url}, {"store": writer}):
            outcome = await asyncio.wait_for(wait_async(ids=ids, **where), 10)  # type: ignore[arg-type]
            assert (outcome.code, len(outcome.verdicts)) == (0, len(ids))


async def test_a_time_out_names_what_was_not_met_and_zero_looks_once(writer: Store) -> None:
    """With the stage in which each of them stands."""
    writer.create(new_job("a1"))
    writer.create(jobs.complete(new_job("b1"), now=now()))
    for timeout_s in (0, 0.2):
        with pytest.raises(TimedOut, match=r"1 of 2 jobs not ended after .* s: a1 \(pending\)"):
            await wait_async(writer, ["a1", "b1"], timeout_s=timeout_s)
    assert (await wait_async(writer, ["b1"], timeout_s=0)).met


@pytest.mark.parametrize("goal", ["terminal", "completed", "gone", "stage=work"])
@pytest.mark.parametrize("chosen", [{"ids": ["a1"]}, {"filter": Filter(active=True)}])
async def test_a_time_out_before_the_jobs_are_known_meets_nothing(
    chosen: dict[str, Any], goal: str
) -> None:
    """A hub that accepts and does not answer; it must never look like success."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"ws://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(TimedOut, match=r"could not be read within 0\.2 s"):
            await wait_async(url=url, until=goal, timeout_s=0.2, **chosen)


async def test_verdicts_are_told_as_they_come(writer: Store) -> None:
    """Each once, before the end."""
    for id in ("a1", "b1"):
        writer.create(new_job(id))
    told: list[str] = []
    waiting = asyncio.create_task(
        wait_async(writer, ["a1", "b1"], on_verdict=lambda verdict: told.append(verdict.id))
    )
    writer.update("a1", lambda job: jobs.fail(job, "boom", now=now()))
    await until(lambda: told == ["a1"])
    assert not waiting.done()
    writer.update("b1", lambda job: jobs.complete(job, now=now()))
    assert (await asyncio.wait_for(waiting, 5)).code == 3
    assert told == ["a1", "b1"]


async def test_a_hub_that_is_out_of_reach_at_the_start_is_an_error_at_once(served: Store) -> None:
    """A typing mistake is not waited for."""
    async with running_hub(served) as hub:
        url = hub.url
    for chosen in ({"ids": ["a1"]}, {"filter": Filter(active=True)}):
        with pytest.raises(HubError, match="nobody listens there"):
            await wait_async(url=url, **chosen)  # type: ignore[arg-type]


async def test_what_makes_no_sense_is_a_usage_error(writer: Store) -> None:
    """Nothing to wait on, or two of what there is to be one of."""
    for args in (
        {"ids": ["a1"]},
        {"store": writer, "url": "ws://127.0.0.1:1", "ids": ["a1"]},
        {"store": writer},
        {"store": writer, "ids": ["a1"], "filter": Filter(active=True)},
        {"store": writer, "ids": ["a1"], "until": "tea"},
    ):
        with pytest.raises(UsageError):
            await wait_async(**args)  # type: ignore[arg-type]


def test_without_an_event_loop_it_is_a_plain_call() -> None:
    """From the package itself."""
    import jobctl

    store = open_store("memory:")
    store.create(jobs.fail(new_job("a1"), "boom", now=now()))
    outcome = jobctl.wait(store, "a1")
    assert (outcome.code, jobctl.wait is wait, jobctl.wait_async is wait_async) == (3, True, True)


def damage(directory: Path, id: str) -> str:
    """As a foreign writer does it that dies in the middle; returns what was there."""
    path = directory / f"{id}.json"
    whole = path.read_text()
    path.write_text(whole[:40])
    return whole


@pytest.mark.slow
@pytest.mark.parametrize("served_by_hub", [False, True])
@pytest.mark.parametrize("goal", ["terminal", "gone"])
async def test_a_file_that_stays_damaged_is_no_job_that_was_removed(
    directory: Path, writer: Store, served: Store, served_by_hub: bool, goal: str
) -> None:
    """It is there, and nobody can read it: an error that names it, after seconds of grace."""
    async with AsyncExitStack() as stack:
        if served_by_hub:
            await stack.enter_async_context(running_hub(served, watch_files=True))
        for id in ("a1", "b1"):
            writer.create(new_job(id))
        told: list[str] = []
        waiting = asyncio.create_task(
            wait_async(
                writer, ["a1", "b1"], until=goal, on_verdict=lambda verdict: told.append(verdict.id)
            )
        )
        writer.remove("b1") if goal == "gone" else finish(writer, "b1", "completed")
        await until(lambda: told == ["b1"])
        damage(directory, "a1")
        began_s = time.monotonic()
        with pytest.raises(StoreError, match=r"a1\.json is damaged: .*; mend the file"):
            await asyncio.wait_for(waiting, 12)
        assert time.monotonic() - began_s > wait_module._REPAIR_TIMEOUT_S
        assert told == ["b1"]
        with pytest.raises(StoreError, match=r"a1\.json is damaged"):
            await wait_async(writer, ["a1"], until=goal, timeout_s=0)


@pytest.mark.slow
@pytest.mark.parametrize("served_by_hub", [False, True])
async def test_a_file_that_is_mended_is_waited_for(
    directory: Path, writer: Store, served: Store, served_by_hub: bool
) -> None:
    """Though its readers had given it up."""
    async with AsyncExitStack() as stack:
        if served_by_hub:
            await stack.enter_async_context(running_hub(served, watch_files=True))
        writer.create(new_job("a1"))
        waiting = asyncio.create_task(wait_async(writer, ["a1"]))
        other = await stack.enter_async_context(Reader.of_store(writer))
        await until(lambda: other.contents)
        whole = damage(directory, "a1")
        await until(lambda: not other.contents, what="the quarantine")
        (directory / "a1.json").write_text(whole)
        await until(lambda: other.contents)
        assert not waiting.done()
        finish(writer, "a1", "completed")
        assert (await asyncio.wait_for(waiting, 5)).code == 0


@pytest.mark.slow
async def test_any_of_several_is_decided_beside_a_damaged_one(
    directory: Path, writer: Store
) -> None:
    """The damaged one is an error once it is the last hope."""
    for id in ("a1", "b1", "c1"):
        writer.create(new_job(id))
    tasks = [
        asyncio.create_task(wait_async(writer, ids, until="completed", any=True))
        for ids in (["a1", "b1"], ["a1", "c1"])
    ]
    async with Reader.of_store(writer) as other:
        await until(lambda: len(other.contents) == 3)
        damage(directory, "a1")
        await until(lambda: len(other.contents) == 2)
    finish(writer, "c1", "failed")
    finish(writer, "b1", "completed")
    assert (await asyncio.wait_for(tasks[0], 5)).code == 0
    with pytest.raises(StoreError, match=r"a1\.json is damaged"):
        await asyncio.wait_for(tasks[1], 12)


@pytest.mark.slow
@pytest.mark.parametrize("until_", ["terminal", "gone"])
async def test_by_a_hubs_url_a_damaged_file_is_an_error(
    directory: Path, writer: Store, served: Store, until_: str
) -> None:
    """Nobody has removed the job, and nobody knows whether it has ended."""
    writer.create(new_job("a1"))
    async with running_hub(served, watch_files=True) as hub:
        waiting = asyncio.create_task(wait_async(ids=["a1"], url=hub.url, until=until_))
        await until(lambda: hub.sessions)
        damage(directory, "a1")
        with pytest.raises(StoreError, match=r"a1\.json on .* is damaged: not JSON"):
            await asyncio.wait_for(waiting, 12)
        with pytest.raises(StoreError, match=r"a1\.json on .* is damaged: not JSON"):
            await wait_async(ids=["a1"], url=hub.url, until=until_)
