"""README's recipes as a whole; how each works is tested beside this."""

from __future__ import annotations

import ast
import re
import textwrap
from collections import Counter
from pathlib import Path

from tests.recipes.guide import block, blocks

HERE = Path(__file__).parent


def test_every_block_has_a_test() -> None:
    """Whoever adds one writes its test, and its line here."""
    assert Counter((block.title, block.language) for block in blocks()) == {
        ("cron", "crontab"): 1,
        ("Make", "make"): 1,
        ("A pool of workers", "python"): 1,
        ("An LLM pipeline", "python"): 1,
        ("GitHub Actions", "yaml"): 1,
        ("systemd", "ini"): 2,
        ("Docker", "dockerfile"): 1,
        ("Docker", "sh"): 1,
        ("A Node application that has its own job files", "js"): 3,
        ("A Node application that has its own job files", "sh"): 1,
        ("A page in Vite", "js"): 3,
    }


def test_blocks_are_short() -> None:
    """They fit a screen."""
    for title, _, text in blocks():
        lines = text.splitlines()
        assert len(lines) <= 25, title
        assert max(map(len, lines)) <= 110, title


def test_pool_is_the_tested_file() -> None:
    """Word for word, in one piece."""
    assert block("A pool of workers", "python") in (HERE / "process_pool.py").read_text()


def test_llm_pipeline_is_the_tested_file() -> None:
    """Two pieces, the second one indented there."""
    text = (HERE / "llm_pipeline.py").read_text()
    call, work = block("An LLM pipeline", "python").split("\n\n\n")
    assert call + "\n\n\n" in text
    assert textwrap.indent(work, "    ") in text


def test_python_stands_for_itself() -> None:
    """What is no Python, or names a file that is not there, would not show above."""
    section = {b.title: b.text for b in blocks() if b.language == "python"}
    for text in section.values():
        ast.parse(text)
    readme = (HERE.parent.parent / "README.md").read_text()
    for name in re.findall(r"`tests/recipes/(\w+\.py)`", readme):
        assert (HERE / name).exists()
