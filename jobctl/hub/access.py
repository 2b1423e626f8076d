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

A token file with lines (see tokens.py) has several tokens, each with its own rights and filter.

An admitted client has a `Grant`. The rights to change jobs belong to a hub with ``control`` only:
to its own user, and to tokens whose lines give them.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import pwd
import secrets
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import NamedTuple
from urllib.parse import parse_qsl

from jobctl._clock import now_ms
from jobctl.errors import UsageError
from jobctl.hub.origin import (
    OriginCheck,
    is_loopback_host,
    is_loopback_origin,
    parse_host,
    parse_port,
)
from jobctl.hub.rights import ACTS, SIGHT, Grant, Rights, Way
from jobctl.hub.tickets import Tickets
from jobctl.hub.tokens import TokenFile, TokenLine

__all__ = [
    "MIN_TOKEN",
    "AccessPolicy",
    "AccessRefused",
    "AccessRequest",
    "Grant",
    "Rights",
    "unauthorized",
]

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
    hub it is, by default the user of this process. ``token`` is a single token, which gives sight,
    or a file with several. With ``control`` the rights to change jobs are granted too.

    Raises `UsageError` for options that would admit other machines or their pages with neither a
    token nor ``insecure``: a host other than loopback, foreign hosts or origins.
    """

    def __init__(
        self,
        bound: str,
        *,
        allow_hosts: Iterable[str] = (),
        allow_origins: Iterable[str] = (),
        token: bytes | TokenFile | None = None,
        control: bool = False,
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
        self._tokens = token if isinstance(token, TokenFile) else None
        self._token = token if isinstance(token, bytes) else secrets.token_urlsafe(32).encode()
        self._cookie_key = secrets.token_bytes(32)  # for the cookies of tokens in a file
        self.control = control
        self._open = insecure or local_users
        self._own_uids = {_ROOT, os.geteuid() if own_uid is None else own_uid}
        self.tickets = Tickets()
        self._wrong_by_peer: OrderedDict[str, int] = OrderedDict()
        self._waiting = 0
        if isinstance(token, bytes) and len(token) < MIN_TOKEN:
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
            next(
                (
                    f"--allow-origin {origin}"
                    for origin in allow_origins
                    if not is_loopback_origin(origin)
                ),
                "",
            ),
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
    def has_named_tokens(self) -> bool:
        """Whether the tokens are those of a file with names and rights."""
        return self._tokens is not None

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

    def is_same_origin(self, access_request: AccessRequest) -> bool:
        """Whether no page of another origin sent the request.

        Browsers say so by ``Sec-Fetch-Site``; older ones send ``Origin``, which must have the
        request's own Host. A client that sends neither is no browser. A page that
        ``--allow-origin`` names counts as another origin.
        """
        sites = access_request.all("sec-fetch-site")
        if sites:
            return sites == ["same-origin"]
        origins, hosts = access_request.all("origin"), access_request.all("host")
        if not origins:
            return True
        own = f"{'https' if access_request.is_encrypted else 'http'}://{hosts[0] if hosts else ''}"
        return len(origins) == 1 and origins[0].lower() == own.lower()

    def has_token(self, access_request: AccessRequest) -> bool:
        """Whether the request has a token in its header. The cookie does not count."""
        return any(
            self._grant_for(_bytes(given)) is not None for given in access_request.bearer_tokens()
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

    async def authenticate(self, access_request: AccessRequest) -> Grant | None:
        """Return what the client is granted; ``None`` if it must send a token first.

        Raises `AccessRefused` for a wrong token in the header, and for another user of this
        machine.
        """
        if self.is_own(access_request):
            return self._own_grant(access_request.uid)
        if self._open and not self.needs_token:
            for given in access_request.bearer_tokens():
                if (grant := self._grant_for(_bytes(given))) is not None:
                    return grant
        elif tokens := access_request.bearer_tokens():
            return await self.check_token(_bytes(tokens[0]), access_request.peer)
        if (by_cookie := self._grant_by_cookie(access_request)) is not None:
            return by_cookie
        if self.needs_token:
            return None
        if self._open:
            return Grant(Rights.VIEW)
        if access_request.uid is not None:
            raise AccessRefused(
                403,
                "user",
                f"this hub serves only the user who runs it, and this request comes from another "
                f"user (uid {access_request.uid}); to serve all users of this machine: "
                f"jobctl serve --local-users; to serve whoever has a token: {self._command()}",
            )
        return None

    def _own_grant(self, uid: int | None) -> Grant:
        """Return the grant of the hub's own user, recognised by the user id of its process.

        A hub with ``--insecure`` may stand behind a proxy of this user that does not show itself.
        So there these processes change nothing without the hub's own token.
        """
        acts = ACTS if self.control and self.trusts_this_machine else Rights(0)
        return Grant(SIGHT | acts, _user_name(uid), Way.PEER)

    def _grant_for(self, given: bytes) -> Grant | None:
        """Return what the token gives; ``None`` for a wrong one, and for one that has expired."""
        if self._tokens is not None:
            line = self._tokens.find(given)
            return self._grant_of(line, Way.TOKEN) if line is not None else None
        if not hmac.compare_digest(given, self._token):
            return None
        if self.needs_token:
            return Grant(SIGHT, "token", Way.TOKEN)
        acts = ACTS if self.control else Rights(0)  # only its own user can read this token
        return Grant(SIGHT | acts, _user_name(None), Way.TOKEN)

    def _grant_of(self, line: TokenLine, way: Way) -> Grant | None:
        if line.expires_ms is not None and line.expires_ms <= now_ms():
            return None
        rights = line.rights if self.control else line.rights & SIGHT
        return Grant(rights, line.name, way, line.scope, line.digest)

    def _grant_by_cookie(self, access_request: AccessRequest) -> Grant | None:
        values = [_bytes(value) for value in self._cookies(access_request)]
        if not values:
            return None
        if self._tokens is not None:
            for line in self._tokens.all():
                expected = self._cookie_of(line.digest).encode()
                if any(hmac.compare_digest(value, expected) for value in values):
                    return self._grant_of(line, Way.COOKIE)
        expected = self._cookie_value().encode()
        if not any(hmac.compare_digest(value, expected) for value in values):
            return None
        if self._tokens is not None:  # a ticket gave it, which only the hub's own user can have
            acts = ACTS if self.control else Rights(0)
            return Grant(SIGHT | acts, _user_name(None), Way.COOKIE)
        grant = self._grant_for(self._token)
        return grant._replace(way=Way.COOKIE) if grant is not None else None

    def refresh_tokens(self) -> str:
        """Read the token file again if it has changed; return what is wrong with it, or nothing."""
        if self._tokens is None:
            return ""
        self._tokens.refresh()
        return self._tokens.problem

    def is_current(self, grant: Grant) -> bool:
        """Whether the grant still holds: its line in the token file is unchanged and not expired.

        Call `refresh_tokens` from time to time.
        """
        if not grant.token or self._tokens is None:
            return True
        line = self._tokens.get(grant.token)
        return line is not None and self._grant_of(line, grant.way) == grant

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

    async def check_token(self, given: bytes, peer: str) -> Grant:
        """Return what this token gives; raise `AccessRefused` if it is wrong or has expired.

        Each wrong token from one peer delays the answer longer. While many answers are delayed,
        peers with many wrong tokens are refused at once, so that parallel requests do not get
        around the delay.
        """
        flooded = self._waiting >= _MAX_WAITING
        if flooded and self._wrong_by_peer.get(peer, 0) >= _MAX_WRONG:
            self._count_wrong_token(peer)
            raise _too_many_requests()
        self.refresh_tokens()
        if (grant := self._grant_for(given)) is not None:
            self._wrong_by_peer.pop(peer, None)
            return grant
        if self._tokens is not None and self._tokens.find(given) is not None:
            raise unauthorized("the token has expired")
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

    def cookie(self, access_request: AccessRequest, grant: Grant | None = None) -> tuple[str, str]:
        """Return name and value of the cookie for a browser that has sent the token.

        ``grant`` is what the token gave. The cookie of a token in a file is valid until this hub
        ends, because its value must not follow from what the file holds.

        Browsers send a cookie to all ports of a host, and a new cookie replaces one with the same
        name. So the name contains the port: signing in to one hub does not sign out of another.
        """
        of_line = grant is not None and grant.token
        value = self._cookie_of(grant.token) if grant and of_line else self._cookie_value()
        return f"{_COOKIE}-{access_request.port}", value

    def _cookie_of(self, digest: str) -> str:
        return hmac.new(self._cookie_key, digest.encode(), hashlib.sha256).hexdigest()

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


def _user_name(uid: int | None) -> str:
    """Return the name of a user, by default of this process's; its number if it has none."""
    uid = os.geteuid() if uid is None else uid
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"  # a container may have no entry for it


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
