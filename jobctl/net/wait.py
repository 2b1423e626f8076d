"""``wait``: until jobs have ended, or stand where they shall; through hub restarts, or without one.

The jobs are chosen first; then one reader tells how they stand and what becomes of them, so that
nothing that happens before, between or after is missed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import aclosing

from jobctl.cursor import ZERO
from jobctl.errors import JobctlError, JobNotFound, StoreError, TimedOut, UsageError
from jobctl.filters import EVERYTHING, Filter
from jobctl.job import check_id
from jobctl.net import remote
from jobctl.net.client import hub_url
from jobctl.net.follow import follow
from jobctl.net.status import Status
from jobctl.net.waiting import Condition, Outcome, Verdict, Waiter
from jobctl.protocol import Owners
from jobctl.stores import Store, resolve

__all__ = ["wait", "wait_async"]


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
    of reach at the start raises `HubError`, and later is waited for.
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

    async def tell(news: list[Verdict]) -> None:
        if store is not None:
            await asyncio.to_thread(_raise_if_damaged, store, news)
        for verdict in news:
            if on_verdict is not None:
                on_verdict(verdict)

    scope = asyncio.timeout(None if look_once else timeout_s)
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
            waiter = Waiter(chosen, condition, any=any)
            few = Filter.make(ids=chosen) if len(chosen) <= remote.MAX_IDS else EVERYTHING
            if look_once:
                await tell(await _look(waiter, store, url, few))
                raise TimeoutError
            async with aclosing(follow(store=store, url=url, filter=few)) as events:
                while waiter.outcome is None:
                    event = await anext(events)
                    if isinstance(event, Status):
                        if on_status is not None:
                            on_status(event)
                        continue
                    if isinstance(event, Owners):
                        news = waiter.bury(event.dead)
                    else:
                        news = waiter.take(event)
                    await tell(news)
    except TimeoutError:
        if not (look_once or scope.expired()):
            raise
    if waiter is None:  # nobody knows yet which jobs
        raise TimedOut(f"{where} could not be read within {timeout_s:g} s")
    if waiter.outcome is None:
        raise waiter.timed_out(f"{timeout_s:g} s", where)
    return waiter.outcome


async def _look(
    waiter: Waiter, store: Store | None, url: str | None, filter: Filter
) -> list[Verdict]:
    """How the jobs stand now: one look at who has died, and then one at the jobs."""
    said: list[Owners] = []
    if store is not None:
        await asyncio.to_thread(store.refresh)
        dead = await asyncio.to_thread(store.owners.dead)
        delta = await asyncio.to_thread(lambda: store.since(ZERO).filtered(filter))
    else:
        assert url is not None, "there is a URL where there is no store"
        delta = await remote.read(url, filter, on_owners=said.append)
        dead = said[-1].dead if said else frozenset()
    return waiter.take(delta) + waiter.bury(dead)


def _raise_if_damaged(store: Store, verdicts: list[Verdict]) -> None:
    """A job whose file cannot be read is not gone: nobody knows what became of it."""
    for verdict in verdicts:
        if verdict.kind == "vanished":
            try:
                store.get(verdict.id)
            except JobNotFound:
                continue
            except JobctlError as error:
                raise StoreError(
                    f"job {verdict.id} cannot be waited for: {error}",
                    path=store.where,
                    hint="'jobctl doctor' says more",
                ) from error


async def _on_hub(url: str, starts: list[str], filter: Filter, *, unknown_ok: bool) -> list[str]:
    """The ids that the hub knows for these starts, or for the filter."""
    if not starts:
        return [job.id for job in (await remote.read(url, filter)).jobs]
    chosen: dict[str, None] = {}
    for text, jobs in (await remote.candidates(url, starts)).items():
        if len(jobs) != 1 and (jobs or not unknown_ok):
            raise JobNotFound(text, hub_url(url), [job.id for job in jobs])
        chosen[jobs[0].id if jobs else text] = None
    return list(chosen)


def _in_store(store: Store, starts: list[str], filter: Filter, *, unknown_ok: bool) -> list[str]:
    """The same in a store; a file of that name that is no job raises what is wrong with it."""
    if not starts:
        return [job.id for job in store.since(ZERO).filtered(filter).jobs]
    chosen: dict[str, None] = {}
    for text in starts:
        try:
            chosen[store.get(resolve(store, text)).id] = None
        except JobNotFound as error:
            if error.candidates or not unknown_ok:
                raise
            chosen[text] = None
    return list(chosen)
