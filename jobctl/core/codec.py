"""Jobs as bytes: the parser, and the writers for the file and the wire.

Files that jobctl or ``JSON.stringify`` wrote, and other files without a fault, are parsed quickly:
a few counts prove that most files have none. All others go to lenient.py, which accepts more than
RFC 8259 does and says what was odd. A file is refused only if it is too large, too deep, not UTF-8,
not a JSON object, or has no stage.

Keys that a change does not set keep their raw text in the file, known keys and unknown ones alike:
a number with forty digits, an escape, another form of a time. So a rewrite splits the file into its
keys and replaces only those that have changed. Values that we set, and everything on the wire, have
one canonical form.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from itertools import chain
from json.decoder import WHITESPACE_STR, scanstring  # type: ignore[attr-defined]
from json.encoder import encode_basestring
from sys import intern

from jobctl.core.canonical import compact, short_exponents
from jobctl.core.fields import (
    BY_ATTRIBUTE,
    BY_KEY,
    CANONICAL,
    FIELDS,
    Steps,
    Unfit,
    anything,
    number,
)
from jobctl.core.job import NEW_LINE, Draft, check_id, draft_of, foreign_keys, values_of
from jobctl.core.redaction import has_details, redact
from jobctl.errors import InvalidId, InvalidJob

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, NoReturn

    from jobctl.core.fields import Field, HistoryEntry
    from jobctl.core.job import Job, Scan
    from jobctl.core.lenient import Guess, Reading, Remark

__all__ = [
    "MAX_DEPTH",
    "MAX_JOB_BYTES",
    "check_wire",
    "created_at",
    "encode",
    "odd_text",
    "parse",
    "parse_trusted",
    "parse_wire",
    "reading_of",
    "to_wire",
]

MAX_JOB_BYTES = 256 * 1024
MAX_DEPTH = 100

MAX_DIGITS = 4300
"""Of a whole number: CPython's own bound."""

FIRST, LAST = "1971", "9999"
"""Canonical times that count are at least the first and less than the last of these."""

# Possessive, and an unterminated string extends to the end, so every character is read once.
# (Starting again at each quote made 240 KB of `\\"` take three minutes.)
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class _Refused(ValueError):
    """The error of a hook of the strict parser."""


# -- from bytes -----------------------------------------------------------------------------


def parse(
    data: bytes, *, id: str, revision: int = 0, file_ms: int = 0, guess: Guess | None = None
) -> Job:
    """Return the job in the bytes of the file ``<id>.json``.

    ``file_ms`` is the file's modification time, for times that it lacks. ``guess`` is what an
    earlier reading of the same bytes has guessed (`Job.reading`). Raise `InvalidJob` with a short
    reason.
    """
    if len(data) > MAX_JOB_BYTES:
        raise InvalidJob(too_large(len(data)), id=id)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise InvalidJob(_why_no_text(data, error), id=id) from error
    job = _usual_job(data, text)
    if job is None:
        values = _quick(text) or _parse_strictly(text)
        job = _canonical_draft(data, values) if values is not None else None
        if job is None or job.id != id:
            job = _odd_job(data, text, values, id, file_ms, guess)
    elif job.id != id:
        job = _odd_job(data, text, None, id, file_ms, guess)
    job.revision = revision
    return job.finish()


def parse_trusted(
    data: bytes, *, id: str, revision: int = 0, file_ms: int = 0, guess: Guess | None = None
) -> Job:
    """Parse bytes that jobctl wrote and that a digest confirms, without the checks of `parse`."""
    job = _own_job(data)
    if job is None or job.id != id:
        return parse(data, id=id, revision=revision, file_ms=file_ms, guess=guess)
    job.id = id  # the same text, shared with whoever has it
    job.revision = revision
    return job.finish()


def created_at(data: bytes, *, id: str) -> str | None:
    """Return when the job in the bytes of the file ``<id>.json`` was created, as `parse` has it.

    It takes half the time of `parse` for most files, and returns ``None`` for all others.
    """
    with suppress(UnicodeDecodeError):
        match = _usual(data.decode()) if len(data) <= MAX_JOB_BYTES else None
        if match is not None and match[_REST] is None and match[1] == id:
            return match[5]
    return None


def _own_job(data: bytes) -> Draft | None:
    """Return a draft of the job in bytes that `encode` made.

    ``None`` if it cannot have made them.
    """
    if len(data) > MAX_JOB_BYTES or data.count(b"[") + data.count(b"{") > MAX_DEPTH:
        return None
    try:
        text = data.decode()
        match = _usual(text)
        if match is not None and match[_REST] is None:
            return _draft_of(data, match) if match[_DONE] is None or _is_in_range(match) else None
        values, _ = _scan(text, 0)
        if type(values) is not dict or _SURROGATE.search(text):
            return None
    except (ValueError, StopIteration):
        return None
    return _canonical_draft(data, values)


def too_large(size: int) -> str:
    """Return the reason why a file of this size is not read."""
    return f"{size} bytes, over the {MAX_JOB_BYTES} allowed: keep large data in files of their own"


def _why_no_text(data: bytes, error: UnicodeDecodeError) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "UTF-16, not UTF-8: write the file as UTF-8 (PowerShell: Out-File -Encoding utf8)"
    return f'not UTF-8 at byte {error.start}: write the file as UTF-8 (Python: encoding="utf-8")'


# -- the usual file -------------------------------------------------------------------------

_PLAIN = r'"([^"\\\x00-\x1f]+)"'
_TEXT = (
    r'"[^"\\\x00-\x1f]*+'
    r'(?:\\(?:["\\/bfnrt]|u(?![dD][89a-fA-F])[0-9a-fA-F]{4})[^"\\\x00-\x1f]*+)*+"'
)
_LINE = rf'{{\n      "stage": {_TEXT},\n      "at": "{CANONICAL}"\n    }}'

_USUAL = (
    r"{\n"
    rf'  "id": {_PLAIN},\n'
    rf'  "type": {_PLAIN},\n'
    rf'  "sessionId": (?:null|{_PLAIN}),\n'
    rf'  "stage": {_PLAIN},\n'
    rf'  "createdAt": "({CANONICAL})",\n'
    rf'  "updatedAt": "({CANONICAL})",\n'
    rf'  "completedAt": (?:null|"({CANONICAL})"),\n'
    rf'  "stageStartedAt": (?:null|"({CANONICAL})"),\n'
    rf'  "error": (?:null|{_TEXT}),\n'
    r'  "retryCount": (0|[1-9][0-9]{0,14}),\n'
    rf'  "resultSessionId": (?:null|{_TEXT})'
    rf'(?:,\n  "title": {_TEXT})?'
    rf'(?:,\n  "message": {_TEXT})?'
    r'(?:,\n  "progress": (?:100|[1-9]?[0-9]|'
    r'{\n    "done": (0|[1-9][0-9]{0,14}),\n    "total": ([1-9][0-9]{0,14})\n  }))?'
    rf'(?:,\n  "stages": \[\n    {_TEXT}(?:,\n    {_TEXT})*+\n  \])?'
    rf'(?:,\n  "history": \[\n    {_LINE}(?:,\n    {_LINE})*+\n  \])?'
    r'(?:,\n  "owner": "([0-9]{1,10}-[0-9a-f]{12})")?'
    r'(?:,(\n  ".*))?\n}\n?\Z'
)
"""A file as jobctl and ``JSON.stringify(job, null, 2)`` lay it out.

What matches has no fault and only canonical values, except perhaps in its last group, the keys
after the history, and for more steps done than there are.
"""
_DONE, _TOTAL, _REST = 10, 11, 13  # its last groups
_IN_ORDER = {*BY_KEY} - {
    "result", "owner", "run", "host", "user", "labels", "cancelled", "acknowledged",
}  # fmt: skip
_NOTHING: frozenset[str] = frozenset()


_files_first = 30
"""So many files are read the long way, before the expression is compiled: that takes 2 ms, and most
commands read one file."""
_compiled: Callable[[str], re.Match[str] | None] | None = None


def _usual(text: str) -> re.Match[str] | None:
    """Match a file in the usual layout; ``None`` for any other."""
    global _compiled, _files_first
    if _compiled is None:
        _files_first -= 1
        if _files_first >= 0:
            return None
        _compiled = re.compile(_USUAL, re.DOTALL).match
    return _compiled(text)


def _usual_job(data: bytes, text: str) -> Draft | None:
    """Return a draft of the job in a usual file, mostly unparsed; ``None`` for any other."""
    match = _usual(text)
    if match is None or not (match[_DONE] is None or _is_in_range(match)):
        return None
    rest = match[_REST]
    if rest is None:
        return _draft_of(data, match)
    values = _quick(f"{{{rest}}}")
    if values is None or not _IN_ORDER.isdisjoint(values):
        return None
    values, _ = _scan(text, 0)
    return _canonical_draft(data, values)


def _is_in_range(match: re.Match[str]) -> bool:
    """Whether a usual file has at most as many steps done as there are."""
    return int(match[_DONE]) <= int(match[_TOTAL])


def _canonical_draft(data: bytes, values: dict[str, Any]) -> Draft | None:
    """Return a draft from JSON values if nothing about them is odd."""
    try:
        job = draft_of(values)
    except InvalidJob:
        return None
    times = [job.created_at, job.updated_at, job.completed_at, job.stage_started_at]
    times += [entry.at for entry in job.history or ()]
    if any(text is not None and not FIRST <= text < LAST for text in times):
        return None  # a placeholder
    steps = job.progress
    if isinstance(steps, Steps) and steps.done != number(values["progress"]["done"]):
        return None
    job.source = (data, _NOTHING)
    return job


def _draft_of(data: bytes, match: re.Match[str]) -> Draft:
    """Return a draft of a usual file without other keys, that is, without result and command."""
    job = Draft()
    (
        job.id, kind, job.session_id, stage, job.created_at, job.updated_at,
        job.completed_at, job.stage_started_at, retries, _, _, job.owner, _,
    ) = match.groups()  # fmt: skip
    job.type, job.stage = intern(kind), intern(stage)
    job.retry_count = 0 if retries == "0" else int(retries)
    job.source, job.run = data, None
    job.host = job.user = job.labels = job.cancelled = job.acknowledged = None
    return job


def _quick(text: str) -> dict[str, Any] | None:
    """Return the object in the text if it certainly has no fault, else ``None``."""
    if text.count("[") + text.count("{") > MAX_DEPTH or len(text) > MAX_DIGITS:
        return None
    try:
        values, end = _scan(text, 0)
    except (ValueError, StopIteration, RecursionError):
        return None
    if type(values) is not dict or text[end:].strip(WHITESPACE_STR):
        return None
    quotes = text.count('"')
    if "\\" in text:
        if "\\\\" in text or _SURROGATE.search(text):
            return None
        quotes -= text.count('\\"')
    # A key that stands twice leaves more quotes in the text than strings in the value.
    return values if quotes == 2 * _strings_in(values) else None


def _strings_in(values: dict[str, Any]) -> int:
    """Return the number of strings in an object, including keys, at any depth."""
    count = len(values)
    level = [*values.values()]
    while level:
        kinds = [*map(type, level)]
        count += kinds.count(str)
        if dict not in kinds and list not in kinds:
            break
        dicts = [item for item in level if type(item) is dict]
        count += sum(map(len, dicts))
        lists = [item for item in level if type(item) is list]
        level = [*chain.from_iterable(map(dict.values, dicts)), *chain.from_iterable(lists)]
    return count


def _parse_strictly(text: str) -> dict[str, Any] | None:
    """Return the object in the text after a check of each key and number; ``None`` if it is odd."""
    try:
        _check_depth(text)
        values = _STRICT.decode(text)
    except (ValueError, RecursionError):
        return None
    return values if type(values) is dict and not _SURROGATE.search(text) else None


def _odd_job(
    data: bytes,
    text: str,
    values: dict[str, Any] | None,
    id: str,
    file_ms: int,
    guess: Guess | None,
) -> Draft:
    """Return a draft of the job in a file of any kind, with remarks; `InvalidJob`.

    ``values`` is the object in the text if its syntax has no fault.
    """
    from jobctl.core.lenient import decode, fit  # most commands meet no odd file

    if not text.strip(" \t\r\n\0\ufeff"):
        raise InvalidJob('empty: write one JSON object, such as {"stage": "load"}', id=id)
    try:
        remarks: list[Remark] = []
        if values is None:
            _check_depth(text)
            values, remarks = decode(text, parse_int=_int, parse_float=_float)
        attributes, reading = fit(values, id=id, file_ms=file_ms, guess=guess, remarks=remarks)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        why = f"not JSON: {error.msg.removesuffix(' at')} at {where}"
        raise InvalidJob(f'{why} (write one object, such as {{"stage": "load"}})', id=id) from error
    except _Refused as error:
        raise InvalidJob(str(error), id=id) from error
    except InvalidJob as error:
        raise InvalidJob(error.reason, id=id) from error
    job = Draft()
    for attribute, value in attributes.items():
        setattr(job, attribute, value)
    job.extra = foreign_keys(values)
    # The first rewrite adds the keys that every job file has.
    lacking = {field.attribute for field in FIELDS if field.required and field.key not in values}
    job.source = (data, frozenset(lacking))
    job.reading = reading if reading.remarks or reading.guess else None
    return job


def _check_depth(text: str, depth: int = 0) -> None:
    """Refuse deep nesting before a recursive parser sees the text."""
    for char in re.sub(r"[^\[\]{}]+", "", _STRING.sub("", text)):
        depth += 1 if char in "[{" else -1
        if depth > MAX_DEPTH:
            raise _Refused(
                f"nested over {MAX_DEPTH} deep: keep such data as a text, or in another file"
            )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise _Refused("a key stands twice")
    return value


def _constant(name: str) -> NoReturn:
    raise _Refused(f"{name} is not JSON")


def _float(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise _Refused(f"the number {digits[:20]} is too large: write it as a text")
    return value


def _int(digits: str) -> int:
    length = len(digits.lstrip("-"))
    if length > MAX_DIGITS:
        raise _Refused(f"a number of {length} digits, over {MAX_DIGITS}: write it as a text")
    return int(digits)


_scan: Scan = json.JSONDecoder(  # type: ignore[attr-defined]
    parse_float=_float, parse_constant=_constant
).scan_once
_scan_any: Scan = json.JSONDecoder(parse_int=str, parse_float=str).scan_once  # type: ignore[attr-defined]
_STRICT = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_float, parse_int=_int, parse_constant=_constant
)


def parse_wire(value: object, odd: object = None) -> Job:
    """Return the job in a decoded wire message; raise `InvalidJob` if it is not one.

    ``odd`` is what stands beside the job about its file, decoded: see `odd_text`.
    """
    job = draft_of(check_wire(value))
    if isinstance(odd, dict):
        job.reading = reading_of(odd)
    return job.finish()


def check_wire(value: object) -> dict[str, Any]:
    """Return the keys of a job in a decoded wire message.

    Raises `InvalidJob` if it has no valid id. Labels that no file may have are left out.
    """
    if not isinstance(value, dict) or not isinstance(value.get("id"), str):
        raise InvalidJob("not a job")
    try:
        check_id(value["id"])
    except InvalidId as error:
        raise InvalidJob(str(error), id=value["id"]) from error
    if not _has_valid_labels(value):  # a hub of jobctl 0.1.0 sends what the file has
        from jobctl.core.lenient import labels_in

        value = {**value, "labels": labels_in(value["labels"])}
    return value


def reading_of(odd: object) -> Reading | None:
    """Return what a message says about a job's file beside it, or ``None``: see `odd_text`."""
    if not isinstance(odd, dict):
        return None
    from jobctl.core.lenient import Reading, Remark

    remarks, missing = (_texts_in(odd.get(name)) for name in ("remarks", "missing"))
    lacking = frozenset(BY_KEY[key].attribute for key in missing if key in BY_KEY)
    return Reading(tuple(Remark("", text) for text in remarks), None, lacking, lacking)


def _has_valid_labels(value: dict[str, Any]) -> bool:
    labels = value.get("labels")
    return labels is None or (
        type(labels) is dict and all(type(text) is str for text in labels.values())
    )


def _texts_in(value: object) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


# -- to bytes -------------------------------------------------------------------------------


def to_wire(job: Job, *, details: bool = False) -> bytes:
    """Return the job as compact JSON with its ``revision``, as its reader may see it.

    The values are canonical, whatever the job's file has. See `redact`: without the right
    ``details`` the command is left out, and its environment is left out for every reader.
    """
    source = job.source
    if details and type(source) is bytes and source[1] != NEW_LINE:
        return source  # it is an `OpaqueJob`'s, for a reader with details
    if has_details(job):
        return compact(values_of(redact(job, details=details))).encode()
    if type(source) is bytes:  # where there are no details, all readers get the same
        if source[1] != NEW_LINE:
            return source
        if b"\\" not in source:
            # All values are canonical: what is left to do is to take out the layout. No string has
            # a line end or a quote in it.
            for layout in _LAYOUT:
                source = source.replace(layout, b"")
            return b'%s,"revision":%d}' % (source[:-1].replace(b'": ', b'":'), job.revision)
    return compact(values_of(job)).encode()


def odd_text(job: Job) -> str:
    """Return what is odd in the job's file as a member of a JSON object, or an empty string.

    It is ``"id":{"remarks":["…"],"missing":["createdAt"]}``, without what is empty.
    """
    reading = job.reading
    if reading is None:
        return ""
    parts = {
        "remarks": [str(remark) for remark in reading.remarks],
        "missing": sorted(BY_ATTRIBUTE[name].key for name in reading.missing),
    }
    parts = {name: texts for name, texts in parts.items() if texts}
    return f'"{job.id}":{compact(parts)}' if parts else ""


_LAYOUT = (b"\n      ", b"\n    ", b"\n  ", b"\n")


def encode(job: Job) -> bytes:
    """Return the bytes of the job's file; unchanged keys have the raw text that they had there.

    The keys keep their order; new ones are inserted at their place in `FIELDS`. Changed values are
    written in canonical form and read back for comparison. Raises `InvalidJob` for a value that
    could not be read back: too large, too deep, not a number, lone surrogates.
    """
    try:
        check_id(job.id)
        if job.fields is not None:
            raise InvalidJob("cannot be written: it was read with some fields only", id=job.id)
        members = _members_of(job)
        data = ('{\n  "' + ',\n  "'.join(members.values()) + "\n}\n").encode()
    except InvalidJob:
        raise
    except (InvalidId, TypeError, ValueError, RecursionError) as error:
        why = str(error).partition("\n")[0]
        raise InvalidJob(f"cannot be written: {why}", id=job.id) from error
    if len(data) > MAX_JOB_BYTES:  # indentation makes a deep result ten times as large
        data = b"{%s}\n" % _BLANKS.sub(r"\1", '"' + ',"'.join(members.values())).encode()
        if len(data) > MAX_JOB_BYTES:
            raise InvalidJob(f"over {MAX_JOB_BYTES} bytes", id=job.id)
    if type(job.source) is not bytes:
        _set_source(job, (data, _NOTHING))  # the next act's change starts from it
    return data


_BLANKS = re.compile(r'("(?:[^"\\]++|\\.)*+")|[ \t\n\r]+', re.DOTALL)
_set_source = vars(Draft)["source"].__set__


def _members_of(job: Job) -> dict[str, str]:
    """Return the lines of the job's file: for each key, the text after its opening quote."""
    source = job.source
    file, changed = source if type(source) is tuple else (_file_in(source), _NOTHING)
    if file is None:
        members: dict[str, str] = {}
        for field in FIELDS:
            value = getattr(job, field.attribute)
            if field.always or value is not None:
                members[field.key] = f'{field.key}": {_text_of(field, value, None)}'
        _set_foreign(members, job.extra)
        return members
    members = _members_in(file.decode("utf-8-sig"))
    reading = job.reading
    offset_s = reading.guess.offset_s if reading is not None and reading.guess else None
    for attribute in sorted(changed, key=_place_of):
        if attribute == "extra":
            _change_foreign(members, job.extra, parse(file, id=job.id).extra)
            continue
        field, value = BY_ATTRIBUTE[attribute], getattr(job, attribute)
        line = members.get(field.key)
        if value is None and not field.always:
            members.pop(field.key, None)
            continue
        if value == field.default and line is None:
            continue  # as it was, and nobody wrote that either
        text = f'{field.key}": {_text_of(field, value, line, offset_s)}'
        before = next((key for key in _BEFORE[field.key] if key in members), None)
        if line is not None or before == next(reversed(members)):
            members[field.key] = text
        else:
            members = _with_new(members, field.key, text, before)
    return members


def _file_in(source: bytes | None) -> bytes | None:
    """Return the source if it is a file's text, not the wire form."""
    return source if source is not None and source[1] == NEW_LINE else None


def _set_foreign(members: dict[str, str], extra: Mapping[str, Any]) -> None:
    for key, value in extra.items():
        if key in BY_KEY or key == "revision":
            raise InvalidJob(f"{ascii(key)[:80]} cannot be a foreign key")
        members[key] = f"{encode_basestring(key)[1:]}: {_checked(value)}"


def _change_foreign(
    members: dict[str, str], extra: Mapping[str, Any], before: Mapping[str, Any]
) -> None:
    """Set the foreign keys that are not as ``before``; the others keep their raw text."""
    for key in [key for key in members if key not in BY_KEY and key != "revision"]:
        if key not in extra:
            del members[key]
    changed = {
        key: value
        for key, value in extra.items()
        if key not in members or key not in before or value != before[key]
    }
    _set_foreign(members, changed)


def _with_new(members: dict[str, str], new: str, text: str, before: str | None) -> dict[str, str]:
    """Return the lines with a new one after that of the key ``before``."""
    found = {new: text} if before is None else {}
    for key, line in members.items():
        found[key] = line
        if key == before:
            found[new] = text
    return found


_BEFORE = {
    field.key: [other.key for other in reversed(FIELDS[:place])]
    for place, field in enumerate(FIELDS)
}
_ALWAYS = [field.key for field in FIELDS if field.always]
_place_of = [*BY_ATTRIBUTE, "extra"].index


def _members_in(text: str) -> dict[str, str]:
    """Return the lines of a file that `parse` has accepted."""
    members: dict[str, str] = {}
    match = _usual(text)
    if match is None:
        _split(text, members)
        return members
    rest = match[_REST]
    head = text[5 : match.start(_REST) - 1 if rest is not None else text.rindex("\n}")]
    lines = head.split(',\n  "')
    members = dict(zip(_ALWAYS, lines, strict=False))
    for line in lines[len(_ALWAYS) :]:
        members[line[: line.index('"')]] = line
    if rest is not None:
        _split(f"{{{rest}}}", members)
    return members


def _split(text: str, members: dict[str, str]) -> None:
    """Add the lines of an object, which must be one."""
    place = _after_space(text, 0) + 1
    while text[place := _after_space(text, place)] != "}":
        key, end = scanstring(text, place + 1, True)
        raw, place = text[place + 1 : end], _after_space(text, end) + 1
        place = _after_space(text, place)
        _, end = _scan_any(text, place)
        line = f"{raw}: {text[place:end]}"
        # What stands twice stays together: whoever sets the key replaces both.
        members[key] = f'{members[key]},\n  "{line}' if key in members else line
        place = _after_space(text, end)
        if text[place] == ",":
            place += 1


def _after_space(text: str, place: int) -> int:
    while text[place] in WHITESPACE_STR:
        place += 1
    return place


def _text_of(field: Field, value: Any, line: str | None, offset_s: int | None = None) -> str:
    """Return the value in canonical form; ValueError if it could not be read back.

    ``line`` is what the file has for the key, and ``offset_s`` the zone of its zone-less times.
    """
    if value is None and not field.required and field.default is None:
        return "null"
    if type(value) is str and field.convert is not anything:
        _fits(field, value)
        return encode_basestring(value)
    if field.attribute == "history":
        return _history_text(field, value, line, offset_s)
    if isinstance(value, Steps):
        if value.extra is None and type(value.done) is type(value.total) is int:
            _fits(field, value.to_value())
            return f'{{\n    "done": {value.done},\n    "total": {value.total}\n  }}'
        text = _checked(value.to_value())
    else:
        text = _checked([*value] if type(value) is tuple and field.attribute == "stages" else value)
    if _fits(field, json.loads(text)) != value:
        raise ValueError("it would be read back as another value")
    return text


def _fits(field: Field, value: Any) -> Any:
    try:
        return field.convert(value)
    except Unfit as error:
        at = error.within(field.key)
        raise ValueError(f"{at.where}: {at.reason}") from error


def _history_text(
    field: Field, history: tuple[HistoryEntry, ...], line: str | None, offset_s: int | None
) -> str:
    """Return the history as text; entries in the file's ``line`` keep their text."""
    if not history:
        return "[]"
    kept: list[tuple[HistoryEntry, str]] = []
    if line is not None and (
        "\\" in line or any(entry.extra or entry.at not in line for entry in history[:-1])
    ):
        kept = _entries_in(line, offset_s)
    texts = []
    at = 0
    for entry in history:
        same = next((i for i in range(at, len(kept)) if kept[i][0] == entry), None)
        if same is not None:
            texts.append(kept[same][1])
            at = same + 1
            continue
        _fits(field, [entry.to_value()])
        if entry.extra is None:
            stage, moment = encode_basestring(entry.stage), encode_basestring(entry.at)
            texts.append(f'{{\n      "stage": {stage},\n      "at": {moment}\n    }}')
        else:
            texts.append(_checked(entry.to_value(), levels=2))
    return "[\n    " + ",\n    ".join(texts) + "\n  ]"


def _entries_in(line: str, offset_s: int | None) -> list[tuple[HistoryEntry, str]]:
    """Return the entries in a file's history line, each with its raw text."""
    from jobctl.core.lenient import entry_of  # files with such a history are rare

    found: list[tuple[HistoryEntry, str]] = []
    place = _after_space(line, scanstring(line, 0, True)[1] + 1)
    if line[place] != "[":
        return found  # it was null
    place += 1
    while line[place := _after_space(line, place)] != "]":
        value, end = _scan(line, place)
        if (entry := entry_of(value, offset_s)) is not None:
            found.append((entry, line[place:end]))
        place = _after_space(line, end)
        if line[place] == ",":
            place += 1
    return found


def _checked(value: Any, levels: int = 1) -> str:
    """Return the value as indented JSON, read back and compared; ValueError."""
    if isinstance(value, (dict, list)) and value:
        text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
        # Within strings there is no line end.
        text = short_exponents(text.replace("\n", "\n" + "  " * levels))
    else:
        text = compact(value)
    if text.count("[") + text.count("{") > MAX_DEPTH - levels:
        _check_depth(text, levels)
    if _STRICT.decode(text) != value:
        raise ValueError("it would be read back as another value")
    return text
