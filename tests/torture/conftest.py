"""The options of the torture tests, and where they work."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--torture-seconds",
        type=float,
        default=10.0,
        metavar="N",
        help="how long the torture test kills writers, on each file system (default 10)",
    )
    parser.addoption(
        "--soak-seconds",
        type=float,
        default=8.0,
        metavar="N",
        help="how long the soak test loads a hub (default 8; an hour's load takes 180)",
    )
    parser.addoption(
        "--torture-rewrites",
        type=int,
        default=600,
        metavar="N",
        help="how often files are rewritten in place (default 600; the promise is 20000)",
    )


@pytest.fixture(params=["disk", "tmpfs"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A directory on each kind of file system: they differ in what a scan may miss."""
    if request.param == "disk":
        yield tmp_path
        return
    if not os.access("/dev/shm", os.W_OK):
        pytest.skip("needs a tmpfs at /dev/shm")
    path = Path(tempfile.mkdtemp(prefix="jobctl-torture-", dir="/dev/shm"))
    yield path
    shutil.rmtree(path)
