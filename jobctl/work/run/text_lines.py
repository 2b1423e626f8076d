"""The text that a command's output leaves, line by line: as a log and an error show it.

Of a line that is rewritten after a carriage return only the last state remains. Drawing on a
terminal's alternate screen is left out, and so is every escape sequence but colours.
"""

from __future__ import annotations

import re

__all__ = ["MAX_LINE", "EscapeFilter", "LineSplitter", "visible_output"]

MAX_LINE = 16 * 1024
"""Bytes of a line that are kept together; the rest of a longer one follows as another part."""
_MAX_SEQUENCE = 4096
_PATTERN = (
    rb"\x1b(?:"
    rb"\[(?P<csi>[0-?]*[ -/]*[@-~])"  # control sequences: colours, cursor movement, modes
    rb"|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)"  # strings: titles, links, images
    rb"|[ -/]+[0-~]"  # character sets
    rb"|(?P<one>[0-OQ-WYZ\\`-~])"  # ECMA-48 C1 and single functions
    rb")"
)
_SEQUENCE = re.compile(_PATTERN)
_BEGUN = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*|[\]PX^_][^\x07\x1b]*\x1b?|[ -/]*)?\Z")
_ALTERNATE = re.compile(rb"\?(?:[0-9;]*;)?(?:47|1047|1049)(?:;[0-9;]*)?[hl]\Z")
_TO_FIRST_COLUMN = re.compile(rb"[01]?G\Z")


class EscapeFilter:
    """Leaves out escape sequences but colours, and the alternate screen, of data in pieces."""

    def __init__(self, *, colours: bool = True) -> None:
        self._colours = colours
        self._held = b""
        self._hidden = False

    def feed(self, data: bytes) -> bytes:
        """Return what remains of the data."""
        if not self._held and not self._hidden and b"\x1b" not in data:
            return data
        data = self._held + data
        data, self._held = _without_begun(data)
        parts: list[bytes] = []
        done = 0
        for found in _SEQUENCE.finditer(data):
            if not self._hidden:
                parts.append(data[done : found.start()])
            done = found.end()
            self._take(found, parts)
        if not self._hidden:
            parts.append(data[done:])
        return b"".join(parts)

    def _take(self, found: re.Match[bytes], parts: list[bytes]) -> None:
        csi = found["csi"]
        if csi is None:
            if found["one"] == b"c":  # a reset
                self._hidden = False
        elif _ALTERNATE.match(csi):
            self._hidden = csi.endswith(b"h")
        elif self._hidden:
            pass
        elif csi.endswith(b"m"):
            if self._colours and not csi.startswith((b">", b"?")):
                parts.append(found[0])
        elif _TO_FIRST_COLUMN.match(csi):
            parts.append(b"\r")  # some programs rewrite a line so

    def finish(self) -> None:
        """Forget a sequence whose end did not come."""
        self._held = b""


class LineSplitter:
    """Splits data that comes in pieces into lines, each as its last state."""

    def __init__(self) -> None:
        self._rest = b""
        self._skips = False

    def feed(self, data: bytes) -> list[tuple[bytes, bool]]:
        """Return the lines that ended, and whether each is whole or a part of a longer one."""
        if self._skips:
            _, end, data = data.partition(b"\n")
            self._skips = not end
        first, *others = (self._rest + data).split(b"\n")
        ended = [first, *others[:-1]] if others else []
        rest = others[-1] if others else first
        lines: list[tuple[bytes, bool]] = []
        for line in ended:
            text = _last_state(line) if b"\r" in line else line
            while len(text) > MAX_LINE:
                part = _cut(text)
                lines.append((part, False))
                text = text[len(part) :]
            lines.append((text, True))
        if b"\r" in rest:
            state = _last_state(rest)
            rest = state + b"\r" if rest.endswith(b"\r") else state
        while len(rest) > MAX_LINE:
            part = _cut(rest)
            lines.append((part, False))
            rest = rest[len(part) :]
        self._rest = rest
        return lines

    def finish(self) -> list[tuple[bytes, bool]]:
        """Return the last line if it has no end."""
        rest, self._rest = _last_state(self._rest), b""
        return [(rest, True)] if rest else []

    def interrupt(self) -> list[tuple[bytes, bool]]:
        """Return the last line before data that is left out; the next line begins after it."""
        lines = self.finish()
        self._skips = True
        return lines


def visible_output(data: bytes) -> bytes:
    """Return whole data without any escape sequence and without the alternate screen."""
    escapes = EscapeFilter(colours=False)
    return escapes.feed(data)


def _without_begun(data: bytes) -> tuple[bytes, bytes]:
    """Return the data without a last sequence whose end follows, and that sequence."""
    last = data.rfind(b"\x1b")
    for at in (data.rfind(b"\x1b", 0, max(last, 0)), last):  # a string ends by another one
        if 0 <= at and len(data) - at <= _MAX_SEQUENCE and _BEGUN.match(data, at):
            return data[:at], data[at:]
    return data, b""


def _last_state(line: bytes) -> bytes:
    return line.rstrip(b"\r").rpartition(b"\r")[2]


def _cut(text: bytes) -> bytes:
    """Return the first part of a long line, which ends between two characters of UTF-8."""
    end = MAX_LINE
    while end > MAX_LINE - 4 and text[end] & 0xC0 == 0x80:
        end -= 1
    return text[:end]
