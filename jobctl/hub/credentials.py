"""Tokens and TLS certificates: read from files and the environment, never from the command line."""

from __future__ import annotations

import os
import ssl
import stat as stats
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jobctl.errors import UsageError

__all__ = ["Credentials", "read_secret", "read_token", "server_tls"]

_MAX_TOKEN = 4096


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client needs to reach a hub: a token to show, and the authorities that it trusts.

    ``token`` is the token itself. ``token_file`` names the file that holds it, which is read for
    each connection, and is used where there is no ``token``. ``ca`` names a PEM file with the
    certificate authorities for ``wss``; ``None`` means the system's. Without any of them no token
    is shown. The token is not part of ``repr()``.
    """

    token: bytes | None = field(default=None, repr=False)
    token_file: str | os.PathLike[str] | None = None
    ca: str | os.PathLike[str] | None = None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Credentials:
        """Return those of ``$JOBCTL_TOKEN_FILE``, else ``$JOBCTL_TOKEN``; and ``$JOBCTL_CA``."""
        ca, file = environ.get("JOBCTL_CA") or None, environ.get("JOBCTL_TOKEN_FILE") or None
        text = environ.get("JOBCTL_TOKEN", "") if file is None else ""
        return cls(text.encode("utf-8", "surrogateescape") or None, file, ca)

    @property
    def has_token(self) -> bool:
        """Whether there is a token, or the name of a file that should hold it."""
        return bool(self.token or self.token_file)

    def read_token(self) -> bytes | None:
        """Return the token, or ``None``.

        Raises `UsageError` for a file that cannot be read or that other users can read, and for a
        token that is not one word.
        """
        if self.token:
            return _checked(self.token, "$JOBCTL_TOKEN")
        if not self.token_file:
            return None
        return _checked(read_secret(self.token_file, _MAX_TOKEN), os.fspath(self.token_file))

    def tls(self) -> ssl.SSLContext:
        """Return a TLS context that trusts the authorities; `UsageError` for an invalid file."""
        try:
            return ssl.create_default_context(cafile=os.fspath(self.ca) if self.ca else None)
        except (OSError, ssl.SSLError) as error:
            reason = error.strerror or str(error)
            raise UsageError(f"no certificates in {self.ca}: {reason}") from error


def read_token(path: str | Path | None, environ: Mapping[str, str]) -> bytes | None:
    """Return the token from the file, ``$JOBCTL_TOKEN_FILE`` or ``$JOBCTL_TOKEN``.

    ``None`` if none is set. Raises `UsageError` as `Credentials.read_token` does.
    """
    given = Credentials(token_file=path) if path else Credentials.from_environment(environ)
    return given.read_token()


def read_secret(given: str | os.PathLike[str], max_bytes: int) -> bytes:
    """Return the bytes of a file that only its owner may read, at most ``max_bytes`` + 1 of them.

    It may be a pipe. Raises `UsageError` if it cannot be read, or can be read by others.
    """
    where = os.fspath(given)
    try:
        fd = os.open(given, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(fd, "rb") as file:
            mode = os.fstat(fd).st_mode
            os.set_blocking(fd, True)  # wait for the data of a pipe, as in <(…)
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise UsageError(f"cannot read a token from {where}: {error.strerror}") from error
    if stats.S_ISREG(mode) and mode & 0o077:
        raise UsageError(
            f"{where} can be read by others (mode {stats.S_IMODE(mode):04o})",
            hint=f"'chmod 600 {where}'",
        )
    return data


def _checked(data: bytes, where: str) -> bytes:
    token = data.strip()
    if not token or len(token) > _MAX_TOKEN or any(not 32 < byte < 127 for byte in token):
        raise UsageError(
            f"{where} holds no token: one word is wanted", hint="'openssl rand -hex 32' makes one"
        )
    return token


def server_tls(cert: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """Return the TLS context for a certificate and its key (TLS 1.2 or newer).

    ``None`` without both.
    """
    if cert is None and key is None:
        return None
    if cert is None:
        raise UsageError("--tls-key goes with --tls-cert")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(cert, key, password=_no_password)
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "reason", None) or error.strerror or str(error)
        files = f"{cert} and {key}" if key is not None else str(cert)
        raise UsageError(
            f"no certificate and key in {files}: {str(reason).lower().replace('_', ' ')}",
            hint="both in PEM form, the key without a password",
        ) from error
    return context


def _no_password() -> str:
    return ""
