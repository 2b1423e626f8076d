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
