"""The certificate of a hub, which follows its PEM files.

Certificates are renewed while a hub runs, mostly by another program (certbot, cert-manager). New
connections use the new certificate; open connections keep what they have. The contents of the files
are compared, because a copy may keep the old modification time, and the path may be a symbolic link
that changes.
"""

from __future__ import annotations

import hashlib
import ssl
import threading
from pathlib import Path

from jobctl.errors import UsageError
from jobctl.hub.credentials import server_tls
from jobctl.hub.periodic import PeriodicTask, TaskResult

__all__ = ["CERTIFICATE_CHECK_S", "ServerCertificate"]

CERTIFICATE_CHECK_S = 15.0
"""Seconds between two looks at the files: renewed ones are in use within a minute."""

_MAX_PEM = 1024 * 1024


class ServerCertificate:
    """A certificate chain and its key in PEM files, and the TLS context for new connections.

    ``key`` is ``None`` if it is in the file of the certificate. Raises `UsageError` if the files
    hold no certificate and key.
    """

    def __init__(self, cert: Path, key: Path | None = None) -> None:
        self._cert, self._key = cert, key
        self._loaded = self._digest()
        self._unusable: bytes | None = None  # contents that could not be used at the last look
        self._context = self._load()
        self._wake = threading.Event()
        self._requested = False

    @property
    def context(self) -> ssl.SSLContext:
        """The TLS context for the next connection."""
        return self._context

    def reload_soon(self) -> None:
        """Have the periodic task look at the files now. Called for SIGHUP; does not block."""
        self._requested = True
        self._wake.set()

    def task(self) -> PeriodicTask:
        """Return the periodic task that replaces the context when the files have changed."""
        return PeriodicTask("certificate reload", CERTIFICATE_CHECK_S, self._check, self._wake)

    def _check(self, _stopping: threading.Event) -> TaskResult:
        """Load changed files; keep the old certificate if they cannot be used.

        The two files are replaced one after the other, so an error counts from the second look on,
        unless the look was requested.
        """
        requested, self._requested = self._requested, False
        digest = self._digest()
        if digest == self._loaded:
            self._unusable = None
            return TaskResult()
        try:
            self._context = self._load()
        except UsageError as error:
            is_known, self._unusable = self._unusable is not None, digest
            return TaskResult(errors=[error] if requested or is_known else [])
        self._loaded, self._unusable = digest, None
        return TaskResult({"file": str(self._cert)})

    def _load(self) -> ssl.SSLContext:
        context = server_tls(self._cert, self._key)
        assert context is not None, "there is a certificate"
        return context

    def _digest(self) -> bytes:
        """Return a digest of what is in the files; one that cannot be read counts as empty."""
        digest = hashlib.sha256()
        for path in (self._cert, self._key):
            if path is not None:
                digest.update(hashlib.sha256(_contents(path)).digest())
        return digest.digest()


def _contents(path: Path) -> bytes:
    """Return what is in a regular file; a pipe can be read once only, and does not change."""
    try:
        if not path.is_file():
            return b""
        with open(path, "rb") as file:
            return file.read(_MAX_PEM)
    except OSError:
        return b""
