"""Stores for the tests on real sockets."""

from __future__ import annotations

import subprocess
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


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for localhost, which is its own authority, and its key."""
    here = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
         "-keyout", here / "key.pem", "-out", here / "cert.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    return here / "cert.pem", here / "key.pem"
