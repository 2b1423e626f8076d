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
        "clients -o"|"clients --output") COMPREPLY=($(compgen -W 'table wide json jsonl name' -- "$word")); return ;;
        "clients --time-format") COMPREPLY=($(compgen -W 'relative iso local' -- "$word")); return ;;
        "clients --url") compopt -o default; return ;;
        "clients --token-file") compopt -o default; return ;;
        "clients --ca") compopt -o default; return ;;
        "clients --dir") compopt -o default; return ;;
        "watch --type") compopt -o default; return ;;
        "watch --stage") compopt -o default; return ;;
        "watch --session") compopt -o default; return ;;
        "watch --since") compopt -o default; return ;;
        "watch --cursor") compopt -o default; return ;;
        "watch --cursor-file") compopt -o default; return ;;
        "watch --url") compopt -o default; return ;;
        "watch --token-file") compopt -o default; return ;;
        "watch --ca") compopt -o default; return ;;
        "watch --timeout") compopt -o default; return ;;
        "watch -o"|"watch --output") COMPREPLY=($(compgen -W 'table wide json jsonl name' -- "$word")); return ;;
        "watch --time-format") COMPREPLY=($(compgen -W 'relative iso local' -- "$word")); return ;;
        "watch --dir") compopt -o default; return ;;
        "wait --type") compopt -o default; return ;;
        "wait --stage") compopt -o default; return ;;
        "wait --session") compopt -o default; return ;;
        "wait --for") compopt -o default; return ;;
        "wait --timeout") compopt -o default; return ;;
        "wait -o"|"wait --output") COMPREPLY=($(compgen -W 'table wide json jsonl name' -- "$word")); return ;;
        "wait --url") compopt -o default; return ;;
        "wait --token-file") compopt -o default; return ;;
        "wait --ca") compopt -o default; return ;;
        "wait --dir") compopt -o default; return ;;
        "ls --type") compopt -o default; return ;;
        "ls --stage") compopt -o default; return ;;
        "ls --session") compopt -o default; return ;;
        "ls --since") compopt -o default; return ;;
        "ls --until") compopt -o default; return ;;
        "ls --sort") COMPREPLY=($(compgen -W 'created updated stage type id' -- "$word")); return ;;
        "ls --limit") compopt -o default; return ;;
        "ls --cursor") compopt -o default; return ;;
        "ls -o"|"ls --output") COMPREPLY=($(compgen -W 'table wide json jsonl name' -- "$word")); return ;;
        "ls --time-format") COMPREPLY=($(compgen -W 'relative iso local' -- "$word")); return ;;
        "ls --url") compopt -o default; return ;;
        "ls --token-file") compopt -o default; return ;;
        "ls --ca") compopt -o default; return ;;
        "ls --dir") compopt -o default; return ;;
        "show -o"|"show --output") COMPREPLY=($(compgen -W 'table wide json jsonl name' -- "$word")); return ;;
        "show --time-format") COMPREPLY=($(compgen -W 'relative iso local' -- "$word")); return ;;
        "show --url") compopt -o default; return ;;
        "show --token-file") compopt -o default; return ;;
        "show --ca") compopt -o default; return ;;
        "show --dir") compopt -o default; return ;;
        "create --title") compopt -o default; return ;;
        "create --session") compopt -o default; return ;;
        "create --stages") compopt -o default; return ;;
        "create --id") compopt -o default; return ;;
        "create -o"|"create --output") COMPREPLY=($(compgen -W 'json jsonl name' -- "$word")); return ;;
        "create --dir") compopt -o default; return ;;
        "advance -o"|"advance --output") COMPREPLY=($(compgen -W 'json jsonl name' -- "$word")); return ;;
        "advance --dir") compopt -o default; return ;;
        "progress -o"|"progress --output") COMPREPLY=($(compgen -W 'json jsonl name' -- "$word")); return ;;
        "progress --dir") compopt -o default; return ;;
        "complete --result") compopt -o default; return ;;
        "complete --result-session") compopt -o default; return ;;
        "complete -o"|"complete --output") COMPREPLY=($(compgen -W 'json jsonl name' -- "$word")); return ;;
        "complete --dir") compopt -o default; return ;;
        "fail -o"|"fail --output") COMPREPLY=($(compgen -W 'json jsonl name' -- "$word")); return ;;
        "fail --dir") compopt -o default; return ;;
        "retry -o"|"retry --output") COMPREPLY=($(compgen -W 'json jsonl name' -- "$word")); return ;;
        "retry --dir") compopt -o default; return ;;
        "cancel --timeout") compopt -o default; return ;;
        "cancel -o"|"cancel --output") COMPREPLY=($(compgen -W 'json jsonl name' -- "$word")); return ;;
        "cancel --dir") compopt -o default; return ;;
        "rm -o"|"rm --output") COMPREPLY=($(compgen -W 'json jsonl name' -- "$word")); return ;;
        "rm --dir") compopt -o default; return ;;
        "run --type") compopt -o default; return ;;
        "run --title") compopt -o default; return ;;
        "run --stages") compopt -o default; return ;;
        "run --session") compopt -o default; return ;;
        "run --id") compopt -o default; return ;;
        "run --keep-env") compopt -o default; return ;;
        "run --grace") compopt -o default; return ;;
        "run --dir") compopt -o default; return ;;
        "reap -o"|"reap --output") COMPREPLY=($(compgen -W 'json jsonl name' -- "$word")); return ;;
        "reap --dir") compopt -o default; return ;;
        "prune --older-than") compopt -o default; return ;;
        "prune --keep") compopt -o default; return ;;
        "prune --stage") compopt -o default; return ;;
        "prune --type") compopt -o default; return ;;
        "prune -o"|"prune --output") COMPREPLY=($(compgen -W 'json jsonl name' -- "$word")); return ;;
        "prune --dir") compopt -o default; return ;;
        "doctor -o"|"doctor --output") COMPREPLY=($(compgen -W 'table json jsonl' -- "$word")); return ;;
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
        "config -o"|"config --output") COMPREPLY=($(compgen -W 'table json' -- "$word")); return ;;
        "config --url") compopt -o default; return ;;
        "config --dir") compopt -o default; return ;;
    esac
    case "$command" in
        '') COMPREPLY=($(compgen -W 'serve clients watch wait ls show create advance progress complete fail retry cancel rm run reap prune doctor run-dummy demo config completion help --help --version' -- "$word")) ;;
        serve)
            if [[ $word == -* ]]; then
                COMPREPLY=($(compgen -W '-h --help --host --port --path --base-path --allow-host --allow-origin --token-file --insecure --tls-cert --tls-key --no-compression --max-connections --watch-files --no-watch-files --prune-older-than --reap --log-format -v --verbose --dir' -- "$word"))
            else
                COMPREPLY=($(compgen -W "$(__jobctl_ids)" -- "$word"))
            fi ;;
        clients)
            if [[ $word == -* ]]; then
                COMPREPLY=($(compgen -W '-h --help -o --output --no-headers -q --quiet --time-format --url --token-file --ca --dir' -- "$word"))
            else
                COMPREPLY=($(compgen -W "$(__jobctl_ids)" -- "$word"))
            fi ;;
        watch)
            if [[ $word == -* ]]; then
                COMPREPLY=($(compgen -W '-h --help --type --stage --session --active -a --all --since --cursor --cursor-file --url --token-file --ca --timeout --exit-status --verify -o --output -q --quiet --time-format --dir' -- "$word"))
            else
                COMPREPLY=($(compgen -W "$(__jobctl_ids)" -- "$word"))
            fi ;;
        wait)
            if [[ $word == -* ]]; then
                COMPREPLY=($(compgen -W '-h --help --type --stage --session --active --for --any --all --timeout -o --output -q --quiet --url --token-file --ca --dir' -- "$word"))
            else
                COMPREPLY=($(compgen -W "$(__jobctl_ids)" -- "$word"))
            fi ;;
        ls)
            if [[ $word == -* ]]; then
                COMPREPLY=($(compgen -W '-h --help --type --stage --session --active --since --until --sort --limit --cursor -o --output --no-headers -q --quiet --time-format -v --verbose --url --token-file --ca --dir' -- "$word"))
            else
                COMPREPLY=($(compgen -W "$(__jobctl_ids)" -- "$word"))
            fi ;;
        show)
            if [[ $word == -* ]]; then
                COMPREPLY=($(compgen -W '-h --help -o --output -q --quiet --time-format --url --token-file --ca --dir' -- "$word"))
            else
                COMPREPLY=($(compgen -W "$(__jobctl_ids)" -- "$word"))
            fi ;;
        create)
            if [[ $word == -* ]]; then
                COMPREPLY=($(compgen -W '-h --help --title --session --stages --id -o --output -q --quiet --dir' -- "$word"))
            else
                COMPREPLY=($(compgen -W "$(__jobctl_ids)" -- "$word"))
            fi ;;
        advance)
            if [[ $word == -* ]]; then
                COMPREPLY=($(compgen -W '-h --help --force -o --output --dir' -- "$word"))
            else
                COMPREPLY=($(compgen -W "$(__jobctl_ids)" -- "$word"))
            fi ;;
        progress)
            if [[ $word == -* ]]; then
                COMPREPLY=($(compgen -W '-h --help -o --output --dir' -- "$word"))
            else
                COMPREPLY=($(compgen -W "$(__jobctl_ids)" -- "$word"))
            fi ;;
        complete)
            if [[ $word == -* ]]; then
                COMPREPLY=($(compgen -W '-h --help --result --result-session -o --output --dir' -- "$word"))
            else
                COMPREPLY=($(compgen -W "$(__jobctl_ids)" -- "$word"))
            fi ;;
        fail)
            if [[ $word == -* ]]; then
                COMPREPLY=($(compgen -W '-h --help -o --output --dir' -- "$word"))
            else
                COMPREPLY=($(compgen -W "$(__jobctl_ids)" -- "$word"))
            fi ;;
        retry)
            if [[ $word == -* ]]; then
                COMPREPLY=($(compgen -W '-h --help --rerun -o --output --dir' -- "$word"))
            else
                COMPREPLY=($(compgen -W "$(__jobctl_ids)" -- "$word"))
            fi ;;
        cancel)
            if [[ $word == -* ]]; then
                COMPREPLY=($(compgen -W '-h --help --timeout -o --output --dir' -- "$word"))
            else
                COMPREPLY=($(compgen -W "$(__jobctl_ids)" -- "$word"))
            fi ;;
        rm)
            if [[ $word == -* ]]; then
                COMPREPLY=($(compgen -W '-h --help -o --output --dir' -- "$word"))
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
                COMPREPLY=($(compgen -W '-h --help --dry-run -o --output -q --quiet --dir' -- "$word"))
            else
                COMPREPLY=($(compgen -W "$(__jobctl_ids)" -- "$word"))
            fi ;;
        prune)
            if [[ $word == -* ]]; then
                COMPREPLY=($(compgen -W '-h --help --older-than --keep --stage --type --dry-run -y --yes -o --output -q --quiet --dir' -- "$word"))
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
        config)
            if [[ $word == -* ]]; then
                COMPREPLY=($(compgen -W '-h --help -o --output --no-headers --url --dir' -- "$word"))
            else
                COMPREPLY=($(compgen -W "$(__jobctl_ids)" -- "$word"))
            fi ;;
        completion)
            if [[ $word == -* ]]; then
                COMPREPLY=($(compgen -W '-h --help' -- "$word"))
            else
                COMPREPLY=($(compgen -W "bash zsh fish" -- "$word"))
            fi ;;
        help)
            if [[ $word == -* ]]; then
                COMPREPLY=($(compgen -W '-h --help' -- "$word"))
            else
                COMPREPLY=($(compgen -W "$(__jobctl_ids)" -- "$word"))
            fi ;;
    esac
}
complete -F _jobctl jobctl
