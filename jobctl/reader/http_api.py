"""Requests to a hub's HTTP side."""

from __future__ import annotations

import json
import os
from http import HTTPStatus
from typing import Any

from jobctl.errors import HubError
from jobctl.hub.address import is_loopback, page_url
from jobctl.hub.credentials import Credentials
from jobctl.reader.failures import is_sent_by_hub, shown_text

__all__ = ["clients"]

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
    import aiohttp

    page, unix = page_url(hub, path)
    url = page if unix is None else hub
    credentials = credentials or Credentials.from_environment(os.environ)
    token = token or credentials.read_token()
    try:
        async with (
            aiohttp.ClientSession(
                connector=aiohttp.UnixConnector(unix) if unix is not None else None,
                timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S),
                trust_env=not is_loopback(hub),
            ) as session,
            session.get(
                page,
                headers={"Authorization": f"Bearer {token.decode()}"} if token else {},
                ssl=credentials.tls() if page.startswith("https:") else True,
                allow_redirects=False,
            ) as answer,
        ):
            body = bytearray()
            async for part in answer.content.iter_any():
                body += part
                if len(body) > _MAX_BODY:
                    raise HubError(f"{url}: the answer is too long", url=url)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        text = "no answer" if isinstance(error, TimeoutError) else str(error)
        raise HubError(
            f"{url}: {text}", url=url, hint="is 'jobctl serve' running there?"
        ) from error
    if answer.status != 200:
        # The text of another server is a page of HTML.
        text = shown_text(body) if is_sent_by_hub(answer.headers.items()) else ""
        said = text or _reason(answer.status)
        raise HubError(f"{url}: HTTP {answer.status}, {said}", url=url)
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise HubError(f"{url} is not a hub: its answer is not JSON", url=url) from error
