"""``wait``: until jobs have ended, or stand where they shall; through hub restarts, or without one.

The jobs are chosen first; then one reader tells how they stand and what becomes of them, so that
nothing that happens before, between or after is missed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing

from jobctl.core.conditions import Condition, ConditionTracker, Outcome, Verdict
from jobctl.core.filters import EVERYTHING, Filter
from jobctl.core.job import check_id
from jobctl.core.jobset import Delta
from jobctl.core.protocol import DeadOwners
from jobctl.errors import JobNotFound, StoreError, TimedOut, UsageError
from jobctl.reader import once
from jobctl.reader.client import hub_url
from jobctl.reader.follow import follow
from jobctl.reader.status import Status
from jobctl.stores import Store, read_all, resolve

__all__ = ["wait", "wait_async"]

_REPAIR_TIMEOUT_S = 2.0
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
    ``completed``, ``gone`` or ``stage=NAME``; see `ConditionTracker` for when all, or ``any``, of the jobs
    decide it. A job that fails is an `Outcome`, not an error. ``timeout_s`` raises `TimedOut`; 0
    looks once. An unknown id raises `JobNotFound`, unless it is to be ``gone``; a hub that is out
    of reach at the start raises `HubError`, and later is waited for. A file of the store that is
    damaged, and stays so for seconds, raises `StoreError`; a hub's reader knows no such files, and
    takes its job for removed.
    """
    condition = Condition.parse(until)
    prefixes = [check_id(id) for id in ([ids] if isinstance(ids, str) else ids)]
    if (store is None) == (url is None):
        raise UsageError("nothing to wait on: give a store or the URL of a hub, one of them")
    if bool(prefixes) == (filter != EVERYTHING):
        raise UsageError("ids or a filter say which jobs to wait for", hint="give one of them")
    read_once = timeout_s == 0
    where = hub_url(url) if url is not None else store.where if store is not None else ""
    tracker: ConditionTracker | None = None
    scope = asyncio.timeout(None if read_once else timeout_s)
    report, report_status = on_verdict or _nothing, on_status or _nothing
    try:
        async with scope:
            unknown_ok = condition.kind == "gone"
            if url is not None:
                chosen = await _on_hub(url, prefixes, filter, unknown_ok=unknown_ok)
            else:
                assert store is not None, "there is a store where there is no URL"
                chosen = await asyncio.to_thread(
                    _in_store, store, prefixes, filter, unknown_ok=unknown_ok
                )
            tracker = ConditionTracker(
                chosen, condition, any=any, confirm_absence=store is not None
            )
            few = Filter.make(ids=chosen) if len(chosen) <= once.MAX_IDS else EVERYTHING
            source = _read_once if read_once else follow
            async with aclosing(source(store=store, url=url, filter=few)) as events:
                while tracker.outcome is None and (event := await anext(events, None)) is not None:
                    if isinstance(event, Status):
                        report_status(event)
                        continue
                    for verdict in _applied(tracker, event):
                        report(verdict)
                    if store is not None and tracker.absent and tracker.outcome is None:
                        for verdict in tracker.mark_gone(
                            await _confirm_gone(store, tracker, once=read_once)
                        ):
                            report(verdict)
    except TimeoutError:
        if not scope.expired():
            raise
    if tracker is None:  # the time was up before it was known what to wait for
        raise TimedOut(f"{where} could not be read within {timeout_s:g} s")
    if tracker.outcome is None:
        raise tracker.timed_out(f"{timeout_s:g} s", where)
    return tracker.outcome


def _nothing(_: object) -> None: ...


def _applied(tracker: ConditionTracker, event: Delta | DeadOwners) -> list[Verdict]:
    return (
        tracker.set_dead_owners(event.dead)
        if isinstance(event, DeadOwners)
        else tracker.take(event)
    )


async def _read_once(
    *, store: Store | None, url: str | None, filter: Filter
) -> AsyncGenerator[Delta | Status | DeadOwners, None]:
    """What there is now, and then who has died, who has written nothing more since."""
    if url is not None:
        said: list[DeadOwners] = []
        yield await once.read(url, filter, on_dead_owners=said.append)
        for owners in said:
            yield owners
        return
    assert store is not None, "there is a store where there is no URL"
    await asyncio.to_thread(store.refresh)
    dead = await asyncio.to_thread(store.owners.dead)
    yield (await asyncio.to_thread(read_all, store)).filtered(filter)
    yield DeadOwners(dead)


async def _confirm_gone(store: Store, tracker: ConditionTracker, *, once: bool) -> set[str]:
    """Which of the absent ones are gone; for the others there is something that comes again.

    `StoreError` for a file that is damaged, and not mended in time, where that decides it.
    """
    loop = asyncio.get_running_loop()
    give_up_s = loop.time() + (0 if once or tracker.may_still_be_met else _REPAIR_TIMEOUT_S)
    gone: set[str] = set()
    for id in sorted(tracker.absent):
        while True:
            try:
                await asyncio.to_thread(store.get, id)
            except JobNotFound:
                gone.add(id)
            except StoreError:
                if loop.time() < give_up_s:
                    await asyncio.sleep(_LOOK_S)
                    continue
                if not tracker.may_still_be_met:
                    raise
            break
    return gone


async def _on_hub(url: str, prefixes: list[str], filter: Filter, *, unknown_ok: bool) -> list[str]:
    """The ids that the hub knows for these starts, or for the filter."""
    if not prefixes:
        return [job.id for job in (await once.read(url, filter)).jobs]
    chosen: dict[str, None] = {}
    for text, jobs in (await once.find_matching(url, prefixes)).items():
        if len(jobs) != 1 and (jobs or not unknown_ok):
            raise JobNotFound(text, hub_url(url), [job.id for job in jobs])
        chosen[jobs[0].id if jobs else text] = None
    return list(chosen)


def _in_store(store: Store, prefixes: list[str], filter: Filter, *, unknown_ok: bool) -> list[str]:
    """The same in a store; a file of that name that is no job raises what is wrong with it."""
    if not prefixes:
        return [job.id for job in read_all(store).filtered(filter).jobs]
    chosen: dict[str, None] = {}
    for text in prefixes:
        try:
            chosen[store.get(resolve(store, text)).id] = None
        except JobNotFound as error:
            if error.candidates or not unknown_ok:
                raise
            chosen[text] = None
    return list(chosen)
