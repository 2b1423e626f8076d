"""Tokens and TLS certificates: read from files and the environment, never from the command line."""

from __future__ import annotations

import os
import ssl
import stat as stats
from collections.abc import Mapping
from pathlib import Path

from jobctl.errors import UsageError

__all__ = ["client_tls", "read_token", "server_tls"]

_MAX_TOKEN = 4096


def read_token(path: str | Path | None, environ: Mapping[str, str]) -> bytes | None:
    """Return the token from the file, ``$JOBCTL_TOKEN_FILE`` or ``$JOBCTL_TOKEN``.

    ``None`` if none is set. Raises `UsageError` for a file that cannot be read, that other users
    can read, or that has no token.
    """
    given = path or environ.get("JOBCTL_TOKEN_FILE")
    if not given:
        text = environ.get("JOBCTL_TOKEN", "")
        return _checked(text.encode("utf-8", "surrogateescape"), "$JOBCTL_TOKEN") if text else None
    where = str(given)
    try:
        fd = os.open(given, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(fd, "rb") as file:
            mode = os.fstat(fd).st_mode
            os.set_blocking(fd, True)  # wait for the data of a pipe, as in <(…)
            data = file.read(_MAX_TOKEN + 1)
    except OSError as error:
        raise UsageError(f"cannot read a token from {where}: {error.strerror}") from error
    if stats.S_ISREG(mode) and mode & 0o077:
        raise UsageError(
            f"{where} can be read by others (mode {stats.S_IMODE(mode):04o})",
            hint=f"'chmod 600 {where}'",
        )
    return _checked(data, where)


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


def client_tls(ca: str | Path | None, environ: Mapping[str, str]) -> ssl.SSLContext:
    """Return a TLS context that trusts the CA file, ``$JOBCTL_CA``, or the system's CAs."""
    path = ca or environ.get("JOBCTL_CA")
    try:
        return ssl.create_default_context(cafile=str(path) if path else None)
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror or str(error)
        raise UsageError(f"no certificates in {path}: {reason}") from error


def _no_password() -> str:
    return ""
