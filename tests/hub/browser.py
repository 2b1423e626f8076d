"""A headless Chromium, driven over its DevTools protocol."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


class Page:
    """One tab; ``said`` are its console messages, errors, dialogs and requests elsewhere."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self.said: list[str] = []
        self.requests: list[str] = []
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for text in self._connection:
            message = json.loads(text)
            if "id" in message:
                self._answers.pop(message["id"]).set_result(message)
            elif message["method"] == "Network.requestWillBeSent":
                self.requests.append(message["params"]["request"]["url"])
            elif message["method"] in (
                "Page.javascriptDialogOpening", "Runtime.exceptionThrown", "Log.entryAdded"
            ):  # fmt: skip
                self.said.append(json.dumps(message["params"]))

    async def do(self, method: str, **params: Any) -> Any:
        """One command, and its result."""
        id = next(self._ids)
        answer = self._answers[id] = asyncio.get_running_loop().create_future()
        await self._connection.send(json.dumps({"id": id, "method": method, "params": params}))
        message = await asyncio.wait_for(answer, 20)
        assert "error" not in message, message
        return message["result"]

    async def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        result = await self.do("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    async def go(self, url: str) -> None:
        """Open the URL."""
        await self.do("Page.navigate", url=url)

    async def shows(self, script: str, wanted: Any, deadline_s: float = 15.0) -> None:
        """Wait until the expression has the value."""
        end = asyncio.get_running_loop().time() + deadline_s
        while (value := await self.run(script)) != wanted:
            assert asyncio.get_running_loop().time() < end, f"{value!r} is not {wanted!r}"
            await asyncio.sleep(0.05)

    async def close(self) -> None:
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)


@asynccontextmanager
async def browser() -> AsyncIterator[Page]:
    """A tab in a browser of its own, which ends with the block."""
    assert CHROMIUM is not None, "the test is skipped without one"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        process = subprocess.Popen(
            [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--no-first-run", "--disable-background-networking", "--remote-debugging-port=0",
             f"--user-data-dir={home}", "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": home},
        )  # fmt: skip
        try:
            url = await _tab_of(Path(home))
            async with connect(url, max_size=None, proxy=None, compression=None) as connection:
                page = Page(connection)
                for domain in ("Page", "Runtime", "Log", "Network"):
                    await page.do(f"{domain}.enable")
                try:
                    yield page
                finally:
                    await page.close()
        finally:
            process.kill()
            process.wait()


async def _tab_of(home: Path) -> str:
    """The DevTools URL of the one tab."""
    import aiohttp

    async with asyncio.timeout(30):
        file = home / "DevToolsActivePort"
        while not file.exists() or not file.read_text():  # noqa: ASYNC110 - a file says it
            await asyncio.sleep(0.05)
        port = file.read_text().split()[0]
        async with aiohttp.ClientSession() as session:
            while True:
                async with session.get(f"http://127.0.0.1:{port}/json") as answer:
                    for tab in await answer.json(content_type=None):
                        if tab["type"] == "page":
                            return str(tab["webSocketDebuggerUrl"])
                await asyncio.sleep(0.05)
