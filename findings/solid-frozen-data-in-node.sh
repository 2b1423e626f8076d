#!/usr/bin/env bash
# A Solid store changes frozen data in the browser build and throws in Node's build.
#
# Guess: setState on an object that is frozen fails, or changes nothing, in every
# build, because a store writes into the object that it was given.
#
# Seen with solid-js 1.9.20: the browser build copies a frozen object when it takes
# it in, and setState works on the copy. An object that is not frozen is written
# into. The build that Node selects by itself throws a TypeError for the same lines.
#
#                            browser build   Node's build
#   frozen: store / original     2 / 1         TypeError
#   not frozen                   2 / 2         2 / 2
#
# Why it matters: tests of a store's logic often run in Node without a bundler, and
# get the server build of Solid. Immutable input (immer, Object.freeze, a cached
# response) works in the page and fails in the test and when rendering on the server,
# and whether the caller's object changes depends on its being frozen. Run store tests
# with --conditions=browser.

set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
echo '{"private": true}' >package.json
npm install --silent --no-audit --no-fund --save-exact solid-js@1.9.20 >/dev/null
cat >look.mjs <<'EOF'
import { createStore } from "solid-js/store";

function look(original) {
  const [state, setState] = createStore({ job: original });
  try {
    setState("job", "stage", 2);
    return `store ${state.job.stage}, original ${original.stage}`;
  } catch (error) {
    return error.name;
  }
}

console.log(`frozen: ${look(Object.freeze({ stage: 1 }))}`);
console.log(`not frozen: ${look({ stage: 1 })}`);
EOF

check() { # what, seen, expected
  printf '%s\n%s\n' "$1" "$2"
  if [[ $2 != "$3" ]]; then
    printf 'the behaviour changed, expected\n%s\n' "$3"
    exit 1
  fi
}

check "browser build" "$(node --conditions=browser look.mjs)" "frozen: store 2, original 1
not frozen: store 2, original 2"
check "Node's build" "$(node look.mjs)" "frozen: TypeError
not frozen: store 2, original 2"
