"""``jobctl complete``: a job's good end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from jobctl import api
from jobctl.cli.common import DirOption, IdArgument, on_store
from jobctl.errors import UsageError

__all__ = ["EXAMPLE", "complete"]

EXAMPLE = "Example: jobctl complete 0b961de6 --result '{\"rows\": 41200}'"


def complete(
    id: IdArgument,
    result: Annotated[
        str | None, typer.Option(metavar="JSON|@FILE", help="What came out: any JSON.")
    ] = None,
    result_session: Annotated[
        str | None, typer.Option(metavar="SESSION", help="The session that came out.")
    ] = None,
    directory: DirOption = None,
) -> None:
    """Complete a job."""
    value = _json(result) if result is not None else None
    on_store(
        directory,
        lambda store: api.complete(store, id, result=value, result_session=result_session),
    )


def _json(text: str) -> Any:
    where = "--result"
    if text.startswith("@"):
        where = text[1:]
        try:
            text = Path(where).read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"cannot read {where}: {error}") from error
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where} is not JSON: {error}") from error
