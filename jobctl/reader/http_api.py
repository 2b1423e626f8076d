"""Requests to a hub's HTTP side."""

from __future__ import annotations

import json
import os
from http import HTTPStatus
from typing import Any, NamedTuple

from jobctl.errors import HubError
from jobctl.hub.address import is_loopback, page_url
from jobctl.hub.credentials import Credentials
from jobctl.reader.failures import is_sent_by_hub, shown_text

__all__ = ["HttpAnswer", "clients", "request"]

_TIMEOUT_S = 10.0
_MAX_BODY = 32 * 1024 * 1024


async def clients(
    url: str, *, token: bytes | None = None, credentials: Credentials | None = None
) -> list[dict[str, Any]]:
    """Return the sessions of the hub, from ``/api/clients``; raise `HubError`.

    ``token`` and ``credentials`` are those of `jobctl.reader.client.Client`.
    """
    value = await _get(url, "/api/clients", token, credentials)
    found = value.get("clients") if isinstance(value, dict) else None
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise HubError(f"{url} does not tell of its clients: is it a hub?", url=url)
    return found


def _reason(status: int) -> str:
    """Return what an answer without a text means."""
    if 300 <= status < 400:
        return "a redirect, which is not followed: is it a hub?"
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "without a reason"


async def _get(hub: str, path: str, token: bytes | None, credentials: Credentials | None) -> Any:
    answer = await request(hub, path, token=token, credentials=credentials)
    if answer.status != 200:
        raise answer.error()
    return answer.value


class HttpAnswer(NamedTuple):
    """An answer of what listens at ``url``. ``is_hub`` says that a hub sent it."""

    url: str
    status: int
    body: bytes
    is_hub: bool

    @property
    def value(self) -> Any:
        """The body as JSON; `HubError` if it is none. ``None`` for a refusal in plain text."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            if self.status != 200:
                return None
            raise HubError(
                f"{self.url} is not a hub: its answer is not JSON", url=self.url
            ) from error

    def error(self) -> HubError:
        """Return the error for a status that is not expected."""
        # The text of another server is a page of HTML.
        said = (shown_text(self.body) if self.is_hub else "") or _reason(self.status)
        return HubError(f"{self.url}: HTTP {self.status}, {said}", url=self.url)


async def request(
    hub: str,
    path: str,
    *,
    token: bytes | None = None,
    credentials: Credentials | None = None,
    body: Any = None,
) -> HttpAnswer:
    """Send a GET, or a POST with a ``body`` as JSON, and return the answer, whatever its status.

    Raises `HubError` if there is none. It is `HubError.unanswered` if the request was sent.
    """
    import aiohttp

    page, unix = page_url(hub, path)
    url = page if unix is None else hub
    credentials = credentials or Credentials.from_environment(os.environ)
    token = token or credentials.read_token()
    headers = {"Authorization": f"Bearer {token.decode()}"} if token else {}
    try:
        async with (
            aiohttp.ClientSession(
                connector=aiohttp.UnixConnector(unix) if unix is not None else None,
                timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S),
                trust_env=not is_loopback(hub),
            ) as session,
            session.request(
                "GET" if body is None else "POST",
                page,
                headers=headers,
                json=body,
                ssl=credentials.tls() if page.startswith("https:") else True,
                allow_redirects=False,
            ) as answer,
        ):
            data = bytearray()
            async for part in answer.content.iter_any():
                data += part
                if len(data) > _MAX_BODY:
                    raise HubError(f"{url}: the answer is too long", url=url)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        text = "no answer" if isinstance(error, TimeoutError) else str(error)
        failed = HubError(f"{url}: {text}", url=url, hint="is 'jobctl serve' running there?")
        failed.unanswered = not isinstance(error, aiohttp.ClientConnectorError)
        raise failed from error
    is_hub = is_sent_by_hub(answer.headers.items())
    return HttpAnswer(url, answer.status, bytes(data), is_hub)
