"""Who may come in: the Host, the Origin, proxies, and the token. One rule for sockets and HTTP.

Without a token the hub is for this machine alone: the names of its loopback, pages of such names,
and nothing that a proxy has passed on, since a proxy's requests come from 127.0.0.1 whoever asked
for them. With a token everybody needs it, on loopback as well. It comes as an ``Authorization:
Bearer`` header, as the first message of a socket, or as the cookie that the login page sets, whose
value is derived from the token and is not the token; never in a URL, which is logged everywhere.
Each client gets `Rights`: the bearer of the token, and a hub's users where it is for this machine
alone, may see all of a job that goes over the wire; with ``insecure`` and no token nobody sees what
the jobs run.
"""

from __future__ import annotations

import asyncio
import enum
import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import NamedTuple
from urllib.parse import parse_qsl

from jobctl.errors import UsageError
from jobctl.net.origin import Doorkeeper, is_here

__all__ = ["MIN_TOKEN", "Door", "Knock", "Refused", "Rights", "no_token"]

MIN_TOKEN = 16
"""Bytes of a token, at the least."""

_COOKIE = "jobctl"
_DELAY_S = 0.25
_MAX_DELAY_S = 4.0
_MAX_PEERS = 1024
_MAX_WAITING = 64
_MAX_WRONG = 8  # of one peer, before it is no longer listened to while so many wait
_IN_URL = {"token", "access_token"}


class Rights(enum.Flag):
    """What a client may do: a set, in which no right includes another."""

    VIEW = enum.auto()
    """Read jobs, without what they run."""
    DETAILS = enum.auto()
    """Also read command lines, working directories and standard error."""


_BEARER = Rights.VIEW | Rights.DETAILS


class Refused(Exception):
    """A request that may not pass: the HTTP ``status``, and a ``kind`` to count it under."""

    def __init__(
        self, status: int, kind: str, text: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(text)
        self.status, self.kind, self.headers = status, kind, dict(headers or {})


class Knock(NamedTuple):
    """As much of a request as decides: its headers (lower-case names), who sent it, and how.

    ``query`` is that of its URL, as it came.
    """

    headers: tuple[tuple[str, str], ...]
    peer: str
    secure: bool
    query: str = ""

    @classmethod
    def of(
        cls, raw: Iterable[tuple[bytes, bytes]], peer: str, *, secure: bool, query: str = ""
    ) -> Knock:
        """From the headers as they came."""
        return cls(
            tuple(
                (name.decode("latin-1").lower(), value.decode("utf-8", "surrogateescape"))
                for name, value in raw
            ),
            peer,
            secure,
            query,
        )

    @property
    def is_private(self) -> bool:
        """Whether whoever asked did so through TLS, be it that of a proxy.

        Good for what only the asker gains or loses by.
        """
        proxied = self.all("x-forwarded-proto")[-1:] == ["https"]
        return self.secure or proxied or any(o.startswith("https://") for o in self.all("origin"))

    def all(self, name: str) -> list[str]:
        """The values of the header, in order."""
        return [value for key, value in self.headers if key == name]


class Door:
    """Decides. ``bound`` is the host that the hub listens on; see the module for the rules.

    `UsageError` for what would let strangers in: another host than loopback, or foreign hosts or
    origins allowed, with neither a token nor ``insecure``.
    """

    def __init__(
        self,
        bound: str,
        *,
        allow_hosts: Iterable[str] = (),
        allow_origins: Iterable[str] = (),
        token: bytes | None = None,
        insecure: bool = False,
    ) -> None:
        allow_hosts, allow_origins = tuple(allow_hosts), tuple(allow_origins)
        self._keeper = Doorkeeper(bound, allow_hosts=allow_hosts, allow_origins=allow_origins)
        self._token, self._insecure = token, insecure
        self._without_token = Rights.VIEW if insecure else _BEARER
        self._wrong: OrderedDict[str, int] = OrderedDict()
        self._waiting = 0
        self.wrong_tokens = 0
        if token is not None and len(token) < MIN_TOKEN:
            raise UsageError(
                f"the token has {len(token)} bytes: that can be guessed",
                hint="'openssl rand -hex 32' makes one",
            )
        if token is not None or insecure:
            return
        foreign = next(
            (f"--allow-host {host}" for host in allow_hosts if not is_here(host)),
            next((f"--allow-origin {origin}" for origin in allow_origins), ""),
        )
        if not is_here(bound):
            foreign = f"--host {bound}"
        if foreign:
            raise UsageError(
                f"{foreign} lets others in, and the hub has no token",
                hint="give it one by --token-file or $JOBCTL_TOKEN, or say --insecure",
            )

    @property
    def needs_token(self) -> bool:
        """Whether everybody has to show one."""
        return self._token is not None

    def check_source(self, knock: Knock) -> None:
        """`Refused` for a host, an origin or a proxy that may not pass, and a token in the URL.

        It is asked first, for every request, whatever its path.
        """
        hosts = knock.all("host")
        refusal = self._keeper.refusal(hosts[0] if len(hosts) == 1 else None, knock.all("origin"))
        if refusal is not None:
            raise Refused(403, refusal.kind, refusal.text)
        if self._token is None and not self._insecure and _is_passed_on(knock):
            raise Refused(
                403,
                "proxy",
                "the request came through a proxy, whoever asked for it: "
                "start the hub with --token-file, or with --insecure",
            )
        if any(name in _IN_URL for name, _ in parse_qsl(knock.query, keep_blank_values=True)):
            raise Refused(400, "url", "a token is never taken from a URL; send it as a header")

    async def admit(self, knock: Knock) -> Rights | None:
        """What the bearer of its header or cookie may do, ``None`` for one that has neither.

        `Refused` for a wrong header.
        """
        if self._token is None:
            return self._without_token
        for header in knock.all("authorization"):
            scheme, _, given = header.partition(" ")
            if scheme.lower() == "bearer":
                return await self.check(_bytes(given.strip()), knock.peer)
        expected = self._cookie_value().encode()
        if any(
            hmac.compare_digest(_bytes(value), expected) for value in _cookies(knock.all("cookie"))
        ):
            return _BEARER
        return None

    async def check(self, given: bytes, peer: str) -> Rights:
        """What the bearer of this token may do; `Refused` unless it is one.

        Each wrong one makes its sender wait longer. While many wait, a sender of many wrong ones is
        not listened to at all, or the delay could be got round by asking many times at once.
        """
        if self._token is None:
            return self._without_token
        flooded = self._waiting >= _MAX_WAITING
        if flooded and self._wrong.get(peer, 0) >= _MAX_WRONG:
            self._note_wrong(peer)
            raise _too_many()
        if hmac.compare_digest(given, self._token):
            self._wrong.pop(peer, None)
            return _BEARER
        count = self._note_wrong(peer)
        if flooded:
            raise _too_many()
        self._waiting += 1
        try:
            await asyncio.sleep(min(_MAX_DELAY_S, _DELAY_S * 2 ** min(count - 1, 8)))
        finally:
            self._waiting -= 1
        raise no_token("that is not the token")

    def _note_wrong(self, peer: str) -> int:
        """How many it has sent; the peers that sent one last are remembered, and no others."""
        self.wrong_tokens += 1
        count = self._wrong.pop(peer, 0) + 1
        self._wrong[peer] = count
        if len(self._wrong) > _MAX_PEERS:
            self._wrong.popitem(last=False)
        return count

    def cookie(self) -> tuple[str, str]:
        """The name and the value of the cookie for who has shown the token."""
        return _COOKIE, self._cookie_value()

    def _cookie_value(self) -> str:
        return hmac.new(self._token or b"", b"jobctl login cookie", hashlib.sha256).hexdigest()


def no_token(text: str) -> Refused:
    """The refusal of somebody who has to show a token first."""
    return Refused(401, "token", text, {"WWW-Authenticate": 'Bearer realm="jobctl"'})


def _too_many() -> Refused:
    return Refused(429, "token", "too many wrong tokens; come back later", {"Retry-After": "5"})


def _is_passed_on(knock: Knock) -> bool:
    return any(
        name.startswith("x-forwarded-") or name in ("forwarded", "via", "x-real-ip")
        for name, _ in knock.headers
    )


def _cookies(headers: list[str]) -> list[str]:
    """The values of our cookie, by RFC 6265's splitting at semicolons."""
    pairs = [pair.strip().partition("=") for header in headers for pair in header.split(";")]
    return [value for name, _, value in pairs if name == _COOKIE]


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
