"""FAULTS row 28: the network between hub and client goes away, and comes back."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from jobctl.hub import liveness as liveness_module
from jobctl.hub import server as server_module
from jobctl.hub.access import AccessPolicy
from jobctl.reader import client as client_module
from jobctl.stores import open_store
from tests.hub.network import new_job, retitle, until
from tests.stores.support import environment

CLIENT = Path(__file__).with_name("netns_client.py")


def ip(*args: str) -> None:
    subprocess.run(["ip", *args], check=True, capture_output=True)


@contextmanager
def cable(name: str) -> Iterator[tuple[str, str]]:
    """A network namespace at the end of a cable: our address, and the name of our end."""
    ours, theirs = f"{name}a", f"{name}b"
    try:
        ip("netns", "add", name)
        ip("link", "add", ours, "type", "veth", "peer", "name", theirs, "netns", name)
    except (OSError, subprocess.CalledProcessError) as error:
        subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
        pytest.skip(f"no network namespaces here: {error}")
    try:
        ip("addr", "add", "10.213.7.1/30", "dev", ours)
        ip("link", "set", ours, "up")
        ip("-n", name, "addr", "add", "10.213.7.2/30", "dev", theirs)
        ip("-n", name, "link", "set", theirs, "up")
        yield "10.213.7.1", ours
    finally:
        subprocess.run(["ip", "link", "del", ours], check=False, capture_output=True)
        subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def test_both_ends_notice_within_twenty_seconds() -> None:
    """In earnest; the test below is in more of a hurry."""
    assert liveness_module.LIVENESS_TIMEOUT_S + liveness_module._SWEEP_S <= 20
    assert client_module.PATIENCE_S <= 20


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("ip") is None or os.geteuid() != 0, reason="needs root and ip (iproute2)"
)
async def test_partition_is_noticed_and_nothing_is_lost(
    directory: Path, writer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By both ends; the client resumes by its cursor."""
    monkeypatch.setattr(liveness_module, "LIVENESS_TIMEOUT_S", 3.0)
    monkeypatch.setattr(liveness_module, "_PING_AFTER_S", 1.0)
    monkeypatch.setattr(liveness_module, "_SWEEP_S", 0.3)
    writer.create(new_job("a1"))
    name = f"jc{os.getpid() % 100_000}"
    with cable(name) as (address, link):
        store, stop, urls = open_store(directory, adopt=True), asyncio.Event(), list[str]()
        server = server_module.HubServer(
            store, AccessPolicy(address, insecure=True), path="/ws/jobs", watch_files=False
        )
        task = asyncio.create_task(server.run(address, 0, stop, urls.append))
        await until(lambda: urls)
        client = subprocess.Popen(
            ["ip", "netns", "exec", name, sys.executable, str(CLIENT), urls[0]],
            env=environment(), stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        events: list[dict[str, Any]] = []

        async def read() -> None:
            while line := await asyncio.to_thread(client.stdout.readline):  # type: ignore[union-attr]
                events.append(json.loads(line))

        reading = asyncio.create_task(read())
        try:
            await until(lambda: any("a1" in event.get("ids", ()) for event in events), 10)
            ip("link", "set", link, "down")
            for number in range(5):
                writer.update("a1", retitle(str(number)))
            writer.create(new_job("a2"))
            await until(lambda: not server.hub.sessions, 10)
            await until(lambda: events[-1].get("state") in ("closed", "error", "connecting"), 10)
            ip("link", "set", link, "up")
            await until(lambda: any("a2" in event.get("ids", ()) for event in events), 30)
            assert [event["since"] for event in events if "since" in event].count(0) == 1
        finally:
            client.kill()
            await reading
            client.communicate()
            stop.set()
            await task
            store.close()
