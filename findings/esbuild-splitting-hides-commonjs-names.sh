#!/usr/bin/env bash
# With code splitting, `await import("react")` in an esbuild bundle has no names but default.
#
# Guess: the names of a CommonJS package are there in both cases, as they are without
# splitting and as `import { createElement } from "react"` has them: splitting only moves
# code into other files.
#
# Seen with esbuild 0.28.2 and react 19.3.1: what a bundle of
# `typeof (await import("react")).createElement` prints
#
#   without --splitting:  function
#   with --splitting:     undefined     (default.createElement is a function)
#
# Why it matters: a page that loads its framework on demand works until splitting is turned
# on, and then fails in the browser only ("createElement is not a function"), while the
# build warns of nothing. `(await import("react")).default` works in both.

set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --ignore-scripts esbuild@0.28.2 react@19.3.1
cat >app.mjs <<'EOF'
const react = await import("react");
console.log(typeof react.createElement, typeof react.default.createElement);
EOF
for flags in "" --splitting; do
    rm -rf out
    # shellcheck disable=SC2086
    node_modules/.bin/esbuild app.mjs --bundle --format=esm --platform=neutral \
        --main-fields=main --out-extension:.js=.mjs --outdir=out --log-level=warning $flags
    echo "${flags:-without --splitting}: $(node out/app.mjs)" | tee -a seen
done
diff seen - <<'EOF' || { echo "the behaviour changed" >&2; exit 1; }
without --splitting: function function
--splitting: undefined function
EOF
