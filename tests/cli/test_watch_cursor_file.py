"""``watch --cursor-file``: the cursor is kept after the lines that it stands for, never before."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import Run, command, environment

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("output", ["jsonl", "name", "table"])
def test_cursor_stays_when_the_line_could_not_be_written(
    run: Run, jobs_dir: Path, tmp_path: Path, output: str
) -> None:
    """Otherwise the next run would go on behind a change that nobody has seen."""
    id = run("create").out.strip()
    run("complete", id)
    kept = tmp_path / "cursor"
    watch = command("watch", id, "-o", output, "--cursor-file", str(kept))
    with open("/dev/full", "wb") as full:
        ran = subprocess.run(
            watch,
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=50,
            check=False,
        )
    assert (ran.returncode, b"No space left" in ran.stderr) == (1, True)
    assert not kept.exists()
    ran = subprocess.run(watch, env=environment(), capture_output=True, timeout=50, check=True)
    assert id.encode() in ran.stdout
    assert kept.exists()
