"""Servers that are no hubs, met by whoever reads once: one line that says why, and never a hang."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from jobctl.core.protocol import MAX_FROM_HUB, SUBPROTOCOL
from jobctl.errors import HubError
from jobctl.reader import client as client_module
from jobctl.reader import once

DELTA = '{"type":"jobs:delta","epoch":"e","since":0,"through":1,"more":false,"jobs":[],"gone":[]}'


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[str]:
    """The address of a server that says this to every request, and hangs up."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


@asynccontextmanager
async def speaking(
    handle: Callable[[ServerConnection], Awaitable[None]], *, ours: bool = True
) -> AsyncIterator[str]:
    """The URL of a WebSocket server with this handler."""
    protocols = [Subprotocol(SUBPROTOCOL)] if ours else None
    async with serve(handle, "127.0.0.1", 0, subprotocols=protocols, compression=None) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


async def why_not(url: str) -> str:
    """What is said of the one read."""
    with pytest.raises(HubError) as caught:
        await asyncio.wait_for(once.read(url), 10)
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    "location", ["ftp://x/", "ws://[bad/", "ws://x:99999/", "http://u:p@x/", "mailto:x"]
)
async def test_a_redirect_to_nowhere_is_the_answer(location: str) -> None:
    """And no traceback, and no mistake of the user's."""
    head = f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
    async with answering(head.encode()) as address:
        said = await why_not(f"http://{address}")
    assert f"ws://{address}/ws/jobs: " in said


async def test_an_end_without_a_word_is_said_in_words() -> None:
    """TLS gives an error without a text."""
    async with answering(b"") as address:
        assert ": the connection broke; is" in await why_not(f"wss://{address}")


async def test_a_proxy_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what would help; it is asked for what is not on this machine only."""
    for name in ("https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:99999")
    assert "the proxy that is set cannot be one" in await why_not("ws://192.0.2.1:81")
    monkeypatch.delenv("http_proxy")
    monkeypatch.setenv("socks_proxy", "socks5://127.0.0.1:9")
    said = await why_not("ws://192.0.2.1:81")
    assert "python-socks" in said or "nobody listens there" in said


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ((), "no answer"),
        (('{"type":"jobs:owners","dead":["a"]}',), "no answer"),
        ((DELTA,), "no answer"),
        (('{"type":"jobs:pong","at":0}',), "closed the connection"),
        (("x" * (MAX_FROM_HUB + 1),), f"a message of over {MAX_FROM_HUB} bytes"),
    ],
)
async def test_a_server_that_answers_pings_and_says_nothing_more_is_given_up(
    monkeypatch: pytest.MonkeyPatch, messages: tuple[str, ...], said: str
) -> None:
    """It is no hub, or one that cannot read its store."""
    monkeypatch.setattr(client_module, "_MAX_SILENCE_S", 0.2)

    async def handle(connection: ServerConnection) -> None:
        for message in messages:
            await connection.send(message)
        await connection.wait_closed()

    async with speaking(handle) as url:
        assert said in await why_not(url)


async def test_a_server_of_another_protocol_is_known_at_once() -> None:
    """Before it says anything."""
    async with speaking(lambda connection: connection.wait_closed(), ours=False) as url:
        assert "it does not speak jobctl.v1" in await why_not(url)
