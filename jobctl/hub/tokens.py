"""The token file with several tokens: one line each, with a name, rights and a filter.

A line is ``NAME RIGHTS [FILTER] [EXPIRES] SHA256``, separated by spaces::

    ops   view,details,operate  type=etl&label=team=data  2027-02-26T00:00:00.000Z  9f86d08…
    robot view,report                                                               2c26b46…

``FILTER`` is written as in the query of a socket. ``EXPIRES`` is a time. The last word is the
SHA-256 of the token in hex, so the file does not hold the token itself. Empty lines and lines that
begin with ``#`` are ignored. A file with one word is not of this form: the word is the token.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from jobctl._clock import now_ms
from jobctl.core.filters import EVERYTHING, Filter
from jobctl.core.protocol import parse_query
from jobctl.core.times import parse_moment
from jobctl.errors import StoreError, UsageError
from jobctl.hub.credentials import Credentials, read_secret
from jobctl.hub.rights import Rights, parse_rights

__all__ = [
    "TokenFile",
    "TokenLine",
    "changing",
    "digest_of_token",
    "is_token_name",
    "line_of",
    "parse_lines",
    "server_tokens",
]

_MAX_BYTES = 1024 * 1024
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@-]{0,63}\Z")
_DATE = re.compile(r"[0-9]{4}-")
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_FILTER_KEYS = {"type", "stage", "session", "label", "id", "active"}


class TokenLine(NamedTuple):
    """One token: who has it, what it gives, and until when (ms since 1970; ``None`` for ever)."""

    name: str
    rights: Rights
    scope: Filter
    expires_ms: int | None
    digest: str


def digest_of_token(token: bytes) -> str:
    """Return what stands for the token in the file: its SHA-256 in hex."""
    return hashlib.sha256(token).hexdigest()


def is_token_name(name: str) -> bool:
    """Whether a token may have this name."""
    return _NAME.match(name) is not None


def line_of(name: str, rights: str, query: str, expires: str, digest: str) -> str:
    """Return a line of the file; ``query`` and ``expires`` may be empty."""
    return " ".join(filter(None, (name, rights, query, expires, digest))) + "\n"


def parse_lines(text: str, where: str) -> dict[str, TokenLine]:
    """Return the tokens in the file by their digests; raise `UsageError` for a bad line."""
    found: dict[str, TokenLine] = {}
    names: set[str] = set()
    for number, line in enumerate(text.split("\n"), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        try:
            token = _token_in(words)
            if token.name in names or token.digest in found:
                raise UsageError("this token or name stands twice")
        except UsageError as error:
            raise UsageError(
                f"{where}, line {number}: {error.message}",
                hint="a line is NAME RIGHTS [FILTER] [EXPIRES] SHA256; see 'jobctl token new'",
            ) from error
        names.add(token.name)
        found[token.digest] = token
    return found


def _token_in(words: list[str]) -> TokenLine:
    if len(words) < 3 or len(words) > 5:
        raise UsageError(f"{len(words)} words, and 3 to 5 are expected")
    name, rights_text, *between, digest = words
    if not is_token_name(name):
        raise UsageError(f"{ascii(name[:70])} is not a name")
    rights = parse_rights(rights_text)
    if rights is None:
        raise UsageError(
            f"{ascii(rights_text[:70])} are not rights (view, details, report, operate, admin)"
        )
    if not _SHA256.match(digest):
        raise UsageError("the last word is not the SHA-256 of a token in hex")
    scope, expires_ms = EVERYTHING, None
    if between and "=" in between[0]:
        scope = _scope_in(between.pop(0))
    if between:
        expires_ms = _expiry_in(between.pop(0))
    if between:
        raise UsageError(f"{ascii(between[0][:70])} has no place there")
    return TokenLine(name, rights, scope, expires_ms, digest)


def _scope_in(query: str) -> Filter:
    keys = {part.partition("=")[0] for part in query.split("&")}
    if any(not part.partition("=")[2] for part in query.split("&")):
        raise UsageError("a part of the filter has no value")
    if unknown := sorted(keys - _FILTER_KEYS):
        raise UsageError(f"a filter has no key {ascii(unknown[0][:40])}")
    try:
        scope = parse_query(query).filter
    except ValueError as error:
        raise UsageError(f"the filter cannot be read: {error}") from error
    if scope == EVERYTHING:
        raise UsageError("the filter selects everything")
    return scope


def _expiry_in(text: str) -> int:
    try:
        if not _DATE.match(text):
            raise ValueError
        return parse_moment(text, now_ms())
    except ValueError as error:
        raise UsageError(f"{ascii(text[:70])} is not a date or a time") from error


class TokenFile:
    """The tokens in a file, read again when it changes.

    A file that cannot be read, or has a bad line, has no tokens: then nobody has rights that may
    have been taken away. `problem` says why.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.fspath(path)
        self._signature = self._signature_now()  # before it is read, so that no change is missed
        self.text = _text_in(self._path)
        single = len(self.text.split()) == 1
        self._tokens = {} if single else parse_lines(self.text, self._path)
        self.problem = ""

    def refresh(self) -> bool:
        """Read the file again if it has changed; return whether it had."""
        signature = self._signature_now()
        if signature == self._signature:
            return False
        self._signature = signature
        try:
            self.text = _text_in(self._path)
            self._tokens = parse_lines(self.text, self._path)
            self.problem = ""
        except UsageError as error:
            self._tokens = {}
            self.problem = str(error)
        return True

    def find(self, token: bytes) -> TokenLine | None:
        """Return the line of a token, also of one that has expired."""
        return self._tokens.get(digest_of_token(token))

    def get(self, digest: str) -> TokenLine | None:
        """Return the line with this digest, also of a token that has expired."""
        return self._tokens.get(digest)

    def all(self) -> list[TokenLine]:
        """Return all lines, in the order of the file."""
        return list(self._tokens.values())

    def _signature_now(self) -> tuple[int, ...] | None:
        try:
            stat = os.stat(self._path)
        except OSError:
            return None
        return stat.st_dev, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size


def server_tokens(path: Path | None, environ: Mapping[str, str]) -> bytes | TokenFile | None:
    """Return the tokens that a hub accepts: one, those of a file, or ``None`` for none.

    From the file, ``$JOBCTL_TOKEN_FILE`` or ``$JOBCTL_TOKEN``. Raises `UsageError` for a file that
    cannot be read, that other users can read, or that has a bad line.
    """
    given = Credentials(token_file=path) if path else Credentials.from_environment(environ)
    file = given.token_file
    if file is None:
        return given.read_token()
    token_file = TokenFile(file)
    words = token_file.text.split()
    if len(words) == 1:
        return Credentials(words[0].encode("utf-8", "surrogateescape")).read_token()
    if not token_file.all():
        raise UsageError(
            f"{os.fspath(file)} holds no token",
            hint="'jobctl token new' adds one, 'openssl rand -hex 32' makes a single one",
        )
    return token_file


class Changing:
    """The text of a token file while it is being changed."""

    def __init__(self, text: str) -> None:
        self.text = text


@contextmanager
def changing(path: str, *, create: bool = True) -> Iterator[Changing]:
    """Give the text of the file to the block, and replace the file by what the block makes of it.

    Only one process at a time changes a file. It is replaced atomically, with mode 0600. Raises
    `UsageError` for a file that holds a single token, or cannot be read, and `StoreError` for one
    that cannot be written. If the block raises, nothing is changed.
    """
    try:
        with _locked(path, create=create):
            file = Changing(_text_in(path))
            if len(file.text.split()) == 1:
                raise UsageError(
                    f"{path} holds a single token", hint="keep tokens with names in another file"
                )
            before = file.text
            yield file
            if file.text != before:
                _replace(path, file.text)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}", path=path) from error


@contextmanager
def _locked(path: str, *, create: bool) -> Iterator[None]:
    """Hold the lock on the very file that has this name."""
    flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0)
    while True:
        try:
            fd = os.open(path, flags, 0o600)
        except FileNotFoundError as error:
            raise UsageError(f"there is no token file {path}") from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            if os.path.samestat(os.fstat(fd), os.stat(path)):
                yield
                return
        finally:
            os.close(fd)


def _replace(path: str, text: str) -> None:
    there = os.path.realpath(path)
    fd, temporary = tempfile.mkstemp(prefix=".tokens-", dir=os.path.dirname(there))  # mode 0600
    try:
        with open(fd, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
            file.flush()
            os.fsync(fd)
        os.replace(temporary, there)
    except BaseException:
        os.unlink(temporary)
        raise


def _text_in(path: str) -> str:
    data = read_secret(path, _MAX_BYTES)
    if len(data) > _MAX_BYTES:
        raise UsageError(f"{path} is too large for a token file")
    return data.decode("utf-8", "surrogateescape")
