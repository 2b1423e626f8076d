"""The lines of a log: Kubernetes' form, and what becomes of damaged ones."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jobctl.core.log import (
    BOTH,
    MAX_TEXT_BYTES,
    STDERR,
    STDOUT,
    LogLine,
    attempt_line,
    decode_lines,
    encode_lines,
    parse_attempt,
)

AT_MS = 1_795_867_200_123  # 2026-11-28T12:00:00.123Z

lines = st.builds(
    LogLine,
    st.integers(0, 4_000_000_000_000),
    st.sampled_from([STDOUT, STDERR, BOTH]),
    st.binary(max_size=40).map(lambda text: text.replace(b"\n", b"")),
    st.booleans(),
)


def test_line_has_the_form_that_kubernetes_writes() -> None:
    """Time, stream, tag and text, with single spaces between them."""
    told = [LogLine(AT_MS, STDERR, b"a  b "), LogLine(AT_MS + 1, BOTH, b"", whole=False)]
    assert list(encode_lines(told)) == [
        b"2026-11-28T12:00:00.123Z stderr F a  b \n",
        b"2026-11-28T12:00:00.124Z both P \n",
    ]


def test_time_of_a_container_runtime_is_read() -> None:
    """It has nine digits, and may have a zone."""
    data = b"2026-11-28T13:00:00.123456789+01:00 stdout F x\n"
    assert list(decode_lines(data)) == [LogLine(AT_MS, STDOUT, b"x")]


@given(st.lists(lines))
def test_what_is_encoded_is_decoded(told: list[LogLine]) -> None:
    """Whatever bytes the text has."""
    assert list(decode_lines(b"".join(encode_lines(told)))) == told


def test_long_text_goes_in_parts() -> None:
    """The last part has the line's own tag."""
    for whole in (True, False):
        text = b"x" * (2 * MAX_TEXT_BYTES + 1)
        found = list(decode_lines(b"".join(encode_lines([LogLine(0, STDOUT, text, whole)]))))
        assert [len(line.text) for line in found] == [MAX_TEXT_BYTES, MAX_TEXT_BYTES, 1]
        assert [line.whole for line in found] == [False, False, whole]


def test_line_end_within_a_text_ends_a_line() -> None:
    """A text cannot forge a line of its own."""
    forged = b"a\n2026-11-28T12:00:00.123Z attempt F 9 x\nb"
    found = list(decode_lines(b"".join(encode_lines([LogLine(0, STDOUT, forged, whole=False)]))))
    assert [(line.stream, line.text, line.whole) for line in found] == [
        (STDOUT, b"a", True),
        (STDOUT, b"2026-11-28T12:00:00.123Z attempt F 9 x", True),
        (STDOUT, b"b", False),
    ]


def test_damaged_lines_are_left_out() -> None:
    """The lines around them are read."""
    good = b"".join(encode_lines([LogLine(AT_MS, STDOUT, b"good")]))
    for bad in (
        b"\n",
        b"2026-11-28T12:0\n",
        b"2026-11-28T12:00:00.123Z stderr\n",
        b"2026-11-28T12:00:00.123Z nowhere F x\n",
        b"2026-13-28T12:00:00.123Z stderr F x\n",
        b"2026-11-28T12:00:00.123Z stderr X x\n",
        b"\xff\x00 stderr F x\n",
    ):
        assert [line.text for line in decode_lines(good + bad + good)] == [b"good", b"good"]


def test_attempt_names_its_number_and_the_job() -> None:
    """Another program's line of that stream is no attempt's."""
    line = attempt_line(AT_MS, 2, "2026-11-28T11:00:00.000Z")
    assert parse_attempt(line) == (2, "2026-11-28T11:00:00.000Z")
    for text in (b"", b"x y", b"\xb2 y", b"99999999999999999999 y"):
        assert parse_attempt(line._replace(text=text)) is None
