"""README's recipes as a whole; how each works is tested beside this."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path

import pytest

from jobctl.core.cursor import ZERO
from jobctl.stores import open_store
from tests.cli.conftest import environment
from tests.recipes.guide import block, blocks

HERE = Path(__file__).parent


def test_every_block_has_a_test() -> None:
    """Whoever adds one writes its test, and its line here."""
    assert Counter((block.title, block.language) for block in blocks()) == {
        ("cron", "crontab"): 1,
        ("Make", "make"): 1,
        ("A pool of workers", "python"): 1,
        ("An LLM pipeline", "python"): 1,
        ("SLURM and torchrun", "sh"): 2,
        ("SLURM and torchrun", "python"): 1,
        ("GitHub Actions", "yaml"): 1,
        ("systemd", "ini"): 2,
        ("Prometheus", "yaml"): 2,
        ("Docker", "dockerfile"): 1,
        ("Docker", "sh"): 1,
        ("A Node application that has its own job files", "js"): 3,
        ("A Node application that has its own job files", "sh"): 1,
        ("A page in Vite", "js"): 3,
        ("A page in Solid, React or plain HTML", "html"): 1,
        ("A page in Solid, React or plain HTML", "sh"): 1,
        ("A page in Solid, React or plain HTML", "jsx"): 3,
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


@pytest.mark.slow
def test_killed_worker_of_a_pool_is_lost(tmp_path: Path) -> None:
    """The pool breaks, which fails the other tasks, and the whole job has its count."""
    text = (HERE / "process_pool.py").read_text()
    died = "import os; os.kill(os.getpid(), 9)"
    (tmp_path / "pool.py").write_text(
        text.replace('raise ValueError(f"cannot clean {name}")', died)
    )
    subprocess.run(
        [sys.executable, str(tmp_path / "pool.py"), "spawn", "bad", "good"],
        env=environment(JOBCTL_DIR=str(tmp_path / "jobs")), check=True, timeout=50,
    )  # fmt: skip
    store = open_store(tmp_path / "jobs")
    dead = store.owners.dead()
    jobs = store.since(ZERO).jobs
    assert "bad" in [job.title for job in jobs if job.lost(dead)]
    (whole,) = (job for job in jobs if job.type == "nightly")
    assert whole.stage == "completed"
    assert whole.result["failed"] >= 1
    store.close()


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
