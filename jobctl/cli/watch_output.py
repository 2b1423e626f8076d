"""The outputs of ``jobctl watch``: a screen, lines of text, ids, or JSON lines."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from jobctl.cli.common import compact, job_object
from jobctl.cli.console import Console
from jobctl.cli.live_view import JobView, LineContext, StatusNotes, change_line
from jobctl.cli.options import TimeFormat
from jobctl.cli.text import visible
from jobctl.core.cursor import ZERO, Cursor
from jobctl.core.job import Job
from jobctl.core.jobset import Delta
from jobctl.reader.status import Status

if TYPE_CHECKING:
    from jobctl.cli.screen import Screen

__all__ = ["IdLines", "JsonLines", "OnScreen", "Output", "TextLines"]


class Output(Protocol):
    """Shows what happens to the jobs of a view. Each method is called after the view has changed.

    ``at`` is the present cursor.
    """

    def show_status(self, status: Status, at: Cursor) -> None:
        """Show the reader's status."""

    def show_lost(self, lost: list[Job], at: Cursor) -> None:
        """Show the jobs whose worker has died since the last call."""

    def show_bad_files(self, new: dict[str, str], at: Cursor) -> None:
        """Show the files that are no jobs, with the reasons; without those shown before."""

    def show_delta(self, delta: Delta, gone: list[str], before: Cursor, after: Cursor) -> None:
        """Show a delta, between these cursors. ``gone`` are the ids that the view has lost."""

    def ring(self) -> None:
        """Ring the bell of the terminal, if there is one."""


def _ring() -> None:
    """Ring the terminal's bell: that of standard output, or of standard error."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            if stream.isatty():
                stream.write("\a")
                stream.flush()
                return


class OnScreen:
    """A live table on the terminal."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    def show_status(self, status: Status, at: Cursor) -> None:
        self._screen.changed()

    def show_lost(self, lost: list[Job], at: Cursor) -> None:
        self._screen.changed()

    def show_bad_files(self, new: dict[str, str], at: Cursor) -> None:
        self._screen.changed()

    def show_delta(self, delta: Delta, gone: list[str], before: Cursor, after: Cursor) -> None:
        self._screen.changed()

    def ring(self) -> None:
        _ring()


class _NotedLines:
    """Lines on standard output, with notes beside them on standard error."""

    def __init__(self, view: JobView, console: Console) -> None:
        self._view, self._console = view, console
        self._noted = False
        self._status_notes = StatusNotes(console.note, always=True)

    def show_status(self, status: Status, at: Cursor) -> None:
        self._status_notes(status)

    def ring(self) -> None:
        _ring()

    def show_bad_files(self, new: dict[str, str], at: Cursor) -> None:
        for name, reason in sorted(new.items()):
            self._console.note(f"{visible(name)} is no job: {visible(reason)}")

    def _note_reset(self, delta: Delta, before: Cursor) -> None:
        """Say that the cursor cannot be resumed, so that everything is printed again."""
        if delta.since == 0 and before != ZERO:
            self._console.note("the cursor cannot be resumed, so everything comes again")

    def _note_nothing(self) -> None:
        """Say once, after the first complete read, that there is nothing to show yet."""
        if self._view.synced and not self._noted:
            self._noted = True
            if not self._view.shown():
                self._console.note(f"No active jobs in {self._view.where}; waiting")


class IdLines(_NotedLines):
    """The id of each job that changes."""

    def show_lost(self, lost: list[Job], at: Cursor) -> None:
        """Print nothing: the job has not changed."""

    def show_delta(self, delta: Delta, gone: list[str], before: Cursor, after: Cursor) -> None:
        self._note_reset(delta, before)
        for job in delta.jobs:
            if self._view.shows(job):
                self._console.line(job.id)
        self._console.flush()
        self._note_nothing()


class TextLines(_NotedLines):
    """One line of text for each change."""

    def __init__(
        self,
        view: JobView,
        console: Console,
        clock: Callable[[], int],
        form: TimeFormat | None,
        *,
        wide: bool,
    ) -> None:
        super().__init__(view, console)
        self._clock, self._form, self._wide = clock, form, wide

    def show_lost(self, lost: list[Job], at: Cursor) -> None:
        self._print(lost)

    def show_delta(self, delta: Delta, gone: list[str], before: Cursor, after: Cursor) -> None:
        self._note_reset(delta, before)
        for id in gone:
            damage = self._view.damage(id)
            why = "gone" if damage is None else f"damaged: {visible(damage)}"
            self._console.line(f"{visible(id)}  {why}")
        self._print(delta.jobs)
        self._note_nothing()

    def _print(self, jobs: list[Job] | tuple[Job, ...]) -> None:
        view = self._view
        context = LineContext(self._clock(), view.dead, view.usual, self._form, wide=self._wide)
        for job in jobs:
            if view.shows(job):
                self._console.line(change_line(job, context))
        self._console.flush()


class JsonLines:
    """One JSON object a line for each event, with the cursor to resume from after it."""

    def __init__(self, view: JobView, console: Console, clock: Callable[[], int]) -> None:
        self._view, self._console, self._clock = view, console, clock
        self._told_bad_files = False

    def show_status(self, status: Status, at: Cursor) -> None:
        value = {
            "state": status.state,
            "source": status.source,
            "where": status.where,
            "detail": status.detail,
            "retryS": round(status.retry_s, 3) if status.retry_s is not None else None,
        }
        self._print("status", at, None, status=value)

    def ring(self) -> None:
        _ring()

    def show_lost(self, lost: list[Job], at: Cursor) -> None:
        for job in lost:
            self._print("lost", at, self._value(job))

    def show_bad_files(self, new: dict[str, str], at: Cursor) -> None:
        bad = self._view.bad_files
        files = [{"name": name, "reason": reason} for name, reason in bad.reasons.items()]
        if files or new or self._told_bad_files:
            self._told_bad_files = True
            self._print("bad", at, None, files=files, omitted=bad.omitted)

    def show_delta(self, delta: Delta, gone: list[str], before: Cursor, after: Cursor) -> None:
        """Print the changes of a delta, each with a cursor to resume from.

        Deletions come first, with the old cursor. Each job has its own revision, and the last line
        the delta's cursor. So nothing is lost if the reader stops after any line.
        """
        if delta.since == 0 and before != ZERO:
            status = {"state": "reset", "detail": "the cursor cannot be resumed: clear first"}
            self._print("status", before, None, status=status)
        why = {item.id: item.why for item in delta.gone}
        lines: list[tuple[str, Any, Cursor]] = [
            ("gone", {"id": id, "why": why.get(id) or None}, before) for id in gone
        ]
        lines += [
            ("put", self._value(job), after._replace(revision=job.revision)) for job in delta.jobs
        ]
        for index, (event, value, cursor) in enumerate(lines):
            self._print(event, after if index == len(lines) - 1 else cursor, value)

    def _value(self, job: Job) -> dict[str, Any]:
        return job_object(job, self._view.dead, self._view.usual, self._clock())

    def _print(self, event: str, cursor: Cursor, job: Any, **more: Any) -> None:
        line = {"event": event, "cursor": str(cursor), "job": job, **more}
        self._console.line(compact(line))
        self._console.flush()
