"""Messages of clients, validated: whoever can reach the hub can send anything.

The models say what a message may hold; unknown keys are ignored, so that newer clients work with
this hub. See core/protocol.py for what each message means.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from jobctl.core.acts import ACT_TYPES
from jobctl.core.cursor import MAX_REVISION
from jobctl.core.filters import Filter, fields_of
from jobctl.core.protocol import (
    Ack,
    Auth,
    Ping,
    Subscribe,
    cursor_or_zero,
    json_object,
    limit_from,
)
from jobctl.errors import ProtocolError, UsageError

__all__ = ["ActMessage", "parse_from_client"]


class _Message(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")


class _Ping(_Message):
    type: Literal["jobs:ping"]
    # What a pong carries back: JSON's scalars, since other values might not survive.
    at: str | int | Annotated[float, Field(allow_inf_nan=False)] | bool | None = None


class _Ack(_Message):
    type: Literal["jobs:ack"]
    through: Annotated[int, Field(ge=0, le=MAX_REVISION)]


class _Auth(_Message):
    type: Literal["jobs:auth"]
    token: str


class _Subscribe(_Message):
    type: Literal["jobs:subscribe"]
    since: Any = None  # whatever is no cursor gets an explicit reset
    filter: Any = None  # `Filter.from_wire` names what is wrong
    fields: Any = None  # `fields_of` too
    digest: Any = None
    bad: Any = None
    max: Annotated[int, Field(strict=True)] | None = None  # `limit_from` says what is too small


_ANY: TypeAdapter[_Ping | _Ack | _Auth | _Subscribe] = TypeAdapter(
    Annotated[_Ping | _Ack | _Auth | _Subscribe, Field(discriminator="type")]
)
_REASONS = {
    "jobs:ping": "a ping's at is a text or a number",
    "jobs:ack": "an ack needs the revision it goes through",
    "jobs:auth": "an auth needs a token",
    "jobs:subscribe": "a subscription's max is a number",
}


class ActMessage(NamedTuple):
    """The client asks for an act: the verb, and the decoded message (see core/acts.py)."""

    verb: str
    value: dict[str, Any]


def parse_from_client(data: str | bytes) -> Subscribe | Ack | Ping | Auth | ActMessage:
    """Parse a message of a client; raise `ProtocolError` if it is invalid."""
    value = json_object(data)
    verb = ACT_TYPES.get(str(value.get("type")))
    if verb is not None:
        return ActMessage(verb, value)
    try:
        message = _ANY.validate_python(value)
    except ValidationError as error:
        type = str(value.get("type"))
        unknown = f"no message has the type {ascii(type[:40])}"
        raise ProtocolError(_REASONS.get(type, unknown)) from error
    if isinstance(message, _Ping):
        return Ping(message.at)
    if isinstance(message, _Ack):
        return Ack(message.through)
    if isinstance(message, _Auth):
        return Auth(message.token)
    try:
        filter = Filter.from_wire(message.filter)._replace(fields=fields_of(message.fields))
        max_bytes = limit_from(message.max)
    except UsageError as error:
        raise ProtocolError(str(error)) from error
    return Subscribe(
        cursor_or_zero(message.since),
        filter,
        message.digest is True,
        bad_files=message.bad is True,
        max_bytes=max_bytes,
    )
