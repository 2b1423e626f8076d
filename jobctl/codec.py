"""Jobs as bytes: the strict reader, and the writers for the file and for the wire.

A file is read by the letter of RFC 8259 and then some: UTF-8 without a byte order mark, one value
for a key, numbers that exist, no lone surrogates, bounded depth and size. Python's and pydantic's
own parsers let several of these pass, and what passes once cannot be written back unchanged.

The usual file was written by jobctl or by ``JSON.stringify(job, null, 2)``; it is recognised by
being byte for byte what we would write ourselves, which proves all of the above at a tenth of the
cost of checking it.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from pydantic import ValidationError

from jobctl.errors import InvalidId, InvalidJob
from jobctl.job import Job, check_id
from jobctl.redaction import redact

__all__ = ["MAX_DEPTH", "MAX_JOB_BYTES", "encode", "parse", "parse_own", "parse_wire", "to_wire"]

MAX_JOB_BYTES = 256 * 1024
MAX_DEPTH = 100

MAX_DIGITS = 4300
"""Of a whole number: what both parsers take (CPython's own bound, which is jiter's as well)."""

# Possessive, and an open string reaches to the end: every character is looked at once. (Beginning
# anew at each quote of an open string made 240 KB of `\\"` cost three minutes.)
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_NOT_ON_DISK = {"revision"}


def encode(job: Job) -> bytes:
    """The bytes of the job's file, read back and found equal before anyone is shown them.

    `InvalidJob` for a value that would not survive: too large, too deep, not a number, lone
    surrogates (FAULTS: what can be written is not always readable).
    """
    try:
        check_id(job.id)
        data = _to_disk(job)
        again = parse_own(data, id=job.id, revision=job.revision)
    except InvalidJob:
        raise
    except (InvalidId, ValueError, RecursionError) as error:
        raise InvalidJob(f"cannot be written: {_first_line(error)}", id=job.id) from error
    if again != job:
        raise InvalidJob("cannot be written: it would be read back as another value", id=job.id)
    return data


def parse(data: bytes, *, id: str, revision: int = 0) -> Job:
    """The job in the bytes of the file ``<id>.json``; `InvalidJob` with a short reason."""
    try:
        job = parse_own(data, id=id, revision=revision)
        if _to_disk(job) == data:
            return job
    except (InvalidJob, ValueError, RecursionError):
        pass
    return _validated(_strict(data, id), id, revision)


def parse_own(data: bytes, *, id: str, revision: int = 0) -> Job:
    """As `parse`, for bytes that jobctl wrote and that a digest vouches for: no second look."""
    if len(data) > MAX_JOB_BYTES:
        raise InvalidJob(f"over {MAX_JOB_BYTES} bytes", id=id)
    if data.count(b"[") + data.count(b"{") > MAX_DEPTH:
        _check_depth(data.decode("utf-8", "replace"), id)
    try:
        job = Job.model_validate_json(data)
    except ValidationError as error:
        raise InvalidJob(_first_line(error), id=id) from error
    if job.id != id:
        raise InvalidJob(f"the id inside, {ascii(job.id[:80])}, is not the file's", id=id)
    if job.revision != revision:
        job.__dict__["revision"] = revision  # the value is ours alone until it is returned
    return job


def to_wire(job: Job, *, details: bool = False) -> bytes:
    """The job as compact JSON with its ``revision``, as far as its reader may see it.

    See `redact`: without the right ``details`` the command is left out, and for every reader its
    environment.
    """
    job = redact(job, details=details)
    return job.__pydantic_serializer__.to_json(job, by_alias=True)


def parse_wire(value: object) -> Job:
    """The job in a decoded wire message; `InvalidJob` when it is none."""
    if not isinstance(value, dict) or not isinstance(value.get("id"), str):
        raise InvalidJob("not a job")
    try:
        check_id(value["id"])
        return Job.model_validate(value)
    except (InvalidId, ValidationError) as error:
        raise InvalidJob(_first_line(error), id=value["id"]) from error


def _to_disk(job: Job) -> bytes:
    """Indented, unless that is what makes it too large: a deep result grows tenfold by it."""
    to_json = job.__pydantic_serializer__.to_json
    data = to_json(job, indent=2, by_alias=True, exclude=_NOT_ON_DISK)
    if len(data) >= MAX_JOB_BYTES:
        data = to_json(job, by_alias=True, exclude=_NOT_ON_DISK)
    return data + b"\n"


def _validated(value: dict[str, Any], id: str, revision: int) -> Job:
    try:
        job = Job.model_validate(value)
    except ValidationError as error:
        raise InvalidJob(_first_line(error), id=id) from error
    if job.id != id:
        raise InvalidJob(f"the id inside, {ascii(job.id[:80])}, is not the file's", id=id)
    return job.model_copy(update={"revision": revision})


def _strict(data: bytes, id: str) -> dict[str, Any]:
    if len(data) > MAX_JOB_BYTES:
        raise InvalidJob(f"over {MAX_JOB_BYTES} bytes", id=id)
    if not data.strip(b" \t\r\n\0"):
        raise InvalidJob("empty", id=id)
    if data.startswith(b"\xef\xbb\xbf"):
        raise InvalidJob("starts with a byte order mark", id=id)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise InvalidJob(f"not UTF-8 at byte {error.start}", id=id) from error
    _check_depth(text, id)
    try:
        value = json.loads(
            text,
            object_pairs_hook=lambda pairs: _object(pairs, id),
            parse_constant=lambda name: _refuse(f"{name} is not JSON", id),
            parse_float=lambda digits: _float(digits, id),
            parse_int=lambda digits: _int(digits, id),
        )
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise InvalidJob(f"not JSON: {error.msg.removesuffix(' at')} at {where}", id=id) from error
    if not isinstance(value, dict):
        raise InvalidJob("not a JSON object", id=id)
    if "\\u" in text:
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise InvalidJob("a lone surrogate is not text", id=id) from error
    return value


def _check_depth(text: str, id: str) -> None:
    """Whatever is nested too deep is refused before a recursive parser sees it."""
    depth = 0
    for char in re.sub(r"[^\[\]{}]", "", _STRING.sub("", text)):
        depth += 1 if char in "[{" else -1
        if depth > MAX_DEPTH:
            raise InvalidJob(f"nested over {MAX_DEPTH} deep", id=id)


def _object(pairs: list[tuple[str, Any]], id: str) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        _refuse(f"the key {ascii(twice[:80])} stands twice", id)
    return value


def _float(digits: str, id: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        _refuse(f"the number {digits[:20]} is too large", id)
    return value


def _int(digits: str, id: str) -> int:
    length = len(digits.lstrip("-"))
    if length > MAX_DIGITS:
        _refuse(f"a number of {length} digits", id)
    return int(digits)


def _refuse(reason: str, id: str) -> NoReturn:
    raise InvalidJob(reason, id=id)


def _first_line(error: BaseException) -> str:
    """One line for a person out of pydantic's several."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        if "pattern" in first["type"]:
            return f"{where}: not an ISO 8601 time with a zone"
        return f"{where}: {first['msg']}" if where else str(first["msg"])
    return str(error).splitlines()[0] if str(error) else type(error).__name__
