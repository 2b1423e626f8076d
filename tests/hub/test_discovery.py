"""How a hub on a directory is found, and how a dead one is known."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import socket
import subprocess
import sys
import time

import pytest

from jobctl.config import Where
from jobctl.errors import StoreError
from jobctl.hub.access import AccessPolicy
from jobctl.hub.discovery import announced, running_hubs, usable_hub
from jobctl.hub.server import HubServer
from jobctl.stores import open_store
from jobctl.upkeep.doctor.finding import CheckContext
from jobctl.upkeep.doctor.listeners import hubs
from tests.hub.network import HubProcess, Reader, new_job, running_hub, until
from tests.stores.support import environment


def find_hubs(directory):
    """The URLs of the running hubs, newest first."""
    return [hub.url for hub in running_hubs(directory)]


def find_hub(directory):
    """The URL of the newest running hub."""
    return next(iter(find_hubs(directory)), None)


def files(directory):
    """What stands in ``.jobctl/hubs``."""
    hubs = directory / ".jobctl" / "hubs"
    return sorted(path.name for path in hubs.iterdir()) if hubs.exists() else []


async def test_running_hub_is_found_and_a_stopped_one_is_gone(served, directory):
    """The file says where it listens, and goes with the hub."""
    assert find_hub(directory) is None
    async with running_hub(served) as hub:
        assert find_hub(directory) == hub.url
        assert len(files(directory)) == 1
    assert find_hub(directory) is None
    assert files(directory) == []


@pytest.mark.slow
def test_file_of_a_killed_hub_is_swept(directory):
    """FAULTS row 19: after kill -9 its lock is free, so the next who looks removes the file."""
    hub = HubProcess(directory)
    assert find_hub(directory) == hub.url
    hub.kill()
    assert len(files(directory)) == 1
    assert find_hub(directory) is None
    assert files(directory) == []


@pytest.mark.slow
def test_file_of_a_live_hub_is_never_taken(directory):
    """However often others look, and beside a dead one, the live one stays (FAULTS row 19)."""
    with HubProcess(directory) as live:
        dead = HubProcess(directory)
        dead.kill()
        for _ in range(50):
            assert find_hubs(directory) == [live.url]
        assert len(files(directory)) == 1


def test_newest_hub_comes_first(served, directory):
    """Of several hubs, one that was started later is the likelier to stay."""
    with announced(directory, "ws://one"), announced(directory, "ws://two"):
        for age, name in enumerate(sorted(files(directory))):
            os.utime(directory / ".jobctl" / "hubs" / name, (1000 - age, 1000 - age))
        assert len(find_hubs(directory)) == 2
        assert find_hub(directory) == find_hubs(directory)[0]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"url": 7}', "\udcff", "[" * 4000])
def test_nonsense_in_a_hub_file_is_no_hub(served, directory, text):
    """A file that somebody else put there, and holds, leads nowhere."""
    with announced(directory, "ws://one"):
        path = directory / ".jobctl" / "hubs" / "planted.json"
        path.write_bytes(text.encode(errors="surrogateescape"))
        with path.open() as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            assert find_hubs(directory) == ["ws://one"]


def test_link_in_the_hubs_directory_is_not_followed(served, directory, tmp_path):
    """A hub's file is a file."""
    target = tmp_path / "target"
    target.write_text("{}")
    with announced(directory, "ws://one"):
        (directory / ".jobctl" / "hubs" / "link.json").symlink_to(target)
        assert find_hubs(directory) == ["ws://one"]
    assert target.exists()


def test_announcing_where_nothing_can_be_written_is_a_store_error(tmp_path):
    """It names the place."""
    with pytest.raises(StoreError, match="hubs"), announced(tmp_path / "none", "ws://x"):
        pass


async def test_a_hub_that_stops_meanwhile_hides_no_other(served, directory, monkeypatch):
    """Its file may be gone between the listing and the look at it."""
    async with running_hub(served) as hub:
        listed = os.listdir(directory / ".jobctl" / "hubs")
        monkeypatch.setattr(os, "listdir", lambda path: ["1-gone.json", *listed])
        assert find_hub(directory) == hub.url


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a file away")
async def test_hub_that_another_user_announces_is_not_sent_our_token(directory, writer):
    """FAULTS row 50: whoever can write into a directory that we read says where a hub is."""
    writer.create(new_job("a1"))
    heard: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, stream: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(1000))
        stream.close()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws/jobs"
        with announced(directory, url):
            (name,) = files(directory)
            os.chown(directory / ".jobctl" / "hubs" / name, 65534, 65534)
            assert find_hub(directory) == url
            assert usable_hub(directory) is None
            async with Reader.of_store(writer) as reader:
                await until(lambda: reader.contents)
                assert reader.source == "directory"
    assert heard == []


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("unshare") is None or os.geteuid() != 0, reason="needs root and unshare"
)
async def test_hub_in_another_network_is_not_taken_for_ours(directory, writer):
    """A container's 127.0.0.1 is not ours: there may be a hub at that port, on other jobs."""
    (directory.parent / "others").mkdir(mode=0o700)
    others = open_store(directory.parent / "others", adopt=True)
    writer.create(new_job("a1"))
    async with running_hub(others) as hub:
        inside = subprocess.Popen(
            ["unshare", "--net", sys.executable, "-c", INSIDE, directory, hub.url],
            env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert await asyncio.to_thread(inside.stdout.readline) == "said\n"
            assert find_hub(directory) is None
            async with Reader.of_store(writer) as reader:
                await until(lambda: reader.contents)
                assert (reader.source, list(reader.contents)) == ("directory", ["a1"])
            where = Where(str(directory), "--dir", explicit=True)
            (found,) = hubs(CheckContext(where, {}, directory, time.monotonic() + 5))
            assert (found.level, found.where) == ("info", hub.url)
            assert "network of its own" in found.what
        finally:
            inside.communicate("\n", timeout=20)
    others.close()


INSIDE = """
import sys
from pathlib import Path
from jobctl.hub.discovery import announced, running_hubs
with announced(Path(sys.argv[1]), sys.argv[2]):
    assert running_hubs(Path(sys.argv[1]))[0].url == sys.argv[2], "it is found by its neighbours"
    print("said", flush=True)
    sys.stdin.readline()
"""


@pytest.mark.parametrize(("host", "here"), [("0.0.0.0", "127.0.0.1"), ("::", "[::1]")])
async def test_hub_for_all_is_found_where_it_can_be_reached(
    directory, writer, monkeypatch, host, here
):
    """It has no name but those of the interfaces; from this machine, loopback does."""
    if host == "::" and not has_ipv6():
        pytest.skip("no IPv6 here")
    monkeypatch.setenv("JOBCTL_TOKEN", "0123456789abcdef")
    store = open_store(directory, adopt=True)
    stop, urls = asyncio.Event(), list[str]()
    server = HubServer(
        store, AccessPolicy(host, token=b"0123456789abcdef"), path="/ws/jobs", watch_files=False
    )
    task = asyncio.create_task(server.run(host, 0, stop, urls.append))
    await until(lambda: urls)
    assert find_hub(directory) == urls[0].replace(host if host != "::" else "[::]", here)
    writer.create(new_job("a1"))
    async with Reader.of_store(writer) as reader:
        await until(lambda: reader.contents)
        assert reader.source == "hub"
    stop.set()
    await task
    store.close()


def has_ipv6() -> bool:
    """Whether this machine's loopback has an address of that kind."""
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.parametrize("name", [".jobctl", "hubs"])
def test_link_in_place_of_the_hubs_directory_is_not_followed(tmp_path, name):
    """FAULTS row 65: through one, whoever read another user's directory removed their own files."""
    precious = tmp_path / "home"
    (precious / "hubs").mkdir(parents=True)
    for path in (precious / "letter.txt", precious / "hubs" / "letter.txt"):
        path.write_text("precious")
    jobs = tmp_path / "jobs"
    jobs.mkdir()
    if name == ".jobctl":
        (jobs / ".jobctl").symlink_to(precious)
    else:
        (jobs / ".jobctl").mkdir()
        (jobs / ".jobctl" / "hubs").symlink_to(precious)
    assert find_hub(jobs) is None
    assert usable_hub(jobs) is None
    assert sorted(path.name for path in precious.rglob("*.txt")) == ["letter.txt", "letter.txt"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a file away")
def test_file_of_another_user_is_not_swept(directory, writer):
    """FAULTS row 65: only its owner, who made it, removes what a dead hub left."""
    writer.create(new_job("a1"))
    hubs = directory / ".jobctl" / "hubs"
    hubs.mkdir(exist_ok=True)
    for name, uid in (("1-aa.json", 0), ("2-bb.json", 65534)):
        (hubs / name).write_text("{}")
        os.chown(hubs / name, uid, uid)
    assert find_hubs(directory) == []
    assert files(directory) == ["2-bb.json"]
