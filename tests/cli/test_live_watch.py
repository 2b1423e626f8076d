"""The loop of `watch`, with a console, a clock and events of a test: no terminal, hub or store."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import pytest

from jobctl.cli.console import Console
from jobctl.cli.cursor_file import CursorFile
from jobctl.cli.live_view import JobView, StatusNotes
from jobctl.cli.live_watch import WatchOptions, watch_jobs
from jobctl.cli.options import Output
from jobctl.core.cursor import ZERO
from jobctl.core.filters import EVERYTHING
from jobctl.core.jobset import Delta, JobSet
from jobctl.core.protocol import DeadOwners
from jobctl.core.transitions import complete, create
from jobctl.reader.status import Status

TIME = "2026-01-01T00:00:00.000Z"


class Recorded(Console):
    """Keeps the lines and the notes."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.notes: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)

    def note(self, text: str) -> None:
        self.notes.append(text)


async def events() -> AsyncGenerator[Delta | Status | DeadOwners, None]:
    """A job that completes, and then nothing more."""
    jobs = JobSet("e")
    job = create("etl", now=TIME, id="a1").replace(revision=1)
    yield Status("open", "directory", "here")
    jobs.put(job)
    yield jobs.since(ZERO)
    before = jobs.cursor
    jobs.put(complete(job, now=TIME).replace(revision=2))
    yield jobs.since(before)
    raise AssertionError("the named job has ended, so nothing is asked for after it")


async def shown(output: Output, cursor_file: Path | None = None) -> Recorded:
    """What is printed of `events` in this form."""
    console = Recorded()
    options = WatchOptions(
        filter=EVERYTHING,
        start=ZERO,
        cursor_file=CursorFile(cursor_file) if cursor_file is not None else None,
        on_screen=False,
        output=output,
        times=None,
    )
    assert await watch_jobs(options, JobView("here", only=["a1"]), events(), console, lambda: 0)
    return console


@pytest.mark.parametrize(
    ("output", "lines"),
    [
        (Output.table, [f"{TIME}  a1  etl  pending  0%", f"{TIME}  a1  etl  completed  100%"]),
        (Output.wide, [f"{TIME}  a1  etl  -  pending  0%", f"{TIME}  a1  etl  -  completed  100%"]),
        (Output.name, ["a1", "a1"]),
    ],
)
async def test_each_change_is_a_line(output: Output, lines: list[str]) -> None:
    """And the source is a note."""
    console = await shown(output)
    assert console.lines == lines
    assert console.notes == ["live: here (no hub)"]


async def test_each_line_of_json_has_the_cursor_after_it(tmp_path: Path) -> None:
    """The cursor file has that of the last line."""
    console = await shown(Output.jsonl, tmp_path / "cursor")
    read = [json.loads(line) for line in console.lines]
    assert [(line["event"], line["cursor"]) for line in read] == [
        ("status", str(ZERO)),
        ("put", "e:1"),
        ("put", "e:2"),
    ]
    assert (tmp_path / "cursor").read_text() == "e:2\n"
    assert console.notes == []


async def test_a_digest_that_does_not_match_is_returned() -> None:
    """For the exit code of ``--verify``."""

    async def mismatch() -> AsyncGenerator[Delta | Status | DeadOwners, None]:
        yield Status("closed", "hub", "here", digest_mismatch=True)

    options = WatchOptions(
        filter=EVERYTHING,
        start=ZERO,
        cursor_file=None,
        on_screen=False,
        output=Output.jsonl,
        times=None,
    )
    assert not await watch_jobs(options, JobView("here"), mismatch(), Recorded(), lambda: 0)


def test_a_connection_problem_is_noted_once_and_its_end_too() -> None:
    """A night without a hub filled a mail: each try printed a line."""
    lines: list[str] = []
    notes = StatusNotes(lines.append)
    away = Status("error", "hub", "ws://h", "nobody listens there", 0.5)
    opened = Status("open", "hub", "ws://h")
    for status in (
        opened,
        Status("connecting", "hub", "ws://h"),
        away,
        away,
        replace(away, detail="no answer", retry_s=9.0),
        away,
        opened,
        opened,
        away,
    ):
        notes(status)  # fmt: skip
    assert lines == [
        "error: ws://h: nobody listens there, next try in 0.5 s",
        "error: ws://h: no answer, next try in 9.0 s",
        "live: ws://h",
        "error: ws://h: nobody listens there, next try in 0.5 s",
    ]


def test_watch_says_that_it_is_live_from_the_start() -> None:
    """Whoever watches sees through what."""
    lines: list[str] = []
    notes = StatusNotes(lines.append, always=True)
    notes(Status("open", "directory", "/jobs"))
    assert lines == ["live: /jobs (no hub)"]
