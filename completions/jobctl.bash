# Made by 'python -m jobctl.cli.completions --write'; do not edit.
__jobctl_ids() { :; }
_jobctl() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command="" i
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        [[ ${COMP_WORDS[i]} != -* ]] && { command=${COMP_WORDS[i]}; break; }
    done
    case "$command $before" in
        "serve --host") COMPREPLY=($(compgen -o default -- "$word")); return ;;
        "serve --port") COMPREPLY=($(compgen -o default -- "$word")); return ;;
        "serve --path") COMPREPLY=($(compgen -o default -- "$word")); return ;;
        "serve --log-format") COMPREPLY=($(compgen -W 'text json' -- "$word")); return ;;
        "serve --dir") COMPREPLY=($(compgen -o default -- "$word")); return ;;
        "watch --type") COMPREPLY=($(compgen -o default -- "$word")); return ;;
        "watch --stage") COMPREPLY=($(compgen -o default -- "$word")); return ;;
        "watch --session") COMPREPLY=($(compgen -o default -- "$word")); return ;;
        "watch --cursor") COMPREPLY=($(compgen -o default -- "$word")); return ;;
        "watch --cursor-file") COMPREPLY=($(compgen -o default -- "$word")); return ;;
        "watch --url") COMPREPLY=($(compgen -o default -- "$word")); return ;;
        "watch --timeout") COMPREPLY=($(compgen -o default -- "$word")); return ;;
        "watch -o"|"watch --output") COMPREPLY=($(compgen -W 'table jsonl' -- "$word")); return ;;
        "watch --dir") COMPREPLY=($(compgen -o default -- "$word")); return ;;
        "ls --type") COMPREPLY=($(compgen -o default -- "$word")); return ;;
        "ls --stage") COMPREPLY=($(compgen -o default -- "$word")); return ;;
        "ls --session") COMPREPLY=($(compgen -o default -- "$word")); return ;;
        "ls --sort") COMPREPLY=($(compgen -W 'created updated stage type id' -- "$word")); return ;;
        "ls --limit") COMPREPLY=($(compgen -o default -- "$word")); return ;;
        "ls --cursor") COMPREPLY=($(compgen -o default -- "$word")); return ;;
        "ls -o"|"ls --output") COMPREPLY=($(compgen -W 'table wide json jsonl name' -- "$word")); return ;;
        "ls --dir") COMPREPLY=($(compgen -o default -- "$word")); return ;;
        "show -o"|"show --output") COMPREPLY=($(compgen -W 'text json' -- "$word")); return ;;
        "show --dir") COMPREPLY=($(compgen -o default -- "$word")); return ;;
        "create --title") COMPREPLY=($(compgen -o default -- "$word")); return ;;
        "create --session") COMPREPLY=($(compgen -o default -- "$word")); return ;;
        "create --stages") COMPREPLY=($(compgen -o default -- "$word")); return ;;
        "create --id") COMPREPLY=($(compgen -o default -- "$word")); return ;;
        "create --dir") COMPREPLY=($(compgen -o default -- "$word")); return ;;
        "advance --dir") COMPREPLY=($(compgen -o default -- "$word")); return ;;
        "progress --dir") COMPREPLY=($(compgen -o default -- "$word")); return ;;
        "complete --result") COMPREPLY=($(compgen -o default -- "$word")); return ;;
        "complete --result-session") COMPREPLY=($(compgen -o default -- "$word")); return ;;
        "complete --dir") COMPREPLY=($(compgen -o default -- "$word")); return ;;
        "fail --dir") COMPREPLY=($(compgen -o default -- "$word")); return ;;
        "retry --dir") COMPREPLY=($(compgen -o default -- "$word")); return ;;
        "cancel --dir") COMPREPLY=($(compgen -o default -- "$word")); return ;;
        "rm --dir") COMPREPLY=($(compgen -o default -- "$word")); return ;;
        "run-dummy --count") COMPREPLY=($(compgen -o default -- "$word")); return ;;
        "run-dummy --concurrency") COMPREPLY=($(compgen -o default -- "$word")); return ;;
        "run-dummy --type") COMPREPLY=($(compgen -o default -- "$word")); return ;;
        "run-dummy --session") COMPREPLY=($(compgen -o default -- "$word")); return ;;
        "run-dummy --speed") COMPREPLY=($(compgen -o default -- "$word")); return ;;
        "run-dummy --stage-delay") COMPREPLY=($(compgen -o default -- "$word")); return ;;
        "run-dummy --fail-rate") COMPREPLY=($(compgen -o default -- "$word")); return ;;
        "run-dummy --fail-at") COMPREPLY=($(compgen -o default -- "$word")); return ;;
        "run-dummy --seed") COMPREPLY=($(compgen -o default -- "$word")); return ;;
        "run-dummy --dir") COMPREPLY=($(compgen -o default -- "$word")); return ;;
    esac
    case "$command" in
        '') COMPREPLY=($(compgen -W 'serve watch ls show create advance progress complete fail retry cancel rm run-dummy demo completion --help --version' -- "$word")) ;;
        serve)
            if [[ $word == -* ]]; then
                COMPREPLY=($(compgen -W '-h --help --host --port --path --watch-files --no-watch-files --log-format -v --verbose --dir' -- "$word"))
            else
                COMPREPLY=($(compgen -W "$(__jobctl_ids)" -- "$word"))
            fi ;;
        watch)
            if [[ $word == -* ]]; then
                COMPREPLY=($(compgen -W '-h --help --type --stage --session --active -a --all --cursor --cursor-file --url --timeout -o --output --dir' -- "$word"))
            else
                COMPREPLY=($(compgen -W "$(__jobctl_ids)" -- "$word"))
            fi ;;
        ls)
            if [[ $word == -* ]]; then
                COMPREPLY=($(compgen -W '-h --help --type --stage --session --active --sort --limit --cursor -o --output --no-headers -q --quiet -v --verbose --dir' -- "$word"))
            else
                COMPREPLY=($(compgen -W "$(__jobctl_ids)" -- "$word"))
            fi ;;
        show)
            if [[ $word == -* ]]; then
                COMPREPLY=($(compgen -W '-h --help -o --output --dir' -- "$word"))
            else
                COMPREPLY=($(compgen -W "$(__jobctl_ids)" -- "$word"))
            fi ;;
        create)
            if [[ $word == -* ]]; then
                COMPREPLY=($(compgen -W '-h --help --title --session --stages --id --dir' -- "$word"))
            else
                COMPREPLY=($(compgen -W "$(__jobctl_ids)" -- "$word"))
            fi ;;
        advance)
            if [[ $word == -* ]]; then
                COMPREPLY=($(compgen -W '-h --help --force --no-force --dir' -- "$word"))
            else
                COMPREPLY=($(compgen -W "$(__jobctl_ids)" -- "$word"))
            fi ;;
        progress)
            if [[ $word == -* ]]; then
                COMPREPLY=($(compgen -W '-h --help --dir' -- "$word"))
            else
                COMPREPLY=($(compgen -W "$(__jobctl_ids)" -- "$word"))
            fi ;;
        complete)
            if [[ $word == -* ]]; then
                COMPREPLY=($(compgen -W '-h --help --result --result-session --dir' -- "$word"))
            else
                COMPREPLY=($(compgen -W "$(__jobctl_ids)" -- "$word"))
            fi ;;
        fail)
            if [[ $word == -* ]]; then
                COMPREPLY=($(compgen -W '-h --help --dir' -- "$word"))
            else
                COMPREPLY=($(compgen -W "$(__jobctl_ids)" -- "$word"))
            fi ;;
        retry)
            if [[ $word == -* ]]; then
                COMPREPLY=($(compgen -W '-h --help --dir' -- "$word"))
            else
                COMPREPLY=($(compgen -W "$(__jobctl_ids)" -- "$word"))
            fi ;;
        cancel)
            if [[ $word == -* ]]; then
                COMPREPLY=($(compgen -W '-h --help --dir' -- "$word"))
            else
                COMPREPLY=($(compgen -W "$(__jobctl_ids)" -- "$word"))
            fi ;;
        rm)
            if [[ $word == -* ]]; then
                COMPREPLY=($(compgen -W '-h --help --dir' -- "$word"))
            else
                COMPREPLY=($(compgen -W "$(__jobctl_ids)" -- "$word"))
            fi ;;
        run-dummy)
            if [[ $word == -* ]]; then
                COMPREPLY=($(compgen -W '-h --help --count --concurrency --type --session --speed --stage-delay --fail-rate --fail-at --seed --rm -q --quiet --dir' -- "$word"))
            else
                COMPREPLY=($(compgen -W "$(__jobctl_ids)" -- "$word"))
            fi ;;
        demo)
            if [[ $word == -* ]]; then
                COMPREPLY=($(compgen -W '-h --help' -- "$word"))
            else
                COMPREPLY=($(compgen -W "$(__jobctl_ids)" -- "$word"))
            fi ;;
        completion)
            if [[ $word == -* ]]; then
                COMPREPLY=($(compgen -W '-h --help' -- "$word"))
            else
                COMPREPLY=($(compgen -W "bash zsh fish" -- "$word"))
            fi ;;
    esac
}
complete -F _jobctl jobctl
