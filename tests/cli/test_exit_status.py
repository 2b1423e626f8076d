"""How people write scripts: what becomes of the job, the exit code, and what ``wait`` says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from jobctl.core.job import Job
from jobctl.stores import Store, open_store
from tests.cli.conftest import command, environment

JOBCTL = " ".join(command())


@pytest.fixture
def store(jobs_dir: Path) -> Store:
    return open_store(jobs_dir, create=True)


def ran(
    script: str, *options: str, shell: tuple[str, ...] = ("sh",)
) -> subprocess.CompletedProcess[str]:
    """The script as the command of ``jobctl run``."""
    text = script.replace("jobctl ", f"{JOBCTL} ")
    return subprocess.run(
        [*command("run", "--id", "j", *options), "--", *shell, "-c", text],
        env=environment(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def stages(job: Job) -> list[str]:
    return [entry.stage for entry in job.timeline()][1:-1]


SNIPPETS = [
    # what it does, options, exit code, stage, error, what wait says, its stages
    ("true", [], 0, "completed", None, 0, ["run"]),
    ("exit 3", [], 3, "failed", "Exit code 3", 3, ["run"]),
    ("kill -9 $$", [], -9, "failed", "SIGKILL", 3, ["run"]),
    ("echo oops >&2; exit 1", [], 1, "failed", "Exit code 1: oops", 3, ["run"]),
    ("jobctl advance completed; exit 3", [], 3, "failed", "Exit code 3", 3, ["run"]),
    ("jobctl complete; exit 3", [], 3, "failed", "Exit code 3", 3, ["run"]),
    ("jobctl complete --result 7", [], 0, "completed", None, 0, ["run"]),
    ("echo stage=completed >> $JOBCTL_EVENTS; exit 3", [], 3, "failed", "Exit code 3", 3, ["run"]),
    ("echo stage=completed >> $JOBCTL_EVENTS", [], 0, "completed", None, 0, ["run"]),
    ("jobctl advance nowhere; exit 3", ["--stages", "a,b"], 3, "failed", "Exit code 3", 3, ["a"]),
    ("echo oops >&2; jobctl advance x,y; exit 3", [], 3, "failed", "Exit code 3: oops", 3, ["run"]),
    ("jobctl fail 'no orders'; exit 0", [], 0, "failed", "no orders", 3, ["run"]),
    ("jobctl fail 'no orders'; exit 3", [], 3, "failed", "no orders", 3, ["run"]),
    ("jobctl advance; jobctl advance; exit 3", ["--stages", "a,b"], 3, "failed", "Exit code 3", 3,
     ["a", "b"]),
    ("jobctl advance; jobctl advance; jobctl advance", ["--stages", "a,b"], 0, "completed", None, 0,
     ["a", "b"]),
    ("set -e; jobctl advance a; jobctl advance b", ["--stages", "a,b"], 0, "completed", None, 0,
     ["a", "b"]),
    ("set -e; jobctl advance fetch; jobctl advance load", [], 0, "completed", None, 0,
     ["run", "fetch", "load"]),
    ("echo stage=load >> $JOBCTL_EVENTS", [], 0, "completed", None, 0, ["run", "load"]),
    ("set -e; jobctl advance nowhere; true", ["--stages", "a,b"], 0, "completed", None, 0, ["a"]),
    ("set -e; jobctl progress /8; jobctl progress 9/8; true", [], 0, "completed", None, 0, ["run"]),
    ("set -e; jobctl fail ''; true", [], 0, "completed", None, 0, ["run"]),
    ("set -e; jobctl complete --result '{'; true", [], 0, "completed", None, 0, ["run"]),
    ("set -e; jobctl complete; jobctl complete; jobctl progress 5", [], 0, "completed", None, 0,
     ["run"]),
    ("exit 24", ["--ok", "24"], 24, "completed", None, 0, ["run"]),
    ("exit 23", ["--ok", "1,24"], 23, "failed", "Exit code 23", 3, ["run"]),
    ("sleep 30", ["--timeout", "0.3s"], 124, "failed", "Timed out after 0.3s", 3, ["run"]),
    ("jobctl complete; sleep 30", ["--timeout", "1s"], 124, "failed", "Timed out after 1s", 3,
     ["run"]),
    ("set -e; jobctl rm j; jobctl advance x; true", [], 0, None, None, 4, []),
]  # fmt: skip


@pytest.mark.parametrize(
    ("script", "options", "code", "stage", "error", "waited", "passed"),
    SNIPPETS,
    ids=[f"{script} {' '.join(options)}" for script, options, *_ in SNIPPETS],
)
def test_the_exit_status_decides(
    store: Store,
    script: str,
    options: list[str],
    code: int,
    stage: str | None,
    error: str | None,
    waited: int,
    passed: list[str],
) -> None:
    """Whatever the command has said; and no report ends a script with ``set -e``."""
    done = ran(script, *options)
    assert done.returncode == code, done.stderr
    wait = subprocess.run(command("wait", "j"), env=environment(), capture_output=True, check=False)
    assert wait.returncode == waited
    if stage is None:
        assert store.ids() == []
        return
    job = store.get("j")
    assert (job.stage, job.error, stages(job)) == (stage, error, passed)


def test_result_that_was_said_early_is_kept(store: Store) -> None:
    """For the end; a job that fails has none."""
    ran("jobctl complete --result '{\"rows\": 3}' --result-session s2")
    job = store.get("j")
    assert (job.stage, job.result, job.result_session_id) == ("completed", {"rows": 3}, "s2")


def test_until_then_all_stages_are_done(store: Store) -> None:
    """Whoever waits goes on waiting: the command may still fail."""
    done = ran(
        "jobctl complete; jobctl show -o json $JOBCTL_JOB > $OUT; jobctl wait j --timeout 0.2s;"
        " echo $?; exit 3".replace("$OUT", str(store.where) + ".seen"),
        "--stages", "a,b",
    )  # fmt: skip
    assert done.stdout == "124\n"
    seen = Path(store.where + ".seen").read_text()
    assert '"stage":"b"' in seen
    assert '"progress":100' in seen
    assert "not ended after 0.2 s" in done.stderr
    assert store.get("j").stage == "failed"


def test_errors_are_warnings_within_a_run_only(store: Store) -> None:
    """For the run's own job; ``--strict`` makes them errors, and a wrong option is always one."""
    done = ran("jobctl advance nowhere; echo $?", "--stages", "a,b")
    assert done.stdout == "0\n"
    assert "cannot advance" in done.stderr
    assert "; the work goes on" in done.stderr
    store.remove("j")
    done = ran("jobctl advance nowhere --strict; echo $?", "--stages", "a,b")
    assert done.stdout == "1\n"
    store.remove("j")
    done = ran("jobctl advance --nonsense; echo $?; jobctl advance other load; echo $?")
    assert done.stdout == "2\n4\n"
    outside = subprocess.run(
        command("advance", "j", "load"), env=environment(), capture_output=True, check=False
    )
    assert outside.returncode == 1


def test_command_that_has_completed_is_completed_by_hand(store: Store) -> None:
    """Once its runner is gone, nobody will tell how it ended."""
    ran("true")
    store.update("j", lambda job: job.replace(stage="run", completed_at=None, owner=None))
    done = subprocess.run(
        command("complete", "j"), env=environment(), capture_output=True, check=False
    )
    assert (done.returncode, store.get("j").stage) == (0, "completed")


@pytest.mark.parametrize("codes", ["x", "", "256", "-1", "1,,2", "9" * 5000])
def test_codes_that_are_none_are_refused(codes: str) -> None:
    """Before anything runs."""
    done = subprocess.run(
        command("run", f"--ok={codes}", "--", "true"),
        env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr.count("\n")) == (125, 1)
    assert "is no list of exit codes" in done.stderr


def test_rerun_keeps_what_counts_as_success_and_the_time_limit(
    store: Store, tmp_path: Path
) -> None:
    """The next attempt, and the one after it, are judged as the first one was."""
    flag = tmp_path / "flag"
    script = f"test -e {flag} && exit 24; test -e {flag}2 && sleep 30; exit 23"
    assert ran(script, "--ok", "3,24", "--timeout", "1.5s").returncode == 23
    for status, error in ((23, "Exit code 23"), (124, "Timed out after 1.5s"), (24, None)):
        if status == 124:
            Path(f"{flag}2").touch()
        if status == 24:
            flag.touch()
        done = subprocess.run(
            command("retry", "j", "--rerun"), env=environment(), capture_output=True, timeout=60,
            check=False,
        )  # fmt: skip
        assert (done.returncode, store.get("j").error) == (status, error)
    assert store.get("j").stage == "completed"


@pytest.mark.parametrize("limit", [-1, 10**400, "soon", [5]])
def test_time_limit_of_another_program_is_none_of_ours(store: Store, limit: object) -> None:
    """Such a ``run`` was not written by jobctl, so there is nothing to run again."""
    ran("exit 3")
    store.update("j", lambda job: job.replace(run={**dict(job.run), "timeoutMs": limit}))
    done = subprocess.run(
        command("retry", "j", "--rerun"), env=environment(), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "nothing to run again" in done.stderr


def test_error_is_the_exception_of_a_traceback(store: Store) -> None:
    """Not the last line of its notes, and without any escape sequence."""
    program = (
        "import sys; sys.stderr.write('\\x1b]0;title\\x07')\n"
        "e = ValueError('\\x1b(B\\x1b[1mbad\\x1b[m row'); e.add_note('see the log'); raise e"
    )
    ran(program, shell=(sys.executable,))
    assert store.get("j").error == "Exit code 1: ValueError: bad row"
