"""``jobctl completion``: print the completion script of a shell."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from jobctl.cli.common import out
from jobctl.cli.options import Argument

__all__ = ["EXAMPLE", "completion"]

EXAMPLE = "Example: source <(jobctl completion bash)"


class Shell(StrEnum):
    """The supported shells."""

    bash = "bash"
    zsh = "zsh"
    fish = "fish"


def completion(
    shell: Annotated[Shell, Argument(metavar="SHELL", help="The shell: bash, zsh or fish.")],
) -> None:
    """Print the completion script of a shell.

    It completes commands and options, and the ids, stages, types, sessions and hubs of the
    directory that the command line names. To have it in every new shell:

    \b
    bash:
      mkdir -p ~/.local/share/bash-completion/completions
      jobctl completion bash >~/.local/share/bash-completion/completions/jobctl
      or, without bash-completion, in ~/.bashrc: source <(jobctl completion bash)
    zsh:
      mkdir -p ~/.zfunc
      jobctl completion zsh >~/.zfunc/_jobctl
      and in ~/.zshrc: fpath+=~/.zfunc; autoload -Uz compinit; compinit
    fish:
      mkdir -p ~/.config/fish/completions
      jobctl completion fish >~/.config/fish/completions/jobctl.fish
    """
    from jobctl.cli.completions import script

    out(script(shell.value).rstrip("\n"))
