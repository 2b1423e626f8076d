"""One connection of the hub: what it keeps, and from when on it is known."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from websockets.asyncio.server import Server
from websockets.server import ServerProtocol

from jobctl.net import connection as connection_module
from jobctl.net import server as server_module
from jobctl.net.door import Door
from jobctl.stores import open_store
from tests.net.kit import running_hub, until, v1


class Transport:
    """As much of asyncio's as a new connection asks for."""

    def get_extra_info(self, name: str) -> None:
        return None

    def set_write_buffer_limits(self, high: int, low: int) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    resume_reading = pause_reading


async def test_connection_is_swept_only_once_it_has_a_transport():
    """asyncio gives it one in a later turn of the loop; a sweep in between ended the hub."""

    async def handle(_: Any) -> None:
        return None

    hub = server_module.HubServer(
        open_store("memory:"), Door("127.0.0.1"), path="/", watch_files=False
    )
    fake_server = cast("Server", SimpleNamespace(handler=handle, handler_tasks=set()))
    connection = hub._connection(ServerProtocol(), fake_server)
    assert connection not in hub._connections
    connection.connection_made(cast("Any", Transport()))
    assert connection in hub._connections
    await hub.feed.close()


async def test_connection_that_comes_as_the_hub_leaves_is_cut(served):
    """asyncio may have accepted it, and make its transport when nobody looks any more."""
    async with running_hub(served) as hub:
        pass
    front = hub.server._front(ServerProtocol(), cast("Server", None))
    transport = Cut()
    front.connection_made(transport)
    assert transport.cut


class Cut(asyncio.Transport):
    """Notes that it was cut."""

    cut = False

    def abort(self) -> None:
        self.cut = True


async def test_handshake_is_forgotten(served, monkeypatch):
    """A browser's headers are several KiB, and would be kept for every client."""
    made: list[connection_module.HubConnection] = []

    class Seen(connection_module.HubConnection):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            made.append(self)

    monkeypatch.setattr(server_module, "HubConnection", Seen)
    async with running_hub(served) as hub, v1(hub.url, additional_headers={"X-Large": "x" * 4000}):
        await until(lambda: bool(made) and made[0].subprotocol is not None)
        await until(lambda: made[0].request is not None and not made[0].request.headers)
        assert made[0].response is None
