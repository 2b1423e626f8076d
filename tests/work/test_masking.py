"""Secrets are replaced in what is kept, however the output is cut into pieces."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.work.run.mask_lines import MaskLines
from jobctl.work.run.masking import MaskedStream, Masks, secrets_in

KEY = "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\nab\n-----END KEY-----"


def in_pieces(masks: Masks, pieces: list[bytes]) -> bytes:
    """Return the masked stream."""
    stream = MaskedStream(masks)
    return b"".join(map(stream.feed, pieces)) + stream.finish()


def test_variables_are_chosen_by_name_and_length() -> None:
    """In any case; a value of 7 characters may be a usual word."""
    env = {
        "GITHUB_TOKEN": "ghp_12345678",
        "my_secret_file": "s3cr3t-value",
        "PGPASSWORD": "hunter2hunter2",
        "AWS_ACCESS_KEY_ID": "AKIA12345678",
        "SHORT_KEY": "1234567",
        "PATH": "/usr/bin:/bin",
    }
    assert secrets_in(env) == ["ghp_12345678", "s3cr3t-value", "hunter2hunter2", "AKIA12345678"]


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("a supersecret b supersecret", "a *** b ***"),
        ("supersecretly", "***ly"),
        ("postgres://u:pw@db/x?a=b@c", "postgres://***@db/x?a=b@c"),
        ("https://:tok@h https://u:p@ss@h", "https://***@h https://***@h"),
        ("http://host:80/a@b http://u@h", "http://host:80/a@b http://u@h"),
        (f"x{KEY}y", "x***y"),
        (f"x{KEY}y".replace("\n", "\r\n"), "x***y"),
        ("  MIIEvQIBADANBgkq", "  ***"),  # one line of it
        ("ab", "ab"),
        ("short123 short123-and-longer", "*** ***"),
    ],
)
def test_secrets_are_replaced(text: str, masked: str) -> None:
    """Values, a longer one before a shorter one, lines of a value, and what a URL has."""
    masks = Masks(["supersecret", KEY, "short123", "short123-and-longer"])
    assert masks.text(text) == masked


@given(
    st.lists(st.sampled_from(["supersecret", KEY, "x", "super", "secret", "-----BEGIN", "\n",
                              "short123", "-and-longer", "short123-and-longer", " "])),
    st.lists(st.integers(1, 30), min_size=1),
)  # fmt: skip
def test_pieces_do_not_matter(words: list[str], sizes: list[int]) -> None:
    """The stream is masked as the whole is."""
    masks = Masks(["supersecret", KEY, "short123", "short123-and-longer"])
    data = "".join(words).encode()
    pieces, at = [], 0
    while at < len(data):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(data[at : at + size])
        at += size
    assert in_pieces(masks, pieces) == masks.data(data)


def test_url_in_pieces() -> None:
    """Byte by byte."""
    text = b"at postgres://admin:hunter2@db:5432/x done: yes://"
    masked = b"at postgres://***@db:5432/x done: yes://"
    assert in_pieces(Masks(), [text[i : i + 1] for i in range(len(text))]) == masked


def test_only_a_possible_beginning_is_held_back() -> None:
    """What cannot belong to a secret is kept at once."""
    stream = MaskedStream(Masks(["supersecret"]))
    assert stream.feed(b"hello sup") == b"hello "
    assert stream.feed(b"per") == b"supper"


@given(st.integers(0, 60))
def test_secret_across_a_gap(cut: int) -> None:
    """Neither its beginning before the gap nor its end after it is kept."""
    masks = Masks(["0123456789abcdef0123456789ABCDEF"])
    secret = b"0123456789abcdef0123456789ABCDEF"
    before, after = secret[: min(cut, 32)], secret[min(cut, 32) :]
    stream = MaskedStream(masks)
    kept = stream.feed(b"before " + before)
    stream.interrupt()
    kept += stream.feed(after + b"." * 40 + secret + b" after") + stream.finish()
    assert kept.startswith(b"before ")
    assert kept.endswith(b".*** after")
    longest = re.search(rb"[0-9a-fA-F]{3,}", kept.replace(b"before", b"").replace(b"after", b""))
    assert longest is None or before == secret  # it was whole before the gap
    assert secret not in kept


def test_masks_may_be_added_as_json_too() -> None:
    """A line of events cannot hold a line end."""
    masks = Masks()
    masks.add('"first line\\nsecond line"')
    masks.add("plain")
    assert masks.text("plain: first line\nsecond line.") == "***: ***."
    masks.add("")
    masks.add("  ")
    assert masks.text("a  b") == "a  b"


def test_mask_lines_are_read_in_time(tmp_path: Path) -> None:
    """Whole lines, also after a writer has truncated the file."""
    path = tmp_path / "events"
    path.write_text("stage=a\nmask=one\nmessage=x mask=not\nprogress=1/2 mask=two words\nmask=par")
    found: list[str] = []
    lines = MaskLines(str(path), found.append)
    lines.read()
    lines.read()
    assert found == ["one", "two words"]
    with path.open("a") as file:
        file.write("t\n")
    lines.read()
    assert found == ["one", "two words", "part"]
    for text in ("mask=three\n", "mask=seven\n", "mask=three\nstage=a\nmask=four\n"):
        path.write_text(text)
        lines.read()
    assert found[3:] == ["three", "seven", "three", "four"]
    path.unlink()
    lines.read()


def test_a_secret_may_have_a_lone_surrogate() -> None:
    """JSON can name one, although no text file holds it."""
    masks = Masks()
    masks.add('"\\ud800abcdefgh"')
    assert masks.text("x \ud800abcdefgh y") == "x *** y"
