"""``jobctl prune``: remove jobs that ended long ago."""

from __future__ import annotations

import sys
from typing import Annotated

from jobctl import api
from jobctl.cli.common import command_store, out, pipelines, print_removed, seconds
from jobctl.cli.exits import Exit
from jobctl.cli.messages import note, print_error
from jobctl.cli.options import (
    DirOption,
    Option,
    QuietOption,
    SelectorOption,
    TypeOption,
    Written,
    WrittenOption,
)
from jobctl.cli.text import visible
from jobctl.errors import UsageError

__all__ = ["EXAMPLE", "prune"]

EXAMPLE = "Example: jobctl prune --older-than 30d --stage completed"

_MAX_NAMED = 10  # failures


def prune(
    older_than: Annotated[
        str | None,
        Option(
            metavar="DURATION",
            help="Only jobs that ended this long ago (90s, 1h30m); 7d, unless --keep is given.",
        ),
    ] = None,
    keep: Annotated[
        int | None, Option(min=0, metavar="N", help="Keep the N jobs that ended last.")
    ] = None,
    stage: Annotated[
        list[str] | None,
        Option(metavar="STAGE", help="Only completed, failed or cancelled jobs; all by default."),
    ] = None,
    type: TypeOption = None,
    selector: SelectorOption = None,
    foreign: Annotated[
        bool,
        Option("--foreign", help="Also files of other programs without createdAt or type."),
    ] = False,
    logs: Annotated[
        bool, Option("--logs", help="Remove the logs of those jobs, and keep the jobs.")
    ] = False,
    dry_run: Annotated[
        bool, Option("--dry-run", help="Print what would be removed; remove nothing.")
    ] = False,
    yes: Annotated[bool, Option("-y", "--yes", help="Do not ask.")] = False,
    output: WrittenOption = None,
    quiet: QuietOption = False,
    directory: DirOption = None,
) -> None:
    """Remove jobs that ended long ago, and print their ids.

    On a terminal it asks first. Without one it needs --older-than, --keep or --yes.
    A file that jobctl did not write and that lacks createdAt or type stays, unless --foreign is
    given: it may not be a job. Logs of jobs that are gone are removed in any case. The last success
    of each type with expect-every in its settings stays.
    """
    age_s = seconds(older_than, "--older-than")
    stages = [name for text in stage or () for name in text.split(",")]
    here = command_store(directory)
    if not (yes or dry_run or age_s is not None or keep is not None or _can_ask()):
        here.store.close()
        raise UsageError(
            "without a terminal prune needs --older-than, --keep or --yes",
            hint="its default is 'jobctl prune --older-than 7d'",
        )
    name = output in (None, Written.name)
    what = _logs_of if logs else _count

    def ask(ids: tuple[str, ...]) -> None:
        if not (yes or _confirmed(f"Remove {what(len(ids))} from {here.where.path}?")):
            note("nothing removed")
            raise Exit(1)

    try:
        pruned = api.prune(
            here.store,
            older_than_s=age_s,
            keep=keep,
            stages=stages,
            types=type or (),
            foreign=foreign,
            labels=selector or (),
            logs=logs,
            pipelines=pipelines(),
            dry_run=dry_run,
            before=ask,
            each=out if name else _print_nothing,
        )
    finally:
        here.store.close()
    if not name:
        print_removed(pruned.removed, output)
    for error in pruned.failed[:_MAX_NAMED]:
        print_error(error, error.exit_code)
    if len(pruned.failed) > _MAX_NAMED:
        more = len(pruned.failed) - _MAX_NAMED
        note(f"and {more} more such {'error' if more == 1 else 'errors'}")
    said = "would remove" if dry_run else "removed"
    stay = f"; {pruned.changed} changed meanwhile" if pruned.changed else ""
    if pruned.foreign == 1:
        stay += "; 1 file of another program stays (--foreign removes it)"
    elif pruned.foreign:
        stay += f"; {pruned.foreign} files of other programs stay (--foreign removes them)"
    if pruned.needed:
        jobs = "1 job stays" if pruned.needed == 1 else f"{pruned.needed} jobs stay"
        stay += f"; {jobs} as the last success of a type that is expected regularly"
    if not quiet:
        note(f"{said} {what(len(pruned.removed))} from {here.where.path}{stay}")
    if pruned.failed:
        raise Exit(pruned.failed[0].exit_code)


def _print_nothing(_id: str) -> None:
    """Print nothing: all is printed at the end."""


def _count(jobs: int) -> str:
    return "1 job" if jobs == 1 else f"{jobs} jobs"


def _logs_of(jobs: int) -> str:
    return "the log of 1 job" if jobs == 1 else f"the logs of {jobs} jobs"


def _can_ask() -> bool:
    """Whether there is a terminal to ask the user on."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def _confirmed(question: str) -> bool:
    """Ask the user; return ``True`` if there is no terminal to ask on."""
    if not _can_ask():
        return True
    sys.stdout.flush()
    sys.stderr.write(f"{visible(question)} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
