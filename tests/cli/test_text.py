"""Foreign text on a terminal (FAULTS rows 53 and 54)."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
import wcwidth
from hypothesis import given
from hypothesis import strategies as st

from jobctl._clock import now
from jobctl.cli.live_view import JobView
from jobctl.cli.text import fit, visible, width
from jobctl.core.codec import parse_wire
from jobctl.core.cursor import ZERO
from jobctl.core.jobset import JobSet
from jobctl.reader.status import Status
from tests.cli.conftest import Run

HOSTILE = {
    "escape": "\x1b[2Jx",
    "osc 8": "\x1b]8;;https://example.invalid\x07click\x1b]8;;\x07",
    "osc 52": "\x1b]52;c;ZXZpbA==\x07",
    "c1 csi": "\x9b31mred",
    "carriage return": "good\rbad!",
    "newline": "one\ntwo",
    "bidi override": "red\u202egnp.exe",
    "bidi isolate": "\u2066x\u2069",
    "arabic mark": "a\u061cb",
    "zero width": "a\u200bb",
    "line separator": "a\u2028b",
    "delete": "a\x7fb",
    "backspace": "a\x08b",
    "tag": "a\U000e0041b",
    "joiner between letters": "a\u200db",
    "joiner at the end": "👨\u200d",
    "joiner before a letter": "👨\u200da",
    "two joiners": "👨\u200d\u200d👩",
    "non-joiner between letters": "a\u200cb",
    "selector after a letter": "a\ufe0f",
    "selector after a digit": "1\ufe0f",
    "selector alone": "\ufe0f",
}
MARKUP = "[/x] [link=https://example.invalid]click[/link] [bold red]"


# Format characters that are signs to see, such as the Arabic number sign (Unicode's property
# Prepended_Concatenation_Mark).
SEEN = "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"


def harmless(text: str) -> bool:
    """Whether a terminal would only print this."""
    return all(
        char == "\n"
        or char in SEEN
        or (char in "\u200c\u200d" and 0 < at < len(text) - 1)
        or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp")
        for at, char in enumerate(text)
    )


@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=50))
def test_whatever_is_written_becomes_harmless(text: str) -> None:
    """FAULTS row 53: no control, format, surrogate or separator character survives."""
    shown = visible(text)
    assert "\n" not in shown
    assert harmless(shown)


def test_every_invisible_character_is_written_out() -> None:
    """Between letters, where a joiner joins nothing."""
    for code in range(sys.maxunicode + 1):
        if unicodedata.category(chr(code)) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
            shown = visible(f"a{chr(code)}b")
            assert (shown.isascii() and shown.isprintable()) or chr(code) in SEEN, hex(code)


def test_plain_text_stays_as_it_is() -> None:
    """Letters of any script, emoji and accents are not touched."""
    for text in ("orders.csv", "模型没有返回结果 — no output", "naïve café", "✓ 🎉"):
        assert visible(text) == text


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("👨‍👩‍👧‍👦", 2),
        ("👩🏽‍🚀", 2),
        ("❤️", 2),
        ("❤️‍🔥", 2),
        ("1️⃣", 2),
        ("‼️", 2),
        ("🏳️‍🌈", 2),
        ("می‌خواهم", 7),  # Persian: without the non-joiner another word
        ("क्‍ष", 2),  # Hindi: a half form
        ("শ্‌ৰ", 2),
        ("ශ්‍රී", 2),  # Sinhala
        ("etl 👨‍👩‍👧 模", 9),
    ],
)
def test_joiners_that_a_script_or_an_emoji_needs_stay(text: str, columns: int) -> None:
    """They were written out as escapes, which tore words and emoji apart."""
    assert visible(text) == text
    assert width(text) == columns
    assert fit(text, columns) == text
    assert width(fit(text, columns - 1)) <= columns - 1


@pytest.mark.parametrize("text", ["👨\u200d" * 300 + "👨", "x\u200d" * 300 + "y"])
def test_a_text_of_many_joiners_is_examined_once(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each joiner had the whole text examined: a long error of a foreign job took minutes."""
    examined: list[str] = []
    original = wcwidth.iter_graphemes

    def noted(text: str) -> Iterator[str]:
        examined.append(text)
        return original(text)

    monkeypatch.setattr(wcwidth, "iter_graphemes", noted)
    assert visible(text).count("\\u200d") == (0 if text[0] == "👨" else 300)
    assert len(examined) == 1


@pytest.mark.parametrize(
    ("before", "after"),
    [("a", "b"), ("👨", "👩"), ("", ""), ("क्", "ष"), ("a", "\u0301"), ("👨", "\u0301"), ("é", "")],
)
@pytest.mark.parametrize("count", [2, 3, 200])
def test_joiners_after_joiners_are_shown(before: str, after: str, count: int) -> None:
    """They join nothing, and two texts that look alike would differ."""
    assert visible(before + count * "\u200d" + after) == (before + count * "\\u200d" + after)


@given(st.text(max_size=40), st.integers(0, 30))
def test_a_cut_text_fits(text: str, columns: int) -> None:
    """Wide characters count for two."""
    assert width(fit(visible(text), columns)) <= columns


def _write(directory: Path, id: str, **fields: object) -> None:
    directory.mkdir(exist_ok=True)
    job = {"id": id, "type": "t", "stage": "work", "createdAt": now(), "updatedAt": now()}
    (directory / f"{id}.json").write_text(json.dumps({**job, **fields}))


@pytest.mark.parametrize("name", sorted(HOSTILE))
@pytest.mark.parametrize(
    "field",
    ["type", "stage", "sessionId", "error", "title", "message", "resultSessionId", "extra"],
)
@pytest.mark.parametrize(
    "args", [["ls"], ["ls", "-o", "wide"], ["show", "j"], ["ls", "-o", "json"], ["watch", "j"]]
)
def test_hostile_field_is_made_visible(
    run: Run, jobs_dir: Path, name: str, field: str, args: list[str]
) -> None:
    """FAULTS row 53: each hostile class in each text field, through each command."""
    done = {} if field == "stage" or args[0] != "watch" else {"stage": "completed"}
    _write(jobs_dir, "j", **{**done, field: HOSTILE[name]})
    if args[0] == "watch" and field == "stage":
        args = ["ls", "--sort", "stage"]
    result = run(*args)
    assert result.code == 0
    assert result.out
    assert harmless(result.out)
    assert harmless(result.err)


@pytest.mark.parametrize("field", ["type", "stage", "error", "title", "message"])
@pytest.mark.parametrize("args", [["ls"], ["ls", "-o", "wide"], ["show", "j"]])
def test_markup_is_literal(run: Run, jobs_dir: Path, field: str, args: list[str]) -> None:
    """FAULTS row 54: no rich markup is obeyed, and none crashes."""
    _write(jobs_dir, "j", **{field: MARKUP})
    assert MARKUP in run(*args).out


def test_hostile_file_names_are_made_visible(run: Run, jobs_dir: Path) -> None:
    """FAULTS row 53: a name that is no id is quarantined, and shown harmlessly."""
    jobs_dir.mkdir()
    (jobs_dir / "a\x1b[2Jb.json").write_text("{}")
    result = run("ls", "-v")
    assert harmless(result.err)
    assert "a\\e[2Jb.json: its name is not a job id" in result.err


def test_a_hostile_directory_is_made_visible(run: Run, tmp_path: Path) -> None:
    """FAULTS row 53: in the answer that there is nothing, and in a complaint."""
    hostile = tmp_path / "a\x1b[31mb\u202ec"
    hostile.mkdir()
    for path in (hostile, hostile / "missing"):
        result = run("ls", "--dir", str(path))
        assert harmless(result.err)
        assert "a\\e[31mb\\u202ec" in result.err


@pytest.mark.parametrize("name", sorted(HOSTILE))
@pytest.mark.parametrize("field", ["type", "stage", "title", "message", "error"])
def test_hostile_field_is_made_visible_on_the_live_screen(name: str, field: str) -> None:
    """FAULTS row 53: what `watch`, `run-dummy` and `demo` paint."""
    job = parse_wire(
        {
            "id": "j",
            "type": "t",
            "stage": "failed",
            "revision": 1,
            "createdAt": now(),
            "updatedAt": now(),
            field: HOSTILE[name],
        }
    )
    source = JobSet("e")
    source.put(job)
    view = JobView(HOSTILE[name], everything=True)
    view.take(source.since(ZERO))
    view.take_status(Status("error", "hub", HOSTILE[name], HOSTILE[name], 1.0), 0)
    for columns in (20, 80, 200):
        for line, _ in view.screen(columns, 24, 0):
            assert "\n" not in line
            assert harmless(line)


@pytest.mark.parametrize("name", sorted(HOSTILE))
@pytest.mark.parametrize(
    "args",
    [
        ["advance", "j"],
        ["advance", "j", "x{}"],
        ["advance", "{}"],
        ["progress", "j", "{}"],
        ["complete", "j", "--result", "{}"],
        ["complete", "j", "--result", "@{}"],
        ["retry", "{}"],
        ["cancel", "j"],
        ["ack", "{}"],
        ["ack", "j", "{}"],
        ["rm", "{}"],
        ["show", "{}"],
        ["create", "{}"],
        ["create", "--stages", "{},{}"],
        ["ls", "--cursor", "{}"],
        ["ls", "--sort", "{}"],
        ["ls", "--{}"],
        ["watch", "{}"],
        ["watch", "--url", "{}", "--timeout", "0.05"],
        ["watch", "j", "--url", "ws://127.0.0.1:9/{}", "--timeout", "0.05"],
        ["serve", "--path", "{}"],
        ["run-dummy", "--stage-delay", "{}"],
        ["run-dummy", "--fail-at", "{}"],
        ["completion", "{}"],
        ["{}"],
    ],
)
def test_hostile_text_in_a_complaint_is_made_visible(
    run: Run, jobs_dir: Path, name: str, args: list[str]
) -> None:
    """FAULTS row 53: whether it stood in the job or on the command line."""
    _write(jobs_dir, "j", stage=HOSTILE[name], stages=["a", HOSTILE[name]])
    result = run(*[arg.replace("{}", HOSTILE[name]) for arg in args])
    # It has a next stage, and is in this one already; and a type may hold a selector.
    fine = args[:2] == ["advance", "j"] or (
        args == ["create", "{}"] and HOSTILE[name].isprintable()
    )
    if not fine:
        assert result.code in (1, 2, 4, 124)
        assert result.err.startswith("jobctl: ")
    assert harmless(result.out)
    assert harmless(result.err)


@given(st.text(st.characters(max_codepoint=0x320) | st.sampled_from("●◐○✗⊘━─…·\ufe0f\u200d東")))
def test_widths_without_tables_are_those_of_the_tables(text: str) -> None:
    """The short way is taken only where it is right."""
    text = visible(text)
    assert width(text) == wcwidth.width(text, control_codes="ignore")
    for columns in (0, 1, 3, 7):
        assert wcwidth.width(fit(text, columns), control_codes="ignore") <= columns
