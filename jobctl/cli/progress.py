"""``jobctl progress``: report progress in the current stage."""

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
from jobctl.errors import UsageError

__all__ = ["EXAMPLE", "parse_steps", "progress"]

EXAMPLE = "Example: jobctl progress 0b961de6 3/8 orders.csv"


def progress(
    id: MaybeIdArgument = None,
    done: Annotated[
        str | None, Argument(metavar="DONE[/TOTAL]", help="Steps, or a percentage.")
    ] = None,
    message: Annotated[str | None, Argument(metavar="MESSAGE", help="What is being done.")] = None,
    strict: StrictOption = False,
    output: WrittenOption = None,
    directory: DirOption = None,
) -> None:
    """Report progress within the present stage.

    Within jobctl run the ID may be left out, and an error there is only a warning.
    """
    if in_job() and not (done is not None and _is_steps(done)):
        id, done, message = own_id(), id, done if message is None else message
    if done is None:
        if id is not None and _is_steps(id):
            raise UsageError("Missing argument 'ID'", hint=f"write 'jobctl progress ID {id}'")
        raise UsageError("Missing argument 'DONE[/TOTAL]'", hint="say how far it is: 3/8, or 40%")
    with reporting(id, strict=strict):
        steps, total = parse_steps(done)
        on_store(
            directory,
            lambda store: api.progress(store, id or own_id(), steps, total, message),
            output,
        )


def _is_steps(text: str) -> bool:
    try:
        parse_steps(text)
    except UsageError:
        return False
    return True


def parse_steps(text: str) -> tuple[float, float | None]:
    """Parse ``3/8`` as (3, 8), ``40`` and ``40%`` as (40, None); `UsageError` otherwise."""
    first, slash, second = text.partition("/")
    try:
        return _number(first.removesuffix("%") if not slash else first), (
            _number(second) if slash else None
        )
    except ValueError:
        raise UsageError(
            f"{ascii(text)[1:-1]} is no progress", hint="write DONE/TOTAL, or a percentage"
        ) from None


def _number(text: str) -> float:
    try:
        return int(text)
    except ValueError:
        return float(text)
