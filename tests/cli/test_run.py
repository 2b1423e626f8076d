"""``jobctl run``: the command is as it is without us, and its job tells how it went."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pexpect
import pytest

from jobctl._clock import now
from jobctl.cli import run as run_module
from jobctl.core import transitions as jobs
from jobctl.core.cursor import ZERO
from jobctl.core.job import Job
from jobctl.core.times import parse_duration
from jobctl.core.transitions import CANCELLED
from jobctl.stores import Store, open_store
from jobctl.work.run import GRACE_S
from tests.cli.conftest import command, environment, run_process
from tests.stores.support import plant_owner, until

pytestmark = pytest.mark.slow

PYTHON = sys.executable


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """The store that the commands use; temporary files lie beside it."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setenv("JOBCTL_DIR", str(tmp_path / "jobs"))
    made = open_store(tmp_path / "jobs", create=True)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def tidy(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[None]:
    """Nothing is left behind, but by what was killed."""
    yield
    assert list((tmp_path / "tmp").glob("*")) == []
    left = list((tmp_path / "jobs").glob(".jobctl/jobctl-events-*"))
    assert len(left) == (1 if "kills" in request.keywords else 0)


def only(store: Store) -> Job:
    """The one job there is."""
    (job,) = store.since(ZERO).jobs
    return job


def jobctl_run(*argv: str, options: tuple[str, ...] = (), **popen: Any) -> Any:
    """Run the command tracked, and wait."""
    popen.setdefault("env", environment())
    return subprocess.run(
        command("run", *options, "--", *argv), capture_output=True, timeout=50, **popen
    )


@contextmanager
def started(*argv: str, options: tuple[str, ...] = (), **popen: Any) -> Iterator[Any]:
    """The command, tracked, until it has said something on standard output."""
    process = subprocess.Popen(
        command("run", *options, "--", *argv),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **popen,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def script(text: str) -> tuple[str, ...]:
    """A Python program."""
    return PYTHON, "-c", text


def test_grace_is_what_the_library_takes_it_for() -> None:
    """The command line names it without importing the runner."""
    grace = inspect.signature(run_module.run).parameters["grace"].default
    assert parse_duration(grace) == GRACE_S


# -- as without us ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["exit 0", "exit 1", "exit 255", "kill -TERM $$", "kill -KILL $$", "kill -INT $$",
     "kill -SEGV $$", "kill -PIPE $$", "kill -USR1 $$", "kill -HUP $$", "kill -34 $$"],
)  # fmt: skip
def test_end_is_the_commands_own(store: Store, text: str) -> None:
    """The same exit code, and the same signal for whoever waits for us."""
    bare = subprocess.run(["sh", "-c", text], check=False)
    ran = jobctl_run("sh", "-c", text)
    assert (ran.returncode, ran.stdout) == (bare.returncode, b"")
    job = only(store)
    assert job.stage == ("completed" if bare.returncode == 0 else "failed")
    assert job.command is not None
    if bare.returncode >= 0:
        assert (job.command.exit_code, job.command.signal) == (bare.returncode, None)
    else:
        assert job.command.exit_code is None
        assert job.error == job.command.signal
    through_a_shell = subprocess.run(
        ["sh", "-c", '"$@"; echo $?', "sh", *command("run", "sh", "-c", text)],
        env=environment(), capture_output=True, check=False, text=True,
    )  # fmt: skip
    shells = bare.returncode if bare.returncode >= 0 else 128 - bare.returncode
    assert through_a_shell.stdout == f"{shells}\n"


def test_own_errors_are_told_by_codes_of_their_own(store: Store, tmp_path: Path) -> None:
    """As with docker run: 125 for us, 126 and 127 for a command that cannot be started."""
    for code, args, says in [
        (125, ["--bogus", "true"], "No such option"),
        (125, [], "Missing argument"),
        (125, ["--stages", "a,a", "true"], "a stage stands twice"),
        (125, ["--id", "../x", "true"], "is not a job id"),
        (125, ["--dir", "", "true"], "--dir is empty"),
        (126, [str(tmp_path)], "Permission denied"),
        (127, ["no-such-command"], "command not found"),
        (127, ["/no/such"], "command not found"),
    ]:
        ran = run_process("run", *args)
        assert (ran.code, ran.out, ran.err.count("\n")) == (code, "", 1), args
        assert says in ran.err
    assert [job.stage for job in store.since(ZERO).jobs] == ["failed"] * 3


FLOOD = """
import os, random, sys
chance = random.Random(7)
block = chance.randbytes(1 << 20)
for fd in (1, 2) * 50:
    data = block
    while data:
        data = data[os.write(fd, data[:chance.randrange(1, 300_000)]):]
"""


def test_every_byte_comes_through(store: Store, tmp_path: Path) -> None:
    """50 MB on each of standard output and standard error, of every kind."""
    digests = []
    for argv in (script(FLOOD), tuple(command("run", *script(FLOOD)))):
        with (tmp_path / "out").open("wb") as out, (tmp_path / "err").open("wb") as err:
            subprocess.run(argv, env=environment(), stdout=out, stderr=err, check=True, timeout=50)
        files = [(tmp_path / name).read_bytes() for name in ("out", "err")]
        assert [len(data) for data in files] == [50 << 20] * 2
        digests.append([hashlib.sha256(data).digest() for data in files])
    assert digests[0] == digests[1]


PROCESS = """
import json, os
status = open("/proc/self/status").read().split()
print(json.dumps({
    "signals": {key: status[status.index(key) + 1] for key in ("SigBlk:", "SigIgn:", "SigCgt:")},
    "fds": sorted(os.listdir("/proc/self/fd")),
    "cwd": os.getcwd(), "umask": os.umask(0), "group": os.getpgrp(), "nice": os.nice(0),
    "env": {key: value for key, value in os.environ.items() if not key.startswith("JOBCTL_")},
}))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
@pytest.mark.parametrize("ignored", [False, True])
def test_process_is_as_without_us(store: Store, ignored: bool) -> None:
    """Signals, descriptors, group, environment: nothing of ours is passed on."""

    def ignore() -> None:
        if ignored:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell does for "&"
            signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # as trap '' TERM does

    def seen(argv: tuple[str, ...]) -> Any:
        ran = subprocess.run(
            argv, env=environment(), capture_output=True, preexec_fn=ignore, process_group=0,
            check=True,
        )  # fmt: skip
        value = json.loads(ran.stdout)
        del value["group"]
        # The C library ignores two signals of its own for what posix_spawn() starts.
        ignored = int(value["signals"].pop("SigIgn:"), 16) & ~(1 << 31 | 1 << 32)
        return value, ignored

    assert seen(tuple(command("run", *script(PROCESS)))) == seen(script(PROCESS))


@pytest.mark.parametrize("redirection", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-", "1>/dev/full"])
def test_closed_streams_stay_closed(store: Store, redirection: str) -> None:
    """FAULTS row 36: the command meets what it would meet without us."""
    text = "import os; os.write(1, b'x')"
    codes = [
        subprocess.run(
            ["sh", "-c", f'"$@" {redirection}', "sh", *argv],
            env=environment(), capture_output=True, check=False, timeout=50,
        ).returncode
        for argv in (script(text), command("run", *script(text)))
    ]  # fmt: skip
    assert codes[0] == codes[1]


def test_reader_of_standard_error_that_went_away(store: Store) -> None:
    """The command has the error that it would have had, and ends by it."""
    text = "import os\nwhile True: os.write(2, b'x' * 1000)"
    read, write = os.pipe()
    process = subprocess.Popen(command("run", *script(text)), env=environment(), stderr=write)
    os.close(write)
    assert os.read(read, 1000)
    os.close(read)
    assert process.wait(timeout=20) == 1
    assert only(store).stage == "failed"


def test_error_that_cannot_be_written_is_the_commands_own(store: Store) -> None:
    """FAULTS row 36: on a full disk the command sees the error that it would see without us."""
    text = "echo boom >&2 || exit 3"
    with open("/dev/full", "wb") as full:
        ran = subprocess.run(
            command("run", "sh", "-c", text), env=environment(), stderr=full, timeout=20
        )
    assert ran.returncode == 3
    assert only(store).error == "Exit code 3"


def test_what_it_leaves_behind_does_not_hold_us(store: Store) -> None:
    """A daemon that keeps standard error open: the command has ended all the same."""
    began = time.monotonic()
    ran = jobctl_run("sh", "-c", "sleep 30 >/dev/null & echo $!; echo said >&2")
    try:
        assert time.monotonic() - began < 10
        assert (ran.returncode, ran.stderr) == (0, b"said\n")
    finally:
        os.kill(int(ran.stdout), signal.SIGKILL)


# -- signals and terminals ----------------------------------------------------------------------

COUNTER = """
import signal, sys, time
got = []
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2,
               signal.SIGALRM, signal.SIGXCPU, signal.SIGABRT, signal.SIGRTMIN, signal.SIGPIPE,
               signal.SIGXFSZ, signal.SIGSEGV, signal.SIGTRAP, signal.SIGSYS, signal.SIGPROF):
    signal.signal(number, lambda number, _: got.append(number))
print("ready", flush=True)
end = time.monotonic() + 20
while not got and time.monotonic() < end: time.sleep(0.01)
time.sleep(0.5)
print([signal.Signals(number).name for number in got], flush=True)
"""


@pytest.mark.parametrize(
    "name",
    [
        "SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGXCPU", "SIGABRT",
        "SIGRTMIN", "SIGPIPE", "SIGXFSZ", "SIGSEGV", "SIGTRAP", "SIGSYS", "SIGPROF",
    ],
)  # fmt: skip
def test_signal_is_passed_on_once(store: Store, name: str) -> None:
    """FAULTS row 37: it is the command that answers it."""
    with started(*script(COUNTER)) as process:
        process.send_signal(signal.Signals[name])
        assert process.communicate(timeout=20)[0] == f"['{name}']\n"
        assert process.returncode == 0
    assert only(store).stage == "completed"


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs /proc")
def test_stop_and_continue_reach_both(store: Store) -> None:
    """SIGTSTP to the wrapper stopped the wrapper alone."""

    def state(pid: int) -> str:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]

    # A group without a parent outside of it is not stopped: nobody could continue it.
    with started(*SLEEP, process_group=0) as process:
        child = pid_of(process)
        process.send_signal(signal.SIGTSTP)
        until(lambda: (state(process.pid), state(child)) == ("T", "T"), what="both stopped")
        process.send_signal(signal.SIGCONT)
        until(lambda: "T" not in (state(process.pid), state(child)), what="both running")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == -signal.SIGTERM


def spawn(*argv: str, options: tuple[str, ...] = ()) -> Any:
    """The command, tracked, on a terminal of its own."""
    line = command("run", *options, "--", *argv)
    return pexpect.spawn(
        line[0], line[1:], env=environment(TERM="xterm"), timeout=20, dimensions=(31, 101),
        encoding="utf-8",
    )  # fmt: skip


def test_ctrl_c_reaches_the_command_once(store: Store) -> None:
    """The terminal sends it to both of us: we do not send it again."""
    terminal = spawn(*script(COUNTER))
    terminal.expect_exact("ready")
    terminal.sendintr()
    terminal.expect_exact("['SIGINT']")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0


def test_ctrl_c_ends_us_as_it_ends_the_command(store: Store) -> None:
    """By the signal, so that a shell's loop stops."""
    text = "import signal, time; signal.signal(2, signal.SIG_DFL); print('ready'); time.sleep(30)"
    terminal = spawn(*script(text))
    terminal.expect_exact("ready")
    terminal.sendintr()
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.signalstatus == signal.SIGINT
    assert (only(store).stage, only(store).error) == ("failed", "SIGINT")


def test_terminal_stays_one(store: Store) -> None:
    """For all three streams, with its size, also when that changes."""
    text = """
import os, signal, sys
def tell(*_):
    print([os.isatty(fd) for fd in range(3)], [tuple(os.get_terminal_size(fd)) for fd in range(3)])
signal.signal(signal.SIGWINCH, tell)
tell()
sys.stderr.write("one\\ntwo\\n")
input("more? ")
"""
    terminal = spawn(*script(text))
    terminal.expect_exact("[True, True, True] [(101, 31), (101, 31), (101, 31)]")
    terminal.expect_exact("one\r\ntwo\r\n")
    terminal.expect_exact("more? ")
    terminal.setwinsize(40, 90)
    terminal.expect_exact("[True, True, True] [(90, 40), (90, 40), (90, 40)]")
    terminal.sendline("")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0


@pytest.mark.parametrize("options", [(), ("--no-relay",)])
def test_interpreter_is_usable(store: Store, options: tuple[str, ...]) -> None:
    """Prompts, line editing, an interruption, an end.

    What goes through us may come after a prompt that does not: so there is --no-relay.
    """
    terminal = spawn(PYTHON, "-q", "-i", "-c", "", options=options)
    terminal.expect_exact(">>> ")
    terminal.sendline("6 * 7")
    terminal.expect_exact("42")
    terminal.expect_exact(">>> ")
    terminal.sendline("import time; time.sleep(30)")
    time.sleep(0.5)
    terminal.sendintr()
    terminal.expect_exact("KeyboardInterrupt")
    if options:
        terminal.expect_exact(">>> ")
    terminal.sendline("exit(7)")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 7


# -- what the job tells -------------------------------------------------------------------------


def test_job_keeps_command_directory_and_chosen_variables(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no variable that was not chosen."""
    monkeypatch.setenv("MODE", "full")
    monkeypatch.setenv("API_TOKEN", "hunter2-secret")
    options = ("--keep-env", "MODE", "--keep-env", "ABSENT", "--title", "Nightly", "--type", "etl")
    assert jobctl_run("true", "a b", options=options, cwd=tmp_path).returncode == 0
    job = only(store)
    assert (job.title, job.type, job.stage) == ("Nightly", "etl", "completed")
    ran = job.command
    assert ran is not None
    assert (ran.argv, ran.cwd, ran.env) == (("true", "a b"), str(tmp_path), {"MODE": "full"})
    assert (ran.exit_code, ran.signal) == (0, None)
    assert ran.duration_ms is not None
    assert "secret" not in (tmp_path / "jobs" / f"{job.id}.json").read_text()
    assert [entry.stage for entry in job.timeline()] == ["pending", "run", "completed"]


def test_values_of_kept_variables_stay_in_the_file(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAULTS row 65: output is piped and pasted; a person sees which variables are kept."""
    monkeypatch.setenv("SECRET", "hunter2")
    assert jobctl_run("true", options=("--keep-env", "SECRET")).returncode == 0
    job = only(store)
    assert job.command is not None
    assert job.command.env == {"SECRET": "hunter2"}
    said = [
        run_process(*args).out
        for args in (
            ("ls", "-o", "json"),
            ("ls", "-o", "jsonl"),
            ("show", job.id, "-o", "json"),
            ("show", job.id),
            ("wait", job.id, "-o", "json"),
        )
    ]
    assert all(job.id in text for text in said)
    assert not any("hunter2" in text for text in said)
    assert "SECRET" in said[3]


def test_failed_job_has_the_last_lines(store: Store) -> None:
    """Without colours, and of a progress bar its last state."""
    text = r"printf 'old\n' >&2; for i in 1 2 3; do printf '\r%s%%' $i >&2; done; "
    text += r"printf '\n\033[31mboom\033[0m\n' >&2; exit 3"
    ran = jobctl_run("sh", "-c", text)
    assert ran.returncode == 3
    assert ran.stderr == b"old\n\r1%\r2%\r3%\n\x1b[31mboom\x1b[0m\n"
    job = only(store)
    assert job.error == "Exit code 3: boom"
    assert job.command is not None
    assert job.command.stderr == ("old", "3%", "boom")


def test_result_with_duplicate_keys_is_told(store: Store) -> None:
    """In one line; the last one counts."""
    line = '{"rows": 1, "rows": 3}'
    ran = jobctl_run("sh", "-c", f"echo 'result={line}' >> $JOBCTL_EVENTS")
    assert (ran.returncode, ran.stderr.count(b"\n")) == (0, 1)
    assert b'the key "rows" stands twice: the last one counts' in ran.stderr
    assert only(store).result == {"rows": 3}


def test_command_reports_from_any_language(store: Store) -> None:
    """By lines in a file; one that makes no sense is warned of once."""
    text = """
echo stage=load >> "$JOBCTL_EVENTS"
echo nonsense >> "$JOBCTL_EVENTS"
echo more nonsense >> "$JOBCTL_EVENTS"
echo stage=nowhere >> "$JOBCTL_EVENTS"
echo 'progress=3/8 message=orders.csv' >> "$JOBCTL_EVENTS"
echo ready
read go
printf 'result={"rows": 3}' >> "$JOBCTL_EVENTS"
"""
    with started(
        "sh", "-c", text, options=("--stages", "fetch,load"), stdin=subprocess.PIPE
    ) as process:
        until(lambda: only(store).message == "orders.csv")
        assert only(store).stage == "load"
        assert only(store).fraction == 3 / 8
        _, err = process.communicate("\n", timeout=20)
    assert err.count("nonsense") == 1
    assert "cannot advance to 'nowhere'" in err
    assert only(store).result == {"rows": 3}
    assert [entry.stage for entry in only(store).timeline()] == [
        "pending", "fetch", "load", "completed",
    ]  # fmt: skip


def test_each_event_that_is_overwritten_later_counts(store: Store) -> None:
    """A tenth of a second lies between two writes with ``>``."""
    text = "for n in 1 2 3 4 5 6 7 8 9; do echo stage=s$n > $JOBCTL_EVENTS; sleep 0.1; done"
    ran = jobctl_run("sh", "-c", text)
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert [entry.stage for entry in only(store).timeline()][1:-1] == [
        "run", *(f"s{n}" for n in range(1, 10)),
    ]  # fmt: skip


def test_overwritten_event_is_warned_of(store: Store) -> None:
    """Once, with the cure."""
    text = "for n in 1 2 3 4 5 6 7 8 9; do echo progress=$n/9 > $JOBCTL_EVENTS; done"
    ran = jobctl_run("sh", "-c", text)
    assert (ran.returncode, ran.stderr.count(b"\n")) == (0, 1)
    assert b"may have been overwritten before they were read: use >>" in ran.stderr
    assert only(store).stage == "completed"


def test_events_lie_beside_the_jobs_and_leave_nothing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No cleaner of temporary files comes there; a file that is removed is made again."""
    monkeypatch.chdir(tmp_path)
    text = (
        "echo ready; echo $JOBCTL_EVENTS > where; rm $JOBCTL_EVENTS;"
        " echo message=1 >> $JOBCTL_EVENTS;"
        " while [ ! -e go ]; do sleep 0.05; done; mv ${JOBCTL_EVENTS%/*} gone; sleep 0.3;"
        " echo stage=2 >> $JOBCTL_EVENTS"
    )
    with started("sh", "-c", text) as process:
        until(lambda: only(store).message == "1")
        Path("go").touch()
        _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, "")
    path = Path(Path("where").read_text().strip())
    assert path.parent.parent == Path(store.where).absolute() / ".jobctl"
    assert [entry.stage for entry in only(store).timeline()][1:] == ["run", "2", "completed"]
    assert not path.parent.exists()


@pytest.mark.parametrize("event", ["progress=12,5", 'result={"rows":\n 3}'])
def test_event_that_was_meant_otherwise_says_what_was_expected(store: Store, event: str) -> None:
    """A decimal comma, and a result over several lines."""
    ran = jobctl_run("sh", "-c", f"printf '%s\n' '{event}' >> $JOBCTL_EVENTS")
    assert ran.returncode == 0
    assert b"expected" in ran.stderr
    assert only(store).stage == "completed"


def test_command_reports_by_our_own_commands(store: Store) -> None:
    """The id may be left out, and the directory is the same whatever that of the command is."""
    jobctl = " ".join(command())
    text = f"""
set -e
unset PWD; cd /
{jobctl} advance
{jobctl} progress 3/8 'orders of 5'
{jobctl} progress $JOBCTL_JOB 5/8
{jobctl} advance load
{jobctl} complete --result 5
"""
    ran = jobctl_run("sh", "-c", text, options=("--stages", "fetch,clean,load"))
    assert (ran.returncode, ran.stderr) == (0, b"")
    job = only(store)
    assert (job.stage, job.result) == ("completed", 5)
    assert [entry.stage for entry in job.timeline()] == [
        "pending", "fetch", "clean", "load", "completed",
    ]  # fmt: skip
    assert job.command is not None
    assert job.command.exit_code == 0


def test_ids_are_needed_outside(store: Store) -> None:
    """Left out where nobody knows which job is meant."""
    for args in (["advance"], ["progress", "3/8"], ["complete"], ["fail"]):
        assert run_process(*args).code == 2


def test_store_out_of_reach_is_warned_of_and_no_more(tmp_path: Path) -> None:
    """The command runs all the same, at once, and ends as it ends."""
    (tmp_path / "file").touch()
    env = environment(JOBCTL_DIR=str(tmp_path / "file"), TMPDIR=str(tmp_path))
    ran = jobctl_run("sh", "-c", "echo out; exit 3", env=env)
    assert (ran.returncode, ran.stdout) == (3, b"out\n")
    assert ran.stderr.count(b"\n") == 1
    assert b"not recorded, the work goes on" in ran.stderr


# -- death ------------------------------------------------------------------------------------


def pid_of(process: Any) -> int:
    """The command's process."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return int(children[0])


SLEEP = ("sh", "-c", "echo ready; exec sleep 30")


def test_killed_worker_fails_its_job(store: Store) -> None:
    """The wrapper says so at once."""
    with started(*SLEEP) as process:
        os.kill(pid_of(process), signal.SIGKILL)
        assert process.wait(timeout=10) == -signal.SIGKILL
    assert (only(store).stage, only(store).error) == ("failed", "SIGKILL")


@pytest.mark.kills
@pytest.mark.parametrize("both", [False, True])
def test_killed_wrapper_is_a_lost_job(store: Store, both: bool) -> None:
    """Seen within two seconds, and not before; reaped with the reason."""
    with started(*SLEEP) as process:
        worker = pid_of(process)
        assert not only(store).lost(store.owners.dead())
        assert run_process("reap").out == ""
        process.kill()
        began = time.monotonic()
        if both:
            os.kill(worker, signal.SIGKILL)
        until(lambda: only(store).lost(store.owners.dead()))
        assert time.monotonic() - began < 2
        listed = json.loads(run_process("ls", "-o", "json").out)["jobs"]
        assert [job["derived"]["lost"] for job in listed] == [True]
        assert "lost" in run_process("ls").out
        assert "which is gone" in run_process("show", only(store).id).out
        assert run_process("reap", "--dry-run").out == f"{only(store).id}\n"
        assert only(store).active
        assert run_process("reap").out == f"{only(store).id}\n"
        assert (only(store).error or "").startswith(f"Lost: process {process.pid} on ")
        assert run_process("reap").out == ""
        if not both:
            os.kill(worker, signal.SIGKILL)
    assert store.owners.dead() == frozenset()


@pytest.mark.kills
def test_stopped_wrapper_and_worker_are_not_lost(store: Store) -> None:
    """FAULTS row 39: Ctrl-Z, a laptop's sleep."""
    with started(*SLEEP) as process:
        pids = [process.pid, pid_of(process)]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        end = time.monotonic() + 1
        while time.monotonic() < end:
            assert not only(store).lost(store.owners.dead())
        for pid in reversed(pids):
            os.kill(pid, signal.SIGKILL)


# -- cancelling --------------------------------------------------------------------------------


def test_cancelled_command_is_ended(store: Store) -> None:
    """With all that it has started; twice is no error while it lasts, afterwards it is."""
    text = "trap 'exit 5' TERM; sleep 300 >/dev/null 2>&1 & echo ready; echo $!; wait"
    with started("sh", "-c", text) as process:
        grandchild = os.pidfd_open(int(process.stdout.readline()))
        try:
            first = subprocess.Popen(command("cancel", only(store).id), env=environment())
            assert run_process("cancel", only(store).id).code in (0, 1)
            assert first.wait(timeout=20) == 0
            assert process.wait(timeout=10) == 5
            ended, _, _ = select.select([grandchild], [], [], 5)  # readable once it has ended
            assert ended, "what the command started outlived it"
        finally:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(grandchild, signal.SIGKILL)
            os.close(grandchild)
    assert (only(store).stage, only(store).error) == ("failed", CANCELLED)
    assert only(store).command is not None
    assert only(store).command.exit_code == 5  # type: ignore[union-attr]
    again = run_process("cancel", only(store).id)
    assert (again.code, again.err.count("\n")) == (1, 1)
    assert "is 'failed'" in again.err


def test_command_that_ignores_it_is_killed(store: Store) -> None:
    """After --grace."""
    text = "trap '' TERM; echo ready; while :; do sleep 0.1; done"
    with started("sh", "-c", text, options=("--grace", "0.5")) as process:
        ran = run_process("cancel", only(store).id)
        assert (ran.code, ran.err) == (0, "")
        assert process.wait(timeout=10) == -signal.SIGKILL
    assert only(store).error == CANCELLED


def test_owner_that_does_not_answer_is_told(store: Store) -> None:
    """It stays asked, and answers when it wakes up."""
    with started(*SLEEP) as process:
        process.send_signal(signal.SIGSTOP)
        ran = run_process("cancel", "--timeout", "0.3", only(store).id)
        assert (ran.code, ran.err.count("\n")) == (124, 1)
        assert f"process {process.pid} on " in ran.err
        assert only(store).active
        process.send_signal(signal.SIGCONT)
        until(lambda: only(store).error == CANCELLED)


def test_nobodys_job_is_cancelled_as_before(store: Store) -> None:
    """Pending: at once. In another stage, with nobody known to work on it: an error."""
    for id in ("a", "b"):
        assert run_process("create", "etl", "--id", id).code == 0
    assert run_process("advance", "b", "load").code == 0
    assert run_process("cancel", "a").code == 0
    assert (store.get("a").stage, store.get("a").error) == ("failed", CANCELLED)
    ran = run_process("cancel", "b")
    assert (ran.code, store.get("b").stage) == (1, "load")


@pytest.mark.kills
def test_lost_job_is_cancelled_at_once(store: Store) -> None:
    """There is nobody to ask."""
    with started(*SLEEP) as process:
        worker = pid_of(process)
        process.kill()
        os.kill(worker, signal.SIGKILL)
        process.wait()
        assert run_process("cancel", only(store).id).code == 0
        assert only(store).error == CANCELLED


# -- again -------------------------------------------------------------------------------------


def test_retried_command_is_pending_and_nobody_takes_it_up(store: Store, tmp_path: Path) -> None:
    """``retry`` says so, and what does; where workers take such jobs up, it says nothing."""
    assert jobctl_run("sh", "-c", "test -e ok", cwd=tmp_path).returncode == 1
    id = only(store).id
    said = run_process("retry", id)
    assert (said.code, said.out) == (0, "")
    assert f"job {id} is pending, and nobody takes up a command by itself" in said.err
    (tmp_path / "ok").touch()
    again = re.search(r"'jobctl (.*?)'", said.err)
    assert again is not None
    assert run_process(*again[1].split()).code == 0
    job = only(store)
    assert (job.stage, job.retry_count) == ("completed", 1)
    store.update(id, lambda job: job.replace(stage="failed", completed_at=None))
    settings = tmp_path / "jobctl.toml"
    settings.write_text("[types.run]\nretry = true\n")
    quiet = subprocess.run(
        command("retry", id), env=environment(), cwd=tmp_path,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert quiet.stderr == ""
    settings.write_text("[types.run]\nretry = 1\n")
    refused = subprocess.run(
        command("retry", id), env=environment(), cwd=tmp_path,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "types.run.retry is neither true nor false" in refused.stderr


def test_id_is_told_on_a_terminal(store: Store) -> None:
    """Whoever wants to look at the job, or cancel it, needs it."""
    terminal = pexpect.spawn(
        sys.executable, ["-m", "jobctl", "run", "--", "true"], env=environment(), timeout=20
    )
    terminal.expect(r"jobctl: job ([0-9a-f-]{36})\r\n")
    assert terminal.match is not None
    told = terminal.match[1].decode()
    terminal.expect(pexpect.EOF)
    assert only(store).id == told
    assert jobctl_run("true").stderr == b""


def test_failed_command_is_run_again(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same job: its command, in its directory, with the variables that it kept."""
    monkeypatch.setenv("MODE", "full")
    text = 'pwd; echo $MODE; echo x >> count; [ "$(wc -l < count)" -gt 1 ]'
    options = ("--keep-env", "MODE", "--stages", "one,two")
    assert jobctl_run("sh", "-c", text, cwd=tmp_path, options=options).returncode == 1
    id = only(store).id
    monkeypatch.delenv("MODE")
    ran = run_process("retry", id[:8], "--rerun")
    assert (ran.code, ran.out, ran.err) == (0, f"{tmp_path}\nfull\n", "")
    job = only(store)
    assert (job.id, job.stage, job.retry_count, job.error) == (id, "completed", 1, None)
    assert [entry.stage for entry in job.timeline()] == [
        "pending", "one", "failed", "pending", "one", "completed",
    ]  # fmt: skip
    assert run_process("retry", id, "--rerun").code == 1


def test_what_was_no_command_is_not_run_again(store: Store) -> None:
    """Usage, and nothing changes."""
    assert run_process("create", "etl", "--id", "a").code == 0
    assert run_process("fail", "a", "no").code == 0
    ran = run_process("retry", "a", "--rerun")
    assert (ran.code, ran.err.count("\n"), store.get("a").stage) == (2, 1, "failed")
    assert run_process("retry", "a", "b", "--rerun").code == 2


def test_many_at_once_are_all_tracked(store: Store, tmp_path: Path) -> None:
    """Each ends right, and nothing of any is left; JOBCTL_MANY_RUNS=500 for the full number."""
    count = int(os.environ.get("JOBCTL_MANY_RUNS", "24"))
    running = [
        subprocess.Popen(
            command("run", "sh", "-c", f"sleep 0.2; exit {number % 3}"),
            env=environment(),
            stderr=subprocess.DEVNULL,
        )
        for number in range(count)
    ]
    assert [process.wait(timeout=300) for process in running] == [n % 3 for n in range(count)]
    jobs = store.since(ZERO).jobs
    codes = sorted(job.command.exit_code for job in jobs if job.command)  # type: ignore[type-var]
    assert codes == sorted(number % 3 for number in range(count))
    assert all((job.stage == "completed") == (job.command.exit_code == 0) for job in jobs)  # type: ignore[union-attr]
    assert list((tmp_path / "jobs" / ".jobctl" / "owners").iterdir()) == []


@pytest.mark.skipif(shutil.which("less") is None, reason="needs less")
def test_command_that_reads_the_keyboard_from_standard_error(store: Store, tmp_path: Path) -> None:
    """``less`` does: it scrolls, quits, and leaves the terminal as it was."""
    (tmp_path / "text").write_text("".join(f"line {number}\n" for number in range(1000)))
    jobctl = " ".join(command("run", "less", str(tmp_path / "text")))
    shell = pexpect.spawn(
        "sh", ["-c", f"stty -a; {jobctl}; stty -a; echo end"], timeout=20, dimensions=(31, 101),
        env=environment(TERM="xterm", LESS=""), encoding="utf-8",
    )  # fmt: skip
    shell.expect(r"speed .*cmin\S*|speed .*?extproc")
    before = shell.after
    shell.expect_exact("line 29")
    shell.send(" ")
    shell.expect_exact("line 59")
    shell.send("q")
    shell.expect(r"speed .*cmin\S*|speed .*?extproc")
    assert shell.after == before
    shell.expect_exact("end")
    shell.close()
    assert only(store).stage == "completed"


# -- rows 36 and 37 of the faults, for the commands of jobs that are lost or cancelled -----------


def plant_lost(store: Store, path: Path, count: int) -> list[str]:
    """Jobs whose owner has died."""
    name = "1-0123456789ab"
    store.create(jobs.create("etl", now=now(), id="first"))
    plant_owner(path, name)
    ids = [f"lost-{number:04d}" for number in range(count)]
    for id in ids:
        store.create(jobs.create("etl", now=now(), id=id).replace(owner=name))
    return ids


@pytest.mark.parametrize(("into", "code", "lines"), [("/dev/full", 1, 1), ("|", 141, 0)])
def test_reap_whose_output_goes_nowhere(
    store: Store, tmp_path: Path, into: str, code: int, lines: int
) -> None:
    """FAULTS row 36: the jobs are failed all the same."""
    ids = plant_lost(store, tmp_path / "jobs", 3)
    if into == "|":
        read, write = os.pipe()
        os.close(read)
        out = os.fdopen(write, "wb")
    else:
        out = open(into, "wb")  # noqa: SIM115 - closed below
    with out:
        ran = subprocess.run(
            command("reap"), env=environment(), stdout=out, stderr=subprocess.PIPE, check=False
        )
    assert (ran.returncode, ran.stderr.count(b"\n")) == (code, lines)
    assert [store.get(id).stage for id in ids] == ["failed"] * 3
    assert store.get("first").active
    assert store.owners.dead() == frozenset()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_signal_ends_a_cancel_that_waits(store: Store, number: signal.Signals, code: int) -> None:
    """FAULTS row 37: quietly; the owner stays asked."""
    with started(*SLEEP) as process:
        process.send_signal(signal.SIGSTOP)
        waiting = subprocess.Popen(
            command("cancel", only(store).id), env=environment(), stderr=subprocess.PIPE
        )
        owner_file = Path(str(store.path)) / ".jobctl" / "owners" / str(only(store).owned_by)
        until(lambda: only(store).id in owner_file.read_text())
        waiting.send_signal(number)
        assert waiting.communicate(timeout=20) == (None, b"")
        assert waiting.returncode == code
        process.send_signal(signal.SIGCONT)
        until(lambda: only(store).error == CANCELLED)


@pytest.mark.parametrize("moment_s", [0.02, 0.1, 0.15, 0.2, 0.25, 0.3])
def test_signal_at_any_moment_leaves_nothing(store: Store, tmp_path: Path, moment_s: float) -> None:
    """FAULTS row 37: before, while and after the command is started."""
    process = subprocess.Popen(
        command("run", "sleep", "0.4"), env=environment(), stderr=subprocess.PIPE
    )
    time.sleep(moment_s)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=20)
    assert err == b""
    assert process.returncode in (-signal.SIGTERM, 143)
    assert not [job for job in store.since(ZERO).jobs if job.active]
    owners = tmp_path / "jobs" / ".jobctl" / "owners"
    assert not owners.exists() or list(owners.iterdir()) == []


# -- what a hostile world does to it ------------------------------------------------------------


def test_what_goes_on_writing_holds_us_for_two_seconds(store: Store) -> None:
    """A process that the command leaves behind, and that never stops to talk."""
    began = time.monotonic()
    ran = jobctl_run("sh", "-c", "(while :; do echo x >&2; sleep 0.01; done) & echo last >&2")
    assert 1 < time.monotonic() - began < 10
    assert ran.returncode == 0
    assert b"last" in ran.stderr
    assert only(store).stage == "completed"


@pytest.mark.parametrize("how", ["TERM", "cancel"])
def test_reader_that_stands_still_does_not_keep_us(store: Store, how: str) -> None:
    """It is waited for, as the command itself would wait; but not when we are to end."""
    text = "import os; os.write(2, b'x' * 150_000); os.write(1, b'ready\\n')"
    with started(*script(text)) as process:
        until(lambda: not Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text())
        time.sleep(0.5)
        assert process.poll() is None
        if how == "TERM":
            process.terminate()
        else:
            subprocess.run(command("cancel", only(store).id), env=environment(), check=False)
        assert process.wait(10) == 0
    assert only(store).stage == "completed"


def test_slow_reader_gets_all_that_the_command_wrote(store: Store) -> None:
    """However long it takes, although the command has ended long before."""
    text = "import os; os.write(2, b'x' * 400_000); os.write(1, b'ready\\n')"
    with started(*script(text)) as process:
        assert process.stderr is not None
        time.sleep(3)
        got = 0
        while data := os.read(process.stderr.fileno(), 20_000):
            got += len(data)
            time.sleep(0.05)
        assert got == 400_000
        assert process.wait(10) == 0


def test_events_that_never_end_do_not_keep_us(store: Store) -> None:
    """A process that is left behind writes on and on."""
    flood = "while :; do echo message=m; done >> $JOBCTL_EVENTS & echo $!; sleep 0.3"
    ran = jobctl_run("sh", "-c", flood)
    os.kill(int(ran.stdout), signal.SIGKILL)
    assert ran.returncode == 0
    assert only(store).stage == "completed"


@pytest.mark.parametrize(
    ("argv", "code", "text"),
    [
        ([""], 127, "cannot run : command not found"),
        (["./nothing-here"], 127, "cannot run ./nothing-here: command not found"),
        (["/etc"], 126, "cannot run /etc: Permission denied"),
        (["plain"], 126, "cannot run plain: Permission denied"),
    ],
)
def test_what_cannot_be_run_is_told_as_by_a_shell(
    store: Store, tmp_path: Path, argv: list[str], code: int, text: str
) -> None:
    """One line; and the job has failed."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "plain").write_text("echo no\n")
    env = {**environment(), "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    ran = jobctl_run(*argv, env=env)
    assert (ran.returncode, ran.stderr.decode()) == (code, f"jobctl: {text}\n")
    assert only(store).stage == "failed"


def test_script_without_a_first_line_is_the_shells(store: Store, tmp_path: Path) -> None:
    """As execvp(3) does, by the PATH that the command gets."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "plain").write_text('echo "$1"\n')
    (tmp_path / "bin" / "plain").chmod(0o755)
    env = {**environment(), "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    assert jobctl_run("plain", "it ran", env=env).stdout == b"it ran\n"


def test_environment_is_the_one_that_we_were_given(store: Store) -> None:
    """Python adds LC_CTYPE to its own where no language is set."""
    env = {key: value for key, value in environment().items() if not key.startswith("LC_")}
    env.pop("LANG", None)
    ran = jobctl_run("env", env=env)
    assert b"JOBCTL_JOB=" in ran.stdout
    assert b"LC_CTYPE" not in ran.stdout
    ran = jobctl_run("env", env={**env, "LC_CTYPE": "C.UTF-8"})
    assert b"LC_CTYPE=C.UTF-8" in ran.stdout


def test_job_that_exists_is_not_handed_to_a_command(store: Store, tmp_path: Path) -> None:
    """It is somebody else's: nothing runs."""
    store.create(jobs.create("etl", now=now(), id="taken"))
    ran = jobctl_run("touch", str(tmp_path / "ran"), options=("--id", "taken"))
    assert ran.returncode == 125
    assert ran.stderr.startswith(b"jobctl: job taken exists already")
    assert ran.stderr.count(b"\n") == 1
    assert not (tmp_path / "ran").exists()
    assert store.get("taken").stage == "pending"


def test_one_of_two_that_run_a_job_again_does(store: Store, tmp_path: Path) -> None:
    """The command runs once, whoever asks for it at the same time."""
    log = tmp_path / "log"
    text = f"echo ran >> {log}; test -e {tmp_path}/ok && sleep 1"
    assert jobctl_run("sh", "-c", text).returncode == 1
    (tmp_path / "ok").touch()
    id = only(store).id
    again = [
        subprocess.Popen(command("retry", id, "--rerun"), env=environment(), stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    said = [process.communicate(timeout=50)[1] for process in again]
    assert sorted(process.returncode for process in again) == [0, 1, 1, 1]
    assert log.read_text() == "ran\nran\n"
    assert all(text.count(b"\n") <= 1 for text in said)
    assert only(store).stage == "completed"


@pytest.mark.parametrize("argv", [["a" * 5000, "é\nü"], ["b" * 60_000], ["c"] * 8_000])
def test_long_command_is_run_again_exactly(store: Store, tmp_path: Path, argv: list[str]) -> None:
    """Every character of it."""
    text = f"import json, sys; json.dump(sys.argv[1:], open({str(tmp_path / 'got')!r}, 'w')); 1/0"
    assert jobctl_run(*script(text), *argv).returncode == 1
    assert json.loads((tmp_path / "got").read_text()) == argv
    (tmp_path / "got").unlink()
    ran = subprocess.run(
        command("retry", only(store).id, "--rerun"), env=environment(), capture_output=True
    )
    assert ran.returncode == 1
    assert json.loads((tmp_path / "got").read_text()) == argv


@pytest.mark.parametrize("nested", ["[[[[{}]]]]", "[" * 90 + "{}" + "]" * 90])
def test_result_that_is_deep_and_long_is_kept(store: Store, nested: str) -> None:
    """Indented it would not fit into a job's file; 64 KiB are 64 KiB."""
    wanted = nested.replace("{}", ",".join("1" * 31_000))
    text = f"print('result={nested}'.replace('{{}}', ','.join('1' * 31000)), file=open("
    ran = jobctl_run(*script(f"import os; {text}os.environ['JOBCTL_EVENTS'], 'a'))"))
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert only(store).stage == "completed"
    assert only(store).result == json.loads(wanted)


def test_result_without_room_does_not_keep_a_job_from_ending(store: Store) -> None:
    """That the job has ended matters more than what it ended with."""
    nested = "[" * 150 + "]" * 150
    text = f"open(__import__('os').environ['JOBCTL_EVENTS'], 'a').write('result={nested}')"
    ran = jobctl_run(*script(text))
    assert (ran.returncode, ran.stderr.count(b"\n")) == (0, 1)
    assert b"it ends without its result: " in ran.stderr
    assert (only(store).stage, only(store).result) == ("completed", None)


def test_command_of_very_many_words_is_tracked(store: Store) -> None:
    """Each is a line of its own in the job's file."""
    ran = jobctl_run("true", *("",) * 60_000)
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert only(store).command.exact is False  # type: ignore[union-attr]


def test_terminal_that_others_go_on_writing_to_does_not_hold_us(store: Store) -> None:
    """Now and then is enough: nobody tells whose output a terminal's is."""
    text = "(while :; do echo x >&2; sleep 0.05; done) & echo said >&2; echo $!"
    terminal = spawn("sh", "-c", text)
    terminal.expect(r"(\d+)\r\n")
    left = int(terminal.match[1])
    try:
        terminal.expect(pexpect.EOF, timeout=8)
        terminal.close()
        assert terminal.exitstatus == 0
    finally:
        with suppress(ProcessLookupError):
            os.kill(left, signal.SIGKILL)


@pytest.mark.parametrize("argument", ["x" * 100_000, b"\xff.csv"])
def test_command_that_cannot_be_kept_is_not_run_again(store: Store, argument: str | bytes) -> None:
    """It is tracked; and nothing else is run in its stead."""
    more = ["y" * 100_000, "z" * 100_000] if isinstance(argument, str) else []
    ran = jobctl_run("sh", "-c", "exit 3", argument, *more)  # type: ignore[arg-type]
    assert (ran.returncode, ran.stderr) == (3, b"")
    job = only(store)
    assert job.command is not None
    assert (job.stage, job.command.exact) == ("failed", False)
    again = subprocess.run(
        command("retry", job.id, "--rerun"), env=environment(), capture_output=True, text=True
    )
    assert again.returncode == 2
    assert "has its command in short only" in again.stderr
    assert only(store).stage == "failed"


def test_work_that_was_done_when_it_was_cancelled_is_completed(store: Store) -> None:
    """Nobody has ended it."""
    with started("sh", "-c", "echo ready; read line; exit 0", stdin=subprocess.PIPE) as process:
        process.send_signal(signal.SIGSTOP)
        job = only(store)
        assert job.owned_by is not None
        process.stdin.write("\n")
        process.stdin.flush()
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        until(lambda: _state(int(children[0])) == "Z")
        assert store.owners.request_cancel(job.owned_by, job.id)
        process.send_signal(signal.SIGCONT)
        assert process.wait(10) == 0
    assert only(store).stage == "completed"


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_storm_of_signals_keeps_nothing_from_being_seen(store: Store) -> None:
    """Neither events nor a cancellation."""
    text = "trap : USR1; echo ready; echo message=m >> $JOBCTL_EVENTS; while :; do sleep 1; done"
    with started("sh", "-c", text) as process:
        stop = threading.Event()

        def storm() -> None:
            while not stop.wait(0.01):
                process.send_signal(signal.SIGUSR1)

        thread = threading.Thread(target=storm)
        thread.start()
        try:
            until(lambda: only(store).message == "m")
            job = only(store)
            assert store.owners.request_cancel(str(job.owned_by), job.id)
            until(lambda: only(store).stage == "failed")
        finally:
            stop.set()
            thread.join()
    assert only(store).error == CANCELLED


def test_stale_wrapper_leaves_the_next_attempt_alone(store: Store) -> None:
    """Its job was given up and taken up again while its command still ran."""
    with started("sh", "-c", "echo ready; read line; exit 3", stdin=subprocess.PIPE) as process:
        id = only(store).id
        store.update(id, lambda old: jobs.fail(old, "given up", now=now()))
        again = store.update(id, lambda old: jobs.retry(old, now=now()))
        _, said = process.communicate("\n", timeout=20)
        assert process.returncode == 3
    assert "was started anew by somebody else" in said
    assert store.get(id) == again


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs /proc")
def test_stop_during_the_start_reaches_both(store: Store) -> None:
    """It was passed on, and the wrapper went on."""
    slow = (
        "import os, signal, sys, time\n"
        "from jobctl.work.run import RunOptions, child, run\n"
        "real = child.Signals.since_then\n"
        "def late(signals):\n"
        "    os.kill(os.getpid(), signal.SIGTSTP)\n"
        "    return real(signals)\n"
        "child.Signals.since_then = late\n"
        f"sys.exit(run(['sleep', '0.2'], {store.where!r}, RunOptions(id='a')))\n"
    )
    process = subprocess.Popen([PYTHON, "-c", slow], env=environment(), process_group=0)
    try:
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        process.send_signal(signal.SIGCONT)
        assert process.wait(20) == 0
    finally:
        process.kill()
