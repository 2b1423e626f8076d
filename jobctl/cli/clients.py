"""``jobctl clients``: who reads from a hub, and how far each has come."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from jobctl.cli.common import (
    CaOption,
    DirOption,
    TokenFileOption,
    UrlOption,
    compact,
    note,
    one_source,
    out,
    place,
    run_async,
)
from jobctl.cli.shapes import ago
from jobctl.cli.table import columns_of_terminal, lines
from jobctl.clock import now_ms
from jobctl.errors import HubError

__all__ = ["EXAMPLE", "clients"]

EXAMPLE = "Example: jobctl clients --url ws://127.0.0.1:8765"

_HEAD = ("ID", "PEER", "DIALECT", "SINCE", "SENT", "ACKED", "LAG", "BYTES", "FILTER")


class Output(StrEnum):
    """How the clients are printed."""

    table = "table"
    json = "json"


def clients(
    output: Annotated[
        Output, typer.Option("-o", "--output", help="How to print them.")
    ] = Output.table,
    url: UrlOption = None,
    token_file: TokenFileOption = None,
    ca: CaOption = None,
    directory: DirOption = None,
) -> None:
    """List who reads from a hub, and how far each has come."""
    from jobctl.net import web
    from jobctl.net.discovery import hub_of

    one_source(directory, url)
    if url is None:
        path = place(directory).where.path
        url = hub_of(path)
        if url is None:
            raise HubError(f"no hub serves {path}", hint="start one: 'jobctl serve'")
    found = run_async(web.clients(url))
    if output is Output.json:
        out(compact({"clients": found}))
        return
    now = now_ms()
    for line in lines(_HEAD, [_row(client, now) for client in found], limit=columns_of_terminal()):
        out(line)
    if not found:
        note(f"nobody reads from {url}")


def _row(client: dict[str, Any], now: int) -> list[str]:
    flags = "stalled" if client.get("stalled") else "deflate" if client.get("compressed") else ""
    chosen = client.get("filter") or {}
    return [
        str(client.get("id")),
        str(client.get("peer")),
        f"{client.get('dialect')}{f' {flags}' if flags else ''}",
        _since(client.get("openedAt"), now),
        str(client.get("sent")),
        str(client.get("acked")),
        f"{client.get('lagRevisions')} ({client.get('lagJobs')} jobs)",
        str(client.get("bytes")),
        " ".join(f"{key}={_text(value)}" for key, value in chosen.items()) or "-",
    ]


def _since(value: object, now: int) -> str:
    try:
        return ago(str(value), now)
    except ValueError:
        return "?"


def _text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value).lower()
