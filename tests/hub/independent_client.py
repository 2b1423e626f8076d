"""A client written from the README alone: it imports nothing of jobctl.

``independent_client.py URL [QUERY]`` keeps all jobs, through restarts of the hub, and prints
``{id: stage}`` whenever it has all there is.
"""

import asyncio
import hashlib
import json
import random
import re
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed


async def main(url: str, query: str = "") -> None:
    jobs: dict[str, dict] = {}
    cursor, tries = "", 0
    while True:
        delay = min(15, 0.5 * 2**tries) * random.random()
        tries += 1
        try:
            since = f"since={cursor}&" if cursor else ""
            full = f"{url}?{since}digest=1&{query}".rstrip("&")
            async with connect(full, subprotocols=["jobctl.v1"], proxy=None) as socket:
                async for text in socket:
                    message = json.loads(text)
                    if message["type"] != "jobs:delta":
                        continue
                    if message["since"] == 0:
                        jobs.clear()
                    jobs.update((job["id"], job) for job in message["jobs"])
                    for id in message["gone"]:
                        jobs.pop(id, None)
                    cursor, tries = message["cursor"], 0
                    await socket.send(
                        json.dumps({"type": "jobs:ack", "through": message["through"]})
                    )
                    if not message["more"]:
                        assert message["digest"] == digest(jobs), "we hold what we should"
                        print(
                            json.dumps({id: job["stage"] for id, job in jobs.items()}), flush=True
                        )
        except ConnectionClosed as error:
            if error.rcvd and 4400 <= error.rcvd.code < 4500:
                raise
            hint = re.search(r"come back in ([0-9.]+) s", error.rcvd.reason) if error.rcvd else None
            delay = float(hint[1]) if hint else delay
        except OSError:
            pass
        await asyncio.sleep(delay)


def digest(jobs: dict[str, dict]) -> str:
    total = 0
    for job in jobs.values():
        mark = hashlib.sha256(f"{job['id']} {job['revision']}".encode()).digest()
        total ^= int.from_bytes(mark[:8], "big")
    return f"{total:016x}"


asyncio.run(main(*sys.argv[1:]))
