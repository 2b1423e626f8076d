"""A hub to be stopped and killed: ``hub_process.py DIRECTORY PORT WATCH_FILES``; prints its URL."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from jobctl.hub.server import serve
from jobctl.stores import open_store


async def main(directory: str, port: str, watch_files: str) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    store = open_store(Path(directory), create=True, adopt=True)
    try:
        await serve(
            store,
            port=int(port),
            watch_files=watch_files == "True",
            stop=stop,
            ready=lambda url: print(url, flush=True),
        )
    finally:
        store.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
