"""One connection of the hub: what it keeps, and from when on it is known."""

from __future__ import annotations

import asyncio
import gc
import secrets
import socket
import ssl
from asyncio import AbstractEventLoop, Server
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from logging import Logger, getLogger
from types import FunctionType, ModuleType

from jobctl.hub import connection as connection_module
from jobctl.hub.connection import HubConnection, text_frame
from jobctl.hub.credentials import server_tls
from jobctl.hub.handshake import Opening
from jobctl.hub.server import HubServer
from tests.hub.network import new_job, raw_upgrade, running_hub, said, until, v1


async def test_connection_that_comes_as_the_hub_leaves_is_cut(served):
    """asyncio may have accepted it, and make its transport when nobody looks any more."""
    async with running_hub(served) as hub:
        pass
    head_reader = hub.server._new_connection()
    transport = Cut()
    head_reader.connection_made(transport)
    assert transport.cut


class Cut(asyncio.Transport):
    """Notes that it was cut."""

    cut = False

    def abort(self) -> None:
        self.cut = True


async def test_handshake_is_forgotten(served):
    """A browser's headers are several KiB, and would be kept for every client."""
    mark = secrets.token_hex(2000)
    async with running_hub(served) as hub, v1(hub.url, additional_headers={"X-Large": mark}) as one:
        await said(one)
        connection = next(iter(hub.server.clients.open))
        parts = reachable(connection)
        assert connection.protocol.reader in parts
        assert not [part for part in parts if mark in repr(part)]


def reachable(start: object) -> list[object]:
    """What an object holds, by the collector's account; not what all connections share."""
    shared = (type, ModuleType, FunctionType, Logger, HubServer, AbstractEventLoop, Server)
    found: dict[int, object] = {}
    queue: list[object] = [start]
    while queue:
        one = queue.pop()
        if id(one) not in found and not isinstance(one, shared):
            found[id(one)] = one
            queue += gc.get_referents(one)
    return list(found.values())


# -- what a socket does not take --------------------------------------------------------------


class Hub:
    """What one connection tells of: it accepts every handshake, and keeps the messages."""

    def __init__(self) -> None:
        self.messages: list[str | bytes] = []
        self.owners_version: list[str] = []

    def connected(self, connection: HubConnection) -> None:
        self.owners_version.append("connected")

    def requested(self, connection: HubConnection, opening: Opening) -> None:
        connection.answer(opening)
        connection.release()

    def received(self, connection: HubConnection, message: str | bytes) -> None:
        self.messages.append(message)

    def stalled(self, connection: HubConnection) -> None:
        self.owners_version.append("stalled")

    def recovered(self, connection: HubConnection) -> None:
        self.owners_version.append("recovered")

    def lost(self, connection: HubConnection) -> None:
        self.owners_version.append("lost")


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[Hub, HubConnection, Client]]:
    """A connection over a real socket, after its handshake, and its client."""
    ours, theirs = socket.socketpair()
    hub = Hub()
    logger = getLogger("jobctl.websockets")
    _, connection = await asyncio.get_running_loop().create_connection(
        lambda: HubConnection(hub, [], logger), sock=ours
    )
    client = Client(theirs)
    theirs.sendall(REQUEST)
    await until(lambda: client.read() and b"\r\n\r\n" in client.data)
    client.data = client.data.partition(b"\r\n\r\n")[2]
    try:
        yield hub, connection, client
    finally:
        theirs.close()
        connection.abort()
        await until(lambda: hub.owners_version[-1] == "lost")


REQUEST = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Client:
    """The other end: it reads when it is told to."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.data = b""
        sock.setblocking(False)

    def read(self) -> bool:
        """Take what there is."""
        with suppress(BlockingIOError):
            self.data += self.sock.recv(1 << 20)
        return True

    @property
    def frames(self) -> list[tuple[int, bytes]]:
        """The frames that came whole: opcode and data."""
        found, data = [], self.data
        while len(data) >= 2:
            size, skip = data[1], 2
            if size == 126:
                size, skip = int.from_bytes(data[2:4], "big"), 4
            elif size == 127:
                size, skip = int.from_bytes(data[2:10], "big"), 10
            if len(data) < skip + size:
                break
            found.append((data[0] & 15, data[skip : skip + size]))
            data = data[skip + size :]
        return found


def masked(opcode: int, data: bytes) -> bytes:
    """A frame of a client, masked by zeros."""
    return bytes((0x80 | opcode, 0x80 | len(data))) + b"\0\0\0\0" + data


async def test_what_does_not_fit_waits_without_a_copy():
    """A page for 5,000 clients was copied for each of them: hundreds of MiB on Python 3.11."""
    page = text_frame(secrets.token_bytes(1_000_000))
    async with connected() as (hub, connection, client):
        connection.write_frames(page)
        assert hub.owners_version == ["connected", "stalled"]
        assert connection.transport.get_write_buffer_size() <= 1
        [rest] = connection._unwritten
        assert isinstance(rest, memoryview)
        assert rest.obj is page
        assert 0 < len(rest) < len(page)
        await until(lambda: client.read() and hub.owners_version[-1] == "recovered")
        await until(lambda: client.read() and len(client.data) == len(page))
        assert client.data == page
        assert connection._unwritten == []


async def test_what_comes_later_waits_behind_it_and_whole():
    """A pong or a close frame amid a page would break it."""
    pages = [text_frame(secrets.token_bytes(400_000)) for _ in range(3)]
    async with connected() as (hub, connection, client):
        for page in pages:
            connection.write_frames(page)
        client.sock.sendall(masked(9, b"one") + masked(1, b'"said"') + masked(9, b"two"))
        await until(lambda: hub.messages == ['"said"'])
        connection.send_close_frame(4000, "come back")
        await until(lambda: client.read() and len(client.frames) == 5)
        assert [len(data) for opcode, data in client.frames if opcode == 1] == [400_000] * 3
        assert client.frames[3:] == [(10, b"two"), (8, b"\x0f\xa0come back")]


async def test_flood_of_pings_costs_a_client_that_reads_nothing_one_pong():
    """Each ping would have left a pong in the hub, without bound."""
    page = text_frame(b"x" * 1_000_000)
    async with connected() as (hub, connection, client):
        connection.write_frames(page)
        for _ in range(200):
            client.sock.sendall(masked(9, b"x" * 100) * 20)
            await asyncio.sleep(0)
        client.sock.sendall(masked(9, b"last") + masked(1, b"{}"))
        await until(lambda: hub.messages == ["{}"])
        assert len(connection._unwritten) == 2
        await until(lambda: client.read() and len(client.frames) == 2)
        assert client.frames[1] == (10, b"last")


async def test_message_in_parts_is_one_message():
    """Text is checked as a whole: a character may be cut in two."""
    parts = ['"ä"'.encode()[:2], '"ä"'.encode()[2:]]
    async with connected() as (hub, _, client):
        client.sock.sendall(b"\x01\x82\0\0\0\0" + parts[0] + masked(9, b"") + masked(0, parts[1]))
        client.sock.sendall(masked(2, b"\xff"))
        await until(lambda: hub.messages == ['"ä"', b"\xff"])


async def test_last_words_of_a_client_that_leaves_are_heard():
    """They may come in one piece with its close frame."""
    async with connected() as (hub, _, client):
        client.sock.sendall(masked(1, b'"last"') + masked(8, b"\x03\xe8"))
        await until(lambda: hub.messages == ['"last"'])
        await until(lambda: client.read() and client.frames == [(8, b"\x03\xe8")])


async def test_peer_that_does_not_hang_up_is_cut(monkeypatch):
    """Be it that it left, or that it was told to."""
    monkeypatch.setattr(connection_module, "CLOSE_TIMEOUT_S", 0.05)
    for leave in (True, False):
        async with connected() as (hub, connection, client):
            if leave:
                client.sock.sendall(masked(8, b"\x03\xe8"))
            else:
                connection.send_close_frame(4000, "come back")
                client.sock.sendall(masked(1, b'"late"'))
            await until(lambda owners_version=hub.owners_version: owners_version[-1] == "lost")
            assert hub.messages == []


# -- how sessions open --------------------------------------------------------------------------


async def test_sessions_that_open_together_share_one_look_at_the_store(served, monkeypatch):
    """It was one for each; and there was a task for each connection."""
    served.create(new_job("a1"))
    max_examined: list[object] = []
    real = served.since
    async with running_hub(served) as hub, v1(hub.url) as first:
        await said(first)
        monkeypatch.setattr(
            served, "since", lambda cursor: (max_examined.append(cursor), real(cursor))[1]
        )
        tasks = len(asyncio.all_tasks())
        socks = [raw_upgrade(hub.port) for _ in range(40)]
        await until(lambda: hub.sessions == 41)
        assert len(max_examined) <= 10
        assert len(asyncio.all_tasks()) <= tasks + 1
        for sock in socks:
            data = b""
            while b'"a1"' not in data:
                data += await asyncio.to_thread(sock.recv, 65536)
            sock.close()


async def test_message_that_comes_with_the_handshake_waits_for_the_session(served, writer):
    """Nothing of what a hasty client says is lost, and all of it in order."""
    writer.create(new_job("a1"))
    writer.create(new_job("b2"))
    async with running_hub(served) as hub:
        hasty = masked(1, b'{"type":"jobs:subscribe","since":"0","filter":{"id":"b2"}}')
        sock = raw_upgrade(hub.port, extra=hasty + masked(1, b'{"type":"jobs:ping","at":7}'))
        data = b""
        while b'"at":7' not in data or b'"b2"' not in data:
            data += await asyncio.to_thread(sock.recv, 65536)
        assert b'"a1"' not in data
        sock.close()


async def test_connection_that_is_lost_while_its_token_is_checked_gets_no_session(served):
    """Nothing would ever close that session, and the hub would go on reading its store for it."""
    token = b"0123456789abcdef"
    async with running_hub(served, token=token) as hub:
        sock = raw_upgrade(hub.port)
        await until(lambda: len(hub.server._authentication.pending) == 1)
        [connection] = hub.server.clients.open
        connection.data_received(masked(1, b'{"type":"jobs:auth","token":"%s"}' % token))
        connection.abort()
        await until(lambda: not hub.server.clients.open and not hub.server._authentication.pending)
        assert (hub.server.clients.by_session, hub.server.feed.active) == ({}, False)
        sock.close()


async def test_stalled_client_of_tls_costs_two_records(served, certificate):
    """Ciphertext cannot be shared; so only as much as goes at once is enciphered."""
    for number in range(400):
        served.create(new_job(f"a{number}", title="x" * 500))
    context = ssl.create_default_context(cafile=certificate[0])
    async with running_hub(served, tls=server_tls(*certificate)) as hub:

        def upgraded() -> ssl.SSLSocket:
            plain = socket.create_connection(("127.0.0.1", hub.port))
            sock = context.wrap_socket(plain, server_hostname="localhost")
            sock.sendall(REQUEST.replace(b"GET /", b"GET /ws/jobs").replace(b"x\r", b"localhost\r"))
            return sock

        sock = await asyncio.to_thread(upgraded)
        await until(lambda: hub.sessions == 1)
        connection = next(iter(hub.server.clients.open))
        await until(lambda: connection.paused)
        secured = connection.transport._ssl_protocol
        waiting = secured._transport.get_write_buffer_size()
        assert waiting + connection.transport.get_write_buffer_size() < 2 * 17_000
        sock.setblocking(False)
        got = 0
        while got < 200_000:
            with suppress(ssl.SSLWantReadError):
                got += len(sock.recv(1 << 16))
            await asyncio.sleep(0)
        sock.close()
