"""Stores for the tests on real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jobctl.stores import Store, open_store


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """The path of the served directory."""
    return tmp_path / "jobs"


@pytest.fixture
def writer(directory: Path) -> Iterator[Store]:
    """The store as a producer in another process opens it."""
    store = open_store(directory, create=True)
    yield store
    store.close()


@pytest.fixture
def served(directory: Path) -> Iterator[Store]:
    """The store as a hub opens it."""
    store = open_store(directory, create=True, adopt=True)
    yield store
    store.close()
