"""``netns_client.py URL``: a client's events as lines of JSON; it is out of patience after 3 s."""

from __future__ import annotations

import asyncio
import json
import sys

from jobctl.core.jobset import Delta
from jobctl.reader.client import Client
from jobctl.reader.status import Status


async def main(url: str) -> None:
    async for event in Client(url, patience_s=3.0):
        if isinstance(event, Status):
            print(json.dumps({"state": event.state}), flush=True)
        elif isinstance(event, Delta):
            ids = [job.id for job in event.jobs]
            print(json.dumps({"since": event.since, "ids": ids}), flush=True)


asyncio.run(main(sys.argv[1]))
