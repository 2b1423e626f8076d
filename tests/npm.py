"""Programs of Node with packages from npm, for tests that run them."""

from __future__ import annotations

import atexit
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import pytest

__all__ = ["install", "install_packages"]


def install(here: Path, program: str, folder: Path) -> Path:
    """The program in the folder, with what ``package.json`` beside it names; skips without npm."""
    shutil.copy(here / "package.json", folder)
    return install_packages(folder, here / program)


def install_packages(folder: Path, *programs: Path) -> Path:
    """Copy the programs into the folder, install what its ``package.json`` names, return the first.

    Skips without npm. The same packages are installed once in a test run.
    """
    if shutil.which("npm") is None:
        pytest.skip("needs npm")
    for program in programs:
        shutil.copy(program, folder)
    installed = _installed((folder / "package.json").read_text())
    if isinstance(installed, str):
        pytest.skip(f"npm could not install the packages of {folder.name}: {installed}")
    (folder / "node_modules").symlink_to(installed)
    return folder / programs[0].name if programs else folder


@cache
def _installed(packages: str) -> Path | str:
    """Where the packages are, or what npm said."""
    place = tempfile.mkdtemp(prefix="jobctl-npm-")
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    (Path(place) / "package.json").write_text(packages)
    installed = subprocess.run(
        ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"],
        cwd=place, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    return installed.stderr[-200:] if installed.returncode else Path(place) / "node_modules"
