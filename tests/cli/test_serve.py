"""``jobctl serve`` as a process, and ``demo``."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.cli.conftest import command, environment, run_process

pytestmark = pytest.mark.slow


def test_a_taken_port_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    """Exit code 5."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        result = run_process("serve", "--port", port, "--dir", str(tmp_path))
    assert (result.code, result.err.count("\n")) == (5, 1)
    assert f"127.0.0.1:{port} is already in use" in result.err
    assert "--port" in result.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_listens_and_stops_cleanly(tmp_path: Path, number: int) -> None:
    """Exit code 0, events as JSON lines, nothing left in ``hubs``."""
    hub = subprocess.Popen(
        command("serve", "--port", "0", "--dir", str(tmp_path), "--log-format", "json"),
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert hub.stderr is not None
    event = json.loads(hub.stderr.readline())
    assert (event["event"], event["pid"]) == ("listening", hub.pid)
    assert event["url"] in hub.stderr.readline()
    hub.send_signal(number)
    _, rest = hub.communicate(timeout=20)
    assert hub.returncode == 0
    assert [json.loads(line)["event"] for line in rest.splitlines()] == ["stopped"]
    assert list((tmp_path / ".jobctl" / "hubs").iterdir()) == []


def test_demo_works_piped_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """Four types, one failure, three commands to try next."""
    result = run_process("demo", env=environment(TMPDIR=str(tmp_path), HOME=str(tmp_path)))
    assert (result.code, result.err) == (0, "")
    for type in ("create_session", "submit_answers", "create_next_round", "add_more_questions"):
        assert type in result.out
    assert "6 jobs completed and 1 failed" in result.out
    assert sum(line.startswith("  jobctl ") for line in result.out.splitlines()) == 3
    assert os.listdir(tmp_path) == []
    assert tempfile.gettempdir() != str(tmp_path)
