"""The log of ``jobctl serve`` on standard error: one line an event, as text or as JSON."""

from __future__ import annotations

import logging
import os
import sys
import threading
import traceback
from enum import StrEnum

from jobctl.cli.messages import log_line
from jobctl.cli.text import visible
from jobctl.core.times import to_text

__all__ = ["LogFormat", "set_up_logging"]

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class LogFormat(StrEnum):
    """Formats of the log on standard error."""

    text = "text"
    json = "json"


def set_up_logging(form: LogFormat, *, verbose: bool) -> None:
    """Log to standard error: warnings only, or everything with ``verbose`` or as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form is LogFormat.json else _Text())
    logger = logging.getLogger("jobctl")
    logger.handlers[:] = [handler]
    logger.propagate = False
    if form is LogFormat.json:
        _log_all_as_json(handler)
    logger.setLevel(logging.INFO if verbose or form is LogFormat.json else logging.WARNING)


def _fields(record: logging.LogRecord) -> dict[str, object]:
    return {key: value for key, value in record.__dict__.items() if key not in _STANDARD}


def _event(record: logging.LogRecord) -> str:
    text = record.getMessage()
    if record.exc_info and record.exc_info[1] is not None:
        error = record.exc_info[1]
        text += f": {type(error).__name__}: {error}"
    return text


class _Text(logging.Formatter):
    """Formats an event as one line, whatever text a client sent."""

    def format(self, record: logging.LogRecord) -> str:
        fields = " ".join(f"{key}={visible(str(value))}" for key, value in _fields(record).items())
        who = f"[{os.getpid()}:{threading.get_native_id()}]"
        text = f"{to_text(int(record.created * 1000))} {who} {record.levelname.lower()} "
        return (text + visible(_event(record)) + ("  " + fields if fields else "")).rstrip()


class _Json(logging.Formatter):
    """Formats an event as one JSON object on one line; an error has its ``traceback``."""

    def format(self, record: logging.LogRecord) -> str:
        fields = _fields(record)
        if record.exc_info and record.exc_info[1] is not None:
            fields["traceback"] = "".join(traceback.format_exception(record.exc_info[1]))
        time = to_text(int(record.created * 1000))
        return log_line(record.levelname.lower(), _event(record), time, **fields)


def _log_all_as_json(handler: logging.Handler) -> None:
    """Log what libraries and the interpreter print on standard error: warnings and tracebacks."""
    root = logging.getLogger()
    root.handlers[:] = [handler]
    logging.captureWarnings(capture=True)

    def log(event: str, error: BaseException | None) -> None:
        root.critical("%s", event, exc_info=error)

    before = sys.unraisablehook  # of app.py, which raises a signal's exception again

    def unraisable(what: sys.UnraisableHookArgs) -> None:
        if isinstance(what.exc_value, Exception):
            log("an error was ignored", what.exc_value)
        else:
            before(what)

    sys.excepthook = lambda _kind, error, _traceback: log("the hub failed", error)
    sys.unraisablehook = unraisable
    threading.excepthook = lambda what: log("a thread failed", what.exc_value)
