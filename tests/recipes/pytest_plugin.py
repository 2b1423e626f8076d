"""A run of a test suite as a job: put this into conftest.py, or load it with ``-p``."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from jobctl import track

_job: Any = None
_counts: Counter[str] = Counter()
_total = 0


def pytest_collection_finish(session: pytest.Session) -> None:
    """The tests are known: begin."""
    global _job, _total
    _total = len(session.items)
    _job = track("pytest", title=f"{_total} tests in {session.config.rootpath.name}")
    _job.__enter__()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """A test, or its set-up or tear-down, has ended."""
    if report.when == "call" or report.outcome != "passed":
        _counts[report.outcome] += 1
        _job.progress(sum(_counts.values()), max(_total, sum(_counts.values())), report.nodeid)


def pytest_sessionfinish(exitstatus: int) -> None:
    """The run has ended."""
    if _job is None:
        return
    said = ", ".join(f"{count} {outcome}" for outcome, count in sorted(_counts.items()))
    if exitstatus != 0:
        _job.fail(said or f"exit status {exitstatus}")
    _job.result(dict(_counts))
    _job.__exit__(None, None, None)
