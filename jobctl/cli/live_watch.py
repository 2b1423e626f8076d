"""The implementation of ``jobctl watch``: events of a reader, applied to a view and shown."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobctl.cli.console import Console
from jobctl.cli.cursor_file import CursorFile
from jobctl.cli.live_view import JobView
from jobctl.cli.options import Output, TimeFormat
from jobctl.cli.watch_output import IdLines, JsonLines, OnScreen, TextLines
from jobctl.cli.watch_output import Output as WatchOutput
from jobctl.core.cursor import Cursor
from jobctl.core.filters import Filter
from jobctl.core.protocol import BadFiles, DeadOwners
from jobctl.reader.status import Event, Status

if TYPE_CHECKING:
    from jobctl.cli.live_terminal import Source

__all__ = ["WatchOptions", "watch_jobs"]


@dataclass(frozen=True, kw_only=True)
class WatchOptions:
    """What ``jobctl watch`` reads, and how it shows it.

    ``on_screen`` stands for a live table, whatever the ``output``; with ``keys`` it takes the whole
    terminal, and keys. ``refused`` says why jobs cannot be changed there. With ``bell`` the
    terminal's bell rings when a job ends. ``expected`` are the types that may be overdue.
    """

    filter: Filter
    start: Cursor
    cursor_file: CursorFile | None
    on_screen: bool
    output: Output
    times: TimeFormat | None
    keys: bool = False
    refused: str = ""
    bell: bool = False
    expected: tuple[str, ...] = ()


async def watch_jobs(
    options: WatchOptions,
    view: JobView,
    events: AsyncGenerator[Event, None],
    console: Console,
    clock: Callable[[], int],
    source: Source | None = None,
) -> bool:
    """Show the events until the view has ended; return whether all digests of the hub matched.

    ``events`` come from `follow`, from the cursor ``options.start`` on; ``clock`` returns the time
    in milliseconds. ``source`` is where jobs are changed and logs are read, for a view with keys.
    """
    if options.keys:
        from jobctl.cli.live import LiveView
        from jobctl.cli.live_terminal import LiveTerminal, paced

        assert source is not None, "keys need it"
        shown = LiveView(view, refused=options.refused, expected=options.expected)
        live = LiveTerminal(shown, source, clock)
        return await live.run(_show(options, view, paced(events), live, clock))
    from jobctl.cli.output_reader import while_read

    if options.on_screen:
        from jobctl.cli.screen import Screen  # a pipe needs no rich

        async with Screen(view, clock) as screen:
            return await while_read(_show(options, view, events, OnScreen(screen), clock))
    lines = _lines(options, view, console, clock)
    return await while_read(_show(options, view, events, lines, clock))


async def _show(
    options: WatchOptions,
    view: JobView,
    events: AsyncGenerator[Event, None],
    output: WatchOutput,
    clock: Callable[[], int],
) -> bool:
    """Pass the events on to the view and the output, until the view has ended."""
    cursor, matched = options.start, True
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Status):
                matched = matched and not event.digest_mismatch
                view.take_status(event, clock())
                output.show_status(event, cursor)
                continue
            if isinstance(event, BadFiles):
                output.show_bad_files(view.set_bad_files(event), cursor)
            elif isinstance(event, DeadOwners):
                output.show_lost(view.set_dead_owners(event.dead), cursor)
            else:
                before, cursor = cursor, event.cursor(options.filter)
                told, gone = view.new_only(event, view.take(event))
                output.show_delta(told, gone, before, cursor)
                if options.cursor_file is not None:
                    options.cursor_file.write(cursor)
                if options.bell and view.just_ended:
                    output.ring()
            if view.all_ended():
                break
    return matched


def _lines(
    options: WatchOptions, view: JobView, console: Console, clock: Callable[[], int]
) -> WatchOutput:
    """Return the output for a pipe."""
    if options.output in (Output.json, Output.jsonl):
        return JsonLines(view, console, clock)
    if options.output is Output.name:
        return IdLines(view, console)
    return TextLines(view, console, clock, options.times, wide=options.output is Output.wide)
