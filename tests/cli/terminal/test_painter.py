"""What is written for a new frame, and what an emulated terminal shows then."""

from __future__ import annotations

import re

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.cli.terminal.frame import Frame
from jobctl.cli.terminal.painter import BEGIN_UPDATE, END_UPDATE, Painter, plain_rows

_TEXTS = st.text(st.sampled_from("ab 9─█é…あ漢ｱ"), max_size=24)
_STYLES = st.sampled_from(["", "", "failed", "dim", "bold reverse"])
_FRAMES = st.lists(st.lists(st.tuples(_TEXTS, _STYLES), max_size=3), max_size=6)
_SIZES = st.tuples(st.integers(1, 20), st.integers(1, 6))


class Emulated:
    """A terminal as pyte understands it."""

    def __init__(self, columns: int, rows: int) -> None:
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.Stream(self.screen)
        self._stream.feed("\x1b[?7l")

    def feed(self, text: str) -> None:
        """Write to it."""
        self._stream.feed(text.replace(BEGIN_UPDATE, "").replace(END_UPDATE, ""))

    def cells(self) -> list[list[tuple[str, str, bool, bool]]]:
        """What each cell shows."""
        buffer, size = self.screen.buffer, self.screen
        return [
            [
                (cell.data, cell.fg if cell.data.strip() else "", cell.bold, cell.reverse)
                for cell in (buffer[row][column] for column in range(size.columns))
            ]
            for row in range(size.lines)
        ]


def fresh(frame: Frame, columns: int, rows: int) -> Emulated:
    """A terminal on which only this frame was ever painted."""
    terminal = Emulated(columns, rows)
    terminal.feed(Painter().paint(frame, columns, rows))
    return terminal


def written(before: Frame, after: Frame, columns: int = 40, rows: int = 5) -> str:
    """What is written to come from one frame to the next, without the update's bounds."""
    painter = Painter()
    painter.paint(before, columns, rows)
    text = painter.paint(after, columns, rows)
    return text.removeprefix(BEGIN_UPDATE).removesuffix(END_UPDATE)


@given(st.lists(st.tuples(_FRAMES, _SIZES), min_size=1, max_size=5))
def test_the_terminal_shows_the_newest_frame(steps: list[tuple[Frame, tuple[int, int]]]) -> None:
    """Whatever was shown before, and in which size."""
    painter = Painter()
    (_, size), *_ = steps
    terminal = Emulated(*size)
    for frame, (columns, rows) in steps:
        if (columns, rows) != size:
            size = (columns, rows)
            terminal.screen.resize(rows, columns)
            terminal.screen.reset_mode(7, private=True)
        terminal.feed(painter.paint(frame, columns, rows))
        assert terminal.cells() == fresh(frame, columns, rows).cells()


@given(_FRAMES, _SIZES)
def test_a_frame_alone_is_shown_as_its_text(frame: Frame, size: tuple[int, int]) -> None:
    """Cut to the terminal."""
    columns, rows = size
    narrow = [[(re.sub("[あ漢]", "x", text), style) for text, style in row] for row in frame]
    shown = fresh(narrow, columns, rows).screen.display
    texts = ["".join(text for text, _ in row)[:columns] for row in narrow[:rows]]
    assert [row.rstrip() for row in shown[: len(texts)]] == [text.rstrip() for text in texts]
    assert not "".join(shown[len(texts) :]).strip()


@given(_FRAMES, _SIZES)
def test_nothing_is_written_for_the_same_frame(frame: Frame, size: tuple[int, int]) -> None:
    """But everything when the terminal's content is unknown."""
    painter = Painter()
    first = painter.paint(frame, *size)
    assert painter.paint([list(row) for row in frame], *size) == ""
    painter.forget()
    assert painter.paint(frame, *size) == first


def test_only_the_cells_that_differ_are_written() -> None:
    """In one update; cells between that are near are written again."""
    before: Frame = [[("job a1  load  12s", "")], [("job b2  load  99s", "")]]
    after: Frame = [[("job a1  load  13s", "")], [("job b2  load  99s", "")]]
    assert written(before, after) == "\x1b[1;16H3"
    assert written(
        [[("ab......................cd", "")]], [[("xb......................cx", "")]]
    ) == ("\x1b[1;1Hx\x1b[1;26Hx")
    assert written([[("abcd", "")]], [[("xbcx", "")]]) == "\x1b[1;1Hxbcx"


def test_an_update_is_synchronized() -> None:
    """So that no half of it is seen."""
    text = Painter().paint([[("a", "")]], 10, 2)
    assert text.startswith(BEGIN_UPDATE)
    assert text.endswith(END_UPDATE)
    assert text.count(BEGIN_UPDATE) == 1


def test_a_shorter_row_and_a_row_less_are_erased() -> None:
    """By one sequence each, in no colour."""
    assert written([[("abc", "failed")]], [[("a", "failed")]]) == "\x1b[1;2H\x1b[K"
    assert written([[("a", "")], [("b", "")]], [[("a", "")]]) == "\x1b[2;1H\x1b[K"
    assert written([[("ab", "")]], [[("xy", "failed")]]) == "\x1b[1;1H\x1b[0;31mxy\x1b[m"
    assert written([[("abcd", "")]], [[("x", "reverse")]]) == "\x1b[1;1H\x1b[0;7mx\x1b[m\x1b[K"


def test_styles_may_be_combined_and_colours_left_out() -> None:
    """NO_COLOR leaves what is no colour."""
    frame: Frame = [[("a", "failed reverse"), ("b", "nothing known")]]
    assert "\x1b[0;31;7ma\x1b[mb" in Painter().paint(frame, 10, 1)
    assert "\x1b[0;7ma\x1b[mb" in Painter(colours=False).paint(frame, 10, 1)


def test_the_last_column_is_followed_by_a_move() -> None:
    """Never by text or by erasing: terminals differ in where the cursor is then."""
    text = Painter().paint([[("abcd", "")], [("efgh", "")]], 4, 2)
    assert re.search("d\x1b\\[2;1He", text)
    assert "\x1b[K" not in written([[("abcd", "")]], [[("abxd", "")]], 4)


@pytest.mark.parametrize("cluster", ["👩\u200d💻", "❤\ufe0f", "🇩🇪", "e\u0301"])
def test_what_follows_a_cluster_of_characters_is_placed(cluster: str) -> None:
    """A terminal that takes it for wider or narrower shows the next column where it belongs."""
    before: Frame = [[("x " + cluster + "  running  1s", "")]]
    after: Frame = [[("x " + cluster + "  running  2s", "")]]
    columns = 3 if cluster == "e\u0301" else 4
    assert f"{cluster}\x1b[{columns + 1}G  running" in Painter().paint(before, 40, 1)
    changed = written(before, after)
    assert changed.endswith("2s")  # all from the first difference on
    assert written(before, [[("x", "")]]).endswith("\x1b[K")
    assert cluster in written([[("y", "")]], before)


def test_a_wide_character_is_not_cut() -> None:
    """It is left out if only its first half fits."""
    assert "漢" not in Painter().paint([[("abc漢", "")]], 4, 1)
    assert "漢" in Painter().paint([[("ab漢", "")]], 4, 1)


def test_control_characters_are_made_visible() -> None:
    """Even where a view forgot to."""
    text = Painter().paint([[("a\x1b[2Jb\nc\u202e", "")]], 40, 1)
    assert "a\\e[2Jb\\nc\\u202e" in text


def test_rows_for_the_normal_screen() -> None:
    """Cut, without blanks at the end, each with its styles closed."""
    frame: Frame = [[("ab   ", "failed"), ("   ", "")], [], [("漢字漢字", "")]]
    assert plain_rows(frame, 6) == ["\x1b[0;31mab   \x1b[m", "", "漢字漢"]
    assert plain_rows(frame, 6, colours=False)[0] == "ab"
