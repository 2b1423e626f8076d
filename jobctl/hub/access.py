"""The access policy: Host, Origin, proxies, users and tokens. One policy for sockets and HTTP.

Without a configured token the hub serves two users of this machine, the one who runs it and root
(see peers.py). Host and Origin have to be names of loopback. Requests that a proxy has passed on
are refused, because they come from 127.0.0.1 whoever sent them. Such a hub generates a token itself
and writes it where only its own user can read it (see discovery.py). The token identifies the user
where the kernel cannot.

With a configured token every request needs it, on loopback as well. A token comes as an
``Authorization: Bearer`` header, as the first message of a socket, or as the cookie that the login
page sets. The value of the cookie is derived from the token and is not the token. A token in a URL
is refused, because URLs are logged everywhere. ``jobctl serve --open`` signs the browser in by a
ticket, which is valid once (see tickets.py).

An admitted peer has a set of `Rights`. A feature that changes jobs must require a right of its own.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import secrets
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from enum import Flag, auto
from typing import NamedTuple
from urllib.parse import parse_qsl

from jobctl.errors import UsageError
from jobctl.hub.origin import OriginCheck, is_loopback_host, parse_host, parse_port
from jobctl.hub.tickets import Tickets

__all__ = ["MIN_TOKEN", "AccessPolicy", "AccessRefused", "AccessRequest", "Rights", "unauthorized"]

MIN_TOKEN = 16
"""Minimum length of a token, in bytes."""

_COOKIE = "jobctl"
_DELAY_S = 0.25
_MAX_DELAY_S = 4.0
_MAX_PEERS = 1024
_MAX_WAITING = 64
_MAX_WRONG = (
    8  # wrong tokens of one peer, after which it is refused at once while many answers wait
)
_NEW_TOKEN = "openssl rand -hex 32 >jobctl-token && chmod 600 jobctl-token"  # noqa: S105
_WITH_TOKEN = "--token-file jobctl-token"  # noqa: S105 - a file's name
_PROXY_HEADERS = frozenset(
    {"cdn-loop", "cf-connecting-ip", "forwarded", "true-client-ip", "via", "x-client-ip",
     "x-cluster-client-ip", "x-envoy-external-address", "x-real-ip"}
)  # fmt: skip
_FROM_ELSEWHERE = (["cross-site"], ["same-site"], ["none"])
_TOKEN_PARAMETERS = {"token", "access_token"}


class Rights(Flag):
    """What a client may do: a set of independent rights."""

    VIEW = auto()
    """See the jobs."""
    DETAILS = auto()
    """See command lines, directories and output: for the hub's own user, root, and a token."""


_ALL = Rights.VIEW | Rights.DETAILS
_ROOT = 0


class AccessRefused(Exception):
    """A refused request: the HTTP ``status``, and the ``kind`` that metrics count."""

    def __init__(
        self, status: int, kind: str, text: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(text)
        self.status, self.kind, self.headers = status, kind, dict(headers or {})


class AccessRequest(NamedTuple):
    """The parts of a request that the access decision depends on.

    ``headers`` have lower-case names. ``peer`` is the address of the sender, ``secure`` whether the
    request came through our TLS, ``query`` the raw query of its URL. ``uid`` is the user id of the
    sending process, ``None`` if it is unknown.
    """

    headers: tuple[tuple[str, str], ...]
    peer: str
    secure: bool
    query: str = ""
    uid: int | None = None

    @classmethod
    def of(
        cls,
        raw: Iterable[tuple[bytes, bytes]],
        peer: str,
        *,
        secure: bool,
        query: str = "",
        uid: int | None = None,
    ) -> AccessRequest:
        """Make one from raw headers."""
        return cls(
            tuple(
                (name.decode("latin-1").lower(), value.decode("utf-8", "surrogateescape"))
                for name, value in raw
            ),
            peer,
            secure,
            query,
            uid,
        )

    @property
    def is_encrypted(self) -> bool:
        """Whether the client uses TLS, to the hub or to a proxy in front of it.

        A client can claim this with a header, so use it only for decisions that affect that client
        alone.
        """
        proxied = self.all("x-forwarded-proto")[-1:] == ["https"]
        return self.secure or proxied or any(o.startswith("https://") for o in self.all("origin"))

    @property
    def port(self) -> int:
        """The port in the URL that the client uses, as far as its Host says it."""
        hosts = self.all("host")
        port = parse_port(hosts[0]) if hosts else None
        return port or (443 if self.is_encrypted else 80)

    def bearer_tokens(self) -> list[str]:
        """Return the tokens in the ``Authorization`` headers: mostly one or none."""
        headers = (header.partition(" ") for header in self.all("authorization"))
        return [given.strip() for scheme, _, given in headers if scheme.lower() == "bearer"]

    def all(self, name: str) -> list[str]:
        """Return all values of a header, in order."""
        return [value for key, value in self.headers if key == name]


class AccessPolicy:
    """The access policy of one hub; see the module for the rules.

    ``bound`` is the host that the hub listens on. ``local_users`` admits the other users of this
    machine, ``insecure`` everybody; both grant `Rights.VIEW` only. ``own_uid`` is the user whose
    hub it is, by default the user of this process.

    Raises `UsageError` for options that would admit other machines or their pages with neither a
    token nor ``insecure``: a host other than loopback, foreign hosts or origins.
    """

    def __init__(
        self,
        bound: str,
        *,
        allow_hosts: Iterable[str] = (),
        allow_origins: Iterable[str] = (),
        token: bytes | None = None,
        insecure: bool = False,
        local_users: bool = False,
        own_uid: int | None = None,
    ) -> None:
        allow_hosts, allow_origins = tuple(allow_hosts), tuple(allow_origins)
        self._origin_check = OriginCheck(
            bound, allow_hosts=allow_hosts, allow_origins=allow_origins
        )
        self._bound = bound
        self._given, self._insecure = token, insecure
        self._token = token if token is not None else secrets.token_urlsafe(32).encode()
        self._open = insecure or local_users
        self._own_uids = {_ROOT, os.geteuid() if own_uid is None else own_uid}
        self.tickets = Tickets()
        self._wrong_by_peer: OrderedDict[str, int] = OrderedDict()
        self._waiting = 0
        if token is not None and len(token) < MIN_TOKEN:
            raise UsageError(
                f"the token has {len(token)} bytes: that can be guessed",
                hint="'openssl rand -hex 32' makes one",
            )
        if token is not None and local_users:
            raise UsageError(
                "--local-users does without a token, and there is one",
                hint="leave it out, or --token-file, $JOBCTL_TOKEN_FILE and $JOBCTL_TOKEN",
            )
        if token is not None or insecure:
            return
        foreign = next(
            (f"--allow-host {host}" for host in allow_hosts if not is_loopback_host(host)),
            next((f"--allow-origin {origin}" for origin in allow_origins), ""),
        )
        if not is_loopback_host(bound):
            foreign = f"--host {bound}"
        if foreign:
            raise UsageError(
                f"{foreign} lets others in, and the hub has no token",
                hint="give it one by --token-file or $JOBCTL_TOKEN, or say --insecure",
            )

    @property
    def needs_token(self) -> bool:
        """Whether a token was configured, so that every request needs it."""
        return self._given is not None

    @property
    def trusts_this_machine(self) -> bool:
        """Whether a request counts by the process that sent it, so that a proxy must not."""
        return self._given is None and not self._insecure

    @property
    def own_token(self) -> bytes | None:
        """The token that the hub generated for its own user; ``None`` if one was configured."""
        return self._token if self._given is None else None

    def check_source(self, access_request: AccessRequest) -> None:
        """Raise `AccessRefused` for a wrong host or origin, a proxy, or a token in the URL.

        Call this first, for every request and every path.
        """
        hosts = access_request.all("host")
        refusal = self._origin_check.refusal(
            hosts[0] if len(hosts) == 1 else None, access_request.all("origin")
        )
        if refusal is not None:
            text = refusal.text
            if refusal.option:
                text += f"; to allow it: {self._command(refusal.option)}"
            raise AccessRefused(403, refusal.kind, text)
        if self.trusts_this_machine and _is_proxied(access_request):
            raise AccessRefused(
                403,
                "proxy",
                "the request came through a proxy, whoever asked for it; to allow that: "
                f"{self._command()}",
            )
        if any(
            name in _TOKEN_PARAMETERS
            for name, _ in parse_qsl(access_request.query, keep_blank_values=True)
        ):
            raise AccessRefused(
                400, "url", "a token is never taken from a URL; send it as a header"
            )

    def is_named_origin(self, access_request: AccessRequest) -> bool:
        """Whether the request comes from a page whose origin is one of ``allow_origins``."""
        return self._origin_check.is_named(access_request.all("origin"))

    def has_token(self, access_request: AccessRequest) -> bool:
        """Whether the request has the token in its header. The cookie does not count."""
        return any(
            hmac.compare_digest(_bytes(given), self._token)
            for given in access_request.bearer_tokens()
        )

    def is_own(self, access_request: AccessRequest) -> bool:
        """Whether the request comes from the hub's own user or root, and needs no token.

        A request that a proxy of these users forwarded does not count.
        """
        return (
            self._given is None
            and access_request.uid in self._own_uids
            and not _is_proxied(access_request)
        )

    async def authenticate(self, access_request: AccessRequest) -> Rights | None:
        """Return the rights of the client; ``None`` if it must send a token first.

        Raises `AccessRefused` for a wrong token in the header, and for another user of this
        machine.
        """
        if self.is_own(access_request):
            return _ALL
        if self._open and not self.needs_token:
            if self.has_token(access_request):
                return _ALL
        elif tokens := access_request.bearer_tokens():
            return await self.check_token(_bytes(tokens[0]), access_request.peer)
        expected = self._cookie_value().encode()
        if any(
            hmac.compare_digest(_bytes(value), expected) for value in self._cookies(access_request)
        ):
            return _ALL
        if self.needs_token:
            return None
        if self._open:
            return Rights.VIEW
        if access_request.uid is not None:
            raise AccessRefused(
                403,
                "user",
                f"this hub serves only the user who runs it, and this request comes from another "
                f"user (uid {access_request.uid}); to serve all users of this machine: "
                f"jobctl serve --local-users; to serve whoever has a token: {self._command()}",
            )
        return None

    def _command(self, option: str = "") -> str:
        """Return a command that starts a hub with the option and can be typed as it is.

        With a configured token, only the option: it is not known here where the token is.
        """
        if self._insecure:
            host = "" if is_loopback_host(self._bound) else f"--host {self._bound}"
            return " ".join(filter(None, ("jobctl serve", host, option, "--insecure")))
        if self.needs_token:
            return f"start the hub with {option} as well"
        return f"{_NEW_TOKEN} && {' '.join(filter(None, ('jobctl serve', option)))} {_WITH_TOKEN}"

    async def check_token(self, given: bytes, peer: str) -> Rights:
        """Return the rights that this token gives; raise `AccessRefused` if it is wrong.

        Each wrong token from one peer delays the answer longer. While many answers are delayed,
        peers with many wrong tokens are refused at once, so that parallel requests do not get
        around the delay.
        """
        flooded = self._waiting >= _MAX_WAITING
        if flooded and self._wrong_by_peer.get(peer, 0) >= _MAX_WRONG:
            self._count_wrong_token(peer)
            raise _too_many_requests()
        if hmac.compare_digest(given, self._token):
            self._wrong_by_peer.pop(peer, None)
            return _ALL
        count = self._count_wrong_token(peer)
        if flooded:
            raise _too_many_requests()
        self._waiting += 1
        try:
            await asyncio.sleep(min(_MAX_DELAY_S, _DELAY_S * 2 ** min(count - 1, 8)))
        finally:
            self._waiting -= 1
        raise unauthorized("that is not the token")

    def check_ticket(self, given: str) -> None:
        """Redeem a ticket of `tickets`; raise `AccessRefused` if it is not valid."""
        if not self.tickets.redeem(given):
            raise AccessRefused(401, "ticket", "the ticket is not valid, or no longer")

    def _count_wrong_token(self, peer: str) -> int:
        """Return how many wrong tokens this peer has sent. Only the most recent peers are kept."""
        count = self._wrong_by_peer.pop(peer, 0) + 1
        self._wrong_by_peer[peer] = count
        if len(self._wrong_by_peer) > _MAX_PEERS:
            self._wrong_by_peer.popitem(last=False)
        return count

    def cookie(self, access_request: AccessRequest) -> tuple[str, str]:
        """Return name and value of the cookie for a browser that has sent the token.

        Browsers send a cookie to all ports of a host, and a new cookie replaces one with the same
        name. So the name contains the port: signing in to one hub does not sign out of another.
        """
        return f"{_COOKIE}-{access_request.port}", self._cookie_value()

    def _cookie_value(self) -> str:
        return hmac.new(self._token, b"jobctl login cookie", hashlib.sha256).hexdigest()

    def _cookies(self, access_request: AccessRequest) -> list[str]:
        """Return the values of all hubs' cookies in the request (RFC 6265, section 4.2.1).

        The port in their names is not compared: a proxy may change the Host, and other ports'
        cookies have other values. jobctl 0.1.0 has a name without a port.
        """
        pairs = [
            pair.strip().partition("=")
            for header in access_request.all("cookie")
            for pair in header.split(";")
        ]
        return [
            value for name, _, value in pairs if name == _COOKIE or name.startswith(f"{_COOKIE}-")
        ]

    def ask_for_token(self) -> AccessRefused:
        """Return the error for a request that needs a token and has none."""
        if self.needs_token:
            return unauthorized("a token is needed: send 'Authorization: Bearer TOKEN'")
        return unauthorized(
            "the hub cannot find out which user asks: send 'Authorization: Bearer TOKEN' with "
            "the token in its file in .jobctl/hubs, or start it with --local-users or --token-file"
        )


def unauthorized(text: str) -> AccessRefused:
    """Return the error for a client that must send a token first: HTTP 401."""
    return AccessRefused(401, "token", text, {"WWW-Authenticate": 'Bearer realm="jobctl"'})


def _too_many_requests() -> AccessRefused:
    return AccessRefused(
        429, "token", "too many wrong tokens; come back later", {"Retry-After": "5"}
    )


def _is_proxied(access_request: AccessRequest) -> bool:
    """Whether a proxy has passed the request on, as far as the request shows it.

    nginx adds no header unless it is told to.
    """
    return any(
        name.startswith("x-forwarded-") or name in _PROXY_HEADERS
        for name, _ in access_request.headers
    ) or _is_of_page_elsewhere(access_request)


def _is_of_page_elsewhere(access_request: AccessRequest) -> bool:
    """Whether the page that sent the request was loaded from another machine's name.

    Its ``Referer`` has that name, and the proxy has replaced the Host. A link on another site is
    something else: there the browser says so (``Sec-Fetch-Site``, www.w3.org/TR/fetch-metadata).
    """
    referers, hosts = access_request.all("referer"), access_request.all("host")
    if not referers or access_request.all("sec-fetch-site")[-1:] in _FROM_ELSEWHERE:
        return False
    page = parse_host(referers[0].partition("://")[2].partition("/")[0])
    own = parse_host(hosts[0]) if hosts else None
    return page is not None and page != own and not is_loopback_host(page)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
