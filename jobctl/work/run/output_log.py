"""Keeps a command's output in its job's log: in the background, masked, line by line.

The channels that relay the output hand over copies and never wait. A thread turns them into lines
and writes these. It uses a tenth of the time at most: of output that comes faster, the beginning
and the newest part are kept, as in the log itself, and a line says how much was left out.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from time import monotonic

from jobctl._clock import now_ms
from jobctl.core.log import LogLine, lost_line
from jobctl.stores import LogWriter
from jobctl.work.run.file_copy import FileCopy
from jobctl.work.run.masking import MaskedStream, Masks
from jobctl.work.run.text_lines import EscapeFilter, LineSplitter
from jobctl.work.text import one_line

__all__ = ["OutputLog"]

_MAX_WAITING = 1024 * 1024  # bytes; the log keeps no more
_AT_ONCE = 64 * 1024  # bytes, which the log keeps of the beginning
_MERGED = 16 * 1024
_PAUSE_S, _MAX_PAUSE_S = 0.03, 1.0
_REST = 9  # times as long as the work
_FILES_S = 0.2
_MAX_CLOSE_S = 5.0


class OutputLog:
    """Takes data of streams from any thread. `start` it, and `close` it in the end.

    ``writer`` returns where the lines go to, or ``None`` while the job is not recorded.
    ``refresh_masks`` is called before data that was taken is masked.
    """

    def __init__(
        self,
        writer: Callable[[], LogWriter | None],
        masks: Masks,
        refresh_masks: Callable[[], None] = lambda: None,
    ) -> None:
        self._open_writer, self._refresh_masks = writer, refresh_masks
        self._masks = masks
        self._texts: dict[str, _Text] = {}
        self._files: list[tuple[str, FileCopy]] = []
        self._waiting: deque[tuple[int, str, bytes]] = deque()
        self._size = self._dropped = 0  # bytes
        self._cut: set[str] = set()  # the streams from which data was dropped
        self._changed = threading.Condition()
        self._closed = False
        self._taken = 0
        self._thread: threading.Thread | None = None
        self.problem: str | None = None
        """Why some output could not be kept; ``None`` if it could."""

    def start(self, files: list[tuple[str, FileCopy]]) -> None:
        """Begin; ``files`` are copied as they grow."""
        self._files = files
        if files:
            with self._changed:
                self._begin()

    def _begin(self) -> None:
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="jobctl-log", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:  # too many threads
                self._give_up(error)
            else:
                self._thread = thread

    def _give_up(self, error: Exception) -> None:
        """Take nothing any more; the output is passed on all the same."""
        self.problem = one_line(error)
        self._closed = True
        self._waiting.clear()
        self._size = 0

    def take(self, stream: str, data: bytes) -> None:
        """Take a copy of output. Never waits for the log."""
        with self._changed:
            if self._closed:
                return
            self._add(stream, data)
            if self._thread is None:
                self._begin()
            elif len(self._waiting) == 1:
                self._changed.notify()

    def _add(self, stream: str, data: bytes) -> None:
        at_ms = now_ms()
        if self._waiting and len(data) < _MERGED:
            last_ms, last, before = self._waiting[-1]
            if last == stream and at_ms - last_ms < 20 and len(before) < _MERGED:
                self._waiting.pop()
                self._size -= len(before)
                at_ms, data = last_ms, before + data
        self._waiting.append((at_ms, stream, data))
        self._size += len(data)
        # The beginning is kept, unless there is nowhere to write it for a long time.
        limit = _MAX_WAITING if self._taken >= _AT_ONCE else 2 * _MAX_WAITING
        while self._size > limit and len(self._waiting) > 1:
            _, stream, old = self._waiting.popleft()
            self._size -= len(old)
            self._leave_out(stream, len(old))

    def _leave_out(self, stream: str, size: int) -> None:
        self._dropped += size
        self._cut.add(stream)

    def close(self, interrupted: Callable[[], bool]) -> None:
        """Write the rest and end, unless the disk takes over five seconds, or ``interrupted``."""
        with self._changed:
            self._closed = True
            thread = self._thread
            self._changed.notify()
        end_s = monotonic() + _MAX_CLOSE_S
        while thread is not None and thread.is_alive() and monotonic() < end_s:
            thread.join(0.02)
            if interrupted():
                thread.join(0.2)
                return

    def _run(self) -> None:
        writer = None
        pause_s = 0.0
        try:
            while True:
                closed = self._wait(pause_s)
                began_s = monotonic()
                writer = writer or self._open_writer()
                if writer is not None or closed:
                    lines = self._lines(closed=closed)
                    if writer is not None and lines:
                        writer.write(lines)
                        self.problem = writer.problem or self.problem
                if closed:
                    return
                pause_s = min(max(_PAUSE_S, (monotonic() - began_s) * _REST), _MAX_PAUSE_S)
                if self._taken < _AT_ONCE:
                    pause_s = _PAUSE_S
        except Exception as error:
            with self._changed:
                self._give_up(error)
        finally:
            if writer is not None:
                with suppress(Exception):
                    writer.close()

    def _wait(self, pause_s: float) -> bool:
        """Wait for data, after the pause; return whether this is the end."""
        with self._changed:
            if pause_s:
                self._changed.wait_for(lambda: self._closed, pause_s)
            timeout_s = _FILES_S if self._files else None
            self._changed.wait_for(lambda: self._closed or bool(self._waiting), timeout_s)
            return self._closed

    def _lines(self, *, closed: bool) -> list[LogLine]:
        """Return the lines in all that was taken."""
        added = [
            (stream, skipped, data)
            for stream, file in self._files
            for skipped, data in file.read(_MAX_WAITING)
        ]
        with self._changed:
            for stream, skipped, data in added:
                if skipped:
                    self._leave_out(stream, skipped)
                self._add(stream, data)
            taken, self._waiting = self._waiting, deque()
            cut, self._cut = self._cut, set()
            dropped, self._dropped = self._dropped, 0
            self._size = 0
        self._refresh_masks()
        lines: list[LogLine] = []
        for stream in sorted(cut):
            lines += self._text(stream).interrupt(now_ms())
        if dropped:
            lines.append(lost_line(now_ms(), dropped, "more than could be kept"))
        for at_ms, stream, data in taken:
            self._taken += len(data)
            lines += self._text(stream).feed(at_ms, data)
        if closed:
            for text in self._texts.values():
                lines += text.finish(now_ms())
        return lines

    def _text(self, stream: str) -> _Text:
        if stream not in self._texts:
            self._texts[stream] = _Text(stream, self._masks)
        return self._texts[stream]


class _Text:
    """One stream: from the data to lines."""

    def __init__(self, stream: str, masks: Masks) -> None:
        self._stream = stream
        self._escapes, self._masked, self._lines = (
            EscapeFilter(),
            MaskedStream(masks),
            LineSplitter(),
        )

    def feed(self, at_ms: int, data: bytes) -> list[LogLine]:
        text = self._masked.feed(self._escapes.feed(data))
        return self._at(at_ms, self._lines.feed(text))

    def finish(self, at_ms: int) -> list[LogLine]:
        lines = self._lines.feed(self._masked.finish())
        return self._at(at_ms, [*lines, *self._lines.finish()])

    def interrupt(self, at_ms: int) -> list[LogLine]:
        """Return the last line before data that is left out, and go on after the next line end."""
        lines = self._lines.interrupt()
        self._escapes = EscapeFilter()
        self._masked.interrupt()
        return self._at(at_ms, lines)

    def _at(self, at_ms: int, lines: list[tuple[bytes, bool]]) -> list[LogLine]:
        return [LogLine(at_ms, self._stream, text, whole) for text, whole in lines]
