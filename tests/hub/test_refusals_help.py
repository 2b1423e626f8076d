"""A refusal names a command that allows the request; it works when it is typed as it stands."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from websockets.datastructures import Headers
from websockets.exceptions import InvalidStatus
from websockets.http11 import Response

from jobctl.core.protocol import HUB_HEADER
from jobctl.hub.access import AccessPolicy, AccessRefused, AccessRequest
from jobctl.reader.failures import explain
from tests.hub.network import running_hub
from tests.stores.support import environment

TOKEN = b"0123456789abcdef0123456789abcdef"
COMMAND = re.compile(r"(?:openssl|jobctl) [^;\n]*")
CASES: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "another host": ({}, {"Host": "jobs.example"}),
    "another host, IPv6": ({}, {"Host": "[2001:db8::1]:80"}),
    "another host, insecure": ({"insecure": True}, {"Host": "jobs.example"}),
    "another page": ({}, {"Origin": "https://page.example"}),
    "another page, IPv6": ({}, {"Origin": "http://[2001:db8::1]:3000"}),
    "another page, insecure": ({"insecure": True}, {"Origin": "https://page.example"}),
    "a proxy": ({}, {"X-Forwarded-For": "192.0.2.1"}),
    "another user": ({"own_uid": 12345, "peer_uid": lambda sock: 54321}, {}),
}


async def answer(url: str, headers: dict[str, str]) -> tuple[int, str]:
    """Status and body for a request."""
    page = url.replace("ws", "http", 1).replace("/ws/jobs", "/api/jobs")
    async with ClientSession() as session, session.get(page, headers=headers) as response:
        return response.status, await response.text()


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
async def test_the_command_allows_what_was_refused(name, served, directory, tmp_path: Path):
    """Typed in a shell, with another port and our directory at its end."""
    options, headers = CASES[name]
    async with running_hub(served, **options) as hub:
        status, said = await answer(hub.url, headers)
    assert status == 403
    found = COMMAND.search(said)
    assert found is not None, said
    (tmp_path / "jobctl").write_text(f'#!/bin/sh\nexec {sys.executable} -m jobctl "$@"\n')
    (tmp_path / "jobctl").chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    process = await asyncio.create_subprocess_shell(
        f"{found[0]} --port 0 --dir '{directory}'",
        cwd=tmp_path, env={**environment(), "PATH": path}, stderr=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        line = ""
        while "serving" not in line:
            line = (await asyncio.wait_for(process.stderr.readline(), 20)).decode()
            assert line, "it serves"
        url = re.findall(r"ws://[^ ,]*", line)[0]
        if "token" in found[0]:
            headers = headers | {
                "Authorization": f"Bearer {(tmp_path / 'jobctl-token').read_text().strip()}"
            }
        assert (await answer(url, headers))[0] == 200
    finally:
        os.killpg(process.pid, 15)
        await process.wait()


def test_with_a_token_the_option_is_named():
    """Where the token comes from, the hub does not tell to whoever it refuses."""
    policy = AccessPolicy("127.0.0.1", token=TOKEN)
    with pytest.raises(
        AccessRefused, match=r"start the hub with --allow-host jobs\.example as well"
    ):
        policy.check_source(AccessRequest((("host", "jobs.example"),), "127.0.0.1", False))


@pytest.mark.parametrize(
    "origin", ["null", "https://x.example/'; rm -rf '", "x.example", "file://"]
)
def test_no_command_for_what_should_not_be_allowed_or_typed(origin):
    """Every sandboxed page has the origin null."""
    headers = (("host", "127.0.0.1"), ("origin", origin))
    with pytest.raises(AccessRefused) as refused:
        AccessPolicy("127.0.0.1").check_source(AccessRequest(headers, "127.0.0.1", False))
    assert "serve" not in str(refused.value)


def test_an_insecure_hub_for_other_machines_stays_one():
    """Its command would listen on loopback alone otherwise."""
    policy = AccessPolicy("0.0.0.0", insecure=True)
    with pytest.raises(
        AccessRefused, match=r"jobctl serve --host 0\.0\.0\.0 --allow-host x --insecure"
    ):
        policy.check_source(AccessRequest((("host", "x"),), "192.0.2.1", False))


async def test_our_client_shows_the_whole_command(served):
    """It was cut after 200 characters."""
    host = ".".join(["h" * 60] * 3)
    async with running_hub(served) as hub:
        _, said = await answer(hub.url, {"Host": host})
    headers = Headers({HUB_HEADER: "jobctl.v1"})
    refusal = InvalidStatus(Response(403, "Forbidden", headers, said.encode()))
    assert explain(refusal).endswith(f"--allow-host {host} --token-file jobctl-token")


@pytest.mark.parametrize("scheme", ["ws", "wss", "WS"])
async def test_the_scheme_of_the_socket_is_a_page_s(scheme, served):
    """Some programs send the URL that they connect to as their origin."""
    async with running_hub(served) as hub:
        for host in ("127.0.0.1", "localhost:8765", "[::1]:1"):
            assert (await answer(hub.url, {"Origin": f"{scheme}://{host}"}))[0] == 200
        assert (await answer(hub.url, {"Origin": f"{scheme}://evil.example"}))[0] == 403
    async with running_hub(served, token=TOKEN, allow_origins=["https://page.example"]) as hub:
        bearer = {"Authorization": f"Bearer {TOKEN.decode()}"}
        for origin, status in (("wss://page.example", 200), ("ws://page.example", 403)):
            assert (await answer(hub.url, bearer | {"Origin": origin}))[0] == status
