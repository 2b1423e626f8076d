"""Running the command line: in this process for speed, in its own for what only a process shows."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from jobctl.cli import app
from jobctl.config import user_file

ROOT = Path(__file__).parent.parent.parent
DATA = ROOT / "tests" / "data"

DERIVED = {"active", "cancelled", "stalled", "lost", "elapsedMs", "etaMs"}


class Ran(NamedTuple):
    """What a run of the command line came to."""

    code: int
    out: str
    err: str


Run = Callable[..., Ran]


def stand_in(path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new ``project`` there to work in; nothing but its own settings names jobs."""
    for name in ("JOBCTL_DIR", "JOBCTL_URL", "SUDO_UID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(path / "config"))
    project = path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    return project


def own_settings(text: str) -> Path:
    """The user's own settings file."""
    path = user_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def jobs_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of jobs that every command takes for granted; it does not exist yet."""
    directory = tmp_path / "jobs"
    monkeypatch.setenv("JOBCTL_DIR", str(directory))
    return directory


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Run a command line in this process."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    hook = sys.unraisablehook

    def run_it(*args: str) -> Ran:
        capsys.readouterr()
        code = app.run(list(args))
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    yield run_it
    for number, handler in before.items():
        signal.signal(number, handler)
    sys.unraisablehook = hook


def environment(**more: str) -> dict[str, str]:
    """The environment of a child that finds this checkout."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **more}


def command(*args: str) -> list[str]:
    """The command line as a process."""
    return [sys.executable, "-m", "jobctl", *args]


def run_process(*args: str, env: dict[str, str] | None = None) -> Ran:
    """Run a command line in a process of its own."""
    done = subprocess.run(
        command(*args), env=env or environment(), capture_output=True, timeout=50, check=False
    )
    return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())


@contextmanager
def hub_on(directory: Path, *options: str) -> Iterator[str]:
    """The URL of a hub on the directory, in a process of its own."""
    hub = subprocess.Popen(
        command("serve", "--port", "0", "--dir", str(directory), "--log-format", "json", *options),
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert hub.stderr is not None
    try:
        events = (line for line in hub.stderr if '"listening"' in line)
        yield str(json.loads(next(events))["url"])
    finally:
        hub.terminate()
        hub.communicate(timeout=20)
