"""``jobctl rm``: jobs, and damaged files, removed."""

from __future__ import annotations

from jobctl import api
from jobctl.cli.common import DirOption, IdsArgument, for_each

__all__ = ["EXAMPLE", "rm"]

EXAMPLE = "Example: jobctl rm $(jobctl ls --session dummy -q)"


def rm(ids: IdsArgument, directory: DirOption = None) -> None:
    """Remove jobs, whatever their stage."""
    for_each(directory, ids, api.rm)
