"""Fixtures of the store tests: every store that the contract binds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from jobctl.stores import Store, open_store
from jobctl.stores.directory.store import DirectoryStore

KINDS = ["memory", "directory", "adopting", "durable"]


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An empty store of each kind."""
    made = open_store(
        "memory:" if request.param == "memory" else tmp_path / "jobs",
        create=True,
        adopt=request.param == "adopting",
        durable=True if request.param == "durable" else None,
    )
    yield made
    made.close()


@pytest.fixture
def jobs_dir(tmp_path: Path) -> Path:
    """The path of a directory store, not made yet."""
    return tmp_path / "jobs"


@pytest.fixture
def opened(jobs_dir: Path) -> Iterator[Callable[..., DirectoryStore]]:
    """Open directory stores, on `jobs_dir` unless told otherwise; closed at the end."""
    with ExitStack() as stack:

        def opened(path: Path | None = None, **options: bool) -> DirectoryStore:
            options.setdefault("create", True)
            store = DirectoryStore(path or jobs_dir, **options)
            stack.callback(store.close)
            return store

        yield opened


@pytest.fixture
def no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing file counts as gone at once. The grace itself is tested in ``test_grace.py``."""
    for module in ("index", "lookup", "read", "scan"):
        monkeypatch.setattr(f"jobctl.stores.directory.{module}.TORN_GRACE_S", 0.0)
