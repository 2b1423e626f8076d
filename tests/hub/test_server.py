"""The hub on a port: both dialects, lazily subscribed, cleanly stopped."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import shutil
import socket
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from jobctl.core.transitions import fail
from jobctl.errors import AddressInUse, HubError, StoreError
from jobctl.hub import server as server_module
from jobctl.hub.access import AccessPolicy
from jobctl.hub.listen import listen
from jobctl.stores import open_store
from tests.hub.network import (
    HubProcess,
    Reader,
    new_job,
    plain,
    raw_upgrade,
    retitle,
    running_hub,
    said,
    stored,
    until,
    v1,
)

NODE_APP_JOBS = Path(__file__).parent.parent / "data" / "node-app-jobs"
LATER = "2030-01-01T00:00:00.000Z"


def bells(directory: Path) -> int:
    """How many listen to the directory's bell."""
    bell = directory / ".jobctl" / "bell"
    return len(list(bell.iterdir())) if bell.exists() else 0


async def test_v1_client_gets_a_snapshot_then_each_change(served, writer):
    """Both are deltas; the second follows on the first."""
    writer.create(new_job("a1"))
    async with running_hub(served) as hub, v1(hub.url) as connection:
        first = await said(connection)
        assert [first["type"], first["since"], first["more"]] == ["jobs:delta", 0, False]
        assert [job["id"] for job in first["jobs"]] == ["a1"]
        writer.update("a1", retitle("two"))
        second = await said(connection)
        assert second["since"] == first["through"]
        assert second["jobs"][0]["title"] == "two"


async def test_plain_client_gets_the_original_programs_jobs_newest_first(tmp_path):
    """Its files are served as they lie: active ones in init, then each change."""
    directory = tmp_path / "jobs"
    shutil.copytree(NODE_APP_JOBS, directory)
    before = {path.name: path.read_bytes() for path in directory.glob("*.json")}
    served, writer = open_store(directory, adopt=True), open_store(directory)
    async with running_hub(served) as hub, plain(hub.url) as connection:
        init = await said(connection)
        assert init["type"] == "jobs:init"
        times = [job["createdAt"] for job in init["jobs"]]
        assert times == sorted(times, reverse=True)
        active = {id for id in writer.ids() if writer.get(id).active}
        assert {job["id"] for job in init["jobs"]} == active
        assert len(active) > 1
        id = init["jobs"][0]["id"]
        changed = writer.update(id, lambda job: fail(job, "stop", now=LATER))
        update = await said(connection)
        assert (update["type"], update["job"]["id"]) == ("jobs:update", id)
        assert (update["job"]["stage"], update["job"]["revision"]) == ("failed", changed.revision)
        other = init["jobs"][1]["id"]
        writer.remove(id)  # which its client knows as ended
        writer.remove(other)
        update = await said(connection)
        assert (update["type"], update["job"]["id"]) == ("jobs:update", other)
        assert (update["job"]["stage"], update["job"]["error"]) == ("failed", "Removed")
    served.close()
    writer.close()
    after = {path.name: path.read_bytes() for path in directory.glob("*.json")}
    del before[f"{id}.json"], before[f"{other}.json"]
    assert after == before


async def test_pings_are_answered(served):
    """In both dialects, with what the client measures by."""
    async with running_hub(served) as hub:
        for way in (plain, v1):
            async with way(hub.url) as connection:
                await said(connection)
                await connection.send('{"type":"jobs:ping","at":17}')
                answer = await said(connection)
                assert (answer["type"], answer["at"]) == ("jobs:pong", 17)


async def test_message_that_is_not_understood_is_told_by_its_close_code(served):
    """A client that would only repeat itself is told not to come back like this."""
    async with running_hub(served) as hub, v1(hub.url) as connection:
        await said(connection)
        await connection.send('{"type":"jobs:steal"}')
        with pytest.raises(ConnectionClosed) as caught:
            await said(connection)
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 4400
        assert "jobs:steal" in caught.value.rcvd.reason


async def test_store_is_subscribed_only_while_there_are_clients(served, directory):
    """No bell socket and no task while nobody reads; the cursor makes that free of loss."""
    async with running_hub(served) as hub:
        assert bells(directory) == 0
        assert not hub.server.feed.active
        for _ in range(2):
            async with v1(hub.url) as connection, v1(hub.url):
                await said(connection)
                assert bells(directory) == 1
            await until(lambda: hub.sessions == 0)
            await until(lambda: bells(directory) == 0)
            assert not hub.server.feed.active
    assert bells(directory) == 0


async def test_what_was_written_while_nobody_was_there_is_served(served, writer):
    """A hub that slept reads before it speaks."""
    async with running_hub(served) as hub:
        async with v1(hub.url) as connection:
            await said(connection)
        await until(lambda: not hub.server.feed.active)
        writer.create(new_job("a1"))
        async with v1(hub.url) as connection:
            assert [job["id"] for job in (await said(connection))["jobs"]] == ["a1"]


async def test_log_tells_who_comes_and_goes(served, caplog):
    """Open and close with code and reason, subscription start and stop, with session counts."""
    caplog.set_level(logging.INFO, "jobctl.hub")
    async with running_hub(served) as hub:
        async with plain(hub.url) as first, v1(hub.url) as second:
            await said(first)
            await said(second)
        await until(lambda: not hub.server.feed.active)
    events = [(record.getMessage(), record) for record in caplog.records]
    names = [name for name, _ in events]
    assert names[0] == "listening"
    assert names[-1] == "stopped"
    assert names.count("open") == names.count("close") == 2
    assert names.count("subscribed") == names.count("unsubscribed") == 1
    assert names.index("unsubscribed") > len(names) - 3
    opened = [record for name, record in events if name == "open"]
    assert [(record.dialect, record.sessions) for record in opened] == [
        ("plain", 1),
        ("jobctl.v1", 2),
    ]
    closed = [record for name, record in events if name == "close"]
    assert [record.sessions for record in closed] == [1, 0]
    assert [(record.code, record.reason) for record in closed] == [(1000, "")] * 2
    assert {record.session for record in closed} == {record.session for record in opened}


async def test_port_that_is_taken_is_said_clearly(served):
    """FAULTS row 20: the second bind fails; nobody shares a port by reuse_port."""
    async with running_hub(served) as hub:
        with pytest.raises(AddressInUse, match=f"127.0.0.1:{hub.port} is already in use"):
            async with running_hub(served, port=hub.port):
                pass


async def test_address_that_cannot_be_bound_is_said_clearly(served):
    """Another machine's address is no place to listen."""
    stop = asyncio.Event()
    with pytest.raises(HubError, match=r"cannot listen on 192\.0\.2\.1"):
        await server_module.serve(
            served,
            host="192.0.2.1",
            access=AccessPolicy("192.0.2.1", insecure=True),
            port=0,
            stop=stop,
        )


def open_files() -> int:
    """How many descriptors this process has."""
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
@pytest.mark.parametrize("why", ["taken", "foreign", "unnamed", "unannounced"])
async def test_hub_that_cannot_start_leaves_nothing_behind(directory, why):
    """No task, no descriptor, no handler of the loop's, no file among the hubs', no open port."""
    store = open_store(directory, create=True, adopt=True)
    store.head()
    loop = asyncio.get_running_loop()
    handler = lambda loop, context: None  # noqa: E731
    loop.set_exception_handler(handler)
    hubs = directory / ".jobctl" / "hubs"
    with ExitStack() as stack:
        host, port = (
            {"foreign": "192.0.2.1", "unnamed": "no.such.host.invalid"}.get(why, "127.0.0.1"),
            0,
        )
        if why == "taken":
            taken = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            port = taken.getsockname()[1]
        elif why == "unannounced":
            hubs.write_text("")
        gc.collect()  # what earlier tests left to it would look closed by this one
        tasks, files = asyncio.all_tasks(), open_files()
        for _ in range(2):
            access = AccessPolicy(host, insecure=True)
            with pytest.raises((HubError, StoreError)) as failed:
                await server_module.serve(
                    store, host=host, access=access, port=port, stop=asyncio.Event()
                )
        assert asyncio.all_tasks() == tasks
        assert failed.value.exit_code == 5
        del failed
        gc.collect()
        assert open_files() == files
        assert loop.get_exception_handler() is handler
        assert not hubs.is_dir() or list(hubs.iterdir()) == []
    loop.set_exception_handler(None)
    store.close()


async def test_sockets_that_listen_already_are_served_and_closed(served):
    """Whoever connects before the store is open waits, and is served then."""
    served.create(new_job("a1"))
    sockets = listen("localhost", 0)
    address = sockets.tcp[0].getsockname()
    with socket.create_connection(address[:2]) as early:
        early.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        stop, urls = asyncio.Event(), asyncio.Queue[str]()
        serving = asyncio.create_task(
            server_module.serve(
                served, host="localhost", stop=stop, ready=urls.put_nowait, sockets=sockets
            )
        )
        assert f":{address[1]}/" in await urls.get()
        assert (await asyncio.to_thread(early.recv, 100)).startswith(b"HTTP/1.1 200 ")
        stop.set()
        await serving
    assert {sock.fileno() for sock in sockets} == {-1}


async def test_two_hubs_on_one_directory_both_converge(directory, writer):
    """FAULTS row 20: two hubs adopt and serve one directory; neither disturbs the other."""
    one, two = (open_store(directory, adopt=True) for _ in range(2))
    async with (
        running_hub(one, watch_files=True) as hub_one,
        running_hub(two, watch_files=True) as hub_two,
        Reader.of_hub(hub_one.url) as first,
        Reader.of_hub(hub_two.url) as second,
    ):
        for number in range(20):
            writer.create(new_job(f"a{number}"))
        writer.remove("a3")
        (directory / "a4.json").unlink()
        await until(
            lambda: first.contents == second.contents == stored(writer) and len(first.set) == 18
        )
        assert first.cursor.epoch == second.cursor.epoch
    one.close()
    two.close()


@pytest.mark.slow
async def test_stop_takes_under_3_s_with_a_silent_peer(directory):
    """FAULTS row 24: peers that read nothing and half handshakes hold nobody up; exit 0."""
    with HubProcess(directory) as hub:
        writer = open_store(directory)
        writer.create(new_job("a1"))
        silent = raw_upgrade(hub.port, receive_buffer=4096)
        half = raw_upgrade(hub.port, headers="X-Unfinished: head")
        assert silent.recv(1)
        for number in range(60):
            writer.update("a1", retitle(f"{number} " + "x" * 100_000))
        began_s = time.monotonic()
        hub.process.terminate()
        await asyncio.to_thread(hub.process.wait, 5)
        assert time.monotonic() - began_s < 3
        assert hub.process.returncode == 0
        for sock in (silent, half):
            sock.close()
        writer.close()


async def test_clients_are_told_to_come_back(served):
    """A stop is announced with 1001, so that clients try again at their pace."""
    async with running_hub(served) as hub:
        connection = await v1(hub.url)
        await said(connection)
    with pytest.raises(ConnectionClosed) as caught:
        await said(connection)
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1001
    await connection.close()
