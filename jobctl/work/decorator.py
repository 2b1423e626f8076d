"""`track` as a decorator: each call of a function is a job of its own."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, ExitStack
from typing import Any, ParamSpec, Protocol, TypeVar, cast

__all__ = ["tracked"]

_P = ParamSpec("_P")
_R = TypeVar("_R")


class _Block(AbstractContextManager[Any], AbstractAsyncContextManager[Any], Protocol):
    """What can be entered in both ways."""


def tracked(function: Callable[_P, _R], new_block: Callable[[], _Block]) -> Callable[_P, _R]:
    """Return a function that makes each call within a new block.

    The block lasts as long as the work: for functions that return a coroutine, until that ends, and
    for generators until the last value was taken, or the caller has enough.
    """
    call = type(function).__call__  # of an object that can be called
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call):

        @functools.wraps(function)
        async def in_async_block(*args: _P.args, **kwargs: _P.kwargs) -> Any:
            async with new_block():
                return await cast("Callable[..., Any]", function)(*args, **kwargs)

        return cast("Callable[_P, _R]", in_async_block)

    if inspect.isasyncgenfunction(function) or inspect.isasyncgenfunction(call):

        @functools.wraps(function)
        async def in_async_generator(*args: _P.args, **kwargs: _P.kwargs) -> Any:
            async with new_block():
                values = cast("Callable[..., AsyncGenerator[Any, Any]]", function)(*args, **kwargs)
                try:
                    value = await anext(values)
                    while True:
                        try:
                            sent = yield value
                        except GeneratorExit:
                            await values.aclose()
                            return  # the caller has enough
                        except BaseException as error:
                            value = await values.athrow(error)
                        else:
                            value = await values.asend(sent)
                except StopAsyncIteration:
                    return

        return cast("Callable[_P, _R]", in_async_generator)

    if inspect.isgeneratorfunction(function) or inspect.isgeneratorfunction(call):

        @functools.wraps(function)
        def in_generator(*args: _P.args, **kwargs: _P.kwargs) -> Any:
            with new_block():
                try:
                    values = cast("Callable[..., Generator[Any, Any, Any]]", function)
                    return (yield from values(*args, **kwargs))
                except GeneratorExit:
                    return None  # the caller has enough

        return cast("Callable[_P, _R]", in_generator)

    @functools.wraps(function)
    def in_block(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        with ExitStack() as opened:
            opened.enter_context(new_block())
            result = function(*args, **kwargs)
            if inspect.iscoroutine(result):
                return cast("_R", _awaited(result, opened.pop_all()))
            return result

    return in_block


async def _awaited(work: Coroutine[Any, Any, _R], block: ExitStack) -> _R:
    """Return what the coroutine returns; the block ends with it."""
    with block:
        return await work
