"""What ``jobctl run`` does with its command's output: passed on unchanged, in order, and kept."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest

from jobctl import config
from jobctl.cli.options import LogMode
from jobctl.core import pipeline
from jobctl.core.cursor import ZERO
from jobctl.core.job import Job
from jobctl.core.log import BOTH, STDERR, STDOUT, decode_lines
from jobctl.core.redaction import redact
from jobctl.stores import Store, logs_of, open_store
from tests.cli.conftest import command, environment, run_process
from tests.stores.support import until

pytestmark = pytest.mark.slow


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """The store that the commands use."""
    monkeypatch.setenv("JOBCTL_DIR", str(tmp_path / "jobs"))
    for name in list(os.environ):
        if re.search(r"TOKEN|SECRET|PASSWORD|KEY", name) or name == "JOBCTL_LOG":
            monkeypatch.delenv(name)
    made = open_store(tmp_path / "jobs", create=True)
    yield made
    made.close()


def only(store: Store) -> Job:
    """The one job there is."""
    (job,) = store.since(ZERO).jobs
    return job


def kept(store: Store, id: str = "job") -> list[tuple[str, str]]:
    """The lines of the job's log, each with its stream."""
    logs = logs_of(store)
    assert logs is not None
    lines, at = [], 0
    while (part := logs.read_log(id, at)) is not None and part.data:
        lines += list(decode_lines(part.data))
        at = part.end
    return [
        (line.stream, line.text.decode()) for line in lines if line.stream in (STDOUT, STDERR, BOTH)
    ]


def shell(line: str, *argv: str, options: tuple[str, ...] = (), **popen: Any) -> Any:
    """Run a line of a shell; in it ``"$@"`` is the command, tracked as the job ``job``."""
    popen.setdefault("env", environment())
    ours = command("run", "--id", "job", *options, "--", *argv)
    return subprocess.run(
        ["bash", "-c", line, "bash", *ours], capture_output=True, timeout=50, check=False, **popen
    )


SAYS = ("sh", "-c", "echo out; echo err >&2; echo more")

# -- passed on ---------------------------------------------------------------------------------

ALTERNATING = """
import os, random
chance = random.Random(7)
block = chance.randbytes(1 << 16).replace(b"\\n", b"x")
left = [50 << 20, 50 << 20]
while any(left):
    for at in 0, 1:
        line = block[: min(chance.randrange(1, 1 << chance.randrange(8, 16)), left[at])]
        left[at] -= len(line)
        line = line[:-1] + b"\\n"[: len(line)]
        while line: line = line[os.write(at + 1, line):]
"""


def test_every_byte_comes_through_in_order(store: Store) -> None:
    """50 MB on each of both streams, in alternating lines, through one pipe."""
    digests = []
    for argv in (
        [sys.executable, "-c", ALTERNATING],
        command("run", "--id", "job", sys.executable, "-c", ALTERNATING),
    ):
        with subprocess.Popen(
            argv, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as process:
            assert process.stdout is not None
            digest, size = hashlib.sha256(), 0
            while data := process.stdout.read(1 << 20):
                digest.update(data)
                size += len(data)
        assert (process.returncode, size) == (0, 100 << 20)
        digests.append(digest.digest())
    assert digests[0] == digests[1]
    assert only(store).stage == "completed"


def test_order_is_kept_in_a_pipe(store: Store) -> None:
    """Prompts before errors, a progress bar before what is printed after it."""
    text = """
import sys
for count in range(300):
    sys.stderr.write(f"\\r{count}%"); sys.stderr.flush()
    if count % 3 == 0: sys.stderr.write("\\n")
    print("printed", count, flush=True)
"""
    argv = (sys.executable, "-c", text)
    bare = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True)
    ran = shell('"$@" 2>&1', *argv)
    assert ran.stdout == bare.stdout
    assert kept(store)[:3] == [(BOTH, "0%"), (BOTH, "printed 0"), (BOTH, "1%printed 1")]


def test_order_is_kept_in_a_file(store: Store, tmp_path: Path) -> None:
    """The command has the very file."""
    text = "import os, sys; print(os.fstat(1).st_ino == os.fstat(2).st_ino == %d, flush=True)"
    for line in ('"$@" >file 2>&1', '"$@" &>file', '"$@" >>file 2>&1', '"$@" 2>file >&2'):
        (tmp_path / "file").write_text("old\n")
        inode = (tmp_path / "file").stat().st_ino
        argv = (sys.executable, "-c", (text % inode) + "; sys.stderr.write('err\\n'); sys.exit(3)")
        ran = shell(line, *argv, cwd=tmp_path)
        assert (ran.returncode, ran.stdout, ran.stderr) == (3, b"", b"")
        said = "True\nerr\n"
        assert (tmp_path / "file").read_text() == ("old\n" + said if ">>" in line else said)
        assert kept(store) == [(BOTH, "True"), (BOTH, "err")]
        assert only(store).error == "Exit code 3: err"
        store.remove("job")


def test_reader_that_went_away_ends_the_command(store: Store) -> None:
    """By SIGPIPE, whichever of the streams it writes to, also while it is silent."""
    for text in ("while :; do echo out; done", "while :; do echo err >&2; done"):
        ran = shell('"$@" 2>&1 | head -1; echo ${PIPESTATUS[0]}', "sh", "-c", text)
        assert ran.stdout.split()[1] == b"141"
        assert only(store).command.signal == "SIGPIPE"  # type: ignore[union-attr]
        store.remove("job")
    ran = shell('"$@" 2>&1 | true; echo ${PIPESTATUS[0]}', "sh", "-c", "sleep 0.5; echo; exit 0")
    assert ran.stdout == b"141\n"


def test_slow_reader_holds_the_command_back(store: Store) -> None:
    """Nothing piles up in memory, and nothing is lost."""
    text = (
        "import os; block = b'x' * 65535 + b'\\n'; [os.write(1 + i % 2, block) for i in range(800)]"
    )
    with subprocess.Popen(
        command("run", "--id", "job", sys.executable, "-c", text),
        env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        size = len(os.read(process.stdout.fileno(), 1))
        time.sleep(1)
        status = Path(f"/proc/{process.pid}/status").read_text()
        assert int(re.search(r"VmHWM:\s+(\d+)", status)[1]) < 80_000  # type: ignore[index]
        assert process.poll() is None
        size += len(process.stdout.read())
    assert (size, process.returncode) == (800 << 16, 0)


def test_what_it_leaves_behind_does_not_hold_the_channel(store: Store) -> None:
    """A daemon that keeps both streams open loses them after two seconds."""
    began_s = time.monotonic()
    ran = shell('"$@" 2>&1 | cat', "sh", "-c", "sleep 30 & echo $!; echo said >&2")
    pid, said = ran.stdout.split()
    os.kill(int(pid), signal.SIGKILL)
    assert time.monotonic() - began_s < 10
    assert said == b"said"


def test_closed_standard_output_stays_closed(store: Store) -> None:
    """And standard error is kept."""
    ran = shell('"$@" >&-', "sh", "-c", "echo out; echo err >&2; exit 0")
    assert ran.returncode == 0
    assert b"err\n" in ran.stderr
    assert kept(store)[-1] == (STDERR, "err")


# -- kept --------------------------------------------------------------------------------------


def test_data_is_not_kept(store: Store, tmp_path: Path) -> None:
    """What standard output leads to elsewhere is the command's own, unless --log all."""
    text = "import os; print(os.fstat(1).st_ino, flush=True); os.write(2, b'err\\n')"
    argv = (sys.executable, "-c", text)
    for line, own in (('"$@" >file', True), ('"$@" | cat >file', False)):
        ran = shell(line, *argv, cwd=tmp_path)
        assert ran.stderr == b"err\n"
        inode = (tmp_path / "file").read_text().strip()
        assert (int(inode) == (tmp_path / "file").stat().st_ino) == own
        assert kept(store) == [(STDERR, "err")]
        store.remove("job")
        ran = shell(line, *argv, options=("--log", "all"), cwd=tmp_path)
        out = (tmp_path / "file").read_text().strip()
        assert (int(out) == (tmp_path / "file").stat().st_ino) == own
        assert sorted(kept(store)) == [(STDERR, "err"), (STDOUT, out)]
        store.remove("job")


def test_output_of_the_background_is_kept(store: Store, tmp_path: Path) -> None:
    """Nobody reads it, so nothing of it is data; but what leads to a file is."""
    text = "echo out; echo err >&2; echo more; exit 3"
    ran = shell('"$@" 2>&1', "sh", "-c", text, options=("-d",))
    assert ran.stdout == b"job\n"
    until(lambda: only(store).stage == "failed")
    assert kept(store) == [(BOTH, "out"), (BOTH, "err"), (BOTH, "more")]
    assert only(store).error == "Exit code 3: more"
    store.remove("job")
    shell('"$@" 2>err', "sh", "-c", text, options=("-d",), cwd=tmp_path)
    until(lambda: only(store).stage == "failed")
    assert sorted(kept(store)) == [(STDERR, "err"), (STDOUT, "more"), (STDOUT, "out")]
    assert (tmp_path / "err").read_text() == "err\n"


def test_choices_are_the_same_everywhere() -> None:
    """Each layer has a list of its own."""
    assert tuple(LogMode) == pipeline.LOG_MODES == config._CHOICES["log"]


def test_modes_and_their_precedence(store: Store, tmp_path: Path) -> None:
    """The option, the environment, the type, the file."""
    fails = ("sh", "-c", "echo said; exit 1")
    settings = tmp_path / "jobctl.toml"
    for setting, variable, options, argv, is_kept in [
        ("", "", ("--no-log",), fails, False),
        ("", "off", (), fails, False),
        ("", "off", ("--log", "on"), fails, True),
        ("log = 'off'", "", (), fails, False),
        ("log = 'off'", "on", (), fails, True),
        ("log = 'off'\n[types.run]\nlog = 'on'", "", (), fails, True),
        ("log = 'on'\n[types.run]\nlog = 'off'", "", (), fails, False),
        ("[types.run]\nlog = 'off'", "on", (), fails, True),
        ("[types.other]\nlog = 'off'", "", (), fails, True),
        ("log = 'on-failure'", "", (), fails, True),
        ("log = 'on-failure'", "", (), ("echo", "said"), False),
        ("", "", ("--no-relay",), fails, False),
    ]:
        settings.write_text(setting)
        env = environment(**({"JOBCTL_LOG": variable} if variable else {}))
        ran = shell('"$@" 2>&1', *argv, options=options, env=env, cwd=tmp_path)
        assert ran.stdout == b"said\n"
        expected = [(BOTH, "said")] if is_kept else []
        assert kept(store) == expected, (setting, variable, options, argv)
        store.remove("job")


@pytest.mark.parametrize(
    ("options", "variable", "setting", "says"),
    [
        (("--log", "some"), "", "", "--log"),
        (("--log", "on", "--no-log"), "", "", "--no-log contradicts --log"),
        ((), "some", "", "$JOBCTL_LOG is none of on, all, on-failure, off"),
        ((), "", "log = false", "log is not a text"),
        ((), "", "log = 'some'", "log is none of on, all, on-failure, off"),
        ((), "", "[types.run]\nlog = 'some'", "types.run.log is none of"),
    ],
)
def test_bad_modes_are_told_in_one_line(
    store: Store, tmp_path: Path, options: tuple[str, ...], variable: str, setting: str, says: str
) -> None:
    """And nothing runs."""
    (tmp_path / "jobctl.toml").write_text(setting)
    env = environment(**({"JOBCTL_LOG": variable} if variable else {}))
    ran = shell('"$@"', "echo", "ran", options=options, env=env, cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (125, b"")
    assert ran.stderr.count(b"\n") == 1
    assert says in ran.stderr.decode()


def test_no_relay_keeps_nothing_and_says_so(store: Store) -> None:
    """Once, if it was asked to keep output."""
    ran = shell('"$@"', "true", options=("--no-relay", "--log", "on"))
    assert ran.stderr == b"jobctl: --log has no effect with --no-relay: no output is kept\n"


def test_log_that_cannot_be_written_costs_the_log_only(store: Store, tmp_path: Path) -> None:
    """As on a full disk: one warning, in the end."""
    (tmp_path / "jobs" / ".jobctl").mkdir(exist_ok=True)
    (tmp_path / "jobs" / ".jobctl" / "logs").write_text("")
    ran = shell('"$@"', *SAYS)
    assert (ran.returncode, ran.stdout) == (0, b"out\nmore\n")
    assert ran.stderr.startswith(b"err\n")
    assert ran.stderr.count(b"\n") == 2
    assert b"some output of the command is not kept" in ran.stderr
    assert only(store).stage == "completed"


# -- secrets -----------------------------------------------------------------------------------


def test_secrets_are_masked(store: Store) -> None:
    """In the log, in the error and in the title; not in what is passed on."""
    text = "echo $API_TOKEN; echo get https://u:p4ss@h/x; echo $API_TOKEN failed >&2; exit 3"
    ran = shell('API_TOKEN=tok-123456 "$@" 2>&1', "sh", "-c", text, "tok-123456", "ftp://u:p4ss@h")
    assert ran.stdout == b"tok-123456\nget https://u:p4ss@h/x\ntok-123456 failed\n"
    assert kept(store) == [(BOTH, "***"), (BOTH, "get https://***@h/x"), (BOTH, "*** failed")]
    job = only(store)
    assert job.error == "Exit code 3: *** failed"
    assert job.command is not None
    assert job.command.stderr == ("***", "get https://***@h/x", "*** failed")
    shell('API_TOKEN=tok-123456 "$@"', "echo", "tok-123456", "ftp://u:p4ss@h",
          options=("--id", "title"))  # fmt: skip
    assert store.get("title").title == "echo '***' 'ftp://***@h'"
    shown = redact(store.get("title"), details=False)
    assert shown.title == "echo"


def test_secrets_in_a_given_title_are_masked(store: Store) -> None:
    """As in the title that is made from the command."""
    shell(
        'API_TOKEN=tok-123456 "$@"', "true", options=("--title", "load tok-123456 ftp://u:p4ss@h")
    )
    assert only(store).title == "load *** ftp://***@h"


def test_command_names_secrets(store: Store) -> None:
    """They count for the output that follows, at once, and are recorded nowhere."""
    text = """
echo mask=xyzzy >> $JOBCTL_EVENTS
echo said xyzzy
sleep 0.3
echo 'mask=plugh' > $JOBCTL_EVENTS
echo said plugh
echo xyzzy >&2
exit 4
"""
    ran = shell('"$@" 2>&1', "sh", "-c", text)
    assert ran.stdout == b"said xyzzy\nsaid plugh\nxyzzy\n"
    assert kept(store) == [(BOTH, "said ***"), (BOTH, "said ***"), (BOTH, "***")]
    assert only(store).error == "Exit code 4: ***"


# -- terminals ---------------------------------------------------------------------------------


def spawn(*argv: str, options: tuple[str, ...] = ()) -> Any:
    """The command, tracked, on a terminal of its own."""
    line = command("run", "--id", "job", *options, "--", *argv)
    return pexpect.spawn(
        line[0], line[1:], env=environment(TERM="xterm"), timeout=20, dimensions=(31, 101),
        encoding="utf-8",
    )  # fmt: skip


def test_terminal_is_the_commands_own(store: Store) -> None:
    """So nothing that is interactive can work otherwise than without us."""
    text = "import os; print([os.ttyname(fd) == os.ctermid() or os.ttyname(fd) for fd in range(3)])"
    text += "; print(os.tcgetpgrp(2) == os.getpgrp())"
    terminal = spawn(sys.executable, "-c", text)
    terminal.expect(r"\['(/dev/pts/\d+)', '(/dev/pts/\d+)', '(/dev/pts/\d+)'\]\r\nTrue")
    assert terminal.match is not None
    assert len(set(terminal.match.groups())) == 1
    terminal.expect(pexpect.EOF)
    until(lambda: only(store).stage == "completed")
    assert kept(store) == []


def test_terminal_is_kept_if_asked(store: Store) -> None:
    """Through one pseudo-terminal, in order, with its size, as the last state of each line."""
    text = """
import os, signal, sys
print(os.ttyname(1) == os.ttyname(2), [tuple(os.get_terminal_size(fd)) for fd in (1, 2)])
signal.signal(signal.SIGWINCH, lambda *_: print(os.get_terminal_size(2).columns, flush=True))
for count in range(100):
    sys.stderr.write(f"\\r{count} of 100"); sys.stderr.flush()
    sys.stdout.write(f" out {count}"); sys.stdout.flush()
print()
print("\\x1b[?1049hhidden\\x1b[?1049lshown", input("more? "))
"""
    terminal = spawn(sys.executable, "-c", text, options=("--log", "on"))
    terminal.expect_exact("True [(101, 31), (101, 31)]\r\n")
    terminal.expect_exact("".join(f"\r{count} of 100 out {count}" for count in range(100)))
    terminal.expect_exact("more? ")
    terminal.setwinsize(40, 90)
    terminal.expect_exact("90\r\n")
    terminal.sendline("yes")
    terminal.expect_exact("shown yes\r\n")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0
    lines = [text for _, text in kept(store)]
    assert lines[:2] == ["True [(101, 31), (101, 31)]", "99 of 100 out 99"]
    assert lines[-1] == "shown yes"


def test_interpreter_on_a_terminal_that_is_kept(store: Store) -> None:
    """The traceback comes before the next prompt."""
    terminal = spawn(sys.executable, "-q", "-i", "-c", "", options=("--log", "on"))
    for _ in range(5):
        terminal.expect_exact(">>> ")
        terminal.sendline("1 / 0")
        terminal.expect_exact("ZeroDivisionError: division by zero\r\n")
    terminal.expect_exact(">>> ")
    terminal.sendline("exit(7)")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 7
    assert only(store).error == "Exit code 7: >>> exit(7)" or only(store).stage == "failed"


def test_password_is_not_echoed_on_a_terminal_that_is_kept(store: Store) -> None:
    """Settings of the terminal are changed there, and undone."""
    text = "import getpass; print(len(getpass.getpass()))"
    terminal = spawn(sys.executable, "-c", text, options=("--log", "on"))
    terminal.expect_exact("Password: ")
    terminal.sendline("hunter2")
    terminal.expect_exact("7\r\n")
    assert "hunter2" not in (terminal.before or "")
    terminal.expect(pexpect.EOF)


def test_a_secret_with_a_lone_surrogate_does_not_fail_the_job(store: Store) -> None:
    """It is valid JSON, and what a command reports never decides over its exit status."""
    script = r"""printf '%s\n' 'mask="\ud800abcdefgh"' >> $JOBCTL_EVENTS; echo hello >&2"""
    done = subprocess.run(
        command("run", "--id", "job", "--", "sh", "-c", script),
        env=environment(),
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"hello\n")
    assert only(store).stage == "completed"
    assert kept(store) == [(STDERR, "hello")]


@pytest.mark.parametrize(
    ("options", "where", "kept"),
    [
        (("--log", "all"), ">/dev/null 2>&1", "a\nb\n"),
        (("--log", "on"), ">/dev/null 2>&1", "a\nb\n"),
        (("--log", "on"), "2>/dev/null", "b\n"),
        (("--log", "on"), ">/dev/null", "b\n"),
        (("--log", "all"), ">/dev/null", "a\nb\n"),
        ((), ">/dev/null 2>&1", ""),
    ],
)
def test_discarded_output_is_kept_where_a_log_is_asked_for(
    store: Store, options: tuple[str, ...], where: str, kept: str
) -> None:
    """As in a crontab."""
    line = shlex.join(command("run", "--id", "n", *options, "--", "sh", "-c", "echo a; echo b >&2"))
    subprocess.run(f"{line} {where}", shell=True, env=environment(), check=True, timeout=30,
                   capture_output=True)  # fmt: skip
    lines = run_process("logs", "n").out.splitlines(keepends=True)
    assert "".join(sorted(lines)) == kept  # two pipes, so in any order


def test_secret_in_a_failure_that_the_command_tells_is_masked(store: Store) -> None:
    """At once, not only when the command has ended."""
    fail = shlex.join(command("fail"))
    script = f'{fail} "bad $MY_TOKEN"; cat "$JOBCTL_DIR/n.json"'
    line = command("run", "--id", "n", "--", "sh", "-c", script)
    ran = subprocess.run(
        line, env=environment(MY_TOKEN="s3cret-word"), capture_output=True, text=True, timeout=30
    )
    assert '"error": "bad ***"' in ran.stdout
    assert "s3cret" not in ran.stdout


def test_time_limit_of_nothing_is_refused(store: Store) -> None:
    """It failed each command at once."""
    ran = run_process("run", "--timeout", "0", "--", "true")
    assert (ran.code, ran.err.count("\n")) == (125, 1)
    assert "--timeout 0 leaves the command no time" in ran.err


@pytest.mark.parametrize("refused", ["jobctl-relay", "jobctl-events", "jobctl-log", "jobctl-"])
def test_command_runs_without_a_thread_beside_it(store: Store, refused: str) -> None:
    """Where no more threads may be started (RLIMIT_NPROC), the command is waited for all the same.

    Its exit code is ours, and its output arrives.
    """
    program = (
        "import sys, threading\n"
        "from jobctl.work.run import RunOptions, run\n"
        "real = threading.Thread.start\n"
        "def start(thread):\n"
        f"    if thread.name.startswith({refused!r}) and thread.name != 'jobctl-recorder':\n"
        '        raise RuntimeError("can\'t start new thread")\n'
        "    real(thread)\n"
        "threading.Thread.start = start\n"
        "words = ['sh', '-c', 'echo stage=load >> $JOBCTL_EVENTS; sleep .3; echo no >&2; exit 3']\n"
        f"sys.exit(run(words, {store.where!r}, RunOptions(id='job')))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, "no" in done.stderr.split()) == (3, True), done.stderr
    job = only(store)
    assert (job.stage, [entry.stage for entry in job.timeline()][-2:]) == (
        "failed",
        ["load", "failed"],
    )
    if refused in ("jobctl-relay", "jobctl-"):
        assert "output is not kept: can't start new thread" in done.stderr


def test_a_defect_after_the_start_does_not_leave_the_command_alone(store: Store) -> None:
    """It is said, and the command is waited for."""
    program = (
        "import sys\n"
        "from jobctl.work.run import RunOptions, run\n"
        "def fail(): raise OSError('no room')\n"
        f"sys.exit(run(['sh', '-c', 'sleep 0.2; exit 4'], {store.where!r},"
        " RunOptions(id='job', on_start=fail)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, "no room; the command runs on" in done.stderr) == (4, True)
    assert only(store).error == "Exit code 4"
