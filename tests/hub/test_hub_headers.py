"""Every response of a hub says that it is a hub's, so that a proxy's own response is told apart."""

from __future__ import annotations

import asyncio

import pytest

from jobctl.core.protocol import FEATURES
from tests.hub.network import running_hub

UPGRADE = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
NO_KEY = UPGRADE.partition("Sec-WebSocket-Key")[0]
HOST = "Host: 127.0.0.1\r\n"
REQUESTS = {
    "101 ordinary": f"GET /ws/jobs HTTP/1.1\r\n{HOST}{UPGRADE}\r\n",
    "101 read by websockets": f"GET /ws/jobs HTTP/1.1\r\n{HOST}{UPGRADE}X-Y: {'y' * 5000}\r\n\r\n",
    "400 without a key": f"GET /ws/jobs HTTP/1.1\r\n{HOST}{NO_KEY}\r\n",
    "404 on another path": f"GET /ws/other HTTP/1.1\r\n{HOST}{UPGRADE}\r\n",
    "400 a bad filter": f"GET /ws/jobs?ended=x HTTP/1.1\r\n{HOST}{UPGRADE}\r\n",
    "403 a foreign host": f"GET /ws/jobs HTTP/1.1\r\nHost: evil.example\r\n{UPGRADE}\r\n",
    "414 a long target": f"GET /{'y' * 12_000} HTTP/1.1\r\n{HOST}{UPGRADE}\r\n",
    "431 a long header": f"GET / HTTP/1.1\r\n{HOST}{UPGRADE}X: {'y' * 12_000}\r\n\r\n",
    "431 a long head": f"GET / HTTP/1.1\r\n{HOST}X: {'y' * 20_000}",
    "200 health": f"GET /healthz HTTP/1.1\r\n{HOST}\r\n",
    "200 the page": f"GET / HTTP/1.1\r\n{HOST}\r\n",
    "200 jobs": f"GET /api/jobs HTTP/1.1\r\n{HOST}\r\n",
    "404 nothing here": f"GET /nothing HTTP/1.1\r\n{HOST}\r\n",
    "405 a wrong method": f"PUT /api/jobs HTTP/1.1\r\n{HOST}\r\n",
    "403 a foreign host, HTTP": "GET /api/jobs HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    "400 no HTTP": "GARBAGE\r\n\r\n",
    "417 an expectation": f"POST /login HTTP/1.1\r\n{HOST}Expect: x\r\nContent-Length: 0\r\n\r\n",
}


async def head_of(host: str, port: int, request: str) -> tuple[int, dict[str, str]]:
    """The status and the headers of the answer."""
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(request.encode())
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    writer.transport.abort()
    first, *lines = head.decode().rstrip().split("\r\n")
    pairs = (line.partition(": ") for line in lines)
    return int(first.split()[1]), {name.lower(): value for name, _, value in pairs}


@pytest.mark.parametrize("name", REQUESTS)
async def test_every_response_says_that_it_is_a_hubs(name, served):
    """Whatever part of the hub makes it."""
    async with running_hub(served) as running:
        status, headers = await head_of(running.host, running.port, REQUESTS[name])
    assert status == int(name[:3])
    assert headers["jobctl-hub"] == "jobctl.v1"
    assert headers["jobctl-features"].split(", ") == sorted(FEATURES)


async def test_the_refusal_of_one_connection_too_many_says_so_too(served):
    """It is made before the request is read."""
    async with running_hub(served, max_connections=1) as running:
        _, held = await asyncio.open_connection(running.host, running.port)
        status, headers = await head_of(running.host, running.port, REQUESTS["200 health"])
        held.transport.abort()
    assert status == 503
    assert headers["jobctl-hub"] == "jobctl.v1"
