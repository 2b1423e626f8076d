# Made by 'python -m jobctl.cli.completions --write'; do not edit.

# The options that take a value.
set -g __jobctl_takes \
    'serve --host' \
    'serve --port' \
    'serve --path' \
    'serve --unix' \
    'serve --base-path' \
    'serve --allow-host' \
    'serve --allow-origin' \
    'serve --token-file' \
    'serve --tls-cert' \
    'serve --tls-key' \
    'serve --max-connections' \
    'serve --prune-older-than' \
    'serve --session-url' \
    'serve --log-format' \
    'serve --dir' \
    'clients -o' 'clients --output' \
    'clients --time-format' \
    'clients --url' \
    'clients --token-file' \
    'clients --ca' \
    'clients --dir' \
    'token --type' \
    'token --session' \
    'token -l' 'token --selector' \
    'token --expires' \
    'token --token-file' \
    'watch --type' \
    'watch --stage' \
    'watch --session' \
    'watch -l' 'watch --selector' \
    'watch --since' \
    'watch --cursor' \
    'watch --cursor-file' \
    'watch --url' \
    'watch --token-file' \
    'watch --ca' \
    'watch --timeout' \
    'watch -o' 'watch --output' \
    'watch --time-format' \
    'watch --dir' \
    'wait --type' \
    'wait --stage' \
    'wait --session' \
    'wait -l' 'wait --selector' \
    'wait --for' \
    'wait --timeout' \
    'wait -o' 'wait --output' \
    'wait --url' \
    'wait --token-file' \
    'wait --ca' \
    'wait --dir' \
    'ls --type' \
    'ls --stage' \
    'ls --session' \
    'ls -l' 'ls --selector' \
    'ls --since' \
    'ls --until' \
    'ls --sort' \
    'ls --limit' \
    'ls --cursor' \
    'ls -o' 'ls --output' \
    'ls --time-format' \
    'ls --url' \
    'ls --token-file' \
    'ls --ca' \
    'ls --dir' \
    'show -o' 'show --output' \
    'show --time-format' \
    'show --url' \
    'show --token-file' \
    'show --ca' \
    'show --dir' \
    'stats --by' \
    'stats --type' \
    'stats --stage' \
    'stats --session' \
    'stats -l' 'stats --selector' \
    'stats --since' \
    'stats --until' \
    'stats -o' 'stats --output' \
    'stats --time-format' \
    'stats --url' \
    'stats --token-file' \
    'stats --ca' \
    'stats --dir' \
    'logs --tail' 'logs -n' \
    'logs --since' \
    'logs --url' \
    'logs --token-file' \
    'logs --ca' \
    'logs --dir' \
    'create --title' \
    'create --session' \
    'create --stages' \
    'create --label' \
    'create --id' \
    'create -o' 'create --output' \
    'create --dir' \
    'advance -o' 'advance --output' \
    'advance --dir' \
    'progress -o' 'progress --output' \
    'progress --dir' \
    'complete --result' \
    'complete --result-session' \
    'complete -o' 'complete --output' \
    'complete --dir' \
    'fail -o' 'fail --output' \
    'fail --dir' \
    'retry -o' 'retry --output' \
    'retry --url' \
    'retry --token-file' \
    'retry --ca' \
    'retry --dir' \
    'cancel --reason' \
    'cancel --timeout' \
    'cancel -o' 'cancel --output' \
    'cancel --url' \
    'cancel --token-file' \
    'cancel --ca' \
    'cancel --dir' \
    'ack -o' 'ack --output' \
    'ack --url' \
    'ack --token-file' \
    'ack --ca' \
    'ack --dir' \
    'rm -o' 'rm --output' \
    'rm --url' \
    'rm --token-file' \
    'rm --ca' \
    'rm --dir' \
    'run --type' \
    'run --title' \
    'run --stages' \
    'run --session' \
    'run --label' \
    'run --id' \
    'run --keep-env' \
    'run --ok' \
    'run --timeout' \
    'run --grace' \
    'run --log' \
    'run --dir' \
    'reap -o' 'reap --output' \
    'reap --dir' \
    'prune --older-than' \
    'prune --keep' \
    'prune --stage' \
    'prune --type' \
    'prune -l' 'prune --selector' \
    'prune -o' 'prune --output' \
    'prune --dir' \
    'doctor -o' 'doctor --output' \
    'doctor --dir' \
    'run-dummy --count' \
    'run-dummy --concurrency' \
    'run-dummy --type' \
    'run-dummy --session' \
    'run-dummy --speed' \
    'run-dummy --stage-delay' \
    'run-dummy --fail-rate' \
    'run-dummy --fail-at' \
    'run-dummy --seed' \
    'run-dummy --dir' \
    'config -o' 'config --output' \
    'config --url' \
    'config --dir' \
    'js --out' \

# The commands whose options end with the first argument.
set -g __jobctl_ending run

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
complete -c jobctl -n '__jobctl_at ""' -s h -l help -d 'Show this message and exit.'
complete -c jobctl -n '__jobctl_at ""' -l version -s V -d 'Print the version.'
complete -c jobctl -n '__jobctl_at ""' -a serve -d 'Serve a directory to browsers and terminals, until Ctrl-C.'
complete -c jobctl -n '__jobctl_at serve' -s h -l help -d 'Show this message and exit.'
complete -c jobctl -n '__jobctl_at serve' -l host -x -d 'Address to listen on; 127.0.0.1 by default.'
complete -c jobctl -n '__jobctl_at serve' -l port -x -d 'Port to listen on; 8765 by default, and 0 takes a free one.'
complete -c jobctl -n '__jobctl_at serve' -l path -x -d 'Path of the WebSocket endpoint.'
complete -c jobctl -n '__jobctl_at serve' -l unix -r -F -d 'Listen on this Unix socket instead of a port; beside it with --port.'
complete -c jobctl -n '__jobctl_at serve' -l base-path -x -d 'Path under which a proxy shows the hub.'
complete -c jobctl -n '__jobctl_at serve' -l allow-host -x -d 'Serve requests for this host name too.'
complete -c jobctl -n '__jobctl_at serve' -l allow-origin -x -d 'Serve pages of this origin too (https://host).'
complete -c jobctl -n '__jobctl_at serve' -l token-file -r -F -d 'Require a token of this file from every client.'
complete -c jobctl -n '__jobctl_at serve' -l local-users -d 'Let the other users of this machine view the jobs.'
complete -c jobctl -n '__jobctl_at serve' -l insecure -d 'Let everybody view the jobs without a token.'
complete -c jobctl -n '__jobctl_at serve' -l tls-cert -r -F -d 'Certificate chain, for wss and https.'
complete -c jobctl -n '__jobctl_at serve' -l tls-key -r -F -d 'The certificate\'s private key.'
complete -c jobctl -n '__jobctl_at serve' -l no-compression -d 'Do not compress messages.'
complete -c jobctl -n '__jobctl_at serve' -l max-connections -x -d 'Refuse connections above this number.'
complete -c jobctl -n '__jobctl_at serve' -l watch-files -l no-watch-files -d 'See other programs\' writes live.'
complete -c jobctl -n '__jobctl_at serve' -l prune-older-than -x -d 'Remove jobs that ended this long ago (7d).'
complete -c jobctl -n '__jobctl_at serve' -l reap -d 'Fail jobs whose worker has died, at once.'
complete -c jobctl -n '__jobctl_at serve' -l read-only -d 'Offer nothing here that changes a job: no cancel, no retry.'
complete -c jobctl -n '__jobctl_at serve' -l session-url -x -d 'Link of a session: https://app.example/sessions/{id}.'
complete -c jobctl -n '__jobctl_at serve' -l open -d 'Open the page in the browser.'
complete -c jobctl -n '__jobctl_at serve' -l control -d 'Let clients change jobs: this user, and tokens with rights.'
complete -c jobctl -n '__jobctl_at serve' -l log-format -x -a 'text json' -d 'Log as text or json.'
complete -c jobctl -n '__jobctl_at serve' -s v -l verbose -d 'Log each client that comes and goes.'
complete -c jobctl -n '__jobctl_at serve' -l dir -x -a '(__jobctl_directories)' -d 'Directory of the job files.'
complete -c jobctl -n '__jobctl_at ""' -a clients -d 'List who reads from a hub, and how far each has come.'
complete -c jobctl -n '__jobctl_at clients' -s h -l help -d 'Show this message and exit.'
complete -c jobctl -n '__jobctl_at clients' -s o -l output -x -a 'table wide json jsonl name' -d 'Print table (default), wide, json, jsonl or name.'
complete -c jobctl -n '__jobctl_at clients' -l no-headers -d 'Print no header.'
complete -c jobctl -n '__jobctl_at clients' -s q -l quiet -d 'Print ids only.'
complete -c jobctl -n '__jobctl_at clients' -l time-format -x -a 'relative iso local' -d 'Print times as relative, iso or local.'
complete -c jobctl -n '__jobctl_at clients' -l url -x -k -a '(__jobctl_ask hubs)' -d 'Read from this hub; unix:PATH is a Unix socket.'
complete -c jobctl -n '__jobctl_at clients' -l token-file -r -F -d 'Read the hub\'s token from this file.'
complete -c jobctl -n '__jobctl_at clients' -l ca -r -F -d 'Trust these certificate authorities for a wss hub.'
complete -c jobctl -n '__jobctl_at clients' -l dir -x -a '(__jobctl_directories)' -d 'Directory of the job files.'
complete -c jobctl -n '__jobctl_at ""' -a token -d 'Make, list and revoke the tokens of a hub.'
complete -c jobctl -n '__jobctl_at token' -s h -l help -d 'Show this message and exit.'
complete -c jobctl -n '__jobctl_at token' -l type -x -k -a '(__jobctl_ask types)' -d 'Limit it to jobs of this type.'
complete -c jobctl -n '__jobctl_at token' -l session -x -k -a '(__jobctl_ask sessions)' -d 'Limit it to jobs of this session.'
complete -c jobctl -n '__jobctl_at token' -s l -l selector -x -k -a '(__jobctl_ask labels)' -d 'Limit it to jobs with this label.'
complete -c jobctl -n '__jobctl_at token' -l expires -x -d 'How long it is valid (90d).'
complete -c jobctl -n '__jobctl_at token' -l token-file -r -F -d 'The hub\'s token file.'
complete -c jobctl -n '__jobctl_at token' -l no-headers -d 'Print no header.'
complete -c jobctl -n '__jobctl_at token 0 0' -a 'new list revoke'
complete -c jobctl -n '__jobctl_at ""' -a watch -d 'Watch jobs live, through a hub or in the directory.'
complete -c jobctl -n '__jobctl_at watch' -s h -l help -d 'Show this message and exit.'
complete -c jobctl -n '__jobctl_at watch' -l type -x -k -a '(__jobctl_ask types)' -d 'Only jobs of this type.'
complete -c jobctl -n '__jobctl_at watch' -l stage -x -k -a '(__jobctl_ask stages)' -d 'Only jobs in this stage.'
complete -c jobctl -n '__jobctl_at watch' -l session -x -k -a '(__jobctl_ask sessions)' -d 'Only jobs of this session.'
complete -c jobctl -n '__jobctl_at watch' -s l -l selector -x -k -a '(__jobctl_ask labels)' -d 'Only jobs with this label: K=V, K!=V, K, !K.'
complete -c jobctl -n '__jobctl_at watch' -l active -d 'Only jobs that are neither completed nor failed.'
complete -c jobctl -n '__jobctl_at watch' -s a -l all -d 'In a pipe: also jobs that ended before now.'
complete -c jobctl -n '__jobctl_at watch' -l since -x -d 'Which ended jobs to show: since 10m ago, or a date (local).'
complete -c jobctl -n '__jobctl_at watch' -l cursor -x -d 'Resume from this cursor.'
complete -c jobctl -n '__jobctl_at watch' -l cursor-file -r -F -d 'Resume from the cursor in this file, and update it.'
complete -c jobctl -n '__jobctl_at watch' -l url -x -k -a '(__jobctl_ask hubs)' -d 'Read from this hub; unix:PATH is a Unix socket.'
complete -c jobctl -n '__jobctl_at watch' -l retry -d 'With --url: wait for the hub, whatever answers there.'
complete -c jobctl -n '__jobctl_at watch' -l token-file -r -F -d 'Read the hub\'s token from this file.'
complete -c jobctl -n '__jobctl_at watch' -l ca -r -F -d 'Trust these certificate authorities for a wss hub.'
complete -c jobctl -n '__jobctl_at watch' -l timeout -x -d 'With --url: give up after 90s, 5m, 1h30m.'
complete -c jobctl -n '__jobctl_at watch' -l exit-status -d 'End when all have ended; exit with 3 if one failed, 6 if cancelled.'
complete -c jobctl -n '__jobctl_at watch' -l verify -d 'Compare all jobs with the hub\'s digest; exit with 1 if it differs.'
complete -c jobctl -n '__jobctl_at watch' -l new -d 'Only what starts from now on, also retries.'
complete -c jobctl -n '__jobctl_at watch' -l read-only -d 'Offer nothing here that changes a job: no cancel, no retry.'
complete -c jobctl -n '__jobctl_at watch' -l no-keys -d 'On a terminal: a plain live table, without keys.'
complete -c jobctl -n '__jobctl_at watch' -l bell -d 'Ring the terminal\'s bell when a watched job ends.'
complete -c jobctl -n '__jobctl_at watch' -s o -l output -x -a 'table wide json jsonl name' -d 'Print table (default), wide, json, jsonl or name.'
complete -c jobctl -n '__jobctl_at watch' -s q -l quiet -d 'Print ids only.'
complete -c jobctl -n '__jobctl_at watch' -l time-format -x -a 'relative iso local' -d 'Print times as relative, iso or local.'
complete -c jobctl -n '__jobctl_at watch' -l dir -x -a '(__jobctl_directories)' -d 'Directory of the job files.'
complete -c jobctl -n '__jobctl_at watch 0' -k -a '(__jobctl_ask ids)'
complete -c jobctl -n '__jobctl_at ""' -a wait -d 'Wait for jobs to end; exit 3 if one failed, 6 if cancelled.'
complete -c jobctl -n '__jobctl_at wait' -s h -l help -d 'Show this message and exit.'
complete -c jobctl -n '__jobctl_at wait' -l type -x -k -a '(__jobctl_ask types)' -d 'Only jobs of this type.'
complete -c jobctl -n '__jobctl_at wait' -l stage -x -k -a '(__jobctl_ask stages)' -d 'Only jobs in this stage.'
complete -c jobctl -n '__jobctl_at wait' -l session -x -k -a '(__jobctl_ask sessions)' -d 'Only jobs of this session.'
complete -c jobctl -n '__jobctl_at wait' -s l -l selector -x -k -a '(__jobctl_ask labels)' -d 'Only jobs with this label: K=V, K!=V, K, !K.'
complete -c jobctl -n '__jobctl_at wait' -l active -d 'Only jobs that are neither completed nor failed.'
complete -c jobctl -n '__jobctl_at wait' -l for -x -k -a '(__jobctl_ask conditions)' -d 'Until terminal, completed, gone, stage=NAME.'
complete -c jobctl -n '__jobctl_at wait' -l any -l all -d 'Wait for the first of them, or for all.'
complete -c jobctl -n '__jobctl_at wait' -l timeout -x -d 'Give up after 90s, 5m, 1h30m; 0 looks once.'
complete -c jobctl -n '__jobctl_at wait' -s o -l output -x -a 'table wide json jsonl name' -d 'Print table (default), wide, json, jsonl or name.'
complete -c jobctl -n '__jobctl_at wait' -s q -l quiet -d 'Print ids only.'
complete -c jobctl -n '__jobctl_at wait' -l url -x -k -a '(__jobctl_ask hubs)' -d 'Read from this hub; unix:PATH is a Unix socket.'
complete -c jobctl -n '__jobctl_at wait' -l retry -d 'With --url: wait for the hub, whatever answers there.'
complete -c jobctl -n '__jobctl_at wait' -l token-file -r -F -d 'Read the hub\'s token from this file.'
complete -c jobctl -n '__jobctl_at wait' -l ca -r -F -d 'Trust these certificate authorities for a wss hub.'
complete -c jobctl -n '__jobctl_at wait' -l dir -x -a '(__jobctl_directories)' -d 'Directory of the job files.'
complete -c jobctl -n '__jobctl_at wait 0' -k -a '(__jobctl_ask ids)'
complete -c jobctl -n '__jobctl_at ""' -a ls -d 'List jobs, newest first. Needs no hub.'
complete -c jobctl -n '__jobctl_at ls' -s h -l help -d 'Show this message and exit.'
complete -c jobctl -n '__jobctl_at ls' -l type -x -k -a '(__jobctl_ask types)' -d 'Only jobs of this type.'
complete -c jobctl -n '__jobctl_at ls' -l stage -x -k -a '(__jobctl_ask stages)' -d 'Only jobs in this stage.'
complete -c jobctl -n '__jobctl_at ls' -l session -x -k -a '(__jobctl_ask sessions)' -d 'Only jobs of this session.'
complete -c jobctl -n '__jobctl_at ls' -s l -l selector -x -k -a '(__jobctl_ask labels)' -d 'Only jobs with this label: K=V, K!=V, K, !K.'
complete -c jobctl -n '__jobctl_at ls' -l active -d 'Only jobs that are neither completed nor failed.'
complete -c jobctl -n '__jobctl_at ls' -l since -x -d 'Only jobs changed since 10m ago, or 2026-11-23T09:30 (local).'
complete -c jobctl -n '__jobctl_at ls' -l until -x -d 'Only jobs not changed after that time (local).'
complete -c jobctl -n '__jobctl_at ls' -s a -l all -d 'On a terminal: list also jobs that ended long ago.'
complete -c jobctl -n '__jobctl_at ls' -l sort -x -a 'created updated stage type id' -d 'Sort by created, updated, stage, type or id.'
complete -c jobctl -n '__jobctl_at ls' -l limit -x -d 'Print at most N jobs.'
complete -c jobctl -n '__jobctl_at ls' -l cursor -x -d 'Only what has changed since this cursor.'
complete -c jobctl -n '__jobctl_at ls' -s o -l output -x -a 'table wide json jsonl name' -d 'Print table (default), wide, json, jsonl or name.'
complete -c jobctl -n '__jobctl_at ls' -l no-headers -d 'Print no header.'
complete -c jobctl -n '__jobctl_at ls' -s q -l quiet -d 'Print ids only.'
complete -c jobctl -n '__jobctl_at ls' -l time-format -x -a 'relative iso local' -d 'Print times as relative, iso or local.'
complete -c jobctl -n '__jobctl_at ls' -s v -l verbose -d 'List files that are not jobs, and remarks on other files.'
complete -c jobctl -n '__jobctl_at ls' -l url -x -k -a '(__jobctl_ask hubs)' -d 'Read from this hub; unix:PATH is a Unix socket.'
complete -c jobctl -n '__jobctl_at ls' -l token-file -r -F -d 'Read the hub\'s token from this file.'
complete -c jobctl -n '__jobctl_at ls' -l ca -r -F -d 'Trust these certificate authorities for a wss hub.'
complete -c jobctl -n '__jobctl_at ls' -l dir -x -a '(__jobctl_directories)' -d 'Directory of the job files.'
complete -c jobctl -n '__jobctl_at ls 0' -k -a '(__jobctl_ask ids)'
complete -c jobctl -n '__jobctl_at ""' -a show -d 'Show jobs: every field, and the timeline of their stages.'
complete -c jobctl -n '__jobctl_at show' -s h -l help -d 'Show this message and exit.'
complete -c jobctl -n '__jobctl_at show' -s o -l output -x -a 'table wide json jsonl name' -d 'Print table (default), wide, json, jsonl or name.'
complete -c jobctl -n '__jobctl_at show' -s q -l quiet -d 'Print ids only.'
complete -c jobctl -n '__jobctl_at show' -l time-format -x -a 'relative iso local' -d 'Print times as relative, iso or local.'
complete -c jobctl -n '__jobctl_at show' -l url -x -k -a '(__jobctl_ask hubs)' -d 'Read from this hub; unix:PATH is a Unix socket.'
complete -c jobctl -n '__jobctl_at show' -l token-file -r -F -d 'Read the hub\'s token from this file.'
complete -c jobctl -n '__jobctl_at show' -l ca -r -F -d 'Trust these certificate authorities for a wss hub.'
complete -c jobctl -n '__jobctl_at show' -l dir -x -a '(__jobctl_directories)' -d 'Directory of the job files.'
complete -c jobctl -n '__jobctl_at show 0' -k -a '(__jobctl_ask ids)'
complete -c jobctl -n '__jobctl_at ""' -a stats -d 'Count jobs and failures, and say how long jobs take.'
complete -c jobctl -n '__jobctl_at stats' -s h -l help -d 'Show this message and exit.'
complete -c jobctl -n '__jobctl_at stats' -l by -x -d 'Group by type, host or label=KEY.'
complete -c jobctl -n '__jobctl_at stats' -l type -x -k -a '(__jobctl_ask types)' -d 'Only jobs of this type.'
complete -c jobctl -n '__jobctl_at stats' -l stage -x -k -a '(__jobctl_ask stages)' -d 'Only jobs in this stage.'
complete -c jobctl -n '__jobctl_at stats' -l session -x -k -a '(__jobctl_ask sessions)' -d 'Only jobs of this session.'
complete -c jobctl -n '__jobctl_at stats' -s l -l selector -x -k -a '(__jobctl_ask labels)' -d 'Only jobs with this label: K=V, K!=V, K, !K.'
complete -c jobctl -n '__jobctl_at stats' -l active -d 'Only jobs that are neither completed nor failed.'
complete -c jobctl -n '__jobctl_at stats' -l since -x -d 'Only jobs that ended since 7d ago or a date (local), and active ones.'
complete -c jobctl -n '__jobctl_at stats' -l until -x -d 'Only jobs that ended until that time (local).'
complete -c jobctl -n '__jobctl_at stats' -s o -l output -x -a 'table wide json jsonl name' -d 'Print table (default), wide, json, jsonl or name.'
complete -c jobctl -n '__jobctl_at stats' -l no-headers -d 'Print no header.'
complete -c jobctl -n '__jobctl_at stats' -s q -l quiet -d 'Print the names of the groups only.'
complete -c jobctl -n '__jobctl_at stats' -l time-format -x -a 'relative iso local' -d 'Print times as relative, iso or local.'
complete -c jobctl -n '__jobctl_at stats' -l url -x -k -a '(__jobctl_ask hubs)' -d 'Read from this hub; unix:PATH is a Unix socket.'
complete -c jobctl -n '__jobctl_at stats' -l token-file -r -F -d 'Read the hub\'s token from this file.'
complete -c jobctl -n '__jobctl_at stats' -l ca -r -F -d 'Trust these certificate authorities for a wss hub.'
complete -c jobctl -n '__jobctl_at stats' -l dir -x -a '(__jobctl_directories)' -d 'Directory of the job files.'
complete -c jobctl -n '__jobctl_at ""' -a logs -d 'Print what a job\'s command has printed.'
complete -c jobctl -n '__jobctl_at logs' -s h -l help -d 'Show this message and exit.'
complete -c jobctl -n '__jobctl_at logs' -s f -l follow -d 'Go on until the job has ended, over all attempts.'
complete -c jobctl -n '__jobctl_at logs' -l tail -s n -x -d 'Only the last N lines.'
complete -c jobctl -n '__jobctl_at logs' -l since -x -d 'From then on: 10m (ago), or 2026-11-23T09:30 (local).'
complete -c jobctl -n '__jobctl_at logs' -s t -l timestamps -d 'Print each line\'s time before it.'
complete -c jobctl -n '__jobctl_at logs' -l stderr -d 'Leave out what is known to be standard output.'
complete -c jobctl -n '__jobctl_at logs' -l url -x -k -a '(__jobctl_ask hubs)' -d 'Read from this hub; unix:PATH is a Unix socket.'
complete -c jobctl -n '__jobctl_at logs' -l token-file -r -F -d 'Read the hub\'s token from this file.'
complete -c jobctl -n '__jobctl_at logs' -l ca -r -F -d 'Trust these certificate authorities for a wss hub.'
complete -c jobctl -n '__jobctl_at logs' -l dir -x -a '(__jobctl_directories)' -d 'Directory of the job files.'
complete -c jobctl -n '__jobctl_at logs 0 0' -k -a '(__jobctl_ask ids)'
complete -c jobctl -n '__jobctl_at ""' -a create -d 'Create a pending job, and print its id.'
complete -c jobctl -n '__jobctl_at create' -s h -l help -d 'Show this message and exit.'
complete -c jobctl -n '__jobctl_at create' -l title -x -d 'A short title.'
complete -c jobctl -n '__jobctl_at create' -l session -x -k -a '(__jobctl_ask sessions)' -d 'The session that it belongs to.'
complete -c jobctl -n '__jobctl_at create' -l stages -x -d 'Its own stages, in order.'
complete -c jobctl -n '__jobctl_at create' -l label -x -k -a '(__jobctl_ask labels)' -d 'Give the job this label.'
complete -c jobctl -n '__jobctl_at create' -l id -x -d 'Its id, instead of a new one.'
complete -c jobctl -n '__jobctl_at create' -s o -l output -x -a 'json jsonl name' -d 'Print the result as json, jsonl or name.'
complete -c jobctl -n '__jobctl_at create' -s q -l quiet -d 'Print ids only.'
complete -c jobctl -n '__jobctl_at create' -l dir -x -a '(__jobctl_directories)' -d 'Directory of the job files.'
complete -c jobctl -n '__jobctl_at create 0 0' -k -a '(__jobctl_ask types)'
complete -c jobctl -n '__jobctl_at ""' -a advance -d 'Advance a job to its next stage, or to the one named.'
complete -c jobctl -n '__jobctl_at advance' -s h -l help -d 'Show this message and exit.'
complete -c jobctl -n '__jobctl_at advance' -l force -d 'Backward too, and to any stage.'
complete -c jobctl -n '__jobctl_at advance' -l strict -d 'Within jobctl run: make an error fatal, not a warning.'
complete -c jobctl -n '__jobctl_at advance' -s o -l output -x -a 'json jsonl name' -d 'Print the result as json, jsonl or name.'
complete -c jobctl -n '__jobctl_at advance' -l dir -x -a '(__jobctl_directories)' -d 'Directory of the job files.'
complete -c jobctl -n '__jobctl_at advance 0 0' -k -a '(__jobctl_ask active)'
complete -c jobctl -n '__jobctl_at advance 1 1' -k -a '(__jobctl_ask next)'
complete -c jobctl -n '__jobctl_at ""' -a progress -d 'Report progress within the present stage.'
complete -c jobctl -n '__jobctl_at progress' -s h -l help -d 'Show this message and exit.'
complete -c jobctl -n '__jobctl_at progress' -l strict -d 'Within jobctl run: make an error fatal, not a warning.'
complete -c jobctl -n '__jobctl_at progress' -s o -l output -x -a 'json jsonl name' -d 'Print the result as json, jsonl or name.'
complete -c jobctl -n '__jobctl_at progress' -l dir -x -a '(__jobctl_directories)' -d 'Directory of the job files.'
complete -c jobctl -n '__jobctl_at progress 0 0' -k -a '(__jobctl_ask active)'
complete -c jobctl -n '__jobctl_at ""' -a complete -d 'Complete a job.'
complete -c jobctl -n '__jobctl_at complete' -s h -l help -d 'Show this message and exit.'
complete -c jobctl -n '__jobctl_at complete' -l result -x -a '(__jobctl_result)' -d 'The result: any JSON.'
complete -c jobctl -n '__jobctl_at complete' -l result-session -x -k -a '(__jobctl_ask sessions)' -d 'The session that the job made.'
complete -c jobctl -n '__jobctl_at complete' -l strict -d 'Within jobctl run: make an error fatal, not a warning.'
complete -c jobctl -n '__jobctl_at complete' -s o -l output -x -a 'json jsonl name' -d 'Print the result as json, jsonl or name.'
complete -c jobctl -n '__jobctl_at complete' -l dir -x -a '(__jobctl_directories)' -d 'Directory of the job files.'
complete -c jobctl -n '__jobctl_at complete 0 0' -k -a '(__jobctl_ask active)'
complete -c jobctl -n '__jobctl_at ""' -a fail -d 'Fail a job, with the reason.'
complete -c jobctl -n '__jobctl_at fail' -s h -l help -d 'Show this message and exit.'
complete -c jobctl -n '__jobctl_at fail' -l strict -d 'Within jobctl run: make an error fatal, not a warning.'
complete -c jobctl -n '__jobctl_at fail' -s o -l output -x -a 'json jsonl name' -d 'Print the result as json, jsonl or name.'
complete -c jobctl -n '__jobctl_at fail' -l dir -x -a '(__jobctl_directories)' -d 'Directory of the job files.'
complete -c jobctl -n '__jobctl_at fail 0 0' -k -a '(__jobctl_ask active)'
complete -c jobctl -n '__jobctl_at ""' -a retry -d 'Put failed jobs back to pending.'
complete -c jobctl -n '__jobctl_at retry' -s h -l help -d 'Show this message and exit.'
complete -c jobctl -n '__jobctl_at retry' -l rerun -d 'Run the job\'s command again, as jobctl run does.'
complete -c jobctl -n '__jobctl_at retry' -s o -l output -x -a 'json jsonl name' -d 'Print the result as json, jsonl or name.'
complete -c jobctl -n '__jobctl_at retry' -l url -x -k -a '(__jobctl_ask hubs)' -d 'Ask this hub to do it; unix:PATH is a Unix socket.'
complete -c jobctl -n '__jobctl_at retry' -l token-file -r -F -d 'Read the hub\'s token from this file.'
complete -c jobctl -n '__jobctl_at retry' -l ca -r -F -d 'Trust these certificate authorities for a wss hub.'
complete -c jobctl -n '__jobctl_at retry' -l dir -x -a '(__jobctl_directories)' -d 'Directory of the job files.'
complete -c jobctl -n '__jobctl_at retry 0' -k -a '(__jobctl_ask failed)'
complete -c jobctl -n '__jobctl_at ""' -a cancel -d 'Cancel jobs, pending or running.'
complete -c jobctl -n '__jobctl_at cancel' -s h -l help -d 'Show this message and exit.'
complete -c jobctl -n '__jobctl_at cancel' -l reason -x -d 'Why: kept in the job.'
complete -c jobctl -n '__jobctl_at cancel' -l timeout -x -d 'Wait this long for the worker to stop.'
complete -c jobctl -n '__jobctl_at cancel' -s o -l output -x -a 'json jsonl name' -d 'Print the result as json, jsonl or name.'
complete -c jobctl -n '__jobctl_at cancel' -l url -x -k -a '(__jobctl_ask hubs)' -d 'Ask this hub to do it; unix:PATH is a Unix socket.'
complete -c jobctl -n '__jobctl_at cancel' -l token-file -r -F -d 'Read the hub\'s token from this file.'
complete -c jobctl -n '__jobctl_at cancel' -l ca -r -F -d 'Trust these certificate authorities for a wss hub.'
complete -c jobctl -n '__jobctl_at cancel' -l dir -x -a '(__jobctl_directories)' -d 'Directory of the job files.'
complete -c jobctl -n '__jobctl_at cancel 0' -k -a '(__jobctl_ask active)'
complete -c jobctl -n '__jobctl_at ""' -a ack -d 'Acknowledge a failed or lost job; watch lists it lower.'
complete -c jobctl -n '__jobctl_at ack' -s h -l help -d 'Show this message and exit.'
complete -c jobctl -n '__jobctl_at ack' -l undo -d 'Take the acknowledgement back.'
complete -c jobctl -n '__jobctl_at ack' -s o -l output -x -a 'json jsonl name' -d 'Print the result as json, jsonl or name.'
complete -c jobctl -n '__jobctl_at ack' -l url -x -k -a '(__jobctl_ask hubs)' -d 'Ask this hub to do it; unix:PATH is a Unix socket.'
complete -c jobctl -n '__jobctl_at ack' -l token-file -r -F -d 'Read the hub\'s token from this file.'
complete -c jobctl -n '__jobctl_at ack' -l ca -r -F -d 'Trust these certificate authorities for a wss hub.'
complete -c jobctl -n '__jobctl_at ack' -l dir -x -a '(__jobctl_directories)' -d 'Directory of the job files.'
complete -c jobctl -n '__jobctl_at ack 0 0' -k -a '(__jobctl_ask failed)'
complete -c jobctl -n '__jobctl_at ""' -a rm -d 'Remove jobs, whatever their stage.'
complete -c jobctl -n '__jobctl_at rm' -s h -l help -d 'Show this message and exit.'
complete -c jobctl -n '__jobctl_at rm' -l damaged -d 'Also remove files that are not jobs.'
complete -c jobctl -n '__jobctl_at rm' -s o -l output -x -a 'json jsonl name' -d 'Print the result as json, jsonl or name.'
complete -c jobctl -n '__jobctl_at rm' -l url -x -k -a '(__jobctl_ask hubs)' -d 'Ask this hub to do it; unix:PATH is a Unix socket.'
complete -c jobctl -n '__jobctl_at rm' -l token-file -r -F -d 'Read the hub\'s token from this file.'
complete -c jobctl -n '__jobctl_at rm' -l ca -r -F -d 'Trust these certificate authorities for a wss hub.'
complete -c jobctl -n '__jobctl_at rm' -l dir -x -a '(__jobctl_directories)' -d 'Directory of the job files.'
complete -c jobctl -n '__jobctl_at rm 0' -k -a '(__jobctl_ask ids)'
complete -c jobctl -n '__jobctl_at ""' -a run -d 'Run a command as a tracked job; exit as it does.'
complete -c jobctl -n '__jobctl_at run 0 0' -s h -l help -d 'Show this message and exit.'
complete -c jobctl -n '__jobctl_at run 0 0' -l type -x -k -a '(__jobctl_ask types)' -d 'The job\'s type.'
complete -c jobctl -n '__jobctl_at run 0 0' -l title -x -d 'A short title; by default the command.'
complete -c jobctl -n '__jobctl_at run 0 0' -l stages -x -d 'Its stages, in order.'
complete -c jobctl -n '__jobctl_at run 0 0' -l session -x -k -a '(__jobctl_ask sessions)' -d 'The session that it belongs to.'
complete -c jobctl -n '__jobctl_at run 0 0' -l label -x -k -a '(__jobctl_ask labels)' -d 'Give the job this label.'
complete -c jobctl -n '__jobctl_at run 0 0' -l id -x -d 'Its id, instead of a new one.'
complete -c jobctl -n '__jobctl_at run 0 0' -l again -d 'With --id: run again, as the next attempt, if that job has ended.'
complete -c jobctl -n '__jobctl_at run 0 0' -l keep-env -x -a '(set -nx)' -d 'Keep this variable for retry --rerun.'
complete -c jobctl -n '__jobctl_at run 0 0' -l ok -x -d 'More exit codes that mean success: 24, or 1,2.'
complete -c jobctl -n '__jobctl_at run 0 0' -l timeout -x -d 'End the command after 90s, 5m, 1h30m.'
complete -c jobctl -n '__jobctl_at run 0 0' -l grace -x -d 'Time from SIGTERM to SIGKILL when it is ended.'
complete -c jobctl -n '__jobctl_at run 0 0' -s d -l detach -d 'Run it in the background; print the job\'s id.'
complete -c jobctl -n '__jobctl_at run 0 0' -l no-relay -d 'Leave the command\'s output alone, and keep nothing of it.'
complete -c jobctl -n '__jobctl_at run 0 0' -l log -x -a 'on all on-failure off' -d 'Keep this output: on (also of a terminal), all, on-failure or off.'
complete -c jobctl -n '__jobctl_at run 0 0' -l no-log -d 'Keep no output; as --log off.'
complete -c jobctl -n '__jobctl_at run 0 0' -l dir -x -a '(__jobctl_directories)' -d 'Directory of the job files.'
complete -c jobctl -n '__jobctl_at run 0' -a '(__jobctl_command)'
complete -c jobctl -n '__jobctl_at ""' -a reap -d 'Fail the lost jobs, whose worker has died; print their ids.'
complete -c jobctl -n '__jobctl_at reap' -s h -l help -d 'Show this message and exit.'
complete -c jobctl -n '__jobctl_at reap' -l dry-run -d 'Print the lost jobs; change nothing.'
complete -c jobctl -n '__jobctl_at reap' -s o -l output -x -a 'json jsonl name' -d 'Print the result as json, jsonl or name.'
complete -c jobctl -n '__jobctl_at reap' -s q -l quiet -d 'Print ids only.'
complete -c jobctl -n '__jobctl_at reap' -l dir -x -a '(__jobctl_directories)' -d 'Directory of the job files.'
complete -c jobctl -n '__jobctl_at ""' -a prune -d 'Remove jobs that ended long ago, and print their ids.'
complete -c jobctl -n '__jobctl_at prune' -s h -l help -d 'Show this message and exit.'
complete -c jobctl -n '__jobctl_at prune' -l older-than -x -d 'Only jobs that ended this long ago (90s, 1h30m); 7d, unless --keep is given.'
complete -c jobctl -n '__jobctl_at prune' -l keep -x -d 'Keep the N jobs that ended last.'
complete -c jobctl -n '__jobctl_at prune' -l stage -x -k -a '(__jobctl_ask endings)' -d 'Only completed, failed or cancelled jobs; all by default.'
complete -c jobctl -n '__jobctl_at prune' -l type -x -k -a '(__jobctl_ask types)' -d 'Only jobs of this type.'
complete -c jobctl -n '__jobctl_at prune' -s l -l selector -x -k -a '(__jobctl_ask labels)' -d 'Only jobs with this label: K=V, K!=V, K, !K.'
complete -c jobctl -n '__jobctl_at prune' -l foreign -d 'Also files of other programs without createdAt or type.'
complete -c jobctl -n '__jobctl_at prune' -l logs -d 'Remove the logs of those jobs, and keep the jobs.'
complete -c jobctl -n '__jobctl_at prune' -l dry-run -d 'Print what would be removed; remove nothing.'
complete -c jobctl -n '__jobctl_at prune' -s y -l yes -d 'Do not ask.'
complete -c jobctl -n '__jobctl_at prune' -s o -l output -x -a 'json jsonl name' -d 'Print the result as json, jsonl or name.'
complete -c jobctl -n '__jobctl_at prune' -s q -l quiet -d 'Print ids only.'
complete -c jobctl -n '__jobctl_at prune' -l dir -x -a '(__jobctl_directories)' -d 'Directory of the job files.'
complete -c jobctl -n '__jobctl_at ""' -a doctor -d 'Check the directory, its hubs and the settings for problems.'
complete -c jobctl -n '__jobctl_at doctor' -s h -l help -d 'Show this message and exit.'
complete -c jobctl -n '__jobctl_at doctor' -s o -l output -x -a 'table json jsonl' -d 'Print table (default), json or jsonl.'
complete -c jobctl -n '__jobctl_at doctor' -l dir -x -a '(__jobctl_directories)' -d 'Directory of the job files.'
complete -c jobctl -n '__jobctl_at ""' -a run-dummy -d 'Run dummy jobs through their stages; Ctrl-C fails them.'
complete -c jobctl -n '__jobctl_at run-dummy' -s h -l help -d 'Show this message and exit.'
complete -c jobctl -n '__jobctl_at run-dummy' -l count -x -d 'How many jobs.'
complete -c jobctl -n '__jobctl_at run-dummy' -l concurrency -x -d 'How many at once; by default all.'
complete -c jobctl -n '__jobctl_at run-dummy' -l type -x -k -a '(__jobctl_ask types)' -d 'Their type.'
complete -c jobctl -n '__jobctl_at run-dummy' -l session -x -k -a '(__jobctl_ask sessions)' -d 'Their session.'
complete -c jobctl -n '__jobctl_at run-dummy' -l speed -x -d 'Speed factor; 2 is twice as fast.'
complete -c jobctl -n '__jobctl_at run-dummy' -l stage-delay -x -d 'How long a stage takes: load=2s.'
complete -c jobctl -n '__jobctl_at run-dummy' -l fail-rate -x -d 'The share of jobs that fail.'
complete -c jobctl -n '__jobctl_at run-dummy' -l fail-at -x -k -a '(__jobctl_ask stages)' -d 'Where they fail.'
complete -c jobctl -n '__jobctl_at run-dummy' -l seed -x -d 'Seed of the random choices.'
complete -c jobctl -n '__jobctl_at run-dummy' -l wait -d 'Exit with 3 if one of them failed.'
complete -c jobctl -n '__jobctl_at run-dummy' -l rm -d 'Remove the jobs at the end.'
complete -c jobctl -n '__jobctl_at run-dummy' -s q -l quiet -d 'Print ids only.'
complete -c jobctl -n '__jobctl_at run-dummy' -l dir -x -a '(__jobctl_directories)' -d 'Directory of the job files.'
complete -c jobctl -n '__jobctl_at ""' -a demo -d 'Show a hub, jobs and a live view; leaves nothing behind.'
complete -c jobctl -n '__jobctl_at demo' -s h -l help -d 'Show this message and exit.'
complete -c jobctl -n '__jobctl_at demo' -l web -d 'Show the page of a hub at work, until Ctrl-C.'
complete -c jobctl -n '__jobctl_at ""' -a config -d 'Show each setting, and where it comes from.'
complete -c jobctl -n '__jobctl_at config' -s h -l help -d 'Show this message and exit.'
complete -c jobctl -n '__jobctl_at config' -s o -l output -x -a 'table json' -d 'Print table (default) or json.'
complete -c jobctl -n '__jobctl_at config' -l no-headers -d 'Print no header.'
complete -c jobctl -n '__jobctl_at config' -l url -x -k -a '(__jobctl_ask hubs)' -d 'Read from this hub; unix:PATH is a Unix socket.'
complete -c jobctl -n '__jobctl_at config' -l dir -x -a '(__jobctl_directories)' -d 'Directory of the job files.'
complete -c jobctl -n '__jobctl_at ""' -a js -d 'Write the client for web pages into a project.'
complete -c jobctl -n '__jobctl_at js' -s h -l help -d 'Show this message and exit.'
complete -c jobctl -n '__jobctl_at js' -l out -r -F -d 'The directory to write to, such as src/.'
complete -c jobctl -n '__jobctl_at js' -l force -d 'Replace files that differ, such as those of another version.'
complete -c jobctl -n '__jobctl_at ""' -a completion -d 'Print the completion script of a shell.'
complete -c jobctl -n '__jobctl_at completion' -s h -l help -d 'Show this message and exit.'
complete -c jobctl -n '__jobctl_at completion 0 0' -a 'bash zsh fish'
complete -c jobctl -n '__jobctl_at ""' -a help -d 'Explain a command, or a topic.'
complete -c jobctl -n '__jobctl_at help' -s h -l help -d 'Show this message and exit.'
complete -c jobctl -n '__jobctl_at help 0 0' -a 'serve clients token watch wait ls show stats logs create advance progress complete fail retry cancel ack rm run reap prune doctor run-dummy demo config js completion help exit-codes environment settings filters times output'
