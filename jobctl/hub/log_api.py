"""``GET /api/jobs/ID/log``: a job's log as text, also in ranges, and followed while it grows.

The text is UTF-8 without control characters other than colours and tabs. ``form=lines`` gives the
lines as they are kept (see core/log.py) for a reader that goes on at its ``offset`` later. In that
form a line ``offset`` says where the next one begins: where something is left out, and, with the
position that the reader has, when it has received all that is there. A line ``end`` says that
nothing follows; a stream without it was interrupted.

Reads run in a thread of their own. A stream is read in pieces of 64 KiB, the next one when the
client has taken the last one, so a slow client costs one piece.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Protocol

from aiohttp import web

from jobctl._clock import now_ms
from jobctl.core.log import END, OFFSET, LogLine, LogPart, encode_line
from jobctl.core.log_text import LogText, last_lines
from jobctl.core.times import parse_moment
from jobctl.errors import JobctlError, JobNotFound, StoreError, UsageError
from jobctl.stores import HasLogs, Store, logs_of
from jobctl.stores.async_store import Worker
from jobctl.stores.log_reading import has_log, may_get_log, read_parts, why_no_log

__all__ = ["LOG_KEYS", "LogApi", "LogQuery"]

LOG_KEYS = ("follow", "form", "offset", "since", "stderr", "tail", "timestamps")
_POLL_S = 0.15
_JOB_POLL_S = 0.6
_HEARTBEAT_S = 15.0
_NUMBER = re.compile(r"[0-9]{1,15}")
_RANGE = re.compile(r"bytes=([0-9]{0,15})-([0-9]{0,15})")
_HEADERS = {
    "Content-Type": "text/plain; charset=utf-8",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "Vary": "Authorization, Cookie, Origin",
}


class LogQuery:
    """What a request asks for. Raises `UsageError` for an invalid value."""

    def __init__(self, query: Mapping[str, str], at_ms: int) -> None:
        self.lines = query.get("form", "text") == "lines"
        if query.get("form", "text") not in ("text", "lines"):
            raise UsageError("form is text or lines")
        self.follow, self.timestamps, self.stderr = (
            _flag(query, name) for name in ("follow", "timestamps", "stderr")
        )
        self.offset = _number(query, "offset") or 0
        self.tail = _number(query, "tail")
        try:
            self.since_ms = parse_moment(query["since"], at_ms) if "since" in query else None
        except ValueError as error:
            raise UsageError(f"since: {error}") from error

    def text(self) -> LogText:
        """Return what makes the text."""
        return LogText(
            timestamps=self.timestamps,
            stderr=self.stderr,
            since_ms=self.since_ms,
            harmless=True,
            at=self.offset,
        )


class LogApi:
    """The logs of one hub's store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._worker = Worker()

    def close(self) -> None:
        """End the thread; requests under way are cancelled."""
        self._worker.close()

    async def answer(
        self,
        request: web.Request,
        id: str,
        query: LogQuery,
        prepare: Callable[[web.StreamResponse], object],
    ) -> web.StreamResponse:
        """Return the answer; call ``prepare`` to complete the headers of one that is sent here.

        Raises `JobNotFound` and `LogNotFound`. An error after the answer has begun closes the
        connection and raises ConnectionResetError.
        """
        follow = query.follow and request.method == "GET"
        await self._worker.run(self._check, id, follow)
        if not follow and not query.lines:
            return _ranged(request, await self._worker.run(self._whole, id, query))
        answer = web.StreamResponse(headers=_HEADERS)
        prepare(answer)
        await answer.prepare(request)
        if request.method == "GET":
            try:
                await self._stream(request, answer, id, query, follow=follow)
            except JobctlError as error:
                # The answer has begun, so another one would be sent within it.
                if request.transport is not None:
                    request.transport.abort()
                raise ConnectionResetError(str(error)) from error
        return answer

    def _check(self, id: str, follow: bool) -> None:
        """Raise an error if the job has no log, and cannot get one while it is followed."""
        job = self._store.get(id)
        if not has_log(self._store, job) and not (follow and may_get_log(self._store, job)):
            raise why_no_log(job)

    def _logs(self) -> HasLogs | None:
        return logs_of(self._store)

    def _whole(self, id: str, query: LogQuery) -> bytes:
        logs, text = self._logs(), query.text()
        if logs is None:
            return b""
        found = b"".join(text.feed(part) for part in read_parts(logs, id, query.offset))
        if query.tail is not None:
            found = last_lines(found, query.tail)
        return found + text.end()

    async def _stream(
        self,
        request: web.Request,
        answer: web.StreamResponse,
        id: str,
        query: LogQuery,
        *,
        follow: bool,
    ) -> None:
        """Send the log, and with ``follow`` what is added to it until the job has ended."""
        logs = self._logs()
        assert logs is not None, "it has a log, or may get one"
        form = _Lines(query.offset) if query.lines else _Text(query)
        at, over = query.offset, not follow
        sent_s = monotonic()
        looked_s = 0.0
        while True:
            part = await self._worker.run(logs.read_log, id, at)
            if part is not None and part.data:
                data = form.take(part)
                at = part.end
            elif over:
                await answer.write(form.end())
                return
            else:
                data = form.caught_up(beat=monotonic() - sent_s >= _HEARTBEAT_S)
            if data:
                await answer.write(data)  # waits until the client has taken most of it
                sent_s = monotonic()
            if part is not None and part.data:
                continue
            if request.transport is None or request.transport.is_closing():
                return
            if monotonic() - looked_s >= _JOB_POLL_S:
                over = await self._worker.run(self._is_over, id)
                looked_s = monotonic()
            if not over:  # else read once more: that was written before the job ended
                await asyncio.sleep(_POLL_S)

    def _is_over(self, id: str) -> bool:
        """Whether nothing follows: the job has ended or was removed, or its worker is dead."""
        try:
            job = self._store.get(id)
        except JobNotFound:
            return True
        except StoreError:
            return False
        return not job.active or job.lost(self._store.owners.dead())


class _Form(Protocol):
    """How a stream is sent."""

    def take(self, part: LogPart) -> bytes:
        """Return what to send of this part."""

    def caught_up(self, *, beat: bool) -> bytes:
        """Return what to send when all that is there was sent; ``beat`` if that was long ago."""

    def end(self) -> bytes:
        """Return what to send at the end."""


class _Lines(_Form):
    """The lines as they are kept."""

    def __init__(self, at: int) -> None:
        self._at = at
        self._caught_up = False

    def take(self, part: LogPart) -> bytes:
        jump = part.start != self._at
        self._at = part.start
        data = (self._offset() if jump else b"") + part.data
        self._at = part.end
        return data

    def caught_up(self, *, beat: bool) -> bytes:
        told, self._caught_up = self._caught_up, True
        return self._offset() if beat or not told else b""

    def end(self) -> bytes:
        return encode_line(LogLine(now_ms(), END, b""))

    def _offset(self) -> bytes:
        return encode_line(LogLine(now_ms(), OFFSET, str(self._at).encode()))


class _Text(_Form):
    """The text; with ``tail`` first the last lines of what is there."""

    def __init__(self, query: LogQuery) -> None:
        self._text = query.text()
        self._tail = query.tail
        self._held = b""

    def take(self, part: LogPart) -> bytes:
        data = self._text.feed(part)
        if self._tail is None:
            return data
        self._held = last_lines(self._held + data, self._tail)
        return b""

    def caught_up(self, *, beat: bool) -> bytes:
        held, self._held, self._tail = self._held, b"", None
        return held

    def end(self) -> bytes:
        return self.caught_up(beat=False) + self._text.end()


def _ranged(request: web.Request, body: bytes) -> web.Response:
    """Return the body, or the part of it that the request asks for (RFC 9110, section 14).

    Several ranges and other units are ignored, as the RFC allows; so is a range of a version that
    the client has (``If-Range``), because the text has no version.
    """
    headers = {**_HEADERS, "Accept-Ranges": "bytes"}
    found = _RANGE.fullmatch(request.headers.get("Range", "").replace(" ", ""))
    if found is None or not any(found.groups()) or "If-Range" in request.headers:
        return web.Response(body=body, headers=headers)
    first, last = found.groups()
    if not first:  # the last so many bytes
        begin, end = max(len(body) - int(last), 0), len(body)
    else:
        begin, end = int(first), min(int(last or len(body)) + 1, len(body))
        if last and int(last) < begin:
            return web.Response(body=body, headers=headers)  # an invalid range is ignored
    if begin >= end:
        headers["Content-Range"] = f"bytes */{len(body)}"
        return web.Response(status=416, text=f"the log has {len(body)} bytes\n", headers=headers)
    headers["Content-Range"] = f"bytes {begin}-{end - 1}/{len(body)}"
    return web.Response(status=206, body=body[begin:end], headers=headers)


def _flag(query: Mapping[str, str], name: str) -> bool:
    text = query.get(name, "0")
    if text not in ("0", "1", "true", "false"):
        raise UsageError(f"{name} is 0 or 1")
    return text in ("1", "true")


def _number(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name)
    if text is not None and not _NUMBER.fullmatch(text):
        raise UsageError(f"{name} is a number")
    return int(text) if text is not None else None
