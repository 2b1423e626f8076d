"""What the tests of the dashboard share: a relay that can be cut, and what a page holds."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from tests.hub.browser import Page

__all__ = ["Relay", "agrees", "mark_rows", "page_of", "relay", "unmarked_rows"]

HELD = """
(() => {
  const all = window.jobctl?.jobs.status.synced ? window.jobctl.jobs.all() : null;
  return all && Object.fromEntries(all.map((job) => [job.id, [
    job.type, job.stage, job.retryCount, job.error ?? null, job.title ?? null, job.message ?? null,
    JSON.stringify(job.progress ?? null), job.updatedAt, job.derived.active, job.derived.cancelled,
    job.derived.lost]]));
})()
"""

SCROLLED = """
(async () => {
  const box = document.scrollingElement, top = box.scrollTop, seen = {};
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  box.scrollTop = 0;
  for (;;) {
    await frame(); await frame();
    for (const row of document.querySelectorAll("#rows [data-id]"))
      seen[row.dataset.id] = row.dataset.stage;
    if (box.scrollTop + box.clientHeight >= box.scrollHeight - 1) break;
    box.scrollTop += box.clientHeight * 0.7;
  }
  box.scrollTop = top;
  return seen;
})()
"""

MARK = """
document.querySelectorAll("#rows [data-id]").forEach((row) => { row.markOfTest = row.dataset.id; })
"""

UNMARKED = """
[...document.querySelectorAll("#rows [data-id]")]
  .filter((row) => row.markOfTest !== row.dataset.id).map((row) => row.dataset.id).sort()
"""


def page_of(url: str, path: str = "/") -> str:
    """The address of a page of the hub."""
    return url.replace("ws", "http", 1).replace("/ws/jobs", path)


async def _listed(directory: Path) -> dict[str, list[Any]]:
    """What ``jobctl ls -a -o json`` says, as `HELD` has it."""
    ls = [sys.executable, "-m", "jobctl", "ls", "-a", "-o", "json", "--dir", str(directory)]
    done = await asyncio.to_thread(subprocess.run, ls, capture_output=True, check=True, timeout=20)
    return {
        job["id"]: [
            job["type"], job["stage"], job["retryCount"], job["error"], job.get("title"),
            job.get("message"), json.dumps(job.get("progress"), separators=(",", ":")),
            job["updatedAt"], job["derived"]["active"], job["derived"]["cancelled"],
            job["derived"]["lost"],
        ]
        for job in json.loads(done.stdout)["jobs"]
    }  # fmt: skip


async def agrees(page: Page, directory: Path, within_s: float = 15.0) -> dict[str, list[Any]]:
    """Wait until the page holds what ``jobctl ls`` prints, and its rows show that; returns it."""
    expected = await _listed(directory)
    await page.shows(HELD, expected, within_s)
    await page.shows(SCROLLED, {id: job[1] for id, job in expected.items()}, within_s)
    return expected


async def mark_rows(page: Page) -> None:
    """Mark the elements of the rows that are on the screen, for `unmarked_rows`."""
    await page.run(MARK)


async def unmarked_rows(page: Page) -> list[str]:
    """The jobs whose row is another element than when it was marked."""
    ids = await page.run(UNMARKED)
    assert isinstance(ids, list)
    return ids


class Relay:
    """Stands between the browser and a hub; can be cut without a sign to either side."""

    def __init__(self, to_port: int, replace: tuple[bytes, bytes] = (b"", b"")) -> None:
        self._old, self._new = replace
        self.to_port = to_port
        self.is_cut = False
        self.port = 0
        self.accepted = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[Any]] = set()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self._writers.add(writer)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        while self.is_cut:  # noqa: ASYNC110 - a test sets it
            await asyncio.sleep(0.05)  # packets are lost: neither refused nor made
        with suppress(OSError):
            back, forth = await asyncio.open_connection("127.0.0.1", self.to_port)
            self._writers.add(forth)
            await asyncio.gather(self._pass(reader, forth), self._pass(back, writer))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lost = False  # once bytes of a connection are lost, it stays dead
        with suppress(OSError):
            while data := await reader.read(65536):
                lost = lost or self.is_cut
                if not lost:
                    writer.write(data.replace(self._old, self._new) if self._old else data)
                    await writer.drain()
            if not lost:
                writer.write_eof()

    async def close(self) -> None:
        """End all connections."""
        for writer in self._writers:
            writer.transport.abort()
        if self._tasks:
            await asyncio.wait(self._tasks)


@asynccontextmanager
async def relay(to_port: int, *replace: bytes) -> AsyncIterator[Relay]:
    """A relay to the port, for the block.

    ``replace`` are bytes that it replaces in what it passes on, and as many others.
    """
    old, new = replace or (b"", b"")
    assert len(old) == len(new), "the lengths that messages say stay right"
    made = Relay(to_port, (old, new))
    server = await asyncio.start_server(made.handle, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        made.is_cut = False
        await made.close()
