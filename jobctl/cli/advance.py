"""``jobctl advance``: a job's next stage."""

from __future__ import annotations

from typing import Annotated

import typer

from jobctl import api
from jobctl.cli.common import DirOption, IdArgument, on_store

__all__ = ["EXAMPLE", "advance"]

EXAMPLE = "Example: jobctl advance 0b961de6 generate"


def advance(
    id: IdArgument,
    stage: Annotated[
        str | None, typer.Argument(metavar="STAGE", help="The stage; the next one when left out.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Backward too, and to any stage.")] = False,
    directory: DirOption = None,
) -> None:
    """Advance a job to its next stage, or to the one named."""
    on_store(directory, lambda store: api.advance(store, id, stage, force=force))
