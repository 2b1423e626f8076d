"""``jobctl watch`` on a terminal: keys, questions, and what stays of it at the end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pexpect
import pyte
import pytest

from jobctl._clock import now
from jobctl.core.transitions import advance, complete, create, fail
from jobctl.stores import Store, open_store
from tests.cli.conftest import command, environment, hub_on

pytestmark = pytest.mark.slow

_PATIENCE_S = 20.0


class Watch:
    """A ``jobctl watch`` on an emulated terminal."""

    def __init__(self, args: tuple[str, ...], columns: int, rows: int, **variables: str) -> None:
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.Stream(self.screen)
        self.written = ""
        line = command("watch", *args)
        self.process = pexpect.spawn(
            line[0], line[1:], env=environment(TERM="xterm-256color", **variables),
            dimensions=(rows, columns), encoding="utf-8", timeout=_PATIENCE_S,
        )  # fmt: skip

    def _read(self, timeout_s: float) -> bool:
        """Feed what was written to the terminal; return whether there may be more."""
        try:
            text = self.process.read_nonblocking(65536, timeout_s)
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            return False
        self.written += text
        self._stream.feed(text)
        return True

    def text(self) -> str:
        """What is on the screen."""
        return "\n".join(line.rstrip() for line in self.screen.display)

    def shows(self, pattern: str) -> str:
        """Wait until the pattern is on the screen, and return the screen."""
        deadline_s = time.monotonic() + _PATIENCE_S
        while not re.search(pattern, self.text(), re.DOTALL):
            if not self._read(0.1) or time.monotonic() > deadline_s:
                raise AssertionError(f"{pattern!r} is not on the screen:\n{self.text()}")
        return self.text()

    def press(self, keys: str, pattern: str) -> str:
        """Press keys, and wait for what they show."""
        self.process.send(keys)
        return self.shows(pattern)

    def ends(self) -> int:
        """Wait for the end; return the exit status."""
        while self._read(0.1):
            pass
        self.process.close()
        status = self.process.exitstatus
        return status if status is not None else 128 + self.process.signalstatus


@contextmanager
def watch(*args: str, columns: int = 100, rows: int = 20, **variables: str) -> Iterator[Watch]:
    """A watch that is ended at the end of the block."""
    watched = Watch(args, columns, rows, **variables)
    try:
        yield watched
    finally:
        watched.process.close(force=True)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store with a running job, a pending one, and one that has failed."""
    monkeypatch.setenv("JOBCTL_DIR", str(tmp_path / "jobs"))
    opened = open_store(tmp_path / "jobs", create=True)
    opened.create(advance(create("etl", now=now(), id="running1", stages=["load"]), now=now()))
    opened.create(create("etl", now=now(), id="pending1", title="Nightly"))
    opened.create(fail(create("etl", now=now(), id="failed01"), "it broke", now=now()))
    yield opened
    opened.close()


def test_keys_lead_through_the_view_and_q_ends_it(store: Store) -> None:
    """The last frame stays, without what the keys had opened; the exit status is 0."""
    with watch() as seen:
        seen.shows(r"failed01.*running1.*pending1.*live: ")
        seen.press("/", r"\n/_ +3 found")
        seen.press("night", r"pending1.*/night_ +1 found")
        assert "failed01" not in seen.text()
        seen.press("\r", r"/night · ")
        seen.press("\x1b", r"failed01.*live: ")
        seen.press("f", r"failures only")
        seen.press("a", r"running1")
        seen.press("?", r"any key: back")
        seen.press("x", r"failed01.*running1")
        seen.press("j\r", r"^id +failed01.*error +it broke.*timeline")
        store.update("failed01", lambda job: job.replace(message="news"))
        seen.shows(r"message +news")
        seen.press("\x7f", r"ID.*failed01.*pending1")
        seen.process.send("q")
        assert seen.ends() == 0
        assert "live: " in seen.text()
        assert "failed01" in seen.text()
        assert "? help" not in seen.text()


def test_ctrl_c_ends_it_with_the_usual_status(store: Store) -> None:
    """And the last frame stays."""
    with watch() as seen:
        seen.shows("running1")
        seen.process.send("\x03")
        assert seen.ends() == 130
        assert "running1" in seen.text()


@pytest.mark.parametrize("source", ["hub", "directory"])
def test_a_job_that_has_ended_ends_it_without_an_error(
    store: Store, tmp_path: Path, source: str
) -> None:
    """After the last frame nothing follows, not even from Python at its exit."""
    with ExitStack() as opened:
        if source == "hub":
            opened.enter_context(hub_on(tmp_path / "jobs"))
        seen = opened.enter_context(watch("failed01"))
        assert seen.ends() == 0
        last = [line for line in seen.text().splitlines() if line][-1]
        assert last.startswith("live: "), seen.text()


def test_a_busy_hub_is_read_without_pauses(store: Store, tmp_path: Path) -> None:
    """Reading 5 of 50 changes a second, watch took the hub for gone, and showed old jobs."""
    with hub_on(tmp_path / "jobs"), watch() as seen:
        seen.shows("live: ws://")
        for number in range(200):
            store.update("running1", lambda job, n=number: job.replace(message=f"step {n}"))
            seen._read(0.02)
        seen.shows("step 199")
        assert "no hub" not in seen.written


def test_c_cancels_after_y(store: Store) -> None:
    """And no other key does."""
    with watch() as seen:
        seen.shows("pending1")
        seen.press("G", "pending1")
        seen.press("c", r'Cancel pending1 "Nightly": etl \[y/N\]')
        seen.press("n", "job pending1 stays as it is")
        assert store.get("pending1").active
        seen.press("c", r"\[y/N\]")
        seen.press("y", "job pending1 is cancelled")
        assert store.get("pending1").is_cancelled


def test_r_retries_the_attempt_that_was_seen(store: Store) -> None:
    """An error of the act is shown, and ends nothing."""
    with watch() as seen:
        seen.shows("failed01")
        seen.press("r", r"Retry failed01: etl \[y/N\]")
        seen.press("y", "job failed01 is pending again")
        assert store.get("failed01").retry_count == 1
        seen.press("/running\r", r"/running")
        seen.press("c", r"Cancel running1: etl \[y/N\]")
        seen.press("y", r"job running1 is 'load': cannot cancel")
        seen.process.send("q")
        assert seen.ends() == 0


@pytest.mark.parametrize("how", ["option", "variable"])
def test_read_only_offers_no_acts(store: Store, how: str) -> None:
    """It says so when the key is pressed."""
    args = ("--read-only",) if how == "option" else ()
    variables = {"JOBCTL_READ_ONLY": "1"} if how == "variable" else {}
    with watch(*args, **variables) as seen:
        shown = seen.shows(r"pending1.*\? help")
        assert "c cancel" not in shown
        seen.press("c", r"\nread-only$")
        seen.process.send("y")
        seen.press("r", r"\nread-only$")
    assert store.get("failed01").retry_count == 0


def test_the_log_of_a_job_is_live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its end is seen with what else is known of the job."""
    monkeypatch.setenv("JOBCTL_DIR", str(tmp_path))
    script = "echo one; while [ ! -e go ]; do sleep 0.05; done; printf '\\033[31mtwo\\n'; sleep 60"
    ran = subprocess.Popen(
        command("run", "--log", "all", "--id", "run1", "--", "sh", "-c", script),
        env=environment(), cwd=tmp_path, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert ran.stdout is not None
    try:
        assert ran.stdout.readline() == b"one\n"
        with watch(rows=30) as seen:
            seen.shows("run1")
            seen.press("\r", r"command +sh -c.*\nlog: .*\none")
            (tmp_path / "go").touch()
            seen.shows(r"\none\s*\ntwo")
    finally:
        ran.terminate()
        ran.communicate()


def test_a_job_that_ends_rings_the_bell(store: Store) -> None:
    """Only with ``--bell``, and not for one that had ended before."""
    with watch("--bell") as seen, watch() as silent:
        seen.shows("running1")
        silent.shows("running1")
        store.update("failed01", lambda job: job.replace(error="news"))
        seen.shows("news")
        assert "\a" not in seen.written
        store.update("running1", lambda job: complete(job, now=now()))
        for each in (seen, silent):
            each.shows("1 completed")
        assert "\a" in seen.written
        assert "\a" not in silent.written


def test_new_shows_only_what_starts_from_now_on(store: Store) -> None:
    """Also a retry of what failed before."""
    with watch("--new") as seen:
        shown = seen.shows("no jobs yet in ")
        assert "running1" not in shown
        store.create(create("etl", now=now(), id="newjob01"))
        seen.shows("newjob01")
        assert "running1" not in seen.text()


def test_a_directory_that_does_not_exist_is_waited_for(tmp_path: Path) -> None:
    """It is read as soon as there is one, and not made by the watch."""
    missing = tmp_path / "later"
    with watch("--dir", str(missing)) as seen:
        seen.shows("waiting until /")
        assert not missing.exists()
        store = open_store(missing, create=True)
        store.create(create("etl", now=now(), id="newjob01"))
        store.close()
        seen.shows("newjob01.*live: ")
        seen.process.send("q")
        assert seen.ends() == 0


@pytest.mark.parametrize("why", ["option", "stdin"])
def test_without_keys_it_is_the_plain_live_table(store: Store, why: str) -> None:
    """By option, and if keys cannot come from the terminal."""
    args = command("watch", *(("--no-keys",) if why == "option" else ()))
    line = " ".join(args) + {"stdin": " </dev/null"}.get(why, "")
    shell = pexpect.spawn(
        "bash", ["--norc", "-ic", f"set -m; {line}"], env=environment(TERM="xterm-256color"),
        dimensions=(20, 100), encoding="utf-8", timeout=_PATIENCE_S,
    )  # fmt: skip
    try:
        shell.expect("running1")
        shell.expect("live: ")
        store.update("running1", lambda job: complete(job, now=now()))
        shell.expect("completed")
        assert "\x1b[?1049h" not in (shell.before or "") + str(shell.after)
    finally:
        shell.close(force=True)


def test_the_end_of_the_watch_does_not_wait_for_an_act(store: Store) -> None:
    """A worker that is stopped may not answer for 15 s."""
    owner = pexpect.spawn(
        sys.executable,
        ["-c", _STOPPED_WORKER],
        env=environment(JOBCTL_DIR=os.environ["JOBCTL_DIR"]),
        encoding="utf-8",
    )
    owner.expect("ready")
    os.kill(owner.pid, signal.SIGSTOP)
    try:
        with watch() as seen:
            seen.press("/worker\r", "worker01")
            seen.press("c", r"\[y/N\]")
            seen.press("y", "cancelling job worker01")
            began_s = time.monotonic()
            seen.process.send("q")
            assert seen.ends() == 0
            assert time.monotonic() - began_s < 8
    finally:
        os.kill(owner.pid, signal.SIGKILL)
        owner.close(force=True)


_STOPPED_WORKER = """
import time, jobctl
with jobctl.track("etl", id="worker01", stages=["load"]) as job:
    job.stage("load")
    time.sleep(1)
    print("ready", flush=True)
    time.sleep(60)
"""
