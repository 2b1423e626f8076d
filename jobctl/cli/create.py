"""``jobctl create``: a new pending job."""

from __future__ import annotations

from typing import Annotated

import typer

from jobctl import job as jobs
from jobctl.cli.common import DirOption, out, place
from jobctl.clock import now

__all__ = ["EXAMPLE", "create"]

EXAMPLE = "Example: id=$(jobctl create etl --stages fetch,clean,load)"


def create(
    type: Annotated[str, typer.Argument(metavar="[TYPE]", help="The job's type.")] = "job",
    title: Annotated[str | None, typer.Option(help="A few words for people.")] = None,
    session: Annotated[str | None, typer.Option(help="The session that it belongs to.")] = None,
    stages: Annotated[
        str | None, typer.Option(metavar="A,B,C", help="Its own stages, in order.")
    ] = None,
    id: Annotated[str | None, typer.Option("--id", help="Its id, instead of a new one.")] = None,
    directory: DirOption = None,
) -> None:
    """Create a pending job, and print its id."""
    job = jobs.create(
        type,
        now=now(),
        id=id,
        session_id=session,
        title=title,
        stages=[name.strip() for name in stages.split(",")] if stages is not None else None,
    )
    store = place(directory, create=True).store
    out(store.create(job).id)
    store.close()
