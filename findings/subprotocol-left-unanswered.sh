#!/usr/bin/env bash
# A WebSocket server that picks no subprotocol: Python's clients connect, Node's do not.
#
# Guess: a client that offers a subprotocol to a server that answers without one gets
# an open connection with an empty protocol. Only ws, the Node package, is stricter:
# it fails. undici's WebSocket, made to the web's standard, connects.
#
# Seen with websockets 17.4, aiohttp 3.14.5, ws 8.23.0, undici 7.30.2: both Python
# clients connect, with the subprotocol None. Both Node clients fail the connection
# with the close code 1006, undici with an empty error message. The server sees an
# open connection in each case.
#
#   websockets   open, subprotocol None
#   aiohttp      open, protocol None
#   ws           error "Server sent no subprotocol", close code 1006
#   undici       error "", close code 1006
#
# Why it matters: a server that knows no subprotocols, or a proxy that drops the header,
# works in tests with Python clients and is broken for Node. A client's author who adds
# a subprotocol "to be negotiated if the server knows it" locks the Node clients out of
# all older servers. A server that does not know the offered names has to be asked
# again without them.

set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check websockets==17.4 aiohttp==3.14.5
cd "$work"
echo '{"private": true}' >package.json
npm install --silent --no-audit --no-fund --save-exact ws@8.23.0 undici@7.30.2 >/dev/null

cat >client.mjs <<'EOF'
const [name, address] = process.argv.slice(2);
const { WebSocket } = await import(name);
const socket = new WebSocket(address, ["jobs.v1"]);
socket.addEventListener("open", () => {
  console.log(`open ${JSON.stringify(socket.protocol)}`);
  socket.close();
});
socket.addEventListener("error", (event) => console.log(`error ${JSON.stringify(event.message)}`));
socket.addEventListener("close", (event) => {
  console.log(`close ${event.code}`);
  process.exit();
});
EOF

cat >look.py <<'EOF'
import asyncio
import sys

import aiohttp
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

opened = 0


async def handler(connection):
    global opened
    opened += 1
    await connection.wait_closed()


def check(what, seen, expected):
    print(f"{what}: {seen!r}")
    if seen != expected:
        sys.exit(f"the behaviour changed, expected {expected!r}")


async def node(name, address):
    process = await asyncio.create_subprocess_exec(
        "node", "client.mjs", name, address, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await asyncio.wait_for(process.communicate(), 20)
    return output.decode().splitlines()


async def main():
    async with serve(handler, "127.0.0.1", 0) as server:
        address = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"

        async with connect(address, subprotocols=["jobs.v1"], proxy=None) as connection:
            check("websockets", connection.subprotocol, None)
        async with aiohttp.ClientSession() as session:
            async with session.ws_connect(address, protocols=["jobs.v1"]) as connection:
                check("aiohttp", connection.protocol, None)
        check("ws", await node("ws", address), ['error "Server sent no subprotocol"', "close 1006"])
        check("undici", await node("undici", address), ['error ""', "close 1006"])
        check("connections that the server saw", opened, 4)


asyncio.run(main())
EOF
"$work/venv/bin/python" look.py
