"""A request for the socket that is no WebSocket request: mostly a proxy has left that out."""

from __future__ import annotations

import asyncio
import http.client
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from jobctl.errors import HubError
from jobctl.reader.client import Client
from tests.hub.network import running_hub, until
from tests.hub.test_hub_headers import UPGRADE

TOKEN = b"0123456789abcdef0123456789abcdef"
SAID = "the proxy must pass Upgrade and Connection on"
KEY = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
REQUESTS = {
    "no header": "GET /ws/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "as nginx sends it": (
        f"GET /ws/jobs HTTP/1.0\r\nHost: 127.0.0.1\r\nConnection: close\r\n{KEY}\r\n"
    ),
    "a query": "GET /ws/jobs?active=1 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "no Upgrade": f"GET /ws/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n{KEY}\r\n",
    "no Connection": f"GET /ws/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n{KEY}\r\n",
    "HEAD": "HEAD /ws/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
}


async def answer_to(host: str, port: int, request: str) -> tuple[int, dict[str, str], str]:
    """Status, headers and body of the answer."""
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(request.encode())
    head, _, body = (await asyncio.wait_for(reader.read(), 10)).decode().partition("\r\n\r\n")
    writer.close()
    first, *lines = head.split("\r\n")
    pairs = (line.partition(": ") for line in lines)
    return int(first.split()[1]), {name.lower(): value for name, _, value in pairs}, body


@pytest.mark.parametrize("token", [None, TOKEN])
@pytest.mark.parametrize("name", REQUESTS)
async def test_the_answer_says_what_the_proxy_must_do(name, token, served):
    """Whoever asks, and with or without a token: it tells nothing else."""
    async with running_hub(served, token=token) as hub:
        status, headers, body = await answer_to(hub.host, hub.port, REQUESTS[name])
    assert status == 426
    assert headers["upgrade"] == "websocket"
    assert (SAID in body) or name == "HEAD"
    assert "Failed to open" not in body


async def test_a_foreign_host_is_refused_before_that(served):
    """As on every path."""
    request = "GET /ws/jobs HTTP/1.1\r\nHost: evil.example\r\n\r\n"
    async with running_hub(served) as hub:
        assert (await answer_to(hub.host, hub.port, request))[0] == 403


async def test_a_proxy_that_speaks_http_1_0_is_told_so(served):
    """It passes the headers on, and WebSocket needs HTTP/1.1 all the same."""
    request = f"GET /ws/jobs HTTP/1.0\r\nHost: 127.0.0.1\r\n{UPGRADE}\r\n"
    async with running_hub(served) as hub:
        status, _, body = await answer_to(hub.host, hub.port, request)
    assert status == 505
    assert "the proxy must use HTTP/1.1" in body


@pytest.mark.parametrize("server", ["hub", "another"])
async def test_the_client_says_the_same(server, served):
    """Of the hub's own answer, and of a proxy's."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if server == "hub":
            back, on = await asyncio.open_connection(hub.host, hub.port)
            on.write(REQUESTS["no Upgrade"].encode())
            writer.write(await back.read())
            on.close()
        else:
            body = b"<html>Upgrade Required</html>"
            writer.write(b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 29\r\n\r\n" + body)
        writer.close()

    async with running_hub(served) as hub, await asyncio.start_server(refuse, "127.0.0.1") as proxy:
        port = proxy.sockets[0].getsockname()[1]
        with pytest.raises(HubError, match=f"HTTP 426.*{SAID}") as raised:
            async for _ in Client(f"127.0.0.1:{port}"):
                pass
    assert "html" not in str(raised.value)
    assert raised.value.exit_code == 5


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("nginx") is None, reason="needs nginx")
async def test_nginx_with_nothing_but_proxy_pass(served, tmp_path: Path):
    """What most people write first."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with running_hub(served) as hub:
        (tmp_path / "nginx.conf").write_text(
            f"daemon off; pid {tmp_path}/pid; error_log {tmp_path}/error.log;\n"
            f"events {{}}\nhttp {{ access_log off; client_body_temp_path {tmp_path}/a;\n"
            f"proxy_temp_path {tmp_path}/b; fastcgi_temp_path {tmp_path}/c;\n"
            f"uwsgi_temp_path {tmp_path}/d; scgi_temp_path {tmp_path}/e;\n"
            f"server {{ listen 127.0.0.1:{port};\n"
            f"location / {{ proxy_pass http://127.0.0.1:{hub.port}; }} }} }}\n"
        )
        process = subprocess.Popen(
            ["nginx", "-c", str(tmp_path / "nginx.conf"), "-p", str(tmp_path)],
            stderr=subprocess.DEVNULL,
        )
        try:
            await until(lambda: listens(port))
            with pytest.raises(HubError, match=f"refuses: HTTP 426, .*{SAID}"):
                async for _ in Client(f"127.0.0.1:{port}"):
                    pass
        finally:
            process.terminate()
            process.wait()


def listens(port: int) -> bool:
    """Whether somebody does."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.connect()
    except OSError:
        return False
    connection.close()
    return True
