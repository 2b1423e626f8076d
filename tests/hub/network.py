"""Hubs and readers on real sockets, for tests: port 0, deadlines, no bare sleep."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from jobctl._clock import now
from jobctl.core import transitions as jobs
from jobctl.core.cursor import ZERO, Cursor
from jobctl.core.filters import EVERYTHING, Filter
from jobctl.core.job import Job
from jobctl.core.jobset import Delta, JobSet
from jobctl.core.protocol import SUBPROTOCOL, DeadOwners
from jobctl.hub.access import AccessPolicy
from jobctl.hub.server import HubServer
from jobctl.reader.backoff import Backoff
from jobctl.reader.client import Client
from jobctl.reader.follow import follow
from jobctl.reader.status import Status
from jobctl.stores import Store

HUB_PROCESS = Path(__file__).with_name("hub_process.py")


async def until(
    condition: Callable[[], Any], within_s: float = 5.0, *, what: str = "the condition"
) -> Any:
    """The first true value of the condition; fails the test after ``within_s`` seconds."""
    deadline = time.monotonic() + within_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what} did not come within {within_s:g} s"
        await asyncio.sleep(0.005)
    return value


def new_job(id: str, **fields: Any) -> Job:
    """A pending job, as a producer makes it."""
    return jobs.create("etl", now=now(), id=id).replace(**fields)


def retitle(title: str) -> Callable[[Job], Job]:
    """A change that shows."""
    return lambda job: job.replace(title=title, updated_at=now())


def contents(items: Any) -> dict[str, tuple[str, str | None]]:
    """What a set or a list of jobs says, to compare."""
    return {job.id: (job.stage, job.title) for job in items}


def stored(store: Store) -> dict[str, tuple[str, str | None]]:
    """What the store holds now."""
    held = JobSet()
    assert held.apply(store.since(ZERO))
    return contents(held)


class Running:
    """A hub in this process."""

    def __init__(self, server: HubServer, url: str, task: asyncio.Task[None]) -> None:
        self.server, self.url, self.task = server, url, task
        if not url.startswith("unix:"):
            host, _, port = url.split("/")[2].rpartition(":")
            self.host, self.port = host.strip("[]"), int(port)

    @property
    def sessions(self) -> int:
        return len(self.server.hub.sessions)


@asynccontextmanager
async def running_hub(
    store: Store, *, port: int = 0, watch_files: bool = False, **access_options: Any
) -> AsyncIterator[Running]:
    """A hub on the store for the block; its end is clean, and within 3 s."""
    stop = asyncio.Event()
    urls: list[str] = []
    unix, host = access_options.pop("unix", None), access_options.pop("host", "127.0.0.1")
    server_options = {
        key: access_options.pop(key)
        for key in (
            "tls",
            "max_connections",
            "compression",
            "peer_uid",
            "pipelines",
            "read_only",
            "session_url",
        )
        if key in access_options
    }
    own = {"local_users", "own_uid", "control"}
    access = AccessPolicy(
        host or "localhost",
        **({"insecure": True} if access_options.keys() - own else {}) | access_options,
    )
    server = HubServer(store, access, path="/ws/jobs", watch_files=watch_files, **server_options)
    task = asyncio.create_task(server.run(host, port, stop, urls.append, unix=unix))
    await until(lambda: urls or task.done())
    if not urls:
        await task
    try:
        yield Running(server, urls[0], task)
    finally:
        stop.set()
        began_s = time.monotonic()
        if not task.done():
            await task
        assert time.monotonic() - began_s < 3, "a stop takes no longer"


class HubProcess:
    """A hub in a process of its own, to be stopped and killed."""

    def __init__(
        self,
        directory: Path,
        *,
        port: int = 0,
        watch_files: bool = False,
        token_file: Path | None = None,
    ) -> None:
        command = [sys.executable, str(HUB_PROCESS), str(directory), str(port), str(watch_files)]
        command += [str(token_file)] if token_file is not None else []
        root = str(Path(__file__).parents[2])
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        assert self.url.startswith("ws://"), "it listens"
        self.port = int(self.url.split("/")[2].split(":")[1])

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """As a crash does it: nothing is tidied up."""
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def rss_kib(self) -> int:
        """Resident memory, where /proc tells."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(text.split("VmRSS:")[1].split()[0])

    def __enter__(self) -> HubProcess:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.process.pid, signal.SIGCONT)
        self.kill()


class Reader:
    """Follows a source in a task and holds the set that its deltas make, or fails."""

    def __init__(
        self, source: AsyncGenerator[Delta | Status | DeadOwners, None], filter: Filter
    ) -> None:
        self.set = JobSet()
        self.filter = filter
        self.deltas: list[Delta] = []
        self.statuses: list[Status] = []
        self.dead: list[frozenset[str]] = []
        self.on_delta: Callable[[Delta], None] | None = None
        self.task = asyncio.create_task(self._run(source))

    @classmethod
    def of_hub(
        cls,
        url: str,
        *,
        cursor: Cursor = ZERO,
        filter: Filter = EVERYTHING,
        backoff: Backoff | None = None,
    ) -> Reader:
        client = Client(url, cursor=cursor, filter=filter, backoff=backoff or hasty())
        return cls(client.events(), filter)

    @classmethod
    def of_store(
        cls, store: Store, *, cursor: Cursor = ZERO, filter: Filter = EVERYTHING
    ) -> Reader:
        return cls(follow(store=store, cursor=cursor, filter=filter), filter)

    async def _run(self, source: AsyncGenerator[Delta | Status | DeadOwners, None]) -> None:
        async for event in source:
            if isinstance(event, Status):
                self.statuses.append(event)
                continue
            if isinstance(event, DeadOwners):
                self.dead.append(event.dead)
                continue
            assert self.set.apply(event), "every delta follows from where the reader stands"
            self.deltas.append(event)
            if self.on_delta is not None:
                self.on_delta(event)

    @property
    def contents(self) -> dict[str, tuple[str, str | None]]:
        return contents(self.set)

    @property
    def cursor(self) -> Cursor:
        return Cursor(self.set.epoch, self.set.revision, self.filter.tag)

    @property
    def lost(self) -> set[str]:
        """The ids of the jobs whose owner is known to have died."""
        return {job.id for job in self.set if self.dead and job.lost(self.dead[-1])}

    @property
    def resets(self) -> int:
        return [delta.since for delta in self.deltas].count(0)

    @property
    def source(self) -> str:
        """Through what it is live: hub or directory; empty while it is not."""
        last = self.statuses[-1] if self.statuses else None
        return last.source if last is not None and last.state == "open" else ""

    async def leave(self) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task

    async def __aenter__(self) -> Reader:
        return self

    async def __aexit__(self, kind: object, *_: object) -> None:
        if self.task.done() and kind is None:
            self.task.result()
        await self.leave()


def hasty() -> Backoff:
    """A backoff that always draws short, so that tests need not wait."""
    return Backoff(lambda: 0.0)


def plain(url: str, **options: Any) -> connect:
    """A connection as the original program's clients make it."""
    return connect(url, compression=None, proxy=None, **options)


def v1(url: str, **options: Any) -> connect:
    """A connection in our own dialect, with no client around it."""
    return plain(url, subprotocols=[Subprotocol(SUBPROTOCOL)], **options)


async def said(connection: ClientConnection, within_s: float = 5.0) -> dict[str, Any]:
    """The next message."""
    value = json.loads(await asyncio.wait_for(connection.recv(), within_s))
    assert isinstance(value, dict)
    return value


def raw_upgrade(
    port: int,
    *,
    path: str = "/ws/jobs",
    receive_buffer: int = 0,
    headers: str = "",
    extra: bytes = b"",
) -> socket.socket:
    """A connection upgraded by hand, of which nothing is read; ``extra`` follows the request."""
    sock = socket.socket()
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.settimeout(5)
    sock.connect(("127.0.0.1", port))
    sock.sendall(
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {SUBPROTOCOL}\r\n"
        f"{headers}\r\n".encode()
        + extra
    )
    return sock
