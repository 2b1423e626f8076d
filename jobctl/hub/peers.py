"""The user id of the process at the other end of a local connection, as the kernel knows it.

For a Unix socket the kernel keeps the user id of the process that connected: ``SO_PEERCRED`` in
unix(7), ``LOCAL_PEERCRED`` on macOS and FreeBSD. TCP has no such option. On Linux the peer's socket
is looked up in the kernel's socket table instead: one netlink request for the exact pair of
addresses, as described in sock_diag(7) (``NETLINK_SOCK_DIAG``, ``struct inet_diag_req_v2``). It
takes about 10 µs, however many sockets exist. Where netlink is refused (a sandbox without
``AF_NETLINK``), ``/proc/net/tcp`` and ``tcp6`` are read instead (proc(5)); that takes time in
proportion to the number of sockets.

An answer counts only if:

- its inode is not 0. A socket that its process has closed, also by ending, is reported with inode 0
  and user id 0. It must not be taken for a socket of root.
- it is about a socket with this very pair of addresses. If there is none, the kernel falls back to
  a socket that *listens* on the peer's address.
- its user id is known in this user namespace. The kernel reports the overflow user id for all
  others (user_namespaces(7)).

The user id is that of the process that created the socket. A program that relays the requests of
others (a proxy, ``ssh -L``, the published port of a container) is identified as the user who runs
the relay.
"""

from __future__ import annotations

import errno
import socket
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

__all__ = ["PeerUid", "PeerUids"]

PeerUid = Callable[[Any], int | None]
"""Takes our end of a connection (a socket); returns the peer's user id, ``None`` if unknown."""

_Pair = tuple[str, int]

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST = 1
_TCP_LISTEN = 10
_NO_COOKIE = b"\xff" * 8
# struct nlmsghdr, then struct inet_diag_req_v2 with its struct inet_diag_sockid.
_REQUEST = struct.Struct("=IHHII BBBxI 2s2s16s16sI8s")
# struct nlmsghdr, then struct inet_diag_msg: the same sockid, and what is known of the socket.
_ANSWER = struct.Struct("=IHHII BBBB 2s2s16s16sI8s IIIII")

_TABLES = "/proc/self/net/"
_MAX_TABLE = 4 * 1024 * 1024
"""Bytes read of one table: about 27,000 sockets. The users of sockets after that are unknown."""

_XUCRED = struct.Struct("=II")  # the beginning of struct xucred: a version, and the user id


class PeerUids:
    """Looks up the user id of a connection's peer; call it with the socket of our end.

    It returns ``None`` if the user is unknown: the peer is on another machine or in another network
    namespace, its process has closed the socket, or the system offers no look-up. It never blocks
    and never raises.

    ``tcp`` is the way that TCP connections are looked up: ``netlink``, ``proc``, or ``""`` if they
    cannot be. It is determined by a test connection, because a kernel without sock_diag answers as
    if the socket did not exist.
    """

    def __init__(self) -> None:
        self._netlink: socket.socket | None = None
        self._sequence = 0
        self._overflow = _overflow_uid()
        self.tcp = self._find_way()

    def __call__(self, sock: Any) -> int | None:
        try:
            if sock.family == socket.AF_UNIX:
                uid = _uid_of_unix(sock)
            elif sock.family in (socket.AF_INET, socket.AF_INET6):
                uid = self._uid_of_tcp(_plain(sock.getpeername()), _plain(sock.getsockname()))
            else:
                return None
        except (OSError, ValueError, struct.error):
            return None  # it is closed already, or its address is of another kind
        return uid if uid != self._overflow else None

    def close(self) -> None:
        """Close the netlink socket. Afterwards TCP peers are unknown."""
        self.tcp = ""
        if self._netlink is not None:
            self._netlink.close()
            self._netlink = None

    def _find_way(self) -> str:
        if sys.platform != "linux":
            return ""
        with suppress(OSError):
            self._netlink = socket.socket(
                socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG
            )
            self._netlink.setblocking(False)
        with suppress(OSError), _Connection() as (peer, own):
            if self._ask(peer, own) is not None:
                return "netlink"
            if _in_tables(peer, own) is not None:
                self.close()
                return "proc"
        self.close()
        return ""

    def _uid_of_tcp(self, peer: _Pair, own: _Pair) -> int | None:
        if self.tcp == "netlink":
            return self._ask(peer, own)
        return _in_tables(peer, own) if self.tcp == "proc" else None

    def _ask(self, peer: _Pair, own: _Pair) -> int | None:
        """Ask by netlink. The kernel answers before ``send`` returns, so this does not block."""
        if self._netlink is None:
            return None
        self._sequence = (self._sequence + 1) & 0xFFFFFFFF
        family, source = _packed(peer[0])
        other_family, target = _packed(own[0])
        if family != other_family:
            return None
        request = _REQUEST.pack(
            _REQUEST.size, _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, self._sequence, 0,
            family, socket.IPPROTO_TCP, 0, 0xFFFFFFFF,
            _port(peer), _port(own), source, target, 0, _NO_COOKIE,
        )  # fmt: skip
        try:
            self._netlink.send(request)
            while True:
                answer, (sender, _) = self._netlink.recvfrom(4096)
                if sender == 0 and struct.unpack_from("=I", answer, 8)[0] == self._sequence:
                    break  # from the kernel (netlink(7)), and for this request
        except OSError:
            return None
        if struct.unpack_from("=H", answer, 4)[0] != _SOCK_DIAG_BY_FAMILY:
            return None  # NLMSG_ERROR, with ENOENT mostly
        found = _ANSWER.unpack_from(answer)
        state, source_port, target_port, uid, inode = (found[index] for index in (6, 9, 10, 18, 19))
        is_it = state != _TCP_LISTEN and (source_port, target_port) == (_port(peer), _port(own))
        return int(uid) if is_it and inode else None


class _Connection:
    """A test connection to ourselves on loopback; yields the addresses of peer and own end."""

    def __enter__(self) -> tuple[_Pair, _Pair]:
        self._sockets: list[socket.socket] = []
        for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            try:
                listening = socket.create_server((host, 0), family=family)
            except OSError:
                continue
            self._sockets.append(listening)
            client = socket.create_connection(listening.getsockname()[:2], timeout=1)
            self._sockets.append(client)
            own, _ = listening.accept()
            self._sockets.append(own)
            return _plain(own.getpeername()), _plain(own.getsockname())
        raise OSError(errno.EADDRNOTAVAIL, "no loopback")

    def __exit__(self, *_: object) -> None:
        for sock in self._sockets:
            sock.close()


def _plain(address: Any) -> _Pair:
    """Host and port; an IPv4-mapped IPv6 address becomes the IPv4 address."""
    host, port = address[:2]
    host = host.partition("%")[0]
    if host.lower().startswith("::ffff:") and "." in host:
        host = host[7:]
    return host, port


def _port(pair: _Pair) -> bytes:
    return pair[1].to_bytes(2, "big")


def _packed(host: str) -> tuple[int, bytes]:
    """The family and the address in the form of struct inet_diag_sockid."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return family, socket.inet_pton(family, host).ljust(16, b"\0")


def _in_tables(peer: _Pair, own: _Pair) -> int | None:
    """Search the tables of all sockets; ``tcp6`` may have an IPv4 client, with mapped addresses."""
    for name, mapped in (("tcp", False), ("tcp6", True)):
        key = f" {_in_hex(peer, mapped=mapped)} {_in_hex(own, mapped=mapped)} ".encode()
        try:
            with open(_TABLES + name, "rb", buffering=0) as file:
                table = _read_some(file)
        except OSError:
            continue
        found = table.find(key)
        if found < 0:
            continue
        fields = table[found + len(key) :].split(maxsplit=7)
        if len(fields) < 7:
            return None
        state, uid, inode = int(fields[0], 16), int(fields[4]), int(fields[6])
        return uid if inode and state != _TCP_LISTEN else None
    return None


def _read_some(file: Any) -> bytes:
    parts, size = [], 0
    while size < _MAX_TABLE and (part := file.read(65536)):
        parts.append(part)
        size += len(part)
    return b"".join(parts)


def _in_hex(pair: _Pair, *, mapped: bool) -> str:
    """The address in the form of these tables: 32-bit words in the machine's byte order."""
    family, packed = _packed(pair[0])
    if family == socket.AF_INET:
        packed = packed[:4]
        if mapped:
            packed = bytes(10) + b"\xff\xff" + packed
    words = struct.unpack(f"={len(packed) // 4}I", packed)
    return "".join(f"{word:08X}" for word in words) + f":{pair[1]:04X}"


def _uid_of_unix(sock: Any) -> int | None:
    if hasattr(socket, "SO_PEERCRED"):
        size = struct.calcsize("=iII")  # struct ucred: process, user, group
        return int(
            struct.unpack("=iII", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))[1]
        )
    if hasattr(socket, "LOCAL_PEERCRED"):  # level 0 is SOL_LOCAL
        return int(_XUCRED.unpack_from(sock.getsockopt(0, socket.LOCAL_PEERCRED, 256))[1])
    return None


def _overflow_uid(
    known: str = "/proc/self/uid_map", number: str = "/proc/sys/kernel/overflowuid"
) -> int | None:
    """The user id reported for users unknown in this user namespace; ``None`` if all are known.

    In the initial namespace all users are known, and 65534 is a user like any other.
    """
    try:
        with open(known) as file:
            ranges = [line.split() for line in file]
        if any(int(count) >= 2**32 - 1 for _, _, count in ranges):
            return None
        with open(number) as file:
            return int(file.read())
    except (OSError, ValueError):
        return None
