"""``jobctl clients``: list a hub's clients and how far each has read."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from jobctl._clock import now_ms
from jobctl.cli.common import (
    command_store,
    compact,
    credentials,
    hub_to_read,
    note,
    out,
    run_async,
    time_format,
)
from jobctl.cli.formats import ago, moment
from jobctl.cli.options import (
    CaOption,
    DirOption,
    NoHeadersOption,
    Output,
    OutputOption,
    QuietOption,
    TimeFormat,
    TimeFormatOption,
    TokenFileOption,
    UrlOption,
)
from jobctl.cli.table import columns_of_terminal, lines
from jobctl.cli.text import visible
from jobctl.errors import HubError

__all__ = ["EXAMPLE", "clients"]

EXAMPLE = "Example: jobctl clients --url ws://127.0.0.1:8765"

_HEAD = ("ID", "PEER", "DIALECT", "SINCE", "SENT", "ACKED", "LAG", "BYTES", "FILTER")


def clients(
    output: OutputOption = Output.table,
    no_headers: NoHeadersOption = False,
    quiet: QuietOption = False,
    times: TimeFormatOption = None,
    url: UrlOption = None,
    token_file: TokenFileOption = None,
    ca: CaOption = None,
    directory: DirOption = None,
) -> None:
    """List who reads from a hub, and how far each has come."""
    from jobctl.reader import http_api

    form = time_format(times)
    url = hub_to_read(directory, url)
    token = None
    if url is None:
        url, token = _hub_on(command_store(directory).where.path)
    found = run_async(http_api.clients(url, token=token, credentials=credentials(token_file, ca)))
    if output is Output.json:
        out(compact({"clients": found}))
        return
    if output is Output.jsonl:
        for client in found:
            out(compact(client))
        return
    if quiet or output is Output.name:
        for client in found:
            out(visible(str(client.get("id"))))
        return
    if not found:
        note(f"nobody reads from {url}")
        return
    now = now_ms()
    rows = [_row(client, now, form) for client in found]
    limit = columns_of_terminal() if output is Output.table else None
    for line in lines(_HEAD, rows, limit=limit, show_header=not no_headers):
        out(line)


def _hub_on(path: Path) -> tuple[str, bytes | None]:
    """Return URL and token of our own hub on the directory; hubs of other users are not used."""
    from jobctl.hub.discovery import running_hubs

    hubs = running_hubs(path)
    for hub in hubs:
        if hub.own:
            return hub.url, hub.token
    if hubs:
        raise HubError(
            f"no hub of yours serves {path}",
            hint=f"another user's does: --url {visible(hubs[0].url)} asks it",
        )
    directory = visible(shlex.quote(str(path)))
    raise HubError(f"no hub serves {path}", hint=f"start one: jobctl serve --dir {directory}")


def _row(client: dict[str, Any], now: int, form: TimeFormat | None) -> list[str]:
    flags = "stalled" if client.get("stalled") else "deflate" if client.get("compressed") else ""
    chosen = client.get("filter") or {}
    return [
        str(client.get("id")),
        str(client.get("peer")),
        f"{client.get('dialect')}{f' {flags}' if flags else ''}",
        _since(client.get("openedAt"), now, form),
        str(client.get("sent")),
        str(client.get("acked")),
        f"{client.get('lagRevisions')} ({_jobs(client.get('lagJobs'))})",
        str(client.get("bytes")),
        " ".join(f"{key}={_text(value)}" for key, value in chosen.items()) or "-",
    ]


def _jobs(count: object) -> str:
    return f"{count} {'job' if count == 1 else 'jobs'}"


def _since(value: object, now: int, form: TimeFormat | None) -> str:
    try:
        if form in (None, TimeFormat.relative):
            return ago(str(value), now)
        return moment(str(value), form, now)
    except ValueError:
        return "?"


def _text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value).lower()
