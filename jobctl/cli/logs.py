"""``jobctl logs``: print what a job's command has printed."""

from __future__ import annotations

import select
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Annotated

from jobctl import api
from jobctl.cli.common import command_store, credentials, hub_to_read, moment, note, run_async
from jobctl.cli.options import (
    CaOption,
    DirOption,
    IdArgument,
    Option,
    TokenFileOption,
    UrlOption,
)
from jobctl.core.log import LogPart
from jobctl.core.log_text import LogText, last_lines
from jobctl.errors import JobNotFound, StoreError
from jobctl.stores import logs_of
from jobctl.stores.log_reading import has_log, may_get_log, read_parts, why_no_log

if TYPE_CHECKING:
    from jobctl.core.job import Job
    from jobctl.stores import Store

__all__ = ["EXAMPLE", "logs"]

EXAMPLE = "Example: jobctl logs 0b961de6 --follow --tail 100"

_POLL_S = 0.1
_LOOKS = 10  # at the log for each at the job, while the bell is silent
_ENDED = "ended"
_LOST = "its worker has died: 'jobctl reap' fails it, so that it can be tried again"


def logs(
    id: IdArgument,
    follow: Annotated[
        bool, Option("-f", "--follow", help="Go on until the job has ended, over all attempts.")
    ] = False,
    tail: Annotated[
        int | None, Option("--tail", "-n", min=0, metavar="N", help="Only the last N lines.")
    ] = None,
    since: Annotated[
        str | None,
        Option(metavar="TIME", help="From then on: 10m (ago), or 2026-11-23T09:30 (local)."),
    ] = None,
    timestamps: Annotated[
        bool, Option("-t", "--timestamps", help="Print each line's time before it.")
    ] = False,
    stderr: Annotated[
        bool, Option("--stderr", help="Leave out what is known to be standard output.")
    ] = False,
    url: UrlOption = None,
    token_file: TokenFileOption = None,
    ca: CaOption = None,
    directory: DirOption = None,
) -> None:
    """Print what a job's command has printed.

    Of a command that prints to a terminal something is kept only with jobctl run --log on; see
    jobctl run --help. Where its standard output and error were one terminal or file, they cannot be
    told apart. On a terminal, escape sequences other than colours are written out; elsewhere every
    byte is as the command wrote it.
    """
    url = hub_to_read(directory, url)
    text = LogText(
        timestamps=timestamps,
        stderr=stderr,
        since_ms=moment(since, "--since"),
        harmless=sys.stdout.isatty(),
    )
    show = _Shown(text, tail)
    if url is not None:
        from jobctl.cli.output_reader import while_read
        from jobctl.reader.log import read_log  # the network, only if needed

        reading = read_log(
            url,
            id,
            follow=follow,
            take=show.take,
            caught_up=show.flush,
            on_note=note,
            credentials=credentials(token_file, ca),
        )
        run_async(while_read(reading))
    else:
        store = command_store(directory).store
        try:
            _from_store(store, id, show, follow=follow)
        finally:
            store.close()
    show.end()


class _Shown:
    """Prints the parts of a log; with ``tail`` first the last lines of what is there."""

    def __init__(self, text: LogText, tail: int | None) -> None:
        self._text = text
        self._tail = tail
        self._held: list[bytes] | None = [] if tail is not None else None

    def take(self, part: LogPart) -> None:
        """Print a part, or keep it until all that is there was read."""
        data = self._text.feed(part)
        if self._held is not None:
            self._held.append(data)
        else:
            _write(data)

    def flush(self) -> None:
        """All that was there is read."""
        if self._held is not None:
            held, self._held = self._held, None
            _write(last_lines(b"".join(held), self._tail or 0))
        sys.stdout.flush()

    def end(self) -> None:
        """Nothing follows."""
        self.flush()
        _write(self._text.end())
        sys.stdout.flush()


def _write(data: bytes) -> None:
    if not data:
        return
    binary = getattr(sys.stdout, "buffer", None)
    if binary is None or sys.stdout.isatty():  # a terminal that may know fewer characters
        sys.stdout.write(data.decode("utf-8", "backslashreplace"))
    else:
        sys.stdout.flush()
        binary.write(data)


def _from_store(store: Store, text: str, show: _Shown, *, follow: bool) -> None:
    job = api.show(store, text)
    kept = logs_of(store)
    if kept is None or not (has_log(store, job) or (follow and may_get_log(store, job))):
        raise why_no_log(job)
    at = 0

    def read() -> bool:
        nonlocal at
        before = at
        for part in read_parts(kept, job.id, at):
            show.take(part)
            at = part.end
        return at != before

    if not follow:
        read()
        show.flush()
        return
    with closing(_Waiting(store)) as waiting:
        for over in _watched(store, job, waiting):
            while read():  # also what was written after the job's state was read
                pass
            show.flush()
            if over:
                if over != _ENDED:
                    note(over)
                elif not at and not has_log(store, job):
                    note(str(why_no_log(api.show(store, job.id))))
                return


def _watched(store: Store, job: Job, waiting: _Waiting) -> Iterator[str]:
    """Yield an empty text at each look at the log, and why nothing follows in the end."""
    looks = 0
    while True:
        over = ""
        if looks == 0:
            try:
                job = store.get(job.id)
                if not job.active:
                    over = _ENDED
                elif job.lost(store.owners.dead()):
                    over = f"job {job.id}: {_LOST}"
            except JobNotFound:
                over = f"job {job.id} was removed"
            except StoreError:
                pass  # its file may be whole again soon
        yield over
        looks = 0 if waiting.wait() else (looks + 1) % _LOOKS


class _Waiting:
    """Waits for a change of a job, for 0.1 s at most, since a log has no bell of its own."""

    def __init__(self, store: Store) -> None:
        self._listener = None
        with suppress(StoreError):  # then jobs are looked at once a second
            self._listener = store.listen()
        self._poll = select.poll()
        self._out = -1
        if self._listener is not None:
            self._poll.register(self._listener.fileno(), select.POLLIN)
        with suppress(OSError, ValueError, AttributeError):
            self._out = sys.stdout.fileno()
            self._poll.register(self._out, 0)  # only whether its reader is gone

    def wait(self) -> bool:
        """Return whether a job has changed. Raises BrokenPipeError if nobody reads our output."""
        ready = dict(self._poll.poll(_POLL_S * 1000))
        if ready.get(self._out, 0) & select.POLLERR:
            raise BrokenPipeError
        if self._listener is None or self._listener.fileno() not in ready:
            if ready:
                time.sleep(_POLL_S)  # a terminal that hung up: the signal follows
            return False
        self._listener.drain()
        return True

    def close(self) -> None:
        if self._listener is not None:
            self._listener.close()
