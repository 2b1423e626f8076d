"""``jobctl fail``: a job's bad end."""

from __future__ import annotations

from typing import Annotated

import typer

from jobctl import api
from jobctl.cli.common import DirOption, IdArgument, on_store

__all__ = ["EXAMPLE", "fail"]

EXAMPLE = 'Example: jobctl fail 0b961de6 "429 Too Many Requests"'


def fail(
    id: IdArgument,
    message: Annotated[str, typer.Argument(metavar="MESSAGE", help="Why it failed.")],
    directory: DirOption = None,
) -> None:
    """Fail a job, with the reason."""
    on_store(directory, lambda store: api.fail(store, id, message))
