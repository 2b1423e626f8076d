"""Much load for a while: afterwards the hub holds no more than before it.

An hour of ``run-dummy`` load is about 180 s here: ``--soak-seconds 180``.
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from aiohttp import ClientSession

from jobctl.core.filters import Filter
from jobctl.stores import open_store
from tests.hub.network import HubProcess, Reader, until
from tests.stores.support import environment

pytestmark = [pytest.mark.slow, pytest.mark.torture]


def held(pid: int) -> list[str]:
    """What a process has open, whichever file or socket of a kind it is; and its threads."""
    files = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        with suppress(FileNotFoundError):
            target = os.readlink(f"/proc/{pid}/fd/{name}").partition(":[")[0]
            if not target.endswith("changes (deleted)"):
                files.append(target)
    return sorted(files) + ["thread"] * len(os.listdir(f"/proc/{pid}/task"))


def replaced_logs(pid: int) -> int:
    """How many logs it has open that were replaced since: one at most, until it reads again."""
    links = [f"/proc/{pid}/fd/{name}" for name in os.listdir(f"/proc/{pid}/fd")]
    return sum(os.path.islink(link) and "changes (deleted)" in os.readlink(link) for link in links)


async def visit(url: str, chance: random.Random) -> None:
    """A client that comes, reads for a moment, under a filter perhaps, and leaves, or is cut."""
    filter = chance.choice([Filter(), Filter.make(active=True), Filter.make(stages=["extract"])])
    async with Reader.of_hub(url, filter=filter) as reader:
        await until(lambda: reader.deltas, 20)
        await asyncio.sleep(chance.uniform(0, 1))


async def look(url: str) -> None:
    """Every page once."""
    root = url.replace("ws", "http", 1).removesuffix("/ws/jobs")
    async with ClientSession() as session:
        for path in ("/", "/api/jobs", "/api/clients", "/metrics", "/healthz", "/nothing"):
            async with session.get(root + path) as answer:
                await answer.read()


async def test_load_leaves_nothing_behind(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Descriptors and threads are as before, memory has stopped growing."""
    seconds = float(request.config.getoption("--soak-seconds"))
    directory = tmp_path / "jobs"
    store = open_store(directory, create=True)
    chance = random.Random(7)
    with HubProcess(directory) as hub:
        for _ in range(3):  # what is loaded once
            await visit(hub.url, chance)
            await look(hub.url)
        await asyncio.sleep(0.5)
        before, sizes = held(hub.process.pid), []
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            dummies = subprocess.Popen(
                [sys.executable, "-m", "jobctl", "run-dummy", "--count", "12", "--speed", "20",
                 "--concurrency", "6", "--dir", str(directory)],
                env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            try:
                while dummies.poll() is None:
                    await asyncio.gather(*(visit(hub.url, chance) for _ in range(10)))
                    await look(hub.url)
            finally:
                dummies.kill()
                dummies.wait()
            for id in store.ids():
                store.remove(id)
            sizes.append(hub.rss_kib())
        with suppress(AssertionError):
            await until(lambda: held(hub.process.pid) == before, 15)
        assert held(hub.process.pid) == before
        assert replaced_logs(hub.process.pid) <= 1
        half = len(sizes) // 2
        if half >= 3:
            assert max(sizes[half:]) - max(sizes[:half]) < 4096, sizes
    store.close()
