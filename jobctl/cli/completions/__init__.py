"""Generates completion scripts for bash, zsh and fish from the command tree.

``python -m jobctl.cli.completions --write`` writes ``completions/``; ``--check`` fails if those
files are outdated. Commands, options and choices are in the scripts. For everything that depends on
jobs they call ``jobctl __complete`` (dynamic_completion.py).

Job files are untrusted text, and a shell is an interpreter. So candidates are compared and quoted,
and never passed to anything that expands words.
"""

from __future__ import annotations

from pathlib import Path

from jobctl.cli.completions import bash, fish, zsh
from jobctl.cli.completions.tree import HEAD, read

__all__ = ["FILES", "check", "script", "write"]

FILES = {"bash": "jobctl.bash", "zsh": "_jobctl", "fish": "jobctl.fish"}

_SCRIPTS = {"bash": bash.script, "zsh": zsh.script, "fish": fish.script}


def script(shell: str) -> str:
    """Return the completion script of a shell."""
    return _SCRIPTS[shell](read(), HEAD)


def write(folder: Path) -> None:
    """Write the three files."""
    folder.mkdir(exist_ok=True)
    for shell, name in FILES.items():
        (folder / name).write_text(script(shell))


def check(folder: Path) -> list[str]:
    """Return the names of the outdated files."""
    return [
        name
        for shell, name in FILES.items()
        if not (folder / name).exists() or (folder / name).read_text() != script(shell)
    ]
