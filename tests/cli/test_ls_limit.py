"""``ls`` on a terminal: all that needs a look, and the newest of the rest."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pexpect
import pytest

from jobctl._clock import now_ms
from jobctl.cli.formats import short_ids
from jobctl.core import transitions as jobs
from jobctl.core.times import to_text
from jobctl.stores import open_store
from tests.cli.conftest import Run, command, environment

ENDED = 60


def _at(minutes_ago: float) -> str:
    return to_text(now_ms() - round(minutes_ago * 60_000))


@pytest.fixture
def many(jobs_dir: Path) -> Path:
    """Sixty jobs that completed, each older than the one before; all others are older still."""
    store = open_store(jobs_dir, create=True)
    for number in range(ENDED):
        job = jobs.create("etl", now=_at(5 + number), id=f"done{number:02}")
        store.create(jobs.complete(job, now=_at(number)))
    old = _at(3 * 1440)
    store.create(jobs.create("etl", now=old, id="active"))
    for id, minutes in (("new", 1), ("known", 1), ("old", 1441)):
        job = jobs.create("etl", now=old, id=id)
        store.create(jobs.fail(job, "boom", now=_at(minutes)))
    store.create(jobs.cancel(jobs.create("etl", now=old, id="stopped"), now=_at(1)))
    store.update("known", lambda job: jobs.acknowledge(job, now=_at(0)))
    store.close()
    return jobs_dir


class Screen(io.StringIO):
    """A standard output that a person reads."""

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        raise OSError


@pytest.fixture
def on_screen(run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run it on a terminal, without colours."""
    monkeypatch.setenv("NO_COLOR", "1")

    def run_it(*args: str) -> object:
        screen = Screen()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", screen)
            ran = run(*args)
        return ran._replace(out=screen.getvalue())

    return run_it  # type: ignore[return-value]


def test_old_ended_jobs_are_left_out_and_counted(on_screen: Run, many: Path) -> None:
    """Active jobs and failures of the last 24 h are all there, unless acknowledged."""
    *rows, last = on_screen("ls", "--no-headers").out.splitlines()
    ids = [line.split()[0] for line in rows]
    done = [f"done{number:02}" for number in range(50)]
    assert ids[:50] == done
    assert set(ids[50:]) == {"active", "new"}
    assert last == "13 more ended; -a shows all"


def test_all_of_them_if_asked(on_screen: Run, many: Path) -> None:
    """By -a, or by a limit of one's own."""
    for args in (["-a"], ["--all"], ["--limit", "99"]):
        out = on_screen("ls", "--no-headers", *args).out
        assert len(out.splitlines()) == ENDED + 5
        assert "more ended" not in out


@pytest.mark.parametrize(
    ("args", "rows", "more"),
    [
        (["--stage", "completed"], 50, "10 more ended; -a shows all"),
        (["--since", "30m", "--stage", "completed"], 30, ""),
        (["--active"], 1, ""),
        (["--type", "etl", "--sort", "id"], 52, "13 more ended; -a shows all"),
        (["-o", "wide"], 52, "13 more ended; -a shows all"),
        (["-q"], ENDED + 5, ""),
        (["-o", "jsonl"], ENDED + 5, ""),
        (["-o", "name"], ENDED + 5, ""),
    ],
)
def test_filters_and_formats(
    on_screen: Run, many: Path, args: list[str], rows: int, more: str
) -> None:
    """A filter changes nothing about it; formats for programs have all."""
    lines = on_screen("ls", "--no-headers", *args).out.splitlines()
    last = [lines.pop()] if more else []
    assert (len(lines), last) == (rows, [more] if more else [])


def test_newest_by_the_order_that_is_asked_for(on_screen: Run, many: Path) -> None:
    """By the last change, jobs that were made long ago are among the newest."""
    out = on_screen("ls", "--no-headers", "--sort", "updated").out
    assert {"stopped", "known"} <= {line.split()[0] for line in out.splitlines()}


def test_pipe_gets_all(run: Run, many: Path) -> None:
    """As before."""
    out = run("ls", "--no-headers").out
    assert len(out.splitlines()) == ENDED + 5


def test_real_terminal(many: Path) -> None:
    """The same on a pty."""
    program, *args = command("ls", "--no-headers", "--dir", str(many))
    child = pexpect.spawn(program, args, env={**environment(), "NO_COLOR": "1"}, encoding="utf-8")
    child.expect(pexpect.EOF)
    assert child.before.splitlines()[-1] == "13 more ended; -a shows all"
    assert len(child.before.splitlines()) == 53


def test_ids_that_somebody_has_chosen_stay_whole() -> None:
    """``backup-db`` was shown as ``backup-d``; a UUID is cut, as nobody types it."""
    uuid = "0b961de6-0db3-45e5-a6b1-baace3925407"
    ids = ["backup-db", "train-resnet", "a-rather-long-name", uuid]
    assert short_ids(ids) == {
        "backup-db": "backup-db",
        "train-resnet": "train-resnet",
        "a-rather-long-name": "a-rather",
        uuid: "0b961de6",
    }
    assert short_ids([uuid], ["0b961de6-0db4"]) == {uuid: "0b961de6-0db3"}
