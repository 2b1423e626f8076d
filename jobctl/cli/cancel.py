"""``jobctl cancel``: cancel jobs."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from jobctl import api
from jobctl.cli.common import for_each, print_written, seconds
from jobctl.cli.options import DirOption, IdsArgument, Option, WrittenOption

__all__ = ["EXAMPLE", "cancel"]

EXAMPLE = "Example: jobctl cancel 0b961de6 124c0e92"


def cancel(
    ids: IdsArgument,
    timeout: Annotated[
        str, Option(metavar="DURATION", help="Wait so long for the worker.")
    ] = f"{api.CANCEL_S:g}s",
    output: WrittenOption = None,
    directory: DirOption = None,
) -> None:
    """Cancel jobs, pending or running.

    A pending one fails at once; the worker of a running one is asked to end it. The command of
    jobctl run is ended then, and what jobctl.track tracks raises Cancelled.
    """
    timeout_s = seconds(timeout, "--timeout")
    assert timeout_s is not None, "it has a default"
    for_each(
        directory,
        ids,
        lambda store, id: api.cancel(store, id, timeout_s=timeout_s),
        partial(print_written, output=output),
    )
