"""``jobctl fail``: fail a job."""

from __future__ import annotations

from jobctl import api
from jobctl.cli.common import in_job, on_store, own_id, reporting
from jobctl.cli.options import (
    Annotated,
    Argument,
    DirOption,
    MaybeIdArgument,
    StrictOption,
    WrittenOption,
)
from jobctl.core.job import may_be_id
from jobctl.errors import UsageError

__all__ = ["EXAMPLE", "fail"]

EXAMPLE = 'Example: jobctl fail 0b961de6 "429 Too Many Requests"'


def fail(
    id: MaybeIdArgument = None,
    message: Annotated[str | None, Argument(metavar="MESSAGE", help="Why it failed.")] = None,
    strict: StrictOption = False,
    output: WrittenOption = None,
    directory: DirOption = None,
) -> None:
    """Fail a job, with the reason.

    Within jobctl run the ID may be left out, and an error there is only a warning.
    """
    if in_job() and message is None:
        id, message = own_id(), id
    if message is None:
        if id is not None and not may_be_id(id):
            raise UsageError("Missing argument 'ID'", hint="write 'jobctl fail ID MESSAGE'")
        raise UsageError("Missing argument 'MESSAGE'", hint="say why it failed")
    text = _masked(message) if in_job() else message
    with reporting(id, strict=strict):
        if not text.strip():
            raise UsageError("the message is empty", hint="say why it failed")
        on_store(directory, lambda store: api.fail(store, id or own_id(), text), output)


def _masked(message: str) -> str:
    """Return the message without the secrets of the command that calls us; see masking.py."""
    import os

    from jobctl.work.run.masking import Masks, secrets_in

    return Masks(secrets_in(os.environ)).text(message)
