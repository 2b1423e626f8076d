"""``jobctl logs``, on a directory and on a hub."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jobctl._clock import now, now_ms
from jobctl.core import transitions as jobs
from jobctl.core.job import Command, Job
from jobctl.core.log import BOTH, STDERR, STDOUT, LogLine
from jobctl.core.times import to_text
from jobctl.stores.directory.logs import DirectoryLogWriter
from jobctl.stores.directory.store import DirectoryStore
from tests.cli.conftest import Run, command, environment, hub_on, run_process
from tests.stores.support import plant_owner


@pytest.fixture
def store(jobs_dir: Path) -> Iterator[DirectoryStore]:
    made = DirectoryStore(jobs_dir, create=True)
    yield made
    made.close()


def new(store: DirectoryStore, id: str = "a1", **fields: object) -> Job:
    job = jobs.create("run", now=now(), id=id, stages=["go"])
    return store.create(job.replace(run=Command(argv=("true",), cwd="/").to_value(), **fields))


def say(writer: DirectoryLogWriter, *texts: str, stream: str = BOTH, at_ms: int = 0) -> None:
    writer.write([LogLine(at_ms or now_ms(), stream, text.encode()) for text in texts])
    assert writer.problem is None


def test_log_is_printed(run: Run, store: DirectoryStore) -> None:
    """Also for the start of an id."""
    say(store.log_writer(new(store)), "one", "two")
    assert run("logs", "a") == (0, "one\ntwo\n", "")


def test_options_choose_lines(run: Run, store: DirectoryStore) -> None:
    """The last ones, those of a time, and those of standard error."""
    writer = store.log_writer(new(store))
    at_ms = now_ms()
    say(writer, "old", at_ms=at_ms - 3_600_000)
    say(writer, "out", stream=STDOUT, at_ms=at_ms)
    say(writer, "err", stream=STDERR, at_ms=at_ms)
    assert run("logs", "a1", "--tail", "1").out == "err\n"
    assert run("logs", "a1", "-n", "0").out == ""
    assert run("logs", "a1", "--since", "10m").out == "out\nerr\n"
    assert run("logs", "a1", "--since", to_text(at_ms)).out == "out\nerr\n"
    assert run("logs", "a1", "--stderr").out == "old\nerr\n"
    said = run("logs", "a1", "-t", "--tail", "1").out
    assert said == f"{to_text(at_ms)} err\n"


@pytest.mark.parametrize(
    "args", [["--tail", "-1"], ["--tail", "x"], ["--since", "yesterday"], ["--since", "20261123"]]
)
def test_wrong_values_are_refused(run: Run, store: DirectoryStore, args: list[str]) -> None:
    """On one line, before anything is printed."""
    say(store.log_writer(new(store)), "one")
    ran = run("logs", "a1", *args)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.count("\n") == 1


def test_job_without_a_log_says_why(run: Run, store: DirectoryStore) -> None:
    """As far as it is known: exit code 4, as for a job that is not there."""
    store.create(jobs.create("etl", now=now(), id="other"))
    child = jobs.create("etl", now=now(), id="child")
    store.create(child.replace(extra={**child.extra, "parent": "running"}))
    new(store, "running")
    ended = new(store, "ended")
    store.update("ended", lambda job: jobs.complete(job, now=now()))
    for id, why in [
        ("other", "job other has no log: only 'jobctl run' keeps the output of its command"),
        ("child", "job child has no log: what it printed is in that of its run, running"),
        ("running", "job running has no log: it has printed nothing that is kept, or its log is"),
        ("ended", "it printed nothing that is kept, its log was off, or 'prune --logs' or the"),
    ]:
        ran = run("logs", id)
        assert (ran.code, ran.out) == (4, "")
        assert why in ran.err
        assert ran.err.count("\n") == 1
    assert run("logs", "other", "-f").code == 4
    assert run("logs", "ended", "-f").code == 4
    assert run("logs", "nobody").code == 4
    assert ended.id == "ended"


def test_wrong_limit_is_told_before_a_command_runs(
    run: Run, jobs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer of the log takes the default then, so nobody would hear of it."""
    monkeypatch.setenv("JOBCTL_LOG_LIMIT", "much")
    ran = run("run", "--", "touch", str(jobs_dir.parent / "ran"))
    assert ran.code == 125
    assert "$JOBCTL_LOG_LIMIT: 'much' is no size; write 200MB or 1.5GiB" in ran.err
    assert not (jobs_dir.parent / "ran").exists()


def test_log_of_an_earlier_job_is_not_shown(run: Run, store: DirectoryStore) -> None:
    """The job's file was replaced by another program."""
    job = new(store)
    say(store.log_writer(job), "secret of the old one")
    file = store.path / "a1.json"
    text = file.read_text().replace(job.created_at, "2020-01-01T00:00:00.000Z")
    file.write_text(text)
    ran = run("logs", "a1")
    assert (ran.code, ran.out) == (4, "")


def test_show_tells_of_the_log(run: Run, store: DirectoryStore) -> None:
    """Its size, and how to read it; nothing where there is none."""
    job = new(store)
    assert "jobctl logs" not in run("show", "a1").out
    say(store.log_writer(job), "x" * 3000)
    assert re.search(r"^log +3\.1 kB: 'jobctl logs a1'$", run("show", "a1").out, re.MULTILINE)


def test_cut_is_one_line(run: Run, store: DirectoryStore) -> None:
    """Between the beginning and the newest."""
    writer = store.log_writer(new(store))
    for number in range(0, 3000, 10):
        say(writer, *[f"{n} " + "x" * 995 for n in range(number, number + 10)])
    lines = run("logs", "a1").out.splitlines()
    (cut,) = [line for line in lines if "left out" in line]
    assert cut.startswith("… 2.1 MB left out")
    assert lines[0].startswith("0 ")
    assert lines[-1].startswith("2999 ")


def test_on_a_terminal_only_colours_pass(store: DirectoryStore, jobs_dir: Path) -> None:
    """In a pipe every byte is as it was."""
    said = b"\x1b]0;title\x07\x1b[31mred\x1b[0m"
    store.log_writer(new(store)).write([LogLine(0, BOTH, said)])
    args = command("logs", "a1", "--dir", str(jobs_dir))
    piped = subprocess.run(args, env=environment(), capture_output=True, check=True, timeout=50)
    assert piped.stdout == said + b"\n"
    master, slave = pty.openpty()
    subprocess.run(args, env=environment(), stdout=slave, check=True, timeout=50)
    os.close(slave)
    assert os.read(master, 1000) == b"\\e]0;title\\x07\x1b[31mred\x1b[0m\r\n"
    os.close(master)


@contextmanager
def following(*args: str) -> Iterator[subprocess.Popen[str]]:
    """A ``jobctl logs -f`` whose output can be read."""
    process = subprocess.Popen(
        command("logs", "-f", *args),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def lines_of(process: subprocess.Popen[str], count: int) -> list[str]:
    assert process.stdout is not None
    return [process.stdout.readline().rstrip("\n") for _ in range(count)]


@pytest.fixture(params=["directory", "hub"])
def source(request: pytest.FixtureRequest, store: DirectoryStore) -> Iterator[list[str]]:
    """Options that name where the log is read from."""
    if request.param == "directory":
        yield ["--dir", str(store.path)]
        return
    with hub_on(store.path) as url:
        yield ["--url", url]


@pytest.mark.slow
def test_follower_reads_to_the_end(store: DirectoryStore, source: list[str]) -> None:
    """What is written while it looks on, over two attempts, until the job has ended."""
    job = new(store)
    writer = store.log_writer(job)
    say(writer, "one", "two")
    with following("a1", "--tail", "1", *source) as process:
        assert lines_of(process, 1) == ["two"]
        say(writer, "three")
        assert lines_of(process, 1) == ["three"]
        writer.close()
        store.log_writer(job.replace(retry_count=1)).write([LogLine(0, BOTH, b"four")])
        assert lines_of(process, 2) == ["--- attempt 2 ---", "four"]
        say(writer, "last")
        store.update("a1", lambda job: jobs.complete(job, now=now()))
        assert process.wait(timeout=20) == 0
        assert process.communicate() == ("last\n", "")


@pytest.mark.slow
def test_follower_waits_for_the_first_line(store: DirectoryStore, source: list[str]) -> None:
    """A job that is active may print something yet; one that ended without has an empty log."""
    job = new(store)
    with following("a1", *source) as process:
        time.sleep(1)
        say(store.log_writer(job), "first")
        assert lines_of(process, 1) == ["first"]
        store.remove("a1")
        assert process.wait(timeout=20) == 0


@pytest.mark.slow
def test_follower_says_why_there_was_nothing(store: DirectoryStore, source: list[str]) -> None:
    """An end without a word does not tell whether it printed nothing, or its log is off."""
    new(store)
    with following("a1", *source) as process:
        time.sleep(3)  # it has to have begun; a busy machine needs more than a second
        store.update("a1", lambda job: jobs.complete(job, now=now()))
        out, err = process.communicate(timeout=20)
        assert (process.returncode, out) == (0, "")
        assert err.count("\n") == 1
        assert "it printed nothing that is kept, its log was off" in err
        assert "what goes to a terminal is kept only with 'jobctl run --log on'" in err


@pytest.mark.slow
def test_log_of_an_ended_job_is_not_waited_for(store: DirectoryStore, source: list[str]) -> None:
    """Its log is printed, and that is all."""
    say(store.log_writer(new(store)), "one")
    store.update("a1", lambda job: jobs.complete(job, now=now()))
    assert run_process("logs", "-f", "a1", *source) == (0, "one\n", "")


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_ends_a_follower(
    store: DirectoryStore, source: list[str], number: int, code: int
) -> None:
    """Quietly."""
    say(store.log_writer(new(store)), "one")
    with following("a1", *source) as process:
        lines_of(process, 1)
        process.send_signal(number)
        assert process.wait(timeout=20) == code
        assert process.communicate() == ("", "")


@pytest.mark.slow
def test_follower_ends_when_nobody_reads_it(store: DirectoryStore) -> None:
    """As with ``head``: also if nothing more is printed."""
    say(store.log_writer(new(store)), "one")
    with following("a1", "--dir", str(store.path)) as process:
        lines_of(process, 1)
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(timeout=20) == 141


@pytest.mark.slow
def test_dead_worker_ends_a_follower(store: DirectoryStore, source: list[str]) -> None:
    """Nothing will follow; what can be done is said."""
    name = "1-0123456789ab"
    job = new(store)
    plant_owner(store.path, name)
    store.update("a1", lambda job: jobs.advance(job, "go", now=now()).replace(owner=name))
    say(store.log_writer(job), "one")
    ran = run_process("logs", "-f", "a1", *source)
    assert (ran.code, ran.out) == (0, "one\n")


@pytest.mark.slow
def test_hub_gives_the_bytes_of_the_directory(store: DirectoryStore, jobs_dir: Path) -> None:
    """Cut and all; and the errors are the same."""
    writer = store.log_writer(new(store))
    for number in range(300):
        writer.write([LogLine(0, BOTH, b"%d \xff\x1b[2J" % number + b"x" * 9000)])
    new(store, "none")
    with hub_on(jobs_dir) as url:
        for args in (["a1"], ["a", "--tail", "3"], ["a1", "-t", "--since", "1970-01-01"]):
            runs = [
                subprocess.run(
                    command("logs", *args, *where), env=environment(), capture_output=True,
                    check=True, timeout=50,
                ).stdout
                for where in (["--dir", str(jobs_dir)], ["--url", url])
            ]  # fmt: skip
            assert runs[0] == runs[1]
            assert len(runs[0]) > 20_000
        for id in ("none", "nobody"):
            ran = run_process("logs", id, "--url", url)
            assert (ran.code, ran.out) == (4, "")
            assert ran.err.count("\n") == 1
        assert "has no log" in run_process("logs", "none", "--url", url).err


@pytest.mark.slow
def test_follower_survives_a_restart_of_the_hub(store: DirectoryStore, jobs_dir: Path) -> None:
    """No line is lost, and none comes twice."""
    writer = store.log_writer(new(store))
    say(writer, "1")
    hub = _serve(jobs_dir, "0")
    port, again = _port_of(hub), None
    try:
        with following("a1", "--url", f"ws://127.0.0.1:{port}") as process:
            assert lines_of(process, 1) == ["1"]
            hub.kill()
            hub.wait()
            say(writer, "2")
            again = _serve(jobs_dir, port)
            say(writer, "3")
            assert lines_of(process, 2) == ["2", "3"]
            store.update("a1", lambda job: jobs.complete(job, now=now()))
            assert process.wait(timeout=30) == 0
            out, err = process.communicate()
            assert out == ""
            assert "trying again" in err
            assert "connected again" in err
    finally:
        for each in (hub, again):
            if each is not None:
                each.kill()
                each.communicate()


def _serve(jobs_dir: Path, port: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command("serve", "--dir", str(jobs_dir), "--port", port, "--log-format", "json"),
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    )


def _port_of(hub: subprocess.Popen[str]) -> str:
    assert hub.stderr is not None
    line = next(line for line in hub.stderr if '"listening"' in line)
    return str(json.loads(line)["url"]).split(":")[2].split("/")[0]
