"""``jobctl watch`` in a shell: whatever ends it, the shell gets its terminal back."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from jobctl import api
from jobctl.stores import open_store
from tests.cli.terminal.shell_terminal import ShellTerminal, is_gone, opened
from tests.stores.support import until

pytestmark = pytest.mark.slow

_WATCH = f"{sys.executable} -m jobctl watch"


@pytest.fixture(params=["bash", "dash"])
def shell(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ShellTerminal]:
    """A shell whose directory has jobs."""
    with closing(open_store(tmp_path / "jobs", create=True)) as store:
        for number in range(3):
            api.create(store, "etl", id=f"job-{number}", stages=["load", "save"])
            api.advance(store, f"job-{number}")
    with opened(request.param, JOBCTL_DIR=str(tmp_path / "jobs")) as made:
        yield made


def processes(shell: ShellTerminal) -> list[int]:
    """The supervisor and the process that it watches."""
    found = []
    parent = shell.terminal.pid
    for _ in range(2):
        until(lambda parent=parent: children(parent))
        parent = children(parent)[-1]  # the guard was started before
        found.append(parent)
    return found


def children(pid: int) -> list[int]:
    """The processes that it has started."""
    return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def watch(shell: ShellTerminal) -> None:
    """Start it."""
    shell.start(_WATCH, "job-2[^$]*job-0")


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        pytest.param("q", 0, id="q"),
        pytest.param("\x03", 130, id="Ctrl-C"),
        pytest.param("\x1c", 131, id="Ctrl-Backslash"),
    ],
)
def test_a_key_ends_it(shell: ShellTerminal, keys: str, code: int) -> None:
    """The jobs stay on the normal screen."""
    watch(shell)
    shell.send(keys)
    shown = shell.until_prompt().partition("\x1b[?1049l")[2]
    assert "job-2" in shown
    shell.assert_restored(code)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
@pytest.mark.parametrize("which", [0, 1])
def test_a_signal_ends_it(shell: ShellTerminal, which: int, number: signal.Signals) -> None:
    """To the supervisor or to the other process."""
    watch(shell)
    pids = processes(shell)
    os.kill(pids[which], number)
    if number == signal.SIGKILL and which == 0:  # the shell may be faster
        shell.expect(r"\x1b\[\?1049l")
        until(lambda: is_gone(pids[1]))
        shell.ask("true")
        shell.assert_restored()
    else:
        shell.until_prompt()
        shell.assert_restored(128 + number)
    until(lambda: all(map(is_gone, pids)))


def test_ctrl_z_and_fg(shell: ShellTerminal) -> None:
    """All is painted again."""
    watch(shell)
    shell.send("\x1a")
    shell.until_prompt()
    shell.assert_restored()
    shell.start("fg", "job-2[^$]*job-0")
    shell.send("q")
    shell.until_prompt()
    shell.assert_restored(0)


def test_in_the_background_it_stops(shell: ShellTerminal) -> None:
    """It does not paint over the shell's lines."""
    shell.send(f"{_WATCH} &\r")
    shell.until_prompt()
    until(lambda: re.search("Stopped", shell.ask("jobs")), deadline_s=20)
    assert "job-2" not in shell.ask("true")
    shell.start("fg", "job-2[^$]*job-0")
    shell.send("q")
    shell.until_prompt()
    shell.assert_restored(0)


def test_keys_after_q_are_the_shells(shell: ShellTerminal) -> None:
    """They are not lost."""
    watch(shell)
    shell.send("qecho typed-$((20 + 3))\r")
    shell.expect("typed-23")
    shell.until_prompt()
    shell.assert_restored(0)


def test_an_error_is_on_the_normal_screen(shell: ShellTerminal, tmp_path: Path) -> None:
    """As any error of a command: one line."""
    shell.start(f"{_WATCH} job-1 job-9", "job-9")
    shell.until_prompt()
    shell.assert_restored_modes()
