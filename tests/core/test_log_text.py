"""What people see of a log."""

from __future__ import annotations

import pytest

from jobctl.core.log import (
    BOTH,
    STDERR,
    STDOUT,
    LogLine,
    LogPart,
    attempt_line,
    encode_line,
    lost_line,
)
from jobctl.core.log_text import LogText, last_lines, size_text


def part(*lines: LogLine, start: int = 0) -> LogPart:
    return LogPart(start, b"".join(map(encode_line, lines)))


def line(text: bytes, stream: str = BOTH, at_ms: int = 0, *, whole: bool = True) -> LogLine:
    return LogLine(at_ms, stream, text, whole)


def test_bytes_are_those_of_the_command() -> None:
    """Whatever they are; a line without an end gets none."""
    text = LogText()
    assert text.feed(part(line(b"a\x1b[2J\xff\r"), line(b"b", whole=False))) == b"a\x1b[2J\xff\r\nb"
    assert text.end() == b""


def test_harmless_text_drives_no_terminal() -> None:
    """Colours and tabs stay, and are switched off in the end."""
    text = LogText(harmless=True)
    said = b"\x1b]0;title\x07 \x1b[2J \r \x9b \xc2\x9b \xe2\x80\xae \x1b[1;31mred\t\x1b[0m"
    assert text.feed(part(line(said))).decode() == (
        "\\e]0;title\\x07 \\e[2J \\r \\x9b \\x9b \\u202e \x1b[1;31mred\t\x1b[0m\n"
    )
    assert text.end() == b""
    assert text.feed(part(line(b"\x1b[31mred"))) == b"\x1b[31mred\n"
    assert text.end() == b"\x1b[0m"


def test_letter_in_two_parts_is_one() -> None:
    """A long line is kept in parts; a letter that never ends is written out."""
    text = LogText(harmless=True)
    shown = text.feed(part(line(b"gr\xc3", whole=False), line(b"\xbcn")))
    assert shown.decode() == "grün\n"
    shown = text.feed(part(line(b"\xc3", STDOUT, whole=False), line(b"x", STDERR)))
    assert shown.decode() == "\\xc3\nx\n"


def test_times_are_at_the_beginning_of_lines_only() -> None:
    """Not within one that is kept in parts."""
    text = LogText(timestamps=True)
    lines = [line(b"a", at_ms=1, whole=False), line(b"b", at_ms=2), line(b"c", at_ms=3)]
    assert text.feed(part(*lines)) == (b"1970-01-01T00:00:00.001Z ab\n1970-01-01T00:00:00.003Z c\n")


def test_streams_do_not_get_into_one_line() -> None:
    """A part of a line of one stream is ended before the other's."""
    text = LogText()
    lines = [line(b"50%", STDERR, whole=False), line(b"result", STDOUT), line(b"100%", STDERR)]
    assert text.feed(part(*lines)) == b"50%\nresult\n100%\n"


def test_standard_output_can_be_left_out() -> None:
    """What may be either stays."""
    text = LogText(stderr=True)
    assert text.feed(part(line(b"o", STDOUT), line(b"e", STDERR), line(b"b", BOTH))) == b"e\nb\n"


def test_cut_is_shown_where_it_lies() -> None:
    """Also before the first line, if the beginning was removed."""
    text = LogText()
    first = part(line(b"a"))
    assert text.feed(first) == b"a\n"
    shown = text.feed(part(line(b"b"), start=first.end + 3_200_000)).decode()
    assert shown == "… 3.2 MB left out …\nb\n"
    assert LogText().feed(part(line(b"b"), start=500)).decode() == "… 500 bytes left out …\nb\n"
    assert LogText(at=500).feed(part(line(b"b"), start=500)) == b"b\n"


def test_log_that_began_anew_has_no_cut() -> None:
    """Its position is before the last one."""
    text = LogText()
    text.feed(part(line(b"long"), line(b"long")))
    assert text.feed(part(line(b"new"))) == b"new\n"


def test_attempts_after_the_first_are_marked() -> None:
    """And end a line, and its colour."""
    text = LogText(harmless=True)
    lines = [
        attempt_line(0, 1, "x"),
        line(b"\x1b[31mdy", whole=False),
        attempt_line(0, 2, "x"),
        line(b"b"),
        line(b"", "attempt"),
    ]
    assert text.feed(part(*lines)).decode() == "\x1b[31mdy\n\x1b[0m--- attempt 2 ---\nb\n"


def test_lost_output_is_told() -> None:
    """With the reason, which is not trusted."""
    shown = LogText().feed(part(lost_line(0, 12_000, "no space \x1b[2J"), line(b"x", "lost")))
    assert shown.decode() == "… 12.0 kB lost: no space \\e[2J …\n… output lost:  …\n"


def test_since_begins_with_the_first_line_of_that_time() -> None:
    """What comes after it is shown, although the clock went back."""
    text = LogText(since_ms=5)
    lines = [line(b"%d" % at, at_ms=at) for at in (1, 4, 6, 2)]
    assert text.feed(part(*lines)) == b"6\n2\n"


def test_since_leaves_out_cuts_before_it() -> None:
    """A cut right before the first line may hide lines of that time, so it is shown."""
    far = 10_000
    text = LogText(since_ms=5)
    assert text.feed(part(line(b"a", at_ms=1))) == b""
    assert text.feed(part(line(b"b", at_ms=2), line(b"c", at_ms=6), start=far)) == b"c\n"
    text = LogText(since_ms=5)
    assert b"left out" in text.feed(part(line(b"c", at_ms=6), start=far))


@pytest.mark.parametrize(
    ("text", "count", "left"),
    [
        (b"a\nb\nc\n", 2, b"b\nc\n"),
        (b"a\nb\nc", 2, b"b\nc"),
        (b"a\n", 5, b"a\n"),
        (b"a\nb\n", 0, b""),
        (b"", 1, b""),
        (b"\n\n", 1, b"\n"),
    ],
)
def test_last_lines(text: bytes, count: int, left: bytes) -> None:
    """A line without an end counts."""
    assert last_lines(text, count) == left


def test_sizes() -> None:
    """In powers of 1000, in at most three digits and a point."""
    sizes = (0, 999, 1000, 99_400, 999_400, 999_600, 3_240_000, 5 * 10**9)
    assert [size_text(size) for size in sizes] == [
        "0 bytes", "999 bytes", "1.0 kB", "99.4 kB", "999 kB", "1.0 MB", "3.2 MB", "5.0 GB",
    ]  # fmt: skip
