"""``jobctl create``: create a pending job."""

from __future__ import annotations

from jobctl import api
from jobctl.cli.common import on_store, pipelines
from jobctl.cli.options import (
    Annotated,
    Argument,
    DirOption,
    LabelOption,
    Option,
    QuietOption,
    Written,
    WrittenOption,
)
from jobctl.core.labels import parse_labels

__all__ = ["EXAMPLE", "create"]

EXAMPLE = "Example: id=$(jobctl create etl --stages fetch,clean,load)"


def create(
    type: Annotated[str, Argument(metavar="TYPE", help="The job's type.")] = "job",
    title: Annotated[str | None, Option(metavar="TEXT", help="A short title.")] = None,
    session: Annotated[
        str | None, Option(metavar="SESSION", help="The session that it belongs to.")
    ] = None,
    stages: Annotated[str | None, Option(metavar="A,B,C", help="Its own stages, in order.")] = None,
    label: LabelOption = None,
    id: Annotated[
        str | None, Option("--id", metavar="ID", help="Its id, instead of a new one.")
    ] = None,
    output: WrittenOption = None,
    quiet: QuietOption = False,
    directory: DirOption = None,
) -> None:
    """Create a pending job, and print its id."""
    labels = parse_labels(label or ())
    named = [name.strip() for name in stages.split(",")] if stages is not None else None
    on_store(
        directory,
        lambda store: api.create(
            store,
            type,
            id=id,
            session=session,
            title=title,
            stages=named,
            labels=labels,
            pipelines=pipelines(),
        ),
        Written.name if quiet else output or Written.name,
        create=True,
    )
