"""Stores: one contract (`contract.Store`) and its implementations.

Only `open_store` imports an implementation; everything else uses the contract.
"""

from __future__ import annotations

import os

from jobctl.errors import UsageError
from jobctl.stores.contract import (
    BadFile,
    Change,
    Check,
    HasForeignWriters,
    HasLogs,
    HasPath,
    LogInfo,
    LogWriter,
    Quarantining,
    Refreshable,
    Store,
    bad_files,
    creation_times,
    foreign_jobs,
    logs_of,
    path_of,
    read_all,
    read_pages,
    refresh,
    resolve,
    runnable_job,
)

__all__ = [
    "BadFile",
    "Change",
    "Check",
    "HasForeignWriters",
    "HasLogs",
    "HasPath",
    "LogInfo",
    "LogWriter",
    "Quarantining",
    "Refreshable",
    "Store",
    "bad_files",
    "creation_times",
    "foreign_jobs",
    "logs_of",
    "open_store",
    "path_of",
    "read_all",
    "read_pages",
    "refresh",
    "resolve",
    "runnable_job",
]


def open_store(
    url: str | os.PathLike[str],
    *,
    create: bool = False,
    adopt: bool = False,
    durable: bool | None = None,
    missing_ok: bool = False,
) -> Store:
    """Open the store at a path or URL: a directory, ``file:///srv/jobs`` or ``memory:``.

    ``create`` makes a missing directory. ``adopt`` keeps a change log even if no job is written
    through jobctl, as a hub does for jobs of other programs. With ``durable`` every write survives
    a power failure; ``None`` keeps what the directory was created with. With ``missing_ok`` a
    missing directory is an empty store that takes no jobs, unless ``create`` makes it. Raises
    `StoreError` or `UsageError`.
    """
    text = os.fspath(url)
    if text == "memory:":
        from jobctl.stores.memory import MemoryStore

        return MemoryStore()
    if text.startswith("file://"):
        from urllib.parse import unquote, urlsplit

        text = unquote(urlsplit(text).path)
    elif "://" in text:
        raise UsageError(
            f"{ascii(text)[1:-1]} is not a store", hint="give a directory, or 'memory:'"
        )
    if missing_ok and not create and not os.path.isdir(text):
        from jobctl.stores.missing import MissingDirectory

        return MissingDirectory(text)
    from jobctl.stores.directory.store import DirectoryStore

    return DirectoryStore(text, create=create, adopt=adopt, durable=durable)
