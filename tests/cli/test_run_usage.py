"""Where a command of ``jobctl run`` ran, and what it used."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from jobctl.cli import formats
from jobctl.core.job import Job
from jobctl.core.redaction import redact
from jobctl.stores import Store, open_store
from jobctl.work.run import processes
from tests.cli.conftest import Run, run_process

AT = "2026-01-01T00:00:00.000Z"


@pytest.fixture
def store(jobs_dir: Path) -> Store:
    """The store that the commands use."""
    return open_store(jobs_dir, create=True)


@pytest.mark.slow
def test_peak_memory_and_cpu_time_are_the_commands(store: Store, run: Run) -> None:
    """With those of the processes that it waits for, also if it fails."""
    busy = "import time\nx = bytearray(300_000_000)\nwhile time.process_time() < 0.4: pass"
    text = f'"{sys.executable}" -c "{busy}"; exit 3'
    assert run_process("run", "--id", "j", "--", "sh", "-c", text).code == 3
    job = store.get("j")
    assert job.command is not None
    assert 300_000_000 < (job.command.max_rss_bytes or 0) < 400_000_000
    assert 400 <= (job.command.cpu_ms or 0) < 5000
    assert job.host == os.uname().nodename
    shown = run("show", "j").out
    assert f"\nhost            {job.host}\n" in shown
    assert f"\nuser            {job.user}\n" in shown
    assert "\nusage           peak 3" in shown
    assert " MB · CPU " in shown
    wide = run("ls", "-o", "wide").out
    assert "HOST" in wide
    assert " MB · CPU " in wide
    value = json.loads(run("show", "j", "-o", "json").out)
    assert value["user"] == job.user
    assert value["run"]["maxRssBytes"] == job.command.max_rss_bytes


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's count is Linux's")
def test_memory_of_the_wrapper_is_not_the_commands(store: Store) -> None:
    """A peak below it is not known, so it is not shown."""
    assert run_process("run", "--id", "j", "--", "true").code == 0
    command = store.get("j").command
    assert command is not None
    assert command.max_rss_bytes is None
    assert command.cpu_ms is not None
    assert processes.own_peak_bytes() > 1_000_000


def test_next_attempt_begins_without_them(store: Store, run: Run) -> None:
    """They are of the attempt that has ended."""
    run_process("run", "--id", "j", "--", "sh", "-c", "sleep 0.1; exit 3")
    assert run_process("retry", "j", "--rerun").code == 3
    again = store.get("j").command
    assert again is not None
    assert again.cpu_ms is not None


def job_with(**more: object) -> Job:
    """A failed job of a command."""
    base = {"id": "j", "type": "run", "stage": "failed", "createdAt": AT, "updatedAt": AT}
    return Job(**base | more)


def test_place_needs_the_right_to_details() -> None:
    """What the command used does not."""
    run = {"argv": ["sh"], "cwd": "/", "maxRssBytes": 9, "cpuMs": 7}
    job = job_with(host="db1", user="ada", run=run)
    assert redact(job, details=True) is job
    shown = redact(job, details=False)
    assert (shown.host, shown.user, shown.run) == (None, None, {"maxRssBytes": 9, "cpuMs": 7})
    assert redact(shown, details=False) is shown


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (999_499, "999 kB"), (812_000_000, "812 MB"),
     (1_250_000_000, "1.25 GB"), (999_999_999_999, "1 TB"), (4_000_000_000_000_000, "4000 TB")],
)  # fmt: skip
def test_sizes_have_three_digits(count: int, text: str) -> None:
    """In decimal units."""
    assert formats.size(count) == text


def test_usage_that_another_program_wrote() -> None:
    """Whatever it is, it does not harm."""
    for odd in (-5, 10**400, "x", [], 1.5):
        assert formats.usage(job_with(run={"cpuMs": odd, "maxRssBytes": odd})) == ""
    assert formats.usage(job_with(run={"cpuMs": 192_000})) == "CPU 3m12s"
    assert formats.usage(job_with()) == ""
