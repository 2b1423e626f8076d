"""``jobctl cancel``: pending jobs that shall not start."""

from __future__ import annotations

from jobctl import api
from jobctl.cli.common import DirOption, IdsArgument, for_each

__all__ = ["EXAMPLE", "cancel"]

EXAMPLE = "Example: jobctl cancel 0b961de6 124c0e92"


def cancel(ids: IdsArgument, directory: DirOption = None) -> None:
    """Cancel pending jobs."""
    for_each(directory, ids, api.cancel)
