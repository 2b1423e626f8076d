"""Programs of Node with packages from npm, for tests that run them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

__all__ = ["install", "install_packages"]


def install(here: Path, program: str, folder: Path) -> Path:
    """The program in the folder, with what ``package.json`` beside it names; skips without npm."""
    shutil.copy(here / "package.json", folder)
    return install_packages(folder, here / program)


def install_packages(folder: Path, *programs: Path) -> Path:
    """Copy the programs into the folder, install what its ``package.json`` names, return the first.

    Skips without npm.
    """
    if shutil.which("npm") is None:
        pytest.skip("needs npm")
    for program in programs:
        shutil.copy(program, folder)
    installed = subprocess.run(
        ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"],
        cwd=folder, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    if installed.returncode:
        named = programs[0].name
        pytest.skip(f"npm could not install {named}'s packages: {installed.stderr[-200:]}")
    return folder / programs[0].name
