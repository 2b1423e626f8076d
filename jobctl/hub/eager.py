"""Runs coroutines that usually finish without waiting, without a task for each."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from functools import partial
from types import coroutine
from typing import Any, TypeVar

__all__ = ["now_or_later"]

T = TypeVar("T")


def now_or_later(work: Coroutine[Any, Any, T]) -> T | asyncio.Task[T]:
    """Run the coroutine until it waits; return its result, or a task that runs the rest.

    Until then there is no current task, so functions that need one (`asyncio.timeout`) fail.
    """
    try:
        awaited = work.send(None)
    except StopIteration as ended:
        result: T = ended.value
        return result
    return asyncio.get_running_loop().create_task(_rest(work, awaited))


async def _rest(work: Coroutine[Any, Any, T], awaited: Any) -> T:
    return await _resumed(work, awaited)


@coroutine
def _resumed(work: Coroutine[Any, Any, T], awaited: Any) -> Generator[Any, Any, T]:
    """Continue the coroutine from its first wait, which is for ``awaited``."""
    while True:
        try:
            value = yield awaited
        except BaseException as error:
            step = partial(work.throw, error)
        else:
            step = partial(work.send, value)
        try:
            awaited = step()
        except StopIteration as ended:
            result: T = ended.value
            return result
