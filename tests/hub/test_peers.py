"""Which user is at the other end of a connection."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from jobctl.hub import peers as peers_module
from jobctl.hub.peers import PeerUids
from tests.hub.other_user import NOBODY
from tests.hub.test_discovery import has_ipv6

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells this of TCP")

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a socket away")
needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="needs IPv6")


@pytest.fixture(params=["netlink", "proc"])
def peers(request: pytest.FixtureRequest) -> Iterator[PeerUids]:
    """A look-up by each of the ways."""
    found = PeerUids()
    if found.tcp != "netlink":
        pytest.skip("netlink is refused here")
    found.tcp = request.param
    yield found
    found.close()


@contextmanager
def connected(
    host: str = "127.0.0.1", family: int = socket.AF_INET, *, to: str = "", by: int = 0
) -> Iterator[tuple[Any, socket.socket]]:
    """Our end of a connection, and the client's; ``to`` and ``by``: its address and family."""
    dual = {"dualstack_ipv6": True} if host == "::" else {}
    with socket.create_server((host, 0), family=family, **dual) as server:
        client = socket.socket(by or family)
        client.connect((to or host, server.getsockname()[1]))
        own, _ = server.accept()
        with client, own:
            yield own, client


KINDS = [
    pytest.param("127.0.0.1", socket.AF_INET, "", 0, id="IPv4"),
    pytest.param("127.0.0.1", socket.AF_INET, "127.0.0.1", 0, id="IPv4 alias"),
    pytest.param("::1", socket.AF_INET6, "", 0, id="IPv6", marks=needs_ipv6),
    pytest.param("::", socket.AF_INET6, "127.0.0.1", socket.AF_INET, id="IPv4 to IPv6",
                 marks=needs_ipv6),
    pytest.param("127.0.0.1", socket.AF_INET, "::ffff:127.0.0.1", socket.AF_INET6,
                 id="IPv4-mapped to IPv4", marks=needs_ipv6),
    pytest.param("::", socket.AF_INET6, "::ffff:127.0.0.1", socket.AF_INET6,
                 id="IPv4-mapped to IPv6", marks=needs_ipv6),
]  # fmt: skip


@needs_root
@pytest.mark.parametrize(("host", "family", "to", "by"), KINDS)
def test_user_of_a_client_is_known(
    peers: PeerUids, host: str, family: int, to: str, by: int
) -> None:
    """By each kind of address: root's, and the one to whom the socket belongs."""
    with connected(host, family, to=to, by=by) as (own, client):
        assert peers(own) == 0
        os.fchown(client.fileno(), NOBODY, NOBODY)
        assert peers(own) == NOBODY


def test_own_user_is_known(peers: PeerUids) -> None:
    """Without any right beyond those that everybody has."""
    with connected() as (own, _):
        assert peers(own) == os.geteuid()


def test_closed_socket_is_nobodys(peers: PeerUids) -> None:
    """FAULTS row 65: its user id is 0 and its inode 0; root would be let in."""
    with connected() as (own, client):
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        client.close()
        assert peers(own) is None
        own.close()  # the other end is in TIME_WAIT now


def test_time_wait_is_nobodys(peers: PeerUids) -> None:
    """FAULTS row 65: nor is a connection that both ends have closed."""
    with connected() as (own, client):
        pair = (peers_module._plain(own.getpeername()), peers_module._plain(own.getsockname()))
        client.close()
        own.close()
        assert peers._uid_of_tcp(*pair) is None


def test_half_closed_socket_is_still_its_users(peers: PeerUids) -> None:
    """``nc -N`` sends its request and shuts down its side; its process holds the socket."""
    with connected() as (own, client):
        client.shutdown(socket.SHUT_WR)
        assert peers(own) == os.geteuid()


def test_listener_is_not_taken_for_the_client(peers: PeerUids) -> None:
    """FAULTS row 65: for a pair that nobody has, the kernel finds who listens on its address."""
    with socket.create_server(("0.0.0.0", 0)) as listening:
        port = listening.getsockname()[1]
        for host in ("127.0.0.1", "192.0.2.7"):
            assert peers._uid_of_tcp((host, port), ("127.0.0.1", 8765)) is None


def test_unknown_pairs_are_nobodys(peers: PeerUids) -> None:
    """Nobody has them, or nobody can."""
    for peer, own in (
        (("127.0.0.1", 1), ("127.0.0.1", 2)), (("::1", 1), ("::1", 2)), (("::1", 1), ("1.2.3.4", 2))
    ):  # fmt: skip
        assert peers._uid_of_tcp(peer, own) is None


def test_what_is_no_connection_is_nobodys(peers: PeerUids) -> None:
    """A socket that is not connected, or was closed."""
    with socket.socket() as sock:
        assert peers(sock) is None
    assert peers(sock) is None


@pytest.mark.parametrize("uid", [pytest.param(0, marks=needs_root), None,
                                 pytest.param(NOBODY, marks=needs_root)])  # fmt: skip
def test_user_at_a_unix_socket_is_known(peers: PeerUids, uid: int | None) -> None:
    """It is who connected, also once that end is closed."""
    with tempfile.TemporaryDirectory() as place, socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{place}/s")
        server.listen()
        os.chmod(place, 0o755)
        os.chmod(f"{place}/s", 0o777)
        with socket.socket(socket.AF_UNIX) as client:
            if uid is not None:
                os.seteuid(uid)
            try:
                client.connect(f"{place}/s")
            finally:
                os.seteuid(os.getuid())
        own, _ = server.accept()
        with own:
            assert peers(own) == (os.geteuid() if uid is None else uid)


def test_uid_that_stands_for_all_unknown_ones_says_nothing(
    peers: PeerUids, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a user namespace the kernel has one number for every user outside of it."""
    with connected() as (own, _):
        monkeypatch.setattr(peers, "_overflow", os.geteuid())
        assert peers(own) is None


@pytest.mark.parametrize(
    ("map", "overflow"),
    [
        ("         0          0 4294967295\n", None),
        ("         0       1000          1\n", 65534),
        ("         0       1000          1\n         1     100000      65536\n", 65534),
    ],
)
def test_first_user_namespace_knows_all(tmp_path: Path, map: str, overflow: int | None) -> None:
    """There the number is a user like any other (user_namespaces(7))."""
    (tmp_path / "map").write_text(map)
    (tmp_path / "number").write_text("65534\n")
    files = (str(tmp_path / "map"), str(tmp_path / "number"))
    assert peers_module._overflow_uid(*files) == overflow
    assert peers_module._overflow_uid("/nonexistent", files[1]) is None


# -- where it cannot be had -------------------------------------------------------------------


class NoNetlink(socket.socket):
    """As a sandbox has it: ``RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX``."""

    def __init__(self, family: int = -1, *args: Any, **options: Any) -> None:
        if family == socket.AF_NETLINK:
            raise OSError(97, "Address family not supported by protocol")
        super().__init__(family, *args, **options)


def test_tables_are_read_where_netlink_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slower, and as good."""
    monkeypatch.setattr(socket, "socket", NoNetlink)
    peers = PeerUids()
    assert peers.tcp == "proc"
    with connected() as (own, client):
        assert peers(own) == os.geteuid()
        client.close()
        assert peers(own) is None


def test_tables_are_read_where_the_kernel_has_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """One without sock_diag says the same as for a socket that is not there."""
    monkeypatch.setattr(peers_module, "_SOCK_DIAG_BY_FAMILY", 9999)
    assert PeerUids().tcp == "proc"


def test_nobody_is_known_where_nothing_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither netlink nor the tables; or another kernel."""
    with connected() as (own, _):
        with monkeypatch.context() as without:
            without.setattr(socket, "socket", NoNetlink)
            without.setattr(peers_module, "_TABLES", "/nonexistent/")
            peers = PeerUids()
        assert (peers.tcp, peers(own)) == ("", None)
        monkeypatch.setattr(sys, "platform", "darwin")
        peers = PeerUids()
        assert (peers.tcp, peers(own)) == ("", None)


def test_table_is_read_to_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever stands behind it is unknown."""
    peers = PeerUids()
    peers.tcp = "proc"
    with connected() as (own, _):
        monkeypatch.setattr(peers_module, "_MAX_TABLE", 0)
        assert peers(own) is None
    peers.close()


def test_closed_look_up_knows_nobody() -> None:
    """And a descriptor is not kept."""
    peers = PeerUids()
    before = len(os.listdir("/proc/self/fd"))
    peers.close()
    peers.close()
    assert len(os.listdir("/proc/self/fd")) <= before
    with connected() as (own, _):
        assert peers(own) is None
