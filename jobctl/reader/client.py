"""The client of a hub: an async iterator of deltas and status changes that reconnects by itself.

It resumes from its cursor, whatever ended the connection: a restart of the hub, a network failure,
a suspended machine. Applied in order, the deltas keep a `JobSet` up to date. A delta that does not
continue from the cursor is refused, and the client subscribes again.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import suppress
from functools import reduce
from itertools import starmap
from operator import xor
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    ConnectionClosedOK,
    InvalidURI,
    WebSocketException,
)
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.typing import Subprotocol

from jobctl.core.cursor import ZERO, Cursor
from jobctl.core.filters import EVERYTHING, Filter
from jobctl.core.jobset import Delta, version_hash
from jobctl.core.pipeline import CANCELLED, FAILED
from jobctl.core.protocol import (
    FEATURES_HEADER,
    FIRST_MESSAGE_HEADER,
    MAX_FROM_HUB,
    SUBPROTOCOL,
    BadFiles,
    DeadOwners,
    Pong,
    ack_message,
    parse_from_hub,
    query_of,
    retry_after_s,
)
from jobctl.errors import DigestMismatch, HubError, ProtocolError, TimedOut, UsageError
from jobctl.hub.address import address_of, hub_url, is_loopback
from jobctl.hub.credentials import Credentials
from jobctl.reader.backoff import Backoff
from jobctl.reader.clock import HubClock
from jobctl.reader.failures import comes_from_hub, explain, is_final
from jobctl.reader.status import Event, State, Status

__all__ = ["PATIENCE_S", "Client", "hub_url", "is_loopback"]
PATIENCE_S = 18.0
"""A hub that is silent for this long counts as gone; with the closing, within 20 s."""

_OPEN_TIMEOUT_S = 8.0
_MAX_SILENCE_S = 60.0  # a hub with 100,000 jobs starts in 8 s
_DEFLATE = ClientPerMessageDeflateFactory(
    server_no_context_takeover=True, client_no_context_takeover=True
)
_ACK_S = 1.0
_CLOCK_S = 60.0
"""Seconds between two questions for the hub's time: either clock may be set meanwhile."""
_MAX_RETRY_HINT_S = 30.0


class Client:
    """Deltas, `DeadOwners` and `Status` changes of one hub, from ``cursor`` on, under ``filter``.

    Iterate it once. Without ``retry`` the first failure is raised. ``timeout_s`` raises `TimedOut`
    after this time without a connection. A hub that is silent for ``patience_s`` and does not
    answer pings counts as gone. With ``once`` the iteration ends when it has everything.

    A hub of an older version that cannot apply the filter raises `HubError` too.

    A refusal of a hub that cannot be cured by trying again (a bad filter, a forbidden origin)
    raises `HubError` at once. An answer that is not a hub's raises it too, but only before a hub
    has answered: afterwards it comes from a proxy while the hub restarts, and is retried. With
    ``insist`` it is retried from the start (see failures.py).

    With ``fields``, names of keys, jobs come with these keys only, as `PartialJob`: what they are
    judged by stays that of the whole jobs. They become a part of ``filter``, and so of the cursor.
    A hub of an older version sends whole jobs, as `Job`.

    ``clock`` is kept at the difference between the hub's clock and ours.

    With ``bad_files`` the client also yields `BadFiles`: once it has everything, and whenever the
    list changes. A hub of jobctl 0.1.0 sends none.

    With ``verify`` the jobs are compared with the hub's digest after each synced delta. If they
    differ, there is an ``error`` status, `mismatches` is incremented, and everything is read again.

    ``url`` is the hub's URL, or ``unix:PATH`` for a Unix socket. ``credentials`` are the token that
    is sent to the hub and the authorities that its certificate is verified with; the default are
    those of the environment at each connection (see `Credentials.from_environment`). ``token`` is
    sent instead of theirs. A token is sent only to the URL's host, because redirects are not
    followed.
    """

    def __init__(
        self,
        url: str,
        *,
        cursor: Cursor = ZERO,
        filter: Filter = EVERYTHING,
        fields: Iterable[str] | None = None,
        retry: bool = True,
        timeout_s: float | None = None,
        patience_s: float = PATIENCE_S,
        backoff: Backoff | None = None,
        once: bool = False,
        verify: bool = False,
        bad_files: bool = False,
        clock: HubClock | None = None,
        insist: bool = False,
        token: bytes | None = None,
        credentials: Credentials | None = None,
    ) -> None:
        self.url = hub_url(url)
        self._address = address_of(url)
        self._token, self._credentials = token, credentials
        self.cursor = cursor
        self._tag: str | None = None  # of the hub's cursor: a token's filter may limit it further
        self.filter = filter if fields is None else filter.with_fields(fields)
        self._held_under = self.filter  # by the hub: an older one knows no fields
        self.dead: frozenset[str] = frozenset()
        self._filters_itself = False  # what an older hub does not
        self._dead_owners: frozenset[str] = frozenset()  # of a list that continues
        self._retry = retry
        self._timeout_s = timeout_s
        self._patience_s = patience_s
        self._once = once
        self._verify = verify
        self._bad_files = bad_files
        self._clock = clock or HubClock()
        self._met_hub = insist
        self._held_revisions: dict[str, int] | None = None  # from the first reset on
        self.mismatches = 0
        self._backoff = backoff or Backoff()

    def __aiter__(self) -> AsyncIterator[Event]:
        return self.events()

    async def events(self) -> AsyncGenerator[Event, None]:
        """Yield what iterating the client yields; use ``contextlib.aclosing`` to leave early."""
        loop = asyncio.get_running_loop()
        lost_s = loop.time()
        while True:
            yield Status("connecting", "hub", self.url)
            opened = digest_mismatch = False
            ask_at_s = loop.time()  # for the hub's time
            try:
                async with self._connect() as connection, _AckSender(connection) as acks:
                    self._check_protocol(connection)
                    self._check_features(connection)
                    self._raise_if_token_wanted(connection)
                    self._dead_owners = frozenset()
                    while (message := await self._next(connection)) is not None:
                        said = self._parse(message)
                        if isinstance(said, Pong) and self._once:
                            return  # the pong comes after everything else
                        if isinstance(said, Pong) or said is None:
                            continue
                        if not opened:
                            opened = True
                            self._backoff.reset()
                            yield Status("open", "hub", self.url)
                            if self.dead:  # the hub sends the list again if it is not empty
                                self.dead = frozenset()
                                yield DeadOwners(self.dead)
                        yield said
                        if isinstance(said, Delta):
                            acks.note(said.through)
                        is_due = self._once or loop.time() >= ask_at_s
                        if isinstance(said, Delta) and not said.more and is_due:
                            ask_at_s = loop.time() + _CLOCK_S
                            await connection.send(self._clock.ping())
                detail = connection.close_reason or "the hub closed the connection"
            except (OSError, WebSocketException, ProtocolError) as error:
                detail, digest_mismatch = explain(error), isinstance(error, DigestMismatch)
                self._raise_if_final(error, detail)
            if opened:
                lost_s = loop.time()
            if not self._retry:
                hint = None if opened else "is 'jobctl serve' running there?"
                raise HubError(f"{self.url}: {detail}", url=self.url, hint=hint)
            delay_s = self._backoff.next_s()
            if (asked_s := retry_after_s(detail)) is not None:
                delay_s = min(_MAX_RETRY_HINT_S, asked_s)  # the hub spreads reconnects over time
                detail = _for_people(detail)
            if self._timeout_s is not None:
                left_s = lost_s + self._timeout_s - loop.time()
                if left_s <= 0:
                    raise TimedOut(
                        f"no hub at {self.url} for {self._timeout_s:g} s: {detail}",
                        hint="is 'jobctl serve' running there?",
                    )
                delay_s = min(delay_s, left_s)
            state: State = "closed" if opened else "error"
            yield Status(state, "hub", self.url, detail, delay_s, digest_mismatch=digest_mismatch)
            await asyncio.sleep(delay_s)

    def _connect(self) -> _Connect:
        cursor = self.cursor
        if cursor != ZERO and self._tag is not None:
            cursor = cursor._replace(tag=self._tag)
        query = query_of(cursor, self.filter, digest=self._verify, bad_files=self._bad_files)
        url, unix = self._address
        url += ("&" if "?" in url else "?") + query if query else ""
        credentials = self._credentials or Credentials.from_environment(os.environ)
        token = self._token or credentials.read_token()
        at_socket: dict[str, Any] = {"unix": True, "path": unix} if unix is not None else {}
        bearer = {"Authorization": f"Bearer {token.decode()}"} if token is not None else {}
        return _Connect(
            url,
            additional_headers=bearer,
            ssl=credentials.tls() if url.startswith("wss:") else None,
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            # A proxy cannot reach this machine's loopback.
            proxy=None if is_loopback(url) else True,
            compression=None,
            extensions=[_DEFLATE],
            open_timeout=min(_OPEN_TIMEOUT_S, self._patience_s),
            ping_interval=self._patience_s / 2,
            ping_timeout=self._patience_s / 2,
            close_timeout=0.5,
            max_size=MAX_FROM_HUB,
            max_queue=(4, 1),
            **at_socket,
        )

    async def _next(self, connection: ClientConnection) -> str | bytes | None:
        """Return the next message, or ``None`` at an orderly end.

        With ``once`` there is a time limit. A server that answers pings but sends nothing is not a
        hub, or cannot read its store. Otherwise a silent hub is asked for its time now and then.
        """
        while True:
            try:
                async with asyncio.timeout(_MAX_SILENCE_S if self._once else _CLOCK_S):
                    return await connection.recv()
            except ConnectionClosedOK:
                return None
            except TimeoutError:
                if self._once:
                    raise
            with suppress(ConnectionClosed):  # the next recv() says it
                await connection.send(self._clock.ping())

    def _parse(self, message: str | bytes) -> Event | Pong | None:
        """Return what a message says, or ``None`` for a list of owners that continues in the next.

        A delta must continue from the cursor.
        """
        event = parse_from_hub(message, self._held_under.fields)
        if isinstance(event, Pong):
            self._clock.take(event)
            return event
        if isinstance(event, DeadOwners):
            self._dead_owners |= event.dead
            if event.more:
                return None
            self.dead, self._dead_owners = self._dead_owners, frozenset()
            return DeadOwners(self.dead)
        if isinstance(event, BadFiles):
            return event
        here = (self.cursor.epoch, self.cursor.revision)
        if event.since != 0 and (event.epoch, event.since) != here:
            raise ProtocolError("a delta does not follow from where we are", url=self.url)
        self._check(event)
        self.cursor = event.cursor(self._held_under)
        self._tag = event.tag or self._held_under.tag
        return event.filtered(self.filter) if self._filters_itself else event

    def _check_protocol(self, connection: ClientConnection) -> None:
        """Raise `ProtocolError` if the server has not selected our subprotocol."""
        if connection.subprotocol != SUBPROTOCOL:
            raise ProtocolError(f"not a hub: it does not speak {SUBPROTOCOL}", url=self.url)
        self._met_hub = True

    def _check_features(self, connection: ClientConnection) -> None:
        """Raise `HubError` if the hub is too old for our filter, and would send other jobs."""
        headers = connection.response.headers if connection.response is not None else {}
        features = {name.strip() for name in headers.get(FEATURES_HEADER, "").split(",")}
        lacking = self.filter.needs - features
        self._held_under = self.filter if "fields" in features else self.filter.of_whole_jobs
        self._filters_itself = FAILED in self.filter.stages and CANCELLED not in features
        if self._filters_itself and self._verify:
            lacking |= {CANCELLED}  # its digest is that of all jobs that have failed on disk
        if lacking:
            what = {"label": "labels", CANCELLED: "cancelled jobs"}[min(lacking)]
            raise HubError(
                f"the hub at {self.url} is of an older jobctl, and cannot filter by {what}",
                url=self.url,
                hint="leave that filter out, or update the hub",
            )

    def _raise_if_token_wanted(self, connection: ClientConnection) -> None:
        if connection.response is not None and FIRST_MESSAGE_HEADER in connection.response.headers:
            raise HubError(
                f"{self.url} wants a token", url=self.url, hint="give it by --token-file"
            )

    def _check(self, delta: Delta) -> None:
        """Compare the jobs that we hold with the hub's digest.

        Read everything again if they differ.
        """
        if delta.since == 0 and self._verify:
            self._held_revisions = {}
        if self._held_revisions is None:
            return
        self._held_revisions.update((job.id, job.revision) for job in delta.jobs)
        for item in delta.gone:
            self._held_revisions.pop(item.id, None)
        if delta.digest is None:
            return
        digest = reduce(xor, starmap(version_hash, self._held_revisions.items()), 0)
        if f"{digest:016x}" != delta.digest:
            self.mismatches += 1
            self.cursor = ZERO
            count = len(self._held_revisions)
            held = "1 job" if count == 1 else f"{count} jobs"
            raise DigestMismatch(
                f"what is held ({held}) is not what the hub holds, so all is read anew",
                url=self.url,
            )

    def _raise_if_final(self, error: Exception, detail: str) -> None:
        """Raise the error if trying again cannot help."""
        if isinstance(error, InvalidURI):
            raise UsageError(f"{self.url} is not the URL of a hub") from error
        from_hub = comes_from_hub(error)
        met_hub, self._met_hub = self._met_hub, self._met_hub or from_hub
        if not is_final(error, met_hub=met_hub):
            return
        if from_hub:
            raise HubError(f"{self.url} refuses: {detail}", url=self.url) from error
        if self._retry:  # otherwise the caller raises it
            raise HubError(
                f"{self.url}: {detail}",
                url=self.url,
                hint="is 'jobctl serve' running there? --retry waits for it",
            ) from error


class _AckSender:
    """Acknowledges what was applied: only the newest revision, at most once a second."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._through = self._parse = 0
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def note(self, through: int) -> None:
        """Note that everything up to this revision was applied."""
        self._through = through
        self._changed.set()

    async def __aenter__(self) -> _AckSender:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            if self._through != self._parse:
                self._parse = self._through
                with suppress(ConnectionClosed):
                    await self._connection.send(ack_message(self._parse))
            await asyncio.sleep(_ACK_S)


class _Connect(connect):
    """A connection that follows no redirect, and that reports an invalid proxy clearly."""

    async def open_tcp_connection(self) -> ClientConnection:
        try:
            return await super().open_tcp_connection()
        except OSError:
            raise  # some of them are a ValueError as well
        except ImportError as error:
            raise HubError(
                f"{self.uri}: a SOCKS proxy is set, which needs python-socks",
                url=self.uri,
                hint="'pip install python-socks', or name the host in $no_proxy",
            ) from error
        except ValueError as error:
            raise HubError(
                f"{self.uri}: the proxy that is set cannot be one: {error}",
                url=self.uri,
                hint="see 'env | grep -i proxy'",
            ) from error

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


def _for_people(reason: str) -> str:
    """Return the reason of a close frame without ``retry-after=``; the status has the seconds."""
    first, _, rest = reason.partition("; ")
    return rest if first.startswith("retry-after=") else reason
