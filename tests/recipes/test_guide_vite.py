"""README's page in Vite: its client against real hubs, and what Vite's proxy sends them.

Vite itself is not here. Seen with Vite 6: its proxy passes Host and Origin on as they came,
``changeOrigin`` replaces the Host by the target's, ``xfwd`` adds ``X-Forwarded-*``.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from jobctl._clock import now
from jobctl.cli.serve import DEFAULT_HOST, DEFAULT_PORT, serve
from jobctl.core import transitions as jobs
from jobctl.stores import Store, open_store
from tests.cli.conftest import ROOT
from tests.hub.browser import CHROMIUM, browser
from tests.hub.network import HubProcess, new_job, running_hub, said, until
from tests.recipes.guide import block

pytestmark = pytest.mark.slow

TITLE = "A page in Vite"
CLIENT, CONFIG, PAGE = (block(TITLE, "js", number) for number in range(3))
PROSE = re.sub(r"\s+", " ", (ROOT / "README.md").read_text().partition(f"### {TITLE}\n")[2])


@cache
def node() -> list[str]:
    """A node that has WebSocket; an empty list where there is none."""
    for flags in ([], ["--experimental-websocket", "--no-warnings"]):  # by default since 22
        command = ["node", *flags]
        try:
            ran = subprocess.run(
                [*command, "-p", "typeof WebSocket"], capture_output=True, text=True, check=False
            )
        except OSError:
            return []
        if ran.stdout == "function\n":
            return command
    return []


needs_node = pytest.mark.skipif(not node(), reason="needs a node that has WebSocket")


@pytest.fixture
def store(tmp_path: Path) -> Any:
    """Where the jobs are written."""
    made = open_store(tmp_path / "jobs", create=True)
    made.create(new_job("a1", stages=("fetch", "load")))
    yield made
    made.close()


def move(store: Store, id: str) -> None:
    """To the next stage."""
    store.update(id, lambda job: jobs.advance(job, now=now()))


# -- the client -----------------------------------------------------------------------------

SPY = """
const say = (line) => console.log(JSON.stringify(line));
globalThis.WebSocket = class extends WebSocket {
  constructor(url, protocol) {
    super(url, protocol);
    say({ asked: String(url) });
    this.addEventListener("message", ({ data }) => say({ told: JSON.parse(data) }));
  }
};
"""

FOLLOW = """
import { follow } from "./jobs.js";
follow(process.argv[2], (jobs) =>
  say({ shown: Object.fromEntries(jobs.map(({ id, stage }) => [id, stage])) }));
"""


class Client:
    """The recipe's client in node, and all that it was told and has shown."""

    def __init__(self, place: Path, script: str, *args: str) -> None:
        (place / "package.json").write_text('{"type": "module"}')
        (place / "jobs.js").write_text(CLIENT)
        (place / "main.js").write_text(SPY + script)
        self._process = subprocess.Popen(
            [*node(), "main.js", *args], cwd=place, stdout=subprocess.PIPE, text=True
        )
        self.lines: list[dict[str, Any]] = []
        self._reading = asyncio.create_task(asyncio.to_thread(self._read))

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(json.loads(line))

    def all(self, key: str) -> list[Any]:
        return [line[key] for line in self.lines if key in line]

    async def shows(self, wanted: dict[str, str]) -> None:
        """Wait until it holds these; it comes back within some seconds, as chance has it."""
        await until(lambda: self.all("shown")[-1:] == [wanted], 30, what=str(self.lines))

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._process.kill()
        await self._reading
        self._process.communicate()


@needs_node
async def test_client_resumes_after_a_restart(store: Store, tmp_path: Path) -> None:
    """What changed and what went meanwhile: the difference, by its cursor, and nothing else."""
    store.create(new_job("a2"))
    store.create(new_job("a3"))
    hub = HubProcess(tmp_path / "jobs")
    async with Client(tmp_path, FOLLOW, hub.url) as client:
        await client.shows({"a1": "pending", "a2": "pending", "a3": "pending"})
        move(store, "a1")
        await client.shows({"a1": "fetch", "a2": "pending", "a3": "pending"})
        hub.kill()
        move(store, "a1")
        store.remove("a2")
        before = len(client.all("told"))
        with HubProcess(tmp_path / "jobs", port=hub.port):
            await client.shows({"a1": "load", "a3": "pending"})
        cursor = [told["cursor"] for told in client.all("told")[:before] if "cursor" in told][-1]
        assert client.all("asked")[-1] == f"{hub.url}?since={cursor}"
        deltas = [told for told in client.all("told")[before:] if told["type"] == "jobs:delta"]
        assert [job["id"] for delta in deltas for job in delta["jobs"]] == ["a1"]
        assert [id for delta in deltas for id in delta["gone"]] == ["a2"]
        assert all(delta["since"] > 0 for delta in deltas)


@needs_node
async def test_client_begins_anew_where_it_has_to(store: Store, tmp_path: Path) -> None:
    """The directory was wiped meanwhile: what it held is gone."""
    hub = HubProcess(tmp_path / "jobs")
    async with Client(tmp_path, FOLLOW, hub.url) as client:
        await client.shows({"a1": "pending"})
        hub.kill()
        shutil.rmtree(tmp_path / "jobs" / ".jobctl")
        (tmp_path / "jobs" / "a1.json").unlink()
        store.create(new_job("b1"))
        with HubProcess(tmp_path / "jobs", port=hub.port):
            await client.shows({"b1": "pending"})
        assert [told["since"] for told in client.all("told") if "since" in told].count(0) == 2


@needs_node
async def test_client_takes_many_pages(store: Store, tmp_path: Path) -> None:
    """It shows what it has when it has all."""
    for number in range(20):
        store.create(new_job(f"b{number}", title="x" * 30_000))
    with HubProcess(tmp_path / "jobs") as hub:
        async with Client(tmp_path, FOLLOW, hub.url) as client:
            await until(lambda: client.all("shown"), 20)
            assert len(client.all("shown")[0]) == 21
            assert next(told["more"] for told in client.all("told") if "more" in told) is True


@needs_node
async def test_client_stops_when_it_is_refused(store: Store, tmp_path: Path) -> None:
    """A message that is none is not sent again and again."""
    ask = "const open = WebSocket; globalThis.WebSocket = class extends open { constructor(...a) {"
    rude = ask + 'super(...a); this.addEventListener("open", () => this.send("?")); } };'
    async with running_hub(store) as hub, Client(tmp_path, rude + FOLLOW, hub.url) as client:
        await asyncio.to_thread(client._process.wait, 20)
        assert client._process.returncode == 0, "nothing keeps it running"
        assert len(client.all("asked")) == 1


@needs_node
async def test_page_counts_what_is_at_work(store: Store, tmp_path: Path) -> None:
    """Its script, with as much of a browser as it touches."""
    store.create(new_job("a2"))
    (tmp_path / "page.js").write_text(PAGE)
    main = """
    globalThis.location = { host: process.argv[2] };
    globalThis.document = { set title(text) { say({ title: text }); } };
    await import("./page.js");
    """
    with HubProcess(tmp_path / "jobs") as hub:
        async with Client(tmp_path, main, f"127.0.0.1:{hub.port}") as client:
            await until(lambda: client.all("title")[-1:] == ["2 at work"], 20)
            store.update("a2", lambda job: jobs.fail(job, "no", now=now()))
            await until(lambda: client.all("title")[-1:] == ["1 at work"], 20)
            store.update("a1", lambda job: jobs.complete(job, now=now()))
            await until(lambda: client.all("title")[-1:] == ["0 at work"], 20)


# -- the proxy ------------------------------------------------------------------------------


@pytest.mark.skipif(not shutil.which("node"), reason="needs node")
def test_config_leads_to_the_hub_as_it_is_started(tmp_path: Path) -> None:
    """The path, the host and the port are those of `jobctl serve` without a flag."""
    (tmp_path / "vite.config.mjs").write_text(CONFIG)
    script = 'import("./vite.config.mjs").then((m) => console.log(JSON.stringify(m.default)))'
    ran = subprocess.run(
        ["node", "-e", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    path = (serve.__defaults__ or ())[2]
    proxy = {path: {"target": f"ws://{DEFAULT_HOST}:{DEFAULT_PORT}", "ws": True}}
    assert json.loads(ran.stdout) == {"server": {"proxy": proxy}}


async def asked(port: int, uri: str, **headers: Any) -> int:
    """What a hub answers to a handshake that came through: to this URI, with these headers."""
    try:
        async with passed_on(port, uri, **headers):
            return 101
    except InvalidStatus as error:
        return error.response.status_code


def passed_on(port: int, uri: str, *, origin: Any = None, xfwd: bool = False) -> connect:
    """A connection as Vite's proxy makes it."""
    more = {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "ws"} if xfwd else {}
    return connect(
        uri, host="127.0.0.1", port=port, origin=origin, additional_headers=more, proxy=None,
        subprotocols=[Subprotocol("jobctl.v1")],
    )  # fmt: skip


async def test_hub_takes_the_page_and_nobody_elses(store: Store) -> None:
    """Through the proxy with and without `changeOrigin`, and from the page itself."""
    page, evil = "http://localhost:5173", "https://evil.example"
    async with running_hub(store) as hub:
        port = hub.port
        as_it_came, changed = "ws://localhost:5173/ws/jobs", f"ws://127.0.0.1:{port}/ws/jobs"
        direct = f"ws://localhost:{port}/ws/jobs"
        for uri in (as_it_came, changed, direct):
            assert await asked(port, uri, origin=page) == 101, uri
            assert await asked(port, uri, origin=evil) == 403, uri
        assert await asked(port, as_it_came, origin=page, xfwd=True) == 403
        assert await asked(port, as_it_came) == 101, "which is why `vite --host` is warned of"
        assert (
            await asked(port, "ws://192.0.2.2:5173/ws/jobs", origin="http://192.0.2.2:5173") == 403
        )


async def test_flags_for_others_let_them_in_with_the_token(store: Store, tmp_path: Path) -> None:
    """The very flags that README names, and the page's first message."""
    flags = re.search(r"`(--token-file token --allow-host \S+ --allow-origin \S+)`", PROSE)
    assert flags is not None
    words = flags[1].split()
    given = dict(zip(words[::2], words[1::2], strict=True))
    host, origin = given["--allow-host"], given["--allow-origin"]
    assert origin == f"http://{host}:5173"
    token = "0123456789abcdef0123456789abcdef"
    access_options = {"allow_hosts": [host], "allow_origins": [origin], "token": token.encode()}
    async with running_hub(store, insecure=False, **access_options) as hub:
        uri = f"ws://{host}:5173/ws/jobs"
        async with passed_on(hub.port, uri, origin=origin, xfwd=True) as page:
            await page.send(json.dumps({"type": "jobs:auth", "token": token}))
            assert [job["id"] for job in (await said(page))["jobs"]] == ["a1"]
        assert await asked(hub.port, uri, origin="https://evil.example", xfwd=True) == 403
        async with passed_on(hub.port, uri, origin=origin, xfwd=True) as page:
            await page.send(json.dumps({"type": "jobs:auth", "token": token[::-1]}))
            await asyncio.wait_for(page.wait_closed(), 10)
            assert page.close_code == 4401


# -- a browser ------------------------------------------------------------------------------


@asynccontextmanager
async def site(files: dict[str, str]) -> AsyncIterator[int]:
    """A development server's part: a page of another port on localhost. The port."""
    app = web.Application()
    for name, text in files.items():
        kind = "text/html" if name == "/" else "text/javascript"

        async def answer(_: web.Request, text: str = text, kind: str = kind) -> web.Response:
            return web.Response(text=text, content_type=kind)

        app.router.add_get(name, answer)
    runner = web.AppRunner(app)
    await runner.setup()
    listening = web.TCPSite(runner, "127.0.0.1", 0)
    await listening.start()
    try:
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
async def test_page_of_another_port_asks_the_hub_itself(store: Store) -> None:
    """A browser sends the Origin, and the hub needs no flag; it goes on after a restart."""
    async with running_hub(store) as hub:
        port = hub.port
        html = (
            '<!doctype html><script type="module">import { follow } from "/jobs.js";'
            f'follow("ws://localhost:{port}/ws/jobs", (jobs) => {{'
            "document.title = jobs.map((job) => job.stage).join(); });</script>"
        )
        async with site({"/": html, "/jobs.js": CLIENT}) as at, browser() as page:
            await page.go(f"http://localhost:{at}/")
            await page.shows("document.title", "pending")
            move(store, "a1")
            await page.shows("document.title", "fetch")
