"""What people see of a log: its lines as text, with marks where something is left out."""

from __future__ import annotations

import codecs
import re

from jobctl.core.log import ATTEMPT, LOST, STDOUT, LogLine, LogPart, decode_lines, parse_attempt
from jobctl.core.times import to_text

__all__ = ["LogText", "last_lines", "size_text"]

_COLOURS = re.compile(r"(\x1b\[[0-9;:]*m)")
_HOSTILE = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_RESET = "\x1b[0m"
_RESETS = ("\x1b[m", _RESET)


class LogText:
    """Turns the parts of one log, in order, into text.

    ``since_ms`` leaves out what comes before the first line of that time or later: the clock may
    have been set back, so later lines are not compared. ``stderr`` leaves out what is known to be
    standard output. Without ``harmless`` the bytes stay as the command wrote them. With it they are
    UTF-8 in which escape sequences and other control characters are written out, except colours
    and tabs. ``at`` is where the first part is expected to begin.
    """

    def __init__(
        self,
        *,
        timestamps: bool = False,
        stderr: bool = False,
        since_ms: int | None = None,
        harmless: bool = False,
        at: int = 0,
    ) -> None:
        self._timestamps = timestamps
        self._stderr = stderr
        self._since_ms = since_ms
        self._decoder = (
            codecs.getincrementaldecoder("utf-8")("backslashreplace") if harmless else None
        )
        self._at = at
        self._open = ""  # the stream whose line has no end yet
        self._coloured = False
        self._cut = 0  # bytes left out before the next line

    def feed(self, part: LogPart) -> bytes:
        """Return the text of the part."""
        if part.start > self._at:
            self._cut += part.start - self._at
        self._at = part.end
        return b"".join(map(self._shown, decode_lines(part.data)))

    def end(self) -> bytes:
        """Return what ends the text: colours are switched off."""
        return self._reset()

    def _shown(self, line: LogLine) -> bytes:
        if self._since_ms is not None:
            if line.at_ms < self._since_ms:
                self._cut = 0
                return b""
            self._since_ms = None
        cut, self._cut = self._cut, 0
        before = self._mark(f"… {size_text(cut)} left out …") if cut else b""
        if line.stream == ATTEMPT:
            begun = parse_attempt(line)
            if begun is None or begun[0] < 2:
                return before
            return before + self._mark(f"--- attempt {begun[0]} ---")
        if line.stream == LOST:
            size, _, why = line.text.decode("utf-8", "replace").partition(" ")
            lost = size_text(int(size)) if size.isdecimal() and len(size) < 16 else "output"
            return before + self._mark(f"… {lost} lost: {_harmless(why)} …")
        if self._stderr and line.stream == STDOUT:
            return before
        return before + self._output(line)

    def _output(self, line: LogLine) -> bytes:
        begin = b""
        if self._open != line.stream:
            begin = self._end_line()
            if self._timestamps:
                begin += f"{to_text(line.at_ms)} ".encode()
        self._open = "" if line.whole else line.stream
        if self._decoder is None:
            return begin + line.text + (b"\n" if line.whole else b"")
        text = self._clean(self._decoder.decode(line.text, line.whole))
        return begin + text.encode() + (b"\n" if line.whole else b"")

    def _clean(self, text: str) -> str:
        if text.isascii() and text.isprintable():
            return text
        pieces = _COLOURS.split(text)
        if len(pieces) > 1:
            self._coloured = pieces[-2] not in _RESETS
        pieces[::2] = map(_harmless, pieces[::2])
        return "".join(pieces)

    def _mark(self, text: str) -> bytes:
        """Return a line of ours."""
        return self._end_line() + self._reset() + f"{text}\n".encode()

    def _end_line(self) -> bytes:
        """End a line that has no end yet."""
        was, self._open = self._open, ""
        if not was:
            return b""
        rest = self._decoder.decode(b"", final=True) if self._decoder is not None else ""
        return f"{rest}\n".encode()

    def _reset(self) -> bytes:
        was, self._coloured = self._coloured, False
        return _RESET.encode() if was else b""


def _harmless(text: str) -> str:
    return _HOSTILE.sub(lambda found: _written_out(found[0]), text)


def _written_out(char: str) -> str:
    code = ord(char)
    return {"\r": "\\r", "\x1b": "\\e"}.get(
        char, f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    )


def last_lines(text: bytes, count: int) -> bytes:
    """Return the last ``count`` lines; the last one need not have an end."""
    if count <= 0:
        return b""
    at = len(text) - 1 if text.endswith(b"\n") else len(text)
    for _ in range(count):
        at = text.rfind(b"\n", 0, at)
        if at < 0:
            return text
    return text[at + 1 :]


def size_text(size: float) -> str:
    """Return a number of bytes for people: ``3.2 MB``, in powers of 1000."""
    if size < 1000:
        return f"{size:.0f} bytes"
    units = ["kB", "MB", "GB"]
    size /= 1000
    while size >= 999.5 and len(units) > 1:
        size /= 1000
        del units[0]
    return f"{size:.1f} {units[0]}" if size < 99.5 else f"{size:.0f} {units[0]}"
