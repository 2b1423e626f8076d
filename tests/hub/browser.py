"""A headless Chromium, driven over its DevTools protocol."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


class Page:
    """One tab; ``said`` are its console messages, errors, dialogs and requests elsewhere."""

    def __init__(self, connection: ClientConnection, process: subprocess.Popen[bytes]) -> None:
        self._connection = connection
        self.process = process
        """The browser; the processes that it started are in its process group."""
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self.said: list[str] = []
        self.requests: list[str] = []
        self._listeners: dict[str, Callable[[dict[str, Any]], None]] = {}
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for text in self._connection:
            message = json.loads(text)
            if "id" in message:
                answer = self._answers.pop(message["id"])
                if not answer.done():  # by the deadline
                    answer.set_result(message)
                continue
            if listener := self._listeners.get(message["method"]):
                listener(message["params"])
            if message["method"] == "Network.requestWillBeSent":
                self.requests.append(message["params"]["request"]["url"])
            elif message["method"] in (
                "Page.javascriptDialogOpening", "Runtime.exceptionThrown", "Log.entryAdded"
            ):  # fmt: skip
                self.said.append(json.dumps(message["params"]))

    def on(self, method: str, listener: Callable[[dict[str, Any]], None]) -> None:
        """Call the listener with the parameters of each such event."""
        self._listeners[method] = listener

    async def do(self, method: str, *, within_s: float = 20.0, **params: Any) -> Any:
        """One command, and its result."""
        id = next(self._ids)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._answers[id] = answer
        await self._connection.send(json.dumps({"id": id, "method": method, "params": params}))
        message = await asyncio.wait_for(answer, within_s)
        assert "error" not in message, message
        return message["result"]

    async def run(self, script: str, *, within_s: float = 20.0) -> Any:
        """The value of an expression in the page, or what its promise resolves to."""
        result = await self.do(
            "Runtime.evaluate", within_s=within_s, expression=script, returnByValue=True,
            awaitPromise=True,
        )  # fmt: skip
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

    async def before_scripts(self, script: str) -> None:
        """Run the script in each document that is opened from now on, before its own scripts."""
        await self.do("Page.addScriptToEvaluateOnNewDocument", source=script)

    async def size(self, width: int, height: int, **more: Any) -> None:
        """Give the page so many CSS pixels."""
        metrics = {"deviceScaleFactor": 1, "mobile": False, **more}
        await self.do("Emulation.setDeviceMetricsOverride", width=width, height=height, **metrics)

    async def hide(self) -> None:
        """Put another tab in front of this one."""
        other = await self.do("Target.createTarget", url="about:blank")
        await self.do("Target.activateTarget", targetId=other["targetId"])
        await self.shows("document.visibilityState", "hidden")

    async def show(self) -> None:
        """Put this tab in front."""
        await self.do("Page.bringToFront")
        await self.shows("document.visibilityState", "visible")

    async def close(self) -> None:
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)


@asynccontextmanager
async def browser(*flags: str) -> AsyncIterator[Page]:
    """A tab in a browser of its own, which ends with the block, with more ``flags``."""
    assert CHROMIUM is not None, "the test is skipped without one"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        process = subprocess.Popen(
            [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--no-first-run", "--disable-background-networking", "--remote-debugging-port=0",
             f"--user-data-dir={home}", *flags, "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, process_group=0,
            env={**os.environ, "HOME": home},
        )  # fmt: skip
        try:
            url = await _tab_of(Path(home))
            async with connect(url, max_size=None, proxy=None, compression=None) as connection:
                page = Page(connection, process)
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
