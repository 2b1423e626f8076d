"""README's pages in Solid, React and plain HTML: built by Vite, and shown by a browser."""

from __future__ import annotations

import functools
import http.server
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from jobctl._clock import now
from jobctl.core import transitions
from jobctl.page import CLIENT_FILES, asset
from jobctl.stores import Store, open_store
from tests import npm
from tests.hub.browser import CHROMIUM, browser
from tests.hub.network import new_job, running_hub
from tests.recipes.guide import block

TITLE = "A page in Solid, React or plain HTML"
HUB = "127.0.0.1:8765"
ROWS = "[...document.querySelectorAll('li')].map((row) => row.textContent).join()"

VITE = {"vite": "8.4.0"}
SOLID = {"solid-js": "1.9.20", "vite-plugin-solid": "2.11.14"}
REACT = {"react": "19.3.1", "react-dom": "19.3.1"}
START = {"@solidjs/start": "1.3.2", "solid-js": "1.9.20", "vinxi": "0.5.11", "vite": "7.2.4"}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium"),
]
needs_npm = pytest.mark.skipif(shutil.which("npm") is None, reason="needs npm")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Where the jobs are written."""
    made = open_store(tmp_path / "jobs", create=True)
    made.create(new_job("a1", stages=("fetch", "load")))
    yield made
    made.close()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The origin of a server of the folder: `python3 -m http.server`, or `vite preview`."""
    handler = functools.partial(_Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


async def follows(store: Store, url: str) -> None:
    """The page shows the job, and that it moves, and says nothing of errors."""
    async with browser() as page:
        await page.go(url)
        await page.shows(ROWS, "a1: pending")
        store.update("a1", lambda job: transitions.advance(job, now=now()))
        await page.shows(ROWS, "a1: fetch")
        assert [said for said in page.said if "favicon" not in said] == []


async def test_plain_page_imports_the_client_from_the_hub(store: Store, tmp_path: Path) -> None:
    """With the option that README names, and not without it."""
    folder = tmp_path / "site"
    folder.mkdir()
    assert "--allow-origin http://127.0.0.1:8000" in block(TITLE, "sh")
    with served(folder) as origin:
        async with running_hub(store, allow_origins=[origin], insecure=False) as hub:
            html = block(TITLE, "html").replace(HUB, f"127.0.0.1:{hub.port}")
            (folder / "index.html").write_text(html)
            await follows(store, f"{origin}/")


def project(folder: Path, packages: dict[str, str], port: int, files: dict[str, str]) -> None:
    """A project as README has it, with the client that `jobctl js` writes."""
    (folder / "src").mkdir(parents=True)
    for name in CLIENT_FILES:
        (folder / "src" / name).write_text(asset(name))
    for name, text in files.items():
        (folder / name).write_text(text.replace(HUB, f"127.0.0.1:{port}"))
    described = {"private": True, "type": "module", "dependencies": packages}
    (folder / "package.json").write_text(json.dumps(described))
    npm.install_packages(folder)


def build(folder: Path, *command: str) -> None:
    """Build it; a bundler that warns of our files fails."""
    ran = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    said = ran.stdout + ran.stderr
    assert ran.returncode == 0, said
    assert "warn" not in said.lower(), said


PAGE = '<!doctype html><div id="root"></div><script type="module" src="/src/main.jsx"></script>'
CONFIG = 'import solid from "vite-plugin-solid";\nexport default { plugins: [solid()] };\n'


@needs_npm
@pytest.mark.parametrize(
    ("number", "packages", "more"),
    [(0, SOLID, {"vite.config.js": CONFIG}), (1, REACT, {})],
    ids=["solid", "react"],
)
async def test_page_that_vite_builds(
    number: int, packages: dict[str, Any], more: dict[str, str], store: Store, tmp_path: Path
) -> None:
    """From another port of this machine it connects without an option of the hub."""
    folder = tmp_path / "site"
    async with running_hub(store) as hub:
        main = block(TITLE, "jsx", number)
        files = {"index.html": PAGE, "src/main.jsx": main, **more}
        project(folder, VITE | packages, hub.port, files)
        build(folder, "node_modules/.bin/vite", "build")
        with served(folder / "dist") as origin:
            await follows(store, f"{origin}/")


ENTRIES = {
    "app.config.js": 'import { defineConfig } from "@solidjs/start/config";\n'
    "export default defineConfig({});\n",
    "src/entry-client.jsx": 'import { mount, StartClient } from "@solidjs/start/client";\n'
    'mount(() => <StartClient />, document.getElementById("app"));\n',
    "src/entry-server.jsx": 'import { createHandler, StartServer } from "@solidjs/start/server";\n'
    "export default createHandler(() => (\n  <StartServer document={(page) => (\n"
    '    <html><head>{page.assets}</head><body><div id="app">{page.children}</div>'
    "{page.scripts}</body></html>\n  )} />\n));\n",
}
"""As `npm create solid` writes them."""


@needs_npm
@pytest.mark.skipif(
    not os.environ.get("JOBCTL_TEST_SOLIDSTART"),
    reason="184 MB of packages: set JOBCTL_TEST_SOLIDSTART=1",
)
async def test_page_of_solidstart(store: Store, tmp_path: Path) -> None:
    """A server renders it without jobs, and the browser connects to the hub itself."""
    folder = tmp_path / "site"
    async with running_hub(store) as hub:
        files = ENTRIES | {"src/app.jsx": block(TITLE, "jsx", 2)}
        project(folder, START, hub.port, files)
        ran = subprocess.run(
            ["node_modules/.bin/vinxi", "build"],
            cwd=folder, capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-2000:]
        server = subprocess.Popen(
            ["node", ".output/server/index.mjs"],
            cwd=folder, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "HOST": "127.0.0.1", "PORT": "0"},
        )  # fmt: skip
        try:
            assert server.stdout is not None
            listening = server.stdout.readline()
            url = listening.split()[-1]
            assert url.startswith("http://127.0.0.1:"), listening
            await follows(store, url)
        finally:
            server.kill()
            server.communicate()
