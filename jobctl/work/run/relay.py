"""The command's output: relayed where that is needed to keep it, and kept.

Standard error is kept, and standard output where it is a terminal or leads to the same place as
standard error. What leads elsewhere is data, which is left alone. A pipe and a terminal are
relayed; from a regular file a copy is read.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from jobctl.core.log import STDOUT
from jobctl.work.run.channel import Channel
from jobctl.work.run.file_copy import FileCopy
from jobctl.work.run.masking import Masks
from jobctl.work.run.output_log import OutputLog
from jobctl.work.run.pseudo_terminal import TerminalChannel
from jobctl.work.run.streams import FILE, OWN, PIPE, TERMINAL, UNREAD, Target, targets
from jobctl.work.run.text_lines import LineSplitter, visible_output

__all__ = ["Relay"]

_FILE_TAIL = 16 * 1024
_MAX_LINES = 10
_MAX_LINE = 300


class Relay:
    """Relays the output of one command and keeps its end for the error.

    ``log`` takes copies, if there is one. With ``data`` standard output is kept wherever it leads
    to; with ``terminal`` also what is written to a terminal. What is written to the descriptors
    ``unread`` is kept too. Call `start`, `hand_over` once the command has been started with
    ``child_fds``, `finish` when it has ended, and `close` in any case.
    """

    def __init__(
        self,
        log: OutputLog | None,
        masks: Masks,
        *,
        data: bool = False,
        terminal: bool = False,
        unread: tuple[int, ...] = (),
    ) -> None:
        self._log, self._masks = log, masks
        self._channels: list[Channel] = []
        self._files: list[tuple[str, FileCopy]] = []
        self.child_fds: dict[int, int] = {}
        """The command's descriptors, and those that take their place."""
        self._keeps_data, self._keeps_terminal = data, terminal
        try:
            for target in targets(unread=unread):
                self._open(target)
        except BaseException:
            self.close()
            raise

    def _open(self, target: Target) -> None:
        if not self._keeps(target):
            return
        take = self._log.take if self._log is not None else None
        channel: Channel | None = None
        if target.kind == FILE:
            with suppress(OSError):  # it cannot be read, so it is not kept
                self._files.append((target.stream, FileCopy(target.fds[-1])))
        elif target.kind in (PIPE, UNREAD):
            channel = Channel(target.stream, target.fds[-1], take)
        elif target.kind == TERMINAL:
            channel = TerminalChannel(target.stream, target.fds[-1], take)
        if channel is not None:
            self._channels.append(channel)
            self.child_fds |= dict.fromkeys(target.fds, channel.child_fd)

    def _keeps(self, target: Target) -> bool:
        if target.kind == OWN:
            return False
        if target.kind == TERMINAL:
            return self._keeps_terminal
        return target.stream != STDOUT or self._keeps_data or target.kind == UNREAD

    def start(self) -> None:
        """Start to pass data on. RuntimeError if there can be no thread; then `close` it."""
        for channel in self._channels:
            channel.start()
        if self._log is not None:
            self._log.start(self._files)

    def hand_over(self) -> None:
        """Leave the descriptors to the command, which has been started."""
        for channel in self._channels:
            channel.hand_over()

    def resize(self) -> bool:
        """Copy the terminal's size; return whether it has changed."""
        changed = [channel.resize() for channel in self._terminals()]
        return any(changed)

    def poll(self) -> None:
        """Do the periodic work."""
        for channel in self._terminals():
            channel.mirror()

    def suspend(self) -> None:
        """Undo what the command has changed of the terminal, before we are stopped."""
        for channel in self._terminals():
            channel.wait_until_idle()
            channel.restore()

    def _terminals(self) -> list[TerminalChannel]:
        return [each for each in self._channels if isinstance(each, TerminalChannel)]

    def finish(self, interrupted: Callable[[], bool]) -> None:
        """Pass on what the command wrote and what follows shortly after; then write the log.

        Everything ends when ``interrupted`` returns ``True``.
        """
        for channel in self._channels:
            channel.begin_end()
        running = self._channels
        while running := [each for each in running if not each.has_ended(0.02)]:
            if interrupted():
                break
        for channel in self._channels:
            channel.stop()
        for terminal in self._terminals():
            terminal.restore(last=True)
        if self._log is not None:
            self._log.close(interrupted)

    def problem(self) -> str | None:
        """Return why some output could not be kept; ``None`` if it could."""
        return self._log.problem if self._log is not None else None

    def last_lines(self) -> list[str]:
        """Return the last lines of standard error, masked, without escape sequences."""
        for channel in self._channels:
            if channel.stream != STDOUT:
                return self._lines_of(*channel.tail())
        for stream, file in self._files:
            if stream != STDOUT:
                return self._lines_of(*file.tail(_FILE_TAIL))
        return []

    def _lines_of(self, data: bytes, is_cut: bool) -> list[str]:
        if is_cut:
            data = self._masks.after_gap(data) or b""
        data = self._masks.data(visible_output(data))
        lines = LineSplitter()
        whole = [*lines.feed(data), *lines.finish()]
        texts = [text.decode("utf-8", "backslashreplace").rstrip() for text, _ in whole]
        if is_cut:
            texts = texts[1:]  # the beginning of the first line is missing
        return [text[:_MAX_LINE] for text in texts if text][-_MAX_LINES:]

    def close(self) -> None:
        """Free everything."""
        for terminal in self._terminals():
            terminal.restore(last=True)
        for channel in self._channels:
            channel.close()
        for _, file in self._files:
            file.close()
