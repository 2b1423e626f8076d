"""Read a hub once: all jobs, or what has changed since a cursor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import aclosing
from typing import TypedDict, Unpack

from jobctl.core.cursor import ZERO, Cursor
from jobctl.core.filters import EVERYTHING, Filter
from jobctl.core.job import Job, check_id, may_be_id
from jobctl.core.jobset import Delta, joined
from jobctl.core.protocol import BadFiles, DeadOwners
from jobctl.errors import DamagedFile, HubError, JobctlError, JobNotFound
from jobctl.hub.credentials import Credentials
from jobctl.reader.client import Client, hub_url
from jobctl.reader.clock import HubClock
from jobctl.reader.status import Status

__all__ = ["MAX_IDS", "find", "find_matching", "raise_if_damaged", "read"]

MAX_IDS = 100
"""A filter with more ids does not fit into the request line of a handshake."""

_PATIENCE_S = 10.0
"""A single read waits less long for a silent hub than a reader that follows."""


class ReadOptions(TypedDict, total=False):
    """The options of `read`, which `find` and `find_matching` pass on."""

    retry: bool
    insist: bool
    timeout_s: float | None
    on_status: Callable[[Status], object] | None
    on_dead_owners: Callable[[DeadOwners], object] | None
    on_bad_files: Callable[[BadFiles], object] | None
    clock: HubClock | None
    credentials: Credentials | None


async def read(
    url: str,
    filter: Filter = EVERYTHING,
    cursor: Cursor = ZERO,
    *,
    fields: Iterable[str] | None = None,
    retry: bool = False,
    insist: bool = False,
    timeout_s: float | None = None,
    on_status: Callable[[Status], object] | None = None,
    on_dead_owners: Callable[[DeadOwners], object] | None = None,
    on_bad_files: Callable[[BadFiles], object] | None = None,
    clock: HubClock | None = None,
    credentials: Credentials | None = None,
) -> Delta:
    """Return what changed on the hub since the cursor, under the filter, as one delta.

    Raises `HubError` at once if the hub cannot be reached; with ``retry``, `TimedOut` after
    ``timeout_s``. ``on_dead_owners`` is called if an owner is dead, and ``on_bad_files`` with the
    files in quarantine, unless the hub is of jobctl 0.1.0. ``fields``, ``clock``, ``insist`` and
    ``credentials`` are those of `Client`; with more than `MAX_IDS` ids the jobs are whole.
    """
    filter = filter if fields is None else filter.with_fields(fields)
    if len(filter.ids) > MAX_IDS:
        since = Cursor(cursor.epoch, cursor.revision) if cursor.tag == filter.tag else ZERO
        delta = await read(
            url,
            cursor=since,
            retry=retry,
            insist=insist,
            timeout_s=timeout_s,
            on_status=on_status,
            on_dead_owners=on_dead_owners,
            on_bad_files=on_bad_files,
            clock=clock,
            credentials=credentials,
        )
        return delta.filtered(filter)
    client = Client(
        url,
        cursor=cursor,
        filter=filter,
        retry=retry,
        insist=insist,
        timeout_s=timeout_s,
        patience_s=_PATIENCE_S,
        once=True,
        bad_files=on_bad_files is not None,
        clock=clock,
        credentials=credentials,
    )
    pages: list[Delta] = []
    async with aclosing(client.events()) as events:
        async for event in events:
            if isinstance(event, Status):
                if on_status is not None:
                    on_status(event)
                continue
            if isinstance(event, DeadOwners):
                if on_dead_owners is not None:
                    on_dead_owners(event)
                continue
            if isinstance(event, BadFiles):
                if on_bad_files is not None:
                    on_bad_files(event)
                continue
            if event.since == 0:
                pages.clear()
            pages.append(event)
    if pages and not pages[-1].more:
        delta = joined(pages)
        # After a reset there is nothing to drop.
        return delta if delta.since else delta._replace(gone=())
    raise HubError(f"{url}: the hub closed the connection", url=url)


async def find(
    url: str,
    prefixes: Iterable[str],
    **options: Unpack[ReadOptions],
) -> list[Job]:
    """Return the hub's jobs with these ids or prefixes; `JobNotFound` unless each has exactly one.

    Raises `DamagedFile` if the file with such an id is not a job. Complete ids transfer only these
    jobs; a prefix needs a read of all jobs.
    """
    jobs: list[Job] = []
    for found in await find_each(url, prefixes, **options):
        if isinstance(found, JobctlError):
            raise found
        jobs.append(found)
    return jobs


async def find_each(
    url: str,
    prefixes: Iterable[str],
    **options: Unpack[ReadOptions],
) -> list[Job | JobctlError]:
    """Like `find`, but return the error of a text in its place."""
    bad: dict[str, str] = {}
    options["on_bad_files"] = lambda files: bad.update(files.reasons)
    texts = list(prefixes)
    found = await find_matching(url, [text for text in texts if may_be_id(text)], **options)
    each: list[Job | JobctlError] = []
    for text in texts:
        try:
            jobs = found[check_id(text)]
            if not jobs:
                raise_if_damaged(url, text, bad)
            if len(jobs) != 1:
                raise JobNotFound(text, hub_url(url), [job.id for job in jobs])
            each.append(jobs[0])
        except JobctlError as error:
            each.append(error)
    return each


def raise_if_damaged(url: str, text: str, bad: Mapping[str, str]) -> None:
    """Raise `DamagedFile` if ``text`` is the id of a file in quarantine, or of one its start.

    ``bad`` are the files that the hub has in quarantine, with the reasons.
    """
    files = [f"{text}.json"] if f"{text}.json" in bad else []
    files = files or [name for name in bad if name.startswith(text) and name.endswith(".json")]
    if len(files) == 1:
        path = f"{files[0]} on {hub_url(url)}"
        raise DamagedFile(path, files[0].removesuffix(".json"), bad[files[0]])


async def find_matching(
    url: str,
    prefixes: Iterable[str],
    **options: Unpack[ReadOptions],
) -> dict[str, list[Job]]:
    """Return for each text the job with that id, or all jobs whose ids start with it."""
    texts = [check_id(text) for text in prefixes]
    if not texts:
        return {}
    jobs = {job.id: job for job in (await read(url, Filter.make(ids=texts), **options)).jobs}
    if not jobs.keys() >= set(texts):
        options["insist"] = True  # a hub has answered
        jobs = {job.id: job for job in (await read(url, **options)).jobs}
    found = {}
    for text in texts:
        ids = [text] if text in jobs else sorted(id for id in jobs if id.startswith(text))
        found[text] = [jobs[id] for id in ids]
    return found
