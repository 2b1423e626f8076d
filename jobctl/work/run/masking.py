"""Secrets of a command, and their replacement by ``***`` in what is kept of its output.

Secrets are the values of variables whose names suggest one, what the command names itself, and the
user and password in a URL. The values are searched as they are: not in base64 or another form.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterable, Mapping

from jobctl.core.redaction import MASK

__all__ = ["MaskedStream", "Masks", "secrets_in"]

_MASK = MASK.encode()
_NAME = re.compile(r"TOKEN|SECRET|PASSWORD|KEY", re.IGNORECASE)
_MIN_LENGTH = 8
_MAX_LENGTH = 64 * 1024
_MAX_SECRETS = 1000
_URL = re.compile(rb'://[^\s/?#:@"<>]*:[^\s/"<>]+@')
_URL_BREAK = re.compile(rb'[\s/"<>]')
_MAX_URL = 1024


def secrets_in(env: Mapping[str, str]) -> list[str]:
    """Return the values of the variables whose names suggest a secret, of 8 characters or more."""
    found = (value.strip() for name, value in env.items() if _NAME.search(name))
    return [value for value in found if len(value) >= _MIN_LENGTH]


class Masks:
    """A set of secrets that may grow. Safe for threads."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._guard = threading.Lock()
        self._words: tuple[bytes, ...] = ()  # the longest first
        self._regex: re.Pattern[bytes] | None = None
        for secret in secrets:
            self._add(_forms(secret))

    def add(self, secret: str) -> None:
        """Mask this text too, from now on; a JSON string stands for its value as well."""
        words = _forms(secret)
        if secret.startswith('"'):
            try:
                value = json.loads(secret)
            except ValueError:
                value = None
            if isinstance(value, str):
                words |= _forms(value)
        self._add(words)

    def _add(self, words: set[bytes]) -> None:
        with self._guard:
            if words <= set(self._words) or len(self._words) > _MAX_SECRETS:
                return
            all_words = sorted({*self._words, *words}, key=lambda word: (-len(word), word))
            self._words = tuple(all_words)
            self._regex = None

    @property
    def longest(self) -> int:
        """The length of the longest secret in bytes."""
        words = self._words
        return len(words[0]) if words else 0

    def text(self, text: str) -> str:
        """Return the text with each secret replaced."""
        data = text.encode("utf-8", "surrogatepass")
        return self.data(data).decode("utf-8", "surrogatepass")

    def data(self, data: bytes) -> bytes:
        """Return the data with each secret replaced."""
        masked, rest = self.split(data, whole=True)
        assert not rest
        return masked

    def after_gap(self, data: bytes) -> bytes | None:
        """Return the data, which follows a gap, without a first part that may be of a secret.

        ``None`` if there is not enough of it yet.
        """
        begin = max(self.longest - 1, 0)
        if begin > len(data):
            return None
        regex = self._pattern() if self._may_match(data) else None
        for found in regex.finditer(data) if regex is not None else ():
            if found.start() >= begin:
                break
            begin = max(begin, found.end())
        return data[begin:]

    def split(self, data: bytes, *, whole: bool = False) -> tuple[bytes, bytes]:
        """Return the data with each secret replaced, and an end that may begin one.

        The end, which is not masked, goes before the data that follows. There is none if the data
        is ``whole``.
        """
        held = len(data) if whole else self._begin_of_partial(data)
        if not self._may_match(data):
            return data[:held], data[held:]
        parts: list[bytes] = []
        done = 0
        for found in self._pattern().finditer(data):
            if found.start() >= held:
                break
            parts += (data[done : found.start()], _replacement(found[0]))
            done = found.end()
        if done < held:
            parts.append(data[done:held])
            done = held
        return b"".join(parts), data[done:]

    def _may_match(self, data: bytes) -> bool:
        # A search for each word is several times as fast as one for their alternation.
        return b"://" in data or any(word in data for word in self._words)

    def _pattern(self) -> re.Pattern[bytes]:
        with self._guard:
            if self._regex is None:
                words = [re.escape(word) for word in self._words]
                self._regex = re.compile(b"|".join([*words, _URL.pattern]))
            return self._regex

    def _begin_of_partial(self, data: bytes) -> int:
        """Return where the longest end begins that is the beginning of a secret."""
        begin = len(data)
        for word in self._words:
            at = data.find(word[:1], max(0, len(data) - len(word) + 1), begin)
            while at >= 0:
                if word.startswith(data[at:]):
                    begin = at
                    break
                at = data.find(word[:1], at + 1, begin)
        at = data.rfind(b":", max(0, len(data) - 2))
        if at >= 0 and b"://".startswith(data[at:]):
            begin = min(begin, at)
        at = data.rfind(b"://", max(0, len(data) - _MAX_URL))
        if at >= 0 and _URL_BREAK.search(data, at + 3) is None:
            begin = min(begin, at)
        return begin


class MaskedStream:
    """Masks data that comes in pieces; a secret may lie across them."""

    def __init__(self, masks: Masks) -> None:
        self._masks = masks
        self._held = b""
        self._after_gap = False

    def feed(self, data: bytes) -> bytes:
        """Return what can be kept by now."""
        data = self._held + data if self._held else data
        if self._after_gap:
            clean = self._masks.after_gap(data)
            if clean is None:
                self._held = data
                return b""
            self._after_gap, data = False, clean
        masked, self._held = self._masks.split(data)
        return masked

    def finish(self) -> bytes:
        """Return the rest."""
        rest, self._held = self._held, b""
        return b"" if self._after_gap else self._masks.data(rest)

    def interrupt(self) -> None:
        """Forget the rest before a gap, and the begin of what follows: both may be of a secret."""
        self._held, self._after_gap = b"", True


def _replacement(found: bytes) -> bytes:
    return b"://" + _MASK + b"@" if _URL.fullmatch(found) else _MASK


def _forms(secret: str) -> set[bytes]:
    """Return the secret as output may show it: whole, with both line ends, and line by line."""
    text = secret.strip()
    try:
        data = text.encode("utf-8", "surrogateescape")  # as the environment holds it
    except UnicodeEncodeError:
        data = text.encode("utf-8", "surrogatepass")  # JSON can name a lone surrogate
    if not data or len(data) > _MAX_LENGTH:
        return set()
    words = {data}
    if b"\n" in data:
        lines = data.replace(b"\r\n", b"\n").split(b"\n")
        words |= {b"\n".join(lines), b"\r\n".join(lines)}
        words |= {line.strip() for line in lines if len(line.strip()) >= _MIN_LENGTH}
    return words
