"""``jobctl complete``: complete a job."""

from __future__ import annotations

from jobctl import api
from jobctl.cli.common import on_store, own_id, pipelines, reporting
from jobctl.cli.messages import note
from jobctl.cli.options import (
    Annotated,
    DirOption,
    MaybeIdArgument,
    Option,
    StrictOption,
    WrittenOption,
)
from jobctl.core.duplicate_keys import parse_json
from jobctl.core.transitions import MAX_RESULT_BYTES
from jobctl.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["EXAMPLE", "complete"]

EXAMPLE = "Example: jobctl complete 0b961de6 --result '{\"rows\": 41200}'"


def complete(
    id: MaybeIdArgument = None,
    result: Annotated[
        str | None, Option(metavar="JSON|@FILE|@-", help="The result: any JSON.")
    ] = None,
    result_session: Annotated[
        str | None, Option(metavar="SESSION", help="The session that the job made.")
    ] = None,
    strict: StrictOption = False,
    output: WrittenOption = None,
    directory: DirOption = None,
) -> None:
    """Complete a job.

    Within jobctl run the ID may be left out, and an error there is only a warning. While the
    command runs, its exit code still decides how the job ends.
    """
    with reporting(id, strict=strict):
        value, remark = _json(result) if result is not None else (None, None)
        on_store(
            directory,
            lambda store: api.complete(
                store,
                id or own_id(),
                result=value,
                result_session=result_session,
                pipelines=pipelines(),
            ),
            output,
        )
        if remark is not None:
            note(remark)


def _json(text: str) -> tuple[Any, str | None]:
    """Return the JSON value that an option gives, and a remark on duplicate keys, if any."""
    where = "--result"
    if text.startswith("@"):
        where = "standard input" if text == "@-" else text[1:]
        try:
            with open(0 if text == "@-" else where, "rb", closefd=text != "@-") as file:
                text = file.read(MAX_RESULT_BYTES + 1).decode()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"cannot read {where}: {error}") from error
    if len(text) > MAX_RESULT_BYTES:
        raise UsageError(f"{where} is over the {MAX_RESULT_BYTES} bytes of a result")
    try:
        value, remark = parse_json(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where} is not JSON: {error}") from error
    return value, remark and f"{where}: {remark}"


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON's")
