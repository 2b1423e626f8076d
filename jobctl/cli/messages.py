"""Messages on standard error: as lines, as JSON if the output is JSON, or as lines of a log."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
from collections.abc import Sequence

from jobctl.cli.text import visible
from jobctl.errors import JobctlError

__all__ = [
    "error_object",
    "log_line",
    "note",
    "print_error",
    "use_json",
    "use_json_log",
    "wants_json",
    "wants_json_log",
]

_json = False
_log = False


def wants_json(args: Sequence[str]) -> bool:
    """Whether the command line asks for JSON, even if it is invalid otherwise."""
    for index, arg in enumerate(args):
        if arg == "--":
            return False
        if arg in ("-o", "--output"):
            value = args[index + 1] if index + 1 < len(args) else ""
        else:
            value = next(
                (arg[len(head) :] for head in ("--output=", "-o=", "-o") if arg.startswith(head)),
                "",
            )
        if value in ("json", "jsonl"):
            return True
    return False


def wants_json_log(args: Sequence[str]) -> bool:
    """Whether the command line of ``serve`` asks for a JSON log, even if it is invalid otherwise.

    The last option counts.
    """
    flag, found = "--log-format", ""
    for index, arg in enumerate(args):
        if arg == flag:
            found = args[index + 1] if index + 1 < len(args) else ""
        elif arg.startswith(f"{flag}="):
            found = arg.removeprefix(f"{flag}=")
    return found == "json"


def use_json(*, json: bool) -> None:
    """Print messages as JSON from now on, or not."""
    global _json, _log
    _json, _log = json, False


def use_json_log() -> None:
    """Print messages from now on as `log_line`."""
    global _log
    _log = True


def log_line(level: str, event: object, time: str | None = None, **fields: object) -> str:
    """Return one line of a JSON log: ``time`` (now), ``level``, ``event``, ``pid``, ``thread``."""
    from jobctl._clock import now  # most commands print no log

    value = {
        "time": time or now(),
        "level": level,
        "event": event,
        "pid": os.getpid(),
        "thread": threading.get_native_id(),
        **fields,
    }
    return json.dumps(value, default=str)


def note(text: str) -> None:
    """Print a note, as JSON ``{"note": text}``."""
    if _log:
        _write(log_line("info", text))
        return
    _write(_compact({"note": text}) if _json else f"jobctl: {visible(text)}")


def print_error(error: JobctlError | str, code: int) -> None:
    """Print an error: ``jobctl: what, where; what next``, or with `error_object`."""
    if _log:
        _write(log_line("error", str(error), error=error_object(error, code)))
    elif _json:
        _write(_compact({"error": error_object(error, code)}))
    else:
        _write(f"jobctl: {visible(str(error))}")


def error_object(error: JobctlError | str, code: int) -> dict[str, object]:
    """Return ``{message, hint, kind, exitCode}``; ``kind`` is the error's class."""
    if isinstance(error, str):
        return {"message": error, "hint": None, "kind": "Error", "exitCode": code}
    kind = type(error).__name__
    return {"message": error.message, "hint": error.hint, "kind": kind, "exitCode": code}


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _write(line: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(line + "\n")
