"""``jobctl watch`` into a pipe: its reader may go, and its directory may come later."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jobctl._clock import now
from jobctl.core.transitions import complete, create, fail, retry
from jobctl.stores import Store, open_store
from tests.cli.conftest import Run, command, environment

pytestmark = pytest.mark.slow


@contextmanager
def piped(*args: str) -> Iterator[subprocess.Popen[str]]:
    """A command whose output and notes are read through pipes."""
    process = subprocess.Popen(
        command(*args), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def lines_until(stream: object, text: str) -> list[str]:
    """The lines up to the one with the text."""
    lines: list[str] = []
    for line in stream:  # type: ignore[attr-defined]
        lines.append(line)
        if text in line:
            return lines
    raise AssertionError(f"{text!r} did not come: {lines}")


@pytest.fixture
def store(jobs_dir: Path) -> Iterator[Store]:
    """A store with one job."""
    opened = open_store(jobs_dir, create=True)
    opened.create(create("etl", now=now(), id="old1"))
    yield opened
    opened.close()


def _ends_soon(process: subprocess.Popen[str]) -> None:
    """Close its output, after which nothing changes any more; it ends quietly within a second."""
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    began_s = time.monotonic()
    assert process.wait(20) == 141
    assert time.monotonic() - began_s < 3  # a second, on a machine that has other work too
    assert process.stderr.read() == ""


@pytest.mark.parametrize("output", ["table", "wide", "name", "json", "jsonl"])
def test_a_pipe_whose_reader_has_gone_ends_it(store: Store, output: str) -> None:
    """Though nothing is written: ``watch | grep -m1`` stayed until the next change."""
    with piped("watch", "-o", output) as watch:
        lines_until(watch.stdout, "old1")
        if "json" not in output:
            lines_until(watch.stderr, "live: ")
        _ends_soon(watch)


@pytest.mark.parametrize("source", ["directory", "hub"])
def test_a_log_whose_reader_has_gone_ends_too(store: Store, source: str) -> None:
    """``logs -f``, from the directory and through a hub."""
    with piped(
        "run", "--log", "all", "--id", "run1", "--", "sh", "-c", "echo one; sleep 60"
    ) as run:
        lines_until(run.stdout, "one")
        if source == "directory":
            with piped("logs", "-f", "run1") as logs:
                lines_until(logs.stdout, "one")
                _ends_soon(logs)
            return
        with piped("serve", "--port", "0") as hub:
            url = lines_until(hub.stderr, "ws://")[-1].split(" on ")[1].split(",")[0].split()[0]
            with piped("logs", "-f", "run1", "--url", url) as logs:
                lines_until(logs.stdout, "one")
                _ends_soon(logs)


def test_new_prints_what_starts_from_now_on(store: Store) -> None:
    """Also another attempt of what failed before, and what then becomes of it."""
    store.create(fail(create("etl", now=now(), id="failed1"), "it broke", now=now()))
    with piped("watch", "--new") as watch, piped("watch", "--new", "-o", "jsonl") as json_watch:
        lines_until(watch.stderr, "No active jobs")
        lines_until(json_watch.stdout, "status")
        time.sleep(0.5)  # as whoever watches; the first read has no line of its own here
        store.update("old1", lambda job: complete(job, now=now()))
        store.update("failed1", lambda job: retry(job, now=now()))
        store.create(create("etl", now=now(), id="new1"))
        said = lines_until(watch.stdout, "new1")
        raw = lines_until(json_watch.stdout, '"new1"')
        store.remove("old1")
        store.remove("new1")
        said += lines_until(watch.stdout, "new1  gone")
        assert [line.split()[1] for line in said[:2]] == ["failed1", "new1"]
        assert not any("old1" in line for line in said)
        told = [json.loads(line) for line in raw + lines_until(json_watch.stdout, '"gone"')]
        ids = [line["job"]["id"] for line in told if line["job"]]
        assert ids == ["failed1", "new1", "new1"]


def test_a_directory_that_comes_later_is_waited_for(tmp_path: Path) -> None:
    """It says so; nothing is made there. Then the jobs come."""
    missing = tmp_path / "later"
    args = ("--dir", str(missing))
    with piped("watch", *args) as watch, piped("watch", *args, "-o", "jsonl") as json_watch:
        assert watch.stderr is not None
        assert watch.stderr.readline() == f"jobctl: waiting until {missing} exists\n"
        assert json_watch.stdout is not None
        status = json.loads(json_watch.stdout.readline())["status"]
        assert (status["state"], status["detail"]) == ("connecting", "waiting until it exists")
        assert not missing.exists()
        store = open_store(missing, create=True)
        store.create(create("etl", now=now(), id="new1"))
        lines_until(watch.stderr, f"live: {missing}")
        lines_until(watch.stdout, "new1")
        lines_until(json_watch.stdout, "new1")
        store.close()


def test_the_default_directory_is_not_made_either(tmp_path: Path) -> None:
    """Readers create nothing."""
    process = subprocess.Popen(
        command("watch"), env=environment(XDG_STATE_HOME=str(tmp_path)), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        lines_until(process.stderr, "waiting until")
        assert list(tmp_path.iterdir()) == []
    finally:
        process.kill()
        process.communicate()


def test_what_is_no_directory_is_an_error(run: Run, tmp_path: Path) -> None:
    """It will not become one."""
    (tmp_path / "file").write_text("")
    ran = run("watch", "--dir", str(tmp_path / "file"))
    assert ran.code != 0
    assert "is not a directory" in ran.err


@pytest.mark.parametrize("content", [b"nonsense", b"\xff\xfe", b"e:1:2:3:4", b"x" * 10_000])
def test_a_damaged_cursor_file_is_named_with_the_remedy(
    run: Run, store: Store, tmp_path: Path, content: bytes
) -> None:
    """As other bad input: exit code 2, one line."""
    kept = tmp_path / "cursor"
    kept.write_bytes(content)
    ran = run("watch", "--cursor-file", str(kept))
    assert ran.code == 2
    assert ran.err == (
        f"jobctl: {kept} holds no cursor: it is damaged, or another file; "
        "remove it to start from the beginning, or name another file\n"
    )
    assert kept.read_bytes() == content


def test_ids_and_new_are_two_choices(run: Run, store: Store) -> None:
    """A named job is watched whenever it started."""
    ran = run("watch", "old1", "--new")
    assert (ran.code, "ids and --new" in ran.err) == (2, True)
