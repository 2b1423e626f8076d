"""``jobctl reap``: the jobs whose worker has died."""

from __future__ import annotations

from typing import Annotated

import typer

from jobctl import api
from jobctl.cli.common import DirOption, note, out, place

__all__ = ["EXAMPLE", "reap"]

EXAMPLE = "Example: jobctl reap --dry-run"


def reap(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print which they are, and change nothing.")
    ] = False,
    directory: DirOption = None,
) -> None:
    """Fail the lost jobs, whose worker has died; print their ids."""
    store = place(directory).store
    try:
        lost = api.reap(store, dry_run=dry_run)
    finally:
        store.close()
    for job in lost.jobs:
        out(job.id)
    for job, error in lost.failed:
        note(f"cannot reap job {job.id}: {error}")
    if lost.failed:
        raise typer.Exit(lost.failed[0][1].exit_code)
    if not lost.jobs:
        note("no job is lost")
