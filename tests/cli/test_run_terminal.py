"""Interactive programs under ``jobctl run`` on a terminal: as without it.

Each runs in a shell in tmux, which is the terminal that is looked at.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import command, environment
from tests.stores.support import until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux"),
]


class Screen:
    """A shell on a terminal of 80 columns and 24 lines."""

    def __init__(self, path: Path) -> None:
        self._socket = path / "tmux"
        self._env = environment(TERM="xterm-256color", JOBCTL_DIR=str(path / "jobs"))
        for name in ("TMUX", "COLUMNS", "LINES"):  # a size in the environment is curses' only one
            self._env.pop(name, None)
        shell = "bash --norc --noprofile -i"
        self.tmux("new-session", "-d", "-s", "test", "-x", "80", "-y", "24", "-c", str(path), shell)

        self.prompt = ""

    def tmux(self, *args: str) -> str:
        """Run a command of tmux; return what it prints."""
        return subprocess.run(
            ["tmux", "-S", str(self._socket), "-f", "/dev/null", *args],
            env=self._env, capture_output=True, text=True, check=True, timeout=20,
        ).stdout  # fmt: skip

    def text(self) -> str:
        """What is on the screen."""
        return self.tmux("capture-pane", "-p", "-t", "test")

    def type(self, *keys: str) -> None:
        """Press keys; ``text Enter`` are two."""
        self.tmux("send-keys", "-t", "test", *keys)

    def resize(self, columns: int, lines: int) -> None:
        """Change the size of the terminal."""
        self.tmux("resize-window", "-t", "test", "-x", str(columns), "-y", str(lines))

    def until(self, *texts: str) -> None:
        """Wait until all of these are on the screen."""
        try:
            until(lambda: all(text in self.text() for text in texts), deadline_s=15)
        except AssertionError:
            pytest.fail(f"none of {texts} in:\n{self.text()}")

    def at_prompt(self) -> None:
        """Check that the shell has its terminal back: echo, line ends, line editing."""
        until(lambda: self.prompt in map(str.strip, self.text().splitlines()), deadline_s=15)
        self.type("echo at-$((40 + 2)); stty -a", "Enter")
        self.until("\nat-42\nspeed", " icanon ", " echo ", " onlcr ")


@pytest.fixture
def screen(tmp_path: Path) -> Iterator[Screen]:
    """A shell whose directory has a long file."""
    (tmp_path / "text").write_text("".join(f"line {count}\n" for count in range(200)))
    made = Screen(tmp_path)
    try:
        made.until("bash-")
        made.prompt = made.text().strip()
        yield made
    finally:
        made.tmux("kill-server")


def needs(program: str) -> pytest.MarkDecorator:
    """Skip the case where the program is not installed."""
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"needs {program}")


def run(screen: Screen, line: str) -> None:
    """Type the command, tracked."""
    (Path(screen._socket).parent / "tracked").write_text(
        "#!/bin/sh\nexec " + " ".join(command("run", "--")) + ' "$@"\n'
    )
    screen.type(f"clear; sh {Path(screen._socket).parent}/tracked {line}", "Enter")


@needs("vim")
def test_vim(screen: Screen) -> None:
    """Drawing, keys, another size, Ctrl-Z and fg, writing."""
    run(screen, "vim -u NONE -N -c 'set nomore' text")
    screen.until("line 0\n", "line 22\n")
    screen.type("G")
    screen.until("line 199\n")
    screen.resize(100, 30)
    screen.until("line 171\n")
    screen.type("C-z")
    screen.until("Stopped")
    screen.at_prompt()
    screen.type("clear; fg", "Enter")
    screen.until("line 171\n", "line 199\n")
    screen.type("o", "added", "Escape", ":wq", "Enter")
    screen.at_prompt()
    assert (Path(screen._socket).parent / "text").read_text().endswith("line 199\nadded\n")


@needs("less")
def test_less(screen: Screen) -> None:
    """Which reads the keyboard from its standard error."""
    run(screen, "less text")
    screen.until("line 22\n")
    screen.type("/line 150", "Enter")
    screen.until("line 150\n", "line 172\n")
    screen.type("C-z")
    screen.until("Stopped", "\nbash-")
    screen.type("clear; fg", "Enter")
    screen.until("line 150\n")
    screen.type("q")
    screen.at_prompt()


@needs("nano")
def test_nano(screen: Screen) -> None:
    """Which reads the keyboard from standard input."""
    run(screen, "nano -I text")
    screen.until("GNU nano", "line 10\n")
    screen.type("hello", "C-o", "Enter")
    screen.until("helloline 0", "Wrote 200 lines")
    screen.resize(100, 30)
    screen.until("line 22\n")
    screen.type("C-x")
    screen.at_prompt()
    assert (Path(screen._socket).parent / "text").read_text().startswith("helloline 0\n")


@needs("dialog")
def test_dialog(screen: Screen) -> None:
    """Which draws on standard output and answers on standard error."""
    run(screen, "dialog --menu Choose 10 30 3 a one b two 2>answer")
    screen.until("Choose", "two")
    screen.type("Down", "Enter")
    screen.at_prompt()
    assert (Path(screen._socket).parent / "answer").read_text().endswith("b")


@pytest.mark.parametrize(
    ("program", "sees"),
    [
        pytest.param("top", "PID", marks=needs("top")),
        pytest.param("htop", "PID", marks=needs("htop")),
    ],
)
def test_top(screen: Screen, program: str, sees: str) -> None:
    """Redrawn all the time, in another size too."""
    run(screen, program)
    screen.until(sees)
    screen.resize(100, 30)
    until(lambda: sees in screen.text())
    screen.type("q")
    screen.at_prompt()


def test_shell_with_jobs(screen: Screen) -> None:
    """A shell of its own takes the terminal and gives it back."""
    run(screen, "bash --norc --noprofile -i")
    screen.until("bash-")
    screen.type("echo go-$((40 + 2)); sleep 50", "Enter")
    screen.until("go-42\n")
    time.sleep(0.3)  # until it has the terminal
    screen.type("C-z")
    screen.until("Stopped", "\nbash-")
    assert "no job control" not in screen.text()
    screen.type("jobs; fg", "Enter")
    screen.until("sleep 50\nsleep 50")
    time.sleep(0.3)
    screen.type("C-c")
    screen.type("exit 3", "Enter")
    screen.at_prompt()


def test_interpreter_and_password(screen: Screen) -> None:
    """Errors before the next prompt; what is typed blindly is not shown."""
    run(screen, f"{sys.executable} -q")
    screen.until("\n>>>")
    screen.type("1 / 0", "Enter")
    screen.until("ZeroDivisionError: division by zero\n>>>")
    screen.type("import getpass; len(getpass.getpass())", "Enter")
    screen.until("Password:")
    screen.type("hunter2", "Enter")
    screen.until("\n7\n>>>")
    assert "hunter2" not in screen.text()
    screen.type("C-d")
    screen.at_prompt()


def test_tmux_within(screen: Screen) -> None:
    """Which passes its terminal on to its server."""
    inner = Path(screen._socket).parent / "inner"
    run(screen, f"env -u TMUX tmux -S {inner} -f /dev/null new 'bash --norc --noprofile'")
    screen.until("[0] 0:")
    screen.type("echo in-$((40 + 3))", "Enter")
    screen.until("in-43\n")
    screen.type("exit", "Enter")
    screen.until("[exited]")
    screen.at_prompt()
    assert not os.path.exists(inner) or inner.is_socket()
