"""Who may speak to the hub: Host and Origin, refused before anything is answered."""

from __future__ import annotations

import asyncio
import logging
import socket

import pytest
from websockets.exceptions import InvalidStatus

from jobctl.hub.origin import OriginCheck, parse_host
from tests.hub.network import plain, raw_upgrade, running_hub, said


def status_of(port: int, head: str) -> bytes:
    """The status line for a request with these lines."""

    with socket.create_connection(("127.0.0.1", port), 5) as sock:
        sock.sendall(head.encode())
        return sock.makefile("rb").readline().split(b" ", 1)[1].strip()


def upgrade(port: int, host: str, *more: str, path: str = "/ws/jobs") -> str:
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {host}" if host else "X-No-Host: at all",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Version: 13",
        *more,
    ]
    return "\r\n".join(lines) + "\r\n\r\n"


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "https://127.0.0.1.evil.example",
        "http://localhost.evil.example",
        "null",
        "file://",
        "http://127.0.0.1@evil.example",
        "javascript:alert(1)",
    ],
)
async def test_page_of_another_site_is_refused(served, origin):
    """FAULTS row 47, cross-site WebSocket hijack: an evil Origin gets 403."""
    async with running_hub(served) as hub:
        with pytest.raises(InvalidStatus) as caught:
            await plain(hub.url, origin=origin)
        assert caught.value.response.status_code == 403
        assert hub.sessions == 0


async def test_page_of_this_machine_and_programs_may_speak(served):
    """A page from loopback, and whoever sends no Origin, are let in (FAULTS row 47)."""
    async with running_hub(served) as hub:
        for origin in (None, f"http://127.0.0.1:{hub.port}", "http://localhost:3000"):
            async with plain(hub.url, origin=origin) as connection:
                assert (await said(connection))["type"] == "jobs:init"


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.nip.io", "", "a b", "127.0.0.1@evil"]
)
async def test_name_that_another_site_points_here_is_refused(served, host, caplog):
    """FAULTS row 48, DNS rebinding: an evil Host gets 403 on the socket and on every GET."""

    caplog.set_level(logging.WARNING, "jobctl.hub")
    async with running_hub(served) as hub:
        heads = [
            upgrade(hub.port, host),
            upgrade(hub.port, host, f"Origin: http://{host}"),  # equal, and proves nothing
            f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n",
            f"GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n",
        ]
        for head in heads:
            status = await asyncio.to_thread(status_of, hub.port, head)
            assert status.startswith(b"403") or (not host and status.startswith(b"4"))
    assert [record.getMessage() for record in caplog.records].count("refused") == len(heads)


async def test_two_hosts_or_two_origins_are_refused(served):
    """Which of two would be believed? Neither (FAULTS rows 47 and 48)."""

    async with running_hub(served) as hub:
        good = f"127.0.0.1:{hub.port}"
        for head in (
            upgrade(hub.port, good, "Host: evil.example"),
            upgrade(hub.port, good, "Origin: http://127.0.0.1", "Origin: http://evil.example"),
        ):
            status = await asyncio.to_thread(status_of, hub.port, head)
            assert status.startswith(b"403")


async def test_allowed_host_and_origin_may_speak(served):
    """What the operator allows is served."""
    access_options = {"allow_hosts": ["jobs.example"], "allow_origins": ["https://page.example"]}
    async with running_hub(served, **access_options) as hub:
        for head in (
            upgrade(hub.port, "jobs.example"),
            upgrade(hub.port, "127.0.0.1", "Origin: https://page.example"),
        ):
            assert (await asyncio.to_thread(status_of, hub.port, head)).startswith(b"101")


async def test_other_paths_and_bad_queries_are_refused(served):
    """404 names the path that is served, 400 the fault in the filter."""

    async with running_hub(served) as hub:
        for path, status in (("/", b"404"), ("/ws/jobs/x", b"404"), ("/ws/jobs?id=..%2Fx", b"400")):
            head = upgrade(hub.port, "127.0.0.1", path=path)
            assert (await asyncio.to_thread(status_of, hub.port, head)).startswith(status)


async def test_refused_peer_never_becomes_a_session(served):
    """A refusal comes before the subscription, so it costs the store nothing."""
    async with running_hub(served) as hub:
        sock = raw_upgrade(hub.port, headers="Origin: http://evil.example\r\n")

        answer = await asyncio.to_thread(sock.recv, 100)
        sock.close()
        assert b"403" in answer
        assert not hub.server.feed.active


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        ("127.0.0.1:80", "127.0.0.1"),
        ("[::1]:80", "::1"),
        ("LOCALHOST", "localhost"),
        ("localhost.", "localhost"),
        ("a@b", None),
        ("a/b", None),
        ("a:b", None),
        ("[::1", None),
        ("", None),
    ],
)
def test_host_is_read_out_of_an_authority(authority, host):
    """Nonsense has no host, so it is refused."""
    assert parse_host(authority) == host


def test_bound_host_is_known_and_a_wildcard_is_not():
    """Bound to all addresses, only names that were allowed and loopback are served."""
    assert OriginCheck("192.0.2.7").refusal("192.0.2.7:80", []) is None
    assert OriginCheck("0.0.0.0").refusal("192.0.2.7:80", []) is not None
    assert OriginCheck("0.0.0.0").refusal("0.0.0.0", []) is not None
    assert OriginCheck("0.0.0.0").refusal("localhost", []) is None
