"""The pure parts of a job's page and of the notices, in Node."""

from __future__ import annotations

from pathlib import Path

from tests.page.test_client import needs_node, node_tests

HERE = Path(__file__).parent


@needs_node
def test_job_page_in_node() -> None:
    """The timeline, the facts and commands, the log's lines, what is news, and the tab."""
    node_tests("--test", "--test-reporter=tap", HERE / "job_page.test.mjs", cwd=HERE)
