"""Programs of Node with packages from npm, for tests that run them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

__all__ = ["install"]


def install(here: Path, program: str, folder: Path) -> Path:
    """The program in the folder, with what ``package.json`` beside it names; skips without npm."""
    if shutil.which("npm") is None:
        pytest.skip("needs npm")
    for name in ("package.json", program):
        shutil.copy(here / name, folder)
    installed = subprocess.run(
        ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"],
        cwd=folder, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    if installed.returncode:
        pytest.skip(f"npm could not install {program}'s packages: {installed.stderr[-200:]}")
    return folder / program
