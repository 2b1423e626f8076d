"""What the work passes to a tracked job, as values that a job file can hold."""

from __future__ import annotations

import operator
import re
import sys
from collections.abc import Sequence
from typing import Any, cast

from jobctl.core.escapes import without_escapes

__all__ = [
    "INTERRUPTED",
    "MAX_TEXT",
    "clean_text",
    "error_text",
    "exception_line",
    "is_success",
    "one_line",
    "steps",
    "without_escapes",
]

INTERRUPTED = "Interrupted"
"""The error of a job that Ctrl-C or a cancellation ended."""
MAX_TEXT = 4000

_FRAME = r"\s+File \".*\", line [0-9]+"
_EXCEPTION = r"[A-Za-z_][\w.]*(?:: |:?$)"
_IN_GROUP = r"[ +|]*[+|](?:-[-+ 0-9.]*$| )"
_GROUP = r"[A-Za-z_][\w.]*: .* \([0-9]+ sub-exceptions?\)$"
_IGNORED = "Exception ignored in"


def clean_text(text: object) -> str:
    """Return text that a job file can hold: without lone surrogates, and not too long."""
    try:
        whole = str(text)
    except Exception as error:
        return f"{type(text).__name__} without a text: {type(error).__name__}"
    if len(whole) > MAX_TEXT:
        whole = f"{whole[: MAX_TEXT // 2]} … {whole[-MAX_TEXT // 2 + 3 :]}"
    return whole.encode(errors="backslashreplace").decode()


def exception_line(lines: Sequence[str]) -> str | None:
    """Return the line of the exception that a Python traceback ends with; ``None`` without one.

    ``lines`` are the last ones of standard error, from which the beginning of the traceback may be
    missing. Of a chain of exceptions it is the last one, and of an exception group the group. More
    lines of its text, its notes, and what the interpreter says afterwards do not count.
    """
    in_group = [re.match(_IN_GROUP, line) for line in lines]
    found = None
    after_frame = False
    for line, group in zip(lines, in_group, strict=True):
        text = line[group.end() :] if group else line
        if text.startswith(_IGNORED):
            break  # its traceback is not the reason for the end
        if re.match(_FRAME, text):
            after_frame = True
        elif after_frame and text and not text[0].isspace():
            after_frame = False
            if re.match(_EXCEPTION, text):
                found = text
                if group and re.match(_GROUP, text):
                    break
    return found


def error_text(error: BaseException) -> str:
    """Return the error text of a job: the exception's text, or its type if that says nothing."""
    asyncio = sys.modules.get("asyncio")  # without it, there is none of its exceptions
    if isinstance(error, (KeyboardInterrupt, GeneratorExit)) or (
        asyncio is not None and isinstance(error, asyncio.CancelledError)
    ):
        return INTERRUPTED
    if isinstance(error, SystemExit):
        if isinstance(error.code, str):
            return without_escapes(clean_text(error.code))
        return f"Exit code {error.code}"
    text = without_escapes(clean_text(error))
    if not text or isinstance(error, KeyError):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return text


def is_success(error: BaseException | None) -> bool:
    """Whether a block that ended so has succeeded: without an error, or by ``sys.exit(0)``."""
    return error is None or (isinstance(error, SystemExit) and error.code in (None, 0))


def one_line(error: BaseException) -> str:
    """Return the error's text on one line."""
    return " ".join(str(error).split()) or type(error).__name__


def steps(done: float, total: float | None) -> tuple[float | None, float | None]:
    """Return both as plain numbers (they may be numpy's); 0 of 0 is no progress."""
    if total is not None and not total:
        return None, None
    return _number(done), None if total is None else _number(total)


def _number(value: Any) -> float:
    if type(value) in (int, float):
        return cast("float", value)
    return operator.index(value) if hasattr(value, "__index__") else float(value)
