"""Many connections at once: ``flood.py PORT COUNT``.

Prints how many were refused, and in how many seconds all were accepted.
"""

from __future__ import annotations

import resource
import socket
import sys
import time


def main(port: int, count: int) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(count + 50, hard), hard))
    socks, began_s = [], time.monotonic()
    for _ in range(min(count, hard - 50)):
        sock = socket.create_connection(("127.0.0.1", port), 20)
        socks.append(sock)
    opened_s = time.monotonic() - began_s
    print(sum(is_told(sock) for sock in socks), opened_s, flush=True)


def is_told(sock: socket.socket) -> bool:
    """Whether it got a 503, or, having been let in at first, was given up in the end."""
    return sock.recv(20)[9:12] in (b"503", b"408")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
