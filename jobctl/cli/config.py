"""``jobctl config``: show all settings and their origins."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import Annotated, Any

from jobctl.cli.common import compact, here, hub_to_read, out, settings
from jobctl.cli.formats import band
from jobctl.cli.options import DirOption, NoHeadersOption, Option, UrlOption
from jobctl.cli.table import columns_of_terminal, lines
from jobctl.config import Settings, resolve_dir, system_file, user_file
from jobctl.core.pipeline import Pipeline, parse_types
from jobctl.core.schedule import short_duration

__all__ = ["EXAMPLE", "config"]

EXAMPLE = "Example: jobctl config -o json | jq -r .settings.dir.value"


class Output(StrEnum):
    """Output formats of the settings."""

    table = "table"
    json = "json"


def config(
    output: Annotated[
        Output,
        Option(
            "-o",
            "--output",
            metavar="FORMAT",
            help="Print table (default) or json.",
            show_default=False,
        ),
    ] = Output.table,
    no_headers: NoHeadersOption = False,
    url: UrlOption = None,
    directory: DirOption = None,
) -> None:
    """Show each setting, and where it comes from.

    The first that has a value counts: an option, the environment, the nearest jobctl.toml from here
    upwards, your own file, the system's file.
    """
    if directory is not None or url is not None:
        hub_to_read(directory, url)
    known = settings()
    found = _settings(known, directory, url)
    types = parse_types(known.types)
    files = [file.path for file in known.files]
    if output is Output.json:
        value = {
            "settings": {name: {"value": said, "from": why} for name, said, why in found},
            "types": {name: _table(pipeline) for name, pipeline in types.items()},
            "files": files,
            "notObeyed": [{"path": error.path, "why": error.why} for error in known.not_obeyed],
            "userFile": str(user_file()),
            "systemFile": str(system_file()),
        }
        out(compact(value))
        return
    rows = [[name, "-" if said is None else _shown(said), why] for name, said, why in found]
    for name, pipeline in types.items():
        rows.append([f"types.{name}", _words(pipeline), known.types[name][1]])
    for error in known.not_obeyed:
        rows.append(["-", f"not obeyed: {error.why}", error.path])
    head = ("NAME", "VALUE", "FROM")
    for line in lines(head, rows, limit=columns_of_terminal(), show_header=not no_headers):
        out(line)


def _settings(
    known: Settings, directory: str | None, url: str | None
) -> list[tuple[str, Any, str]]:
    where = resolve_dir(directory, os.environ, here(), known)
    found: list[tuple[str, Any, str]] = [("dir", str(where.path), where.why)]
    for name in known.names():
        if name == "dir":
            continue
        setting = known.get(name)
        if name == "url" and url is not None:
            found.append((name, url, "--url"))
        elif setting is None:
            found.append((name, None, "default"))
        else:
            found.append((name, setting.value, setting.origin))
    if os.environ.get("JOBCTL_TOKEN"):
        found.append(("token", "(set)", "$JOBCTL_TOKEN"))
    return found


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(value) or "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _table(pipeline: Pipeline) -> dict[str, Any]:
    return {
        "label": pipeline.label,
        "stages": [
            {"name": stage.name, "label": stage.label, "percent": stage.percent}
            for stage in pipeline.stages[1:-1]
        ],
        "etaMs": list(pipeline.eta_ms) if pipeline.eta_ms else None,
        "stalledAfterMs": pipeline.stalled_after_ms,
        "retry": pipeline.takes_retries,
        "log": pipeline.log,
        "expectEveryMs": pipeline.expect_every_ms,
        "graceMs": pipeline.grace_ms if pipeline.expect_every_ms is not None else None,
    }


def _words(pipeline: Pipeline) -> str:
    said = [pipeline.label, ",".join(pipeline.names()[1:-1])]
    if pipeline.eta_ms:
        said.append(band(pipeline.eta_ms))
    if pipeline.stalled_after_ms is not None:
        said.append(f"stalled after {band((pipeline.stalled_after_ms,) * 2)}")
    if pipeline.takes_retries:
        said.append("workers take up retries")
    if pipeline.log is not None:
        said.append(f"log {pipeline.log}")
    if pipeline.expect_every_ms is not None:
        every, grace = short_duration(pipeline.expect_every_ms), short_duration(pipeline.grace_ms)
        said.append(f"expected every {every}, grace {grace}")
    return "; ".join(part for part in said if part)
