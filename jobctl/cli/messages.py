"""Messages on standard error: as lines, or as JSON if the output is JSON."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Sequence

from jobctl.cli.text import visible
from jobctl.errors import JobctlError

__all__ = ["error_object", "note", "print_error", "use_json", "wants_json"]

_json = False


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


def use_json(*, json: bool) -> None:
    """Print messages as JSON from now on, or not."""
    global _json
    _json = json


def note(text: str) -> None:
    """Print a note, as JSON ``{"note": text}``."""
    _write(_compact({"note": text}) if _json else f"jobctl: {visible(text)}")


def print_error(error: JobctlError | str, code: int) -> None:
    """Print an error: ``jobctl: what, where; what next``, or `error_object`."""
    if _json:
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
