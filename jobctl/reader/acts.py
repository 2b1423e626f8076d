"""Change jobs through a hub: acts by ``POST /api/jobs/ID/VERB``. See core/acts.py."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Mapping
from typing import Any

from jobctl.core.acts import BUSY
from jobctl.core.codec import parse_wire
from jobctl.core.job import Job
from jobctl.errors import (
    ActRefused,
    Conflict,
    HubError,
    InvalidJob,
    JobctlError,
    JobNotFound,
    TimedOut,
)
from jobctl.hub.credentials import Credentials
from jobctl.reader.http_api import HttpAnswer, request

__all__ = ["acknowledge", "act", "cancel", "each", "job_of", "remove", "retry"]

TRY_AGAIN_S = 10.0
"""How long an act is sent again to a hub that is away or busy."""
_PAUSE_S = 0.5
_POLL_S = 0.25


async def act(
    url: str,
    verb: str,
    id: str | None = None,
    fields: Mapping[str, Any] | None = None,
    *,
    credentials: Credentials | None = None,
    timeout_s: float = TRY_AGAIN_S,
) -> dict[str, Any]:
    """Have the hub carry out an act, and return its ``jobs:done``.

    If the answer does not come, or the hub is busy, the act is sent again with the same request id,
    so that it counts once. Raises `ActRefused`, or `HubError` after ``timeout_s`` seconds.
    """
    body = {**(fields or {}), "req": secrets.token_urlsafe(12)}
    path = "/api/jobs" if id is None else f"/api/jobs/{id}/{verb}"
    deadline = time.monotonic() + timeout_s
    sent = False
    while True:
        try:
            answer = await request(url, path, credentials=credentials, body=body)
            return _done(url, answer)
        except ActRefused as refused:
            pause_s = refused.retry_after_s or _PAUSE_S
            if refused.code != BUSY or time.monotonic() + pause_s > deadline:
                raise
        except HubError as error:
            pause_s = _PAUSE_S
            # A hub that was never reached is reported at once; one that went away may come back.
            if not (sent or error.unanswered) or time.monotonic() + pause_s > deadline:
                raise
        sent = True
        await asyncio.sleep(pause_s)


def _done(url: str, answer: HttpAnswer) -> dict[str, Any]:
    value = answer.value if isinstance(answer.value, dict) else {}
    kind = value.get("type")
    if kind == "jobs:done":
        return value
    if kind == "jobs:refused":
        after = value.get("retryAfter")
        raise ActRefused(
            str(value.get("code")),
            str(value.get("message")),
            hint=value["hint"] if isinstance(value.get("hint"), str) else None,
            job=value.get("job"),
            retry_after_s=after if type(after) in (int, float) else None,
        )
    if answer.status in (404, 405):
        raise HubError(
            f"{url} takes no changes", url=url, hint="start it with 'jobctl serve --control'"
        )
    raise answer.error()


async def job_of(url: str, id: str, *, credentials: Credentials | None = None) -> Job:
    """Return the job as the hub has it now; `JobNotFound`."""
    answer = await request(url, f"/api/jobs/{id}", credentials=credentials)
    if answer.status == 404:
        raise JobNotFound(id, url)
    if answer.status != 200:
        raise answer.error()
    try:
        return parse_wire(answer.value)
    except InvalidJob as error:
        raise HubError(f"{url} sent a job that is none: {error}", url=url) from error


async def cancel(
    url: str,
    job: Job,
    *,
    reason: str | None = None,
    timeout_s: float,
    credentials: Credentials | None = None,
) -> Job:
    """Cancel the job through the hub, and return it when it has ended.

    Raises `TimedOut` if its worker does not end it within ``timeout_s`` seconds; the request stays.
    Raises `Conflict` if it ended otherwise meanwhile.
    """
    fields: dict[str, Any] = {"attempt": job.retry_count}
    if reason is not None:
        fields["reason"] = reason
    await act(url, "cancel", job.id, fields, credentials=credentials)
    deadline = time.monotonic() + timeout_s
    while True:
        now = await job_of(url, job.id, credentials=credentials)
        if now.retry_count != job.retry_count or (not now.active and not now.is_cancelled):
            raise Conflict(f"job {job.id} {now.stage} before it could be cancelled")
        if not now.active:
            return now
        if time.monotonic() >= deadline:
            raise TimedOut(
                f"job {job.id}: its worker has been asked to end it, and has not for "
                f"{timeout_s:g} s",
                hint="is it stopped? it stays asked",
            )
        await asyncio.sleep(_POLL_S)


async def retry(url: str, job: Job, *, credentials: Credentials | None = None) -> Job:
    """Make the failed job pending again through the hub, and return it."""
    await act(url, "retry", job.id, {"attempt": job.retry_count}, credentials=credentials)
    return await job_of(url, job.id, credentials=credentials)


async def acknowledge(
    url: str,
    job: Job,
    note: str | None = None,
    *,
    undo: bool = False,
    credentials: Credentials | None = None,
) -> Job:
    """Acknowledge through the hub that the job has failed or is lost, and return it."""
    fields: dict[str, Any] = {"attempt": job.retry_count}
    if note is not None:
        fields["note"] = note
    if undo:
        fields["undo"] = True
    await act(url, "acknowledge", job.id, fields, credentials=credentials)
    return await job_of(url, job.id, credentials=credentials)


async def remove(url: str, job: Job, *, credentials: Credentials | None = None) -> Job:
    """Remove the ended job through the hub, if it is as it was seen; return what it was."""
    fields = {"attempt": job.retry_count, "revision": job.revision}
    await act(url, "remove", job.id, fields, credentials=credentials)
    return job


async def each(found: list[Job | JobctlError], change: Any) -> list[Job | JobctlError]:
    """Change each job that was found, one after the other; an error stands in its place."""
    done: list[Job | JobctlError] = []
    for job in found:
        try:
            done.append(job if isinstance(job, JobctlError) else await change(job))
        except JobctlError as error:
            done.append(error)
    return done
