"""Cursors: their one printed form."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.core.cursor import MAX_REVISION, ZERO, Cursor, epoch_for, store_cursor, store_epoch
from jobctl.errors import InvalidCursor
from jobctl.stores import open_store

epochs = st.from_regex(r"[A-Za-z0-9-]{1,40}", fullmatch=True)
tags = st.just("") | st.from_regex(r"[0-9a-f]{6}", fullmatch=True)


@given(epochs, st.integers(0, MAX_REVISION), tags)
def test_a_cursor_is_printed_and_read_back(epoch: str, revision: int, tag: str) -> None:
    """With its filter's tag, if it has one."""
    cursor = Cursor(epoch, revision, tag)
    assert Cursor.parse(str(cursor)) == cursor


def test_the_printed_form() -> None:
    """As it stands in scripts and logs."""
    assert str(Cursor("e1", 7)) == "e1:7"
    assert str(Cursor("e1", 7, "0a1b2c")) == "e1:7:0a1b2c"
    assert Cursor.parse("0") == Cursor.parse("-:0") == ZERO


@pytest.mark.parametrize(
    "text",
    [
        "",
        "7",
        ":7",
        "e1",
        "e1:",
        "e1:-1",
        "e1:+1",
        "e1:07",
        "e1:1.0",
        "e1:1e3",
        "e1: 7",
        "e1:7\n",
        "e1:٧",
        f"e1:{MAX_REVISION + 1}",
        "e1:" + "9" * 5000,
        "e1:7:",
        "e1:7:xyz",
        "e1:7:0a1b2c:8",
        "e1:7:0A1B2C",
        "é:7",
        "x" * 41 + ":7",
        "\x1b[2J:7",
    ],
)
def test_nonsense_is_no_cursor(text: str) -> None:
    """FAULTS row 31; the error shows it harmlessly, and in one line."""
    with pytest.raises(InvalidCursor) as caught:
        Cursor.parse(text)
    assert (caught.value.text, caught.value.exit_code) == (text, 2)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("details", [True, False])
@given(epoch=st.from_regex(r"[0-9a-f]{12}", fullmatch=True), tag=tags)
def test_readers_with_and_without_details_have_different_epochs(
    epoch: str, tag: str, details: bool
) -> None:
    """FAULTS row 65: a cursor is worth nothing to a reader with other rights."""
    told = Cursor(epoch_for(epoch, details=details), 7, tag)
    assert store_cursor(told, details=details) == Cursor(epoch, 7, tag)
    assert store_cursor(told, details=not details) == ZERO
    assert store_epoch(told.epoch) == epoch
    assert store_cursor(ZERO, details=details) == ZERO


@pytest.mark.parametrize("memory", [True, False])
def test_epoch_of_every_store_fits_into_a_cursor_of_each_kind(memory: bool, tmp_path: Path) -> None:
    """Whatever a hub prints it takes back."""
    store = open_store("memory:") if memory else open_store(tmp_path, create=True, adopt=True)
    epoch = store.since(ZERO).epoch
    store.close()
    for details in (True, False):
        cursor = Cursor(epoch_for(epoch, details=details), 1)
        assert Cursor.parse(str(cursor)) == cursor
