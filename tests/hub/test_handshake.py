"""Ordinary handshakes are read in one step, with the same result as by websockets."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.http11 import Request
from websockets.server import ServerProtocol

from jobctl.hub.connection import _ServerProtocol
from jobctl.hub.handshake import Opening, opening_of, read_opening

FACTORIES = [
    ServerPerMessageDeflateFactory(server_no_context_takeover=True, client_no_context_takeover=True)
]
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
BASE = [
    ("Host", "127.0.0.1:8765"),
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Key", KEY),
    ("Sec-WebSocket-Version", "13"),
]
CLIENTS = {
    "websockets": [*BASE, ("User-Agent", "Python/3.11 websockets/17.4")],
    "chrome": [
        ("Host", "localhost:8765"),
        ("Connection", "Upgrade"),
        ("Pragma", "no-cache"),
        ("Cache-Control", "no-cache"),
        ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)"),
        ("Upgrade", "websocket"),
        ("Origin", "http://localhost:8765"),
        ("Sec-WebSocket-Version", "13"),
        ("Accept-Encoding", "gzip, deflate, br, zstd"),
        ("Accept-Language", "en-GB,en;q=0.9"),
        ("Cookie", "jobctl=0123456789abcdef; theme=dark"),
        ("Sec-WebSocket-Key", KEY),
        ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"),
        ("Sec-WebSocket-Protocol", "jobctl.v1"),
    ],
    "firefox": [
        *[(name, value) for name, value in BASE if name != "Connection"],
        ("Connection", "keep-alive, Upgrade"),
        ("Sec-WebSocket-Extensions", "permessage-deflate"),
        ("Sec-Fetch-Mode", "websocket"),
    ],
    "go": [*BASE, ("Sec-WebSocket-Extensions",
                   "permessage-deflate; client_no_context_takeover; server_no_context_takeover")],
    "node": [*BASE, ("Sec-WebSocket-Protocol", "other, jobctl.v1, more"),
             ("sec-websocket-extensions", "permessage-deflate; client_max_window_bits=15")],
}  # fmt: skip


def request(headers: list[tuple[str, str]], path: str = "/ws/jobs", line: str = "") -> bytes:
    """The bytes of a request."""
    text = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return ((line or f"GET {path} HTTP/1.1") + f"\r\n{text}\r\n").encode("latin-1")


def by_websockets(data: bytes) -> tuple[Opening, bytes, ServerProtocol] | None:
    """What websockets makes of it: the request, the status line and headers of its answer."""
    protocol = _ServerProtocol(extensions=FACTORIES)
    protocol.receive_data(data)
    events = protocol.events_received()
    if not events:
        return None
    assert isinstance(events[0], Request)
    opening = opening_of(events[0])
    protocol.send_response(protocol.accept(events[0]))
    return opening, protocol.data_to_send()[0], protocol


def answer_of(data: bytes) -> dict[bytes, bytes]:
    """The headers of an answer, and its first line under the empty name."""
    first, *lines = data.removesuffix(b"\r\n\r\n").split(b"\r\n")
    pairs = (line.split(b": ", 1) for line in lines)
    return {b"": first, **{name.lower(): value for name, value in pairs if name != b"Date"}}


def check(data: bytes) -> bool:
    """Whether the request is ordinary; if it is, websockets makes the same of it."""
    read = read_opening(data + b"rest")
    if read is None:
        return False
    opening, rest = read
    assert rest == b"rest"
    theirs = by_websockets(data)
    assert theirs is not None
    other, written, protocol = theirs
    assert (opening.path, opening.headers) == (other.path, other.headers)
    assert opening.terms is not None
    answer, extensions = opening.terms.answer(FACTORIES)
    assert answer_of(answer) == answer_of(written)
    assert opening.terms.subprotocol == protocol.subprotocol
    assert [repr(each) for each in extensions] == [repr(each) for each in protocol.extensions]
    return True


@pytest.mark.parametrize("name", CLIENTS)
def test_usual_clients_are_ordinary(name):
    """Or there would be nothing to win."""
    assert check(request(CLIENTS[name]))


ODD = {
    "a post": request(BASE, line="POST / HTTP/1.1"),
    "HTTP/1.0": request(BASE, line="GET / HTTP/1.0"),
    "a target with a space": request(BASE, line="GET /a b HTTP/1.1"),
    "no version": request(BASE[:-1]),
    "another version": request([*BASE[:-1], ("Sec-WebSocket-Version", "8")]),
    "no key": request([*BASE[:3], BASE[4]]),
    "a key that is too short": request([*BASE[:3], BASE[4], ("Sec-WebSocket-Key", "YQ==")]),
    "two keys": request([*BASE, BASE[3]]),
    "two hosts": request([*BASE, BASE[0]]),
    "a body": request([*BASE, ("Content-Length", "3")]),
    "chunks": request([*BASE, ("Transfer-Encoding", "chunked")]),
    "another upgrade": request([BASE[0], ("Upgrade", "h2c"), *BASE[2:]]),
    "another connection": request([*BASE[:2], ("Connection", "close"), *BASE[3:]]),
    "a broken offer": request([*BASE, ("Sec-WebSocket-Extensions", "permessage-deflate; ;")]),
    "a broken protocol": request([*BASE, ("Sec-WebSocket-Protocol", "a b")]),
    "a space in a name": request([*BASE, ("X Y", "z")]),
    "a control character": request([*BASE, ("X", "a\x00b")]),
    "a folded line": request([*BASE, ("X", "a\r\n b")]),
    "a bare line feed": request([*BASE, ("X", "a\nY: b")]),
    "a long head": request([*BASE, ("X", "x" * 5000)]),
    "half a head": request(BASE)[:-2],
}


@pytest.mark.parametrize("name", ODD)
def test_what_is_odd_is_left_to_websockets(name):
    """It says what is the matter."""
    assert read_opening(ODD[name]) is None


values = st.text(st.characters(codec="latin-1", exclude_characters="\r\n"), max_size=12)
names = st.sampled_from(
    ["Host", "Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version", "Cookie",
     "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions", "Content-Length", "X-Any", "origin"]
)  # fmt: skip
known = st.sampled_from(
    ["websocket", "WebSocket", "Upgrade", "keep-alive, Upgrade", "upgrade,", "13", KEY, "AAAA",
     "jobctl.v1", "a, jobctl.v1", "permessage-deflate", "permessage-deflate; x", "0", " 13 ",
     "permessage-deflate; server_max_window_bits=9, permessage-deflate",
     "permessage-deflate; client_max_window_bits=16", "bbf, permessage-deflate"]
)  # fmt: skip
changes = st.lists(
    st.tuples(st.sampled_from(["add", "drop", "set"]), st.integers(0, 12), names, known | values),
    max_size=3,
)


@settings(max_examples=300)
@given(st.sampled_from(sorted(CLIENTS)), changes, st.text(st.characters(codec="ascii"), max_size=6))
def test_both_make_the_same_of_a_request(name, schedule, path):
    """Headers are added, dropped and changed; whatever is taken for ordinary is what it was."""
    headers = list(CLIENTS[name])
    for what, index, header, value in schedule:
        place = index % (len(headers) or 1)
        if what == "add":
            headers.insert(place, (header, value))
        elif headers and what == "drop":
            del headers[place]
        elif headers:
            headers[place] = (headers[place][0], value)
    check(request(headers, path="/" + path))
