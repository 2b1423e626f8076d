"""Live job tracking across processes.

Names are imported when they are first used, so that ``import jobctl`` costs next to nothing.
"""

from __future__ import annotations

from jobctl._version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from jobctl.cursor import ZERO, Cursor
    from jobctl.errors import JobctlError
    from jobctl.filters import Filter
    from jobctl.job import Job, advance, cancel, complete, create, fail, report, retry
    from jobctl.jobset import Delta, JobSet
    from jobctl.net.client import Client
    from jobctl.net.follow import follow
    from jobctl.net.wait import wait, wait_async
    from jobctl.stores import Store, open_store
    from jobctl.tracker import track

__all__ = [
    "ZERO",
    "Client",
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
    "open_store",
    "report",
    "retry",
    "track",
    "wait",
    "wait_async",
]

_HOME = {
    "ZERO": "cursor",
    "Client": "net.client",
    "Cursor": "cursor",
    "Delta": "jobset",
    "Filter": "filters",
    "Job": "job",
    "JobSet": "jobset",
    "JobctlError": "errors",
    "Store": "stores",
    "advance": "job",
    "cancel": "job",
    "complete": "job",
    "create": "job",
    "fail": "job",
    "follow": "net.follow",
    "open_store": "stores",
    "report": "job",
    "retry": "job",
    "track": "tracker",
    "wait": "net.wait",
    "wait_async": "net.wait",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'jobctl' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"jobctl.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
