"""A worker that dies is lost for every reader within two seconds, and never before it dies."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from jobctl._clock import now
from jobctl.core.conditions import LOST
from jobctl.core.protocol import DeadOwners
from jobctl.core.transitions import complete
from jobctl.errors import StoreError
from jobctl.hub import feed as feed_module
from jobctl.reader.client import Client
from jobctl.reader.wait import wait_async
from jobctl.stores import Store, open_store
from tests.hub.network import HubProcess, Reader, running_hub, until
from tests.stores.support import environment

pytestmark = pytest.mark.slow

WORKER = """
import sys, time
from jobctl import track
with track("etl", store=sys.argv[1], id=sys.argv[2]) as job:
    job.stage("fetch")
    print("works", flush=True)
    time.sleep(60)
"""


@contextmanager
def worker(directory: Path, id: str) -> Iterator[subprocess.Popen[str]]:
    """A process that works on a job, until it is killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(directory), id],
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "works\n"
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


async def test_by_the_hub(served, directory):
    """To those who watch, to those who come later; and it is not lost any more once it ended."""
    async with running_hub(served) as hub, Reader.of_hub(hub.url) as reader:
        with worker(directory, "a1") as process, worker(directory, "a2"):
            await until(lambda: len(reader.contents) == 2)
            process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(1.5)
            assert reader.dead == []
            process.kill()
            await until(lambda: reader.lost == {"a1"}, 2)
            async with Reader.of_hub(hub.url) as other:
                await until(lambda: other.lost == {"a1"}, 2)
            served.update("a1", lambda job: job.replace(stage="failed"))
            await until(lambda: not reader.lost)


async def test_without_a_hub_and_across_one(served, directory):
    """The directory says the same; a hub that comes and goes in between makes no false alarm."""
    store = open_store(directory, create=True)
    async with Reader.of_store(store) as reader:
        with worker(directory, "a1") as process, worker(directory, "a2"):
            await until(lambda: len(reader.contents) == 2)
            process.kill()
            await until(lambda: reader.lost == {"a1"}, 2)
            async with running_hub(served):
                await until(lambda: reader.source == "hub")
                await until(lambda: reader.lost == {"a1"}, 2)
            await until(lambda: reader.source == "directory")
            await until(lambda: reader.lost == {"a1"}, 2)
            assert not any(job.id == "a2" for job in reader.set if job.lost(reader.dead[-1]))
    store.close()


async def test_through_restarts_of_the_hub(directory):
    """A hub that starts anew knows it from the directory."""
    hub = HubProcess(directory)
    with worker(directory, "a1") as process:
        async with Reader.of_hub(hub.url) as reader:
            await until(lambda: reader.contents)
            hub.kill()
            process.kill()
            with HubProcess(directory, port=hub.port):
                await until(lambda: reader.lost == {"a1"}, 5)


@asynccontextmanager
async def lost_at_a_hub(served: Store, directory: Path) -> AsyncIterator[Reader]:
    """A reader of a hub that knows the job ``a1`` to be lost."""
    async with running_hub(served) as hub, Reader.of_hub(hub.url) as reader:
        with worker(directory, "a1") as process:
            await until(lambda: reader.contents)
            process.kill()
            await until(lambda: reader.lost == {"a1"}, 2)
        yield reader


async def stays_known(directory: Path, for_s: float) -> None:
    """The file of the one owner stays, for so many seconds."""
    end = time.monotonic() + for_s
    while time.monotonic() < end:
        assert len(list((directory / ".jobctl" / "owners").iterdir())) == 1
        await asyncio.sleep(0.01)


async def test_who_has_no_job_left_is_forgotten(served, directory, monkeypatch):
    """The files of the dead do not pile up where a hub runs; those of lost jobs stay."""
    monkeypatch.setattr(feed_module, "_FORGET_OWNERS_S", 0.2)
    monkeypatch.setattr(feed_module, "POLL_S", 0.1)
    owners = directory / ".jobctl" / "owners"
    async with lost_at_a_hub(served, directory) as reader:
        await stays_known(directory, 1)
        served.remove("a1")
        await until(lambda: not list(owners.iterdir()))
        await until(lambda: reader.dead[-1] == frozenset())


async def test_who_may_own_a_job_that_cannot_be_read_is_kept(served, directory, monkeypatch):
    """Its file may heal, and then the job is lost, and not nobody's."""
    monkeypatch.setattr(feed_module, "_FORGET_OWNERS_S", 0.1)
    monkeypatch.setattr(feed_module, "POLL_S", 0.05)
    async with lost_at_a_hub(served, directory) as reader:
        whole = (directory / "a1.json").read_bytes()
        (directory / "a1.json").write_bytes(whole[:100])
        served.refresh()
        await until(lambda: not served.refresh() and not reader.contents, 5)
        await stays_known(directory, 0.5)
        (directory / "a1.json").write_bytes(whole)
        served.refresh()
        await until(lambda: reader.lost == {"a1"}, 5)


async def test_death_is_told_only_after_a_look_that_succeeded(served, directory, monkeypatch):
    """A hub that cannot read the store does not know what the dead have written last."""
    monkeypatch.setattr(feed_module, "POLL_S", 0.05)
    async with running_hub(served) as hub, Reader.of_hub(hub.url) as reader:
        with worker(directory, "a1") as process:
            await until(lambda: reader.contents)
            with monkeypatch.context() as broken:
                broken.setattr(served, "behind", out_of_reach)
                served.update("a1", lambda job: complete(job, now=now()))
                process.kill()
                process.wait()
                end = time.monotonic() + 0.5
                while time.monotonic() < end:
                    assert reader.dead == []
                    await asyncio.sleep(0.01)
            await until(lambda: reader.dead)
            assert reader.set.get("a1").stage == "completed"


def out_of_reach(*args: object) -> int:
    raise StoreError("out of reach")


async def test_death_is_known_to_who_asks_once(served, directory, monkeypatch):
    """The first client of all, which leaves when it has what there is."""
    look = served.owners.dead
    monkeypatch.setattr(served.owners, "dead", lambda: (time.sleep(0.2), look())[1])
    with worker(directory, "a1") as process:
        process.kill()
        process.wait()
        async with running_hub(served) as hub:
            events = [event async for event in Client(hub.url, once=True)]
        dead = [event.dead for event in events if isinstance(event, DeadOwners)]
        assert dead == [look()] != [frozenset()]


async def test_hub_ends_while_a_client_waits_to_hear_of_the_dead(served, monkeypatch):
    """FAULTS row 24: nothing holds up the end."""
    asked, go_on = threading.Event(), threading.Event()
    monkeypatch.setattr(served.owners, "dead", lambda: (asked.set(), go_on.wait(20))[1])
    try:
        async with running_hub(served) as hub, Reader.of_hub(hub.url):
            await until(asked.is_set)
            began = time.monotonic()
        assert time.monotonic() - began < 3
    finally:
        go_on.set()


@pytest.mark.parametrize("by_url", [False, True])
async def test_waiting_for_a_job_whose_worker_dies_is_over(served, directory, by_url):
    """At once: the condition can no longer come. The hub, or the directory, says so."""
    async with AsyncExitStack() as stack:
        where = {"store": served}
        if by_url:
            hub = await stack.enter_async_context(running_hub(served))
            where = {"url": hub.url}
        with worker(directory, "a1") as process, worker(directory, "a2"):
            waiting = asyncio.create_task(wait_async(**where, ids=["a1"], timeout_s=20))
            other = asyncio.create_task(wait_async(**where, ids=["a2"], timeout_s=20))
            await asyncio.sleep(1)
            assert not waiting.done()
            process.kill()
            outcome = await asyncio.wait_for(waiting, 2)
            assert (outcome.code, outcome.verdicts[0].reason) == (3, LOST)
            late = await wait_async(**where, ids=["a1"], timeout_s=5)
            assert late.code == 3
            assert not other.done()
            served.update("a2", lambda job: complete(job, now=now()))
            assert (await asyncio.wait_for(other, 5)).code == 0


async def test_last_words_come_before_the_death(served, directory):
    """A worker that ends its job and dies at once has not lost it, for whoever waits."""
    script = WORKER.replace("time.sleep(60)", "job.complete(); os._exit(9)").replace(
        "import sys", "import os, sys"
    )
    async with running_hub(served) as hub:
        for number in range(5):
            id = f"b{number}"
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", script, str(directory), id, env=environment()
            )
            await process.wait()
            assert (await wait_async(url=hub.url, ids=[id], timeout_s=5)).code == 0
            assert (await wait_async(store=served, ids=[id], timeout_s=5)).code == 0
