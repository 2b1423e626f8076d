"""The hub's reading of its store: bells lost, forged and flooded; foreign writers; defects."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import threading
import time
from pathlib import Path

import pytest

from jobctl.errors import StoreError
from jobctl.hub import feed as feed_module
from jobctl.hub.liveness import Liveness
from jobctl.stores import BadFile
from tests.hub.network import (
    HubProcess,
    Reader,
    contents,
    new_job,
    retitle,
    running_hub,
    said,
    stored,
    until,
    v1,
)

pytestmark = pytest.mark.usefixtures("quick_poll")


@pytest.fixture
def quick_poll(monkeypatch):
    """A poll every 0.2 s, where it is 1 s in earnest."""
    assert feed_module.POLL_S <= 1
    monkeypatch.setattr(feed_module, "POLL_S", 0.2)


def silence(store, monkeypatch):
    """Lose every ring of this writer."""
    monkeypatch.setattr(store._bell, "ring", lambda: None)


async def test_change_comes_at_once_by_the_bell(served, writer, monkeypatch):
    """H: with a bell nobody waits for the poll."""
    monkeypatch.setattr(feed_module, "POLL_S", 60.0)
    async with running_hub(served) as hub, Reader.of_hub(hub.url) as reader:
        await until(lambda: reader.deltas)
        writer.create(new_job("a1"))
        await until(lambda: reader.contents == stored(writer), 0.2)


async def test_every_ring_lost_costs_latency_only(served, writer, monkeypatch):
    """FAULTS row 21: without one ring the poll finds everything within P."""
    silence(writer, monkeypatch)
    async with running_hub(served) as hub, Reader.of_hub(hub.url) as reader:
        await until(lambda: reader.deltas)
        for number in range(5):
            writer.create(new_job(f"a{number}"))
        await until(lambda: reader.contents == stored(writer), 2)
        assert len(reader.set) == 5


async def test_forged_rings_say_nothing(served, writer):
    """FAULTS row 21: a ring carries no data, so a lie in it changes nothing."""
    writer.create(new_job("a1"))
    async with running_hub(served) as hub, Reader.of_hub(hub.url) as reader:
        await until(lambda: reader.deltas)
        for _ in range(5):
            writer._bell.ring()
        writer.update("a1", retitle("two"))
        await until(lambda: reader.contents == stored(writer))
        assert len(reader.deltas) == 2


async def test_a_client_that_asks_for_bad_files_gets_its_jobs_while_the_store_hangs(
    served, writer, monkeypatch
):
    """What is known is served meanwhile, and to those who connect at the same time as well."""
    monkeypatch.setattr(feed_module, "_MAX_WAIT_S", 0.05)
    writer.create(new_job("a1"))
    over = threading.Event()

    def hang() -> list[BadFile]:
        over.wait()
        return []

    async with running_hub(served) as hub, Reader.of_hub(hub.url) as reader:
        await until(lambda: reader.deltas)
        monkeypatch.setattr(served, "bad", hang)
        try:
            async with v1(f"{hub.url}?bad=1") as asking, Reader.of_hub(hub.url) as other:
                message = await said(asking, 2.0)
                assert [job["id"] for job in message["jobs"]] == ["a1"]
                await until(lambda: other.contents == stored(writer))
        finally:
            monkeypatch.undo()
            over.set()


@pytest.mark.slow
async def test_flood_of_rings_is_heard_together(directory, writer, monkeypatch):
    """FAULTS row 21: 10⁵ rings a second cost the hub a fifth of a core at the most."""
    with HubProcess(directory) as hub, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ringer:
        ringer.setblocking(False)
        stop = threading.Event()
        async with Reader.of_hub(hub.url) as reader:
            await until(lambda: reader.deltas)
            bell = next((directory / ".jobctl" / "bell").iterdir())
            monkeypatch.chdir(bell.parent)  # the path of a Unix socket is short

            def flood():
                while not stop.is_set():
                    try:
                        ringer.sendto(b"!", bell.name)
                    except BlockingIOError:
                        time.sleep(0.00005)

            thread = threading.Thread(target=flood)
            thread.start()
            try:
                await asyncio.to_thread(time.sleep, 0.3)  # the hub learns that it is flooded
                before_s, began_s = cpu_s(hub.process.pid), time.monotonic()
                await asyncio.to_thread(time.sleep, 1.5)
                share = (cpu_s(hub.process.pid) - before_s) / (time.monotonic() - began_s)
                writer.create(new_job("a1"))
                await until(lambda: reader.contents == stored(writer), 2)
            finally:
                stop.set()
                thread.join()
        assert share < 0.2


def cpu_s(pid: int) -> float:
    """Seconds of processor time that the process has used."""
    words = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("task", ["_poll", "_refresh", "_watch"])
async def test_task_that_dies_ends_the_hub(served, monkeypatch, task):
    """FAULTS row 22: a defect in the background ends the hub with its error; no silent freeze."""

    async def die(_: object) -> None:
        raise RuntimeError("defect")

    monkeypatch.setattr(feed_module.Feed, task, die)
    async with running_hub(served, watch_files=True) as hub:
        connection = await v1(hub.url)
        await until(hub.task.done)
        with pytest.raises(RuntimeError, match="defect"):
            hub.task.result()
        await connection.close()


async def test_defect_while_reading_ends_the_hub(served, writer, monkeypatch):
    """FAULTS row 22: what is no error of the store is a defect, wherever it is met."""
    async with running_hub(served) as hub, v1(hub.url) as connection:
        await connection.recv()
        monkeypatch.setattr(served, "since", lambda cursor: 1 / 0)
        writer.create(new_job("a1"))
        await until(hub.task.done)
        with pytest.raises(ZeroDivisionError):
            hub.task.result()


async def test_sweep_that_dies_ends_the_hub(served, monkeypatch):
    """FAULTS row 22: also the task that finds the silent."""

    async def die(_: object) -> None:
        raise RuntimeError("defect")

    monkeypatch.setattr(Liveness, "run", die)
    async with running_hub(served) as hub:
        await until(hub.task.done)
        with pytest.raises(RuntimeError, match="defect"):
            hub.task.result()


async def test_trouble_of_the_store_is_said_once_and_outlived(served, writer, monkeypatch, caplog):
    """What is known is served meanwhile, and the next read tries again."""
    writer.create(new_job("a1"))
    async with running_hub(served) as hub, Reader.of_hub(hub.url) as reader:
        await until(lambda: reader.deltas)
        with monkeypatch.context() as patched:

            def refuse(cursor: object) -> None:
                tries.append(cursor)
                raise StoreError("out of reach")

            tries: list[object] = []
            patched.setattr(served, "since", refuse)
            writer.update("a1", retitle("two"))
            await until(lambda: len(tries) > 2)
            async with Reader.of_hub(hub.url) as lagging:
                await until(lambda: lagging.deltas)
                assert lagging.contents == reader.contents
        await until(lambda: reader.contents == stored(writer))
    said = [record for record in caplog.records if "out of reach" in record.getMessage()]
    assert len(said) == 1


@pytest.mark.slow
@pytest.mark.parametrize("by_rename", [True, False])
async def test_foreign_writer_is_seen_within_a_second(served, directory, writer, by_rename):
    """A program that knows nothing of us works in the directory: its changes are live."""
    writer.create(new_job("a1"))
    async with running_hub(served, watch_files=True) as hub, Reader.of_hub(hub.url) as reader:
        await until(lambda: reader.deltas)
        for number in range(3):
            path = directory / "a1.json"
            value = {**json.loads(path.read_text()), "title": f"theirs {number}"}
            text = json.dumps(value, indent=2) + "\n"
            began_s = time.monotonic()
            if by_rename:
                (directory / "theirs.tmp").write_text(text)
                (directory / "theirs.tmp").rename(path)
            else:
                path.write_text(text)
            await until(lambda n=number: reader.set.get("a1").title == f"theirs {n}")
            assert time.monotonic() - began_s < 1
        (directory / "a1.json").unlink()
        await until(lambda: reader.contents == {}, 3)  # a second of grace


@pytest.mark.slow
async def test_half_written_foreign_file_keeps_its_last_good_value(served, directory, writer):
    """In-place writers pause amid a file: nobody is shown the torn half, nor that the job went."""
    writer.create(new_job("a1", title="good"))
    async with running_hub(served, watch_files=True) as hub, Reader.of_hub(hub.url) as reader:
        await until(lambda: reader.deltas)
        path = directory / "a1.json"
        whole = path.read_text().replace("good", "whole")
        with path.open("w") as file:
            file.write(whole[:60])
            file.flush()
            refreshed = hub.server.feed._loop.time()
            writer.create(new_job("b1"))
            await until(lambda: "b1" in reader.contents)
            while hub.server.feed._loop.time() - refreshed < 0.6:
                assert reader.contents["a1"] == ("pending", "good")
                await asyncio.sleep(0.01)
            file.write(whole[60:])
        await until(lambda: reader.contents["a1"] == ("pending", "whole"), 1)
        assert all(not delta.gone for delta in reader.deltas)


@pytest.mark.slow
async def test_foreign_file_that_stays_torn_is_quarantined(served, directory, writer):
    """After its second of grace the job is gone, and named in the quarantine; others stay."""
    writer.create(new_job("a1"))
    writer.create(new_job("b1"))
    async with running_hub(served, watch_files=True) as hub, Reader.of_hub(hub.url) as reader:
        await until(lambda: len(reader.set) == 2)
        (directory / "a1.json").write_text("{")
        await until(lambda: set(reader.contents) == {"b1"}, 3)
        assert [bad.name for bad in served.bad()] == ["a1.json"]


@pytest.mark.slow
async def test_large_store_is_loaded_beside_the_loop(served, writer):
    """A first read of many jobs is done in a thread, and then paged out."""
    for number in range(400):
        writer.create(new_job(f"a{number}", title="x" * 1500))
    async with running_hub(served) as hub, Reader.of_hub(hub.url) as reader:
        await until(lambda: len(reader.set) == 400)
        assert len(reader.deltas) > 2
        assert reader.contents == contents(hub.server.hub.replica) == stored(writer)


async def test_a_defect_after_a_large_read_ends_the_hub(served, monkeypatch):
    """FAULTS row 22: a replica that cannot be taken over is no reason to freeze in silence."""

    def broken(self, replica):
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr("jobctl.hub.sessions.Hub.replace_replica", broken)
    with pytest.raises(ZeroDivisionError):
        async with running_hub(served) as hub, v1(hub.url):
            await asyncio.wait_for(hub.task, 5)


@pytest.mark.slow
async def test_replaced_directory_is_watched_anew(served, directory, writer):
    """FAULTS row 12: foreign writers in the directory that took its place are seen live, too."""
    writer.create(new_job("a1"))
    async with running_hub(served, watch_files=True) as hub, Reader.of_hub(hub.url) as reader:
        await until(lambda: reader.deltas)
        foreign = (directory / "a1.json").read_text()
        directory.rename(directory.with_name("old"))
        directory.mkdir()
        (directory / "b1.json").write_text(foreign.replace("a1", "b1"))
        await until(lambda: "b1" in reader.contents, 10)
        await asyncio.sleep(2.5)  # the watch looks where it stands once a second
        (directory / "b2.json").write_text(foreign.replace("a1", "b2"))
        await until(lambda: "b2" in reader.contents, 1.5)


@pytest.mark.slow
async def test_what_could_not_be_looked_at_is_looked_at_again(
    served, directory, writer, monkeypatch
):
    """A report of the system is kept while the store gives an error, which is told once."""
    examined, failing = [], True

    def refresh(ids=None):
        examined.append(ids)
        if failing:
            raise StoreError("the disk is away")
        return False

    monkeypatch.setattr(served, "refresh", refresh)
    async with running_hub(served, watch_files=True) as hub, Reader.of_hub(hub.url) as reader:
        await until(lambda: reader.deltas)
        await asyncio.sleep(1)  # until the system watches
        (directory / "b1.json").touch()
        await until(lambda: {"b1"} in examined)
        (directory / "b2.json").touch()
        await until(lambda: {"b1", "b2"} in examined)
        failing = False
