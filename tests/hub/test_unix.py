"""A hub at a Unix socket: whose the file is, who replaces it, and who may ask there."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, UnixConnector

from jobctl import wait_async
from jobctl._clock import now
from jobctl.api import clients
from jobctl.core import transitions as jobs
from jobctl.errors import AddressInUse, HubError, UsageError
from jobctl.hub import unix as unix_module
from jobctl.hub.address import MAX_UNIX_PATH
from jobctl.hub.credentials import server_tls
from jobctl.hub.discovery import usable_hub
from jobctl.hub.unix import listening
from jobctl.reader import once
from jobctl.stores import Store, open_store
from tests.hub.network import Reader, new_job, running_hub, until
from tests.hub.other_user import NOBODY, ask_as, get, upgrade
from tests.stores.support import environment

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory with a short path."""
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)


# -- the file -----------------------------------------------------------------------------------


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_socket_is_its_owners_alone_and_goes_with_the_hub(place: Path, umask: int) -> None:
    """FAULTS row 57: whatever the umask is."""
    path = place / "s"
    before = os.umask(umask)
    try:
        with listening(str(path)) as sock, sock:
            mode = path.lstat().st_mode
            assert stat.S_ISSOCK(mode)
            assert mode & 0o777 & ~(0o600 & ~umask) == 0
    finally:
        os.umask(before)
    assert not path.exists()


def test_mode_does_not_hang_on_linux(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere a socket has no mode to pass on: the file is closed before anybody can connect."""

    def refuse(*_: Any) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "fchmod", refuse)
    before = os.umask(0)
    try:
        with listening(str(place / "s")) as sock, sock:
            assert (place / "s").lstat().st_mode & 0o777 == 0o600
    finally:
        os.umask(before)


def test_socket_of_a_dead_hub_is_replaced(place: Path) -> None:
    """FAULTS row 19: kill -9 leaves the file, and nobody listens there."""
    path = str(place / "s")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
        dead.listen()
    with listening(path) as sock, sock, socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
    assert os.listdir(place) == []


@pytest.mark.parametrize("backlog", [1, 0])
def test_socket_of_a_live_hub_is_not_taken(place: Path, backlog: int) -> None:
    """FAULTS row 19: nor that of one that is stopped, whose queue is full."""
    path = str(place / "s")
    with socket.socket(socket.AF_UNIX) as live:
        live.bind(path)
        live.listen(backlog)
        waiting = [socket.socket(socket.AF_UNIX) for _ in range(3)]
        for client in waiting:
            client.setblocking(False)
            if not backlog:
                client.connect_ex(path)
        said = "somebody listens on .* already; another hub"
        with pytest.raises(AddressInUse, match=said), listening(path):
            pass
        for client in waiting:
            client.close()
        assert os.path.exists(path)


@pytest.mark.slow
def test_of_many_that_begin_at_once_one_gets_it(place: Path) -> None:
    """FAULTS rows 19, 20: beside a dead one's file; nobody's socket is replaced by another's."""
    path = str(place / "s")
    for _ in range(20):
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(path)
        outcomes: list[object] = []
        barrier, done = threading.Barrier(4), threading.Event()

        def begin(barrier: Any = barrier, outcomes: Any = outcomes, done: Any = done) -> None:
            barrier.wait()
            try:
                with listening(path) as sock, sock:
                    outcomes.append(sock)
                    done.wait()
            except Exception as error:
                outcomes.append(error)

        threads = [threading.Thread(target=begin) for _ in range(4)]
        for thread in threads:
            thread.start()
        deadline_s = time.monotonic() + 20
        while len(outcomes) < 4:
            assert time.monotonic() < deadline_s
        done.set()
        for thread in threads:
            thread.join()
        assert sum(isinstance(one, AddressInUse) for one in outcomes) == 3, outcomes


def test_lock_that_somebody_keeps_is_not_waited_for(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody may lock ``/tmp``."""
    monkeypatch.setattr(unix_module, "_LOCK_S", 0.05)
    fd = os.open(place, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    with listening(str(place / "s")) as sock, sock:
        pass
    os.close(fd)


def test_what_is_no_socket_stays(place: Path) -> None:
    """One line; the file is not touched."""
    path = place / "notes.txt"
    path.write_text("mine")
    with pytest.raises(UsageError, match="is no socket, so it stays"), listening(str(path)):
        pass
    assert path.read_text() == "mine"
    link = place / "link"
    link.symlink_to(path)
    with pytest.raises(UsageError, match="is no socket"), listening(str(link)):
        pass


def test_a_directory_is_no_path_of_a_socket(place: Path) -> None:
    """Nor is an empty path, as of an unset variable: it names the current directory."""
    with pytest.raises(UsageError, match="needs a file name") as caught, listening(str(place)):
        pass
    assert caught.value.hint == "write it as --unix PATH/NAME"


def test_path_that_cannot_be_bound_is_told(place: Path) -> None:
    """FAULTS row 18: too long with the limit; and in a directory that is not there."""
    for name, error, said in (
        ("s" * MAX_UNIX_PATH, UsageError, f"{MAX_UNIX_PATH} at the most"),
        ("none/s", HubError, "No such file or directory; choose another path"),
    ):
        with pytest.raises(error, match=said), listening(f"{place}/{name}"):
            pass


def test_file_that_is_anothers_by_now_stays(place: Path) -> None:
    """Somebody removed ours, and a new hub has made its own."""
    path = str(place / "s")
    with listening(path) as first, first:
        os.unlink(path)
        with socket.socket(socket.AF_UNIX) as second:
            second.bind(path)
    assert os.path.exists(path)


# -- the hub ------------------------------------------------------------------------------------


async def test_everything_works_through_it(served: Store, place: Path) -> None:
    """The socket, one read, what is waited for, the sessions, and the page: without a port."""
    served.create(new_job("a1"))
    url = f"unix:{place}/s"
    async with running_hub(served, host=None, unix=f"{place}/s") as hub:
        assert hub.url == url
        assert served.path is not None
        found = usable_hub(served.path)
        assert found is not None
        assert found.url == url
        async with Reader.of_hub(url) as reader:
            await until(lambda: reader.contents)
            served.create(new_job("a2"))
            await until(lambda: len(reader.contents) == 2)
            (client,) = await clients(url)
            assert client["peer"] == "unix"
        assert [job.id for job in (await once.read(url)).jobs] == ["a1", "a2"]
        async with Reader.of_store(served) as reader:
            await until(lambda: reader.source == "hub")
        waiting = asyncio.create_task(wait_async(ids="a1", url=url))
        served.update("a1", lambda job: jobs.complete(job, now=now()))
        assert (await asyncio.wait_for(waiting, 10)).code == 0
        async with ClientSession(connector=UnixConnector(f"{place}/s")) as session:
            for path, status in (("/", 200), ("/api/jobs", 200), ("/metrics", 200), ("/x", 404)):
                async with session.get(f"http://localhost{path}") as answer:
                    assert answer.status == status
    assert not (place / "s").exists()


async def test_port_and_socket_are_one_hub(served: Store, place: Path, certificate: Any) -> None:
    """Beside each other; TLS is for the port."""
    served.create(new_job("a1"))
    async with running_hub(served, unix=f"{place}/s") as hub:
        assert hub.url.startswith("ws://127.0.0.1:")
        async with Reader.of_hub(hub.url) as one, Reader.of_hub(f"unix:{place}/s") as two:
            await until(lambda: one.contents and two.contents)
            assert hub.sessions == 2
    async with running_hub(served, unix=f"{place}/s", tls=server_tls(*certificate)) as hub:
        assert hub.url.startswith("wss://")
        async with Reader.of_hub(f"unix:{place}/s") as two:
            await until(lambda: two.contents)


async def test_hub_that_cannot_have_the_socket_lets_go_of_the_port(
    served: Store, place: Path
) -> None:
    """It does not run by halves."""
    with listening(f"{place}/s") as sock, sock:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        with pytest.raises(AddressInUse):
            async with running_hub(served, port=port, unix=f"{place}/s"):
                pass
        with socket.create_server(("127.0.0.1", port)):
            pass


async def test_host_is_checked_there_too(served: Store, place: Path) -> None:
    """FAULTS row 48: ``ssh -L`` makes a port of it, to which a rebound name may lead."""
    async with (
        running_hub(served, host=None, unix=f"{place}/s"),
        ClientSession(connector=UnixConnector(f"{place}/s")) as session,
    ):
        for host, origin, status in (
            ("localhost:9000", None, 200), ("127.0.0.1:9000", "http://localhost:9000", 200),
            ("evil.example", None, 403), ("localhost", "https://evil.example", 403),
        ):  # fmt: skip
            headers = {"Host": host, **({"Origin": origin} if origin else {})}
            async with session.get("http://localhost/api/jobs", headers=headers) as answer:
                assert answer.status == status, (host, origin)


async def test_proxy_in_front_of_it_needs_a_token(served: Store, place: Path) -> None:
    """It asks as its own user, whoever asks it."""
    headers = {"X-Forwarded-For": "192.0.2.7"}
    async with (
        running_hub(served, host=None, unix=f"{place}/s"),
        ClientSession(connector=UnixConnector(f"{place}/s")) as session,
        session.get("http://localhost/api/jobs", headers=headers) as answer,
    ):
        assert answer.status == 403


@pytest.mark.slow
@needs_root
async def test_another_user_gets_nothing_there(served: Store, place: Path) -> None:
    """FAULTS row 65: not past the file; and where its owner opens that, not past the hub."""
    served.create(new_job("a1"))
    place.chmod(0o755)
    path = f"{place}/s"
    async with running_hub(served, host=None, unix=path, own_uid=1234) as hub:
        for text in (get("/api/jobs"), upgrade("/ws/jobs")):
            got, error = await asyncio.to_thread(ask_as, NOBODY, path, text)
            assert (got, "Permission denied" in error) == (b"", True)
        os.chmod(path, 0o666)
        for text in (get("/"), get("/api/jobs"), get("/metrics"), upgrade("/ws/jobs")):
            got, error = await asyncio.to_thread(ask_as, NOBODY, path, text)
            assert got.startswith(b"HTTP/1.1 403 ")
            assert b"uid 65534" in got
            own, error = await asyncio.to_thread(ask_as, 1234, path, text)
            assert own.split()[1] in (b"200", b"101"), own
        # Who has closed the socket is known all the same: the kernel keeps who connected.
        ask_as(NOBODY, path, get("/api/jobs"), leave=True)
        await until(lambda: hub.server.counts.refused["user"] == 5)


async def test_given_token_is_needed_there_too(
    served: Store, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hub that was given one asks everybody for it."""
    served.create(new_job("a1"))
    url, token = f"unix:{place}/s", "0123456789abcdef0123456789abcdef"
    async with running_hub(served, host=None, unix=f"{place}/s", token=token.encode()):
        with pytest.raises(HubError, match="wants a token"):
            await once.read(url)
        monkeypatch.setenv("JOBCTL_TOKEN", token)
        assert len((await once.read(url)).jobs) == 1
        assert await clients(url) == []


async def test_no_hub_there_is_told_in_a_line(place: Path) -> None:
    """Nobody listens, there is no file, or it is none of ours."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(f"{place}/dead")
    (place / "file").write_text("")
    for name, said in (
        ("dead", "nobody listens there"), ("none", "No such file"), ("file", "nobody listens there")
    ):  # fmt: skip
        url = f"unix:{place}/{name}"
        with pytest.raises(HubError, match=said) as caught:
            await once.read(url)
        assert str(caught.value).startswith(f"{url}: ")
        with pytest.raises(HubError, match=url):
            await clients(url)


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("unshare") is None or os.geteuid() != 0, reason="needs root and unshare"
)
async def test_hub_in_another_network_is_reached_through_it(directory: Path) -> None:
    """README's container: the socket lies in the directory that both have mounted."""
    store = open_store(directory, create=True)
    store.create(new_job("a1"))
    store.close()
    path = directory / "hub.sock"
    hub = subprocess.Popen(
        ["unshare", "--net", sys.executable, "-m", "jobctl", "serve", "--unix", str(path),
         "--dir", str(directory)],
        env=environment(), stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert hub.stderr is not None
        assert "serving" in await asyncio.to_thread(hub.stderr.readline)
        assert usable_hub(directory) is None, "it is in a network of its own"
        assert [job.id for job in (await once.read(f"unix:{path}")).jobs] == ["a1"]
    finally:
        hub.terminate()
        hub.communicate(timeout=20)
    assert not path.exists()


async def test_client_comes_back_to_it(served: Store, place: Path) -> None:
    """With its cursor, after a restart of the hub."""
    url = f"unix:{place}/s"
    served.create(new_job("a1"))
    async with running_hub(served, host=None, unix=f"{place}/s"):
        reader = Reader.of_hub(url)
        await until(lambda: reader.contents)
    served.create(new_job("a2"))
    async with running_hub(served, host=None, unix=f"{place}/s"):
        await until(lambda: len(reader.contents) == 2)
        assert reader.resets == 1
    await reader.leave()


@pytest.mark.slow
def test_path_of_no_socket_is_a_usage_error() -> None:
    """What has no such path is a usage error, before anything is asked."""
    ran = subprocess.run(
        [sys.executable, "-m", "jobctl", "ls", "--url", "unix:" + "s" * 200],
        env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr.count("\n")) == (2, 1)
    assert f"{MAX_UNIX_PATH} at the most" in ran.stderr
