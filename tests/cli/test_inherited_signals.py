"""Signals that were ignored before: ``nohup``, a script's ``&``, systemd's IgnoreSIGPIPE."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from jobctl.stores import open_store
from tests.cli.conftest import command, environment, run_process
from tests.stores.support import until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs /proc"),
]

NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGPIPE", "SIGXFSZ")


def ignored_by(text: str) -> set[str]:
    """The names of those that a /proc/PID/status says are ignored."""
    mask = int(next(line for line in text.split("\n") if line.startswith("SigIgn:")).split()[1], 16)
    return {name for name in NAMES if mask >> signal.Signals[name] - 1 & 1}


@pytest.fixture(autouse=True)
def _store(jobs_dir: Path) -> None:
    open_store(jobs_dir, create=True).close()


READ = ("cat", "/proc/self/status")


@pytest.mark.parametrize("trap", ["PIPE", "XFSZ", "PIPE XFSZ HUP INT TERM", "HUP", ""])
def test_what_a_shell_ignores_stays_ignored(trap: str) -> None:
    """Python ignores SIGPIPE and SIGXFSZ itself, so the shell is asked."""
    script = f"{'trap' if trap else ':'} '' {trap}; \"$@\"; true"
    seen = []
    for argv in (READ, command("run", "--", *READ)):
        shell = ["sh", "-c", script, "sh", *argv]
        seen.append(ignored_by(subprocess.check_output(shell, env=environment(), text=True)))
    assert seen[0] == seen[1] == {f"SIG{name}" for name in trap.split()}


def test_background_command_is_as_the_shell_wants_it(tmp_path: Path) -> None:
    """With -d, a process of ours is between the shell and the command."""
    told = tmp_path / "told"
    script = (
        f"trap '' PIPE; \"$@\" sh -c 'cat /proc/self/status > {told}.new; mv {told}.new {told}'"
    )
    argv = ["sh", "-c", f"{script}; true", "sh", *command("run", "-d", "--")]
    assert subprocess.run(argv, env=environment(), capture_output=True, check=False).returncode == 0
    until(told.exists)
    assert ignored_by(told.read_text()) == {"SIGPIPE"}


def test_service_of_systemd_ignores_a_broken_pipe() -> None:
    """As IgnoreSIGPIPE= is set by default; its process is told its own id."""
    script = 'SYSTEMD_EXEC_PID=$$ exec "$@"'
    argv = ["sh", "-c", script, "sh", *command("run", "--", *READ)]
    assert ignored_by(subprocess.check_output(argv, env=environment(), text=True)) == {"SIGPIPE"}
    below = environment(SYSTEMD_EXEC_PID=str(os.getpid()))  # a service's child is not the service
    ran = subprocess.check_output(command("run", "--", *READ), env=below, text=True)
    assert ignored_by(ran) == set()


@pytest.mark.parametrize("name", ["serve", "watch", "wait"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_command_that_lasts_keeps_ignoring(name: str, number: signal.Signals) -> None:
    """A script's background command must not end by the Ctrl-C that is for the script."""
    run_process("create", "--id", "j")
    args = {"serve": ["--port", "0"], "watch": [], "wait": ["j"]}[name]

    def ignore() -> None:
        signal.signal(number, signal.SIG_IGN)

    process: subprocess.Popen[Any] = subprocess.Popen(
        command(name, *args), env=environment(), preexec_fn=ignore,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    status = Path(f"/proc/{process.pid}/status")
    try:
        if name == "serve":
            assert process.stderr is not None
            assert b"serving" in process.stderr.readline()
        else:
            until(lambda: "SigCgt:\t0000000000000000" not in status.read_text())
            time.sleep(1)  # nothing tells from outside when it waits
        assert signal.Signals(number).name in ignored_by(status.read_text())
        process.send_signal(number)
        time.sleep(0.3)
        assert process.poll() is None
        other = signal.SIGTERM if number == signal.SIGINT else signal.SIGINT
        process.send_signal(other)
        assert process.wait(10) == (0 if name == "serve" else 128 + other)
    finally:
        process.kill()
        process.communicate()
