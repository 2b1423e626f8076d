"""The listening sockets of a hub, opened before anything else."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack

from jobctl.errors import AddressInUse, HubError
from jobctl.hub.unix import listening

__all__ = ["BACKLOG", "Sockets", "listen"]

BACKLOG = 2048
"""Connections that wait to be accepted; past that a client tries again after a second."""


class Sockets:
    """The listening sockets, of a port and of a file. Iterates over all of them."""

    def __init__(self) -> None:
        self.tcp: list[socket.socket] = []
        self.unix: socket.socket | None = None
        self._file = ExitStack()

    def __iter__(self) -> Iterator[socket.socket]:
        yield from self.tcp
        if self.unix is not None:
            yield self.unix

    def listen_on_file(self, path: str) -> None:
        """Listen on a Unix socket too; see unix.py."""
        self.unix = self._file.enter_context(listening(path))

    def remove_file(self) -> None:
        """Remove the file of the Unix socket, unless another hub has replaced it."""
        self._file.close()

    def close(self) -> None:
        """Remove the file and close the sockets; does nothing the second time."""
        self.remove_file()
        for sock in self:
            sock.close()


def listen(host: str | None, port: int, unix: str | None = None) -> Sockets:
    """Return sockets that listen on the port at every address of the host, and on a file.

    Port 0 takes a free one for each address, an empty host means every address of this machine,
    ``None`` no port at all. An address that this machine does not have is skipped if the host has
    others. Raises `AddressInUse`, `HubError`, or `UsageError` for the file; then nothing stays
    open.
    """
    sockets = Sockets()
    try:
        if host is not None:
            _listen_on_port(sockets.tcp, host, port)
        if unix is not None:
            sockets.listen_on_file(unix)
    except BaseException:
        sockets.close()
        raise
    return sockets


def _listen_on_port(sockets: list[socket.socket], host: str, port: int) -> None:
    missing: OSError | None = None
    try:
        infos = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        for family, _, protocol, _, address in dict.fromkeys(infos):
            try:
                sock = socket.socket(family, socket.SOCK_STREAM, protocol)
            except OSError as error:  # a kernel without IPv6
                missing = error
                continue
            sockets.append(sock)
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                sock.bind(address)
            except OSError as error:
                if error.errno != errno.EADDRNOTAVAIL:
                    raise
                missing = error
                sockets.pop().close()
                continue
            sock.listen(BACKLOG)
        if not sockets:
            raise missing or OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise AddressInUse(host, port) from error
        raise HubError(
            f"cannot listen on {host}:{port}: {error.strerror or error}",
            url=f"{host}:{port}",
            hint="choose another address with --host and --port",
        ) from error
