"""One GET from a hub's HTTP side."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from jobctl.errors import HubError
from jobctl.reader import http_api


@asynccontextmanager
async def answering(*parts: bytes, length: int) -> AsyncIterator[str]:
    """A hub of which each part of an answer comes by itself."""

    ended = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length)
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0.02)
        except ConnectionError:
            pass
        finally:
            writer.close()
            ended.set()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await asyncio.wait_for(ended.wait(), 5)
        await asyncio.sleep(0)


async def test_answer_is_read_to_its_end():
    """However many pieces it comes in."""
    rows = [{"id": number} for number in range(5000)]
    body = json.dumps({"clients": rows}).encode()
    parts = [body[start : start + 10_000] for start in range(0, len(body), 10_000)]
    async with answering(*parts, length=len(body)) as url:
        assert await http_api.clients(url) == rows


async def test_answer_without_end_is_not_taken(monkeypatch):
    """FAULTS row 51: a hostile hub does not fill the memory."""
    monkeypatch.setattr(http_api, "_MAX_BODY", 100_000)
    async with answering(*[b" " * 50_000] * 4, length=10**9) as url:
        with pytest.raises(HubError, match="too long"):
            await http_api.clients(url)


async def test_answer_that_breaks_off_is_no_answer():
    """In a line."""
    async with answering(b'{"clients": [', length=1000) as url:
        with pytest.raises(HubError):
            await http_api.clients(url)


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        ("302 Found", b"", "HTTP 302, a redirect, which is not followed: is it a hub?"),
        ("502 Bad Gateway", b"", "HTTP 502, Bad Gateway"),
        ("599 Odd", b" ", "HTTP 599, without a reason"),
        ("403 Forbidden", b"<html>nginx</html>\n", "HTTP 403, Forbidden"),
        ("403 Forbidden\r\nJobctl-Hub: jobctl.v1", b"not for you\n", "HTTP 403, not for you"),
        ("403 Forbidden\r\nServer: jobctl", b"not for you\n", "HTTP 403, not for you"),
    ],
)
async def test_an_answer_without_a_text_is_explained(status, body, said):
    """It ended with a comma and nothing after it."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 {status}\r\nLocation: /\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws/jobs"
        with pytest.raises(HubError) as caught:
            await http_api.clients(url)
    assert str(caught.value).endswith(f"/api/clients: {said}")
