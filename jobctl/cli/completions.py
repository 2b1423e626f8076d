"""Completion scripts for bash, zsh and fish, made out of the command tree.

``python -m jobctl.cli.completions --write`` writes ``completions/``; ``--check`` fails when what
stands there is not what would be written. The scripts are static: they start no Python. Where ids
belong, they leave a function to fill (``__jobctl_ids``).
"""

from __future__ import annotations

import sys
from enum import EnumMeta
from pathlib import Path
from typing import Any, NamedTuple

import typer
from typer.core import TyperArgument

from jobctl.cli.app import COMMANDS, build

__all__ = ["FILES", "check", "script", "write"]

FILES = {"bash": "jobctl.bash", "zsh": "_jobctl", "fish": "jobctl.fish"}

_HEAD = "# Made by 'python -m jobctl.cli.completions --write'; do not edit."


class _Option(NamedTuple):
    names: list[str]
    help: str
    takes: bool
    choices: list[str]


class _Command(NamedTuple):
    name: str
    help: str
    options: list[_Option]
    choices: list[str]  # of its argument


def _tree() -> list[_Command]:
    group: Any = typer.main.get_command(build())
    return [_command(name, group.commands[name]) for name in COMMANDS]


def _command(name: str, command: Any) -> _Command:
    choices: list[str]
    options = [_Option(["-h", "--help"], "Show this message and exit.", False, [])]
    argument: list[str] = []
    for parameter in command.params:
        kind: Any = parameter.type_descriptor.annotation
        choices = list(kind) if isinstance(kind, EnumMeta) else []
        if isinstance(parameter, TyperArgument):
            argument += choices
            continue
        names = [*parameter.opts, *parameter.secondary_opts]
        options.append(_Option(names, parameter.help or "", not parameter.is_flag, choices))
    text = (command.help or "").strip().splitlines()[0]
    return _Command(name, text, options, argument)


def script(shell: str) -> str:
    """The completion script of a shell."""
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](_tree())


# Readline's own completion of file names: it knows blanks, and puts a slash behind directories.
_BASH_FILES = "compopt -o default"


def _bash(commands: list[_Command]) -> str:
    lines = [
        _HEAD,
        "__jobctl_ids() { :; }",
        "_jobctl() {",
        '    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command="" i',
        "    COMPREPLY=()",
        "    for ((i = 1; i < COMP_CWORD; i++)); do",
        "        [[ ${COMP_WORDS[i]} != -* ]] && { command=${COMP_WORDS[i]}; break; }",
        "    done",
        '    case "$command $before" in',
    ]
    for command in commands:
        for option in command.options:
            if option.takes:
                keys = "|".join(f'"{command.name} {name}"' for name in option.names)
                words = " ".join(option.choices)
                how = f"COMPREPLY=($(compgen -W '{words}' -- \"$word\"))" if words else _BASH_FILES
                lines.append(f"        {keys}) {how}; return ;;")
    lines += ["    esac", '    case "$command" in']
    names = " ".join(command.name for command in commands)
    lines.append(
        f"        '') COMPREPLY=($(compgen -W '{names} --help --version' -- \"$word\")) ;;"
    )
    for command in commands:
        flags = " ".join(name for option in command.options for name in option.names)
        words = " ".join(command.choices) if command.choices else "$(__jobctl_ids)"
        lines += [
            f"        {command.name})",
            "            if [[ $word == -* ]]; then",
            f"                COMPREPLY=($(compgen -W '{flags}' -- \"$word\"))",
            "            else",
            f'                COMPREPLY=($(compgen -W "{words}" -- "$word"))',
            "            fi ;;",
        ]
    return "\n".join([*lines, "    esac", "}", "complete -F _jobctl jobctl", ""])


def _quoted(text: str) -> str:
    return text.replace("'", "'\\''").replace("[", "\\[").replace("]", "\\]").replace(":", "\\:")


def _zsh(commands: list[_Command]) -> str:
    lines = ["#compdef jobctl", _HEAD, "__jobctl_ids() { : }", "_jobctl() {"]
    lines += ["    local -a commands", "    commands=("]
    lines += [f"        '{command.name}:{_quoted(command.help)}'" for command in commands]
    lines += [
        "    )",
        "    if (( CURRENT == 2 )); then",
        "        _describe command commands",
        "        return",
        "    fi",
        "    local command=$words[2]",
        "    shift words; (( CURRENT-- ))",
        "    case $command in",
    ]
    for command in commands:
        lines += [f"        {command.name})", "            _arguments \\"]
        for option in command.options:
            value = ""
            if option.takes:
                value = (
                    f":value:({' '.join(option.choices)})" if option.choices else ":value:_files"
                )
            lines += [
                f"                '{name}[{_quoted(option.help)}]{value}' \\"
                for name in option.names
            ]
        rest = (
            f"'*:value:({' '.join(command.choices)})'" if command.choices else "'*:id:__jobctl_ids'"
        )
        lines += [f"                {rest} ;;"]
    # Autoloaded from $fpath, this file is the function's body; sourced, it has to register itself.
    lines += ["    esac", "}", "if [[ $funcstack[1] == _jobctl ]]; then", '    _jobctl "$@"']
    return "\n".join([*lines, "else", "    compdef _jobctl jobctl", "fi", ""])


def _fish(commands: list[_Command]) -> str:
    lines = [_HEAD, "function __jobctl_ids; end", "complete -c jobctl -f"]
    for command in commands:
        text = command.help.replace("'", "\\'")
        lines.append(f"complete -c jobctl -n __fish_use_subcommand -a {command.name} -d '{text}'")
    for command in commands:
        seen = f"'__fish_seen_subcommand_from {command.name}'"
        for option in command.options:
            words = [
                f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}"
                for name in option.names
            ]
            if option.takes:
                words.append(f"-x -a '{' '.join(option.choices)}'" if option.choices else "-r")
            text = option.help.replace("'", "\\'")
            lines.append(f"complete -c jobctl -n {seen} {' '.join(words)} -d '{text}'")
        what = f"'{' '.join(command.choices)}'" if command.choices else "'(__jobctl_ids)'"
        lines.append(f"complete -c jobctl -n {seen} -a {what}")
    return "\n".join([*lines, ""])


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


def _main(args: list[str]) -> int:
    folder = Path("completions")
    if args == ["--write"]:
        write(folder)
        return 0
    if args == ["--check"]:
        stale = check(folder)
        for name in stale:
            sys.stderr.write(f"completions/{name} is not up to date: run with --write\n")
        return 1 if stale else 0
    sys.stderr.write("usage: python -m jobctl.cli.completions --write|--check\n")
    return 2


if __name__ == "__main__":
    raise SystemExit(_main(sys.argv[1:]))
