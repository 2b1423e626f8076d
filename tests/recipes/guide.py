"""The recipes as README shows them: the very blocks, so that a test fails when one drifts."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import NamedTuple

from tests.cli.conftest import ROOT

_SECTION = re.compile(r"^## Recipes\n(.*?)^## ", re.DOTALL | re.MULTILINE)
_PART = re.compile(
    r"^(?:### (?P<title>[^\n]*)|```(?P<language>\w+)\n(?P<text>.*?)^```)$", re.DOTALL | re.MULTILINE
)


class Block(NamedTuple):
    """One fenced block, under its heading."""

    title: str
    language: str
    text: str


def blocks() -> list[Block]:
    """All of the section *Recipes*, in order."""
    section = _SECTION.search((ROOT / "README.md").read_text())
    assert section is not None, "README has the section"
    found, title = [], ""
    for part in _PART.finditer(section[1]):
        if part["language"] is None:
            title = part["title"]
        else:
            found.append(Block(title, part["language"], part["text"]))
    return found


def block(title: str, language: str, number: int = 0) -> str:
    """The text of the ``number``-th block of the language under the heading."""
    return [b.text for b in blocks() if (b.title, b.language) == (title, language)][number]


def programs(place: Path) -> Path:
    """A directory with a ``jobctl`` that is this checkout, for a `PATH` however bare."""
    place.mkdir(parents=True)
    program(
        place / "jobctl",
        f'PYTHONPATH={shlex.quote(str(ROOT))} exec {shlex.quote(sys.executable)} -m jobctl "$@"',
    )
    return place


def program(path: Path, script: str) -> Path:
    """A program in the shell's language."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path
