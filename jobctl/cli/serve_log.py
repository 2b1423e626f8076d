"""The log of ``jobctl serve`` on standard error: one line an event, as text or as JSON."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from enum import StrEnum

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
    """Formats an event as one JSON object on one line."""

    def format(self, record: logging.LogRecord) -> str:
        value = {
            "time": to_text(int(record.created * 1000)),
            "level": record.levelname.lower(),
            "event": _event(record),
            "pid": os.getpid(),
            "thread": threading.get_native_id(),
            **_fields(record),
        }
        return json.dumps(value, default=str)
