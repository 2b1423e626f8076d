"""`track` as a decorator: each call of a function is a job of its own."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, ParamSpec, Protocol, TypeVar, cast

__all__ = ["tracked"]

_P = ParamSpec("_P")
_R = TypeVar("_R")


class _Block(AbstractContextManager[Any], AbstractAsyncContextManager[Any], Protocol):
    """What can be entered in both ways."""


def tracked(function: Callable[_P, _R], new_block: Callable[[], _Block]) -> Callable[_P, _R]:
    """Return a function that makes each call within a new block.

    For a coroutine function, the block lasts until the coroutine ends.
    """
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def in_async_block(*args: _P.args, **kwargs: _P.kwargs) -> Any:
            async with new_block():
                return await function(*args, **kwargs)

        return cast("Callable[_P, _R]", in_async_block)

    @functools.wraps(function)
    def in_block(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        with new_block():
            return function(*args, **kwargs)

    return in_block
