"""Wait until jobs meet a condition; through hub restarts, or without a hub.

The jobs are selected first. Then one reader delivers their state and all later changes, so nothing
is missed that happens before, in between or after.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable
from contextlib import aclosing
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from jobctl.core.conditions import Condition, ConditionTracker, Outcome, Verdict
from jobctl.core.filters import EVERYTHING, Filter
from jobctl.core.job import check_id
from jobctl.core.jobset import Delta
from jobctl.core.protocol import BadFiles, DeadOwners
from jobctl.errors import JobNotFound, StoreError, TimedOut, UsageError
from jobctl.hub.credentials import Credentials
from jobctl.reader import once
from jobctl.reader.client import hub_url
from jobctl.reader.follow import follow
from jobctl.reader.status import Event, Status
from jobctl.stores import Store, read_all, refresh, resolve

__all__ = ["wait", "wait_async"]

_P = ParamSpec("_P")
_T = TypeVar("_T")

_REPAIR_TIMEOUT_S = 2.0
"""Time for another program to finish writing a file; the stores have given it a second before."""
_LOOK_S = 0.1


async def wait_async(
    store: Store | None = None,
    ids: str | Iterable[str] = (),
    filter: Filter = EVERYTHING,
    *,
    url: str | None = None,
    until: str | Condition = "terminal",
    any: bool = False,
    timeout_s: float | None = None,
    on_verdict: Callable[[Verdict], object] | None = None,
    on_status: Callable[[Status], object] | None = None,
    on_note: Callable[[str], object] | None = None,
    retry: bool = False,
    credentials: Credentials | None = None,
) -> Outcome:
    """Return the outcome for the jobs with these ids, or for those that match the filter now.

    The jobs are those of the store, or of the hub at ``url``. ``until`` is ``terminal`` (ended),
    ``completed``, ``gone`` or ``stage=NAME``, or a `Condition`; `ConditionTracker` says when all
    jobs, or ``any`` job, decide it. A failed job is part of the `Outcome`, not an exception.

    ``timeout_s`` raises `TimedOut`; 0 reads once. An unknown id raises `JobNotFound`, except for
    ``gone``. A hub that cannot be reached raises `HubError` at the start, unless ``retry`` is set;
    later it is waited for. A file that stays damaged for seconds raises `DamagedFile`. (Hubs of
    jobctl 0.1.0 tell only that a job is gone, so there it counts as removed.) For ``stage=NAME``,
    `UsageError` if a job's declared stages do not have it; ``on_note`` is called with a text if a
    job declares none. ``credentials`` are shown to the hub (see `Client`).
    """
    condition = Condition.parse(until) if isinstance(until, str) else until
    prefixes = [check_id(id) for id in ([ids] if isinstance(ids, str) else ids)]
    if (store is None) == (url is None):
        raise UsageError("nothing to wait on: give a store or the URL of a hub, one of them")
    if bool(prefixes) == (filter != EVERYTHING):
        raise UsageError("ids or a filter say which jobs to wait for", hint="give one of them")
    read_once = timeout_s == 0
    where = hub_url(url) if url is not None else store.where if store is not None else ""
    tracker: ConditionTracker | None = None
    stage_checked = False
    scope = asyncio.timeout(None if read_once else timeout_s)
    report, report_status = on_verdict or _nothing, on_status or _nothing
    try:
        async with scope:
            unknown_ok = condition.kind == "gone"
            if url is not None:
                options: once.ReadOptions = {
                    "retry": retry and not read_once,
                    "insist": retry,
                    "on_status": report_status,
                    "credentials": credentials,
                }
                chosen = await _on_hub(url, prefixes, filter, options, unknown_ok=unknown_ok)
            else:
                assert store is not None, "there is a store where there is no URL"
                chosen = await asyncio.to_thread(
                    _in_store, store, prefixes, filter, unknown_ok=unknown_ok
                )
            tracker = ConditionTracker(chosen, condition, any=any, confirm_absence=True)
            few = Filter.make(ids=chosen) if len(chosen) <= once.MAX_IDS else EVERYTHING
            if read_once:
                source = _read_once(store=store, url=url, filter=few, credentials=credentials)
            else:  # the hub has answered by now
                source = follow(
                    store=store, url=url, filter=few, insist=True, credentials=credentials
                )
            async with aclosing(source) as events:
                while tracker.outcome is None and (event := await anext(events, None)) is not None:
                    if isinstance(event, Status):
                        report_status(event)
                        continue
                    for verdict in _applied(tracker, event):
                        report(verdict)
                    if tracker.synced and not stage_checked and tracker.outcome is None:
                        stage_checked = True
                        said = tracker.check_stage()
                        if said is not None and on_note is not None and not read_once:
                            on_note(said)
                    if tracker.absent and tracker.outcome is None:
                        if store is not None:
                            gone = await _confirm_gone(store, tracker, once=read_once)
                        else:
                            assert url is not None, "there is a URL where there is no store"
                            gone = await _confirm_gone_on_hub(
                                url, tracker, credentials, once_only=read_once
                            )
                        for verdict in tracker.mark_gone(gone):
                            report(verdict)
    except TimeoutError:
        if not scope.expired():
            raise
    if tracker is None:  # the timeout came before the jobs were selected
        raise TimedOut(f"{where} could not be read within {timeout_s:g} s")
    if tracker.outcome is None:
        raise tracker.timed_out(f"{timeout_s:g} s", where)
    return tracker.outcome


def _blocking(call: Callable[_P, Coroutine[Any, Any, _T]]) -> Callable[_P, _T]:
    """Return a function that does the same for callers without an event loop."""

    @wraps(call)
    def run(*args: _P.args, **options: _P.kwargs) -> _T:
        return asyncio.run(call(*args, **options))

    run.__name__ = run.__qualname__ = call.__name__.removesuffix("_async")
    return run


wait = _blocking(wait_async)


def _nothing(_: object) -> None: ...


def _applied(tracker: ConditionTracker, event: Delta | DeadOwners | BadFiles) -> list[Verdict]:
    if isinstance(event, Delta):
        return tracker.take(event)
    return tracker.set_dead_owners(event.dead) if isinstance(event, DeadOwners) else []


async def _read_once(
    *, store: Store | None, url: str | None, filter: Filter, credentials: Credentials | None
) -> AsyncGenerator[Event, None]:
    """Yield the current jobs, and then the owners that were dead before the read."""
    if url is not None:
        said: list[DeadOwners] = []
        yield await once.read(url, filter, on_dead_owners=said.append, credentials=credentials)
        for owners in said:
            yield owners
        return
    assert store is not None, "there is a store where there is no URL"
    await asyncio.to_thread(refresh, store)
    dead = await asyncio.to_thread(store.owners.dead)
    yield (await asyncio.to_thread(read_all, store)).filtered(filter)
    yield DeadOwners(dead)


async def _confirm_gone(store: Store, tracker: ConditionTracker, *, once: bool) -> set[str]:
    """Return which of the absent jobs are deleted; the others will appear again.

    Raises `StoreError` for a damaged file that is not repaired in time, if that decides the
    outcome.
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


async def _confirm_gone_on_hub(
    url: str, tracker: ConditionTracker, credentials: Credentials | None, *, once_only: bool
) -> set[str]:
    """Return which of the absent jobs are gone; the others will appear again.

    Raises `DamagedFile` for a job whose file is damaged, if that decides the outcome. The hub has
    waited for a second before it said so.
    """
    bad: dict[str, str] = {}
    few = Filter.make(ids=tracker.absent) if len(tracker.absent) <= once.MAX_IDS else EVERYTHING
    delta = await once.read(
        url,
        few,
        retry=not once_only,
        insist=True,
        on_bad_files=lambda files: bad.update(files.reasons),
        credentials=credentials,
    )
    gone = tracker.absent - {job.id for job in delta.jobs}
    damaged = sorted(id for id in gone if f"{id}.json" in bad)
    if damaged and not tracker.may_still_be_met:
        once.raise_if_damaged(url, damaged[0], bad)
    return gone - set(damaged)


async def _on_hub(
    url: str,
    prefixes: list[str],
    filter: Filter,
    options: once.ReadOptions,
    *,
    unknown_ok: bool,
) -> list[str]:
    """Return the ids that the hub has for these prefixes, or for the filter."""
    if not prefixes:
        return [job.id for job in (await once.read(url, filter, **options)).jobs]
    chosen: dict[str, None] = {}
    bad: dict[str, str] = {}
    options["on_bad_files"] = lambda files: bad.update(files.reasons)
    for text, jobs in (await once.find_matching(url, prefixes, **options)).items():
        if not jobs:
            once.raise_if_damaged(url, text, bad)
        if len(jobs) != 1 and (jobs or not unknown_ok):
            raise JobNotFound(text, hub_url(url), [job.id for job in jobs])
        chosen[jobs[0].id if jobs else text] = None
    return list(chosen)


def _in_store(store: Store, prefixes: list[str], filter: Filter, *, unknown_ok: bool) -> list[str]:
    """Return the ids in a store; raise the error of a damaged file with such an id."""
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
