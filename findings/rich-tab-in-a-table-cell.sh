#!/usr/bin/env bash
# A tab in a cell of a rich table breaks the cell into two lines.
#
# Guess: a table measures a cell after its tabs became spaces, so the column of
# "a<tab>b" is 9 wide, as when the same text is printed outside of a table.
#
# Seen with rich 15.0.0: the cell is measured with a tab of width 0, and expanded
# when it is drawn. The column is too narrow for the result, so the text wraps at
# the tab although the table may be four times as wide.
#
#   printed alone         in a table of 40 columns
#   a       b             | a  |
#                         | b  |
#
# Why it matters: log lines, tab-separated output and stack traces of Go programs
# are put into tables of job errors. One tab doubles the height of the row and
# loses the alignment the tab was for. Call str.expandtabs() first.

set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check rich==15.0.0
"$work/venv/bin/python" - <<'EOF'
import io
import sys

from rich.box import ASCII
from rich.console import Console
from rich.table import Table


def check(what, seen, expected):
    print(f"{what}: {seen!r}")
    if seen != expected:
        sys.exit(f"the behaviour changed, expected {expected!r}")


def lines(renderable):
    console = Console(file=io.StringIO(), width=40)
    console.print(renderable)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def table(cell):
    grid = Table(show_header=False, box=ASCII)
    grid.add_row(cell)
    return [line for line in lines(grid) if line.startswith("| ")]


check("alone", lines("a\tb"), ["a       b"])
check("in a table", table("a\tb"), ["| a  |", "| b  |"])
check("expanded first", table("a\tb".expandtabs(8)), ["| a       b |"])
EOF
