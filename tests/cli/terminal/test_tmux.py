"""A session in tmux, which has a real alternate screen: what a user sees before and after."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from jobctl import api
from jobctl.stores import open_store
from tests.cli.conftest import environment
from tests.stores.support import until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux"),
]


class Tmux:
    """A shell in tmux."""

    def __init__(self, path: Path) -> None:
        self._socket = path / "tmux"
        self._env = environment(TERM="xterm-256color", JOBCTL_DIR=str(path / "jobs"))
        for name in ("TMUX", "COLUMNS", "LINES", "NO_COLOR"):
            self._env.pop(name, None)
        shell = "env PS1='ready> ' bash --norc --noprofile -i"
        self("new-session", "-d", "-s", "test", "-x", "80", "-y", "24", shell)

    def __call__(self, *args: str) -> str:
        """Run a command of tmux; return what it prints."""
        return subprocess.run(
            ["tmux", "-S", str(self._socket), "-f", "/dev/null", *args],
            env=self._env, capture_output=True, text=True, check=True, timeout=20,
        ).stdout  # fmt: skip

    def rows(self) -> list[str]:
        """The rows on the screen, without blank ones at the end."""
        return self("capture-pane", "-p", "-t", "test").rstrip("\n").split("\n")

    def state(self) -> str:
        """Whether the alternate screen is shown, the cursor, and wrapping."""
        form = "#{alternate_on} #{cursor_flag} #{wrap_flag}"
        return self("display-message", "-p", "-t", "test", form).strip()

    def type(self, *keys: str) -> None:
        """Press keys; ``text Enter`` are two."""
        self("send-keys", "-t", "test", *keys)

    def until(self, text: str) -> list[str]:
        """Wait until this is on the screen; return the rows."""
        try:
            until(lambda: any(text in row for row in self.rows()), deadline_s=15)
        except AssertionError:
            pytest.fail("\n".join([f"no {text!r} in:", *self.rows()]))
        return self.rows()

    def at_prompt(self) -> list[str]:
        """Wait until the last row is a prompt, on a normal screen; return the rows."""
        until(lambda: self.rows()[-1] == "ready>", deadline_s=15)
        assert self.state().startswith("0 1 1")
        return self.rows()


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Tmux]:
    """A shell whose directory has five jobs."""
    with closing(open_store(tmp_path / "jobs", create=True)) as store:
        for number in range(5):
            api.create(
                store, "etl", id=f"job-{number}", stages=["load", "save"], title="漢字 ❤\ufe0f"
            )
            api.advance(store, f"job-{number}")
    made = Tmux(tmp_path)
    try:
        made.until("ready>")
        made.type("echo before", "Enter")
        made.until("before")
        yield made
    finally:
        made("kill-server")


def test_a_session(tmux: Tmux) -> None:
    """What was on the screen before is there afterwards, then the last frame, then the prompt."""
    tmux.type(f"{sys.executable} -m tests.cli.terminal.session_program", "Enter")
    rows = tmux.until("keys |")
    assert rows[0].startswith("size 80x24")
    assert rows[1:] == ["row 0 step 0", "row 1 step 0", "row 2 step 0", "keys |"]
    assert tmux.state() == "1 0 0"
    tmux.type("Up", "PPage", "Escape")
    tmux.until("<esc>|")
    tmux("resize-window", "-t", "test", "-x", "50", "-y", "10")
    tmux.until("size 50x10")
    tmux("resize-window", "-t", "test", "-x", "100", "-y", "30")
    tmux.until("size 100x30")
    tmux.type("C-z")
    tmux.until("Stopped")
    assert "row 0 step 0" not in tmux.at_prompt()
    tmux.type("fg", "Enter")
    assert tmux.until("keys <up><pgup><esc>|")[0].startswith("size 100x30")
    tmux.type("q")
    rows = tmux.at_prompt()
    assert "before" in rows
    assert rows[-2:] == ["the last frame", "ready>"]


def test_a_paste_is_no_key(tmux: Tmux) -> None:
    """It could cancel a job."""
    tmux.type(f"{sys.executable} -m tests.cli.terminal.session_program", "Enter")
    tmux.until("keys |")
    tmux("set-buffer", "cyq")
    tmux("paste-buffer", "-p", "-t", "test")
    tmux.type("j")
    tmux.until("keys j|")
    tmux.type("q")
    tmux.at_prompt()


def test_watch(tmux: Tmux) -> None:
    """Whatever size the terminal gets; the frame and the prompt stay at the end."""
    tmux.type(f"{sys.executable} -m jobctl watch", "Enter")
    tmux.until("job-0")
    for columns, rows in ((40, 12), (200, 50), (80, 24)):
        tmux("resize-window", "-t", "test", "-x", str(columns), "-y", str(rows))
        until(lambda rows=rows: len(tmux.rows()) <= rows and "job-0" in "".join(tmux.rows()))
    tmux.type("C-z")
    tmux.until("Stopped")
    tmux.at_prompt()
    tmux.type("fg", "Enter")
    tmux.until("job-0")
    tmux.type("q")
    rows = tmux.at_prompt()
    assert "before" in rows
    assert sum("job-" in row for row in rows) >= 5
