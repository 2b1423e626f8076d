"""Live job tracking across processes.

Names are imported on first use, so that ``import jobctl`` is cheap.
"""

from __future__ import annotations

from jobctl._moved import install as _install_moved
from jobctl._version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from jobctl._clock import now
    from jobctl.core.cursor import ZERO, Cursor
    from jobctl.core.filters import Filter
    from jobctl.core.job import Job
    from jobctl.core.jobset import Delta, JobSet
    from jobctl.core.transitions import advance, cancel, complete, create, fail, report, retry
    from jobctl.errors import JobctlError
    from jobctl.hub.credentials import Credentials
    from jobctl.reader.client import Client
    from jobctl.reader.follow import follow
    from jobctl.reader.once import read
    from jobctl.reader.wait import wait, wait_async
    from jobctl.stores import Store, open_store
    from jobctl.work.track import track

__all__ = [
    "ZERO",
    "Client",
    "Credentials",
    "Cursor",
    "Delta",
    "Filter",
    "Job",
    "JobSet",
    "JobctlError",
    "Store",
    "__version__",
    "advance",
    "cancel",
    "complete",
    "create",
    "fail",
    "follow",
    "now",
    "open_store",
    "read",
    "report",
    "retry",
    "track",
    "wait",
    "wait_async",
]

_HOME = {
    "ZERO": "core.cursor",
    "Client": "reader.client",
    "Credentials": "hub.credentials",
    "Cursor": "core.cursor",
    "Delta": "core.jobset",
    "Filter": "core.filters",
    "Job": "core.job",
    "JobSet": "core.jobset",
    "JobctlError": "errors",
    "Store": "stores",
    "advance": "core.transitions",
    "cancel": "core.transitions",
    "complete": "core.transitions",
    "create": "core.transitions",
    "fail": "core.transitions",
    "follow": "reader.follow",
    "now": "_clock",
    "open_store": "stores",
    "read": "reader.once",
    "report": "core.transitions",
    "retry": "core.transitions",
    "track": "work.track",
    "wait": "reader.wait",
    "wait_async": "reader.wait",
}

_install_moved()


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'jobctl' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"jobctl.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
