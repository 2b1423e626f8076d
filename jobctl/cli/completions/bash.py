"""The script for bash. It needs no bash-completion."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from jobctl.cli.completions.tree import Command, Value

__all__ = ["script"]

_FUNCTIONS = r"""
# The line's words in `words`, the one with the cursor, cut there, at `at`; in `starts`, which of
# COMP_WORDS each begins with. (bash splits at COMP_WORDBREAKS as well: --stage=fa is three.)
__jobctl_words() {
    local line=$COMP_LINE piece gap place i inside=''
    words=() starts=() at=0
    for ((i = 0; i < ${#COMP_WORDS[@]}; i++)); do
        piece=${COMP_WORDS[i]}
        gap=${line%%[![:space:]]*}
        line=${line#"$gap"}
        place=$((${#COMP_LINE} - ${#line}))
        line=${line#"$piece"}
        if ((i == COMP_CWORD && place > COMP_POINT)); then # in the blanks before the piece
            at=${#words[@]}
            words+=('') starts+=("$i") inside=''
        fi
        if [[ -n $gap || -z $inside ]]; then
            words+=('') starts+=("$i")
        fi
        inside=$piece
        words[${#words[@]} - 1]+=$piece
        if ((i == COMP_CWORD && place <= COMP_POINT)); then
            at=$((${#words[@]} - 1)) place=$((place + ${#piece} - COMP_POINT))
            ((place <= 0)) || words[at]=${words[at]:0:${#words[at]} - place}
        fi
    done
}

# What a word means, in REPLY; `quote` is the quotation mark that is still open. Expands nothing.
__jobctl_unquote() {
    local text=$1 char
    REPLY='' quote=''
    if [[ $text != *[\\\"\']* ]]; then
        REPLY=$text
        return
    fi
    while [[ -n $text ]]; do
        char=${text:0:1} text=${text:1}
        if [[ $char == \\ && $quote != \' ]]; then
            [[ -n $quote && ${text:0:1} != [\\\"\$\`] ]] && REPLY+=$char
            REPLY+=${text:0:1} text=${text:1}
        elif [[ -z $quote && $char == [\"\'] ]]; then
            quote=$char
        elif [[ -n $quote && $char == "$quote" ]]; then
            quote=''
        else
            REPLY+=$char
        fi
    done
}

# What the cursor's word means, in `prefix`, and the part of it that readline does not replace, in
# `kept`: what precedes a word break or the quotation mark that is open. $1 is what it replaces.
__jobctl_prefix() {
    local raw=${words[at]} before open
    before=${raw%"$1"}
    __jobctl_unquote "$raw"
    prefix=$REPLY open=$quote
    __jobctl_unquote "$before"
    if [[ -n $open && -z $quote ]]; then # called by another function, with the mark
        __jobctl_unquote "$before${1%"${1##*"$open"}"}"
    fi
    kept=$REPLY
}

# A text as it has to be typed where `quote` is open, in REPLY.
__jobctl_quoted() {
    local text=$1 char
    REPLY=$1
    if [[ -z $quote ]]; then
        [[ -z $text ]] || printf -v REPLY %q "$text"
        REPLY=${REPLY//\\,/,} # which means nothing to the shell: completed,failed
    elif [[ $text == *[\\\"\'\$\`\!]* ]]; then
        REPLY=''
        while [[ -n $text ]]; do
            char=${text:0:1} text=${text:1}
            case $quote$char in
                "''") REPLY+="'\\''" ;;
                '"!') REPLY+='"\!"' ;;
                \"[\\\"\$\`]) REPLY+=\\$char ;;
                *) REPLY+=$char ;;
            esac
        done
    fi
}

# Offer those that begin as the word does. (Never compgen -W: it expands what it is given.)
__jobctl_offer() {
    local value
    for value; do
        if [[ -n $value && $value == "$prefix"* ]]; then
            value=$lead$value
            __jobctl_quoted "${value:${#kept}}"
            COMPREPLY+=("$REPLY")
        fi
    done
}

# The same with what comes on standard input, one a line, up to a tab.
__jobctl_offer_lines() {
    local line lines=()
    while IFS= read -r line; do
        lines+=("${line%%$'\t'*}")
    done
    __jobctl_offer "${lines[@]}"
}

# What jobctl itself has to offer of this kind.
__jobctl_ask() {
    local program=jobctl
    if ! type -P jobctl >/dev/null; then
        __jobctl_unquote_program "${words[0]}"
        [[ -x $program && $program == */* ]] || return
    fi
    compopt -o nosort 2>/dev/null
    __jobctl_offer_lines <<<"$(command "$program" __complete "$1" "${where[@]}" -- "$prefix" \
        "${given[@]}" </dev/null 2>/dev/null)"
}

__jobctl_unquote_program() {
    local quote REPLY
    __jobctl_unquote "$1"
    program=${REPLY/#\~\//$HOME/}
}

# A file behind an @; else it is JSON, which nobody can guess.
__jobctl_result() {
    if [[ -z $prefix ]]; then
        __jobctl_offer @
    elif [[ $prefix == @* ]]; then
        __jobctl_offer_lines <<<"$(compgen -f -- "${prefix#@}" | while IFS= read -r file; do
            [[ ! -d $file ]] || file+=/
            printf '@%s\n' "$file"
        done)"
    fi
    if [[ ${#COMPREPLY[@]} == 1 && $COMPREPLY == *[@/] ]]; then
        compopt -o nospace 2>/dev/null
    fi
}

# A command line in its own right, which begins with that word.
__jobctl_command() {
    if declare -F _comp_command_offset >/dev/null; then
        _comp_command_offset "${starts[$1]}"
    elif declare -F _command_offset >/dev/null; then
        _command_offset "${starts[$1]}"
    else
        if [[ $1 == "$at" && $prefix != */* ]]; then
            __jobctl_offer_lines <<<"$(compgen -c -- "$prefix")"
        fi
        compopt -o default 2>/dev/null
    fi
}

__jobctl_complete() {
    case $1 in
        '') ;;
        words\ *) __jobctl_offer ${1#words } ;;
        files) compopt -o default 2>/dev/null ;;
        directories) compopt -o dirnames 2>/dev/null ;;
        environment) __jobctl_offer $(compgen -e) ;;
        result) __jobctl_result ;;
        command) __jobctl_command "$first" ;;
        *) __jobctl_ask "$1" ;;
    esac
}

# The first of the letters in -abc whose option takes a value, in REPLY, and the letters behind it,
# in `rest`.
__jobctl_bundle() {
    local letters=${1#-}
    while [[ -n $letters ]]; do
        rest=${letters:1}
        if __jobctl_value "$command" "-${letters:0:1}"; then
            REPLY=-${letters:0:1}
            return
        fi
        letters=$rest
    done
    return 1
}

_jobctl() {
    local IFS=$' \t\n' words starts at quote prefix kept lead='' REPLY
    local command='' expected='' option='' redirection='^[0-9&]*[<>]' rest word i
    local literal='' only='' first='' place=0 given=() where=() directory='' url=''
    COMPREPLY=()
    __jobctl_words
    for ((i = 1; i < ${#words[@]}; i++)); do
        if ((i == at)); then
            option=$expected expected='' literal=$only place=${#given[@]}
            continue
        fi
        __jobctl_unquote "${words[i]}"
        word=$REPLY
        if [[ -n $expected ]]; then
            [[ $expected != --dir ]] || directory=$word
            [[ $expected != --url ]] || url=$word
            expected=''
        elif [[ ${words[i]} =~ $redirection ]]; then
            [[ $word != *[\<\>\&\|] ]] || expected='>'
        elif [[ -z $only && $word == -- ]]; then
            only=yes
        elif [[ -z $only && $word == --dir=* ]]; then
            directory=${word#*=}
        elif [[ -z $only && $word == --url=* ]]; then
            url=${word#*=}
        elif [[ -z $only && $word == --* ]]; then
            ! __jobctl_value "$command" "$word" || expected=$word
        elif [[ -z $only && $word == -?* ]]; then
            ! __jobctl_bundle "$word" || [[ -n $rest ]] || expected=$REPLY
        elif [[ -z $command ]]; then
            ((i < at)) || break
            command=$word only=''
        else
            ((i > at)) || first=${first:-$i}
            given+=("$word")
            ! __jobctl_options_end "$command" || only=yes
        fi
    done
    first=${first:-$at}
    [[ -z $directory ]] || where+=(--dir "$directory")
    [[ -z $url ]] || where+=(--url "$url")

    __jobctl_prefix "$2"
    if [[ ${words[at]} =~ $redirection || $option == '>' ]]; then
        __jobctl_complete files
        return
    fi
    if [[ -z $option && -z $literal && $prefix == --*=* ]]; then
        option=${prefix%%=*} lead=$option= prefix=${prefix#*=}
    elif [[ -z $option && -z $literal && $prefix == -[!-]?* ]] && __jobctl_bundle "$prefix"; then
        option=$REPLY lead=${prefix%"$rest"} prefix=$rest
    fi
    if [[ -n $option ]]; then
        ! __jobctl_value "$command" "$option" || __jobctl_complete "$REPLY"
    elif [[ -z $literal && $prefix == -* ]]; then
        __jobctl_options "$command"
        __jobctl_offer $REPLY
    else
        __jobctl_argument "$command" "$place"
        __jobctl_complete "$REPLY"
    fi
}

complete -F _jobctl jobctl
"""


def script(commands: list[Command], head: str) -> str:
    """Return the script that completes these commands."""
    parts = [_values(commands), _arguments(commands), _options(commands), _ends(commands)]
    return "\n".join([head, *(line for part in parts for line in ("", *part))]) + "\n" + _FUNCTIONS


def _values(commands: Iterable[Command]) -> Iterator[str]:
    yield "# What the value of a command's option is, in REPLY; fails for a flag."
    yield "__jobctl_value() {"
    yield '    case "$1 $2" in'
    for command in commands:
        for option in command.options:
            if option.value is not None:
                names = " | ".join(f'"{command.name} {name}"' for name in option.names)
                yield f"        {names}) REPLY='{_kind(option.value)}' ;;"
    yield "        *) return 1 ;;"
    yield "    esac"
    yield "}"


def _arguments(commands: list[Command]) -> Iterator[str]:
    names = " ".join(command.name for command in commands if command.name)
    yield "# What a command's argument is, by the number of those before it."
    yield "__jobctl_argument() {"
    yield '    case "$1 $2" in'
    yield f"        ' 0') REPLY='words {names}' ;;"
    for command in commands:
        for place, argument in enumerate(command.arguments):
            key = f'"{command.name} "*' if argument.many else f'"{command.name} {place}"'
            yield f"        {key}) REPLY='{_kind(argument.value)}' ;;"
    yield "        *) REPLY='' ;;"
    yield "    esac"
    yield "}"


def _options(commands: Iterable[Command]) -> Iterator[str]:
    yield "__jobctl_options() {"
    yield "    case $1 in"
    for command in commands:
        names = " ".join(name for option in command.options for name in option.names)
        yield f"        '{command.name}') REPLY='{names}' ;;"
    yield "        *) REPLY='' ;;"
    yield "    esac"
    yield "}"


def _ends(commands: Iterable[Command]) -> Iterator[str]:
    yield "# Whether a command's options end with its first argument."
    yield "__jobctl_options_end() {"
    yield "    case $1 in"
    for command in commands:
        if command.name and not command.interspersed:
            yield f"        {command.name}) ;;"
    yield "        *) return 1 ;;"
    yield "    esac"
    yield "}"


def _kind(value: Value) -> str:
    return " ".join([value.kind, *value.words])
