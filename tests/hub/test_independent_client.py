"""A client in another hand, written from the README alone, holds what the directory holds."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from jobctl._clock import now
from jobctl.core import transitions as jobs
from jobctl.stores import Store
from tests.hub.network import HubProcess, new_job, running_hub, until

pytestmark = pytest.mark.slow

CLIENT = Path(__file__).with_name("independent_client.py")


@pytest.mark.parametrize("query", ["", "active=1"])
async def test_independent_client_follows_through_a_restart(
    directory: Path, writer: Store, query: str
) -> None:
    """Snapshot, changes, deletions, a kill and a stop of the hub; each state is proved."""
    writer.create(new_job("a1"))
    hub = HubProcess(directory)
    process = subprocess.Popen(
        [sys.executable, str(CLIENT), hub.url, query], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    last: dict[str, str] = {}

    async def read() -> None:
        while line := await asyncio.to_thread(process.stdout.readline):  # type: ignore[union-attr]
            last.clear()
            last.update(json.loads(line))

    reading = asyncio.create_task(read())

    def expected() -> dict[str, str]:
        held = [writer.get(id) for id in writer.ids()]
        return {job.id: job.stage for job in held if job.active or not query}

    try:
        await until(lambda: last == expected() != {}, 10)
        for id in ("a2", "a3"):
            writer.create(new_job(id))
        writer.update("a1", lambda job: jobs.complete(job, now=now()))
        writer.remove("a2")
        await until(lambda: last == expected(), 10)
        hub.kill()
        writer.create(new_job("a4"))
        writer.remove("a3")
        with HubProcess(directory, port=hub.port):
            await until(lambda: last == expected(), 20)
    finally:
        process.kill()
        await reading
        process.communicate()


@pytest.mark.skipif(shutil.which("wscat") is None, reason="needs wscat (npm)")
@pytest.mark.parametrize("dialect", ["plain", "jobctl.v1"])
async def test_wscat_talks_to_it(served: Store, dialect: str) -> None:
    """Both dialects."""
    served.create(new_job("a1"))
    async with running_hub(served) as hub:
        offer = ["-s", dialect] if dialect != "plain" else []
        talk = subprocess.Popen(
            ["wscat", "-c", hub.url, *offer],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert talk.stdin is not None
        assert talk.stdout is not None
        try:
            first = await asyncio.to_thread(talk.stdout.readline)
            assert '"a1"' in first
            talk.stdin.write('{"type":"jobs:ping","at":7}\n')
            talk.stdin.flush()
            assert '{"type":"jobs:pong","at":7}' in await asyncio.to_thread(talk.stdout.readline)
        finally:
            talk.kill()
            talk.communicate()
