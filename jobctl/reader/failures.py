"""Failed connections to a hub: an explanation for people, and whether a retry can help.

Other servers can answer at a hub's URL. A proxy answers with 404, 403 or 502 while the hub behind
it restarts. A wrong URL leads to a server that never is a hub. Every response of a hub has the
header `HUB_HEADER`, and a WebSocket of a hub has its subprotocol, so the hub's own answers are told
apart:

- A hub's own refusal is final: a 4xx status other than 408, 425 and 429, or a close code from 4400
  to 4499.
- Any other server's answer is final before the first contact with a hub. Afterwards the hub is
  away.
- No answer at all (nobody listens, a time limit, a broken connection) is never final.

A hub of jobctl 0.1.0 does not send the header. Its 401 is known by the realm, and what it answers
on HTTP by ``Server``; its other refusals of a WebSocket count as those of another server.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable

from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidMessage,
    InvalidProxyMessage,
    InvalidProxyStatus,
    InvalidStatus,
)
from websockets.frames import CloseCode
from websockets.http11 import Response

from jobctl.core.protocol import HUB_HEADER, MAX_FROM_HUB, UPGRADE_HINT
from jobctl.errors import ProtocolError

__all__ = ["comes_from_hub", "explain", "is_final", "is_sent_by_hub", "shown_text"]

_FINAL_CODES = range(4400, 4500)
_RETRYABLE = (408, 425, 429)
_OF_OLD_HUBS = {("server", "jobctl"), ("www-authenticate", 'Bearer realm="jobctl"')}
_MAX_TEXT = 1000  # characters shown of what a server said


def is_sent_by_hub(headers: Iterable[tuple[str, str]]) -> bool:
    """Whether a hub has sent the response with these headers."""
    return any(
        name.lower() == HUB_HEADER.lower() or (name.lower(), value) in _OF_OLD_HUBS
        for name, value in headers
    )


def shown_text(body: bytes | bytearray) -> str:
    """Return what is shown of the body of a hub's response."""
    return body.decode("utf-8", "replace").strip()[:_MAX_TEXT]


def comes_from_hub(error: Exception) -> bool:
    """Whether the error is an answer of a hub."""
    if isinstance(error, InvalidStatus):
        return is_sent_by_hub(error.response.headers.raw_items())
    return isinstance(error, ConnectionClosed) and error.rcvd is not None


def is_final(error: Exception, *, met_hub: bool) -> bool:
    """Whether trying again cannot help. ``met_hub``: a hub has answered at this URL before."""
    if isinstance(error, ConnectionClosed):
        return error.rcvd is not None and error.rcvd.code in _FINAL_CODES
    if isinstance(error, InvalidStatus) and comes_from_hub(error):
        status = error.response.status_code
        return 400 <= status < 500 and status not in _RETRYABLE
    return not met_hub and _is_answer(error)


def _is_answer(error: Exception) -> bool:
    """Whether a server has answered, and not as a hub does."""
    if isinstance(error, (InvalidMessage, InvalidProxyMessage)):
        return not isinstance(error.__cause__, (EOFError, OSError))
    if isinstance(error, ssl.SSLError):
        return not isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError))
    return isinstance(error, (InvalidHandshake, ProtocolError))


def explain(error: Exception) -> str:
    """Return the error as one line for people.

    The text of a response is shown only if a hub sent it. A proxy's is a page of HTML.
    """
    if isinstance(error, ConnectionRefusedError):
        return "nobody listens there"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}; see --ca"
    if isinstance(error, TimeoutError):
        return "no answer"
    if isinstance(error, InvalidStatus):
        if not comes_from_hub(error):
            line = f"{_status_line(error.response)}, not from a jobctl hub"
            return f"{line}: {UPGRADE_HINT}" if error.response.status_code == 426 else line
        said = shown_text(error.response.body or b"")
        return f"HTTP {error.response.status_code}" + (f", {said}" if said else "")
    if isinstance(error, InvalidProxyStatus):
        return f"{_status_line(error.response)}, from the proxy that is set"
    if isinstance(error, ConnectionClosed):
        if error.sent is not None and error.sent.code == CloseCode.MESSAGE_TOO_BIG:
            return f"not a hub: a message of over {MAX_FROM_HUB} bytes"
        if error.rcvd is None:
            return "the connection broke"
        return error.rcvd.reason or f"closed with code {error.rcvd.code}"
    if isinstance(error, InvalidHandshake):
        return f"not a hub: {error}"
    if isinstance(error, OSError):
        return error.strerror or str(error) or "the connection broke"
    return str(error)


def _status_line(response: Response) -> str:
    return f"HTTP {response.status_code} {response.reason_phrase[:_MAX_TEXT]}".rstrip()
