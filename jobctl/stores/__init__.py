"""Stores: one contract (`store.Store`), and the backends side by side.

`open_store` alone imports a backend; everybody else knows the contract.
"""

from __future__ import annotations

import os

from jobctl.errors import UsageError
from jobctl.stores.contract import BadFile, Change, Check, Store, read_all, resolve

__all__ = ["BadFile", "Change", "Check", "Store", "open_store", "read_all", "resolve"]


def open_store(
    url: str | os.PathLike[str],
    *,
    create: bool = False,
    adopt: bool = False,
    durable: bool | None = None,
) -> Store:
    """The store at a path or URL: a directory (``jobs/``, ``file:///srv/jobs``) or ``memory:``.

    ``create`` makes a missing directory. ``adopt`` keeps the change log even while nobody writes
    through jobctl, as a hub does for foreign writers. ``durable`` makes each write survive a power
    cut; ``None`` keeps what the directory was made with. Raises `StoreError` or `UsageError`.
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
    from jobctl.stores.directory.store import DirectoryStore

    return DirectoryStore(text, create=create, adopt=adopt, durable=durable)
