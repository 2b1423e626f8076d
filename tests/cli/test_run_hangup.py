"""``jobctl run`` on a terminal that goes away: the command ends, as it would alone."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import termios
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from jobctl.core.cursor import ZERO
from jobctl.stores import Store, open_store
from tests.cli.conftest import command, environment
from tests.stores.support import until

pytestmark = pytest.mark.slow


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """The store that the commands use."""
    monkeypatch.setenv("JOBCTL_DIR", str(tmp_path / "jobs"))
    made = open_store(tmp_path / "jobs", create=True)
    yield made
    made.close()


class SessionLeader:
    """A process that leads the session of a terminal, as with ``ssh -t`` or ``docker run -t``."""

    def __init__(self, *argv: str) -> None:
        self.terminal, slave = os.openpty()

        def take_terminal() -> None:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(
            argv, env=environment(), stdin=slave, stdout=slave, stderr=slave,
            start_new_session=True, preexec_fn=take_terminal,
        )  # fmt: skip
        os.close(slave)

    def read_until(self, word: bytes) -> bytes:
        """Return what it has printed so far, as soon as the word is in it."""
        said = b""
        while word not in said:
            said += os.read(self.terminal, 1024)
        return said

    def hang_up(self) -> None:
        """Close the terminal, as sshd does when the connection is cut."""
        os.close(self.terminal)

    def __enter__(self) -> SessionLeader:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@pytest.mark.parametrize("options", [(), ("--no-relay",)])
def test_command_ends_with_the_terminal_of_a_session_leader(
    store: Store, options: tuple[str, ...]
) -> None:
    """The kernel sends SIGHUP to the session leader alone, which is the wrapper."""
    text = "sleep 300 & echo pids $$ $! .; wait; wait"
    with SessionLeader(*command("run", *options, "--", "sh", "-c", text)) as leader:
        words = leader.read_until(b" .").split()
        pids = [int(word) for word in words[words.index(b"pids") + 1 : -1]]
        assert all(map(alive, pids))
        leader.hang_up()
        assert leader.process.wait(10) == -signal.SIGHUP
        until(lambda: not any(map(alive, pids)), what="all that it started has ended")
    (job,) = store.since(ZERO).jobs
    assert (job.stage, (job.error or "").split(":")[0]) == ("failed", "SIGHUP")


def test_command_that_expects_the_hang_up_goes_on(store: Store) -> None:
    """As under ``nohup``: the command decides, and its end is recorded."""
    text = "trap 'sleep 0.3; exit 7' HUP; echo ready .; while :; do sleep 0.1; done"
    with SessionLeader(*command("run", "--", "sh", "-c", text)) as leader:
        leader.read_until(b"ready .")
        leader.hang_up()
        assert leader.process.wait(10) == 7
    (job,) = store.since(ZERO).jobs
    assert job.command_end is not None
    assert job.command_end.exit_code == 7
