"""``jobctl retry``: failed jobs are pending again."""

from __future__ import annotations

from jobctl import job as jobs
from jobctl.cli.common import DirOption, IdsArgument, for_each
from jobctl.clock import now
from jobctl.stores import Store

__all__ = ["EXAMPLE", "retry"]

EXAMPLE = "Example: jobctl retry 0b961de6 124c0e92"


def retry(ids: IdsArgument, directory: DirOption = None) -> None:
    """Put failed jobs back to pending."""
    for_each(directory, ids, _retry)


def _retry(store: Store, id: str) -> None:
    store.update(id, lambda job: jobs.retry(job, now=now()))
