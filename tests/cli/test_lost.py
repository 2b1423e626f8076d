"""Lost jobs, as every command tells of them, and what keeps them from being told or reaped."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from jobctl._clock import now
from jobctl.core.cursor import ZERO
from jobctl.core.transitions import advance, complete, create
from jobctl.stores import Store, open_store
from tests.cli.conftest import Ran, Run, command, environment, hub_on, run_process
from tests.stores.support import age, plant_owner, until

pytestmark = pytest.mark.slow

OWNER = "1-0123456789ab"


@pytest.fixture
def store(jobs_dir: Path) -> Iterator[Store]:
    """One job whose worker has died, and one that was moved on by hand."""
    made = open_store(jobs_dir, create=True)
    made.create(create("etl", now=now(), id="hand", stages=["fetch", "load"]))
    made.update("hand", lambda job: advance(job, now=now()))
    plant_owner(jobs_dir, OWNER)
    lost = create("etl", now=now(), id="lost", stages=["fetch", "load"])
    made.create(advance(lost.replace(owner=OWNER), now=now()))
    yield made
    made.close()


@pytest.fixture(params=["directory", "hub", "url"])
def where(request: pytest.FixtureRequest, store: Store, jobs_dir: Path) -> Iterator[list[str]]:
    """The options that choose what is read."""
    with ExitStack() as stack:
        url = stack.enter_context(hub_on(jobs_dir)) if request.param != "directory" else ""
        yield ["--url", url] if request.param == "url" else []


def test_ls_and_show_tell_of_it(where: list[str]) -> None:
    """In words for a person, and as `derived` for a program."""
    jobs = json.loads(run_process("ls", "-o", "json", *where).out)["jobs"]
    assert {job["id"]: job["derived"]["lost"] for job in jobs} == {"lost": True, "hand": False}
    rows = run_process("ls", *where).out.splitlines()
    assert [("lost" in row.split()[1:]) for row in rows[1:]] == [
        row.startswith("lost") for row in rows[1:]
    ]
    assert json.loads(run_process("show", "lost", "-o", "json", *where).out)["derived"]["lost"]
    shown = run_process("show", "lost", *where).out
    assert "which is gone" in shown
    assert "which is gone" not in run_process("show", "hand", *where).out


@pytest.mark.parametrize("form", ["table", "jsonl"])
def test_watch_ends_with_it(where: list[str], form: str) -> None:
    """It is an end for ``--exit-status``, told once, although nothing changes in the job."""
    ran = run_process("watch", "lost", "--exit-status", "-o", form, *where)
    assert ran.code == 3
    if form == "jsonl":
        events = [json.loads(line)["event"] for line in ran.out.splitlines()]
        assert events.count("lost") == 1
    else:
        assert sum("lost" in line.split()[2:] for line in ran.out.splitlines()) == 1


@pytest.mark.parametrize("timeout", [[], ["--timeout", "0"], ["--timeout", "20s"]])
def test_wait_ends_at_once(where: list[str], timeout: list[str]) -> None:
    """Also when it is to look only once."""
    ran = run_process("wait", "lost", *timeout, *where)
    assert (ran.code, ran.out) == (3, "lost  lost: its worker is gone\n")
    ran = run_process("wait", "hand", "--timeout", "0", *where)
    assert (ran.code, ran.out) == (124, "")


@pytest.mark.parametrize("words", [["retry"], ["retry", "--rerun"]])
def test_retry_of_it_names_reap(store: Store, run: Run, words: list[str]) -> None:
    """It has to fail first, and nothing else does that."""
    ran_of = {"argv": ["true"], "cwd": "/"}
    store.update("lost", lambda job: job.replace(run=ran_of))
    ran = run(*words, "lost")
    assert ran.code == 1
    assert "cannot retry; its worker has died: 'jobctl reap' fails it first;" in ran.err
    assert "reap" not in run("retry", "hand").err


# -- reap ---------------------------------------------------------------------------------------


def test_reap_that_cannot_write_says_so(store: Store, run: Run, jobs_dir: Path) -> None:
    """The job stays lost, and its owner known; it does not say that no job is lost."""
    jobs_dir.chmod(0o777)
    ran = run("reap")
    jobs_dir.chmod(0o700)
    assert ran.code == 5
    assert ran.err.startswith("jobctl: cannot reap job lost: ")
    assert "no job is lost" not in ran.err
    assert run("reap") == Ran(0, "lost\n", "")


def test_reap_forgets_nobody_while_a_file_cannot_be_read(
    store: Store, run: Run, jobs_dir: Path
) -> None:
    """The job in it may be theirs: once it heals, it is lost."""
    whole = (jobs_dir / "lost.json").read_bytes()
    (jobs_dir / "lost.json").write_bytes(whole[:80])
    age(jobs_dir / "lost.json")
    until(lambda: _quarantine(store) == ["lost.json"])
    assert run("reap") == Ran(0, "", "jobctl: no job is lost\n")
    (jobs_dir / "lost.json").write_bytes(whole)
    until(lambda: _quarantine(store) == [])
    assert run("reap").out == "lost\n"
    assert store.owners.dead() == frozenset()


def _quarantine(store: Store) -> list[str]:
    store.refresh()
    store.since(ZERO)
    return [bad.name for bad in store.bad()]


@pytest.mark.skipif(
    shutil.which("unshare") is None or os.geteuid() != 0, reason="needs root and unshare"
)
@pytest.mark.parametrize(
    "argv", [["create", "etl"], ["advance", "hand"], ["reap"], ["rm", "hand"], ["retry", "hand"]]
)
def test_file_system_that_is_read_only_is_named(
    store: Store, jobs_dir: Path, argv: list[str]
) -> None:
    """One line, with the place; exit code 5, but for what makes no sense anyway."""
    script = f'mount --bind {jobs_dir} {jobs_dir}; mount -o remount,bind,ro {jobs_dir}; exec "$@"'
    ran = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, "sh", *command(*argv)],
        env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (5, "", 1)
    assert "Read-only file system" in ran.stderr
    assert str(jobs_dir) in ran.stderr


def test_store_that_was_opened_read_only_writes_when_it_may(
    store: Store, jobs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hub that began on a file system mounted read-only need not be started anew."""
    late = open_store(jobs_dir)
    opens = os.open

    def refuse(path: str, flags: int, *args: int, **where: int) -> int:
        if path == "changes" and flags & os.O_RDWR:
            raise OSError(30, os.strerror(30))
        return opens(path, flags, *args, **where)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", refuse)
        assert late.get("hand").active
    late.update("hand", lambda job: complete(job, now=now()))
    assert store.get("hand").stage == "completed"
    late.close()


# -- a damaged file -----------------------------------------------------------------------------


@pytest.mark.parametrize("hub", [False, True])
def test_job_whose_file_was_damaged_is_not_called_removed(
    store: Store, jobs_dir: Path, hub: bool
) -> None:
    """Nobody knows what became of it: that is an error of the store, which names the file."""
    with ExitStack() as stack:
        if hub:
            stack.enter_context(hub_on(jobs_dir))
        waiting = subprocess.Popen(
            command("wait", "hand", "lost"),
            env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert waiting.stdout is not None
        assert waiting.stdout.readline().startswith("lost  lost")  # it knows how the jobs stand
        (jobs_dir / "hand.json").write_text('{"id": "hand"')
        out, err = waiting.communicate(timeout=20)
    assert (waiting.returncode, out) == (5, "")
    assert "hand.json" in err
    assert err.count("\n") == 1
