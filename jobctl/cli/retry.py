"""``jobctl retry``: failed jobs are pending again."""

from __future__ import annotations

from jobctl import api
from jobctl.cli.common import DirOption, IdsArgument, for_each

__all__ = ["EXAMPLE", "retry"]

EXAMPLE = "Example: jobctl retry 0b961de6 124c0e92"


def retry(ids: IdsArgument, directory: DirOption = None) -> None:
    """Put failed jobs back to pending."""
    for_each(directory, ids, api.retry)
