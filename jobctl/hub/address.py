"""Addresses of hubs: a URL, or the path of a Unix socket.

``unix:PATH`` is a hub on the Unix socket PATH. The WebSocket endpoint is ``/ws/jobs``, or the one
written after the path, ``unix:PATH:/jobs/ws/jobs`` (nginx has the same notation). Everything else
is a ws, wss, http or https URL.
"""

from __future__ import annotations

import ipaddress
import os
import re
import sys
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

from jobctl.errors import UsageError

__all__ = [
    "DEFAULT_PATH",
    "MAX_UNIX_PATH",
    "Address",
    "address_of",
    "check_unix_path",
    "hub_url",
    "is_loopback",
    "page_url",
]

DEFAULT_PATH = "/ws/jobs"
MAX_UNIX_PATH = 107 if sys.platform == "linux" else 103
"""Bytes of a Unix socket's path: ``sun_path`` has one more, for the NUL (unix(7))."""

_SCHEMES = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}
_UNIX = "unix:"
_PATH = re.compile(r"[A-Za-z0-9._~/-]*\Z")


class Address(NamedTuple):
    """The URL to request, and the path of the Unix socket to connect to, if it is one."""

    url: str
    unix: str | None = None


def address_of(text: str) -> Address:
    """Parse an address; `UsageError` if it is not one."""
    if text.startswith(_UNIX):
        socket, path = _unix_parts(text)
        return Address(f"ws://localhost{path}", socket)
    return Address(_websocket_url(text))


def hub_url(text: str) -> str:
    """The canonical form of an address: a ws or wss URL, or ``unix:`` and an absolute path.

    The endpoint is ``/ws/jobs`` by default. ``127.0.0.1:8765`` means ``ws://127.0.0.1:8765``.
    `UsageError` if it is not an address.
    """
    if text.startswith(_UNIX):
        socket, path = _unix_parts(text)
        return f"{_UNIX}{socket}" + (f":{path}" if path != DEFAULT_PATH else "")
    return _websocket_url(text)


def page_url(text: str, path: str) -> Address:
    """The address of the hub's page ``path``, next to its endpoint ``/ws/jobs`` or at the root."""
    url, unix = address_of(text)
    parts = urlsplit(url)
    base = parts.path.removesuffix(DEFAULT_PATH) if parts.path.endswith(DEFAULT_PATH) else ""
    scheme = parts.scheme.replace("ws", "http", 1)
    return Address(urlunsplit((scheme, parts.netloc, base + path, "", "")), unix)


def is_loopback(text: str) -> bool:
    """Whether the address is on this machine, so that no proxy is used."""
    if text.startswith(_UNIX):
        return True
    host = urlsplit(text).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_unix_path(path: str) -> str:
    """The absolute path of a Unix socket; `UsageError` if no socket can have this path."""
    if not path or "\0" in path:
        raise UsageError("the path of the Unix socket is missing", hint="write unix:PATH")
    full = os.path.expanduser(path)
    if full.startswith("~"):  # no such user, or nobody knows where their home is
        raise UsageError(f"the path {ascii(path)[1:-1]} of the Unix socket is in no known home")
    if not os.path.isabs(full):
        full = os.path.join(os.getcwd(), full)
    if ":/" in full or not full.isprintable():
        raise UsageError(
            f"a Unix socket at {ascii(full)[1:-1]} could not be written as unix:PATH",
            hint="choose a path without ':/' and control characters",
        )
    size = len(os.fsencode(full))
    if size > MAX_UNIX_PATH:
        raise UsageError(
            f"the path {ascii(full)[1:-1]} has {size} bytes, and that of a Unix socket has "
            f"{MAX_UNIX_PATH} at the most",
            hint="choose a shorter one, in $XDG_RUNTIME_DIR or /tmp",
        )
    return full


def _unix_parts(text: str) -> tuple[str, str]:
    """The path of the socket, and the path of the endpoint."""
    rest = text.removeprefix(_UNIX)
    if rest.startswith("//"):  # unix:///run/hub.sock, as others write it
        rest = rest[2:] if rest.startswith("///") else ""
    socket, colon, path = rest.partition(":/")
    if not text.isprintable() or not _PATH.match(path):
        raise UsageError(f"{ascii(text)[1:-1]} is not the address of a hub", hint="write unix:PATH")
    return check_unix_path(socket), f"/{path}" if colon else DEFAULT_PATH


def _websocket_url(text: str) -> str:
    try:
        parts = urlsplit(text if "://" in text else f"ws://{text}")
        _ = parts.port
        (parts.hostname or "").encode("idna")  # a name that no host can have is not tried for ever
    except ValueError:
        parts = urlsplit("")
    scheme = _SCHEMES.get(parts.scheme.lower())
    selects = re.search("[\ufe00-\ufe0f\U000e0100-\U000e01ef]", parts.hostname or "")  # invisible
    possible = parts.hostname and parts.username is None and text.isprintable() and not selects
    if scheme is None or not possible:
        raise UsageError(
            f"{ascii(text)[1:-1]} is not the URL of a hub",
            hint="write ws://HOST:PORT, or unix:PATH",
        )
    path = parts.path if parts.path not in ("", "/") else DEFAULT_PATH
    return urlunsplit((scheme, parts.netloc, path, parts.query, ""))
