"""What ``jobctl run`` does with the processes that its command starts."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from jobctl.core.cursor import ZERO
from jobctl.core.job import Job
from jobctl.core.transitions import CANCELLED
from jobctl.stores import Store, open_store
from jobctl.work.run import processes
from tests.cli.conftest import command, environment, run_process
from tests.stores.support import until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="orphans are adopted on Linux only"),
]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """The store that the commands use."""
    monkeypatch.setenv("JOBCTL_DIR", str(tmp_path / "jobs"))
    made = open_store(tmp_path / "jobs", create=True)
    yield made
    made.close()


def only(store: Store) -> Job:
    """The one job there is."""
    (job,) = store.since(ZERO).jobs
    return job


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def parent(pid: int) -> int:
    """The id of the process's parent."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


QUIET = "</dev/null >/dev/null 2>&1"
ORPHAN = f"(sleep 300 {QUIET} & echo $!)"
OTHER_SESSION = f"(setsid sleep 301 {QUIET} & echo $!)"
IGNORES = f"sh -c 'trap \"\" TERM; while :; do sleep 0.1; done' {QUIET} & echo $!"


def started(text: str, *options: str) -> tuple[subprocess.Popen[str], int]:
    """A tracked shell that has printed the id of a process, and that id."""
    process = subprocess.Popen(
        command("run", *options, "--", "sh", "-c", text),
        env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    return process, int(process.stdout.readline())


@pytest.mark.parametrize("how", ["cancel", "timeout"])
@pytest.mark.parametrize("begin", [ORPHAN, OTHER_SESSION, IGNORES])
def test_all_that_it_started_ends_with_it(store: Store, begin: str, how: str) -> None:
    """Also what its parent has left, what has a session of its own, and what ignores SIGTERM."""
    options = ["--grace", "1", *(["--timeout", "1s"] if how == "timeout" else [])]
    process, pid = started(f"{begin}; exec sleep 300", *options)
    try:
        if how == "cancel":
            assert run_process("cancel", only(store).id).code == 0
        process.wait(20)
        assert not alive(pid)
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        process.kill()
        process.communicate()
    assert only(store).error == (CANCELLED if how == "cancel" else "Timed out after 1s")


@pytest.mark.parametrize("begin", [ORPHAN, OTHER_SESSION, IGNORES])
def test_what_a_command_leaves_behind_goes_on(store: Store, begin: str) -> None:
    """After its own end, as without us; and the wrapper does not wait for it."""
    began = time.monotonic()
    process, pid = started(f"{begin}; exit 3")
    try:
        process.communicate(timeout=20)
        assert time.monotonic() - began < 10
        assert process.returncode == 3
        assert alive(pid)
        assert parent(pid) != process.pid
    finally:
        os.kill(pid, signal.SIGKILL)


def test_orphans_are_reaped_while_the_command_runs(store: Store) -> None:
    """No zombies gather, and the command's own status is not taken from it."""
    text = (
        "for i in 1 2 3 4 5 6 7 8; do (sh -c 'sleep 0.2; exit 9' &) ; done; echo 1; read x; exit 5"
    )
    process, _ = started(text)

    def below() -> list[str]:
        return Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()

    until(lambda: len(below()) > 1, what="orphans are adopted")
    until(lambda: len(below()) == 1, what="orphans are reaped")
    process.communicate("\n", timeout=20)
    assert process.returncode == 5


def test_first_process_of_a_container_reaps_orphans(store: Store) -> None:
    """As process 1, which the kernel gives all orphans; and its exit status is the command's."""
    unshare = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs the right to make a process namespace")
    text = (
        "sh -c '(true &); (sleep 0.1 &)'; sleep 1; grep -l '^State:.Z' /proc/[0-9]*/status; exit 6"
    )
    ran = subprocess.run(
        [*unshare, *command("run", "--", "sh", "-c", text)],
        env=environment(), capture_output=True, text=True, check=False, timeout=50,
    )  # fmt: skip
    assert (ran.returncode, ran.stdout) == (6, "")


def test_system_without_proc_is_asked_by_ps(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS, which has no process descriptors either."""
    monkeypatch.setattr(processes.os.path, "isdir", lambda _: False)
    monkeypatch.delattr(os, "pidfd_open")
    shell = subprocess.Popen(["sh", "-c", "sleep 300 & sleep 300"], start_new_session=True)
    try:
        found: list[int] = []

        def both() -> bool:
            found[:] = [process.pid for process in processes._descendants(shell.pid)]
            return len(found) == 2

        until(both)
        processes.signal_all(shell.pid, shell.pid, signal.SIGTERM)
        assert shell.wait(10) == -signal.SIGTERM
        until(lambda: not any(map(alive, found)))
    finally:
        with suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGKILL)


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EPERM, errno.EMFILE])
def test_descendants_get_signals_without_process_descriptors(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux before 5.3 and some containers refuse pidfd_open(2); the process id is used then."""

    def refuse(pid: int, flags: int = 0) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "pidfd_open", refuse, raising=False)
    sleeper = subprocess.Popen(["sleep", "300"])
    try:
        processes.signal_all(sleeper.pid, os.getpid(), signal.SIGTERM)
        assert sleeper.wait(5) == -signal.SIGTERM
    finally:
        sleeper.kill()
        sleeper.wait()
