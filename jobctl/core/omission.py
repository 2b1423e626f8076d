"""A job that is too large for a client's messages: its wire form without the large keys.

A client that named its limit (``max``) gets such a job without `FIRST_OMITTED`. The key ``omitted``
lists what was left out (``…`` stands for more than 30 keys, and for long ones); the whole job is at
``/api/jobs/ID``. If that is not enough, other keys are left out as well, the largest first, until
the job fits. Those that place a job stay: a job is larger than the limit only if its type or its
stage is.
"""

from __future__ import annotations

import json
from json.decoder import scanstring  # type: ignore[attr-defined]

__all__ = ["FIRST_OMITTED", "OMITTED", "shortened"]

FIRST_OMITTED = ("result", "history", "run")
"""The keys that are left out first, all of them."""
OMITTED = "omitted"
"""The key that lists what was left out."""

_KEPT = frozenset({
    "id", "type", "stage", "createdAt", "updatedAt", "completedAt", "stageStartedAt", "retryCount",
    "revision",
})  # fmt: skip
_REQUIRED = frozenset({"sessionId", "error"})  # null where they are left out
_NULL = b"null"
_MAX_NAMED = 30  # keys that ``omitted`` names; `_REST` stands for all others
_MAX_NAME = 66  # bytes of such a key, with its quotes
_REST = '"…"'.encode()
_scan = json.JSONDecoder().raw_decode


def shortened(wire: bytes, max_bytes: int, *, nulls: bool = False) -> bytes:
    """Return the wire form of a job without its large keys, in at most ``max_bytes`` if possible.

    With ``nulls`` each of these keys is null instead: for clients that merge each version into the
    one before. All other values keep their text.
    """
    members = {key: value for key, value in _members(wire).items() if key != OMITTED}
    names = {key: _quoted(key) for key in members}
    size = len(f'{{"{OMITTED}":[]}}') + len(_REST) + len(",")
    size += sum(len(name) + len(members[key]) + len(":,") for key, name in names.items())
    named: list[bytes] = []

    def omit(key: str) -> int:
        """Leave the key out; return how many bytes that saves."""
        name, value = names[key], members[key]
        before = len(name) + len(value) + len(":,")
        is_named = len(named) < _MAX_NAMED and len(name) <= _MAX_NAME
        if value != _NULL:
            named.append(name if is_named else _REST)
            before -= len(name) + len(",") if is_named else 0
        if key in _REQUIRED or (nulls and is_named):
            members[key] = _NULL
            return before - len(name) - len(_NULL) - len(":,")
        del members[key]
        return before

    for key in FIRST_OMITTED:
        if key in members:
            size -= omit(key)
    others = sorted(members.keys() - _KEPT, key=lambda key: (len(members[key]) + len(key), key))
    while size > max_bytes and others:
        size -= omit(others.pop())
    pairs = [b"%s:%s" % (names[key], value) for key, value in members.items()]
    omitted = b",".join(dict.fromkeys(named))
    return b'{%s,"%s":[%s]}' % (b",".join(pairs), OMITTED.encode(), omitted)


def _quoted(text: str) -> bytes:
    return json.dumps(text, ensure_ascii=False).encode()


def _members(wire: bytes) -> dict[str, bytes]:
    """Return the keys of a compact JSON object, and the text of their values."""
    text = wire.decode()
    members: dict[str, bytes] = {}
    place = 1
    while text[place] != "}":
        key, end = scanstring(text, place + 1, True)
        _, place = _scan(text, end + 1)
        members[key] = text[end + 1 : place].encode()
        if text[place] == ",":
            place += 1
    return members
