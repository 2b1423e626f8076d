"""What remains of a command's output, line by line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.work.run.text_lines import MAX_LINE, EscapeFilter, LineSplitter, visible_output


def lines_of(*pieces: bytes, colours: bool = True) -> list[bytes]:
    """Return the lines, whole or not."""
    escapes, lines = EscapeFilter(colours=colours), LineSplitter()
    found = [line for piece in pieces for line in lines.feed(escapes.feed(piece))]
    return [text for text, _ in [*found, *lines.finish()]]


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"a\nb\n", [b"a", b"b"]),
        (b"a\n\nb", [b"a", b"", b"b"]),
        (b"a\r\nb\r\n", [b"a", b"b"]),
        (b" 10%\r 50%\r100%\ndone\n", [b"100%", b"done"]),
        (b"100%\r", [b"100%"]),
        (b"\r 10%\r 50%", [b" 50%"]),
        (b"\x1b[31mred\x1b[0m\x1b[K\n", [b"\x1b[31mred\x1b[0m"]),
        (b"one\x1b[2K\x1b[1Gtwo\x1b[Gthree\n", [b"three"]),
        (b"\x1b]0;title\x07a\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\\n", [b"alink"]),
        (b"a\x1b(Bb\x1b7c\x1b8d\x1bMe\x1b=f\n", [b"abcdef"]),
        (b"\x1b[?25lx\x1b[?25h\x1b[3;4Hy\x1b[>4;2m\n", [b"xy"]),
        (b"in\x1b[?1049hdrawn\nscreen\n\x1b[?1049lout\n", [b"inout"]),
        (b"in\x1b[?47hdrawn\x1b[?47lout\n", [b"inout"]),
        (b"in\x1b[?1049;25hdrawn\x1b[31m\x1b[?25;1049lout\n", [b"inout"]),
        (b"in\x1b[?1049hdrawn\x1bcout\n", [b"inout"]),
        (b"a\x1b[?1049h", [b"a"]),
        (b"a\x1b", [b"a"]),
        (b"\x9b31m\xff\n", [b"\x9b31m\xff"]),
    ],
)  # fmt: skip
def test_lines_are_what_a_terminal_leaves(data: bytes, lines: list[bytes]) -> None:
    """In one piece and byte by byte."""
    assert lines_of(data) == lines
    assert lines_of(*(data[at : at + 1] for at in range(len(data)))) == lines


def test_errors_have_no_escape_sequences_at_all() -> None:
    """Not even colours."""
    assert visible_output(b"\x1b[1;31mboom\x1b[0m\x1b]0;x\x07\x1bP1$r\x1b\\!\n") == b"boom!\n"


@given(st.binary(max_size=80).map(lambda data: data.replace(b"e", b"\x1b")), st.integers(1, 79))
def test_pieces_do_not_matter(data: bytes, at: int) -> None:
    """Whatever is written."""
    assert lines_of(data) == lines_of(data[:at], data[at:])


def test_long_line_comes_in_parts() -> None:
    """Each is valid text by itself; only the last one is whole."""
    lines = LineSplitter()
    text = ("é" * MAX_LINE + "\n").encode()
    found = [part for at in range(0, len(text), 1000) for part in lines.feed(text[at : at + 1000])]
    assert [whole for _, whole in found] == [False] * (len(found) - 1) + [True]
    assert "".join(part.decode() for part, _ in found) == "é" * MAX_LINE
    assert max(len(part) for part, _ in found) <= MAX_LINE


def test_progress_bar_without_end_takes_no_memory() -> None:
    """A line may be rewritten for days."""
    lines = LineSplitter()
    for count in range(10_000):
        assert lines.feed(b"\r%5d of 10000" % count) == []
    assert len(lines._rest) < 100
    assert lines.finish() == [(b" 9999 of 10000", True)]
