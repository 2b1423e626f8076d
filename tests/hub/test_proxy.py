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
from tests.hub.network import Reader, new_job, running_hub, until
from tests.stores.support import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("nginx") is None, reason="needs nginx"),
]

TOKEN = "0123456789abcdef0123456789abcdef"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def readme_location(hub_port: int) -> str:
    """The README's lines, for this hub."""
    example = re.search(r"```nginx\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert example is not None
    return example[1].replace("127.0.0.1:8765", f"127.0.0.1:{hub_port}")


@contextmanager
def nginx(
    place: Path, port: int, location: str, certificate: tuple[Path, Path] | None = None
) -> Iterator[None]:
    """nginx with this location, in front of the hub; with a certificate it ends TLS."""
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
    with nginx(tmp_path / "nginx", port, readme_location(hub_port), certificate if tls else None):
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


async def test_the_default_of_nginx_hides_who_asks(served, writer, tmp_path, caplog):
    """Without a token: it is logged, and the page of another name gets nothing. With one: 401."""
    writer.create(new_job("a1"))
    for token in (None, TOKEN.encode()):
        options = {} if token is None else {"token": token}
        async with running_hub(served, own_uid=None, **options) as hub:
            port = free_port()
            location = f"location / {{ proxy_pass http://127.0.0.1:{hub.port}; }}"
            with nginx(tmp_path / f"nginx-{token is None}", port, location):
                await until(lambda port=port: _listens(port))
                async with ClientSession() as session:
                    page = {"Referer": "http://jobs.example/"}
                    url = f"http://127.0.0.1:{port}/api/jobs"
                    async with session.get(url) as answer:
                        direct = answer.status
                    async with session.get(url, headers=page) as answer:
                        from_page = answer.status
        if token is None:  # nginx's workers are of another user, if it was started by root
            assert direct in (200, 403)
            assert from_page == 403
            assert direct == 403 or "by HTTP/1.0" in caplog.text
        else:
            assert (direct, from_page) == (401, 401)


def _listens(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0
