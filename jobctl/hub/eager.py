"""Coroutines that mostly have their result without waiting, run without a task for each."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from functools import partial
from types import coroutine
from typing import Any, TypeVar

__all__ = ["now_or_later"]

T = TypeVar("T")


def now_or_later(work: Coroutine[Any, Any, T]) -> T | asyncio.Task[T]:
    """Run the coroutine to its first wait. Returns its result, or a task that runs the rest.

    Up to the first wait there is no current task, so what needs one (`asyncio.timeout`) fails.
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
    """The coroutine from its first wait on, which is for ``awaited``."""
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
