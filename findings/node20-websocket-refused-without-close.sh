#!/usr/bin/env bash
# Node 20's built-in WebSocket fires no close event where the connection is refused.
#
# Guess: an error event, and then a close event with code 1006, as the WHATWG WebSockets
# standard has it for a connection that fails to be established, and as the package ws
# does it. So a client that reconnects in onclose tries again.
#
# Seen with Node 20.20.2 (the built-in client needs --experimental-websocket there) and
# ws 8.18.0 beside it, on a port where nobody listens:
#
#   built-in: error
#   ws:       error, close 1006
#
# Why it matters: a page's usual client ("onclose = () => setTimeout(connect, delay)")
# reconnects for ever in browsers. In Node 20 it stops at the first refused connection,
# so a test of it, or a worker that runs it, never comes back after a restart of its
# server. Reconnect in onerror as well, once a socket.

set -euo pipefail

if ! node --version | grep -q '^v20\.'; then
    echo "this finding is of Node 20, and $(node --version 2>/dev/null || echo no node) is here" >&2
    exit 2
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --ignore-scripts ws@8.18.0
cat >refused.mjs <<'EOF'
import { createServer } from "node:net";
import Ws from "ws";

// A port that was free a moment ago.
const server = createServer().listen(0, "127.0.0.1");
await new Promise((resolve) => server.once("listening", resolve));
const { port } = server.address();
await new Promise((resolve) => server.close(resolve));

function events(Client) {
  return new Promise((resolve) => {
    const seen = [];
    const socket = new Client(`ws://127.0.0.1:${port}/`);
    socket.onopen = () => seen.push("open");
    socket.onerror = () => seen.push("error");
    socket.onclose = ({ code }) => seen.push(`close ${code}`);
    setTimeout(() => resolve(seen.join(", ")), 2000);
  });
}

const seen = { "built-in": await events(WebSocket), ws: await events(Ws) };
console.log(seen);
const as = seen["built-in"] === "error" && seen.ws === "error, close 1006";
if (!as) console.error("the behaviour changed");
process.exit(as ? 0 : 1);
EOF
node --experimental-websocket --no-warnings refused.mjs
