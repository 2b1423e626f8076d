"""What keys of the live view do to jobs: as ``jobctl cancel`` and ``jobctl retry`` do it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from jobctl import api
from jobctl.cli.live import Act
from jobctl.core.pipeline import Pipelines
from jobctl.errors import JobctlError
from jobctl.stores import Store

__all__ = ["perform"]


async def perform(store: Store, act: Act, pipelines: Pipelines) -> str:
    """Do the act for the attempt that it names; return what came of it, as one line.

    Ends early if it is cancelled; the act then goes on as long as the process.
    """
    try:
        return await _in_thread(lambda: _perform(store, act, pipelines))
    except JobctlError as error:
        return str(error)
    except Exception as error:
        return f"job {act.id}: {type(error).__name__}: {error}"


def _perform(store: Store, act: Act, pipelines: Pipelines) -> str:
    if act.verb == "cancel":
        job = api.cancel(store, act.id, attempt=act.attempt)
        return f"job {job.id} is cancelled"
    job = api.retry(store, act.id, attempt=act.attempt)
    if job.command is not None and not pipelines.of(job).takes_retries:
        return f"job {job.id} is pending: 'jobctl retry --rerun {job.id}' runs its command again"
    return f"job {job.id} is pending again"


async def _in_thread(call: Callable[[], str]) -> str:
    """Call in a thread that does not hold up the end of the process, as asyncio's own would."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[str] = loop.create_future()

    def finish(result: str, error: Exception | None) -> None:
        if not done.done():
            if error is not None:
                done.set_exception(error)
            else:
                done.set_result(result)

    def run() -> None:
        result, failure = "", None
        try:
            result = call()
        except Exception as error:
            failure = error
        try:
            loop.call_soon_threadsafe(finish, result, failure)
        except RuntimeError:
            pass  # the loop has ended

    threading.Thread(target=run, daemon=True, name="jobctl-act").start()
    return await done
