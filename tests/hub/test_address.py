"""Addresses of hubs, as people write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobctl.errors import UsageError
from jobctl.hub.address import (
    MAX_UNIX_PATH,
    Address,
    address_of,
    check_unix_path,
    hub_url,
    is_loopback,
    page_url,
)


@pytest.mark.parametrize(
    ("text", "url", "socket", "asked"),
    [
        ("unix:/run/hub.sock", "unix:/run/hub.sock", "/run/hub.sock", "/ws/jobs"),
        ("unix:///run/hub.sock", "unix:/run/hub.sock", "/run/hub.sock", "/ws/jobs"),
        ("unix:hub.sock", "unix:HERE/hub.sock", "HERE/hub.sock", "/ws/jobs"),
        ("unix:~/hub.sock", "unix:HERE/hub.sock", "HERE/hub.sock", "/ws/jobs"),
        ("unix:/a b.sock", "unix:/a b.sock", "/a b.sock", "/ws/jobs"),
        ("unix:/s:/base/ws/jobs", "unix:/s:/base/ws/jobs", "/s", "/base/ws/jobs"),
        ("unix:/s:/ws/jobs", "unix:/s", "/s", "/ws/jobs"),
    ],
)
def test_unix_socket_is_an_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, url: str, socket: str, asked: str
) -> None:
    """Written in one way, which means the same again; no proxy is asked about it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    url, socket = (one.replace("HERE", str(tmp_path)) for one in (url, socket))
    assert hub_url(text) == hub_url(url) == url
    assert address_of(text) == Address(f"ws://localhost{asked}", socket)
    assert is_loopback(text)
    base = asked.removesuffix("/ws/jobs")
    assert page_url(text, "/api/clients") == (f"http://localhost{base}/api/clients", socket)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("unix:", "path of the Unix socket is missing"),
        ("unix://host/s", "path of the Unix socket is missing"),
        ("unix:/s:/ws jobs", "is not the address of a hub; write unix:PATH"),
        ("unix:/s:/ws?token=x", "is not the address of a hub; write unix:PATH"),
        ("unix:/s\x1b", "is not the address of a hub; write unix:PATH"),
    ],
)
def test_what_is_no_unix_socket_is_refused(text: str, said: str) -> None:
    """In a line."""
    with pytest.raises(UsageError, match=said) as caught:
        hub_url(text)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("path", ["/a:/b.sock", "/a\n.sock", "/\udcff.sock"])
def test_path_that_cannot_be_written_as_an_address_is_refused(path: str) -> None:
    """Nobody could be told where the hub is."""
    with pytest.raises(UsageError, match="could not be written as unix:PATH") as caught:
        check_unix_path(path)
    assert str(caught.value).isprintable()


def test_path_that_is_too_long_is_refused_with_the_limit() -> None:
    """FAULTS row 18: in bytes; one that has just that many is taken."""
    longest = "/" + "s" * (MAX_UNIX_PATH - 1)
    assert address_of(f"unix:{longest}").unix == longest
    said = f"has {MAX_UNIX_PATH + 1} bytes, and that of a Unix socket has {MAX_UNIX_PATH} at the"
    for path in (longest + "s", "/é" + "s" * (MAX_UNIX_PATH - 2)):
        with pytest.raises(UsageError, match=said):
            address_of(f"unix:{path}")
