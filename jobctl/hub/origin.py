"""Checks the Host and the Origin of a request.

A browser sends the requests of any page to ``127.0.0.1``. With DNS rebinding, a page's own host
name points there too, so an Origin that equals the Host proves nothing. Therefore the Host must be
a loopback name, the host that the hub was bound to, or an allowed host. If there is an Origin, it
must be a page of such a host, or an allowed origin. ``ws`` and ``wss`` count as ``http`` and
``https`` there.
"""

from __future__ import annotations

import ipaddress
import re
import shlex
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlsplit

__all__ = [
    "OriginCheck",
    "RefusalReason",
    "is_loopback_host",
    "is_loopback_origin",
    "parse_host",
    "parse_port",
]

_PLAIN = re.compile(r"[A-Za-z0-9.:/\[\]-]{1,200}\Z")
_AS_PAGE = {"ws": "http", "wss": "https"}  # some programs send the socket's scheme as their Origin
_WILDCARDS = {"", "0.0.0.0", "::"}  # noqa: S104 - recognised, not bound


@lru_cache(maxsize=64)  # the same few for every connection
def parse_host(authority: str) -> str | None:
    """Return the lower-case host of ``host``, ``host:port`` or ``[v6]:port``.

    ``None`` if it is invalid.
    """
    try:
        parts = urlsplit(f"//{authority}")
        _ = parts.port
    except ValueError:
        return None
    if parts.path or parts.query or parts.fragment or "@" in authority or not parts.hostname:
        return None
    return parts.hostname.rstrip(".")


def parse_port(authority: str) -> int | None:
    """Return the port of ``host:port``; ``None`` if it has none, or is invalid."""
    try:
        return urlsplit(f"//{authority}").port
    except ValueError:
        return None


@lru_cache(maxsize=64)
def is_loopback_host(host: str) -> bool:
    """Whether the name or address is a loopback one."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_loopback_origin(origin: str) -> bool:
    """Whether the origin is that of a page of this machine."""
    scheme, _, authority = origin.lower().rstrip("/").partition("://")
    host = parse_host(authority) if scheme in ("http", "https") else None
    return host is not None and is_loopback_host(host)


def _is_printable(text: str | None) -> bool:
    """Whether the text can be repeated in a message and typed in a shell."""
    return text is not None and _PLAIN.match(text) is not None


class RefusalReason(NamedTuple):
    """Why a request is refused, and the ``kind`` that metrics count.

    ``option`` is the option of ``jobctl serve`` that would allow it, or empty.
    """

    kind: str
    text: str
    option: str = ""


class OriginCheck:
    """Checks requests to a hub that listens on the host ``bound``."""

    def __init__(
        self,
        bound: str,
        *,
        allow_hosts: Iterable[str] = (),
        allow_origins: Iterable[str] = (),
    ) -> None:
        self._hosts = {host.lower() for host in allow_hosts}
        if bound not in _WILDCARDS:
            self._hosts.add(bound.lower())
        self._origins = {origin.lower().rstrip("/") for origin in allow_origins}

    def refusal(self, host: str | None, origins: list[str]) -> RefusalReason | None:
        """Return why the request is refused with 403, or ``None`` if it passes.

        A request has exactly one Host and at most one Origin.
        """
        name = parse_host(host) if host else None
        if name is None or not self._is_known_host(name):
            said = ascii(host[:200] if host else host)
            option = f"--allow-host {name}" if _is_printable(name) else ""
            return RefusalReason("host", f"host {said} is not served here", option)
        if len(origins) > 1:
            return RefusalReason("origin", "several origins")
        if origins and not self._is_allowed_origin(origins[0]):
            origin = origins[0][:200]
            # Every sandboxed page has the origin "null", and every file "file://".
            named = _is_printable(origin) and origin.partition("://")[2]
            option = f"--allow-origin {shlex.quote(origin)}" if named else ""
            return RefusalReason("origin", f"origin {ascii(origin)} is not allowed here", option)
        return None

    def is_named(self, origins: list[str]) -> bool:
        """Whether the one origin of a request is one of ``allow_origins``."""
        return len(origins) == 1 and origins[0].lower().rstrip("/") in self._origins

    def _is_known_host(self, host: str) -> bool:
        return is_loopback_host(host) or host in self._hosts

    def _is_allowed_origin(self, origin: str) -> bool:
        scheme, separator, authority = origin.lower().rstrip("/").partition("://")
        scheme = _AS_PAGE.get(scheme, scheme)
        if self.is_named([scheme + separator + authority]):
            return True
        if scheme not in ("http", "https") or not separator:
            return False
        host = parse_host(authority)
        return host is not None and self._is_known_host(host)
