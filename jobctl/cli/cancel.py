"""``jobctl cancel``: pending jobs that shall not start."""

from __future__ import annotations

from jobctl import job as jobs
from jobctl.cli.common import DirOption, IdsArgument, for_each
from jobctl.clock import now
from jobctl.stores import Store

__all__ = ["EXAMPLE", "cancel"]

EXAMPLE = "Example: jobctl cancel 0b961de6 124c0e92"


def cancel(ids: IdsArgument, directory: DirOption = None) -> None:
    """Cancel pending jobs."""
    for_each(directory, ids, _cancel)


def _cancel(store: Store, id: str) -> None:
    store.update(id, lambda job: jobs.cancel(job, now=now()))
