"""A full-screen program in a shell: whatever ends it, the shell gets its terminal back."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pexpect
import pytest

from tests.cli.conftest import environment
from tests.cli.terminal.shell_terminal import (
    PROGRAM,
    ShellTerminal,
    children_of,
    is_gone,
    opened,
    parent_of,
)
from tests.stores.support import until

pytestmark = pytest.mark.slow

_STOPPED = re.compile("Stopped|suspended")


@pytest.fixture(params=["bash", "dash", "zsh"])
def shell(request: pytest.FixtureRequest) -> Iterator[ShellTerminal]:
    """Shells with and without line editing."""
    with opened(request.param) as made:
        yield made


@pytest.fixture
def bash() -> Iterator[ShellTerminal]:
    """One shell, for what does not depend on it."""
    with opened("bash") as made:
        yield made


def test_a_key_ends_it(shell: ShellTerminal) -> None:
    """The last frame stays on the normal screen, above the prompt."""
    shell.start(PROGRAM)
    shell.send("j\x1b[A")
    shell.expect("<up>")
    shell.send("q")
    shown = shell.until_prompt()
    assert shown.partition("\x1b[?1049l")[2].startswith("\rthe last frame\r")
    shell.assert_restored(0)


_IGNORES_CHILDREN = (
    "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN);"
    " os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)


def test_it_ends_where_the_starter_ignores_the_end_of_children(bash: ShellTerminal) -> None:
    """An ignored SIGCHLD is inherited by programs, and the kernel then sends none."""
    python, _, arguments = PROGRAM.partition(" ")
    bash.start(f'{python} -c "{_IGNORES_CHILDREN}" {arguments}')
    bash.send("q")
    bash.until_prompt()
    bash.assert_restored(0)


def test_ctrl_c(shell: ShellTerminal) -> None:
    """The frame shown last stays."""
    shell.start(PROGRAM)
    shell.send("\x03")
    shown = shell.until_prompt().partition("\x1b[?1049l")[2]
    assert "size 80x24" in shown
    assert "row 2" in shown
    shell.assert_restored(130)


def test_ctrl_z_and_fg(shell: ShellTerminal) -> None:
    """The shell has a sane terminal meanwhile; then all is painted again."""
    shell.start(PROGRAM)
    shell.send("xy")
    shell.expect("y")
    for _ in range(2):
        shell.send("\x1a")
        shell.until_prompt()
        shell.assert_restored()
        shell.start("fg", r"keys xy\|")
        assert not shell.is_on_normal_screen
    shell.send("z")
    shell.expect("z")
    shell.send("q")
    shell.until_prompt()
    shell.assert_restored(0)


def test_ctrl_backslash(shell: ShellTerminal) -> None:
    """It ends by that signal."""
    shell.start(PROGRAM)
    shell.send("\x1c")
    shell.until_prompt()
    shell.assert_restored(131)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT])
@pytest.mark.parametrize("which", ["child", "parent"])
def test_a_signal_to_one_process(bash: ShellTerminal, which: str, number: signal.Signals) -> None:
    """Whichever of the two a process list names."""
    bash.start(PROGRAM)
    pid = bash.pid()
    os.kill(pid if which == "child" else parent_of(pid), number)
    bash.until_prompt()
    bash.assert_restored(128 + number)
    assert is_gone(pid)


def test_kill_9(shell: ShellTerminal) -> None:
    """The supervisor restores the terminal before the shell's prompt."""
    shell.start(PROGRAM)
    os.kill(shell.pid(), signal.SIGKILL)
    shown = shell.until_prompt()
    assert "\x1b[?1049l" in shown
    shell.assert_restored(137)


def test_kill_9_of_the_supervisor(shell: ShellTerminal) -> None:
    """The other process restores the terminal and ends; the shell may be faster."""
    shell.start(PROGRAM)
    pid = shell.pid()
    os.kill(parent_of(pid), signal.SIGKILL)
    shell.expect(r"\x1b\[\?1049l")
    until(lambda: is_gone(pid))
    shell.send("\r")
    shell.until_prompt_soon()
    shell.ask("true")
    shell.assert_restored()


def test_kill_9_of_the_whole_job(shell: ShellTerminal) -> None:
    """As by ``kill -9 %1``: the screen is restored all the same."""
    if shell.shell == "dash":
        pytest.skip("dash does not restore the modes, as it does not for any program")
    shell.start(PROGRAM)
    pid = shell.pid()
    os.killpg(os.getpgid(pid), signal.SIGKILL)
    shell.expect(r"\x1b\[\?1049l")
    shell.send("\r")  # the prompt may have been on the alternate screen
    shell.until_prompt_soon()
    shell.ask("true")
    shell.assert_restored()


def test_nothing_of_it_is_left(bash: ShellTerminal) -> None:
    """Neither a process nor a zombie."""
    for end in ("q", "\x03", "!"):
        bash.start(PROGRAM)
        bash.send(end)
        bash.until_prompt()
        assert children_of(bash.terminal.pid) == []


def test_a_crash(shell: ShellTerminal) -> None:
    """The traceback is on the normal screen."""
    shell.start(PROGRAM)
    shell.send("!")
    shown = shell.until_prompt().partition("\x1b[?1049l")[2]
    assert "Traceback" in shown
    assert "RuntimeError: crashed as asked\r\n" in shown
    shell.assert_restored(1)


def test_an_abort(shell: ShellTerminal) -> None:
    """What was written to standard error before is not lost."""
    shell.start(PROGRAM)
    shell.send("wa")
    shown = shell.until_prompt().partition("\x1b[?1049l")[2]
    assert "a warning\r\n" in shown
    shell.assert_restored(134)


def test_standard_error_is_shown_at_the_end(bash: ShellTerminal) -> None:
    """On the screen it would spoil the frame; one that goes elsewhere is left alone."""
    bash.start(PROGRAM)
    bash.send("w")
    bash.send("j")
    assert "warning" not in bash.expect("j")
    bash.send("q")
    assert "the last frame\r\r\na warning\r\n" in bash.until_prompt()
    bash.start(f"{PROGRAM} 2>/dev/null")
    bash.send("wq")
    assert "warning" not in bash.until_prompt()


def test_keys_after_the_last_are_the_shells(shell: ShellTerminal) -> None:
    """They are not lost, and shown once, by the shell."""
    shell.start(PROGRAM)
    shell.send("jqecho typed-$((20 + 3))\r")
    shown = shell.expect("typed-23")
    assert "keys je" not in shown
    shell.until_prompt()
    shell.assert_restored(0)


def test_in_the_background_it_stops(shell: ShellTerminal) -> None:
    """As less and htop; ``fg`` shows it, and its modes are not taken from the shell's editor."""
    shell.send(f"{PROGRAM} &\r")
    shell.until_prompt()
    until(lambda: _STOPPED.search(shell.ask("jobs")), deadline_s=20)
    assert "\x1b[?1049h" not in shell.ask("true")
    shell.assert_restored_modes()
    shell.start("fg")
    shell.send("\x1a")
    shell.until_prompt()
    shell.send("bg\r")
    until(lambda: _STOPPED.search(shell.ask("jobs")), deadline_s=20)
    shell.start("fg")
    shell.send("q")
    shell.until_prompt()
    shell.assert_restored(0)


def test_stop_and_continue_by_signals(bash: ShellTerminal) -> None:
    """SIGSTOP cannot be handled, so the supervisor restores the terminal."""
    bash.start(PROGRAM)
    os.kill(bash.pid(), signal.SIGSTOP)
    bash.until_prompt()
    bash.assert_restored()
    bash.start("fg")
    bash.send("q")
    bash.until_prompt()
    bash.assert_restored(0)


def test_without_a_supervisor(bash: ShellTerminal) -> None:
    """All but ``kill -9`` is restored as well."""
    for end, code in (("q", 0), ("\x03", 130), ("\x1c", 131), ("!", 1)):
        bash.start(f"{PROGRAM} --alone")
        bash.send("\x1a")
        bash.until_prompt()
        bash.assert_restored()
        bash.start("fg")
        bash.send(end)
        bash.until_prompt()
        bash.assert_restored(code)


def test_it_is_repainted(bash: ShellTerminal) -> None:
    """By Ctrl-L, and in a new size."""
    bash.start(PROGRAM)
    bash.send("\x0c")
    bash.expect(r"\[2J.*size 80x24.*keys \|")
    bash.terminal.setwinsize(10, 40)
    bash.expect(r"\[2J.*size 40x10.*keys \|")
    bash.terminal.setwinsize(50, 200)
    bash.expect(r"\[2J.*size 200x50.*keys \|")
    bash.send("q")
    bash.until_prompt()
    bash.assert_restored(0)


def test_another_size_while_it_is_stopped(bash: ShellTerminal) -> None:
    """``fg`` finds it."""
    bash.start(PROGRAM)
    bash.send("\x1a")
    bash.until_prompt()
    bash.terminal.setwinsize(12, 50)
    bash.start("fg", "size 50x12")


@pytest.mark.parametrize(
    ("size", "env", "shown"),
    [
        ((24, 80), {"COLUMNS": "33", "LINES": "9"}, "80x24"),
        ((0, 0), {"COLUMNS": "33", "LINES": "9"}, "33x9"),
        ((0, 0), {}, "80x24"),
        ((0, 0), {"COLUMNS": "x", "LINES": "-1"}, "80x24"),
    ],
)
def test_the_size_is_the_terminals(size: tuple[int, int], env: dict[str, str], shown: str) -> None:
    """The environment's counts only where the terminal has none."""
    with opened("dash", rows=size[0], columns=size[1], **env) as shell:
        shell.start(PROGRAM, f"size {shown} ")
        shell.send("q")
        shell.until_prompt_soon()


@pytest.mark.parametrize("option", ["", "--alone"])
def test_a_terminal_that_is_closed(option: str) -> None:
    """As a window in which it runs without a shell: only the first process is told."""
    program = pexpect.spawn(
        f"{PROGRAM} {option}", env=environment(TERM="xterm-256color"), encoding="utf-8", timeout=20
    )
    program.expect(r"pid (\d+)[^$]*keys \|")
    pids = [program.pid, int(program.match[1])]
    os.close(program.child_fd)
    try:
        until(lambda: all(map(has_ended, pids)), deadline_s=5)
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        os.waitpid(program.pid, 0)
        program.closed = True


def has_ended(pid: int) -> bool:
    """Whether it is gone or a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
