"""The torture test's option."""

from __future__ import annotations

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
