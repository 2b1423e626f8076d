"""The texts of errors: without escape sequences, and a traceback's exception."""

from __future__ import annotations

import subprocess
import sys

import pytest

from jobctl.work.text import error_text, exception_line, without_escapes


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b[38:2::255:0:0mred", "red"),
        ("\x1b[?25lhidden\x1b[2K", "hidden"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://a/\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bP1$r0m\x1b\\dcs", "dcs"),
        ("\x1b_app\x1b\\\x1b^private\x1b\\\x1bXstart\x1b\\end", "end"),
        ("\x1b(Bcharset\x1b)0", "charset"),
        ("\x1b%Gutf", "utf"),
        ("\x1b#8test\x1b7\x1b8\x1bc\x1bM\x1b=", "test"),
        ("\x9b31mred\x9bm", "red"),
        ("\x9d0;title\x9ctext", "text"),
        ("\x90q\x9c\x98x\x9c\x9ey\x9c\x9fz\x9ctext\x85\x84", "text"),
        ("cut \x1b[1;3", "cut "),
        ("cut \x1b]0;tit\nnext", "cut \nnext"),
        ("lone \x1b", "lone "),
        ("\x1b[31\x1b[0mtwice", "twice"),
        ("ÄÖ ß → 日本 \U0001f600\ttab", "ÄÖ ß → 日本 \U0001f600\ttab"),
        ("[31m and ]0; stay", "[31m and ]0; stay"),
    ],
)
def test_every_escape_sequence_is_removed(text: str, plain: str) -> None:
    """Whatever it does, and in its 8-bit form too."""
    assert without_escapes(text) == plain


def test_error_of_an_exception_has_none() -> None:
    """As of a command-line library that colours its messages."""
    assert error_text(ValueError("\x1b[31mbad\x1b[0m")) == "bad"
    assert error_text(SystemExit("\x1b[31mbad\x1b[0m")) == "bad"
    assert error_text(ValueError("\x1b[0m")) == "ValueError"


PROGRAMS = {
    "plain": ("raise ValueError('bad number')", "ValueError: bad number"),
    "without a text": ("assert False", "AssertionError"),
    "several lines": ("raise ValueError('first\\nsecond\\n  third')", "ValueError: first"),
    "chained": (
        "try:\n 1/0\nexcept Exception as e:\n raise OSError(5, 'no disk') from e",
        "OSError: [Errno 5] no disk",
    ),
    "while handling": ("try:\n 1/0\nexcept Exception:\n {}['key']", "KeyError: 'key'"),
    "notes": ("e = ValueError('bad'); e.add_note('row 7'); e.add_note('x: y'); raise e",
              "ValueError: bad"),
    "group": (
        "raise ExceptionGroup('two failed', [ValueError('a'), TypeError('b')])",
        "ExceptionGroup: two failed (2 sub-exceptions)",
    ),
    "syntax": ("f(", "SyntaxError: '(' was never closed"),
    "module": ("import json; json.loads('{')", ("json.decoder.JSONDecodeError: Expecting property "
               "name enclosed in double quotes: line 1 column 2 (char 1)")),
    "recursion": ("def f(): f()\nf()", "RecursionError: maximum recursion depth exceeded"),
    "ignored afterwards": (
        "class A:\n def __del__(self): raise TypeError('late')\na = A()\nraise ValueError('bad')",
        "ValueError: bad",
    ),
    "warning afterwards": (
        ("import warnings\nfrom atexit import register\n"
        "register(warnings.warn, 'left open', ResourceWarning)\n"
        "warnings.simplefilter('always')\nraise ValueError('bad')"),
        "ValueError: bad",
    ),
    "own words": ("import sys; sys.exit('File \"x\", line 3 is wrong')", None),
    "nothing": ("import sys; print('ValueError: no', file=sys.stderr); sys.exit(1)", None),
}  # fmt: skip


@pytest.mark.parametrize(("program", "line"), PROGRAMS.values(), ids=PROGRAMS.keys())
def test_exception_of_a_traceback(program: str, line: str | None) -> None:
    """As this Python writes it."""
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 1
    lines = [line for line in ran.stderr.split("\n") if line]
    assert exception_line(lines) == line
    if line is not None and lines[0].startswith("Traceback"):
        assert exception_line(lines[1:]) == line  # the first lines are not kept


def test_group_whose_own_line_is_missing() -> None:
    """Then the last one of its exceptions."""
    lines = [
        "    | Traceback (most recent call last):",
        '    |   File "x.py", line 3, in f',
        "    |     raise ValueError(1)",
        "    | ValueError: 1",
        "    +---------------- 2 ----------------",
        "    | Traceback (most recent call last):",
        '    |   File "x.py", line 4, in g',
        "    | TypeError: 2",
        "    +------------------------------------",
    ]
    assert exception_line(lines) == "TypeError: 2"
