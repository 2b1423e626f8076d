"""README's units: verified by systemd where it is installed, and their commands run."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
from configparser import ConfigParser
from contextlib import suppress
from pathlib import Path

import pytest

from jobctl.core.cursor import ZERO
from jobctl.stores import open_store
from tests.recipes.guide import block, program, programs
from tests.stores.support import until

pytestmark = pytest.mark.slow


class Unit:
    """A unit of the recipe, with the programs and the state of this test."""

    def __init__(self, number: int, place: Path) -> None:
        text = block("systemd", "ini", number)
        self.name = Path(text.splitlines()[0].removeprefix("# ")).name
        assert "/opt/jobctl/bin/jobctl" in text
        self.state = place / "state"
        self.text = text.replace("/opt/jobctl/bin", str(place / "bin")).replace(
            "/usr/local/bin", str(place / "local")
        )
        parser = ConfigParser(interpolation=None, comment_prefixes="#")
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        parser.read_string(self.text)
        self.service = dict(parser["Service"])

    def start(self, *more: str) -> subprocess.Popen[str]:
        """What systemd starts, as it starts it: no terminal, a bare environment, in /."""
        assert self.service["StateDirectory"] == "jobctl"
        self.state.mkdir(mode=int(self.service["StateDirectoryMode"], 8), exist_ok=True)
        name, _, value = self.service["Environment"].partition("=")
        env = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            name: value.replace("/var/lib/jobctl", str(self.state)),
        }
        assert env["JOBCTL_DIR"] == str(self.state)
        words = shlex.split(self.service["ExecStart"])
        assert "$" not in self.service["ExecStart"], "systemd is no shell"
        return subprocess.Popen(
            [*words, *more], env=env, cwd="/", stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip


@pytest.fixture
def units(tmp_path: Path) -> list[Unit]:
    """The hub's and the worker's."""
    programs(tmp_path / "bin")
    return [Unit(0, tmp_path), Unit(1, tmp_path)]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_finds_no_fault(units: list[Unit], tmp_path: Path) -> None:
    """Nor does it pass over a line that it does not know."""
    program(tmp_path / "local" / "load", "exit 0")
    for unit in units:
        file = tmp_path / unit.name
        for text, faults in ((unit.text, False), (unit.text + "Typo=yes\n", True)):
            file.write_text(text)
            ran = subprocess.run(
                ["systemd-analyze", "verify", "--man=no", str(file)],
                capture_output=True, text=True, timeout=50, check=False,
            )  # fmt: skip
            said = [line for line in ran.stderr.splitlines() if unit.name in line]
            assert bool(said) is faults, ran.stderr
            assert (ran.returncode == 0) or faults, ran.stderr


def test_hub_serves_and_stops_cleanly(units: list[Unit]) -> None:
    """It says so in its log, and SIGTERM is no failure that would start it again."""
    hub, _ = units
    assert hub.service["Type"] == "exec", "it does not notify"
    assert hub.service["Restart"] == "on-failure"
    process = hub.start("--port", "0")
    try:
        assert process.stdout is not None
        line = next(line for line in process.stdout if '"listening"' in line)
        assert re.search(r'"url": "ws://127\.0\.0\.1:\d+/ws/jobs"', line)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
        assert process.returncode == 0
    finally:
        process.kill()
        process.communicate()
    assert (hub.state / ".jobctl").is_dir()


def test_killed_hub_is_started_again(units: list[Unit]) -> None:
    """A crash is a failure to systemd; the next one finds nothing in its way."""
    hub, _ = units
    for _ in range(2):
        process = hub.start("--port", "0")
        assert process.stdout is not None
        next(line for line in process.stdout if '"listening"' in line)
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL


def test_worker_is_a_job_and_hears_sigterm(units: list[Unit], tmp_path: Path) -> None:
    """`KillMode=mixed` tells `run` alone; the command gets the signal once, through it."""
    _, worker = units
    assert worker.service["KillMode"] == "mixed"
    program(
        tmp_path / "local" / "load",
        f"cd {tmp_path}; trap 'echo term >> heard; exit 9' TERM\n"
        "echo stage=load >> $JOBCTL_EVENTS; touch at_work; while :; do sleep 0.05; done",
    )
    process = worker.start()
    try:
        until((tmp_path / "at_work").exists, deadline_s=20)
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=20)
        assert process.returncode == 9, said
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert (tmp_path / "heard").read_text() == "term\n"
    store = open_store(worker.state)
    (job,) = store.since(ZERO).jobs
    store.close()
    assert (job.type, job.stage) == ("load", "failed")
    assert [entry.stage for entry in job.timeline()] == ["pending", "fetch", "load", "failed"]


def test_units_share_user_and_directory(units: list[Unit]) -> None:
    """Or the one could not read what the other writes."""
    hub, worker = units
    for key in ("User", "StateDirectory", "StateDirectoryMode", "Environment"):
        assert hub.service[key] == worker.service[key], key
    assert os.path.basename(hub.service["Environment"]) == hub.service["StateDirectory"]
