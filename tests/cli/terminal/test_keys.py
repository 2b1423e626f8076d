"""The keys in the bytes of a keyboard."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.cli.terminal.keys import REPAINT, KeyDecoder


def keys_of(data: bytes) -> list[str]:
    """The keys, as if nothing came after these bytes."""
    decoder = KeyDecoder()
    keys = decoder.feed(data)
    while decoder.timeout_s is not None:
        keys += decoder.time_out()
    return keys


@pytest.mark.parametrize(
    ("data", "keys"),
    [
        (b"jk/q", ["j", "k", "/", "q"]),
        (b" ", [" "]),
        (b"\r", ["enter"]),
        (b"\n", ["enter"]),
        (b"\t\x7f\x08", ["tab", "backspace", "backspace"]),
        (b"\x0c", [REPAINT]),
        (b"\x00\x01\x1f", []),
        (b"\x1b[A\x1b[B\x1b[C\x1b[D", ["up", "down", "right", "left"]),
        (b"\x1bOA\x1bOB\x1bOC\x1bOD", ["up", "down", "right", "left"]),
        (b"\x1b[5~\x1b[6~", ["pgup", "pgdn"]),
        (b"\x1b[H\x1b[F\x1bOH\x1bOF", ["home", "end", "home", "end"]),
        (b"\x1b[1~\x1b[4~\x1b[7~\x1b[8~", ["home", "end", "home", "end"]),
        ("äあ😀".encode(), ["ä", "あ", "😀"]),
    ],
)
def test_keys_have_names(data: bytes, keys: list[str]) -> None:
    """In the forms of xterm, rxvt, tmux and the Linux console."""
    assert keys_of(data) == keys


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x1b[2~\x1b[3~\x1b[15~", id="other keys"),
        pytest.param(b"\x1bOP\x1b[[A\x1b[[E", id="function keys"),
        pytest.param(b"\x1b[1;5A\x1b[5;3~\x1b[Z", id="with Ctrl, Alt and Shift"),
        pytest.param(b"\x1bq\x1bc\x1by\x1b\xc3\xa4\x1b\x7f", id="with Alt"),
        pytest.param(b"\x1b[<0;10;20M\x1b[<0;10;20m\x1b[32;10;20M", id="mouse"),
        pytest.param(b"\x1b[M qy\x1b[M!!q", id="mouse, old form"),
        pytest.param(b"\x1b[200~cyq\n\x1b[A\x1b[201~", id="paste"),
        pytest.param(b"\x1b[200~\x1b[201\x1b[20\x1b[201~", id="paste with a part of its end"),
        pytest.param(b"\x1b]11;rgb:ffff/ffff/ffff\x07\x1bP1$r0m\x1b\\", id="replies"),
        pytest.param(b"\x1b[?62;22c\x1b[24;80R\x1b[I\x1b[O", id="reports"),
        pytest.param(b"\x1b[1;\x18", id="cancelled"),
        pytest.param(b"\x80\xff\xfe\xc0\xaf\xed\xa0\x80\xf4\xbf\xbf\xbf", id="no UTF-8"),
        pytest.param("\u202e\u200b\x85".encode(), id="not printable"),
        pytest.param(b"\x1b[" + b"1;" * 40 + b"A", id="too long"),
    ],
)
def test_what_is_no_key_of_ours_is_dropped(data: bytes) -> None:
    """A wheel or a paste must not cancel a job; the keys after it count again."""
    first = keys_of(data)
    assert first == []
    assert keys_of(data + b"jq")[-1] == "q"


def test_a_character_that_is_cut_short_does_not_take_the_next() -> None:
    """Nor does a sequence."""
    assert keys_of(b"\xe3\x81q") == ["q"]
    assert keys_of(b"\x1b[1;\x1b[A") == ["up"]
    assert keys_of(b"\x1b[1\nq") == ["enter", "q"]


def test_escape_is_a_key_when_nothing_follows() -> None:
    """Which the time decides."""
    decoder = KeyDecoder()
    assert decoder.timeout_s is None
    assert decoder.feed(b"\x1b") == []
    assert decoder.timeout_s == pytest.approx(0.05)
    assert decoder.time_out() == ["esc"]
    assert decoder.timeout_s is None
    assert decoder.feed(b"q") == ["q"]
    assert decoder.feed(b"\x1b\x1b") == ["esc"]
    assert decoder.time_out() == ["esc"]


def test_the_parts_of_a_sequence_may_be_far_apart() -> None:
    """A slow connection must not make letters of an arrow's end."""
    decoder = KeyDecoder()
    decoder.feed(b"\x1b[")
    assert decoder.timeout_s == pytest.approx(0.5)
    assert decoder.feed(b"A") == ["up"]
    decoder.feed(b"\x1b[1;")
    assert decoder.time_out() == []
    assert decoder.feed(b"q") == ["q"]


def test_pasting_does_not_time_out() -> None:
    """The pasted text ends only where the terminal says so."""
    decoder = KeyDecoder()
    assert decoder.feed(b"\x1b[200~cy\x1b") == []
    assert decoder.timeout_s is None
    assert decoder.feed(b"[201~j") == ["j"]


@given(st.lists(st.sampled_from(
    [b"q", b"\x1b[A", "ä".encode(), b"\x1b[200~cy\x1b[201~", b"\x1b[<0;1;2M", b"\n", b"\x1bOB"]
)))  # fmt: skip
def test_pieces_do_not_matter(parts: list[bytes]) -> None:
    """A byte at a time gives the same as all at once."""
    data = b"".join(parts)
    decoder = KeyDecoder()
    assert [key for byte in data for key in decoder.feed(bytes([byte]))] == keys_of(data)


@given(st.binary())
def test_any_bytes_give_only_keys(data: bytes) -> None:
    """And the decoder understands what comes afterwards."""
    decoder = KeyDecoder()
    for key in decoder.feed(data):
        assert len(key) > 1 or key.isprintable()
    decoder.feed(b"\x1b[201~\x07\x18")
    decoder.time_out()
    assert decoder.feed(b"\x18\x18qq")[-1] == "q"
