"""``jobctl retry``: make failed jobs pending again, or run their commands again."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from jobctl import api
from jobctl.cli.common import (
    command_store,
    credentials,
    for_each,
    for_each_on_hub,
    hub_to_read,
    log_mode,
    note,
    pipelines,
    print_written,
)
from jobctl.cli.options import (
    ActUrlOption,
    Annotated,
    CaOption,
    DirOption,
    IdsArgument,
    Option,
    TokenFileOption,
    Written,
    WrittenOption,
)
from jobctl.core.job import Job
from jobctl.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from jobctl.hub.credentials import Credentials

__all__ = ["EXAMPLE", "retry"]

EXAMPLE = "Example: jobctl retry 0b961de6 --rerun"


def retry(
    ids: IdsArgument,
    rerun: Annotated[
        bool, Option("--rerun", help="Run the job's command again, as jobctl run does.")
    ] = False,
    output: WrittenOption = None,
    url: ActUrlOption = None,
    token_file: TokenFileOption = None,
    ca: CaOption = None,
    directory: DirOption = None,
) -> None:
    """Put failed jobs back to pending.

    A worker has to take them up. No worker does that for a command of jobctl run: --rerun runs it
    again, here and now. With --url the hub does it, if it was started with --control; it never
    runs a command."""
    hub = hub_to_read(directory, url)
    if hub is not None:
        if rerun:
            raise UsageError(
                "a hub never runs a command",
                hint="call 'jobctl retry --rerun' on the machine of its directory",
            )
        _on_hub(hub, ids, output, credentials(token_file, ca))
        return
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


def _on_hub(hub: str, ids: list[str], output: Written | None, shown: Credentials) -> None:
    from jobctl.reader import acts  # import the network only if needed

    for_each_on_hub(
        hub,
        ids,
        shown,
        lambda job: acts.retry(hub, job, credentials=shown),
        partial(print_written, output=output),
    )


def _show(jobs: Sequence[Job], *, output: Written | None) -> None:
    """Print the jobs, and say which of them nobody will take up."""
    print_written(jobs, output)
    for job in jobs:
        if job.command is not None and not pipelines().of(job).takes_retries:
            note(
                f"job {job.id} is pending, and nobody takes up a command by itself: "
                f"'jobctl retry --rerun {job.id}' runs it again"
            )
