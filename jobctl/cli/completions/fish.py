"""The script for fish."""

from __future__ import annotations

from collections.abc import Iterator

from jobctl.cli.completions.tree import Command, Value

__all__ = ["script"]

_FUNCTIONS = r"""
# Sets in the caller: `command`, its arguments before the cursor in `given`, `directory` and `url`.
# (fish does not tell what follows the cursor.)
function __jobctl_read --no-scope-shadowing
    set command
    set given
    set directory
    set url
    set -l words (commandline -opc)
    set -e words[1]
    set -l expected
    set -l only
    for word in $words
        if test -n "$expected"
            test $expected = --dir && set directory "$word"
            test $expected = --url && set url "$word"
            set expected
        else if test -n "$only"
            set -a given "$word"
        else if test "$word" = --
            set only yes
        else if string match -q -- '--dir=*' "$word"
            set directory (string replace -- --dir= '' "$word")
        else if string match -q -- '--url=*' "$word"
            set url (string replace -- --url= '' "$word")
        else if string match -q -- '--*' "$word"
            contains -- "$command $word" $__jobctl_takes && set expected "$word"
        else if string match -q -- '-?*' "$word"
            # -abc: what follows the first letter that takes a value is that value.
            set -l letters (string split '' -- (string sub -s 2 -- "$word"))
            while set -q letters[1]
                if contains -- "$command -$letters[1]" $__jobctl_takes
                    set -q letters[2] || set expected -$letters[1]
                    break
                end
                set -e letters[1]
            end
        else if test -z "$command"
            set command "$word"
            set only
        else
            set -a given "$word"
            contains -- "$command" $__jobctl_ending && set only yes
        end
    end
end

# Whether the cursor is in this command ("": before any), behind so many arguments at least and at
# most.
function __jobctl_at
    set -l command
    set -l given
    set -l directory
    set -l url
    __jobctl_read
    test "$command" = "$argv[1]" || return
    set -q argv[2] && test (count $given) -lt $argv[2] && return 1
    set -q argv[3] && test (count $given) -gt $argv[3] && return 1
    return 0
end

# What the cursor's word means up to there, without the name of its option.
function __jobctl_prefix
    set -l token (commandline -ct)
    set -l word (string unescape -- "$token") || set word "$token"
    string replace -r -- '^--[^=]*=' '' "$word"
end

# What jobctl itself has to offer of this kind.
function __jobctl_ask
    set -l command
    set -l given
    set -l directory
    set -l url
    __jobctl_read
    set -l prefix (__jobctl_prefix)
    string match -qr -- '^-[^=]*$' (commandline -ct) && return # an option
    set -l where
    test -n "$directory" && set -a where --dir "$directory"
    test -n "$url" && set -a where --url "$url"
    set -l name jobctl
    if not command -sq jobctl
        set name (string replace -r '^~/' "$HOME/" -- (commandline -opc)[1])
        string match -q '*/*' -- "$name" && test -x "$name" || return
    end
    command $name __complete $argv[1] $where -- "$prefix" $given </dev/null 2>/dev/null
end

function __jobctl_directories
    __fish_complete_directories (string replace -r -- '^--[^=]*=' '' (commandline -ct)) ''
end

# A file behind an @; else it is JSON, which nobody can guess.
function __jobctl_result
    set -l prefix (__jobctl_prefix)
    if string match -q -- '@*' "$prefix"
        string replace -r -- '^' @ (__fish_complete_path (string sub -s 2 -- "$prefix"))
    else if test -z "$prefix"
        printf '@\tJSON in a file\n'
    end
end

# A command line in its own right.
function __jobctl_command
    set -l command
    set -l given
    set -l directory
    set -l url
    __jobctl_read
    set -l token (commandline -ct)
    test (count $given) = 0 && string match -q -- '-*' "$token" && return
    complete -C (string join ' ' -- (string escape -- $given) "$token")
end

complete -c jobctl -e
complete -c jobctl -f
"""


def script(commands: list[Command], head: str) -> str:
    """Return the script that completes these commands."""
    lines = [line for command in commands for line in _command(command)]
    return "\n".join([head, "", *_tables(commands)]) + f"\n{_FUNCTIONS}" + "\n".join([*lines, ""])


def _tables(commands: list[Command]) -> Iterator[str]:
    yield "# The options that take a value."
    yield "set -g __jobctl_takes \\"
    for command in commands:
        for option in command.options:
            if option.value is not None:
                names = " ".join(_quoted(f"{command.name} {name}") for name in option.names)
                yield f"    {names} \\"
    yield ""
    yield "# The commands whose options end with the first argument."
    ending = [command.name for command in commands if command.name and not command.interspersed]
    yield f"set -g __jobctl_ending {' '.join(ending)}"


def _command(command: Command) -> Iterator[str]:
    if command.name:
        yield (
            f"complete -c jobctl -n '__jobctl_at \"\"' -a {command.name} -d {_quoted(command.help)}"
        )
    at = f"__jobctl_at {command.name}" if command.name else '__jobctl_at ""'
    for option in command.options:
        words = [
            f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names
        ]
        if option.value is not None:
            words.append(_value(option.value))
        where = at if command.interspersed or not command.name else f"{at} 0 0"
        yield (
            f"complete -c jobctl -n {_quoted(where)} {' '.join(words)} -d {_quoted(option.help)}"
        )
    for index, argument in enumerate(command.arguments):
        where = f"{at} {index}" if argument.many else f"{at} {index} {index}"
        what = _words(argument.value)
        if what:
            yield f"complete -c jobctl -n {_quoted(where)} {what}"


_KNOWN = {
    "command": "-a '(__jobctl_command)'",
    "directories": "-a '(__jobctl_directories)'",
    "environment": "-a '(set -nx)'",
    "result": "-a '(__jobctl_result)'",
    "": "",
}


def _value(value: Value) -> str:
    return "-r -F" if value.kind == "files" else f"-x {_words(value)}".rstrip()


def _words(value: Value) -> str:
    if value.kind == "words":
        return f"-a {_quoted(' '.join(value.words))}"
    return _KNOWN.get(value.kind, f"-k -a '(__jobctl_ask {value.kind})'")


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
