"""``jobctl rm``: remove jobs, and damaged files on request."""

from __future__ import annotations

from functools import partial

from jobctl import api
from jobctl.cli.common import (
    credentials,
    for_each,
    for_each_on_hub,
    hub_to_read,
    print_removed,
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
from jobctl.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from jobctl.hub.credentials import Credentials

__all__ = ["EXAMPLE", "rm"]

EXAMPLE = "Example: jobctl rm $(jobctl ls --session dummy -q)"


def rm(
    ids: IdsArgument,
    damaged: Annotated[
        bool, Option("--damaged", help="Also remove files that are not jobs.")
    ] = False,
    output: WrittenOption = None,
    url: ActUrlOption = None,
    token_file: TokenFileOption = None,
    ca: CaOption = None,
    directory: DirOption = None,
) -> None:
    """Remove jobs, whatever their stage.

    A file that is not a job stays, unless --damaged is given: it may belong to another program.
    With --url the hub does it, if it was started with --control, for jobs that have ended.
    """
    hub = hub_to_read(directory, url)
    if hub is not None:
        if damaged:
            raise UsageError("--damaged is for a directory", hint="name it by --dir")
        _on_hub(hub, ids, output, credentials(token_file, ca))
        return
    remove = partial(api.rm, damaged=damaged)
    for_each(directory, ids, remove, partial(print_removed, output=output))


def _on_hub(hub: str, ids: list[str], output: Written | None, shown: Credentials) -> None:
    from jobctl.reader import acts  # import the network only if needed

    for_each_on_hub(
        hub,
        ids,
        shown,
        lambda job: acts.remove(hub, job, credentials=shown),
        lambda jobs: print_removed([job.id for job in jobs], output),
    )
