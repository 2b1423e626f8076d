"""The README's examples run as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"
EXAMPLES = re.findall(
    r"<!-- runs -->\n```(sh|python)\n(.*?)```", README.read_text(), flags=re.DOTALL
)


def test_there_are_examples() -> None:
    """The pattern above finds what the README marks."""
    assert [language for language, _ in EXAMPLES] == ["sh", "sh", "python", "python"]


@pytest.mark.slow
@pytest.mark.parametrize(("language", "text"), EXAMPLES)
def test_example_runs(language: str, text: str, tmp_path: Path) -> None:
    """Each marked block runs without an error in an empty directory."""
    shim = tmp_path / "bin" / "jobctl"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec {sys.executable} -m jobctl "$@"\n')
    shim.chmod(0o755)
    (tmp_path / "jobs").mkdir(mode=0o700)
    env = os.environ | {
        "PATH": f"{shim.parent}{os.pathsep}{os.environ['PATH']}",
        "JOBCTL_DIR": str(tmp_path / "jobs"),
        "PYTHONPATH": str(README.parent),
    }
    command = ["sh", "-euc", text] if language == "sh" else [sys.executable, "-c", text]
    run = subprocess.run(
        command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")


def test_library_example_says_what_it_prints(tmp_path: Path) -> None:
    """The one output that the README shows in a comment is the real one."""
    run = subprocess.run(
        [sys.executable, "-c", EXAMPLES[3][1]],
        cwd=README.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert run.stdout.splitlines()[0] == "['extract']"
