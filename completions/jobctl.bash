# Made by 'python -m jobctl.cli.completions --write'; do not edit.
__jobctl_ids() { :; }
_jobctl() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command="" i
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        [[ ${COMP_WORDS[i]} != -* ]] && { command=${COMP_WORDS[i]}; break; }
    done
    case "$command $before" in
        "serve --host") compopt -o default; return ;;
        "serve --port") compopt -o default; return ;;
        "serve --path") compopt -o default; return ;;
        "serve --base-path") compopt -o default; return ;;
        "serve --allow-host") compopt -o default; return ;;
        "serve --allow-origin") compopt -o default; return ;;
        "serve --token-file") compopt -o default; return ;;
        "serve --tls-cert") compopt -o default; return ;;
        "serve --tls-key") compopt -o default; return ;;
        "serve --max-connections") compopt -o default; return ;;
        "serve --prune-older-than") compopt -o default; return ;;
        "serve --log-format") COMPREPLY=($(compgen -W 'text json' -- "$word")); return ;;
        "serve --dir") compopt -o default; return ;;
        "clients -o"|"clients --output") COMPREPLY=($(compgen -W 'table json' -- "$word")); return ;;
        "clients --url") compopt -o default; return ;;
        "clients --token-file") compopt -o default; return ;;
        "clients --ca") compopt -o default; return ;;
        "clients --dir") compopt -o default; return ;;
        "watch --type") compopt -o default; return ;;
        "watch --stage") compopt -o default; return ;;
        "watch --session") compopt -o default; return ;;
        "watch --cursor") compopt -o default; return ;;
        "watch --cursor-file") compopt -o default; return ;;
        "watch --url") compopt -o default; return ;;
        "watch --token-file") compopt -o default; return ;;
        "watch --ca") compopt -o default; return ;;
        "watch --timeout") compopt -o default; return ;;
        "watch -o"|"watch --output") COMPREPLY=($(compgen -W 'table jsonl' -- "$word")); return ;;
        "watch --dir") compopt -o default; return ;;
        "wait --type") compopt -o default; return ;;
        "wait --stage") compopt -o default; return ;;
        "wait --session") compopt -o default; return ;;
        "wait --for") compopt -o default; return ;;
        "wait --timeout") compopt -o default; return ;;
        "wait -o"|"wait --output") COMPREPLY=($(compgen -W 'text name jsonl' -- "$word")); return ;;
        "wait --url") compopt -o default; return ;;
        "wait --token-file") compopt -o default; return ;;
        "wait --ca") compopt -o default; return ;;
        "wait --dir") compopt -o default; return ;;
        "ls --type") compopt -o default; return ;;
        "ls --stage") compopt -o default; return ;;
        "ls --session") compopt -o default; return ;;
        "ls --sort") COMPREPLY=($(compgen -W 'created updated stage type id' -- "$word")); return ;;
        "ls --limit") compopt -o default; return ;;
        "ls --cursor") compopt -o default; return ;;
        "ls -o"|"ls --output") COMPREPLY=($(compgen -W 'table wide json jsonl name' -- "$word")); return ;;
        "ls --url") compopt -o default; return ;;
        "ls --token-file") compopt -o default; return ;;
        "ls --ca") compopt -o default; return ;;
        "ls --dir") compopt -o default; return ;;
        "show -o"|"show --output") COMPREPLY=($(compgen -W 'text json' -- "$word")); return ;;
        "show --url") compopt -o default; return ;;
        "show --token-file") compopt -o default; return ;;
        "show --ca") compopt -o default; return ;;
        "show --dir") compopt -o default; return ;;
        "create --title") compopt -o default; return ;;
        "create --session") compopt -o default; return ;;
        "create --stages") compopt -o default; return ;;
        "create --id") compopt -o default; return ;;
        "create --dir") compopt -o default; return ;;
        "advance --dir") compopt -o default; return ;;
        "progress --dir") compopt -o default; return ;;
        "complete --result") compopt -o default; return ;;
        "complete --result-session") compopt -o default; return ;;
        "complete --dir") compopt -o default; return ;;
        "fail --dir") compopt -o default; return ;;
        "retry --dir") compopt -o default; return ;;
        "cancel --timeout") compopt -o default; return ;;
        "cancel --dir") compopt -o default; return ;;
        "rm --dir") compopt -o default; return ;;
        "run --type") compopt -o default; return ;;
        "run --title") compopt -o default; return ;;
        "run --stages") compopt -o default; return ;;
        "run --session") compopt -o default; return ;;
        "run --id") compopt -o default; return ;;
        "run --keep-env") compopt -o default; return ;;
        "run --grace") compopt -o default; return ;;
        "run --dir") compopt -o default; return ;;
        "reap --dir") compopt -o default; return ;;
        "prune --older-than") compopt -o default; return ;;
        "prune --keep") compopt -o default; return ;;
        "prune --stage") compopt -o default; return ;;
        "prune --type") compopt -o default; return ;;
        "prune --dir") compopt -o default; return ;;
        "doctor -o"|"doctor --output") COMPREPLY=($(compgen -W 'text json' -- "$word")); return ;;
        "doctor --dir") compopt -o default; return ;;
        "run-dummy --count") compopt -o default; return ;;
        "run-dummy --concurrency") compopt -o default; return ;;
        "run-dummy --type") compopt -o default; return ;;
        "run-dummy --session") compopt -o default; return ;;
        "run-dummy --speed") compopt -o default; return ;;
        "run-dummy --stage-delay") compopt -o default; return ;;
        "run-dummy --fail-rate") compopt -o default; return ;;
        "run-dummy --fail-at") compopt -o default; return ;;
        "run-dummy --seed") compopt -o default; return ;;
        "run-dummy --dir") compopt -o default; return ;;
    esac
    case "$command" in
        '') COMPREPLY=($(compgen -W 'serve clients watch wait ls show create advance progress complete fail retry cancel rm run reap prune doctor run-dummy demo completion --help --version' -- "$word")) ;;
        serve)
            if [[ $word == -* ]]; then
                COMPREPLY=($(compgen -W '-h --help --host --port --path --base-path --allow-host --allow-origin --token-file --insecure --tls-cert --tls-key --no-compression --max-connections --watch-files --no-watch-files --prune-older-than --reap --log-format -v --verbose --dir' -- "$word"))
            else
                COMPREPLY=($(compgen -W "$(__jobctl_ids)" -- "$word"))
            fi ;;
        clients)
            if [[ $word == -* ]]; then
                COMPREPLY=($(compgen -W '-h --help -o --output --url --token-file --ca --dir' -- "$word"))
            else
                COMPREPLY=($(compgen -W "$(__jobctl_ids)" -- "$word"))
            fi ;;
        watch)
            if [[ $word == -* ]]; then
                COMPREPLY=($(compgen -W '-h --help --type --stage --session --active -a --all --cursor --cursor-file --url --token-file --ca --timeout --exit-status --verify -o --output --dir' -- "$word"))
            else
                COMPREPLY=($(compgen -W "$(__jobctl_ids)" -- "$word"))
            fi ;;
        wait)
            if [[ $word == -* ]]; then
                COMPREPLY=($(compgen -W '-h --help --type --stage --session --active --for --any --all --timeout -o --output --url --token-file --ca --dir' -- "$word"))
            else
                COMPREPLY=($(compgen -W "$(__jobctl_ids)" -- "$word"))
            fi ;;
        ls)
            if [[ $word == -* ]]; then
                COMPREPLY=($(compgen -W '-h --help --type --stage --session --active --sort --limit --cursor -o --output --no-headers -q --quiet -v --verbose --url --token-file --ca --dir' -- "$word"))
            else
                COMPREPLY=($(compgen -W "$(__jobctl_ids)" -- "$word"))
            fi ;;
        show)
            if [[ $word == -* ]]; then
                COMPREPLY=($(compgen -W '-h --help -o --output --url --token-file --ca --dir' -- "$word"))
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
                COMPREPLY=($(compgen -W '-h --help --force --dir' -- "$word"))
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
                COMPREPLY=($(compgen -W '-h --help --rerun --dir' -- "$word"))
            else
                COMPREPLY=($(compgen -W "$(__jobctl_ids)" -- "$word"))
            fi ;;
        cancel)
            if [[ $word == -* ]]; then
                COMPREPLY=($(compgen -W '-h --help --timeout --dir' -- "$word"))
            else
                COMPREPLY=($(compgen -W "$(__jobctl_ids)" -- "$word"))
            fi ;;
        rm)
            if [[ $word == -* ]]; then
                COMPREPLY=($(compgen -W '-h --help --dir' -- "$word"))
            else
                COMPREPLY=($(compgen -W "$(__jobctl_ids)" -- "$word"))
            fi ;;
        run)
            if [[ $word == -* ]]; then
                COMPREPLY=($(compgen -W '-h --help --type --title --stages --session --id --keep-env --grace --no-relay --dir' -- "$word"))
            else
                COMPREPLY=($(compgen -W "$(__jobctl_ids)" -- "$word"))
            fi ;;
        reap)
            if [[ $word == -* ]]; then
                COMPREPLY=($(compgen -W '-h --help --dry-run --dir' -- "$word"))
            else
                COMPREPLY=($(compgen -W "$(__jobctl_ids)" -- "$word"))
            fi ;;
        prune)
            if [[ $word == -* ]]; then
                COMPREPLY=($(compgen -W '-h --help --older-than --keep --stage --type --dry-run -y --yes --dir' -- "$word"))
            else
                COMPREPLY=($(compgen -W "$(__jobctl_ids)" -- "$word"))
            fi ;;
        doctor)
            if [[ $word == -* ]]; then
                COMPREPLY=($(compgen -W '-h --help -o --output --dir' -- "$word"))
            else
                COMPREPLY=($(compgen -W "$(__jobctl_ids)" -- "$word"))
            fi ;;
        run-dummy)
            if [[ $word == -* ]]; then
                COMPREPLY=($(compgen -W '-h --help --count --concurrency --type --session --speed --stage-delay --fail-rate --fail-at --seed --wait --rm -q --quiet --dir' -- "$word"))
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
