"""The opening handshake of a WebSocket, read and answered in one step where it is an ordinary one.

websockets reads a request line by line and checks each header by itself, which takes three times
as long as all the rest of a connection's start. Nearly all clients send the same few headers, so
`read_opening` recognises such a request as a whole and knows its answer (`Terms`). It gives up on
whatever is unusual or wrong: then websockets reads the request, and says what is the matter.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import NamedTuple

from websockets.datastructures import Headers
from websockets.exceptions import InvalidHeader, NegotiationError
from websockets.extensions import Extension, ServerExtensionFactory
from websockets.headers import build_extension, parse_extension, parse_subprotocol
from websockets.http11 import Request, Response
from websockets.typing import ExtensionHeader
from websockets.utils import accept_key

from jobctl.core.protocol import HUB_HEADERS, QUERY_KEYS, SUBPROTOCOL, UPGRADE_HINT

__all__ = [
    "UPGRADE_REQUIRED",
    "Opening",
    "Terms",
    "explained",
    "opening_of",
    "read_opening",
    "refusal",
    "url_of",
]

UPGRADE_REQUIRED = f"this is a WebSocket, and the request does not ask for one: {UPGRADE_HINT}\n"
"""The body of a 426, where a request for the socket lacks Upgrade or Connection."""

_MAX_ORDINARY = 4096
"""Bytes of an ordinary request; within it no line and no number of lines is too large."""

_MAX_URL = 300  # characters in the log

_HEAD = re.compile(
    rb"GET ([\x21-\x7e]++) HTTP/1\.1\r\n"
    rb"((?:[-!#$%&'*+.^_`|~0-9a-zA-Z]++:[\t\x20-\x7e\x80-\xff]*+\r\n)++)\r\n"
)
_KEY = re.compile(r"[A-Za-z0-9+/]{22}==")
_CONNECTIONS = {"upgrade", "keep-alive, upgrade"}
_BODY = {"content-length", "transfer-encoding"}


class Terms(NamedTuple):
    """What was agreed on: the answer to the key, the subprotocol, and the extensions offered."""

    accept: str
    subprotocol: str | None
    offers: str

    def answer(
        self, factories: Sequence[ServerExtensionFactory], more: Sequence[tuple[str, str]] = ()
    ) -> tuple[bytes, list[Extension]]:
        """Return the answer with the hub's and ``more`` headers, and the extensions in use now."""
        lines = [
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {self.accept}",
        ]
        extensions: list[Extension] = []
        if self.offers:
            header, extensions = _negotiated(_parsed(self.offers), factories)
            if header:
                lines.append(f"Sec-WebSocket-Extensions: {header}")
        if self.subprotocol is not None:
            lines.append(f"Sec-WebSocket-Protocol: {self.subprotocol}")
        lines += [f"{name}: {value}" for name, value in (*HUB_HEADERS, *more)]
        return "\r\n".join([*lines, "", ""]).encode(), extensions


class Opening(NamedTuple):
    """A request for a WebSocket: its target, its headers with lower-case names, and the terms.

    ``terms`` are ``None`` for an unusual request, which is ``raw`` then.
    """

    path: str
    headers: tuple[tuple[str, str], ...]
    terms: Terms | None = None
    raw: Request | None = None


def opening_of(request: Request) -> Opening:
    """Return what websockets has read."""
    headers = tuple((name.lower(), value) for name, value in request.headers.raw_items())
    return Opening(request.path, headers, raw=request)


def url_of(opening: Opening, *, secure: bool) -> str:
    """Return the URL of a request for the log.

    Only query parameters of the protocol are in it: a token that was sent by mistake, under
    whatever name, is not.
    """
    path, _, query = opening.path.partition("?")
    host = next((value for name, value in opening.headers if name == "host"), "")
    known = [part for part in query.split("&") if part.partition("=")[0] in QUERY_KEYS]
    url = f"{'wss' if secure else 'ws'}://{host}{path}" + ("?" if known else "") + "&".join(known)
    return url if len(url) <= _MAX_URL else f"{url[:_MAX_URL]}..."


def read_opening(data: bytes) -> tuple[Opening, bytes] | None:
    """Return an ordinary request and the bytes that follow it, ``None`` if websockets must read it.

    ``data`` is the first that came, from the request line on.
    """
    found = _HEAD.match(data, 0, _MAX_ORDINARY)
    if found is None:
        return None
    lines = found[2].decode("latin-1").split("\r\n")
    lines.pop()
    headers = tuple(
        (name.lower(), value.strip(" \t"))
        for name, _, value in (line.partition(":") for line in lines)
    )
    fields = dict(headers)
    offers = fields.get("sec-websocket-extensions", "")
    key = fields.get("sec-websocket-key", "")
    if (
        len(fields) < len(headers)
        or fields.get("upgrade", "").lower() != "websocket"
        or fields.get("connection", "").lower() not in _CONNECTIONS
        or fields.get("sec-websocket-version") != "13"
        or _KEY.fullmatch(key) is None
        or not _BODY.isdisjoint(fields)
    ):
        return None
    try:
        subprotocol = _selected(fields.get("sec-websocket-protocol"))
        if "sec-websocket-extensions" in fields:
            _parsed(offers)
    except InvalidHeader:
        return None
    terms = Terms(accept_key(key), subprotocol, offers)
    return Opening(found[1].decode(), headers, terms), data[found.end() :]


def refusal(status: HTTPStatus, text: str) -> Response:
    """Return the answer that refuses a handshake."""
    body = text.encode()
    headers = Headers(
        [
            ("Connection", "close"),
            ("Content-Length", str(len(body))),
            ("Content-Type", "text/plain; charset=utf-8"),
        ]
    )
    return Response(status.value, status.phrase, headers, body)


def explained(response: Response) -> Response:
    """Return what websockets answers, with a text that helps where a proxy is the usual cause."""
    if response.status_code == HTTPStatus.UPGRADE_REQUIRED:
        required = refusal(HTTPStatus.UPGRADE_REQUIRED, UPGRADE_REQUIRED)
        required.headers["Upgrade"] = "websocket"
        return required
    if response.status_code == HTTPStatus.HTTP_VERSION_NOT_SUPPORTED:
        text = "a WebSocket needs HTTP/1.1: the proxy must use HTTP/1.1 for requests to the hub\n"
        return refusal(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, text)
    return response


@lru_cache(maxsize=64)
def _selected(offered: str | None) -> str | None:
    return (
        SUBPROTOCOL if offered is not None and SUBPROTOCOL in parse_subprotocol(offered) else None
    )


@lru_cache(maxsize=64)
def _parsed(offers: str) -> list[ExtensionHeader]:
    return parse_extension(offers)


def _negotiated(
    offers: Sequence[ExtensionHeader], factories: Sequence[ServerExtensionFactory]
) -> tuple[str, list[Extension]]:
    """As `websockets.server.ServerProtocol.process_extensions` does it."""
    agreed: list[ExtensionHeader] = []
    extensions: list[Extension] = []
    for name, wanted in offers:
        for factory in factories:
            if factory.name != name:
                continue
            try:
                params, extension = factory.process_request_params(wanted, extensions)
            except NegotiationError:
                continue
            agreed.append((name, list(params)))
            extensions.append(extension)
            break
    return build_extension(agreed), extensions
