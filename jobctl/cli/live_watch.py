"""The implementation of ``jobctl watch``: events of `follow`, shown on a screen or as lines."""

from __future__ import annotations

import contextlib
import os
import sys
from contextlib import aclosing
from pathlib import Path
from typing import Any

from jobctl._clock import now_ms
from jobctl.cli.common import compact, job_object, note, out
from jobctl.cli.live_view import JobView, LineContext, change_line, describe
from jobctl.cli.options import Output, TimeFormat
from jobctl.cli.text import visible
from jobctl.core.cursor import ZERO, Cursor
from jobctl.core.filters import Filter
from jobctl.core.job import Job
from jobctl.core.jobset import Delta
from jobctl.core.protocol import DeadOwners
from jobctl.errors import UsageError
from jobctl.hub.credentials import Credentials
from jobctl.reader.follow import follow
from jobctl.reader.status import Status
from jobctl.stores import Store

__all__ = ["WatchRun"]

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


class WatchRun:
    """One run of ``jobctl watch``: applies events of `follow` to the view and shows them."""

    def __init__(
        self,
        view: JobView,
        store: Store | None,
        url: str | None,
        filter: Filter,
        cursor: Cursor,
        cursor_file: Path | None,
        timeout_s: float | None,
        *,
        credentials: Credentials | None = None,
        verify: bool = False,
        form: TimeFormat | None = None,
        wide: bool = False,
    ) -> None:
        self._form, self._wide = form, wide
        self.digest_mismatch = False
        self._verify = verify
        self._view = view
        self._store, self._url = store, url
        self._filter, self._cursor = filter, cursor
        self._cursor_file = cursor_file
        self._timeout_s = timeout_s
        self._credentials = credentials

    async def on_screen(self) -> None:
        """Show a live table."""
        from jobctl.cli.screen import Screen

        async with Screen(self._view) as screen, aclosing(self._events()) as events:
            async for event in events:
                if isinstance(event, Status):
                    self.digest_mismatch = self.digest_mismatch or event.digest_mismatch
                    self._view.take_status(event, now_ms())
                elif isinstance(event, DeadOwners):
                    self._view.set_dead_owners(event.dead)
                else:
                    self._take(event)
                screen.changed()
                if self._view.all_ended():
                    return

    async def as_lines(self, output: Output) -> None:
        """Print one line per change."""
        jsonl = output in (Output.json, Output.jsonl)
        names = output is Output.name
        noted = False
        async with aclosing(self._events()) as events:
            async for event in events:
                if isinstance(event, Status):
                    self.digest_mismatch = self.digest_mismatch or event.digest_mismatch
                    self._view.take_status(event, now_ms())
                    if jsonl:
                        self._emit("status", None, status=_status(event))
                    elif event.state != "connecting":
                        note(describe(event))
                    continue
                if isinstance(event, DeadOwners):
                    lost = self._view.set_dead_owners(event.dead)
                    if not names:
                        self._write_lost(lost, jsonl=jsonl)
                    if self._view.all_ended():
                        return
                    continue
                before = self._cursor
                if event.since == 0 and before != ZERO:
                    self._write_reset(jsonl=jsonl)
                gone = self._take(event, announce=False)
                if names:
                    self._write_names(event)
                else:
                    self._write_changes(event, before, gone, jsonl=jsonl)
                self._keep_cursor()
                if self._view.synced and not jsonl and not noted:
                    noted = True
                    if not self._view.shown():
                        note(f"No active jobs in {self._view.where}; waiting")
                if self._view.all_ended():
                    return

    def _events(self) -> Any:
        return follow(
            store=self._store,
            url=self._url,
            filter=self._filter,
            cursor=self._cursor,
            timeout_s=self._timeout_s,
            verify=self._verify,
            credentials=self._credentials,
        )

    def _take(self, delta: Delta, *, announce: bool = True) -> list[str]:
        gone = self._view.take(delta)
        self._cursor = delta.cursor(self._filter)
        if announce:
            self._keep_cursor()
        return gone

    def _write_names(self, delta: Delta) -> None:
        for job in delta.jobs:
            if self._view.shows(job):
                out(job.id)
        sys.stdout.flush()

    def _line_context(self) -> LineContext:
        view = self._view
        return LineContext(now_ms(), view.dead, view.usual, self._form, wide=self._wide)

    def _machine(self, job: Job) -> dict[str, Any]:
        return job_object(job, self._view.dead, self._view.usual)

    def _write_changes(self, delta: Delta, before: Cursor, gone: list[str], *, jsonl: bool) -> None:
        """Print the changes of a delta, each with a cursor to resume from.

        Deletions come first, with the old cursor. Each job has its own revision, and the last line
        the delta's cursor. So nothing is lost if the reader stops after any line.
        """
        events: list[tuple[str, Any, Cursor]] = [("gone", {"id": id}, before) for id in gone]
        for job in delta.jobs:
            events.append(("put", job, self._cursor._replace(revision=job.revision)))
        context = self._line_context()
        for index, (event, job, cursor) in enumerate(events):
            last = index == len(events) - 1
            if jsonl:
                shown = job if event == "gone" else self._machine(job)
                self._emit(event, shown, cursor=self._cursor if last else cursor)
            elif event == "gone":
                out(f"{visible(job['id'])}  gone")
            elif self._view.shows(job):
                out(change_line(job, context))
        if events:
            sys.stdout.flush()

    def _write_lost(self, lost: list[Job], *, jsonl: bool) -> None:
        """Print the jobs whose worker has died since the last line."""
        for job in lost:
            if jsonl:
                self._emit("lost", self._machine(job))
            elif self._view.shows(job):
                out(change_line(job, self._line_context()))
        sys.stdout.flush()

    def _write_reset(self, *, jsonl: bool) -> None:
        """Report that the cursor cannot be resumed, so everything is printed again."""
        if jsonl:
            status = {"state": "reset", "detail": "the cursor cannot be resumed: clear first"}
            self._emit("status", None, status=status)
        else:
            note("the cursor cannot be resumed, so everything comes again")

    def _emit(self, event: str, job: Any, *, cursor: Cursor | None = None, **more: Any) -> None:
        at = str(cursor if cursor is not None else self._cursor)
        out(compact({"event": event, "cursor": at, "job": job, **more}))
        sys.stdout.flush()

    def _keep_cursor(self) -> None:
        if self._cursor_file is None:
            return
        temporary = self._cursor_file.with_name(self._cursor_file.name + f".{os.getpid()}.tmp")
        try:
            # A new file, not what others may have put there: a link to some other file of ours.
            temporary.unlink(missing_ok=True)
            with open(os.open(temporary, _NEW, 0o666), "w") as file:
                file.write(f"{self._cursor}\n")
            temporary.replace(self._cursor_file)
        except OSError as error:
            raise UsageError(
                f"cannot keep the cursor in {self._cursor_file}: {error.strerror}"
            ) from error
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()


def _status(status: Status) -> dict[str, Any]:
    return {
        "state": status.state,
        "source": status.source,
        "where": status.where,
        "detail": status.detail,
        "retryS": round(status.retry_s, 3) if status.retry_s is not None else None,
    }
