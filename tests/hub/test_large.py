"""Stores that are large or slow, and what they do not hold up."""

from __future__ import annotations

import asyncio
import json
import threading
import time

import pytest

from jobctl.core.protocol import MAX_FROM_HUB
from jobctl.hub import feed as feed_module
from tests.hub.network import Reader, new_job, retitle, running_hub, said, until, v1


async def test_slow_disk_does_not_block_the_hub(served, writer, monkeypatch):
    """FAULTS row 27: while a read hangs, pings are answered and the last state is served."""
    writer.create(new_job("a1"))
    monkeypatch.setattr(feed_module, "_MAX_INLINE_RECORDS", 0)  # every read counts as a large one
    here, go_on = threading.get_ident(), threading.Event()
    asked: list[bool] = []
    real = served.since
    async with running_hub(served) as hub, v1(hub.url) as one:
        assert [job["id"] for job in (await said(one))["jobs"]] == ["a1"]

        def slow(cursor):
            asked.append(threading.get_ident() == here)
            go_on.wait(20)
            return real(cursor)

        monkeypatch.setattr(served, "since", slow)
        try:
            await asyncio.to_thread(writer.update, "a1", retitle("two"))
            await until(lambda: asked)
            for at in range(20):
                await one.send(json.dumps({"type": "jobs:ping", "at": at}))
                assert (await said(one))["at"] == at
            assert not go_on.is_set()
        finally:
            go_on.set()
        assert (await said(one))["jobs"][0]["title"] == "two"
    assert not any(asked), "it was not read in the loop"


@pytest.mark.slow
async def test_snapshot_larger_than_a_message_comes_in_pages(served):
    """FAULTS row 29: 6 MB for a client that takes 2; on one connection, and with the newest."""
    for number in range(60):
        served.create(new_job(f"a{number:02d}", title="x" * 100_000))
    assert 60 * 100_000 > 2 * MAX_FROM_HUB
    async with running_hub(served) as hub, Reader.of_hub(hub.url) as reader:
        await until(lambda: len(reader.deltas) > 2)
        served.update("a00", retitle("new"))
        await until(lambda: len(reader.set) == 60 and reader.contents["a00"][1] == "new")
        assert len(reader.deltas) > 10
        assert [status.state for status in reader.statuses].count("open") == 1
        assert reader.resets == 1


@pytest.mark.slow
async def test_one_large_job_is_one_message(served):
    """The largest that there can be, with text that grows when it is escaped."""
    served.create(new_job("a1", title="\x01" * 40_000))
    snapshot_start = time.monotonic()
    async with running_hub(served) as hub, Reader.of_hub(hub.url) as reader:
        await until(lambda: reader.contents)
        assert len(reader.deltas) == 1
    assert time.monotonic() - snapshot_start < 20
