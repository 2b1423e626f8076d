"""One request as another user: ``other_user.py UID``, with the request as JSON on standard input.

The request is ``{"to": [host, port] or path, "send": text, "leave": bool}``. The process becomes
the user, connects, sends, and prints what comes back within two seconds, as JSON text; with
``leave`` it closes the connection at once and prints nothing. Only root can start it. It imports
nothing after it has become the user, who need not be able to read the interpreter's files.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

NOBODY = 65534


def ask_as(
    uid: int, to: Sequence[Any] | str, text: str, *, leave: bool = False
) -> tuple[bytes, str]:
    """What the hub answered to the user, and the error that the user got, if any."""
    request = {"to": to if isinstance(to, str) else list(to), "send": text, "leave": leave}
    ran = subprocess.run(
        [sys.executable, str(Path(__file__)), str(uid)], input=json.dumps(request), text=True,
        capture_output=True, check=True, timeout=30,
    )  # fmt: skip
    answer = json.loads(ran.stdout)
    return answer["got"].encode("latin-1"), answer["error"]


def get(path: str, *headers: str) -> str:
    """The text of a GET."""
    lines = [f"GET {path} HTTP/1.1", "Host: localhost", *headers]
    return "\r\n".join(lines) + "\r\n\r\n"


def upgrade(path: str, *headers: str) -> str:
    """The text of a WebSocket handshake in our own dialect."""
    return get(
        path, "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Protocol: jobctl.v1", *headers
    )  # fmt: skip


def _main(uid: int) -> None:
    request = json.load(sys.stdin)
    to = request["to"]
    socket.getaddrinfo("127.0.0.1", 1)  # what this imports is imported now
    if uid != os.geteuid():
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
    family = (
        socket.AF_UNIX
        if isinstance(to, str)
        else socket.AF_INET6
        if ":" in to[0]
        else socket.AF_INET
    )
    got, error = b"", ""
    try:
        with socket.socket(family) as sock:
            sock.settimeout(2)
            sock.connect(to if isinstance(to, str) else tuple(to))
            sock.sendall(request["send"].encode())
            while not request["leave"] and (part := sock.recv(65536)):
                got += part
    except TimeoutError:
        pass  # a socket that stays open
    except OSError as failure:
        error = str(failure)
    print(json.dumps({"got": got.decode("latin-1"), "error": error}))


if __name__ == "__main__":
    _main(int(sys.argv[1]))
