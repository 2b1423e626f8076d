"""The wire: two dialects of the same delta, and the close codes. No I/O.

*plain* (no subprotocol asked for; the clients of the original program)::

    hub → client   {"type": "jobs:init", "jobs": [active jobs, newest first]}
                   {"type": "jobs:update", "job": {…}}
    client → hub   {"type": "jobs:ping", "at": …}

``jobs:init`` comes once; how a removal and leaving a filter are told is in hub/plain.py. With
``?ended=10m`` the jobs that ended in that time follow it.

*jobctl.v1* (``Sec-WebSocket-Protocol: jobctl.v1``)::

    hub → client   {"type": "jobs:delta", "epoch": …, "since": …, "through": …, "cursor": …,
                    "more": …, "odd": {id: {…}}, "derived": {id: {…}}, "jobs": [{…}],
                    "gone": [id],
                    "can": [right], "acts": "post",
                    "why": {id: "removed" | "filtered" | "damaged: …"}}
                   {"type": "jobs:pong", "at": …, "now": time}
                   {"type": "jobs:owners", "dead": [name], "more": …}
                   {"type": "jobs:done", "req": …, "id": …, "revision": …, "cursor": …}
                   {"type": "jobs:refused", "req": …, "code": …, "message": …, "hint": …,
                    "retryAfter": seconds, "job": {…}}
                   {"type": "jobs:bad", "files": {name: reason}, "omitted": number}
    client → hub   {"type": "jobs:auth", "token": …}        first, where no header can be sent
                   {"type": "jobs:subscribe", "since": cursor, "filter": {…}, "max": bytes,
                    "fields": [key]}
                   {"type": "jobs:ack", "through": revision}
                   {"type": "jobs:ping", "at": …}
                   {"type": "jobs:cancel", "req": …, "id": …, "attempt": …}    and other acts

The first cursor and filter may also stand in the query: ``?since=…&type=…&stage=…&id=…&session=…``
``&label=…`` (each may be repeated) ``&active=1``. Labels are selected by ``team=data``,
``team!=data``, ``team`` or ``!team``, and all of these must be met. A cancelled job has the stage
``failed``; for filters its stage is ``cancelled``, but for those of plain clients ``failed`` too.
With ``digest=1``, or ``"digest": true`` in a subscription, each delta without ``more`` proves what
the client holds now. With ``bad=1``, or ``"bad": true``, the client gets ``jobs:bad``, the files in
quarantine, after its first jobs and whenever the list changes. Every job carries its ``revision``.

No message is longer than the client's limit: 30,000 bytes (plain: 1 MiB for ``jobs:init``), or
``max=BYTES`` in the query, or ``"max": BYTES`` in a subscription, from 4,096 on; more than 1 MiB is
1 MiB. What does not fit follows in further messages. A list of what is ``gone`` that takes several
messages does not move the cursor until its last one. ``jobs:owners`` has ``"more": true`` if the
list continues in the next one; ``jobs:bad`` has the number of files that it leaves out. A single
job that is larger than the limit comes alone in its message: whole, or, for a client that sent
``max``, without ``result``, ``history``, ``run`` and then other keys, with ``"omitted": [key]``.
The whole job is at ``/api/jobs/ID``. A pong is as long as its ping.

With ``fields=title,progress`` in the query, or ``"fields": […]`` in a subscription, each job comes
with these keys and ``id``, ``type``, ``stage``, ``createdAt`` and ``revision`` only. At most 64
names of at most 64 characters; any name is valid, since jobs have keys of their own, and
``fields=`` asks for none. The fields are a part of the filter: a cursor belongs to both. A change
of other keys still moves the revision and sends the job, so that all readers are at the same
revision and the digest, which is over ids and revisions, proves the same. What can be judged only
from keys that did not come stands in ``derived``, where it differs from what the job that came
tells: see projection.py. Plain clients get whole jobs.

A hub that takes acts says so by ``can`` in the first delta of a connection: the rights of the
client. ``"acts": "post"`` beside it says that a cookie let the client in: it has to send its acts
by POST. What acts there are, and how they are answered, is in acts.py.

``odd`` says what is odd in the files of these jobs, and is left out where nothing is: ``remarks``,
which are texts, and ``missing``, the times that the file lacks.
The delta's meaning is that of jobset.py, and so is the digest's. What of a command is in a job
depends on the client's rights: see redaction.py.

Every response to a handshake or another HTTP request has ``Jobctl-Hub: jobctl.v1``. So a client
can tell a refusal of the hub from one of a proxy. ``Jobctl-Features`` lists the optional features.

Close codes: after 4000–4399 reconnect, after 4400–4499 do not reconnect with the same request.

    1001  the hub stops: reconnect
    4000  the session failed inside the hub: reconnect
    4008  too many messages, or answers to acts that are not read: reconnect, and send fewer
    4029  too many wrong tokens from this address, or too many unauthenticated connections: later
    4400  a message was not understood
    4401  the first message had no token or a wrong one; or the token was changed or removed, or
          has expired

The reason of a close frame that asks for a reconnect may begin with when to do so, in seconds; that
of 1001 and of 4029 does. Browsers show a page no header of a refused handshake, so this is what a
page can obey. It looks like ``retry-after=2.5; the hub goes away; come back in 2.5 s``; see
`close_reason_with_retry`. Parts are separated by ``; ``. The words at the end are for clients of
jobctl 0.1.0, which read those.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from enum import Enum
from functools import lru_cache

from jobctl.core.codec import odd_text, parse_wire
from jobctl.core.cursor import MAX_REVISION, ZERO, Cursor
from jobctl.core.filters import EVERYTHING, Filter, fields_of
from jobctl.core.jobset import DAMAGED, FILTERED, REMOVED, Delta, Gone
from jobctl.core.times import known_ms, parse_duration
from jobctl.errors import InvalidCursor, InvalidJob, ProtocolError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NamedTuple, TypeGuard
else:
    from jobctl._stdlib import NamedTuple

__all__ = [
    "CLOSE_BAD_MESSAGE",
    "CLOSE_BUSY",
    "CLOSE_GOING_AWAY",
    "CLOSE_NO_TOKEN",
    "CLOSE_SESSION_FAILED",
    "CLOSE_TOO_FAST",
    "FEATURES",
    "FEATURES_HEADER",
    "FIRST_MESSAGE_HEADER",
    "HUB_HEADER",
    "HUB_HEADERS",
    "MAX_FROM_CLIENT",
    "MAX_FROM_HUB",
    "MAX_LIMIT",
    "MAX_PAGE",
    "MIN_LIMIT",
    "QUERY_KEYS",
    "SUBPROTOCOL",
    "UPGRADE_HINT",
    "Ack",
    "Auth",
    "BadFiles",
    "DeadOwners",
    "Dialect",
    "Ping",
    "Pong",
    "Subscribe",
    "ack_message",
    "bad_files_message",
    "close_reason_with_retry",
    "cursor_or_zero",
    "dead_owners_messages",
    "delta_message",
    "delta_overhead",
    "init_message",
    "json_object",
    "limit_from",
    "parse_from_hub",
    "parse_query",
    "pong_message",
    "query_of",
    "retry_after_s",
    "update_message",
]

SUBPROTOCOL = "jobctl.v1"
MAX_PAGE = 30_000
"""Default limit of a message in bytes. Clients with a limit of 32 KiB are not rare (Go's)."""
MIN_LIMIT = 4096
"""The smallest limit that a client may ask for, in bytes."""
MAX_LIMIT = 1024 * 1024
"""The largest limit of a message, in bytes; a client that asks for more gets this."""
MAX_FROM_HUB = 2 * 1024 * 1024
"""A longer message is not from a hub: a page has at most `MAX_LIMIT`, or one job."""
MAX_FROM_CLIENT = 64 * 1024

FIRST_MESSAGE_HEADER = "Jobctl-First"
"""The response header that names the message which the client must send first."""
HUB_HEADER = "Jobctl-Hub"
"""The header of every response of a hub; a proxy's own responses lack it.

Its value is `SUBPROTOCOL`. Proxies replace ``Server``, so that header says nothing.
"""
FEATURES_HEADER = "Jobctl-Features"
"""The response header that lists `FEATURES`, separated by ``, ``."""
FEATURES = ("bad", "cancelled", "digest", "ended", "fields", "label", "max", "now")
"""What a client may ask this hub for, beyond what every hub of jobctl.v1 does. Sorted."""
HUB_HEADERS = ((HUB_HEADER, SUBPROTOCOL), (FEATURES_HEADER, ", ".join(FEATURES)))
"""The headers of every response of a hub, on WebSockets and plain HTTP, errors included."""

QUERY_KEYS = frozenset(
    {
        "active",
        "bad",
        "digest",
        "ended",
        "fields",
        "id",
        "label",
        "max",
        "session",
        "since",
        "stage",
        "type",
    }
)
"""The keys of a query that this version knows; see `parse_query`."""

UPGRADE_HINT = "the proxy must pass Upgrade and Connection on"
"""The text of a 426: a request for the socket came without these headers."""

CLOSE_GOING_AWAY = 1001
CLOSE_SESSION_FAILED = 4000
CLOSE_TOO_FAST = 4008
CLOSE_BUSY = 4029
CLOSE_BAD_MESSAGE = 4400
CLOSE_NO_TOKEN = 4401

_MAX_REASON = 123  # bytes: what a close frame has room for (RFC 6455, section 5.5)
_RETRY_KEY = "retry-after="
_RETRY_WORDS = ("come back in ", " s")  # what a hub of jobctl 0.1.0 says, and its clients read
_MAX_RETRY_S = 9999.9


class Dialect(Enum):
    """The dialect of a session."""

    PLAIN = "plain"
    V1 = SUBPROTOCOL


class Subscribe(NamedTuple):
    """The client asks to read from ``cursor`` under ``filter``.

    With ``digest``, each delta after which the client has everything includes the hub's digest.
    With ``bad_files`` the client is also told of the files that are no jobs. A plain client also
    gets the jobs that ended within the last ``ended_s`` seconds. ``max_bytes`` is the client's
    limit for a message, or ``None`` if it named none. ``unknown`` are the keys of a query that this
    version does not know, sorted.
    """

    cursor: Cursor
    filter: Filter
    digest: bool = False
    ended_s: float | None = None
    bad_files: bool = False
    max_bytes: int | None = None
    unknown: tuple[str, ...] = ()


class Auth(NamedTuple):
    """The client sends its token."""

    token: str


class Ack(NamedTuple):
    """The client has applied everything up to ``through``."""

    through: int


class Ping(NamedTuple):
    """The client asks for a sign of life; ``at`` is returned unchanged."""

    at: Any


class Pong(NamedTuple):
    """The hub's answer to a ping, and its time, in milliseconds since 1970 if it said one."""

    at: Any
    now_ms: int | None = None


class DeadOwners(NamedTuple):
    """The owners that are dead: the complete list of names, as in `Job.owner`.

    With ``more``, the list continues in the next such message.
    """

    dead: frozenset[str]
    more: bool = False


class BadFiles(NamedTuple):
    """The files in quarantine: the complete list of names, each with the reason.

    ``omitted`` is how many more there are than fit into a message.
    """

    reasons: dict[str, str]
    omitted: int = 0


# -- from the hub ---------------------------------------------------------------------------


def delta_message(
    delta: Delta,
    since: int,
    jobs: Iterable[bytes],
    tag: str = "",
    digest: str | None = None,
    odd_texts: Iterable[str] | None = None,
    facts_texts: Iterable[str] = (),
    can: str = "",
) -> bytes:
    """Return a ``jobs:delta`` from the client's own revision ``since``; ``jobs`` are encoded.

    ``tag`` is that of the client's filter, ``digest`` that of the jobs it has now. ``odd_texts``
    are what is odd in the jobs' files, by default the `odd_text` of each. ``facts_texts`` are the
    facts beside jobs of which some keys are sent (see projection.py). Empty texts are left out.
    ``can`` is what the first delta says of the client's rights: members of a JSON object, with a
    comma before.
    """
    cursor = Cursor(delta.epoch, delta.through, tag)
    proof = f',"digest":"{digest}"' if digest is not None else ""
    files = ",".join(filter(None, map(odd_text, delta.jobs) if odd_texts is None else odd_texts))
    odd = f',"odd":{{{files}}}' if files else ""
    facts = ",".join(filter(None, facts_texts))
    odd += f',"derived":{{{facts}}}' if facts else ""
    head = (
        f'{{"type":"jobs:delta","epoch":"{delta.epoch}","since":{since},'
        f'"through":{delta.through},"cursor":"{cursor}",'
        f'"more":{"true" if delta.more else "false"}{proof}{can}{odd},"jobs":['
    )
    gone = ",".join(f'"{item.id}"' for item in delta.gone)
    why = ",".join(f'"{item.id}":{json.dumps(item.why)}' for item in delta.gone if item.why)
    end = f'],"gone":[{gone}]' + (f',"why":{{{why}}}' if why else "") + "}"
    return b"".join((head.encode(), b",".join(jobs), end.encode()))


def delta_overhead(epoch: str, tag: str) -> int:
    """Return how many bytes a ``jobs:delta`` has at most beside its jobs and what is gone.

    Commas between jobs and between texts about them count as parts of these.
    """
    return _overhead(len(epoch.encode()), len(tag.encode()))


@lru_cache(maxsize=64)  # there are few lengths, and each page asks
def _overhead(epoch_bytes: int, tag_bytes: int) -> int:
    filled = Delta("e" * epoch_bytes, 0, MAX_REVISION, gone=(Gone("", 0, "x"),))
    return len(delta_message(filled, MAX_REVISION, (), "t" * tag_bytes, "0" * 16, ("x",), ("x",)))


def init_message(jobs: Iterable[bytes]) -> bytes:
    """Return a ``jobs:init`` with encoded jobs, newest first."""
    return b'{"type":"jobs:init","jobs":[' + b",".join(jobs) + b"]}"


def update_message(job: bytes) -> bytes:
    """Return a ``jobs:update`` with an encoded job."""
    return b'{"type":"jobs:update","job":' + job + b"}"


def dead_owners_messages(dead: Iterable[str], max_bytes: int = MAX_PAGE) -> tuple[bytes, ...]:
    """Return ``jobs:owners`` messages with the names of all dead owners, in their order.

    Each has at most ``max_bytes``. All but the last say ``more``; usually there is only one.
    """
    start, more, end = b'{"type":"jobs:owners","dead":[', b',"more":true', b"}"
    room = max_bytes - len(start) - len(b"]") - len(more) - len(end)
    pages: list[list[bytes]] = [[]]
    size = 0
    for name in sorted(dead):
        text = json.dumps(name).encode()
        size += len(text) + len(b",")
        if size > room and pages[-1]:
            pages.append([])
            size = len(text) + len(b",")
        pages[-1].append(text)
    lists = [start + b",".join(page) + b"]" for page in pages]
    return (*(text + more + end for text in lists[:-1]), lists[-1] + end)


def bad_files_message(reasons: Mapping[str, str], max_bytes: int) -> bytes:
    """Return a ``jobs:bad`` with the files in quarantine, as many as fit, in order of their names.

    ``reasons`` are theirs by file name.
    """

    def message(shown: list[str]) -> bytes:
        omitted = len(reasons) - len(shown)
        return f'{{"type":"jobs:bad","files":{{{",".join(shown)}}},"omitted":{omitted}}}'.encode()

    shown: list[str] = []
    left = max_bytes - len(message([]))
    for name in sorted(reasons):
        text = f"{json.dumps(name)}:{json.dumps(reasons[name])}"
        left -= len(text) + len(",")
        if left < 0:
            break
        shown.append(text)
    return message(shown)


def pong_message(at: Any, now: str = "") -> bytes:
    """Return the answer to a ``jobs:ping``, with the time ``now`` if it is known."""
    value = {"type": "jobs:pong", "at": at} | ({"now": now} if now else {})
    return json.dumps(value, separators=(",", ":")).encode()


def parse_from_hub(
    data: str | bytes, fields: frozenset[str] | None = None
) -> Delta | Pong | DeadOwners | BadFiles:
    """Parse a message of the hub to a jobctl.v1 client; raise `ProtocolError` for any other.

    With ``fields``, which a hub of the feature of that name was asked for, jobs are `PartialJob`.
    """
    value = json_object(data)
    match value.get("type"):
        case "jobs:delta":
            return _delta(value, fields)
        case "jobs:pong":
            now = value.get("now")
            return Pong(value.get("at"), known_ms(now) if isinstance(now, str) else None)
        case "jobs:owners":
            dead = value.get("dead")
            if not isinstance(dead, list) or not all(isinstance(name, str) for name in dead):
                raise ProtocolError("the hub sent owners that are none")
            return DeadOwners(frozenset(dead), value.get("more") is True)
        case "jobs:bad":
            files, omitted = value.get("files"), value.get("omitted")
            if not isinstance(files, dict) or not _is_revision(omitted):
                raise ProtocolError("the hub sent files in quarantine that are none")
            return BadFiles({name: str(reason) for name, reason in files.items()}, omitted)
        case other:
            raise ProtocolError(f"the hub sent {ascii(str(other)[:40])}")


def _delta(value: dict[str, Any], fields: frozenset[str] | None) -> Delta:
    epoch, since, through = value.get("epoch"), value.get("since"), value.get("through")
    jobs, gone, more = value.get("jobs"), value.get("gone"), value.get("more")
    if not (
        isinstance(epoch, str)
        and _is_revision(since)
        and _is_revision(through)
        and since <= through
        and isinstance(jobs, list)
        and isinstance(gone, list)
        and all(isinstance(id, str) for id in gone)
        and isinstance(more, bool)
    ):
        raise ProtocolError("the hub sent a delta that is none")
    try:
        if fields is None:
            parsed = tuple(parse_wire(job, _beside(value, "odd", job)) for job in jobs)
        else:
            from jobctl.core.projection import parse_partial

            parsed = tuple(
                parse_partial(
                    job, _beside(value, "odd", job), _beside(value, "derived", job), fields
                )
                for job in jobs
            )
    except InvalidJob as error:
        raise ProtocolError(f"the hub sent a job that is none: {error}") from error
    if any(job.revision > through for job in parsed):
        raise ProtocolError("the hub sent a job newer than its delta")
    why = value.get("why")
    reasons = why if isinstance(why, dict) else {}
    lost = tuple(Gone(id, through, _reason(reasons.get(id))) for id in gone)
    digest = value.get("digest")
    return Delta(
        epoch,
        since,
        through,
        parsed,
        lost,
        more,
        digest=digest if isinstance(digest, str) else None,
        tag=cursor_or_zero(value.get("cursor")).tag,
    )


def _reason(why: object) -> str:
    """Return why a job is gone; an empty text for a reason that this version does not know."""
    if not isinstance(why, str):
        return ""
    return why if why in (REMOVED, FILTERED) or why.startswith(DAMAGED) else ""


def _beside(delta: dict[str, Any], key: str, job: object) -> object:
    """Return what stands about a job beside it, under a key of the delta."""
    said = delta.get(key)
    return said.get(job.get("id")) if isinstance(said, dict) and isinstance(job, dict) else None


def close_reason_with_retry(text: str, retry_after_s: float) -> str:
    """Return the reason of a close frame that asks the client to reconnect after some seconds.

    ``retry_after_s`` is rounded to tenths and is at most 9999.9. ``text`` says why, and is cut if
    the reason would be longer than a close frame can hold, 123 bytes.
    """
    seconds = f"{min(max(0.0, retry_after_s), _MAX_RETRY_S):.1f}"
    before, after = f"{_RETRY_KEY}{seconds}; ", f"; {seconds.join(_RETRY_WORDS)}"
    room = _MAX_REASON - len(before) - len(after)
    return before + text.encode()[:room].decode(errors="ignore") + after


def retry_after_s(reason: str) -> float | None:
    """Return after how many seconds the reason of a close frame asks to reconnect, or ``None``.

    Understands the reasons of `close_reason_with_retry`, and those of jobctl 0.1.0, which end with
    "come back in 2.5 s". A number that is not a plain decimal from 0 to 9999.9 is ignored.
    """
    parts = reason.split("; ")
    start, end = _RETRY_WORDS
    if parts[0].startswith(_RETRY_KEY):
        text = parts[0].removeprefix(_RETRY_KEY)
    elif parts[-1].startswith(start) and parts[-1].endswith(end):
        text = parts[-1][len(start) : -len(end)]
    else:
        return None
    digits = text.replace(".", "", 1)
    if not (digits.isascii() and digits.isdecimal() and text[0] != "." and text[-1] != "."):
        return None
    seconds = float(text)
    return seconds if seconds <= _MAX_RETRY_S else None


# -- from the client ------------------------------------------------------------------------


def ack_message(through: int) -> str:
    """Return the message that acknowledges everything up to a revision."""
    return f'{{"type":"jobs:ack","through":{through}}}'


def parse_query(query: str) -> Subscribe:
    """Return the first cursor and filter from a URL's query.

    Raises `UsageError` for a bad filter, duration or limit.
    """
    if not query:
        return Subscribe(ZERO, EVERYTHING)
    from urllib.parse import parse_qs  # whoever writes or reads files alone needs no queries

    fields = parse_qs(query, keep_blank_values=True, max_num_fields=1000)
    since = fields.get("since", [None])[-1]
    active = fields.get("active", ["0"])[-1] not in ("0", "", "false")
    digest = fields.get("digest", ["0"])[-1] not in ("0", "", "false")
    bad_files = fields.get("bad", ["0"])[-1] not in ("0", "", "false")
    ended = fields.get("ended", [None])[-1]
    try:
        ended_s = parse_duration(ended) if ended is not None else None
    except ValueError as error:
        raise UsageError(f"ended: {error}") from error
    limit = fields.get("max", [None])[-1]
    wire: dict[str, object] = {
        key: fields[key] for key in ("id", "type", "stage", "session", "label") if key in fields
    }
    filter = Filter.from_wire({**wire, "active": active}) if wire or active else EVERYTHING
    if "fields" in fields:
        filter = filter._replace(fields=_fields_in(fields["fields"]))
    return Subscribe(
        cursor_or_zero(since),
        filter,
        digest,
        ended_s,
        bad_files,
        max_bytes=limit_from(limit),
        unknown=tuple(sorted(fields.keys() - QUERY_KEYS)),
    )


def _fields_in(texts: list[str]) -> frozenset[str] | None:
    """Return the fields in a query, where names are separated by commas."""
    return fields_of([name for text in texts if text for name in text.split(",")])


def limit_from(value: object) -> int | None:
    """Return a client's limit for a message in bytes, from its query or subscription.

    ``None`` stays. What exceeds `MAX_LIMIT` is that. Raises `UsageError` for anything else that is
    not a number from `MIN_LIMIT` on.
    """
    if value is None:
        return None
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        value = int(value[:18])  # a longer number is too large anyway
    if type(value) is not int or value < MIN_LIMIT:
        raise UsageError(f"max is a number of bytes, at least {MIN_LIMIT}")
    return min(value, MAX_LIMIT)


def query_of(
    cursor: Cursor, filter: Filter, *, digest: bool = False, bad_files: bool = False
) -> str:
    """Return the query for a cursor and a filter: the inverse of `parse_query`."""
    from urllib.parse import urlencode

    fields: list[tuple[str, str]] = []
    if cursor != ZERO:
        fields.append(("since", str(cursor)))
    for key, value in filter.to_wire().items():
        fields += [(key, text) for text in value] if isinstance(value, list) else [(key, "1")]
    if filter.fields is not None:
        fields.append(("fields", ",".join(sorted(filter.fields))))
    if digest:
        fields.append(("digest", "1"))
    if bad_files:
        fields.append(("bad", "1"))
    return urlencode(fields)


def cursor_or_zero(value: object) -> Cursor:
    """Return the cursor, or `ZERO` if it is invalid: then the reader gets an explicit reset."""
    if not isinstance(value, str):
        return ZERO
    try:
        return Cursor.parse(value)
    except InvalidCursor:
        return ZERO


def _is_revision(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value <= MAX_REVISION


def json_object(data: str | bytes) -> dict[str, Any]:
    """Return the JSON object in a message; raise `ProtocolError` if it holds none."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ProtocolError("a message is not JSON") from error
    if not isinstance(value, dict):
        raise ProtocolError("a message is not an object")
    return value
