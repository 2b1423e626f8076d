"""``jobctl reap``: fail jobs whose worker is dead."""

from __future__ import annotations

from typing import Annotated

from jobctl import api
from jobctl.cli.common import command_store, print_written
from jobctl.cli.exits import Exit
from jobctl.cli.messages import note, print_error
from jobctl.cli.options import DirOption, Option, QuietOption, Written, WrittenOption

__all__ = ["EXAMPLE", "reap"]

EXAMPLE = "Example: jobctl reap --dry-run"


def reap(
    dry_run: Annotated[
        bool, Option("--dry-run", help="Print the lost jobs; change nothing.")
    ] = False,
    output: WrittenOption = None,
    quiet: QuietOption = False,
    directory: DirOption = None,
) -> None:
    """Fail the lost jobs, whose worker has died; print their ids."""
    store = command_store(directory).store
    try:
        lost = api.reap(store, dry_run=dry_run)
    finally:
        store.close()
    print_written(lost.jobs, output or Written.name)
    for job, error in lost.failed:
        print_error(f"cannot reap job {job.id}: {error}", error.exit_code)
    if lost.failed:
        raise Exit(lost.failed[0][1].exit_code)
    if not lost.jobs and not quiet:
        note("no job is lost")
