"""``jobctl ack``: acknowledge that a job has failed or is lost."""

from __future__ import annotations

from contextlib import suppress

from jobctl import api
from jobctl.cli.common import (
    compact,
    credentials,
    for_each_on_hub,
    hub_to_read,
    job_object,
    on_store,
    out,
    print_written,
)
from jobctl.cli.options import (
    ActUrlOption,
    Annotated,
    Argument,
    CaOption,
    DirOption,
    IdArgument,
    Option,
    TokenFileOption,
    Written,
    WrittenOption,
)
from jobctl.core.job import Job
from jobctl.errors import JobctlError, UsageError
from jobctl.stores import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from jobctl.hub.credentials import Credentials

__all__ = ["EXAMPLE", "ack"]

EXAMPLE = 'Example: jobctl ack 0b961de6 "disk replaced, runs again tonight"'

_LONG = 8  # characters of an id as tables show it


def ack(
    id: IdArgument,
    note: Annotated[
        str | None, Argument(metavar="NOTE", help="What is known about it.", show_default=False)
    ] = None,
    undo: Annotated[bool, Option("--undo", help="Take the acknowledgement back.")] = False,
    output: WrittenOption = None,
    url: ActUrlOption = None,
    token_file: TokenFileOption = None,
    ca: CaOption = None,
    directory: DirOption = None,
) -> None:
    """Acknowledge a failed or lost job; watch lists it lower.

    It is no trouble any more until the job is retried, and ls shows it dim. Another NOTE replaces
    the note. With --url the hub does it, if it was started with --control.
    """
    if undo and note is not None:
        raise UsageError("--undo takes no NOTE", hint=f"write 'jobctl ack --undo {id}'")
    hub = hub_to_read(directory, url)
    if hub is not None:
        _on_hub(hub, id, note, output, credentials(token_file, ca), undo=undo)
        return

    def act(store: Store) -> Job:
        if note is not None and _is_id(store, note):
            raise UsageError(
                f"{note!r} is a job's id, not a note",
                hint="give one ID; for all: jobctl ls --stage failed -q | xargs -n 1 jobctl ack",
            )
        return api.ack(store, id, note, undo=undo)

    on_store(directory, act, output)


def _on_hub(
    hub: str, id: str, note: str | None, output: Written | None, shown: Credentials, *, undo: bool
) -> None:
    from jobctl.reader import acts  # import the network only if needed

    def show(jobs: list[Job]) -> None:
        if output is Written.json:
            for job in jobs:
                out(compact(job_object(job)))
        else:
            print_written(jobs, output)

    for_each_on_hub(
        hub,
        [id],
        shown,
        lambda job: acts.acknowledge(hub, job, note, undo=undo, credentials=shown),
        show,
    )


def _is_id(store: Store, note: str) -> bool:
    """Whether the note is a job's id, or so long a start of one that it must be meant."""
    if " " in note:
        return False
    with suppress(JobctlError):
        found = api.resolve(store, note)
        return found == note or len(note) >= _LONG
    return False
