"""A coroutine that mostly need not wait: its result at once, or a task for the rest."""

from __future__ import annotations

import asyncio

import pytest

from jobctl.hub.eager import now_or_later


async def test_result_is_there_at_once_when_nothing_is_waited_for():
    """No task is made."""

    async def work() -> int:
        return 7

    before = asyncio.all_tasks()
    assert now_or_later(work()) == 7
    assert asyncio.all_tasks() == before


async def test_error_is_raised_at_once_when_nothing_is_waited_for():
    """As by a call."""

    async def work() -> int:
        raise ValueError("at once")

    with pytest.raises(ValueError, match="at once"):
        now_or_later(work())


async def test_rest_runs_in_a_task():
    """Through every kind of wait, also one that ends with an error."""
    future = asyncio.get_running_loop().create_future()
    seen: list[object] = []

    async def work() -> int:
        seen.append(asyncio.current_task())
        seen.append(await future)
        seen.append(asyncio.current_task())
        async with asyncio.timeout(5):
            await asyncio.sleep(0)
            await asyncio.sleep(0.001)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await asyncio.Event().wait()
        return 7

    task = now_or_later(work())
    assert isinstance(task, asyncio.Task)
    future.set_result("x")
    assert await task == 7
    assert seen == [asyncio.current_task(), "x", task]


async def test_rest_can_be_cancelled():
    """And tidies up as usual."""
    tidied: list[bool] = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            tidied.append(True)

    task = now_or_later(work())
    assert isinstance(task, asyncio.Task)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert tidied == [True]
