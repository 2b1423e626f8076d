"""``jobctl rm``: jobs, and damaged files, removed."""

from __future__ import annotations

from functools import partial

from jobctl import api
from jobctl.cli.common import for_each, print_removed
from jobctl.cli.options import DirOption, IdsArgument, WrittenOption

__all__ = ["EXAMPLE", "rm"]

EXAMPLE = "Example: jobctl rm $(jobctl ls --session dummy -q)"


def rm(ids: IdsArgument, output: WrittenOption = None, directory: DirOption = None) -> None:
    """Remove jobs, whatever their stage."""
    for_each(directory, ids, api.rm, partial(print_removed, output=output))
