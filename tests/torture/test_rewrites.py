"""A program that rewrites files in place, as Node's ``writeFile`` does: none is seen as removed.

FAULTS row 66. The files look idle: each gets its old times back. ``--torture-rewrites 20000`` is
the promise; a plain run does fewer.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from contextlib import AsyncExitStack, aclosing
from pathlib import Path

import pytest

from jobctl.core.jobset import Delta, JobSet
from jobctl.reader.follow import follow
from jobctl.stores import open_store
from tests.hub.network import running_hub
from tests.stores.support import age, file_of, new

JOBS = 20
NODE = shutil.which("node")
SCRIPT = """
const { writeFile, utimes } = require("node:fs/promises");
const [directory, jobs, rewrites] = process.argv.slice(1);
const old = new Date(Date.now() - 3600000);
(async () => {
  for (let turn = 1; turn <= rewrites; turn++) {
    const id = `f${turn % jobs}`, at = "2026-01-01T00:00:00.000Z";
    const job = { id, type: "etl", stage: "load", createdAt: at, updatedAt: at,
                  message: String(turn), title: "x".repeat(turn % 7 ? 100 : 20000) };
    await writeFile(`${directory}/${id}.json`, JSON.stringify(job));
    await utimes(`${directory}/${id}.json`, old, old);
    if (turn % 16 === 0) await new Promise((resolve) => setTimeout(resolve, Math.random() * 4));
  }
})();
"""


@pytest.mark.slow
@pytest.mark.torture
@pytest.mark.timeout(0)
@pytest.mark.skipif(NODE is None, reason="needs node")
@pytest.mark.parametrize("source", ["hub", "log", "no log"])
async def test_rewrites_in_place_are_no_removals(
    place: Path, request: pytest.FixtureRequest, source: str
) -> None:
    """Not one of them; and the last version of each file arrives."""
    rewrites = int(request.config.getoption("--torture-rewrites", default=600))
    directory = place / "rewritten"
    directory.mkdir()
    for number in range(JOBS):
        (directory / f"f{number}.json").write_bytes(file_of(new(f"f{number}")))
        age(directory / f"f{number}.json")
    replica, odd = JobSet(), []
    last = {f"f{turn % JOBS}": str(turn) for turn in range(rewrites - JOBS + 1, rewrites + 1)}
    async with AsyncExitStack() as opened:
        store = open_store(directory, adopt=source != "no log")
        opened.callback(store.close)
        url = None
        if source == "hub":
            url = (await opened.enter_async_context(running_hub(store, watch_files=True))).url
        events = await opened.enter_async_context(
            aclosing(follow(store=None if url else store, url=url, bad_files=True))
        )
        node: asyncio.subprocess.Process | None = None
        async with asyncio.timeout(60 + rewrites / 50):
            async for event in events:
                if not isinstance(event, Delta):
                    odd += [event] if getattr(event, "reasons", None) else []
                    continue
                odd += list(event.gone)
                assert replica.apply(event)
                if node is None and len(replica) == JOBS:
                    assert NODE is not None
                    node = await asyncio.create_subprocess_exec(
                        NODE, "-e", SCRIPT, str(directory), str(JOBS), str(rewrites)
                    )
                if {job.id: job.message for job in replica} == last:
                    break
        assert node is not None
        assert await node.wait() == 0
    assert odd == []
    assert {
        path.stem: json.loads(path.read_text())["message"] for path in directory.glob("*.json")
    } == last
