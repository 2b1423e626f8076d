"""One GET from a hub's HTTP side."""

from __future__ import annotations

import json
import os
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from jobctl.errors import HubError
from jobctl.net.client import hub_url, is_loopback
from jobctl.net.secrets import client_tls, read_token

__all__ = ["clients", "page_url"]

_TIMEOUT_S = 10.0
_MAX_BODY = 32 * 1024 * 1024


def page_url(url: str, path: str) -> str:
    """Where the hub of this socket has the page: beside ``/ws/jobs``, or at the root."""
    parts = urlsplit(hub_url(url))
    base = parts.path.removesuffix("/ws/jobs") if parts.path.endswith("/ws/jobs") else ""
    return urlunsplit((parts.scheme.replace("ws", "http", 1), parts.netloc, base + path, "", ""))


async def clients(url: str) -> list[dict[str, Any]]:
    """The sessions of the hub, as ``/api/clients`` has them; `HubError`."""
    value = await _get(page_url(url, "/api/clients"))
    found = value.get("clients") if isinstance(value, dict) else None
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise HubError(f"{url} does not tell of its clients: is it a hub?", url=url)
    return found


async def _get(url: str) -> Any:
    import aiohttp

    token = read_token(None, os.environ)
    try:
        async with (
            aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S), trust_env=not is_loopback(url)
            ) as session,
            session.get(
                url,
                headers={"Authorization": f"Bearer {token.decode()}"} if token else {},
                ssl=client_tls(None, os.environ) if url.startswith("https:") else True,
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
        said = body.decode("utf-8", "replace").strip()[:200]
        raise HubError(f"{url}: HTTP {answer.status}, {said}", url=url)
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise HubError(f"{url} is not a hub: its answer is not JSON", url=url) from error
