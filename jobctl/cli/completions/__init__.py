"""Completion scripts for bash, zsh and fish, made out of the command tree.

``python -m jobctl.cli.completions --write`` writes ``completions/``; ``--check`` fails when what
stands there is not what would be written. Commands, options and choices are in the scripts; what
depends on the jobs, they ask ``jobctl __complete`` (dynamic_completion.py).

What a job file says is foreign text, and a shell is an interpreter: candidates are compared and
quoted, and never given to anything that expands words.
"""

from __future__ import annotations

from pathlib import Path

from jobctl.cli.completions import bash, fish, zsh
from jobctl.cli.completions.tree import HEAD, read

__all__ = ["FILES", "check", "script", "write"]

FILES = {"bash": "jobctl.bash", "zsh": "_jobctl", "fish": "jobctl.fish"}

_SCRIPTS = {"bash": bash.script, "zsh": zsh.script, "fish": fish.script}


def script(shell: str) -> str:
    """The completion script of a shell."""
    return _SCRIPTS[shell](read(), HEAD)


def write(folder: Path) -> None:
    """Write the three files."""
    folder.mkdir(exist_ok=True)
    for shell, name in FILES.items():
        (folder / name).write_text(script(shell))


def check(folder: Path) -> list[str]:
    """The names of the files that are not what would be written."""
    return [
        name
        for shell, name in FILES.items()
        if not (folder / name).exists() or (folder / name).read_text() != script(shell)
    ]
