"""``jobctl watch``: the jobs, live."""

from __future__ import annotations

import contextlib
import os
import sys
from contextlib import aclosing
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from jobctl import api
from jobctl.cli.board import Board, change_line, describe
from jobctl.cli.common import (
    ActiveOption,
    DirOption,
    SessionOption,
    StageOption,
    TypeOption,
    compact,
    machine,
    make_filter,
    note,
    out,
    place,
    run_async,
)
from jobctl.cli.text import visible
from jobctl.clock import now_ms
from jobctl.cursor import ZERO, Cursor
from jobctl.errors import JobNotFound, UsageError
from jobctl.filters import Filter
from jobctl.job import check_id
from jobctl.jobset import Delta
from jobctl.net.follow import follow
from jobctl.net.status import Status
from jobctl.stores import Store

__all__ = ["EXAMPLE", "watch"]

EXAMPLE = "Example: jobctl watch --type create_session"


class Output(StrEnum):
    """How changes are shown."""

    table = "table"
    jsonl = "jsonl"


def watch(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Ids, or unique starts of them.")
    ] = None,
    type: TypeOption = None,
    stage: StageOption = None,
    session: SessionOption = None,
    active: ActiveOption = False,
    everything: Annotated[
        bool, typer.Option("-a", "--all", help="Show what ended long ago as well.")
    ] = False,
    cursor: Annotated[
        str | None, typer.Option(metavar="CURSOR", help="Go on from this cursor.")
    ] = None,
    cursor_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Go on from, and keep, the cursor here.")
    ] = None,
    url: Annotated[str | None, typer.Option(metavar="URL", help="Insist on this hub.")] = None,
    timeout: Annotated[
        float | None, typer.Option(min=0, metavar="S", help="With --url: give up after S seconds.")
    ] = None,
    output: Annotated[
        Output, typer.Option("-o", "--output", help="How to show changes.")
    ] = Output.table,
    directory: DirOption = None,
) -> None:
    """Watch jobs live: through a hub if one runs, else in the directory.

    Ends when the jobs that were named have ended; else with Ctrl-C.
    """
    if ids and (type or stage or session or active):
        raise UsageError("ids and filters are two choices", hint="give one of them")
    if timeout is not None and url is None:
        raise UsageError("--timeout goes with --url", hint="without it there is no hub to wait for")
    since = _start(cursor, cursor_file)
    store: Store | None = None
    named = list(ids or ())
    if url is None:
        here = place(directory, live=True)
        store, where = here.store, str(here.where.path)
        named = [api.resolve(store, id) for id in named]
        chosen = make_filter(named, type, stage, session, active)
    else:
        if directory is not None:
            raise UsageError("--dir and --url are two sources", hint="give one of them")
        where = url
        named = [check_id(id) for id in named]
        chosen = make_filter((), type, stage, session, active)  # ids are resolved when it is synced
    board = Board(where, everything=everything, only=named or None)
    reader = Reader(board, store, url, chosen, since, cursor_file, timeout, named)
    repaints = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    live = output is Output.table and repaints
    if live:
        since = ZERO  # a screen shows what is, not what has changed
    try:
        run_async(reader.on_screen() if live else reader.as_lines(jsonl=output is Output.jsonl))
    finally:
        if store is not None:
            store.close()


def _start(cursor: str | None, cursor_file: Path | None) -> Cursor:
    if cursor is not None and cursor_file is not None:
        raise UsageError("--cursor and --cursor-file are two cursors", hint="give one of them")
    if cursor_file is not None and not os.access(cursor_file.parent, os.W_OK | os.X_OK):
        raise UsageError(f"cannot keep the cursor in {cursor_file}: its directory is not writable")
    if cursor_file is not None and cursor_file.exists():
        try:
            cursor = cursor_file.read_text().strip() or "0"
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"cannot read a cursor from {cursor_file}: {error}") from error
    return Cursor.parse(cursor) if cursor is not None else ZERO


class Reader:
    """One run of the command: events from `follow`, onto the board, and out."""

    def __init__(
        self,
        board: Board,
        store: Store | None,
        url: str | None,
        filter: Filter,
        cursor: Cursor,
        cursor_file: Path | None,
        timeout_s: float | None,
        named: list[str],
    ) -> None:
        self._board = board
        self._store, self._url = store, url
        self._filter, self._cursor = filter, cursor
        self._cursor_file = cursor_file
        self._timeout_s = timeout_s
        self._named = named
        if cursor != ZERO:
            # The first delta goes on from here: the board pretends to have been there.
            board.jobs.epoch, board.jobs.revision = cursor.epoch, cursor.revision
            board.goes_on = True

    async def on_screen(self) -> None:
        """The live table."""
        from jobctl.cli.live import Screen

        async with Screen(self._board) as screen, aclosing(self._events()) as events:
            async for event in events:
                if isinstance(event, Status):
                    self._board.take_status(event, now_ms())
                else:
                    self._take(event)
                screen.changed()
                if self._board.all_ended():
                    return

    async def as_lines(self, *, jsonl: bool) -> None:
        """One line a change."""
        waiting_said = False
        async with aclosing(self._events()) as events:
            async for event in events:
                if isinstance(event, Status):
                    self._board.take_status(event, now_ms())
                    if jsonl:
                        self._emit("status", None, status=_status(event))
                    elif event.state != "connecting":
                        note(describe(event))
                    continue
                before = self._cursor
                if event.since == 0 and before != ZERO:
                    self._say_reset(jsonl=jsonl)
                gone = self._take(event, announce=False)
                self._write_changes(event, before, gone, jsonl=jsonl)
                self._keep_cursor()
                if self._board.synced and not jsonl and not waiting_said:
                    waiting_said = True
                    if not self._board.shown():
                        note(f"No active jobs in {self._board.where}; waiting")
                if self._board.all_ended():
                    return

    def _events(self) -> Any:
        return follow(
            store=self._store,
            url=self._url,
            filter=self._filter,
            cursor=self._cursor,
            timeout_s=self._timeout_s,
        )

    def _take(self, delta: Delta, *, announce: bool = True) -> list[str]:
        gone = self._board.take(delta)
        self._cursor = delta.cursor(self._filter)
        if announce:
            self._keep_cursor()
        if self._url is not None and self._named and self._board.synced:
            self._board.limit_to(self._resolved())
        return gone

    def _resolved(self) -> list[str]:
        """The full ids of the starts that were named, among what the hub has."""
        ids: list[str] = []
        for text in self._named:
            found = sorted(job.id for job in self._board.jobs if job.id.startswith(text))
            if text in found:
                found = [text]
            if len(found) != 1:
                raise JobNotFound(text, self._board.where, found)
            ids += found
        self._named = ids
        return ids

    def _write_changes(self, delta: Delta, before: Cursor, gone: list[str], *, jsonl: bool) -> None:
        """What is gone first, under the old cursor; each job under its own revision; the last one
        under the delta's, so that whoever stops after any line loses nothing."""
        events: list[tuple[str, Any, Cursor]] = [("gone", {"id": id}, before) for id in gone]
        for job in delta.jobs:
            events.append(("put", job, self._cursor._replace(revision=job.revision)))
        now = now_ms()
        for place_, (event, job, cursor) in enumerate(events):
            last = place_ == len(events) - 1
            if jsonl:
                shown = job if event == "gone" else machine(job)
                self._emit(event, shown, cursor=self._cursor if last else cursor)
            elif event == "gone":
                out(f"{visible(job['id'])}  gone")
            elif self._board.shows(job):
                out(change_line(job, now))
        if events:
            sys.stdout.flush()

    def _say_reset(self, *, jsonl: bool) -> None:
        """The cursor is of another epoch or filter, or too old: everything comes again."""
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
            temporary.write_text(f"{self._cursor}\n")
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
