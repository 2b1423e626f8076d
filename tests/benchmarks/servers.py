"""The servers that the benchmarks of the hub measure, each in a process.

``python -m tests.benchmarks.servers KIND DIR`` prints its port and serves until SIGTERM:

- ``hub``: jobctl's own;
- ``deflate``: the same as ``broadcast``, with that library's default compression;
- ``broadcast``: `websockets.broadcast` of one message a change, fed from the same store by the same
  bell, as one writes it with that library;
- ``bare``: no sessions, no cursors, no library in the way: one prebuilt frame a change, handed to
  each connection's transport.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable

from websockets.asyncio.server import ServerConnection, broadcast
from websockets.asyncio.server import serve as websockets_serve
from websockets.frames import Frame, Opcode

from jobctl.core.codec import to_wire
from jobctl.core.cursor import Cursor
from jobctl.core.protocol import update_message
from jobctl.hub.server import serve
from jobctl.stores import open_store


async def hub(path: str) -> None:
    """jobctl's hub."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    store = open_store(path, create=True, adopt=True)

    def ready(url: str) -> None:
        print(url.rsplit(":", 1)[1].split("/")[0], flush=True)

    await serve(store, port=0, stop=stop, ready=ready)


async def _fed(
    path: str,
    send: Callable[[set[ServerConnection], bytes], None],
    *,
    compression: str | None = None,
) -> None:
    """Serve, and ``send`` each change to all connections when the bell rings."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    store = open_store(path, create=True, adopt=True)
    start = store.since(Cursor("-", 0))
    cursor = Cursor(start.epoch, start.through)
    connections: set[ServerConnection] = set()
    listener = store.listen()

    def on_bell() -> None:
        nonlocal cursor
        listener.drain()
        delta = store.since(cursor)
        cursor = Cursor(delta.epoch, delta.through)
        for job in delta.jobs:
            send(connections, update_message(to_wire(job)))

    async def handle(connection: ServerConnection) -> None:
        connections.add(connection)
        try:
            await connection.wait_closed()
        finally:
            connections.discard(connection)

    loop.add_reader(listener.fileno(), on_bell)
    async with websockets_serve(
        handle, "127.0.0.1", 0, compression=compression, ping_interval=None
    ) as server:
        print(next(iter(server.sockets)).getsockname()[1], flush=True)
        await stop.wait()
        for connection in connections:
            connection.transport.abort()
    listener.close()
    store.close()


def _broadcast(connections: set[ServerConnection], message: bytes) -> None:
    broadcast(connections, message, text=True)


def _bare(connections: set[ServerConnection], message: bytes) -> None:
    frame = Frame(Opcode.TEXT, message).serialize(mask=False)
    for connection in connections:
        connection.transport.write(frame)


def main() -> None:
    """Serve as the command line says."""
    kind, path = sys.argv[1:]
    server = {
        "hub": hub,
        "deflate": lambda path: _fed(path, _broadcast, compression="deflate"),
        "broadcast": lambda path: _fed(path, _broadcast),
        "bare": lambda path: _fed(path, _bare),
    }[kind]
    asyncio.run(server(path))


if __name__ == "__main__":
    main()
