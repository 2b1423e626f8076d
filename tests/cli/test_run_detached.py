"""``jobctl run -d``: the command goes on in the background."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from jobctl.core.cursor import ZERO
from jobctl.core.job import Job
from jobctl.core.transitions import CANCELLED
from jobctl.stores import Store, open_store
from tests.cli.conftest import command, environment, run_process
from tests.cli.test_run_hangup import SessionLeader, alive
from tests.stores.support import until

pytestmark = pytest.mark.slow


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """The store that the commands use. Jobs that still run at the end are cancelled."""
    monkeypatch.setenv("JOBCTL_DIR", str(tmp_path / "jobs"))
    made = open_store(tmp_path / "jobs", create=True)
    yield made
    for job in made.since(ZERO).jobs:
        if job.active:
            run_process("cancel", job.id)
    made.close()


def ended(store: Store) -> Job:
    """The one job there is, once it has ended."""
    until(lambda: not store.since(ZERO).jobs[0].active, what="the job has ended")
    (job,) = store.since(ZERO).jobs
    return job


def test_prints_the_id_and_returns_at_once(store: Store) -> None:
    """A shell's $(…) does not wait for the command, whose pipes are not ours."""
    ran = subprocess.run(
        command("run", "-d", "--grace", "1", "--", "sh", "-c", "sleep 300"),
        env=environment(), capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    (job,) = store.since(ZERO).jobs
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"{job.id}\n", "")
    assert (job.stage, job.active) == ("run", True)
    assert run_process("cancel", job.id).code == 0
    assert ended(store).error == CANCELLED


TELL = """
import json, os, sys
def tty():
    try:
        return os.close(os.open("/dev/tty", os.O_RDWR))
    except OSError:
        return "none"
json.dump({
    "fds": [os.readlink(f"/proc/self/fd/{fd}") for fd in (0, 1)],
    "session": os.getsid(0), "parent": os.getppid(), "tty": tty(), "pid": os.getpid(),
}, open(sys.argv[1], "w"))
"""


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs /proc")
def test_command_has_a_session_and_no_terminal(store: Store, tmp_path: Path) -> None:
    """Its session is the wrapper's; input is /dev/null, and output to the terminal is kept."""
    told = tmp_path / "told"
    argv = command("run", "-d", "--id", "far", "--", sys.executable, "-c", TELL, str(told))
    with SessionLeader(*argv) as leader:
        leader.read_until(b"far\r\n")
        assert leader.process.wait(20) == 0
        assert ended(store).stage == "completed"
        leader.hang_up()
    value = json.loads(told.read_text())
    assert value["fds"][0] == "/dev/null"
    assert value["fds"][1].startswith("pipe:")
    assert value["session"] == value["parent"] != leader.process.pid
    assert value["tty"] == "none"


def test_output_that_goes_to_a_file_stays_there(store: Store, tmp_path: Path) -> None:
    """Only a terminal, a pipe and a socket are not kept."""
    with open(tmp_path / "out", "wb") as out, open(tmp_path / "err", "wb") as err:
        ran = subprocess.run(
            command("run", "-d", "--", "sh", "-c", "sleep 1; echo said; echo wrong >&2; exit 4"),
            env=environment(), stdin=subprocess.DEVNULL, stdout=out, stderr=err, check=False,
        )  # fmt: skip
    assert ran.returncode == 0
    job = ended(store)
    assert job.error == "Exit code 4: wrong"
    until(lambda: (tmp_path / "err").read_text() == "wrong\n")
    assert (tmp_path / "out").read_text() == f"{job.id}\nsaid\n"


def test_it_survives_its_terminal(store: Store, tmp_path: Path) -> None:
    """That is what it is for."""
    text = f"echo $$ > {tmp_path}/pid; exec sleep 300"
    shell = ["sh", "-c", '"$@"; echo done .; read line', "sh"]
    with SessionLeader(
        *shell, *command("run", "-d", "--grace", "1", "--", "sh", "-c", text)
    ) as leader:
        leader.read_until(b"done .")
        leader.hang_up()
        leader.process.wait(20)
    until((tmp_path / "pid").exists)
    pid = int((tmp_path / "pid").read_text())
    (job,) = store.since(ZERO).jobs
    assert job.active
    assert alive(pid)


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["--", "/no/such"], 127, "command not found"),
        (["--", "/"], 126, "Permission denied"),
        (["--stages", "a,a", "--", "true"], 125, "a stage stands twice"),
        (["--id", "there", "--", "true"], 125, "exists already"),
    ],
)
def test_what_cannot_be_started_is_told(
    store: Store, args: list[str], code: int, says: str
) -> None:
    """With the exit code and the one line that it has without -d, and no id."""
    with suppress(OSError):
        run_process("create", "--id", "there")
    ran = run_process("run", "-d", *args)
    assert (ran.code, ran.out, ran.err.count("\n")) == (code, "", 1)
    assert says in ran.err


def test_command_that_ends_at_once_has_started(store: Store) -> None:
    """What becomes of it is in the job."""
    ran = run_process("run", "-d", "--", "sh", "-c", "kill -USR1 $$")
    assert ran.code == 0
    job = ended(store)
    assert (ran.out, job.error) == (f"{job.id}\n", signal.SIGUSR1.name)


def test_warning_of_a_store_out_of_reach_is_seen(tmp_path: Path) -> None:
    """The command runs all the same, as without -d."""
    (tmp_path / "file").write_text("")
    env = environment(JOBCTL_DIR=str(tmp_path / "file" / "jobs"))
    ran = run_process("run", "-d", "--", "touch", str(tmp_path / "ran"), env=env)
    assert ran.code == 0
    assert "the work goes on" in ran.err
    until((tmp_path / "ran").exists)


def test_goes_on_though_nobody_reads_its_warnings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader of standard error is gone, and there is something to say to it."""
    monkeypatch.setenv("JOBCTL_DIR", "/proc/nowhere")
    done = tmp_path / "done"
    reader, stderr = os.pipe()
    os.close(reader)
    try:
        ran = subprocess.run(
            command("run", "-d", "--id", "job", "--", "touch", str(done)),
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            timeout=30,
            check=False,
        )
    finally:
        os.close(stderr)
    assert (ran.returncode, ran.stdout) == (0, b"job\n")
    until(done.exists)
