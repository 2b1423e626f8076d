"""Periodic tasks of the hub: they run in threads, and do not block the hub."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time

import pytest

from jobctl._clock import now_ms
from jobctl.core import transitions as jobs
from jobctl.core.times import to_text
from jobctl.errors import StoreError
from jobctl.hub.periodic import PeriodicTask, PeriodicTasks, TaskResult
from jobctl.hub.server import serve
from jobctl.stores import open_store
from jobctl.upkeep.tasks import prune_task, reap_task
from tests.hub.network import Reader, new_job, stored, until
from tests.stores.support import environment

pytestmark = pytest.mark.usefixtures("heard")


@pytest.fixture
def heard(caplog):
    """All events, as records."""
    caplog.set_level(logging.INFO, logger="jobctl.hub")
    return caplog


async def hub(store, periodic_tasks):
    """A hub with these periodic tasks; its URL, its task, and what stops it."""
    stop, urls = asyncio.Event(), []
    task = asyncio.create_task(
        serve(store, port=0, periodic_tasks=periodic_tasks, stop=stop, ready=urls.append)
    )
    await until(lambda: urls or task.done())
    return urls[0], task, stop


def ended(id, days):
    at = to_text(now_ms() - days * 86_400_000)
    return jobs.complete(jobs.create("etl", now=at, id=id), now=at)


async def test_tasks_run_at_once_and_again_in_threads(served):
    """Not in the event loop's; each in its own, never twice at once."""
    calls: list[threading.Thread] = []

    def call(stopping):
        calls.append(threading.current_thread())
        return TaskResult()

    _, task, stop = await hub(
        served, [PeriodicTask("one", 0.01, call), PeriodicTask("two", 3600, call)]
    )
    await until(lambda: len(calls) > 4)
    stop.set()
    await task
    assert threading.main_thread() not in calls
    assert sorted({thread.name for thread in calls}) == ["jobctl-one", "jobctl-two"]
    assert [thread.name for thread in calls].count("jobctl-two") == 1
    for thread in set(calls):
        thread.join(5)
        assert not thread.is_alive()


@pytest.mark.slow
async def test_a_long_task_holds_up_no_other(served, writer):
    """Clients are served meanwhile, and the stop waits only a little."""
    begun, leave = threading.Event(), threading.Event()

    def call(stopping):
        begun.set()
        leave.wait(20)
        raise StoreError("too late to be news")

    url, task, stop = await hub(served, [PeriodicTask("slow", 1, call)])
    try:
        await until(begun.is_set)
        async with Reader.of_hub(url) as reader:
            writer.create(new_job("a"))
            await until(lambda: reader.contents == stored(writer) != {})
        stop.set()
        began_s = time.monotonic()
        await task
        assert time.monotonic() - began_s < 3
    finally:
        leave.set()


async def test_what_goes_wrong_is_said_once_until_it_is_over(heard):
    """An error that stays is one event; a new one, or the same after a good turn, is another."""
    outcomes = [
        *[TaskResult(errors=[StoreError("disk full")])] * 3,
        TaskResult({"jobs": 2}),
        *[ValueError("odd\x1b")] * 2,
        TaskResult(errors=[StoreError("disk full"), StoreError("and more")]),
    ]
    turns = iter(outcomes)
    over = threading.Event()
    ended: list[bool] = []

    def call(stopping):
        outcome = next(turns, None)
        if outcome is None:
            ended.append(True)
            if len(ended) > 1:
                over.set()
            return TaskResult()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    keeping = PeriodicTasks([PeriodicTask("tidy", 0.001, call)])
    keeping.start()
    await until(over.is_set)
    await keeping.stop()
    logged = [(record.levelname, record.getMessage()) for record in heard.records]
    assert logged == [
        ("ERROR", "tidy failed: disk full"),
        ("INFO", "tidy"),
        ("WARNING", "tidy works again"),
        ("ERROR", "tidy failed: odd\x1b"),
        ("ERROR", "tidy failed: and more"),
        ("ERROR", "tidy failed: disk full"),
        ("WARNING", "tidy works again"),
    ]
    assert [record.jobs for record in heard.records if record.levelname == "INFO"] == [2]


async def test_a_stop_ends_a_task_between_two_jobs(served, heard):
    """The event that it gets is set; what it says after that is no news."""
    seen: list[bool] = []

    def call(stopping):
        seen.append(stopping.wait(20))
        return TaskResult({"never": "said"})

    _, task, stop = await hub(served, [PeriodicTask("patient", 1, call)])
    stop.set()
    await task
    assert seen == [True]
    assert "patient" not in {record.getMessage() for record in heard.records}


async def test_the_hub_prunes_and_its_clients_hear_of_it(served, writer, directory, heard):
    """One event says how many; those who look see the jobs go."""
    for id, days in (("old", 8), ("older", 9), ("fresh", 1)):
        writer.create(ended(id, days))
    go_on = threading.Event()
    side = open_store(directory)
    periodic_task = prune_task(side, 7 * 86_400)

    def call(stopping):
        go_on.wait(20)
        return periodic_task.call(stopping)

    url, task, stop = await hub(served, [periodic_task._replace(call=call)])
    async with Reader.of_hub(url) as reader:
        await until(lambda: set(reader.contents) == {"old", "older", "fresh"})
        go_on.set()
        await until(lambda: set(reader.contents) == {"fresh"})
        assert reader.resets == 1
    await until(lambda: any(record.getMessage() == "prune" for record in heard.records))
    event = next(record for record in heard.records if record.getMessage() == "prune")
    assert event.removed == 2
    stop.set()
    await task
    side.close()
    assert set(stored(writer)) == {"fresh"}


async def test_a_prune_task_with_nothing_to_do_logs_nothing(served, writer, heard):
    """Every minute of a quiet day."""
    writer.create(ended("fresh", 1))
    done = prune_task(writer, 7 * 86_400).call(threading.Event())
    assert done == ({}, ())


@pytest.mark.slow
async def test_the_hub_reaps_lost_jobs_with_nobody_looking(served, directory, heard):
    """serve --reap: within two seconds, with the reason; jobs of the living are left alone."""
    script = """
import sys, time
from jobctl import track
with track("etl", store=sys.argv[1], id=sys.argv[2]):
    print("works", flush=True)
    time.sleep(60)
"""
    processes = []
    try:
        for id in ("a1", "a2"):
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", script, str(directory), id,
                env=environment(), stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
            processes.append(process)
            assert await process.stdout.readline() == b"works\n"
        side = open_store(directory)
        _, task, stop = await hub(served, [reap_task(side)])
        processes[0].kill()
        await until(lambda: served.get("a1").stage == "failed", 2)
        error = served.get("a1").error
        assert error.startswith(f"Lost: process {processes[0].pid} on ")
        assert served.get("a2").active
        await until(lambda: "reap" in heard.messages)
        stop.set()
        await task
        side.close()
    finally:
        for process in processes:
            if process.returncode is None:
                process.kill()
            await process.wait()
