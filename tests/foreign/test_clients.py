"""WebSocket clients of other languages, with their defaults, read more jobs than they take at once.

Each prints how many jobs it got, and the largest message; or why it was cut off.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobctl.core.protocol import SUBPROTOCOL
from jobctl.stores import Store
from tests import npm
from tests.hub.conftest import directory, served  # noqa: F401
from tests.hub.network import new_job, running_hub
from tests.recipes.test_guide_vite import node

HERE = Path(__file__).parent / "clients"
GO_SOURCES = Path("/usr/share/gocode")
SYSTEM_PYTHON = "/usr/bin/python3"  # where the distribution's python3-gi is

pytestmark = pytest.mark.slow

Command = Callable[[Path], list[str]]


def go(folder: Path) -> list[str]:
    """coder/websocket under its earlier name, as Debian has it (golang-nhooyr-websocket-dev)."""
    if shutil.which("go") is None or not (GO_SOURCES / "src/nhooyr.io/websocket").is_dir():
        pytest.skip("needs go and golang-nhooyr-websocket-dev")
    program = folder / "read"
    built = subprocess.run(
        ["go", "build", "-o", program, HERE / "read.go"],
        env={**os.environ, "GO111MODULE": "off", "GOPATH": str(GO_SOURCES), "GOFLAGS": ""},
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    return [str(program)]


def libsoup(folder: Path) -> list[str]:
    """GNOME's HTTP library, by the bindings of the distribution's Python."""
    probe = "import gi; gi.require_version('Soup', '3.0'); from gi.repository import Soup"
    try:
        done = subprocess.run([SYSTEM_PYTHON, "-c", probe], capture_output=True, check=False)
    except OSError:
        done = None
    if done is None or done.returncode:
        pytest.skip("needs python3-gi and gir1.2-soup-3.0")
    return [SYSTEM_PYTHON, str(HERE / "read_soup.py")]


def built_in(folder: Path) -> list[str]:
    """Node's own, which is undici's."""
    if not node():
        pytest.skip("needs a node that has WebSocket")
    return [*node(), str(HERE / "read.mjs"), "node"]


def npm_ws(folder: Path) -> list[str]:
    """The one that most programs for Node use."""
    if not node():
        pytest.skip("needs node")
    return [*node(), str(npm.install(HERE, "read.mjs", folder)), "ws"]


COMMANDS: dict[Command, int | None] = {
    go: 32 * 1024,
    libsoup: 128 * 1024,
    built_in: None,
    npm_ws: 100 * 1024 * 1024,
}
"""The clients, and the largest message that each takes by default."""


def fill(store: Store, *, large: bool = False) -> int:
    """Make some 300 KB of jobs; return how many."""
    for number in range(300):
        store.create(new_job(f"a{number}", title="t" * 600))
    if large:
        store.create(new_job("large", result="r" * 60_000))
    return 300 + large


async def read(command: list[str], url: str) -> dict[str, Any]:
    """What the client says at its end."""
    process = await asyncio.create_subprocess_exec(
        *command, url, SUBPROTOCOL, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    return json.loads(out)  # type: ignore[no-any-return]


@pytest.mark.parametrize("client", COMMANDS)
async def test_a_client_reads_all_jobs_with_its_defaults(client, served, tmp_path):  # noqa: F811
    """More of them than the smallest limit, and none of its messages is larger than that."""
    command = client(tmp_path)
    count = fill(served)
    async with running_hub(served) as hub:
        said = await read(command, hub.url)
    assert said["jobs"] == count, said
    assert said["largest"] <= 32 * 1024


@pytest.mark.parametrize("client", COMMANDS)
async def test_a_client_says_its_limit_for_large_jobs(client, served, tmp_path):  # noqa: F811
    """Without it, a single job that is larger cuts it off for ever."""
    command, limit = client(tmp_path), COMMANDS[client] or 32 * 1024
    count = fill(served, large=True)
    async with running_hub(served) as hub:
        said = await read(command, f"{hub.url}?max={limit}")
        assert said["jobs"] == count, said
        assert said["largest"] <= limit
        if client is go:
            assert "error" in await read(command, hub.url)


async def test_the_limits_are_the_clients_own(served, tmp_path):  # noqa: F811
    """A page of 100,000 bytes is too much for Go, and one of 200,000 for libsoup."""
    fill(served)
    commands = [(client(tmp_path), most) for client, most in ((go, 100_000), (libsoup, 200_000))]
    async with running_hub(served) as hub:
        for command, most in commands:
            assert "error" in await read(command, f"{hub.url}?max={most}")
