"""``jobctl rm``: remove jobs, and damaged files on request."""

from __future__ import annotations

from functools import partial

from jobctl import api
from jobctl.cli.common import for_each, print_removed
from jobctl.cli.options import Annotated, DirOption, IdsArgument, Option, WrittenOption

__all__ = ["EXAMPLE", "rm"]

EXAMPLE = "Example: jobctl rm $(jobctl ls --session dummy -q)"


def rm(
    ids: IdsArgument,
    damaged: Annotated[
        bool, Option("--damaged", help="Also remove files that are not jobs.")
    ] = False,
    output: WrittenOption = None,
    directory: DirOption = None,
) -> None:
    """Remove jobs, whatever their stage.

    A file that is not a job stays, unless --damaged is given: it may belong to another program.
    """
    remove = partial(api.rm, damaged=damaged)
    for_each(directory, ids, remove, partial(print_removed, output=output))
