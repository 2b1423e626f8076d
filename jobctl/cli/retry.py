"""``jobctl retry``: make failed jobs pending again, or run their commands again."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from jobctl import api
from jobctl.cli.common import command_store, for_each, log_mode, note, pipelines, print_written
from jobctl.cli.options import Annotated, DirOption, IdsArgument, Option, Written, WrittenOption
from jobctl.core.job import Job
from jobctl.errors import UsageError

__all__ = ["EXAMPLE", "retry"]

EXAMPLE = "Example: jobctl retry 0b961de6 --rerun"


def retry(
    ids: IdsArgument,
    rerun: Annotated[
        bool, Option("--rerun", help="Run the job's command again, as jobctl run does.")
    ] = False,
    output: WrittenOption = None,
    directory: DirOption = None,
) -> None:
    """Put failed jobs back to pending.

    A worker has to take them up. No worker does that for a command of jobctl run: --rerun runs it
    again, here and now."""
    if not rerun:
        for_each(directory, ids, api.retry, partial(_show, output=output))
        return
    if len(ids) > 1:
        raise UsageError("--rerun runs one command", hint="give one ID")
    from jobctl.cli.run import leave
    from jobctl.work.run import rerun as rerun_command

    store = command_store(directory).store
    id = api.resolve(store, ids[0])
    log = log_mode(None, store.get(id).type)
    leave(rerun_command(id, store, adopt_orphans=True, log=log))


def _show(jobs: Sequence[Job], *, output: Written | None) -> None:
    """Print the jobs, and say which of them nobody will take up."""
    print_written(jobs, output)
    for job in jobs:
        if job.command is not None and not pipelines().of(job).takes_retries:
            note(
                f"job {job.id} is pending, and nobody takes up a command by itself: "
                f"'jobctl retry --rerun {job.id}' runs it again"
            )
