# Made by 'python -m jobctl.cli.completions --write'; do not edit.

# What the value of a command's option is, in REPLY; fails for a flag.
__jobctl_value() {
    case "$1 $2" in
        "serve --host") REPLY='' ;;
        "serve --port") REPLY='' ;;
        "serve --path") REPLY='' ;;
        "serve --unix") REPLY='files' ;;
        "serve --base-path") REPLY='' ;;
        "serve --allow-host") REPLY='' ;;
        "serve --allow-origin") REPLY='' ;;
        "serve --token-file") REPLY='files' ;;
        "serve --tls-cert") REPLY='files' ;;
        "serve --tls-key") REPLY='files' ;;
        "serve --max-connections") REPLY='' ;;
        "serve --prune-older-than") REPLY='' ;;
        "serve --session-url") REPLY='' ;;
        "serve --log-format") REPLY='words text json' ;;
        "serve --dir") REPLY='directories' ;;
        "clients -o" | "clients --output") REPLY='words table wide json jsonl name' ;;
        "clients --time-format") REPLY='words relative iso local' ;;
        "clients --url") REPLY='hubs' ;;
        "clients --token-file") REPLY='files' ;;
        "clients --ca") REPLY='files' ;;
        "clients --dir") REPLY='directories' ;;
        "token --type") REPLY='types' ;;
        "token --session") REPLY='sessions' ;;
        "token -l" | "token --selector") REPLY='labels' ;;
        "token --expires") REPLY='' ;;
        "token --token-file") REPLY='files' ;;
        "watch --type") REPLY='types' ;;
        "watch --stage") REPLY='stages' ;;
        "watch --session") REPLY='sessions' ;;
        "watch -l" | "watch --selector") REPLY='labels' ;;
        "watch --since") REPLY='' ;;
        "watch --cursor") REPLY='' ;;
        "watch --cursor-file") REPLY='files' ;;
        "watch --url") REPLY='hubs' ;;
        "watch --token-file") REPLY='files' ;;
        "watch --ca") REPLY='files' ;;
        "watch --timeout") REPLY='' ;;
        "watch -o" | "watch --output") REPLY='words table wide json jsonl name' ;;
        "watch --time-format") REPLY='words relative iso local' ;;
        "watch --dir") REPLY='directories' ;;
        "wait --type") REPLY='types' ;;
        "wait --stage") REPLY='stages' ;;
        "wait --session") REPLY='sessions' ;;
        "wait -l" | "wait --selector") REPLY='labels' ;;
        "wait --for") REPLY='conditions' ;;
        "wait --timeout") REPLY='' ;;
        "wait -o" | "wait --output") REPLY='words table wide json jsonl name' ;;
        "wait --url") REPLY='hubs' ;;
        "wait --token-file") REPLY='files' ;;
        "wait --ca") REPLY='files' ;;
        "wait --dir") REPLY='directories' ;;
        "ls --type") REPLY='types' ;;
        "ls --stage") REPLY='stages' ;;
        "ls --session") REPLY='sessions' ;;
        "ls -l" | "ls --selector") REPLY='labels' ;;
        "ls --since") REPLY='' ;;
        "ls --until") REPLY='' ;;
        "ls --sort") REPLY='words created updated stage type id' ;;
        "ls --limit") REPLY='' ;;
        "ls --cursor") REPLY='' ;;
        "ls -o" | "ls --output") REPLY='words table wide json jsonl name' ;;
        "ls --time-format") REPLY='words relative iso local' ;;
        "ls --url") REPLY='hubs' ;;
        "ls --token-file") REPLY='files' ;;
        "ls --ca") REPLY='files' ;;
        "ls --dir") REPLY='directories' ;;
        "show -o" | "show --output") REPLY='words table wide json jsonl name' ;;
        "show --time-format") REPLY='words relative iso local' ;;
        "show --url") REPLY='hubs' ;;
        "show --token-file") REPLY='files' ;;
        "show --ca") REPLY='files' ;;
        "show --dir") REPLY='directories' ;;
        "stats --by") REPLY='' ;;
        "stats --type") REPLY='types' ;;
        "stats --stage") REPLY='stages' ;;
        "stats --session") REPLY='sessions' ;;
        "stats -l" | "stats --selector") REPLY='labels' ;;
        "stats --since") REPLY='' ;;
        "stats --until") REPLY='' ;;
        "stats -o" | "stats --output") REPLY='words table wide json jsonl name' ;;
        "stats --time-format") REPLY='words relative iso local' ;;
        "stats --url") REPLY='hubs' ;;
        "stats --token-file") REPLY='files' ;;
        "stats --ca") REPLY='files' ;;
        "stats --dir") REPLY='directories' ;;
        "logs --tail" | "logs -n") REPLY='' ;;
        "logs --since") REPLY='' ;;
        "logs --url") REPLY='hubs' ;;
        "logs --token-file") REPLY='files' ;;
        "logs --ca") REPLY='files' ;;
        "logs --dir") REPLY='directories' ;;
        "create --title") REPLY='' ;;
        "create --session") REPLY='sessions' ;;
        "create --stages") REPLY='' ;;
        "create --label") REPLY='labels' ;;
        "create --id") REPLY='' ;;
        "create -o" | "create --output") REPLY='words json jsonl name' ;;
        "create --dir") REPLY='directories' ;;
        "advance -o" | "advance --output") REPLY='words json jsonl name' ;;
        "advance --dir") REPLY='directories' ;;
        "progress -o" | "progress --output") REPLY='words json jsonl name' ;;
        "progress --dir") REPLY='directories' ;;
        "complete --result") REPLY='result' ;;
        "complete --result-session") REPLY='sessions' ;;
        "complete -o" | "complete --output") REPLY='words json jsonl name' ;;
        "complete --dir") REPLY='directories' ;;
        "fail -o" | "fail --output") REPLY='words json jsonl name' ;;
        "fail --dir") REPLY='directories' ;;
        "retry -o" | "retry --output") REPLY='words json jsonl name' ;;
        "retry --url") REPLY='hubs' ;;
        "retry --token-file") REPLY='files' ;;
        "retry --ca") REPLY='files' ;;
        "retry --dir") REPLY='directories' ;;
        "cancel --reason") REPLY='' ;;
        "cancel --timeout") REPLY='' ;;
        "cancel -o" | "cancel --output") REPLY='words json jsonl name' ;;
        "cancel --url") REPLY='hubs' ;;
        "cancel --token-file") REPLY='files' ;;
        "cancel --ca") REPLY='files' ;;
        "cancel --dir") REPLY='directories' ;;
        "ack -o" | "ack --output") REPLY='words json jsonl name' ;;
        "ack --url") REPLY='hubs' ;;
        "ack --token-file") REPLY='files' ;;
        "ack --ca") REPLY='files' ;;
        "ack --dir") REPLY='directories' ;;
        "rm -o" | "rm --output") REPLY='words json jsonl name' ;;
        "rm --url") REPLY='hubs' ;;
        "rm --token-file") REPLY='files' ;;
        "rm --ca") REPLY='files' ;;
        "rm --dir") REPLY='directories' ;;
        "run --type") REPLY='types' ;;
        "run --title") REPLY='' ;;
        "run --stages") REPLY='' ;;
        "run --session") REPLY='sessions' ;;
        "run --label") REPLY='labels' ;;
        "run --id") REPLY='' ;;
        "run --keep-env") REPLY='environment' ;;
        "run --ok") REPLY='' ;;
        "run --timeout") REPLY='' ;;
        "run --grace") REPLY='' ;;
        "run --log") REPLY='words on all on-failure off' ;;
        "run --dir") REPLY='directories' ;;
        "reap -o" | "reap --output") REPLY='words json jsonl name' ;;
        "reap --dir") REPLY='directories' ;;
        "prune --older-than") REPLY='' ;;
        "prune --keep") REPLY='' ;;
        "prune --stage") REPLY='endings' ;;
        "prune --type") REPLY='types' ;;
        "prune -l" | "prune --selector") REPLY='labels' ;;
        "prune -o" | "prune --output") REPLY='words json jsonl name' ;;
        "prune --dir") REPLY='directories' ;;
        "doctor -o" | "doctor --output") REPLY='words table json jsonl' ;;
        "doctor --dir") REPLY='directories' ;;
        "run-dummy --count") REPLY='' ;;
        "run-dummy --concurrency") REPLY='' ;;
        "run-dummy --type") REPLY='types' ;;
        "run-dummy --session") REPLY='sessions' ;;
        "run-dummy --speed") REPLY='' ;;
        "run-dummy --stage-delay") REPLY='' ;;
        "run-dummy --fail-rate") REPLY='' ;;
        "run-dummy --fail-at") REPLY='stages' ;;
        "run-dummy --seed") REPLY='' ;;
        "run-dummy --dir") REPLY='directories' ;;
        "config -o" | "config --output") REPLY='words table json' ;;
        "config --url") REPLY='hubs' ;;
        "config --dir") REPLY='directories' ;;
        "js --out") REPLY='files' ;;
        *) return 1 ;;
    esac
}

# What a command's argument is, by the number of those before it.
__jobctl_argument() {
    case "$1 $2" in
        ' 0') REPLY='words serve clients token watch wait ls show stats logs create advance progress complete fail retry cancel ack rm run reap prune doctor run-dummy demo config js completion help' ;;
        "token 0") REPLY='words new list revoke' ;;
        "token 1") REPLY='' ;;
        "token 2") REPLY='' ;;
        "watch "*) REPLY='ids' ;;
        "wait "*) REPLY='ids' ;;
        "ls "*) REPLY='ids' ;;
        "show "*) REPLY='ids' ;;
        "logs 0") REPLY='ids' ;;
        "create 0") REPLY='types' ;;
        "advance 0") REPLY='active' ;;
        "advance 1") REPLY='next' ;;
        "progress 0") REPLY='active' ;;
        "progress 1") REPLY='' ;;
        "progress 2") REPLY='' ;;
        "complete 0") REPLY='active' ;;
        "fail 0") REPLY='active' ;;
        "fail 1") REPLY='' ;;
        "retry "*) REPLY='failed' ;;
        "cancel "*) REPLY='active' ;;
        "ack 0") REPLY='failed' ;;
        "ack 1") REPLY='' ;;
        "rm "*) REPLY='ids' ;;
        "run "*) REPLY='command' ;;
        "completion 0") REPLY='words bash zsh fish' ;;
        "help 0") REPLY='words serve clients token watch wait ls show stats logs create advance progress complete fail retry cancel ack rm run reap prune doctor run-dummy demo config js completion help exit-codes environment settings filters times output' ;;
        *) REPLY='' ;;
    esac
}

__jobctl_options() {
    case $1 in
        '') REPLY='-h --help --version -V' ;;
        'serve') REPLY='-h --help --host --port --path --unix --base-path --allow-host --allow-origin --token-file --local-users --insecure --tls-cert --tls-key --no-compression --max-connections --watch-files --no-watch-files --prune-older-than --reap --read-only --session-url --open --control --log-format -v --verbose --dir' ;;
        'clients') REPLY='-h --help -o --output --no-headers -q --quiet --time-format --url --token-file --ca --dir' ;;
        'token') REPLY='-h --help --type --session -l --selector --expires --token-file --no-headers' ;;
        'watch') REPLY='-h --help --type --stage --session -l --selector --active -a --all --since --cursor --cursor-file --url --retry --token-file --ca --timeout --exit-status --verify --new --read-only --no-keys --bell -o --output -q --quiet --time-format --dir' ;;
        'wait') REPLY='-h --help --type --stage --session -l --selector --active --for --any --all --timeout -o --output -q --quiet --url --retry --token-file --ca --dir' ;;
        'ls') REPLY='-h --help --type --stage --session -l --selector --active --since --until -a --all --sort --limit --cursor -o --output --no-headers -q --quiet --time-format -v --verbose --url --token-file --ca --dir' ;;
        'show') REPLY='-h --help -o --output -q --quiet --time-format --url --token-file --ca --dir' ;;
        'stats') REPLY='-h --help --by --type --stage --session -l --selector --active --since --until -o --output --no-headers -q --quiet --time-format --url --token-file --ca --dir' ;;
        'logs') REPLY='-h --help -f --follow --tail -n --since -t --timestamps --stderr --url --token-file --ca --dir' ;;
        'create') REPLY='-h --help --title --session --stages --label --id -o --output -q --quiet --dir' ;;
        'advance') REPLY='-h --help --force --strict -o --output --dir' ;;
        'progress') REPLY='-h --help --strict -o --output --dir' ;;
        'complete') REPLY='-h --help --result --result-session --strict -o --output --dir' ;;
        'fail') REPLY='-h --help --strict -o --output --dir' ;;
        'retry') REPLY='-h --help --rerun -o --output --url --token-file --ca --dir' ;;
        'cancel') REPLY='-h --help --reason --timeout -o --output --url --token-file --ca --dir' ;;
        'ack') REPLY='-h --help --undo -o --output --url --token-file --ca --dir' ;;
        'rm') REPLY='-h --help --damaged -o --output --url --token-file --ca --dir' ;;
        'run') REPLY='-h --help --type --title --stages --session --label --id --again --keep-env --ok --timeout --grace -d --detach --no-relay --log --no-log --dir' ;;
        'reap') REPLY='-h --help --dry-run -o --output -q --quiet --dir' ;;
        'prune') REPLY='-h --help --older-than --keep --stage --type -l --selector --foreign --logs --dry-run -y --yes -o --output -q --quiet --dir' ;;
        'doctor') REPLY='-h --help -o --output --dir' ;;
        'run-dummy') REPLY='-h --help --count --concurrency --type --session --speed --stage-delay --fail-rate --fail-at --seed --wait --rm -q --quiet --dir' ;;
        'demo') REPLY='-h --help --web' ;;
        'config') REPLY='-h --help -o --output --no-headers --url --dir' ;;
        'js') REPLY='-h --help --out --force' ;;
        'completion') REPLY='-h --help' ;;
        'help') REPLY='-h --help' ;;
        *) REPLY='' ;;
    esac
}

# Whether a command's options end with its first argument.
__jobctl_options_end() {
    case $1 in
        run) ;;
        *) return 1 ;;
    esac
}

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
