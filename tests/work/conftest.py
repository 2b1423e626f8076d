"""Fixtures for the tests of tracked work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from jobctl.stores import Store, open_store


@pytest.fixture
def store() -> Iterator[Store]:
    """A store in memory."""
    with closing(open_store("memory:")) as made:
        yield made
