"""A hub to be stopped and killed; prints its URL.

``hub_process.py DIRECTORY PORT WATCH_FILES [TOKEN_FILE]``; with a token file it takes acts.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from jobctl.hub.access import AccessPolicy
from jobctl.hub.server import serve
from jobctl.hub.tokens import TokenFile
from jobctl.stores import open_store


async def main(directory: str, port: str, watch_files: str, token_file: str = "") -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    access = None
    if token_file:
        access = AccessPolicy("127.0.0.1", token=TokenFile(token_file), control=True)
    store = open_store(Path(directory), create=True, adopt=True)
    try:
        await serve(
            store,
            port=int(port),
            access=access,
            watch_files=watch_files == "True",
            stop=stop,
            ready=lambda url: print(url, flush=True),
        )
    finally:
        store.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
