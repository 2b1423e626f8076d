"""Behind nginx, as the README shows it."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiohttp import ClientSession, CookieJar, TCPConnector

from jobctl.hub import server as server_module
from jobctl.hub.access import AccessPolicy
from jobctl.stores import open_store
from tests.hub.network import Reader, new_job, until
from tests.stores.support import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("nginx") is None, reason="needs nginx"),
]

TOKEN = "0123456789abcdef0123456789abcdef"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@contextmanager
def nginx(
    place: Path, port: int, hub_port: int, certificate: tuple[Path, Path] | None
) -> Iterator[None]:
    """nginx with the README's lines, in front of the hub; with a certificate it ends TLS."""
    example = re.search(r"```nginx\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert example is not None
    location = example[1].replace("127.0.0.1:8765", f"127.0.0.1:{hub_port}")
    listen = f"listen 127.0.0.1:{port}"
    if certificate is not None:
        cert, key = certificate
        listen += f" ssl; ssl_certificate {cert}; ssl_certificate_key {key}"
    place.mkdir()
    (place / "nginx.conf").write_text(
        f"daemon off; pid {place}/pid; error_log {place}/error.log;\n"
        f"events {{}}\nhttp {{ access_log off; client_body_temp_path {place}/a;\n"
        f"proxy_temp_path {place}/b; fastcgi_temp_path {place}/c; uwsgi_temp_path {place}/d;\n"
        f"scgi_temp_path {place}/e; server {{ {listen};\n{location} }} }}\n"
    )
    process = subprocess.Popen(
        ["nginx", "-c", str(place / "nginx.conf"), "-p", str(place)],
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait()


@pytest.mark.parametrize("tls", [False, True])
async def test_readmes_example_works(directory, writer, tmp_path, monkeypatch, certificate, tls):
    """Page, API and socket under the base path; a token is needed, a foreign host is allowed."""
    writer.create(new_job("a1"))
    port, hub_port = free_port(), free_port()
    stop, urls = asyncio.Event(), list[str]()
    store = open_store(directory, adopt=True)
    access = AccessPolicy("127.0.0.1", allow_hosts=["jobs.example"], allow_origins=["https://jobs.example"],
                token=TOKEN.encode())  # fmt: skip
    task = asyncio.create_task(
        server_module.serve(
            store, port=hub_port, base="/jobs", access=access, stop=stop, ready=urls.append
        )
    )
    await until(lambda: urls)
    with nginx(tmp_path / "nginx", port, hub_port, certificate if tls else None):
        root = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        trust = ssl.create_default_context(cafile=str(certificate[0]))
        jar = CookieJar(unsafe=True)  # of an address that is no name
        async with ClientSession(connector=TCPConnector(ssl=trust), cookie_jar=jar) as session:

            async def status(path: str, **headers: str) -> int:
                async with session.get(root + path, headers=headers) as answer:
                    return answer.status

            await until(lambda: _listens(port))
            bearer = {"Authorization": f"Bearer {TOKEN}"}
            assert await status("/jobs/api/jobs") == 401
            assert await status("/jobs/api/jobs", **bearer) == 200
            assert await status("/jobs/healthz") == 200
            assert await status("/jobs/api/jobs", **bearer, Host="jobs.example") == 200
            assert await status("/jobs/api/jobs", **bearer, Host="evil.example") == 403
            assert await status("/jobs/api/jobs", **bearer, Origin="https://evil.example") == 403
            assert await status("/jobs/api/jobs", **bearer, Origin="https://jobs.example") == 200
            async with session.post(
                f"{root}/jobs/login", data={"token": TOKEN}, headers={"Origin": root}
            ) as page:
                assert (page.status, str(page.url)) == (200, f"{root}/jobs/")
                cookie = page.history[0].headers["Set-Cookie"]
            assert ("secure" in cookie.lower()) is tls
            assert "path=/jobs/" in cookie.lower()
            async with session.ws_connect(f"{root}/jobs/ws/jobs") as page:
                assert json.loads((await page.receive()).data)["type"] == "jobs:init"
        monkeypatch.setenv("JOBCTL_TOKEN", TOKEN)
        monkeypatch.setenv("JOBCTL_CA", str(certificate[0]))
        async with Reader.of_hub(f"{root}/jobs/ws/jobs") as reader:
            await until(lambda: reader.contents)
            writer.create(new_job("a2"))
            await until(lambda: len(reader.contents) == 2)
    stop.set()
    await task
    store.close()


def _listens(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0
