"""``jobctl cancel``: cancel jobs."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from jobctl import api
from jobctl.cli.common import (
    credentials,
    for_each,
    for_each_on_hub,
    hub_to_read,
    print_written,
    seconds,
)
from jobctl.cli.options import (
    ActUrlOption,
    CaOption,
    DirOption,
    IdsArgument,
    Option,
    TokenFileOption,
    WrittenOption,
)

__all__ = ["EXAMPLE", "cancel"]

EXAMPLE = "Example: jobctl cancel 0b961de6 124c0e92"


def cancel(
    ids: IdsArgument,
    reason: Annotated[
        str | None, Option("--reason", metavar="TEXT", help="Why: kept in the job.")
    ] = None,
    timeout: Annotated[
        str, Option(metavar="DURATION", help="Wait this long for the worker to stop.")
    ] = f"{api.CANCEL_S:g}s",
    output: WrittenOption = None,
    url: ActUrlOption = None,
    token_file: TokenFileOption = None,
    ca: CaOption = None,
    directory: DirOption = None,
) -> None:
    """Cancel jobs, pending or running.

    A pending job is cancelled at once; the worker of a running job is asked to stop. jobctl run
    ends its command then, and jobctl.track raises Cancelled in the work that it tracks.
    With --url the hub does it, if it was started with --control.
    """
    timeout_s = seconds(timeout, "--timeout")
    assert timeout_s is not None, "it has a default"
    hub = hub_to_read(directory, url)
    if hub is not None:
        from jobctl.reader import acts  # import the network only if needed

        shown = credentials(token_file, ca)
        for_each_on_hub(
            hub,
            ids,
            shown,
            lambda job: acts.cancel(
                hub, job, reason=reason, timeout_s=timeout_s, credentials=shown
            ),
            partial(print_written, output=output),
        )
        return
    for_each(
        directory,
        ids,
        lambda store, id: api.cancel(store, id, reason=reason, timeout_s=timeout_s),
        partial(print_written, output=output),
    )
