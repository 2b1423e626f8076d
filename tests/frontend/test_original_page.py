"""The plain dialect against the store of the original's page: Solid 1.9, which merges.

Its page learns everything from `jobs:init` and `jobs:update`. After each random walk what it shows
is what ``jobctl ls -o json`` prints.
"""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from jobctl._clock import now
from jobctl.core import transitions
from jobctl.core.job import Job
from jobctl.stores import Store, open_store
from tests import npm
from tests.hub.network import HubProcess, until
from tests.recipes.test_guide_vite import node

HERE = Path(__file__).parent
WALKS, STEPS = 40, 8

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not node(), reason="needs a node that has WebSocket"),
    pytest.mark.skipif(shutil.which("npm") is None, reason="needs npm"),
]


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's program, with Solid beside it."""
    folder = tmp_path_factory.mktemp("page")
    return npm.install(HERE, "page.mjs", folder)


class Page:
    """One page that is open; `shown` asks it what it shows."""

    def __init__(self, program: Path, url: str) -> None:
        # Node takes Solid's build for servers by default, whose stores are not those of a browser.
        command = [*node(), "--conditions=browser", str(program), url]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def shown(self) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("dump\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())  # type: ignore[no-any-return]

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    """What is closed in the end."""
    with ExitStack() as stack:
        yield stack


def listed(directory: Path) -> dict[str, dict[str, Any]]:
    """The jobs as ``jobctl ls -o json`` prints them, without what they are derived from."""
    command = [sys.executable, "-m", "jobctl", "ls", "-o", "json", "--dir", str(directory)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    jobs = {job["id"]: job for job in json.loads(ran.stdout)["jobs"]}
    for job in jobs.values():
        del job["derived"]
    return jobs


def without_nulls(job: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in job.items() if value is not None}


def difference(page: dict[str, Any], directory: Path) -> list[Any]:
    """What the page shows and ``ls`` does not print, or the other way round."""
    jobs = listed(directory)
    found: list[Any] = [
        (id, without_nulls(page["jobs"].get(id, {})), without_nulls(job))
        for id, job in jobs.items()
        if without_nulls(page["jobs"].get(id, {})) != without_nulls(job)
    ]
    # What was removed has ended, as far as the page knows.
    found += [
        (id, job["stage"])
        for id, job in page["jobs"].items()
        if id not in jobs and job["stage"] not in ("completed", "failed")
    ]
    return found


def recorded(directory: Path) -> str:
    """The cursor that the hub has recorded as served."""
    file = directory / ".jobctl" / "served"
    return str(json.loads(file.read_text())["cursor"]) if file.exists() else ""


class Walk:
    """Random acts of workers on a directory."""

    def __init__(self, store: Store, chance: random.Random) -> None:
        self.store, self.chance, self.number = store, chance, 0

    def step(self) -> None:
        ids = self.store.ids()
        act = self.chance.choice(["create", "stage", "stage", "progress", "end", "retry", "remove"])
        if act == "create" or not ids:
            self.number += 1
            kind = self.chance.choice(["create_session", "submit_answers"])
            title = f"Job {self.number}" if self.chance.random() < 0.5 else None
            self.store.create(
                transitions.create(kind, now=now(), id=f"j{self.number}", title=title)
            )
            return
        id = self.chance.choice(ids)
        if act == "remove":
            self.store.remove(id)
        else:
            self.store.update(id, self.change(act))

    def change(self, act: str) -> Callable[[Job], Job]:
        fails, done = self.chance.random() < 0.5, self.chance.randrange(1, 8)

        def change(job: Job) -> Job:
            if act == "retry":
                return transitions.retry(job, now=now()) if job.stage == "failed" else job
            if not job.active:
                return job
            if act == "stage":
                return transitions.advance(job, now=now())
            if act == "progress":
                return transitions.report(job, now=now(), done=done, total=8, message="on it")
            if fails:
                return transitions.fail(job, "it broke", now=now())
            return transitions.complete(job, now=now(), result={"rows": done})

        return change


@pytest.mark.parametrize("seed", range(4))
async def test_page_shows_what_ls_prints(
    tmp_path: Path, page_file: Path, opened: ExitStack, seed: int
) -> None:
    """Through stages, progress, errors, retries, removals, and hubs that stop or are killed."""
    chance = random.Random(seed)
    directory = tmp_path / "jobs"
    store = open_store(directory, create=True)
    opened.callback(store.close)
    hub = HubProcess(directory)
    opened.callback(lambda: hub.kill())
    page = Page(page_file, hub.url)
    opened.callback(page.close)
    # A job that ends after the connection opened and before its first message is not told.
    await until(lambda: page.shown()["inits"])
    walk = Walk(store, chance)
    hubs = 1
    for _ in range(WALKS // 4):
        for _ in range(STEPS):
            walk.step()
            if chance.random() < 0.06:
                end = chance.choice([signal.SIGTERM, signal.SIGKILL])
                if end == signal.SIGKILL:  # it records what it served every two seconds
                    await until(lambda: recorded(directory) == str(store.head()))
                hub.send(end)
                await asyncio.to_thread(hub.process.wait)
                hub.kill()
                for _ in range(chance.randrange(4)):
                    walk.step()  # while no hub is there
                hub = HubProcess(directory, port=hub.port)
                hubs += 1
        await until(lambda: page.shown()["connected"])
        left: list[Any] = []
        for _ in range(50):
            left = difference(page.shown(), directory)
            if not left:
                break
            await asyncio.sleep(0.1)
        assert left == [], page.shown()
    shown = page.shown()
    assert shown["inits"] <= shown["opens"] <= hubs, "no start but the first of a connection"
    assert shown["toasts"], "the page sees how jobs end"
    fresh = Page(page_file, hub.url)
    opened.callback(fresh.close)
    await until(lambda: fresh.shown()["inits"])
    await asyncio.sleep(0.3)
    assert fresh.shown()["toasts"] == [], "a fresh page neither toasts nor navigates"
