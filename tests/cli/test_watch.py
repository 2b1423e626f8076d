"""``jobctl watch``, off a terminal."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pexpect
import pytest

from jobctl._clock import now
from jobctl.cli.live_view import JobView
from jobctl.cli.text import width
from jobctl.core.cursor import ZERO, Cursor
from jobctl.core.job import Job
from jobctl.core.jobset import Delta, JobSet
from jobctl.core.protocol import BadFiles
from jobctl.core.transitions import complete, create, fail
from jobctl.reader.status import Status
from jobctl.stores import open_store
from tests.cli.conftest import DATA, Run, command, environment, hub_on
from tests.stores.support import age

ROWS = 24
NOW_MS = 1791244800000  # 2026-10-06T00:00:00Z


def test_named_jobs_that_have_ended_end_it(run: Run, jobs_dir: Path) -> None:
    """One line a change, exit code 0."""
    id = run("create").out.strip()
    run("complete", id)
    result = run("watch", id[:8])
    assert result.code == 0
    assert id in result.out
    assert "completed" in result.out


def test_every_line_is_a_place_to_resume_from(run: Run, jobs_dir: Path) -> None:
    """Whoever stops after any line of a snapshot, and comes back with its cursor, has it all."""
    ids = [run("create").out.strip() for _ in range(5)]
    for id in ids:
        run("complete", id)
    out = run("watch", *ids, "-o", "jsonl").out
    puts = [line for line in map(json.loads, out.splitlines()) if line["event"] == "put"]
    assert [line["job"]["id"] for line in puts] == ids
    for seen, line in enumerate(puts, 1):
        again = run("watch", *ids, "-o", "jsonl", "--cursor", line["cursor"]).out
        events = [line for line in map(json.loads, again.splitlines()) if line["event"] == "put"]
        assert [event["job"]["id"] for event in events] == ids[seen:]


def test_a_cursor_file_is_kept(run: Run, jobs_dir: Path, tmp_path: Path) -> None:
    """The second run goes on where the first one stopped."""
    id = run("create").out.strip()
    run("complete", id)
    kept = tmp_path / "cursor"
    assert '"put"' in run("watch", id, "-o", "jsonl", "--cursor-file", str(kept)).out
    assert kept.read_text().count(":") == 2
    assert '"put"' not in run("watch", id, "-o", "jsonl", "--cursor-file", str(kept)).out
    assert [path.name for path in tmp_path.iterdir() if "tmp" in path.name] == []


def test_a_cursor_is_not_kept_through_a_link(run: Run, jobs_dir: Path, tmp_path: Path) -> None:
    """FAULTS row 65: whoever can write beside the file can guess the temporary one's name."""
    id = run("create").out.strip()
    run("complete", id)
    kept, precious = tmp_path / "cursor", tmp_path / "precious"
    precious.write_text("precious")
    (tmp_path / f"cursor.{os.getpid()}.tmp").symlink_to(precious)
    assert run("watch", id, "-q", "--cursor-file", str(kept)).code == 0
    assert precious.read_text() == "precious"
    assert kept.read_text().count(":") == 2


def test_a_hub_that_is_insisted_on_and_missing_times_out(run: Run) -> None:
    """Exit code 124, after trying."""
    result = run("watch", "--url", "ws://127.0.0.1:9", "--timeout", "0.2")
    assert result.code == 124
    assert "no hub at ws://127.0.0.1:9/ws/jobs" in result.err.splitlines()[-1]


def test_a_deletion_after_the_cursor_is_told(run: Run, jobs_dir: Path) -> None:
    """Though this process never held the job."""
    ids = [run("create").out.strip() for _ in range(2)]
    run("complete", ids[0])
    cursor = run("watch", ids[0], "-o", "jsonl").out.splitlines()[-1]
    run("rm", *ids)
    cursor = json.loads(cursor)["cursor"]
    store = open_store(jobs_dir)
    view = JobView("here")
    start = Cursor.parse(cursor)
    view.resume_from(start)
    assert view.take(store.since(Cursor(start.epoch, start.revision))) == ids
    store.close()


def test_a_cursor_that_cannot_be_resumed_says_so(run: Run, jobs_dir: Path) -> None:
    """A reset in the open: clear first."""
    id = run("create").out.strip()
    run("complete", id)
    out = run("watch", id, "-o", "jsonl", "--cursor", "deadbeef0000:7").out
    events = [json.loads(line) for line in out.splitlines()]
    assert [event["status"]["state"] for event in events if event["event"] == "status"] == [
        "open",
        "reset",
    ]
    assert "cannot be resumed" in run("ls", "--cursor", "deadbeef0000:7").err
    assert "cannot be resumed" in run("watch", id, "--cursor", "deadbeef0000:7").err


@pytest.mark.slow
def test_changes_arrive_live_from_the_directory(tmp_path: Path) -> None:
    """No hub: it says so, and shows what another process writes and removes."""
    store = open_store(tmp_path / "jobs", create=True)
    first = store.create(create("etl", now=now()))
    watch = subprocess.Popen(
        command("watch", "-o", "jsonl", "--dir", str(tmp_path / "jobs")),
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert watch.stdout is not None
    lines = (json.loads(line) for line in watch.stdout)
    status = next(lines)
    assert (status["event"], status["status"]["source"]) == ("status", "directory")
    assert next(lines)["job"]["id"] == first.id
    store.update(first.id, lambda job: complete(job, now=now()))
    assert next(lines)["job"]["stage"] == "completed"
    store.remove(first.id)
    gone = next(lines)
    assert (gone["event"], gone["job"]) == ("gone", {"id": first.id, "why": "removed"})
    watch.terminate()
    assert watch.wait(20) == 143
    watch.stdout.close()
    store.close()


@pytest.mark.slow
@pytest.mark.parametrize("source", ["hub", "url", "directory"])
def test_a_named_job_whose_file_is_damaged_is_watched_on(jobs_dir: Path, source: str) -> None:
    """It is neither gone nor at its end: somebody may mend the file, and the job goes on."""
    with ExitStack() as opened:
        url = opened.enter_context(hub_on(jobs_dir)) if source != "directory" else ""
        store = open_store(jobs_dir, create=True)
        store.create(create("etl", now=now(), id="a1"))
        place = ["--url", url] if source == "url" else ["--dir", str(jobs_dir)]
        watch = opened.enter_context(
            subprocess.Popen(
                command("watch", "a1", "-o", "jsonl", *place),
                env=environment(),
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        opened.callback(watch.kill)
        assert watch.stdout is not None
        lines = (json.loads(line) for line in watch.stdout)
        next(line for line in lines if line["event"] == "put")
        file = jobs_dir / "a1.json"
        whole = file.read_text()
        file.write_text(whole[:40])
        gone, bad = {}, {}
        while not (gone and bad):  # the list of bad files may come first
            line = next(lines)
            gone = line if line["event"] == "gone" else gone
            bad = line if line["event"] == "bad" else bad
        assert gone["job"]["id"] == "a1"
        assert gone["job"]["why"].startswith("damaged: not JSON")
        assert [item["name"] for item in bad["files"]] == ["a1.json"]
        file.write_text(whole)
        next(line for line in lines if line["event"] == "put")
        assert watch.poll() is None
        store.update("a1", lambda job: complete(job, now=now()))
        ended = next(line for line in lines if line["event"] == "put")
        assert ended["job"]["stage"] == "completed"
        assert watch.wait(20) == 0
        store.close()


def test_files_that_are_no_jobs_are_noted(run: Run, jobs_dir: Path) -> None:
    """Once each, on standard error; a watch of all jobs would not miss them otherwise."""
    id = run("create").out.strip()
    run("complete", id)
    (jobs_dir / "torn.json").write_text("{")
    age(jobs_dir / "torn.json")
    watch = subprocess.Popen(
        command("watch", "-a"), env=environment(JOBCTL_DIR=str(jobs_dir)),
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert watch.stderr is not None
    noted = next(line for line in watch.stderr if "torn.json" in line)
    assert "torn.json is no job: not JSON" in noted
    watch.terminate()
    watch.communicate()
    view = JobView("here")
    assert view.set_bad_files(BadFiles({"torn.json": "not JSON"})) == {"torn.json": "not JSON"}
    assert view.set_bad_files(BadFiles({"torn.json": "not JSON"}, omitted=2)) == {}
    assert "3 damaged" in view.screen(80, ROWS, 0)[-1][0]


def _view(count: int) -> JobView:
    view = JobView("here")
    source = JobSet("e")
    for number in range(count):
        moment = f"2026-01-01T00:00:{number:02d}.000Z"
        job = create("create_session", now=moment, id=f"job{number:04d}")
        source.put(job.replace(revision=number + 1))
    view.take(source.since(ZERO))
    return view


@pytest.mark.parametrize("columns", [20, 80, 200])
def test_the_screen_is_cut_to_the_terminal(columns: int) -> None:
    """Never a line too long or too many, and the rest is counted."""
    lines = _view(53).screen(columns, ROWS, 0)
    assert len(lines) <= ROWS
    assert all(len(line) <= columns for line, _ in lines)
    assert [line for line, _ in lines if "more" in line] == ["… 32 more"]


@pytest.mark.parametrize("columns", [80, 200])
def test_screen_looks_as_it_did(columns: int) -> None:
    """Golden files pin it at two widths."""
    store = open_store(DATA / "node-app-jobs")
    view = JobView("data/jobs", everything=True, others=store.ids())
    view.take(store.since(ZERO))
    store.close()
    view.take_status(Status("open", "hub", "ws://127.0.0.1:8765/ws/jobs"), NOW_MS)
    lines = [line for line, _ in view.screen(columns, 60, NOW_MS)]
    golden = Path(__file__).parent / "golden" / f"watch-{columns}.txt"
    assert "\n".join(lines) + "\n" == golden.read_text()
    assert max(map(width, lines)) <= columns


def test_stage_is_whole_on_the_narrowest_screen() -> None:
    """FAULTS row 40: the id and the stage, and nothing that would cut them."""
    lines = [line for line, _ in _view(1).screen(19, ROWS, 0)]
    assert lines[0] == "job0000  pending"


def test_nothing_to_show_says_so() -> None:
    """And waits."""
    assert _view(0).screen(80, ROWS, 0)[0][0] == "No active jobs in here; waiting"


def test_what_ended_before_is_shown_only_on_request() -> None:
    """The jobs that end from now on stay."""
    source = JobSet("e")
    old = complete(create("t", now=now(), id="old"), now=now())
    source.put(old.replace(revision=1))
    view, everything = JobView("here"), JobView("here", everything=True)
    for one in (view, everything):
        one.take(source.since(ZERO))
    assert (view.shown(), [job.id for job in everything.shown()]) == ([], ["old"])
    cursor = source.cursor
    new = complete(create("t", now=now(), id="new"), now=now())
    source.put(new.replace(revision=2))
    view.take(source.since(cursor))
    assert [job.id for job in view.shown()] == ["new"]


def test_a_named_job_that_runs_has_not_ended_for_being_unchanged_since_the_cursor() -> None:
    """Nothing comes of it until it moves; its end, or its removal, is its end."""
    source = JobSet("e")
    running = create("t", now=now(), id="j")
    source.put(running.replace(revision=1))
    for end in ("completed", "removed", "reset"):
        view = JobView("here", only=["j"])
        view.resume_from(source.cursor, named=[running])
        view.take(source.since(source.cursor))
        assert not view.all_ended()
        after = JobSet("other") if end == "reset" else JobSet("e")
        if end == "completed":
            after.put(complete(running, now=now()).replace(revision=2))
        elif end == "removed":
            after.put(running.replace(revision=1))
            after.delete("j", 2)
        view.take(after.since(source.cursor))
        assert view.all_ended()


def test_a_named_file_that_is_no_job_is_an_error(run: Run) -> None:
    """And not a job that has ended."""
    result = run("watch", "torn", "--dir", str(DATA / "bad-jobs"))
    assert (result.code, result.err.count("\n")) == (5, 1)


def test_short_ids_on_the_screen_are_unique_among_the_others_as_well() -> None:
    """Those that a filter keeps from the board."""
    source = JobSet("e")
    job = create("t", now=now(), id="nightly-2026-01-01")
    source.put(job.replace(revision=1))
    view = JobView("here", others=["nightly-2026-01-02"])
    view.take(source.since(ZERO))
    assert "nightly-2026-01-01" in view.screen(80, ROWS, 0)[0][0]


@pytest.mark.parametrize("url", ["ws://a\U000e0041b", "ws://\x9bm", "ws://a\u202e", "ws://a b\x1b"])
def test_a_host_that_cannot_be_is_not_tried(run: Run, url: str) -> None:
    """FAULTS row 53: a usage error, in visible words."""
    result = run("watch", "--url", url, "--timeout", "0.05")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "is not the URL of a hub" in result.err


def test_exit_status_tells_of_a_failure(run: Run, jobs_dir: Path) -> None:
    """Of the named jobs, or of those that were shown; else the watch itself went well."""
    for id in ("good", "bad"):
        run("create", "etl" if id == "good" else "other", "--id", id)
    run("complete", "good")
    run("fail", "bad", "boom")
    assert run("watch", "good", "bad").code == 0
    assert run("watch", "good", "bad", "--exit-status").code == 3
    assert run("watch", "good", "--exit-status").code == 0
    assert run("watch", "--all", "--exit-status", "-o", "jsonl").code == 3
    assert run("watch", "--all", "--type", "etl", "--exit-status").code == 0
    cursor = json.loads(run("ls", "-o", "json").out)["cursor"]
    first = run("watch", "good", "bad", "-o", "jsonl").out.splitlines()[-1]
    args = ("watch", "good", "bad", "--exit-status", "--cursor")
    assert run(*args, json.loads(first)["cursor"]).code == 3, "it failed before the cursor"
    for blind in (("--active",), ("--stage", "failed"), ("--cursor", cursor)):
        result = run("watch", "--exit-status", *blind)
        assert (result.code, result.err.count("\n")) == (2, 1)


def test_what_was_shown_ends_a_watch_for_its_exit_status() -> None:
    """Once nothing of it is active; what ended long ago, also after a reset, is not of it."""
    source = JobSet("e")
    view = JobView("here", ends=True)

    def put(job: Job) -> None:
        source.put(job.replace(revision=source.revision + 1))

    def read() -> None:
        view.take(source.since(view.jobs.cursor))

    put(fail(create("t", now=now(), id="long-ago"), "boom", now=now()))
    read()
    assert not view.all_ended(), "nothing has been shown yet"
    first, second = (create("t", now=now(), id=id) for id in ("first", "second"))
    put(first)
    put(second)
    read()
    put(complete(first, now=now()))
    read()
    assert not view.all_ended()
    kept, source = list(source), JobSet("another")
    for job in kept:
        put(job)
    read()
    assert not view.all_ended()
    put(complete(second, now=now()))
    read()
    assert (view.all_ended(), view.exit_code()) == (True, 0)
    put(fail(create("t", now=now(), id="third"), "boom", now=now()))
    read()
    source.delete("third", source.revision + 1)
    read()
    assert view.exit_code() == 3, "it was seen to fail"


def test_a_named_job_that_is_removed_before_its_end_has_not_ended_well() -> None:
    """For the exit status: as for `wait`."""
    source = JobSet("e")
    source.put(create("t", now=now(), id="j").replace(revision=1))
    view = JobView("here", only=["j"], ends=True)
    view.take(source.since(ZERO))
    source.delete("j", 2)
    view.take(source.since(Cursor("e", 1)))
    assert (view.all_ended(), view.exit_code()) == (True, 4)


@pytest.mark.slow
def test_going_on_from_a_cursor_waits_for_a_job_that_still_runs(tmp_path: Path) -> None:
    """By the directory: exit code 0 when it has ended, not before."""
    _goes_on_until_the_end(tmp_path / "jobs", ())


@pytest.mark.slow
def test_going_on_by_a_hub_tells_of_the_named_jobs_only(tmp_path: Path) -> None:
    """By --url, and a start of the id: the same events, by cursors of the same filter."""
    with hub_on(tmp_path / "jobs") as url:
        _goes_on_until_the_end(tmp_path / "jobs", ("--url", url))


def _goes_on_until_the_end(directory: Path, source: tuple[str, ...]) -> None:
    store = open_store(directory, create=True)
    mine, other = (store.create(create("etl", now=now(), id=id)) for id in ("mine-1", "other-1"))
    where = source or ("--dir", str(directory))
    watch = subprocess.Popen(
        command("watch", "mine", "-o", "jsonl", *where),
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert watch.stdout is not None
    first = next(line for line in map(json.loads, watch.stdout) if line["event"] == "put")
    watch.kill()
    watch.communicate()
    again = subprocess.Popen(
        command("watch", "mine", "-o", "jsonl", "--cursor", first["cursor"], *where),
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert again.stdout is not None
    opened = next(line for line in map(json.loads, again.stdout) if line["status"]["state"])
    assert opened["event"] == "status"
    store.update(other.id, lambda job: complete(job, now=now()))
    store.update(mine.id, lambda job: complete(job, now=now()))
    events = [json.loads(line) for line in again.communicate(timeout=20)[0].splitlines()]
    changes = [(e["event"], e["job"]["id"], e["job"]["stage"]) for e in events if e["job"]]
    assert changes == [("put", "mine-1", "completed")]
    assert again.returncode == 0
    store.close()


@pytest.mark.slow
@pytest.mark.parametrize("by_url", [False, True])
def test_a_named_job_that_is_removed_has_ended(tmp_path: Path, by_url: bool) -> None:
    """The same with and without --url: a line, and exit code 0."""
    store = open_store(tmp_path, create=True)
    store.create(create("etl", now=now(), id="j"))
    with hub_on(tmp_path) as url:
        where = ("--url", url) if by_url else ("--dir", str(tmp_path))
        watch = subprocess.Popen(
            command("watch", "j", *where),
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert watch.stdout is not None
        assert " j  etl  pending" in watch.stdout.readline()
        store.remove("j")
        assert (watch.communicate(timeout=20)[0], watch.returncode) == ("j  gone\n", 0)
    store.close()


@pytest.mark.slow
@pytest.mark.parametrize("columns", [20, 80])
def test_on_a_terminal_it_shows_what_is_and_leaves_its_last_frame(
    tmp_path: Path, columns: int
) -> None:
    """Also with a cursor: a screen shows the jobs, not the changes (FAULTS rows 37 and 40)."""
    store = open_store(tmp_path, create=True)
    store.create(create("etl", now=now(), id="j"))
    watch = pexpect.spawn(
        sys.executable,
        ["-m", "jobctl", "watch", "j", "--cursor", str(store.since(ZERO).cursor())],
        env={**environment(JOBCTL_DIR=str(tmp_path), TERM="xterm"), "NO_COLOR": "1"},
        dimensions=(24, columns),
        encoding="utf-8",
        timeout=20,
    )
    watch.expect("j +(etl +)?pend")
    store.update("j", lambda job: complete(job, now=now()))
    watch.expect("comple")
    watch.expect(pexpect.EOF)
    watch.close()
    assert watch.exitstatus == 0
    store.close()


def test_death_is_told_once() -> None:
    """Also when nobody is told to be dead in between: who reads a hub and a directory in turn."""
    view = JobView("here")
    job = create("etl", now=now(), id="a1")
    job = job.replace(owner="1-0123456789ab", revision=1)
    view.take(Delta("e", 0, 1, (job,)))
    dead = frozenset({"1-0123456789ab"})
    assert [lost.id for lost in view.set_dead_owners(dead)] == ["a1"]
    assert view.set_dead_owners(frozenset()) == []
    assert view.set_dead_owners(dead) == []
    assert view.dead == dead


@pytest.mark.slow
def test_screen_is_as_wide_as_the_terminal(jobs_dir: Path) -> None:
    """Not as ``COLUMNS`` says, which a shell exports once, before its window changes."""
    store = open_store(jobs_dir, create=True)
    store.create(complete(create("etl", now=now(), id="a1", title="x" * 200), now=now()))
    store.close()
    for columns in (30, 120):
        terminal = pexpect.spawn(
            command("watch", "a1")[0], command("watch", "a1")[1:],
            env=environment(TERM="xterm", NO_COLOR="1", COLUMNS="80", LINES="24"),
            dimensions=(24, columns), encoding="utf-8", timeout=30,
        )  # fmt: skip
        said = re.split(r"\x1b\[[0-9;?]*[A-Za-z]|\r|\n", terminal.read())
        terminal.close()
        assert columns - 15 < max(map(width, said)) <= columns
