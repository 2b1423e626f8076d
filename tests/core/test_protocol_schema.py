"""The JSON Schema of the wire, against what is really sent and taken."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import pytest
from hypothesis import given
from jsonschema import Draft202012Validator

from jobctl.core import acts
from jobctl.core.cursor import ZERO, Cursor
from jobctl.core.filters import ALWAYS, Filter
from jobctl.core.job import Job
from jobctl.core.jobset import DAMAGED
from jobctl.core.protocol import (
    Dialect,
    ack_message,
    bad_files_message,
    dead_owners_messages,
    pong_message,
)
from jobctl.errors import ActRefused, ProtocolError
from jobctl.hub.messages import parse_from_client
from jobctl.hub.sessions import Hub
from tests.hub.world import World, subscribe_message
from tests.strategies import runs, stored_jobs

SCHEMA = json.loads((resources.files("jobctl.core") / "protocol.schema.json").read_text())


def validator(part: str) -> Draft202012Validator:
    """The validator for one side's messages."""
    return Draft202012Validator({"$ref": f"#/$defs/{part}", "$defs": SCHEMA["$defs"]})


FROM_HUB, FROM_CLIENT = validator("fromHub"), validator("fromClient")
WHOLE = validator("job")
FIELDS = frozenset({"title", "history"})


def test_schema_is_one() -> None:
    """By its own rules."""
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(
    "act",
    [
        {"type": "jobs:create", "jobType": "etl", "labels": {"a": "b"}, "stages": ["x"]},
        {"type": "jobs:advance", "id": "a", "attempt": 0, "stage": "load"},
        {"type": "jobs:progress", "id": "a", "attempt": 0, "done": 1, "total": 2, "message": "m"},
        {"type": "jobs:complete", "id": "a", "attempt": 0, "result": {"n": [1]}},
        {"type": "jobs:fail", "id": "a", "attempt": 0, "error": "no"},
        {"type": "jobs:cancel", "id": "a", "attempt": 0, "revision": 7, "reason": "r"},
        {"type": "jobs:retry", "id": "a", "attempt": 1},
        {"type": "jobs:acknowledge", "id": "a", "attempt": 1, "note": "n", "undo": False},
        {"type": "jobs:remove", "id": "a", "attempt": 1},
    ],
)
def test_act_is_taken_as_the_schema_has_it(act: dict[str, Any]) -> None:
    """And one with another key by neither; answers are by the schema too."""
    act = {**act, "req": "r1"}
    verb = acts.ACT_TYPES[act["type"]]
    FROM_CLIENT.validate(act)
    parsed = acts.parse_act(act, verb)
    FROM_HUB.validate(json.loads(acts.done_message(parsed, 7, Cursor("e", 7, "abcdef"))))
    odd = {**act, "argv": ["sh"]}
    assert not FROM_CLIENT.is_valid(odd)
    with pytest.raises(ActRefused) as refused:
        acts.parse_act(odd, verb)
    FROM_HUB.validate(json.loads(acts.refused_message("r1", refused.value)))
    busy = ActRefused("busy", "later", retry_after_s=1.5)
    FROM_HUB.validate(json.loads(acts.refused_message(None, busy)))


def sent_by(hub: Hub) -> list[Any]:
    """All that the hub has to say."""
    found = []
    while sendings := list(hub.pump()):
        for sending in sendings:
            assert sending.error is None
            messages = [json.loads(message) for message in sending.messages]
            whole = any(hub.sessions[id].filter.fields is None for id in sending.sessions)
            for job in (job for message in messages for job in message.get("jobs", ())):
                assert whole == WHOLE.is_valid(job)
                assert whole or job.keys() - FIELDS <= {*ALWAYS, "omitted"}
            found += messages
    return found


@given(stored_jobs(), runs)
def test_whatever_a_job_holds_is_sent_by_the_schema(job: Job, run: Any) -> None:
    """In both dialects, with and without details, as snapshot, update and deletion."""
    job = job.replace(run=run)
    world = World()
    world.put("large", result="r" * 5000)
    world.put("a1")
    world.hub.open(1, digest=True)
    world.hub.open(2, Dialect.PLAIN)
    world.hub.open(
        4, digest=True, details=True, bad_files=True, can=',"can":["view"],"acts":"post"'
    )
    world.hub.open(5, Dialect.PLAIN, details=True)
    world.hub.open(6, digest=True, details=True, max_bytes=4096)
    world.hub.open(7, Dialect.PLAIN, max_bytes=4096)
    world.hub.open(8, filter=Filter.make(fields=FIELDS), max_bytes=4096)
    world.hub.open(3, filter=Filter.make(stages=["pending"], ids=["a1", job.id]))
    messages = sent_by(world.hub)
    world.store.put(job.replace(revision=world.store.revision + 1))
    world.feed()
    messages += sent_by(world.hub)
    world.delete("a1")
    messages += sent_by(world.hub)
    world.delete(job.id, DAMAGED + "not JSON")
    messages += sent_by(world.hub)
    kinds = {message["type"] for message in messages}
    assert {"jobs:delta", "jobs:init", "jobs:bad"} <= kinds
    for message in messages:
        FROM_HUB.validate(message)
    assert any("omitted" in job for message in messages for job in message.get("jobs", ()))


def test_the_rest_that_a_hub_says() -> None:
    """Who has died, in one message or several, which files are no jobs, and pongs."""
    dead = [f"{number}-0123456789ab" for number in range(1000)]
    owners = dead_owners_messages(dead, 4096)
    assert len(owners) > 4
    files = bad_files_message({'a "b".json': "not JSON", "\udc80.json": "not UTF-8"}, 1000)
    short = dead_owners_messages(dead[:1])
    for message in (*short, *owners, files, pong_message("x"), pong_message(None)):
        FROM_HUB.validate(json.loads(message))


def test_what_our_client_says() -> None:
    """Is in it, and is understood."""
    cursors = (ZERO, Cursor("0123456789ab", 7), Cursor("0123456789ab", 7, "abcdef"))
    said = [
        subscribe_message(cursor, Filter.make(types=["etl"], active=True)) for cursor in cursors
    ]
    more = ['{"type":"jobs:subscribe","max":4096}', '{"type":"jobs:subscribe","max":null}']
    more += ['{"type":"jobs:subscribe","fields":["title","é\\n"]}']
    more += ['{"type":"jobs:subscribe","fields":null}', '{"type":"jobs:subscribe","fields":[]}']
    for message in (*said, *more, ack_message(7), '{"type":"jobs:ping","at":1}',
                    '{"type":"jobs:subscribe","bad":true}',
                    '{"type":"jobs:auth","token":"x"}'):  # fmt: skip
        FROM_CLIENT.validate(json.loads(message))
        parse_from_client(message)


@pytest.mark.parametrize(
    "message",
    [
        {"type": "jobs:ack"},
        {"type": "jobs:ack", "through": -1},
        {"type": "jobs:ack", "through": 2**53},
        {"type": "jobs:auth"},
        {"type": "jobs:ping", "at": {}},
        {"type": "jobs:subscribe", "filter": {"colour": "red"}},
        {"type": "jobs:subscribe", "filter": {"active": "yes"}},
        {"type": "jobs:subscribe", "fields": "title"},
        {"type": "jobs:subscribe", "fields": ["a,b"]},
        {"type": "jobs:subscribe", "fields": [""]},
        {"type": "jobs:subscribe", "fields": [1]},
        {"type": "jobs:subscribe", "fields": ["a"] * 65},
        {"type": "jobs:subscribe", "max": 4095},
        {"type": "jobs:subscribe", "max": "4096"},
        {"type": "jobs:subscribe", "max": 4096.5},
        {"type": "jobs:subscribe", "max": True},
        {"type": "jobs:init"},
        {},
        [],
        7,
    ],
)
def test_what_is_refused_is_not_in_it(message: Any) -> None:
    """The two say the same."""
    assert not FROM_CLIENT.is_valid(message)
    with pytest.raises(ProtocolError):
        parse_from_client(json.dumps(message))
