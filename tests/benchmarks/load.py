"""Many clients in one process, cheap enough to share a core with the writer.

``python -m tests.benchmarks.load PORT CLIENTS DIALECT MODE [NUMBER]`` connects (``DIALECT`` is
``plain`` or ``v1``; a v1 client starts with an empty page, a plain one with ``jobs:init``), and
says ``ready``. It reads the raw frames, without a WebSocket library.

Mode ``count``: for each line ``UPDATES`` it waits until every client has had so many more, then
prints the time, and how many deliveries the first client counted. That client looks at every byte.
A plain client is done when it has had as many bytes as the first, a v1 client when a frame reaches
as far as the newest that the first has seen.

Mode ``sum``: the dialect may end in ``+deflate``, which offers compression. For each line
``SECONDS`` it reads so long, and on until all is quiet, and prints how many bytes came in all.

Mode ``open``: for each line ``COUNT`` it opens that many more connections, ``NUMBER`` at a time. It
prints the seconds until each had the answer to its handshake and, unless the dialect is ``bare``
(a server that sends nothing by itself), its first message.

Mode ``time``: ``NUMBER`` clients, evenly spread among the others, note for every stamp of
writer.py how old it is; a process of lower priority empties the others' sockets. For each line
``SECONDS`` it listens so long, and on until all is quiet, and prints p50 and p99 in ms and the
number of stamps.
"""

from __future__ import annotations

import os
import re
import select
import socket
import sys
import time
from base64 import b64encode

from tests.benchmarks.measure import percentile

_BUFFER = bytearray(1024 * 1024)
_VIEW = memoryview(_BUFFER)
_NAP_S = 0.003  # between looks, while counting: many small frames cost one read then
_HEAD = 192  # bytes that hold ``"through":…,"cursor":…,"more":…``
_THROUGH = re.compile(rb'"through":(\d+),(?:"cursor":"[^"]*",)?"more":(true|false)')
_STAMP = re.compile(rb'"message":"(\d{20})"')
_UPDATE = b'"updatedAt":'


class Client:
    """One connection: how many bytes it has had, and for v1 how far it has come."""

    def __init__(self, sock: socket.socket, rest: bytes, v1: bool) -> None:
        self.sock = sock
        self.v1 = v1
        self.bytes = 0
        self.through = 0
        self.synced = False
        self.seen: list[bytes] | None = None  # the first client keeps everything
        self._carry = b""
        _BUFFER[: len(rest)] = rest
        self._take(len(rest))

    def caught_up(self, witness: Client) -> bool:
        """Whether it has had what the witness has."""
        if self.v1:
            return self.through >= witness.through
        return self.bytes >= witness.bytes

    def read(self) -> None:
        """Take what has come."""
        size = self.sock.recv_into(_BUFFER)
        if not size:
            raise RuntimeError("the server hung up")
        self._take(size)

    def _take(self, size: int) -> None:
        """So many bytes of the buffer."""
        self.bytes += size
        if self.seen is not None:
            self.seen.append(bytes(_VIEW[:size]))
        if self.v1:
            # The last head is enough; it may have been cut in two.
            cut = self._carry + bytes(_VIEW[: min(size, _HEAD)])
            start = _BUFFER.rfind(b'"through":', 0, size)
            for match in (_THROUGH.search(cut), start >= 0 and _THROUGH.match(_BUFFER, start)):
                if match:
                    self.through, self.synced = int(match[1]), match[2] == b"false"
            self._carry = bytes(_VIEW[max(0, size - _HEAD) : size])


def connect(port: int, count: int, dialect: str) -> list[Client]:
    """So many open clients that have had their first message (a bare server sends none)."""
    clients: list[Client] = []
    request = _request(port, dialect)
    for first in range(0, count, 50):
        socks = []
        for _ in range(first, min(count, first + 50)):
            sock = socket.create_connection(("127.0.0.1", port))
            sock.sendall(request)
            socks.append(sock)
        for sock in socks:
            data = b""
            while b"\r\n\r\n" not in data:
                data += sock.recv(65536)
            head, _, rest = data.partition(b"\r\n\r\n")
            if b" 101 " not in head:
                raise RuntimeError(head.decode())
            sock.setblocking(False)
            clients.append(Client(sock, rest, dialect.startswith("v1")))
    return clients


def _request(port: int, dialect: str) -> bytes:
    """The request of an opening handshake."""
    dialect, _, deflate = dialect.partition("+")
    key = b64encode(os.urandom(16)).decode()
    offer = "Sec-WebSocket-Protocol: jobctl.v1\r\n" if dialect == "v1" else ""
    if deflate:
        offer += "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
    return (
        f"GET /ws/jobs HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
        f"Sec-WebSocket-Version: 13\r\n{offer}\r\n"
    ).encode()


def read_ready(poll: select.epoll, clients: dict[int, Client], timeout_s: float) -> bool:
    """Read once wherever something waits; whether anything did."""
    ready = poll.poll(timeout_s)
    for fd, _ in ready:
        try:
            clients[fd].read()
        except BlockingIOError:
            pass
    return bool(ready)


def poll_of(clients: list[Client]) -> tuple[select.epoll, dict[int, Client]]:
    """A poll object over all of them."""
    poll = select.epoll()
    for client in clients:
        poll.register(client.sock, select.EPOLLIN)
    return poll, {client.sock.fileno(): client for client in clients}


def open_more(port: int, count: int, dialect: str, at_a_time: int) -> list[socket.socket]:
    """Open ``count`` connections, of which at most ``at_a_time`` are not open yet."""
    poll = select.epoll()
    opening: dict[int, tuple[socket.socket, bytearray]] = {}
    opened: list[socket.socket] = []
    begun = 0
    request = _request(port, dialect)
    while len(opened) < count:
        while begun < count and len(opening) < at_a_time:
            sock = socket.create_connection(("127.0.0.1", port))
            sock.sendall(request)
            sock.setblocking(False)
            opening[sock.fileno()] = (sock, bytearray())
            poll.register(sock, select.EPOLLIN)
            begun += 1
        for fd, _ in poll.poll():
            sock, data = opening[fd]
            data += sock.recv(65536)
            head, end, rest = data.partition(b"\r\n\r\n")
            if end and b" 101 " not in head:
                raise RuntimeError(head.decode())
            if end and (rest or dialect == "bare"):
                poll.unregister(sock)
                del opening[fd]
                opened.append(sock)
    return opened


def opens(port: int, dialect: str, at_a_time: int) -> None:
    """Mode ``open``."""
    print("ready", flush=True)
    kept: list[socket.socket] = []
    for line in sys.stdin:
        began_s = time.monotonic()
        kept += open_more(port, int(line), dialect, at_a_time)
        print(time.monotonic() - began_s, flush=True)


def count(clients: list[Client]) -> None:
    """Mode ``count``."""
    poll, by_fd = poll_of(clients)
    while read_ready(poll, by_fd, 1.0):  # all snapshots are in
        pass
    print("ready", flush=True)
    witness = clients[0]
    for line in sys.stdin:
        updates = int(line)
        for client in clients:
            client.bytes = 0
        witness.seen = []
        tail, deliveries, done, ended_s = b"", 0, False, 0.0
        while not done:
            if not read_ready(poll, by_fd, 20.0):
                behind = sum(not client.caught_up(witness) for client in clients)
                raise RuntimeError(f"{deliveries} of {updates} came; {behind} clients are behind")
            ended_s = time.monotonic()
            told = tail + b"".join(witness.seen)
            witness.seen.clear()
            deliveries += told.count(_UPDATE)
            tail = told[-len(_UPDATE) + 1 :]
            done = deliveries >= updates and all(client.caught_up(witness) for client in clients)
            if not done:
                time.sleep(_NAP_S)
        print(ended_s, deliveries, flush=True)


def total(clients: list[Client]) -> None:
    """Mode ``sum``."""
    poll, by_fd = poll_of(clients)
    while read_ready(poll, by_fd, 1.0):
        pass
    print("ready", flush=True)
    for line in sys.stdin:
        for client in clients:
            client.bytes = 0
        until_s = time.monotonic() + float(line)
        while read_ready(poll, by_fd, 2.0) or time.monotonic() < until_s:
            time.sleep(_NAP_S)
        print(sum(client.bytes for client in clients), flush=True)


def measure(clients: list[Client], sampled: int) -> None:
    """Mode ``time``."""
    step = len(clients) // sampled
    ours = clients[step // 2 :: step][:sampled]
    others = [client for client in clients if client not in set(ours)]
    pid = os.fork()
    if pid == 0:
        os.nice(10)
        poll, by_fd = poll_of(others)
        while os.getppid() != 1:
            read_ready(poll, by_fd, 1.0)
            time.sleep(_NAP_S)
        os._exit(0)
    poll = select.epoll()
    socks = {client.sock.fileno(): client.sock for client in ours}
    for fd in socks:
        poll.register(fd, select.EPOLLIN)
    carry = dict.fromkeys(socks, b"")
    while poll.poll(1.0):
        for fd, _ in poll.poll(0):
            socks[fd].recv(1 << 20)
    print("ready", flush=True)
    for line in sys.stdin:
        ages: list[int] = []
        until_s = time.monotonic() + float(line)
        while time.monotonic() < until_s or poll.poll(1.0):
            for fd, _ in poll.poll(0.2):
                data = carry[fd] + socks[fd].recv(1 << 20)
                now_ns = time.monotonic_ns()
                ages += [now_ns - int(stamp) for stamp in _STAMP.findall(data)]
                last = data.rfind(b'"message":"')
                # A stamp that is cut in two is taken when it is whole, and no stamp twice.
                carry[fd] = data[last:] if 0 <= last and len(data) - last < 32 else data[-11:]
        ages.sort()
        print(percentile(ages, 0.5) / 1e6, percentile(ages, 0.99) / 1e6, len(ages), flush=True)
    os.kill(pid, 15)
    os.waitpid(pid, 0)


def main() -> None:
    """Load as the command line says."""
    port, number, dialect, mode, *more = sys.argv[1:]
    if mode == "open":
        opens(int(port), dialect, int(more[0]))
        return
    clients = connect(int(port), int(number), dialect)
    if mode == "count":
        count(clients)
    elif mode == "sum":
        total(clients)
    else:
        measure(clients, int(more[0]))


if __name__ == "__main__":
    main()
