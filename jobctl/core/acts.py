"""Acts: requests to change a job through a hub, and their answers. Pure; see protocol.py.

An act names a job, the attempt that it is meant for (`Job.retry_count`), and optionally the
revision. So it never hits the next attempt. It has a request id, ``req``. The last `MAX_REMEMBERED`
request ids of a job are kept with the job, under the key ``acts`` of its file, each as a text
``REQ VERB MARK``, oldest first. A repeated request therefore changes nothing, through another hub
too. ``mark`` identifies the content of the act, so that another act with the same id is refused.
The key is for hubs: it is on no wire.

Who asked, and through which hub, is in the history entry that the act adds: ``by`` and ``via``.

An act never has a command line. What a job runs comes from the machine that runs it.
"""

from __future__ import annotations

import json
import re

from jobctl._stdlib import blake2b
from jobctl.core import transitions
from jobctl.core.cursor import MAX_REVISION
from jobctl.core.fields import HistoryEntry
from jobctl.core.job import ACTS, check_id
from jobctl.core.pipeline import BUILT_IN_ONLY, COMPLETED
from jobctl.errors import ActRefused, IllegalTransition, InvalidId, InvalidJob, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, NamedTuple

    from jobctl.core.cursor import Cursor
    from jobctl.core.job import Job
    from jobctl.core.pipeline import Pipelines
else:
    from jobctl._stdlib import NamedTuple

__all__ = [
    "ACT_TYPES",
    "BUSY",
    "CONFLICT",
    "FORBIDDEN",
    "GONE",
    "INVALID",
    "MAX_REMEMBERED",
    "READ_ONLY",
    "RIGHT_OF",
    "UNSUPPORTED",
    "Act",
    "Asker",
    "change",
    "check",
    "create",
    "created_by",
    "done_message",
    "parse_act",
    "refused_message",
    "request_id",
    "was_done",
    "with_act",
]

MAX_REMEMBERED = 16
"""How many request ids a job keeps."""

FORBIDDEN, CONFLICT, GONE, INVALID = "forbidden", "conflict", "gone", "invalid"
READ_ONLY, BUSY, UNSUPPORTED = "read-only", "busy", "unsupported"

RIGHT_OF = {
    "create": "report",
    "advance": "report",
    "progress": "report",
    "complete": "report",
    "fail": "report",
    "cancel": "operate",
    "retry": "operate",
    "acknowledge": "operate",
    "remove": "admin",
}
"""Each verb, and the right that it needs."""
ACT_TYPES = {f"jobs:{verb}": verb for verb in RIGHT_OF}
"""The types of the messages with acts, and their verbs."""

_REQ = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_COMMON = frozenset({"type", "req", "id", "attempt", "revision"})
_TEXT, _TEXTS, _NUMBER, _FLAG, _ANY = "a text", "a list of texts", "a number", "true or false", ""
_MAP = "an object of texts"
_FIELDS: Mapping[str, Mapping[str, str]] = {
    "create": {"jobType": _TEXT, "sessionId": _TEXT, "title": _TEXT, "stages": _TEXTS,
               "labels": _MAP},
    "advance": {"stage": _TEXT},
    "progress": {"done": _NUMBER, "total": _NUMBER, "message": _TEXT},
    "complete": {"result": _ANY, "resultSessionId": _TEXT},
    "fail": {"error": _TEXT},
    "cancel": {"reason": _TEXT},
    "retry": {},
    "acknowledge": {"note": _TEXT, "undo": _FLAG},
    "remove": {},
}  # fmt: skip
_REQUIRED = {"create": "jobType", "fail": "error"}
_MAX_TEXT = 8192
_COMMANDS = frozenset({"run", "argv", "command", "cmd", "env", "cwd"})


class Act(NamedTuple):
    """A parsed act. ``attempt`` is ``None`` for ``create`` only; ``fields`` are those of the verb.

    ``mark`` is six hex digits of a hash of everything but the request id.
    """

    verb: str
    req: str
    id: str
    attempt: int | None
    revision: int | None
    fields: Mapping[str, Any]
    mark: str


class Asker(NamedTuple):
    """Who asks for an act, and through which hub and route: ``web1/socket`` or ``web1/http``."""

    by: str
    via: str


# -- parsing --------------------------------------------------------------------------------


def request_id(value: Mapping[str, Any]) -> str | None:
    """Return the request id in a message, or ``None`` if it has no valid one."""
    req = value.get("req")
    return req if isinstance(req, str) and _REQ.match(req) else None


def parse_act(value: Mapping[str, Any], verb: str, by: str = "") -> Act:
    """Return the act in a decoded message; raise `ActRefused` with the code ``invalid``.

    ``by`` is who asks: a ``create`` without an id gets one that depends on ``by`` and ``req``, so
    that a repeat finds the job.
    """
    if verb not in RIGHT_OF:
        raise _invalid(f"there is no act {ascii(verb[:40])}", f"the acts: {', '.join(RIGHT_OF)}")
    req = request_id(value)
    if req is None:
        raise _invalid("an act needs req, 1 to 64 letters, digits, '_' and '-'")
    fields = {key: given for key, given in value.items() if key not in _COMMON}
    _check_fields(verb, fields)
    attempt, revision = _count(value, "attempt"), _count(value, "revision")
    if verb == "create":
        if attempt is not None or revision is not None:
            raise _invalid("a new job has no attempt and no revision: leave them out")
    elif attempt is None:
        raise _invalid(f"{verb} needs attempt, the job's retryCount as it was seen")
    id = value.get("id")
    if id is None and verb == "create":
        id = _id_for(by, req)
    if not isinstance(id, str):
        raise _invalid("an act needs the id of a job")
    try:
        check_id(id)
    except InvalidId as error:
        raise _invalid(error.message, error.hint) from error
    try:
        content = json.dumps([verb, id, attempt, revision, fields], sort_keys=True)
    except RecursionError as error:
        raise _invalid(f"a key of {verb} is nested too deep") from error
    mark = blake2b(content.encode(), digest_size=3).hexdigest()
    return Act(verb, req, id, attempt, revision, fields, mark)


def _check_fields(verb: str, fields: Mapping[str, Any]) -> None:
    known = _FIELDS[verb]
    for key, given in fields.items():
        if key in _COMMANDS:
            raise _invalid(
                f"{key} is not taken from the network: a hub never runs a command",
                "'jobctl run' runs one, on the machine where it is called",
            )
        kind = known.get(key)
        if kind is None:
            of = f"the keys of {verb}: {', '.join(known) or 'none'}"
            raise _invalid(f"{verb} has no key {ascii(key[:40])}", of)
        if kind and not _is(kind, given):
            raise _invalid(f"{key} of {verb} is {kind}")
        if isinstance(given, str) and len(given) > _MAX_TEXT:
            raise _invalid(f"{key} of {verb} has at most {_MAX_TEXT} characters")
        if given != given:
            raise _invalid(f"{key} of {verb} is {kind}")
    wanted = _REQUIRED.get(verb)
    if wanted is not None and wanted not in fields:
        raise _invalid(f"{verb} needs {wanted}")


def _is(kind: str, given: object) -> bool:
    if kind == _TEXT:
        return isinstance(given, str)
    if kind == _NUMBER:
        return type(given) in (int, float)
    if kind == _FLAG:
        return isinstance(given, bool)
    if kind == _TEXTS:
        return isinstance(given, list) and all(isinstance(text, str) for text in given)
    return isinstance(given, dict) and all(isinstance(text, str) for text in given.values())


def _count(value: Mapping[str, Any], key: str) -> int | None:
    given = value.get(key)
    if given is None:
        return None
    if type(given) is not int or not 0 <= given <= MAX_REVISION:
        raise _invalid(f"{key} is a whole number, 0 or more")
    return given


def _id_for(by: str, req: str) -> str:
    digits = blake2b(f"{by}\0{req}".encode(), digest_size=16).hexdigest()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _invalid(message: str, hint: str | None = None) -> ActRefused:
    return ActRefused(INVALID, message, hint=hint)


# -- idempotence ----------------------------------------------------------------------------


def was_done(job: Job, act: Act) -> bool:
    """Whether the job has this act already.

    Raises `ActRefused` if it has another act with the same request id.
    """
    for text in _remembered(job):
        req, _, content = text.partition(" ")
        if req == act.req:
            if content != f"{act.verb} {act.mark}":
                raise _invalid(f"req {act.req} was used for another act", "choose another req")
            return True
    return False


def _remembered(job: Job) -> list[str]:
    kept = job.extra.get(ACTS)
    return [text for text in kept if isinstance(text, str)] if isinstance(kept, list) else []


def with_act(job: Job, act: Act) -> Job:
    """Return the job with the act among those that it has, without the oldest ones."""
    kept = [*_remembered(job), f"{act.req} {act.verb} {act.mark}"][-MAX_REMEMBERED:]
    return job.replace(extra={**job.extra, ACTS: kept})


# -- carrying out ---------------------------------------------------------------------------


def check(act: Act, job: Job, revision: int | None = None) -> None:
    """Raise `ActRefused` if the act is meant for another attempt or revision of the job.

    ``revision`` is the job's; it is needed if the act names one.
    """
    if act.attempt is not None and act.attempt != job.retry_count:
        raise ActRefused(
            CONFLICT,
            f"job {job.id} is at attempt {job.retry_count + 1}, not {act.attempt + 1}",
            hint="look at the job as it is now",
            job=job,
        )
    if act.revision is not None and act.revision != revision:
        raise ActRefused(
            CONFLICT,
            f"job {job.id} is at revision {revision}, not {act.revision}",
            hint="look at the job as it is now",
            job=job,
        )


def create(act: Act, asker: Asker, *, now: str, pipelines: Pipelines = BUILT_IN_ONLY) -> Job:
    """Return the new job of a ``create``; raise `ActRefused` for an invalid one."""
    said = act.fields
    try:
        job = transitions.create(
            said["jobType"],
            now=now,
            id=act.id,
            session_id=said.get("sessionId"),
            title=said.get("title"),
            stages=said.get("stages"),
            labels=said.get("labels"),
            pipelines=pipelines,
        )
    except UsageError as error:
        raise _invalid(error.message, error.hint) from error
    return with_act(_signed(job, asker, ()), act)


def change(
    act: Act,
    job: Job,
    asker: Asker,
    *,
    now: str,
    is_lost: bool = False,
    pipelines: Pipelines = BUILT_IN_ONLY,
) -> Job:
    """Return the job after the act; the job must have passed `check` and not `was_done`.

    ``is_lost`` says that the owner of an active job is dead. A ``cancel`` of a job with a living
    owner is not for this function: its owner has to be asked. Raises `ActRefused`, with the code
    ``conflict`` if the job's stage does not allow the act.
    """
    try:
        changed = _changed(act, job, asker, now, is_lost=is_lost, pipelines=pipelines)
    except IllegalTransition as error:
        raise ActRefused(CONFLICT, error.message, hint=error.hint, job=job) from error
    except InvalidJob as error:
        raise _invalid(error.message, error.hint) from error
    return with_act(_signed(changed, asker, job.timeline()), act)


def _changed(
    act: Act, job: Job, asker: Asker, now: str, *, is_lost: bool, pipelines: Pipelines
) -> Job:
    said = act.fields
    runs = job.runs and not is_lost
    match act.verb:
        case "advance":
            moved = transitions.advance(job, said.get("stage"), now=now, pipelines=pipelines)
            if moved.stage == COMPLETED and runs:
                return transitions.finish_stages(job, now=now, pipelines=pipelines)
            return moved
        case "progress":
            return transitions.report(
                job,
                now=now,
                done=said.get("done"),
                total=said.get("total"),
                message=said.get("message"),
            )
        case "complete":
            result, session = said.get("result"), said.get("resultSessionId")
            if runs:
                return transitions.finish_stages(
                    job, now=now, result=result, result_session_id=session, pipelines=pipelines
                )
            return transitions.complete(job, now=now, result=result, result_session_id=session)
        case "fail":
            return transitions.fail(job, said["error"], now=now)
        case "cancel":
            reason = said.get("reason")
            return transitions.cancel(
                job,
                now=now,
                at_work=is_lost,
                by=asker.by,
                reason=transitions.short_reason(reason) if reason is not None else None,
                pipelines=pipelines,
            )
        case "retry":
            _check_retry(job, pipelines)
            return transitions.retry(job, now=now, is_lost=is_lost)
        case "acknowledge":
            if said.get("undo"):
                return transitions.withdraw_acknowledgement(job)
            note = said.get("note")
            text = transitions.short_reason(note) or None if note is not None else None
            return transitions.acknowledge(job, now=now, is_lost=is_lost, by=asker.by, note=text)
    raise AssertionError(f"{act.verb} does not change a job")


def _check_retry(job: Job, pipelines: Pipelines) -> None:
    """Refuse to make a command pending that nobody takes up again."""
    if job.command is not None and not pipelines.of(job).takes_retries:
        raise ActRefused(
            UNSUPPORTED,
            f"nobody takes up job {job.id} again: it is a command, and a hub never runs one",
            hint=f"'jobctl retry --rerun {job.id}' runs it, on the machine of its directory",
        )


def created_by(job: Job) -> str | None:
    """Return who created the job through a hub; ``None`` if it was not created so."""
    first = job.history[0] if job.history else None
    by = first.extra.get("by") if first is not None and first.extra else None
    return by if isinstance(by, str) else None


def _signed(job: Job, asker: Asker, before: tuple[HistoryEntry, ...]) -> Job:
    """Return the job with ``by`` and ``via`` in its last history entry, if that is a new one."""
    history = job.history
    if not history or (before and history[-1] == before[-1]):
        return job
    stage, at, extra = history[-1]
    last = HistoryEntry(stage, at, {**(extra or {}), "by": asker.by, "via": asker.via})
    return job.replace(history=(*history[:-1], last))


# -- answers --------------------------------------------------------------------------------


def done_message(act: Act, revision: int, cursor: Cursor) -> bytes:
    """Return the ``jobs:done`` of an act: it is done for a client whose cursor has passed it."""
    return _message(
        {"type": "jobs:done", "req": act.req, "id": act.id, "revision": revision,
         "cursor": str(cursor)}
    )  # fmt: skip


def refused_message(req: str | None, refused: ActRefused, job: bytes | None = None) -> bytes:
    """Return the ``jobs:refused`` of an act; ``job`` is the job as it stands, encoded."""
    said: dict[str, Any] = {
        "type": "jobs:refused",
        "req": req,
        "code": refused.code,
        "message": refused.message,
        "hint": refused.hint,
    }
    if refused.retry_after_s is not None:
        said["retryAfter"] = refused.retry_after_s
    message = _message(said)
    return message if job is None else b'%s,"job":%s}' % (message[:-1], job)


def _message(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()  # ASCII: no surrogate can fail
