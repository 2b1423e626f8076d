"""``jobctl doctor``: report what is wrong, where, and what to do."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from jobctl import api
from jobctl.cli.common import compact, note, out
from jobctl.cli.exits import Exit
from jobctl.cli.options import DirOption, Option
from jobctl.cli.text import visible

__all__ = ["EXAMPLE", "doctor"]

EXAMPLE = "Example: jobctl doctor --dir data/jobs"


class Output(StrEnum):
    """Output formats of the findings."""

    table = "table"
    json = "json"
    jsonl = "jsonl"


def doctor(
    output: Annotated[
        Output,
        Option(
            "-o",
            "--output",
            metavar="FORMAT",
            help="Print table (default), json or jsonl.",
            show_default=False,
        ),
    ] = Output.table,
    directory: DirOption = None,
) -> None:
    """Check the directory, its hubs and the settings for problems."""
    findings = api.doctor(directory)
    wrong = sum(finding.level == "error" for finding in findings)
    doubtful = sum(finding.level == "warning" for finding in findings)
    if output is Output.json:
        out(compact({"ok": not wrong, "findings": [finding._asdict() for finding in findings]}))
    elif output is Output.jsonl:
        for finding in findings:
            out(compact(finding._asdict()))
    else:
        for finding in findings:
            where = f"{finding.where}: " if finding.where else ""
            hint = f"; {finding.hint}" if finding.hint else ""
            out(f"{finding.level:<8} {visible(where + finding.what + hint)}")
        note(_sum(wrong, doubtful))
    if wrong:
        raise Exit(1)


def _sum(wrong: int, doubtful: int) -> str:
    if not wrong and not doubtful:
        return "all is well"
    errors = "1 error" if wrong == 1 else f"{wrong} errors"
    return f"{errors}, {'1 warning' if doubtful == 1 else f'{doubtful} warnings'}"
