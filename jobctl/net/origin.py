"""Who may speak to the hub: the Host and the Origin of a request, checked from the first day.

A browser sends any page's requests to ``127.0.0.1``, and a name that its owner points there passes
for that page's own host (DNS rebinding). So the Host must be a name of this machine's loopback, or
the one that was bound, or an allowed one, whatever the Origin says; and an Origin, where there is
one, must be a page of such a host. That the two are equal proves nothing.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

__all__ = ["Doorkeeper", "host_of"]

_WILDCARDS = {"", "0.0.0.0", "::"}  # noqa: S104 - recognised, not bound


def host_of(authority: str) -> str | None:
    """The host of ``host``, ``host:port`` or ``[v6]:port``, lower case; ``None`` for nonsense."""
    try:
        parts = urlsplit(f"//{authority}")
        _ = parts.port
    except ValueError:
        return None
    if parts.path or parts.query or parts.fragment or "@" in authority or not parts.hostname:
        return None
    return parts.hostname.rstrip(".")


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Doorkeeper:
    """Says why a request may not pass. ``bound`` is the host that the hub listens on."""

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

    def refusal(self, host: str | None, origins: list[str]) -> str | None:
        """A reason to answer 403, or ``None``. A request has one Host and at most one Origin."""
        name = host_of(host) if host else None
        if name is None or not self._knows(name):
            return f"host {ascii(host)} is not served here"
        if len(origins) > 1:
            return "several origins"
        if origins and not self._trusts(origins[0]):
            return f"origin {ascii(origins[0][:200])} is not allowed here"
        return None

    def _knows(self, host: str) -> bool:
        return _is_loopback(host) or host in self._hosts

    def _trusts(self, origin: str) -> bool:
        if origin.lower().rstrip("/") in self._origins:
            return True
        scheme, separator, authority = origin.partition("://")
        if scheme not in ("http", "https") or not separator:
            return False
        host = host_of(authority)
        return host is not None and self._knows(host)
