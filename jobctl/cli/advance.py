"""``jobctl advance``: move a job to its next stage."""

from __future__ import annotations

from jobctl import api
from jobctl.cli.common import in_job, on_store, own_id, pipelines, reporting
from jobctl.cli.options import (
    Annotated,
    Argument,
    DirOption,
    MaybeIdArgument,
    Option,
    StrictOption,
    WrittenOption,
)

__all__ = ["EXAMPLE", "advance"]

EXAMPLE = "Example: jobctl advance 0b961de6 generate"


def advance(
    id: MaybeIdArgument = None,
    stage: Annotated[
        str | None, Argument(metavar="STAGE", help="The stage; the next one when left out.")
    ] = None,
    force: Annotated[bool, Option("--force", help="Backward too, and to any stage.")] = False,
    strict: StrictOption = False,
    output: WrittenOption = None,
    directory: DirOption = None,
) -> None:
    """Advance a job to its next stage, or to the one named.

    Within jobctl run the ID may be left out, and an error there is only a warning.
    """
    if in_job() and stage is None and id != own_id():
        id, stage = own_id(), id
    with reporting(id, strict=strict):
        on_store(
            directory,
            lambda store: api.advance(
                store, id or own_id(), stage, force=force, pipelines=pipelines()
            ),
            output,
        )
