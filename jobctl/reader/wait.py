"""``wait``: until jobs have ended, or stand where they shall; through hub restarts, or without one.

The jobs are chosen first; then one reader tells how they stand and what becomes of them, so that
nothing that happens before, between or after is missed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing

from jobctl.core.conditions import Condition, Outcome, Verdict, Waiter
from jobctl.core.filters import EVERYTHING, Filter
from jobctl.core.job import check_id
from jobctl.core.jobset import Delta
from jobctl.core.protocol import Owners
from jobctl.errors import JobNotFound, StoreError, TimedOut, UsageError
from jobctl.reader import once
from jobctl.reader.client import hub_url
from jobctl.reader.follow import follow
from jobctl.reader.status import Status
from jobctl.stores import Store, read_all, resolve

__all__ = ["wait", "wait_async"]

_HEAL_S = 2.0
"""A file that is written in place is whole by then; the stores have given it a second before."""
_LOOK_S = 0.1


def wait(
    store: Store | None = None,
    ids: str | Iterable[str] = (),
    filter: Filter = EVERYTHING,
    *,
    url: str | None = None,
    until: str = "terminal",
    any: bool = False,
    timeout_s: float | None = None,
    on_verdict: Callable[[Verdict], object] | None = None,
    on_status: Callable[[Status], object] | None = None,
) -> Outcome:
    """`wait_async`, for callers without an event loop."""
    return asyncio.run(
        wait_async(
            store,
            ids,
            filter,
            url=url,
            until=until,
            any=any,
            timeout_s=timeout_s,
            on_verdict=on_verdict,
            on_status=on_status,
        )
    )


async def wait_async(
    store: Store | None = None,
    ids: str | Iterable[str] = (),
    filter: Filter = EVERYTHING,
    *,
    url: str | None = None,
    until: str = "terminal",
    any: bool = False,
    timeout_s: float | None = None,
    on_verdict: Callable[[Verdict], object] | None = None,
    on_status: Callable[[Status], object] | None = None,
) -> Outcome:
    """What became of the jobs with these ids, or of those that match the filter now.

    They are jobs of the store, or of the hub at ``url``. ``until`` is ``terminal`` (ended),
    ``completed``, ``gone`` or ``stage=NAME``; see `Waiter` for when all, or ``any``, of the jobs
    decide it. A job that fails is an `Outcome`, not an error. ``timeout_s`` raises `TimedOut`; 0
    looks once. An unknown id raises `JobNotFound`, unless it is to be ``gone``; a hub that is out
    of reach at the start raises `HubError`, and later is waited for. A file of the store that is
    damaged, and stays so for seconds, raises `StoreError`; a hub's reader knows no such files, and
    takes its job for removed.
    """
    condition = Condition.parse(until)
    starts = [check_id(id) for id in ([ids] if isinstance(ids, str) else ids)]
    if (store is None) == (url is None):
        raise UsageError("nothing to wait on: give a store or the URL of a hub, one of them")
    if bool(starts) == (filter != EVERYTHING):
        raise UsageError("ids or a filter say which jobs to wait for", hint="give one of them")
    look_once = timeout_s == 0
    where = hub_url(url) if url is not None else store.where if store is not None else ""
    waiter: Waiter | None = None
    scope = asyncio.timeout(None if look_once else timeout_s)
    tell, tell_status = on_verdict or _nothing, on_status or _nothing
    try:
        async with scope:
            unknown_ok = condition.kind == "gone"
            if url is not None:
                chosen = await _on_hub(url, starts, filter, unknown_ok=unknown_ok)
            else:
                assert store is not None, "there is a store where there is no URL"
                chosen = await asyncio.to_thread(
                    _in_store, store, starts, filter, unknown_ok=unknown_ok
                )
            waiter = Waiter(chosen, condition, any=any, doubtful=store is not None)
            few = Filter.make(ids=chosen) if len(chosen) <= once.MAX_IDS else EVERYTHING
            source = _once if look_once else follow
            async with aclosing(source(store=store, url=url, filter=few)) as events:
                while waiter.outcome is None and (event := await anext(events, None)) is not None:
                    if isinstance(event, Status):
                        tell_status(event)
                        continue
                    for verdict in _taken(waiter, event):
                        tell(verdict)
                    if store is not None and waiter.absent and waiter.outcome is None:
                        for verdict in waiter.vanish(await _gone(store, waiter, once=look_once)):
                            tell(verdict)
    except TimeoutError:
        if not scope.expired():
            raise
    if waiter is None:  # the time was up before it was known what to wait for
        raise TimedOut(f"{where} could not be read within {timeout_s:g} s")
    if waiter.outcome is None:
        raise waiter.timed_out(f"{timeout_s:g} s", where)
    return waiter.outcome


def _nothing(_: object) -> None: ...


def _taken(waiter: Waiter, event: Delta | Owners) -> list[Verdict]:
    return waiter.bury(event.dead) if isinstance(event, Owners) else waiter.take(event)


async def _once(
    *, store: Store | None, url: str | None, filter: Filter
) -> AsyncGenerator[Delta | Status | Owners, None]:
    """What there is now, and then who has died, who has written nothing more since."""
    if url is not None:
        said: list[Owners] = []
        yield await once.read(url, filter, on_owners=said.append)
        for owners in said:
            yield owners
        return
    assert store is not None, "there is a store where there is no URL"
    await asyncio.to_thread(store.refresh)
    dead = await asyncio.to_thread(store.owners.dead)
    yield (await asyncio.to_thread(read_all, store)).filtered(filter)
    yield Owners(dead)


async def _gone(store: Store, waiter: Waiter, *, once: bool) -> set[str]:
    """Which of the absent ones are gone; for the others there is something that comes again.

    `StoreError` for a file that is damaged, and not mended in time, where that decides it.
    """
    loop = asyncio.get_running_loop()
    give_up_s = loop.time() + (0 if once or waiter.hopes else _HEAL_S)
    gone: set[str] = set()
    for id in sorted(waiter.absent):
        while True:
            try:
                await asyncio.to_thread(store.get, id)
            except JobNotFound:
                gone.add(id)
            except StoreError:
                if loop.time() < give_up_s:
                    await asyncio.sleep(_LOOK_S)
                    continue
                if not waiter.hopes:
                    raise
            break
    return gone


async def _on_hub(url: str, starts: list[str], filter: Filter, *, unknown_ok: bool) -> list[str]:
    """The ids that the hub knows for these starts, or for the filter."""
    if not starts:
        return [job.id for job in (await once.read(url, filter)).jobs]
    chosen: dict[str, None] = {}
    for text, jobs in (await once.candidates(url, starts)).items():
        if len(jobs) != 1 and (jobs or not unknown_ok):
            raise JobNotFound(text, hub_url(url), [job.id for job in jobs])
        chosen[jobs[0].id if jobs else text] = None
    return list(chosen)


def _in_store(store: Store, starts: list[str], filter: Filter, *, unknown_ok: bool) -> list[str]:
    """The same in a store; a file of that name that is no job raises what is wrong with it."""
    if not starts:
        return [job.id for job in read_all(store).filtered(filter).jobs]
    chosen: dict[str, None] = {}
    for text in starts:
        try:
            chosen[store.get(resolve(store, text)).id] = None
        except JobNotFound as error:
            if error.candidates or not unknown_ok:
                raise
            chosen[text] = None
    return list(chosen)
