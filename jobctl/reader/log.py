"""Reads a job's log from a hub, and follows it through broken connections."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, NoReturn

from jobctl.core.log import END, OFFSET, LogPart, decode_lines
from jobctl.errors import HubError, JobctlError
from jobctl.hub.address import is_loopback, page_url
from jobctl.hub.credentials import Credentials
from jobctl.reader.backoff import Backoff
from jobctl.reader.failures import is_sent_by_hub, shown_text
from jobctl.reader.once import find

if TYPE_CHECKING:
    from aiohttp import ClientResponse

__all__ = ["LogNotThere", "read_log"]

_SILENT_S = 45.0
"""A hub sends something every 15 s."""
_CONNECT_S = 10.0
_MAX_LINE = 64 * 1024
_MAX_TEXT = 1000
_OFFSET, _END = OFFSET.encode(), END.encode()
_RETRYABLE = (408, 425, 429)


class LogNotThere(JobctlError):
    """The hub says that the job has no log, and why."""

    exit_code = 4


class _Broken(Exception):
    """The connection broke, or something else answered."""


async def read_log(
    url: str,
    id: str,
    *,
    follow: bool,
    take: Callable[[LogPart], object],
    caught_up: Callable[[], object],
    on_note: Callable[[str], object],
    credentials: Credentials | None = None,
) -> None:
    """Call ``take`` with each part of the log, and ``caught_up`` when all that was there is read.

    ``id`` may be the start of an id. With ``follow``, go on until the job has ended; when the
    connection breaks, connect again and go on where it was: no line is lost or comes twice.
    Raises `HubError`, `JobNotFound`, or an error that the job has no log.
    """
    credentials = credentials or Credentials.from_environment(os.environ)
    job = (await find(url, [id], credentials=credentials))[0]
    at, backoff, troubled, met = 0, Backoff(), False, False
    while True:
        try:
            async for part in _parts(url, job.id, at, follow, credentials):
                backoff.reset()
                met = True
                if troubled:
                    troubled = False
                    on_note(f"{url}: connected again")
                if part.start == at and not part.data:
                    caught_up()
                else:
                    take(part)
                at = part.end
            if follow and not at and (why := await _why_no_log(url, job.id, credentials)):
                on_note(why)
            return
        except _Broken as error:
            if not follow or not met:
                raise HubError(
                    f"{url}: {error}", url=url, hint="is 'jobctl serve' running there?"
                ) from error
            if not troubled:
                troubled = True
                on_note(f"{url}: {error}; trying again")
            await asyncio.sleep(backoff.next_s())


async def _why_no_log(url: str, id: str, credentials: Credentials) -> str:
    """Return why a job that has ended has no log; an empty text if it has one, if only empty."""
    try:
        async for _ in _parts(url, id, 0, follow=False, credentials=credentials):
            break
    except LogNotThere as error:
        return str(error)
    except (_Broken, HubError):
        pass  # there was nothing to read in any case
    return ""


async def _parts(
    hub: str, id: str, at: int, follow: bool, credentials: Credentials
) -> AsyncIterator[LogPart]:
    """Yield the parts of the log from ``at`` on; an empty one when all that is there was read.

    Ends when nothing follows. Raises `_Broken`, also for a stream without an end.
    """
    import aiohttp

    page, unix = page_url(hub, f"/api/jobs/{id}/log")
    query = {"form": "lines", "offset": str(at)} | ({"follow": "1"} if follow else {})
    token = credentials.read_token()
    rest = b""
    try:
        async with (
            aiohttp.ClientSession(
                connector=aiohttp.UnixConnector(unix) if unix is not None else None,
                timeout=aiohttp.ClientTimeout(sock_connect=_CONNECT_S, sock_read=_SILENT_S),
                trust_env=not is_loopback(hub),
            ) as session,
            session.get(
                page,
                params=query,
                headers={"Authorization": f"Bearer {token.decode()}"} if token else {},
                ssl=credentials.tls() if page.startswith("https:") else True,
                allow_redirects=False,
            ) as answer,
        ):
            if answer.status != 200:
                await _refused(hub, answer)
            async for data in answer.content.iter_any():
                lines, _, rest = (rest + data).rpartition(b"\n")
                if len(rest) > _MAX_LINE:
                    raise _Broken("a line is too long")
                for part in _split(at, lines + b"\n" if lines else b""):
                    if part is None:
                        return
                    yield part
                    at = part.end
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        said = "no answer" if isinstance(error, TimeoutError) else str(error)
        raise _Broken(said or "the connection broke") from error
    raise _Broken("the connection broke")


def _split(at: int, data: bytes) -> Iterator[LogPart | None]:
    """Yield the parts in these lines of a hub's answer; ``None`` at its end."""
    begin = end = 0
    while end < len(data):
        after = data.index(b"\n", end) + 1
        kind = data[end:after].split(b" ", 3)[1:2]
        if kind in ([_OFFSET], [_END]):
            if end > begin:
                yield LogPart(at, data[begin:end])
                at += end - begin
            begin = after
            if kind == [_END]:
                yield None
                return
            for line in decode_lines(data[end:after]):
                if line.text.isdigit():
                    at = int(line.text)
                    yield LogPart(at, b"")
        end = after
    if end > begin:
        yield LogPart(at, data[begin:end])


async def _refused(hub: str, answer: ClientResponse) -> NoReturn:
    """Raise the error for an answer other than 200."""
    is_hub = is_sent_by_hub(answer.headers.items())
    text = shown_text(await answer.content.read(_MAX_TEXT)) if is_hub else ""
    if is_hub and answer.status == 404:
        raise LogNotThere(text)
    said = f"HTTP {answer.status}, {text or answer.reason or 'without a reason'}"
    if is_hub and 400 <= answer.status < 500 and answer.status not in _RETRYABLE:
        raise HubError(f"{hub}: {said}", url=hub)
    raise _Broken(said)
