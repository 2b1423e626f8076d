"""``jobctl completion``: prints the script that teaches a shell our commands."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from jobctl.cli.common import out

__all__ = ["EXAMPLE", "completion"]

EXAMPLE = "Example: source <(jobctl completion bash)"


class Shell(StrEnum):
    """The shells that are known."""

    bash = "bash"
    zsh = "zsh"
    fish = "fish"


def completion(shell: Annotated[Shell, typer.Argument(help="The shell.")]) -> None:
    """Print the completion script of a shell."""
    from jobctl.cli.completions import script

    out(script(shell.value).rstrip("\n"))
