"""A shell on a pseudo-terminal, and what became of the terminal."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pexpect
import pytest

from tests.cli.conftest import environment

__all__ = ["PROGRAM", "ShellTerminal", "opened"]

PROGRAM = f"{sys.executable} -m tests.cli.terminal.session_program"
_PROMPT = "ready> "
_AT_PROMPT = r"[\r\n](\x1b\[[\d;]*[mJK])*" + _PROMPT
_START = {
    "bash": ["--norc", "--noprofile", "-i"],
    "dash": ["-i"],
    "zsh": ["-f", "-i", "+o", "prompt_sp"],
}
_PREPARE = {
    "bash": "bind 'set enable-bracketed-paste off'",
    "zsh": "unset zle_bracketed_paste",
    "dash": "true",
}
"""What would look like something that the program left behind."""


class ShellTerminal:
    """A shell that runs one full-screen program after the other."""

    def __init__(self, shell: str, terminal: Any) -> None:
        self.shell = shell
        self.terminal = terminal
        self._log = ""
        self._before = self.modes()

    def start(self, line: str, until: str = r"keys \|") -> None:
        """Run a program and wait for this on the screen."""
        self.terminal.sendline(line)
        self.expect(until)

    def expect(self, pattern: str) -> str:
        """Wait for the pattern; return what came before and with it."""
        self.terminal.expect(pattern)
        shown = str(self.terminal.before) + str(self.terminal.after)
        self._log += shown
        return shown

    def send(self, keys: str) -> None:
        """Press keys."""
        self.terminal.send(keys)

    def until_prompt(self) -> str:
        """Wait for the prompt on a line of its own; return what came before it."""
        return self.expect(_AT_PROMPT)

    def ask(self, line: str) -> str:
        """Run a line that prints something; return the output."""
        self.terminal.sendline(line + "; echo asked-$((40 + 2))")
        shown = self.expect("asked-42\r+\n")
        self.until_prompt_soon()
        return shown.replace("\r", "")

    def until_prompt_soon(self) -> None:
        """Wait for the prompt after a command that ended its line."""
        self.expect(_PROMPT)

    def modes(self) -> str:
        """The modes as a program that is started sees them."""
        return re.search(r"[0-9a-f]+(:[0-9a-f]+){10,}", self.ask("stty -g"))[0]  # type: ignore[index]

    def pid(self) -> int:
        """The process id on the newest frame."""
        return int(re.findall(r"pid (\d+)", self._log)[-1])

    @property
    def is_on_normal_screen(self) -> bool:
        """Whether the alternate screen was left."""
        return self._log.rfind("\x1b[?1049l") > self._log.rfind("\x1b[?1049h")

    def assert_restored(self, code: int | None = None) -> None:
        """Check everything that a program may leave behind; at the prompt."""
        for on, off in (("1049l", "1049h"), ("25h", "25l"), ("7h", "7l"), ("2004l", "2004h")):
            at = self._log.rfind(f"\x1b[?{on}")
            assert at > self._log.rfind(f"\x1b[?{off}"), (on, self._log)
        if code is not None:
            assert f"\ncode-{code}\n" in self.ask("echo code-$?")
        self.assert_restored_modes()

    def assert_restored_modes(self) -> None:
        """Check the modes alone."""
        assert self.modes() == self._before


@contextmanager
def opened(
    shell: str, *, rows: int = 24, columns: int = 80, **more: str
) -> Iterator[ShellTerminal]:
    """The shell at its prompt; skips the test where it is not installed."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    env = environment(TERM="xterm-256color", PS1=_PROMPT, PROMPT=_PROMPT, **more)
    for name in ("COLUMNS", "LINES", "NO_COLOR", "TMUX"):
        if name not in more:
            env.pop(name, None)
    terminal = pexpect.spawn(
        shell, _START[shell], env=env, dimensions=(rows, columns), encoding="utf-8", timeout=20
    )
    try:
        terminal.expect(_PROMPT)
        terminal.sendline(_PREPARE[shell])
        terminal.expect(_AT_PROMPT)
        yield ShellTerminal(shell, terminal)
    finally:
        terminal.close(force=True)


def parent_of(pid: int) -> int:
    """The process that started it."""
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])


def children_of(pid: int) -> list[int]:
    """The processes that it has started."""
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(text) for text in file.read().split()]


def is_gone(pid: int) -> bool:
    """Whether there is no such process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False
