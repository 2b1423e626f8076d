"""The script for zsh."""

from __future__ import annotations

from collections.abc import Iterator

from jobctl.cli.completions.tree import Command, Option, Value

__all__ = ["script"]

_FUNCTIONS = r"""
# What jobctl itself has to offer of this kind, with its words for people. Candidates are added as
# they stand: the shell quotes them.
__jobctl_ask() {
    local kind=$1 name=jobctl row value width=0 i
    local -a given where values words_for shown with expl
    if (( ! $+commands[jobctl] )); then
        name=${(Q)program/#\~\//$HOME/}
        [[ $name == */* && -x $name ]] || return 1
    fi
    # opt_args has a backslash before each colon and backslash of a value.
    local directory=${opt_args[--dir]//(#b)\\(?)/$match[1]} url=${opt_args[--url]}
    [[ -z $directory ]] || where+=(--dir "${(Q)directory}")
    [[ -z $url || $kind == hubs ]] || where+=(--url "${(Q)url}")
    for value in "$line[@]"; do
        given+=("${(Q)value}")
    done
    value=${(Q)words[CURRENT]}
    given[(ie)$value]=() # the cursor's own word
    given+=("${(@Q)words[CURRENT+1,-1]:#-*}") # line does not go on behind it
    for row in ${(f)"$(command "$name" __complete $kind $where -- "${(Q)PREFIX}" "$given[@]" \
            </dev/null 2>/dev/null)"}; do
        value=${row%%$'\t'*}
        values+=("$value")
        words_for+=("${row#$value}")
        (( $#value <= width )) || width=$#value
    done
    # Not _describe: it puts jobs of the same description together, wherever they stand.
    for (( i = 1; i <= $#values; i++ )); do
        row=$values[i]
        if [[ -n $words_for[i] ]]; then
            row="${(r:width:)row}  -- ${words_for[i]#$'\t'}"
            with=(-l)
        fi
        shown+=("${row[1,COLUMNS-1]}")
    done
    _wanted -V $kind expl $kind compadd $with -d shown -a values
}

# A file behind an @; else it is JSON, which nobody can guess.
__jobctl_result() {
    if compset -P @; then
        _files
    elif [[ -z $PREFIX ]]; then
        compadd -S '' @
    fi
}

_jobctl() {
    local program=$words[1] command='' curcontext=$curcontext i
    for (( i = 2; i < CURRENT; i++ )); do
        if [[ $words[i] != -* ]]; then
            command=$words[i]
            curcontext=${curcontext%:*:*}:jobctl-$command:
            shift $(( i - 1 )) words
            (( CURRENT -= i - 1 ))
            break
        fi
    done
    case $command in
"""

_TAIL = r"""
    esac
}

# Autoloaded from $fpath, this file is the function's body; sourced, it has to register itself.
if [[ $funcstack[1] == _jobctl ]]; then
    _jobctl "$@"
else
    compdef _jobctl jobctl
fi
"""


def script(commands: list[Command], head: str) -> str:
    """Return the script that completes these commands."""
    cases = [line for command in commands for line in _case(command)]
    return (
        "\n".join(["#compdef jobctl", head, "", *_commands(commands)])
        + f"\n{_FUNCTIONS}"
        + "\n".join(cases)
        + _TAIL
    )


def _commands(commands: list[Command]) -> Iterator[str]:
    yield "__jobctl_commands() {"
    yield "    local -a commands=("
    for command in commands:
        if command.name:
            yield f"        '{command.name}:{_quoted(command.help)}'"
    yield "    )"
    yield "    _describe -V -t commands command commands"
    yield "}"


def _case(command: Command) -> Iterator[str]:
    yield f"        {command.name or _NONE})"
    yield "            _arguments -s -S \\"
    for option in command.options:
        yield from (f"                '{spec}' \\" for spec in _specs(option))
    for index, argument in enumerate(command.arguments, 1):
        if argument.value.kind == "command":
            yield "                '(-)1: :_command_names -e' \\"
            yield "                '(-)*:: :_normal' \\"
            break
        where = "*" if argument.many else str(index)
        yield f"                '{where}:{_value(argument.value)}' \\"
    if not command.name:
        yield "                '1:command: __jobctl_commands' \\"
    yield "                ;;"


def _specs(option: Option) -> Iterator[str]:
    """Return one specification per name."""
    for name in option.names:
        among = (
            "*" if option.multiple else f"({' '.join(option.names)})" if option.names[1:] else ""
        )
        text = f"{among}{name}{_joint(name) if option.value else ''}[{_quoted(option.help)}]"
        yield f"{text}:{_value(option.value)}" if option.value else text


def _joint(name: str) -> str:
    """Return how a value may follow: --name=value, -nvalue, or as the next word."""
    return "=" if name.startswith("--") else "+"


_NONE = "''"

_KNOWN = {
    "": " ",
    "files": "_files",
    "directories": "_path_files -/",
    "environment": '_parameters -g "*export*"',
    "result": " __jobctl_result",
}


def _value(value: Value) -> str:
    if value.kind == "words":
        action = f"({' '.join(value.words)})"
    else:
        action = _KNOWN.get(value.kind, f" __jobctl_ask {value.kind}")
    return f"{_quoted(value.name)}:{action}"


def _quoted(text: str) -> str:
    return text.replace("'", "'\\''").replace("[", "\\[").replace("]", "\\]").replace(":", "\\:")
