"""``jobctl prune``, and the pruning of ``serve``."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

from jobctl._clock import now_ms
from jobctl.core import transitions as jobs
from jobctl.core.log import BOTH, LogLine
from jobctl.core.times import to_text
from jobctl.stores import open_store
from jobctl.stores.directory.store import DirectoryStore
from tests import odd_times
from tests.bare_files import age_files, full
from tests.cli.conftest import Run, command, environment
from tests.cli.test_text import harmless

OLD = ("done-30", "failed-9")


@pytest.fixture
def filled(jobs_dir: Path) -> Path:
    """Jobs of all kinds: the digits are the days since they ended."""
    fill(jobs_dir)
    return jobs_dir


def fill(directory: Path) -> None:
    def at(days: int) -> str:
        return to_text(now_ms() - days * 86_400_000)

    store = open_store(directory, create=True)
    store.create(jobs.create("etl", now=at(99), id="active"))
    store.create(jobs.complete(jobs.create("etl", now=at(2), id="done-1"), now=at(1)))
    store.create(jobs.complete(jobs.create("mail", now=at(99), id="done-30"), now=at(30)))
    store.create(jobs.fail(jobs.create("etl", now=at(99), id="failed-9"), "no", now=at(9)))
    store.close()


def left(directory: Path) -> set[str]:
    return {path.stem for path in directory.glob("*.json")}


def test_it_prints_what_it_removed(run: Run, filled: Path) -> None:
    """Ids on standard output, oldest first; a summary beside it. It does not ask off a terminal."""
    result = run("prune", "--yes")
    assert (result.code, result.out) == (0, "done-30\nfailed-9\n")
    assert result.err == f"jobctl: removed 2 jobs from {filled}\n"
    assert left(filled) == {"active", "done-1"}
    assert run("prune", "--yes") == (0, "", f"jobctl: removed 0 jobs from {filled}\n")


@pytest.mark.parametrize(
    ("args", "gone"),
    [
        (["--older-than", "20d"], {"done-30"}),
        (["--older-than", "1h30m"], {"done-1", "done-30", "failed-9"}),
        (["--keep", "1"], {"done-30", "failed-9"}),
        (["--keep", "0", "--type", "mail"], {"done-30"}),
        (["--stage", "failed"], {"failed-9"}),
        (["--stage", "completed,failed"], {"done-30", "failed-9"}),
        (["--stage", "completed", "--stage", "failed"], {"done-30", "failed-9"}),
    ],
)
def test_the_options_choose(run: Run, filled: Path, args: list[str], gone: set[str]) -> None:
    """A dry run says the same and removes nothing."""
    before = left(filled)
    dry = run("prune", "--dry-run", *args)
    assert (dry.code, set(dry.out.split())) == (0, gone)
    assert "would remove" in dry.err
    assert left(filled) == before
    wet = run("prune", "--yes", *args)
    assert (wet.code, wet.out) == (0, dry.out)
    assert left(filled) == before - gone


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--stage", "pending"], "'pending' is no stage to prune"),
        (["--stage", "completed,"], "'' is no stage to prune"),
        (["--older-than", "soon"], "--older-than: 'soon' is no duration: write"),
        (["--keep", "-1"], "try 'jobctl prune --help'"),
    ],
)
def test_nonsense_is_a_usage_error(run: Run, filled: Path, args: list[str], said: str) -> None:
    """Exit code 2, one line, nothing removed."""
    before = left(filled)
    result = run("prune", "--yes", *args)
    assert (result.code, result.out, result.err.count("\n")) == (2, "", 1)
    assert said in result.err
    assert left(filled) == before


def test_files_of_other_programs_stay_unless_told(run: Run, filled: Path) -> None:
    """FAULTS row 11: those that lack createdAt or type, and that jobctl never wrote."""
    odd_times.write(filled, full("full"), {"id": "bare", "stage": "completed"})
    age_files(filled, "bare")
    dry = run("prune", "--dry-run")
    assert set(dry.out.split()) == {"full", *OLD}
    assert dry.err == (
        f"jobctl: would remove 3 jobs from {filled}; 1 file of another program stays "
        "(--foreign removes it)\n"
    )
    odd_times.write(filled, {"id": "typed", "type": "etl", "stage": "failed"})
    age_files(filled, "typed")
    result = run("prune", "--yes")
    assert (result.code, set(result.out.split())) == (0, {"full", *OLD})
    assert result.err == (
        f"jobctl: removed 3 jobs from {filled}; 2 files of other programs stay "
        "(--foreign removes them)\n"
    )
    assert left(filled) == {"active", "done-1", "bare", "typed"}
    assert run("prune", "--yes", "--foreign").out.split() == ["bare", "typed"]
    assert left(filled) == {"active", "done-1"}


def test_files_that_are_no_jobs_stay_even_then(run: Run, filled: Path) -> None:
    """FAULTS row 11: --foreign is about jobs of other programs."""
    (filled / "package.json").write_text('{"name": "app"}')
    assert run("prune", "--foreign", "--older-than", "0").code == 0
    assert left(filled) == {"active", "package"}


def test_a_directory_that_is_not_there(run: Run, tmp_path: Path) -> None:
    """As for every command: exit code 5 if it was named."""
    result = run("prune", "--yes", "--dir", str(tmp_path / "none"))
    assert (result.code, result.out) == (5, "")
    assert "no directory" in result.err
    assert "the first 'jobctl run', 'create' or 'serve' makes it" in result.err


class Terminal(io.StringIO):
    """A standard input at which a person sits."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("answer", "removes"),
    [("y\n", True), ("YES\n", True), ("n\n", False), ("\n", False), ("", False), ("yy\n", False)],
)
def test_it_asks_a_person(
    run: Run, filled: Path, monkeypatch: pytest.MonkeyPatch, answer: str, removes: bool
) -> None:
    """On standard error, and No unless they say yes; nothing is removed before."""
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    result = run("prune")
    assert f"Remove 2 jobs from {filled}? [y/N]" in result.err
    assert (result.code, result.out) == ((0, "done-30\nfailed-9\n") if removes else (1, ""))
    assert ("nothing removed" in result.err) is not removes
    assert left(filled) == {"active", "done-1", *(() if removes else OLD)}


@pytest.mark.parametrize("args", [["--yes"], ["-y"], ["--dry-run"], ["--keep", "99"]])
def test_it_does_not_ask_for_nothing(
    run: Run, filled: Path, monkeypatch: pytest.MonkeyPatch, args: list[str]
) -> None:
    """With --yes, for a dry run, or when there is nothing to remove."""
    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    result = run("prune", "--yes", *args)
    assert (result.code, "[y/N]" in result.err) == (0, False)


def test_a_failure_is_told_and_keeps_no_other_job(
    run: Run, filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its exit code; the ids that went are printed all the same."""
    from jobctl.errors import StoreError
    from jobctl.stores.directory.store import DirectoryStore

    remove = DirectoryStore.remove

    def failing(self: DirectoryStore, id: str, *args: object) -> None:
        if id == "done-30":
            raise StoreError("cannot\x1b[2J", path="x")
        remove(self, id, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(DirectoryStore, "remove", failing)
    result = run("prune", "--yes")
    assert (result.code, result.out) == (5, "failed-9\n")
    assert result.err.splitlines()[0] == "jobctl: cannot\\e[2J"
    assert "removed 1 job from" in result.err
    assert harmless(result.err)


# -- as a process ---------------------------------------------------------------------------


@pytest.mark.slow
def test_the_prompt_and_ctrl_c_on_a_terminal(tmp_path: Path) -> None:
    """FAULTS row 37: 130, and nothing is removed; the answer is taken from a real terminal."""
    fill(tmp_path / "jobs")
    words = command("prune", "--dir", str(tmp_path / "jobs"))
    for answer, code in (("\x03", 130), ("n\n", 1), ("y\n", 0)):
        child = pexpect.spawn(words[0], words[1:], env=environment(), timeout=20, encoding="utf-8")
        child.expect(r"\[y/N\]")
        assert left(tmp_path / "jobs") == {"active", "done-1", *OLD}
        child.send(answer)
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == code
    assert left(tmp_path / "jobs") == {"active", "done-1"}


@pytest.mark.slow
def test_pipes_and_disks_that_take_nothing(tmp_path: Path) -> None:
    """FAULTS row 36: quiet 141, or one line and 1."""
    fill(tmp_path)
    args = command("prune", "--dir", str(tmp_path), "--dry-run")
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        args, env=environment(), stdout=write, stderr=subprocess.PIPE, check=False
    )
    os.close(write)
    assert done.returncode == 141
    assert b"Traceback" not in done.stderr
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            args, env=environment(), stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        1,
        b"jobctl: No space left on device",
    )


@pytest.mark.slow
def test_a_hub_prunes_from_its_start_on(tmp_path: Path) -> None:
    """With no client connected; one event says how many."""
    fill(tmp_path)
    serve = command("serve", "--port", "0", "--dir", str(tmp_path), "--log-format", "json")
    hub = subprocess.Popen(
        [*serve, "--prune-older-than", "7d"],
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert hub.stderr is not None
    try:
        for line in hub.stderr:
            event = json.loads(line) if line.startswith("{") else {}
            if event.get("event") == "prune":
                break
        assert (event["removed"], event["level"]) == (2, "info")
        assert left(tmp_path) == {"active", "done-1"}
    finally:
        hub.terminate()
        _, rest = hub.communicate(timeout=20)
    assert hub.returncode == 0
    assert "failed" not in rest


def test_a_hub_that_cannot_tell_how_old_does_not_start(run: Run, jobs_dir: Path) -> None:
    """Exit code 2."""
    result = run("serve", "--prune-older-than", "7days")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "--prune-older-than: '7days' is no duration" in result.err


def log_of(directory: Path, id: str) -> Path:
    return directory / ".jobctl" / "logs" / id


def write_logs(directory: Path, *ids: str) -> None:
    """A log of each of these jobs, and one whose job is gone, an hour old."""
    store = DirectoryStore(directory)
    for id in ids:
        store.log_writer(store.get(id)).write([LogLine(0, BOTH, b"one")])
    store.close()
    gone = log_of(directory, "gone") / "0000000000000000.log"
    gone.parent.mkdir()
    gone.write_text("2026-11-28T12:00:00.123Z both F one\n")
    os.utime(gone, (now_ms() / 1000 - 3600,) * 2)


def test_logs_can_be_removed_without_their_jobs(run: Run, filled: Path) -> None:
    """Those of jobs that ended so long ago, and those whose jobs are gone."""
    write_logs(filled, "active", "done-1", "done-30")
    dry = run("prune", "--logs", "--older-than", "3d", "--dry-run")
    assert (dry.code, dry.out) == (0, "done-30\n")
    assert dry.err == f"jobctl: would remove the log of 1 job from {filled}\n"
    assert log_of(filled, "done-30").exists()
    assert log_of(filled, "gone").exists()
    result = run("prune", "--logs", "--older-than", "3d")
    assert (result.code, result.out) == (0, "done-30\n")
    assert result.err == f"jobctl: removed the log of 1 job from {filled}\n"
    assert {path.name for path in log_of(filled, "").iterdir() if path.is_dir()} == {
        "active", "done-1",
    }  # fmt: skip
    assert left(filled) == {"active", "done-1", "done-30", "failed-9"}
    again = run("prune", "--logs", "--older-than", "0", "--keep", "1")
    assert again.out == ""
    assert again.err == f"jobctl: removed the logs of 0 jobs from {filled}\n"
    assert run("prune", "--logs", "--older-than", "0").out == "done-1\n"
    assert log_of(filled, "active").exists()


def test_log_goes_with_a_pruned_job(run: Run, filled: Path) -> None:
    """And logs whose jobs are gone go too, but not in a dry run."""
    write_logs(filled, "active", "done-1", "done-30")
    run("prune", "--dry-run")
    assert len(os.listdir(log_of(filled, ""))) == 5  # with the file of their usage
    assert run("prune", "--yes").out == "done-30\nfailed-9\n"
    names = {path.name for path in log_of(filled, "").iterdir() if path.is_dir()}
    assert names == {"active", "done-1"}


@pytest.mark.parametrize("args", [[], ["--stage", "failed"], ["--logs"], ["-o", "json"]])
def test_without_a_terminal_it_needs_to_be_told(run: Run, filled: Path, args: list[str]) -> None:
    """A script that forgets an option removes nothing; the error has a form that works."""
    before = left(filled)
    ran = run("prune", *args)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert "needs --older-than, --keep or --yes" in ran.err
    assert "jobctl prune --older-than 7d" in ran.err
    assert left(filled) == before
    for enough in (["--dry-run"], ["--older-than", "99d"], ["--keep", "9"], ["--yes"]):
        assert run("prune", *args, *enough).code == 0
