"""Real shells on a terminal, with jobs to complete: what becomes of a line when Tab is pressed."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pexpect
import pytest

from jobctl.cli.completions import FILES
from tests.cli.conftest import ROOT

__all__ = ["Shell", "ShellFiles", "opened", "put_job"]

_TAB = "\t"
_ALL = "\x1b*"
"""Every candidate, one behind the other."""
_SAVE = "\x14"
"""Ctrl-T: the line goes into a file and is gone; a terminal shows it coloured and drawn anew."""
_TIMEOUT_S = 20

_START = {
    "bash": ["--norc", "--noprofile", "-i"],
    "zsh": ["-f", "-i"],
    "fish": ["--no-config", "-i"],
}
_PREPARE = {
    "bash": """
        save() { printf %s "$READLINE_LINE" >"$SAVED.new"; mv "$SAVED.new" "$SAVED"; }
        bind -x '"\\C-t": "save; READLINE_LINE= READLINE_POINT=0"'
        bind 'set bell-style none'
        bind 'set completion-query-items 0'
        bind 'set page-completions off'
        set +o history
        source "$SCRIPT"
    """,
    "zsh": """
        unsetopt auto_menu list_beep
        LISTMAX=10000
        save() { print -rn -- "$BUFFER" >"$SAVED.new"; mv "$SAVED.new" "$SAVED"; BUFFER= }
        zle -N save
        bindkey '^T' save
        zle -C everything complete-word _generic
        bindkey '\\e*' everything
        zstyle ':completion:everything:*' completer _all_matches _complete
        zstyle ':completion:everything:*' insert true
        [ -n "$AUTOLOAD" ] && fpath=("$AUTOLOAD" $fpath)
        autoload -Uz compinit
        compinit -u -D
        [ -n "$AUTOLOAD" ] || source "$SCRIPT"
    """,
    "fish": """
        function save
            commandline | string collect >$SAVED.new
            mv $SAVED.new $SAVED
            commandline ''
        end
        bind \\ct save
        source $SCRIPT
    """,
}


class ShellFiles:
    """Directories for a shell: ``jobs`` (its $JOBCTL_DIR), ``here``, and the rest of a home."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.jobs, self.here = root / "jobs", root / "here"
        for folder in (self.jobs, self.here, root / "bin", root / "home"):
            folder.mkdir()
        self.ran = root / "ran"
        program = root / "bin" / "jobctl"
        program.write_text(
            "#!/bin/sh\n"
            f"""[ "$1" = __complete ] && exec '{sys.executable}' -m jobctl "$@"\n"""
            f"""printf '%s\\0' "$@" >'{self.ran}.new'; mv '{self.ran}.new' '{self.ran}'\n"""
        )
        program.chmod(0o755)

    def environment(self, **more: str) -> dict[str, str]:
        """What a shell finds: a ``jobctl`` that completes, and else notes what it was given."""
        return {
            "PATH": f"{self.root / 'bin'}:/usr/local/bin:/usr/bin:/bin",
            "PYTHONPATH": str(ROOT),
            "HOME": str(self.root / "home"),
            "JOBCTL_DIR": str(self.jobs),
            "LANG": "C.UTF-8",
            "TERM": "dumb",
            "PS1": "ready> ",
            **more,
        }


def put_job(directory: Path, id: str, *, age_s: float = 0, **more: object) -> None:
    """Put a job's file there that was written so long ago."""
    job = {
        "id": id,
        "type": "nightly",
        "sessionId": None,
        "stage": "load",
        "createdAt": "2026-10-04T01:19:13.817Z",
        "updatedAt": "2026-10-04T01:19:30.650Z",
        **more,
    }
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{id}.json"
    path.write_text(json.dumps(job, indent=2))
    now = time.time()
    os.utime(path, (now - age_s, now - age_s))


class Shell:
    """A shell that waits for a line."""

    def __init__(self, name: str, terminal: Any, files: ShellFiles, env: dict[str, str]) -> None:
        self.name = name
        self.files = files
        self._terminal = terminal
        self._env = env

    def tab(self, line: str, *, after: str = "") -> str:
        """The line after Tab was pressed behind ``line``, where ``after`` follows the cursor."""
        return self._press(line + after + "\x02" * len(after) + _TAB)

    def candidates(self, line: str) -> list[str]:
        """All that Tab would offer, without their quotation."""
        if self.name == "fish":
            return [row.split("\t")[0] for row in self._asked(line).splitlines()]
        before = line[: line.rfind(" ") + 1]
        after = self._press(line + _ALL)
        return shlex.split(after.removeprefix(before)) if after != line else []

    def listed(self, line: str) -> str:
        """What is shown for a choice (zsh and fish)."""
        if self.name == "fish":
            return self._asked(line)
        self._terminal.expect([pexpect.TIMEOUT], timeout=0)
        shown = len(self._terminal.before)
        self.tab(line)
        return str(self._terminal.before[shown:])

    def given(self, line: str) -> list[str]:
        """What ``jobctl`` is given when the line is completed and run."""
        self.files.ran.unlink(missing_ok=True)
        self._terminal.send(f"{line}{_TAB}\r")
        self._wait_for(self.files.ran)
        return self.files.ran.read_text().split("\0")[:-1]

    def _asked(self, line: str) -> str:
        """What fish answers, asked in the documented way."""
        code = f"source {self._env['SCRIPT']}; complete -C $argv[1]"
        done = subprocess.run(
            ["fish", "--no-config", "-c", code, line],
            env=self._env,
            cwd=self.files.here,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stderr == ""
        return done.stdout

    def _press(self, keys: str) -> str:
        saved = Path(self._env["SAVED"])
        saved.unlink(missing_ok=True)
        self._terminal.send(keys + _SAVE)
        self._wait_for(saved)
        return saved.read_text().rstrip("\n")

    def _wait_for(self, path: Path) -> None:
        """Until the file is there. The shell has to be read from all the while."""
        deadline_s = time.monotonic() + _TIMEOUT_S
        while not path.exists():
            assert time.monotonic() < deadline_s, self._terminal.before
            self._terminal.expect([pexpect.TIMEOUT], timeout=0.01)


@contextmanager
def opened(name: str, files: ShellFiles, **more: str) -> Iterator[Shell]:
    """The shell with our script loaded; skips the test where it is not installed."""
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    env = files.environment(
        SCRIPT=str(ROOT / "completions" / FILES[name]), SAVED=str(files.root / "saved"), **more
    )
    prepare = files.root / "prepare"
    prepare.write_text(_PREPARE[name])
    terminal = pexpect.spawn(
        name, _START[name], env=env, cwd=files.here, dimensions=(50, 200), encoding="utf-8",
        timeout=_TIMEOUT_S,
    )  # fmt: skip
    try:
        terminal.sendline(f"source {prepare}; echo load''ed")
        terminal.expect("loaded\r?\n")
        yield Shell(name, terminal, files, env)
    finally:
        terminal.close(force=True)
