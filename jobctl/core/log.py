"""The lines of a job's log, as bytes on disk and on the wire.

The form is the one in which Kubernetes keeps the output of containers (the CRI log format, see
kubernetes/enhancements, "kubelet CRI logging"): one line each, ``TIME STREAM TAG TEXT``::

    2026-11-28T12:00:00.123Z stderr F Traceback (most recent call last):
    2026-11-28T12:00:00.124Z both P downloading

The tag is ``F`` for text up to its line end and ``P`` for a part of a longer line, whose rest
follows in the next line of the same stream. Beside ``stdout`` and ``stderr`` there is ``both``, for
output that came through one channel. A reader that knows only Kubernetes' streams passes over it,
and over the lines that are no output: ``attempt`` (its text is the attempt's number and the
``createdAt`` of the job) and ``lost`` (how many bytes could not be kept, and why).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from jobctl.core.times import known_ms, to_ms, to_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple
else:
    from jobctl._stdlib import NamedTuple

__all__ = [
    "ATTEMPT",
    "BOTH",
    "END",
    "LOST",
    "MAX_TEXT_BYTES",
    "OFFSET",
    "STDERR",
    "STDOUT",
    "LogLine",
    "LogPart",
    "attempt_line",
    "decode_lines",
    "encode_line",
    "encode_lines",
    "is_of_job",
    "lost_line",
    "parse_attempt",
]

STDOUT, STDERR, BOTH = "stdout", "stderr", "both"
ATTEMPT, LOST = "attempt", "lost"
OFFSET, END = "offset", "end"
"""Sent by a hub only: where the following line begins in the log; and that nothing follows."""
_STREAMS = {name.encode(): name for name in (STDOUT, STDERR, BOTH, ATTEMPT, LOST, OFFSET, END)}
MAX_TEXT_BYTES = 16 * 1024
"""A longer text is written in parts, as container runtimes do."""


class LogLine(NamedTuple):
    """One line of a log, or a part of one.

    ``at_ms`` is when it was written, in milliseconds since 1970. ``stream`` is ``stdout``,
    ``stderr`` or ``both``. ``text`` has no line end; ``whole`` says that one followed.
    """

    at_ms: int
    stream: str
    text: bytes
    whole: bool = True


class LogPart(NamedTuple):
    """Consecutive complete lines of a log, encoded, that begin at the byte ``start``.

    Bytes before ``start`` that were asked for are not kept. Empty ``data`` means that nothing
    follows yet.
    """

    start: int
    data: bytes

    @property
    def end(self) -> int:
        """Where the next part begins."""
        return self.start + len(self.data)


def encode_line(line: LogLine) -> bytes:
    """Return the line as bytes, with its line end. Its text has no line end and is short enough."""
    at_ms, stream, text, whole = line
    tag = "F" if whole else "P"
    return f"{to_text(at_ms)} {stream} {tag} ".encode() + text + b"\n"


def encode_lines(lines: Iterable[LogLine]) -> Iterator[bytes]:
    """Yield each line as bytes; a long one in several, and a text with line ends as lines."""
    for line in lines:
        text = line.text
        if len(text) <= MAX_TEXT_BYTES and b"\n" not in text:
            yield encode_line(line)
            continue
        *firsts, last = text.split(b"\n")
        for each in firsts:
            yield from _in_pieces(line._replace(text=each, whole=True))
        if last or not firsts:
            yield from _in_pieces(line._replace(text=last))


def _in_pieces(line: LogLine) -> Iterator[bytes]:
    text = line.text
    while len(text) > MAX_TEXT_BYTES:
        yield encode_line(line._replace(text=text[:MAX_TEXT_BYTES], whole=False))
        text = text[MAX_TEXT_BYTES:]
    yield encode_line(line._replace(text=text))


def decode_lines(data: bytes) -> Iterator[LogLine]:
    """Yield the lines in these bytes; what is not a line is left out.

    A line whose writing was interrupted is shorter, or is left out.
    """
    for line in data.split(b"\n"):
        words = line.split(b" ", 3)
        if len(words) != 4:
            continue
        time, name, tag, text = words
        stream = _STREAMS.get(name)
        if stream is None or tag not in (b"F", b"P"):
            continue
        try:
            at_ms = to_ms(time.decode("ascii"))
        except ValueError:
            continue
        yield LogLine(at_ms, stream, text, tag == b"F")


def attempt_line(at_ms: int, attempt: int, created_at: str) -> LogLine:
    """Return the line with which an attempt's output begins. The first attempt has the number 1."""
    return LogLine(at_ms, ATTEMPT, f"{attempt} {created_at}".encode())


def parse_attempt(line: LogLine) -> tuple[int, str] | None:
    """Return number and ``createdAt`` of an attempt's line; ``None`` if it is damaged."""
    number, _, created_at = line.text.decode("ascii", "replace").partition(" ")
    return (int(number), created_at) if number.isdecimal() and len(number) < 10 else None


def is_of_job(line: LogLine, created_at: str) -> bool:
    """Whether the first line of a log is of the job that was created then, or does not tell.

    Another program may write the same time with another precision or zone.
    """
    begun = parse_attempt(line) if line.stream == ATTEMPT else None
    if begun is None or begun[1] == created_at:
        return True
    first_ms = known_ms(begun[1])
    return first_ms is not None and first_ms == known_ms(created_at)


def lost_line(at_ms: int, size: int, why: str) -> LogLine:
    """Return the line that stands for output that could not be kept."""
    return LogLine(at_ms, LOST, f"{size} {why}".encode())
