"""``jobctl run``: run any command as a tracked job."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import signal
import sys
from typing import Annotated, NoReturn

from jobctl.cli.common import log_mode, out, pipelines, seconds, settings, where_to_write
from jobctl.cli.exits import Exit
from jobctl.cli.messages import note
from jobctl.cli.options import Argument, DirOption, LabelOption, LogMode, Option
from jobctl.core.job import new_id
from jobctl.core.labels import parse_labels
from jobctl.errors import UsageError

__all__ = ["EXAMPLE", "SETTINGS", "leave", "run"]

EXAMPLE = "Example: jobctl run --stages fetch,load -- ./nightly.sh --full"
SETTINGS = {"allow_interspersed_args": False}  # options after the command belong to it
_CODE = re.compile(r"[0-9]{1,3}")


def run(
    command: Annotated[
        list[str], Argument(metavar="COMMAND", help="The command and its arguments.")
    ],
    type: Annotated[str, Option("--type", metavar="TYPE", help="The job's type.")] = "run",
    title: Annotated[
        str | None,
        Option("--title", metavar="TEXT", help="A short title; by default the command."),
    ] = None,
    stages: Annotated[
        str | None, Option("--stages", metavar="A,B,C", help="Its stages, in order.")
    ] = None,
    session: Annotated[
        str | None,
        Option("--session", metavar="SESSION", help="The session that it belongs to."),
    ] = None,
    label: LabelOption = None,
    id: Annotated[
        str | None, Option("--id", metavar="ID", help="Its id, instead of a new one.")
    ] = None,
    again: Annotated[
        bool,
        Option("--again", help="With --id: run again, as the next attempt, if that job has ended."),
    ] = False,
    keep_env: Annotated[
        list[str] | None,
        Option("--keep-env", metavar="NAME", help="Keep this variable for retry --rerun."),
    ] = None,
    ok: Annotated[
        str | None,
        Option("--ok", metavar="CODES", help="More exit codes that mean success: 24, or 1,2."),
    ] = None,
    timeout: Annotated[
        str | None,
        Option("--timeout", metavar="DURATION", help="End the command after 90s, 5m, 1h30m."),
    ] = None,
    grace: Annotated[
        str,
        Option(
            "--grace", metavar="DURATION", help="Time from SIGTERM to SIGKILL when it is ended."
        ),
    ] = "10s",
    detach: Annotated[
        bool,
        Option("-d", "--detach", help="Run it in the background; print the job's id."),
    ] = False,
    relay: Annotated[
        bool,
        Option(
            " /--no-relay",
            help="Leave the command's output alone, and keep nothing of it.",
            show_default=False,
        ),
    ] = True,
    log: Annotated[
        LogMode | None,
        Option(
            "--log",
            metavar="WHICH",
            help="Keep this output: on (also of a terminal), all, on-failure or off.",
            show_default=False,
        ),
    ] = None,
    no_log: Annotated[bool, Option("--no-log", help="Keep no output; as --log off.")] = False,
    directory: DirOption = None,
) -> None:
    """Run a command as a tracked job; exit as it does.

    With -d it goes on in the background when the terminal is closed, and exits 0 once the command
    has started.

    The command may report with jobctl advance and progress, or by lines such as stage=load in the
    file $JOBCTL_EVENTS.
    """
    from dataclasses import replace

    from jobctl.work.run import RunOptions  # slow to import
    from jobctl.work.run import run as run_command

    if again and id is None:
        raise UsageError("--again goes with --id", hint="a new job has no earlier attempt")
    if no_log and log not in (None, LogMode.off):
        raise UsageError("--no-log contradicts --log", hint="give one of them")
    grace_s = seconds(grace, "--grace")
    assert grace_s is not None, "it has a default"
    if id is None and (detach or sys.stderr.isatty()):
        id = new_id()
    if not detach and sys.stderr.isatty():
        note(f"job {id}")
    options = RunOptions(
        type=type,
        title=title,
        stages=tuple(stages.split(",")) if stages is not None else None,
        session=session,
        labels=parse_labels(label or ()),
        id=id,
        again=again,
        keep_env=tuple(keep_env or ()),
        ok=_codes(ok),
        timeout_s=_time_limit(timeout),
        grace_s=grace_s,
        relay=relay,
        log=log_mode(LogMode.off if no_log else log, type),
        adopt_orphans=True,
    )
    where = where_to_write(directory).path
    settings().get("log-limit")  # the log's writer ignores an error in it
    if not relay and log not in (None, LogMode.off):
        note("--log has no effect with --no-relay: no output is kept")
    if detach:
        from jobctl.cli.detached import detach as go_on_in_background
        from jobctl.work.run.child import inherited_ignores

        inherited_ignores()  # which looks at our parent
        background = go_on_in_background()
        if background is None:
            out(str(id))
            return
        options = replace(options, on_start=background.started, unread=background.unread)
    leave(run_command(command, str(where), options, pipelines=pipelines()))


def _time_limit(text: str | None) -> float | None:
    """Return the limit of --timeout in seconds; `UsageError` for none at all."""
    limit_s = seconds(text, "--timeout")
    if limit_s == 0:
        raise UsageError("--timeout 0 leaves the command no time", hint="leave it out for no limit")
    return limit_s


def _codes(text: str | None) -> tuple[int, ...]:
    """Parse ``0,24``; `UsageError` for what is not a list of exit codes."""
    words = text.split(",") if text is not None else []
    if not all(_CODE.fullmatch(word) and int(word) < 256 for word in words):
        raise UsageError(f"--ok: {ascii(text)[1:-1]} is no list of exit codes", hint="write 0,24")
    return tuple(map(int, words))


def leave(status: int) -> NoReturn:
    """End as the command did: with its exit code, or by its signal.

    A shell ends a loop on Ctrl-C only if the command was ended by the signal.
    """
    from jobctl.work.recorder import drain

    if status >= 0:
        raise Exit(status)
    number = -status
    drain()  # exit functions do not run after a signal
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(
            resource.RLIMIT_CORE, (0, 0)
        )  # the command has written its own core dump
        signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    os.kill(os.getpid(), number)
    raise Exit(128 + number)
