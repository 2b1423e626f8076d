"""What a program can see of itself is the same under ``jobctl run`` as without."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jobctl.stores import open_store
from tests.cli.conftest import command, environment

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs /proc"),
]

PROGRAM = Path(__file__).with_name("see_itself.py")
C_LIBRARYS = 1 << 31 | 1 << 32
"""Two signals that glibc uses itself, and ignores in what posix_spawn(3) starts."""


@pytest.fixture(autouse=True)
def _store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBCTL_DIR", str(tmp_path / "jobs"))
    open_store(tmp_path / "jobs", create=True).close()


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Both ends of a pseudo-terminal of an unusual size and with unusual settings."""
    master, slave = os.openpty()
    termios.tcsetwinsize(slave, (31, 101))
    settings = termios.tcgetattr(slave)
    settings[3] &= ~termios.ECHOE
    termios.tcsetattr(slave, termios.TCSANOW, settings)
    yield master, slave
    os.close(slave)
    os.close(master)


def take_terminal() -> None:
    """Make standard input the controlling terminal, with us in its foreground."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def on_pipes(tmp_path: Path) -> dict[str, Any]:
    """As in a pipeline."""
    return {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}


def on_files(tmp_path: Path) -> dict[str, Any]:
    """As with <in >out 2>err."""
    names = {"stdin": "in", "stdout": "out", "stderr": "err"}
    for name in names.values():
        (tmp_path / name).touch()
    return {key: open(tmp_path / name, "r+b") for key, name in names.items()}


def in_background(tmp_path: Path) -> dict[str, Any]:
    """As with & in a script: no keyboard, and its interrupt ignored."""
    return {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}


SHELLS: dict[str, tuple[Callable[[Path], dict[str, Any]], str]] = {
    "pipes": (on_pipes, '"$@"; true'),
    "files": (on_files, '"$@"; true'),
    "background": (in_background, '"$@" & wait'),
    "nohup": (on_pipes, 'nohup "$@"; true'),
    "closed 0": (on_files, '"$@" <&-; true'),
    "closed 1": (on_files, '"$@" >&-; true'),
    "closed 2": (on_files, '"$@" 2>&-; true'),
    "all closed": (on_files, '"$@" <&- >&- 2>&-; true'),
    "more descriptors": (on_files, '"$@" 7<in 9>>out; true'),
    "ignored": (on_pipes, 'trap "" PIPE XFSZ HUP INT QUIT TERM USR1 TSTP; "$@"; true'),
    "limits": (on_pipes, 'ulimit -n 200; ulimit -c 0; ulimit -s 4096; umask 027; "$@"; true'),
    "nice": (on_pipes, 'nice -n 7 "$@"; true'),
    "no language": (on_pipes, 'unset LANG LC_ALL LC_CTYPE; "$@"; true'),
    "odd variables": (on_pipes, 'env "A B=c" EMPTY= "$@"; true'),
    "own process group": (on_pipes, 'setsid "$@"; true'),
    "cpus": (on_pipes, 'taskset -c 0 "$@"; true'),
    "scheduling": (on_pipes, 'chrt --batch 0 "$@"; true'),
    "rights": (on_pipes, 'setpriv --no-new-privs "$@"; true'),
}  # fmt: skip


def view(tmp_path: Path, prefix: list[str], script: str, **popen: Any) -> dict[str, Any]:
    """What the program sees of itself, as the shell script starts it."""
    told = tmp_path / "told.json"
    program = [sys.executable, "-S", "-E", str(PROGRAM), str(told)]
    process = subprocess.Popen(
        ["sh", "-c", script, "sh", *prefix, *program], cwd=tmp_path, env=environment(), **popen
    )
    process.communicate(timeout=50)
    for stream in ("stdin", "stdout", "stderr"):
        if hasattr(popen.get(stream), "close"):
            popen[stream].close()
    seen: dict[str, Any] = json.loads(told.read_text())
    told.unlink()
    return comparable(seen, process.pid, {process.stdin, process.stdout, process.stderr})


def comparable(seen: dict[str, Any], shell: int, streams: object) -> dict[str, Any]:
    """Replace what differs from start to start by what it is."""
    own, parent = seen.pop("pid"), seen.pop("parent")
    for key in ("group", "session", "foreground"):
        value = seen[key]
        names = {own: "its own", parent: "its own", shell: "the shell's"}
        # A group of its own is the wrapper's, in which the command stays.
        seen[key] = names.get(value, value)
    seen["status"]["SigIgn"] = f"{int(seen['status']['SigIgn'], 16) & ~C_LIBRARYS:x}"
    for fd, link in seen["descriptors"].items():
        if link.startswith(("pipe:", "socket:")):
            seen["descriptors"][fd] = link.partition(":")[0]
    seen["environment"] = {
        key: value for key, value in seen["environment"].items() if not key.startswith("JOBCTL_")
    }
    return seen


def without_relayed(seen: dict[str, Any], fds: tuple[str, ...]) -> dict[str, Any]:
    """Leave out where the descriptors lead that go through the wrapper."""
    return {**seen, "descriptors": {**seen["descriptors"], **dict.fromkeys(fds, "relayed")}}


@pytest.mark.parametrize("name", SHELLS)
def test_program_sees_the_same(tmp_path: Path, name: str) -> None:
    """But for JOBCTL_*, its parent, and where standard error leads."""
    streams, script = SHELLS[name]
    for tool in ("setsid", "taskset", "chrt", "setpriv"):
        if tool in script and shutil.which(tool) is None:
            pytest.skip(f"needs {tool}")
    (tmp_path / "in").touch()
    bare = view(tmp_path, [], script, **streams(tmp_path))
    for options in (["--no-relay"], []):
        prefix = command("run", *options, "--")
        tracked = view(tmp_path, prefix, script, **streams(tmp_path))
        if not options and "2" in bare["descriptors"]:
            assert tracked["descriptors"]["2"] in (bare["descriptors"]["2"], "pipe")
            bare, tracked = without_relayed(bare, ("2",)), without_relayed(tracked, ("2",))
        assert tracked == bare


@pytest.mark.parametrize("options", [["--no-relay"], []])
def test_program_sees_the_same_terminal(
    tmp_path: Path, terminal: tuple[int, int], options: list[str]
) -> None:
    """Also the controlling one, in its foreground, with its size and settings.

    Standard error is a terminal of the same size, without output processing.
    """
    slave = terminal[1]

    def on_terminal() -> dict[str, Any]:
        return {
            "stdin": slave, "stdout": slave, "stderr": slave,
            "start_new_session": True, "preexec_fn": take_terminal,
        }  # fmt: skip

    script = '"$@"; true'
    bare = view(tmp_path, [], script, **on_terminal())
    tracked = view(tmp_path, command("run", *options, "--"), script, **on_terminal())
    assert bare["terminal"]["0"] is not None
    assert bare["foreground"] == "the shell's"
    if not options:
        relayed, own = tracked["terminal"].pop("2"), bare["terminal"].pop("2")
        assert relayed["size"] == own["size"]
        bare, tracked = without_relayed(bare, ("2",)), without_relayed(tracked, ("2",))
    assert tracked == bare
