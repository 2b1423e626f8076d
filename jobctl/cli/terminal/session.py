"""A full-screen view on the terminal: entering and leaving it, keys, frames, signals."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import sys
import termios
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from types import TracebackType
from typing import Any

from jobctl.cli.terminal import modes as terminal_modes
from jobctl.cli.terminal.frame import Frame, Key
from jobctl.cli.terminal.keys import REPAINT, KeyDecoder
from jobctl.cli.terminal.output import Output
from jobctl.cli.terminal.painter import Painter, plain_rows
from jobctl.cli.terminal.supervisor import shared_state

__all__ = ["TerminalSession"]

_INTERVAL_S = 0.1
_BACKGROUND_S = 1.0
_LEAVE_S = 1.0
"""The longest time that the last frame may take on a slow terminal; the rest is left out."""


class TerminalSession:
    """Takes the terminal for the time of an ``async with`` block, and always gives it back.

    Keys come from ``input_fd`` if it is a terminal; frames go to ``output_fd``. At the end the
    normal screen is shown again, with `last_frame` on it.

    Ctrl-Z, ``fg``, a new size and Ctrl-L are handled here. Ctrl-C, SIGTERM and SIGHUP must end the
    block (`run_async` cancels it), SIGQUIT ends the process. After `supervise`, the supervisor
    restores the terminal if this process is killed. Text written to standard error meanwhile is
    printed at the end, if it would go to the terminal.

    In the background, entering stops the process until ``fg``; `OSError` if nobody can continue it.
    """

    def __init__(
        self, *, input_fd: int = 0, output_fd: int = 1, error_fd: int = 2, colours: bool = True
    ) -> None:
        self._input_fd, self._output_fd, self._error_fd = input_fd, output_fd, error_fd
        self._colours = colours
        self._painter = Painter(colours=colours)
        self._decoder = KeyDecoder()
        self._shared = shared_state()
        self._output: Output | None = None
        self._modes: terminal_modes.Modes | None = None  # before us; None while not taken
        self._own_error_fd: int | None = None
        self._frame: Frame | None = None  # the newest, shown or not
        self._next_paint_s = 0.0
        self._paint_later: asyncio.TimerHandle | None = None
        self._waits_for_output = False
        self._before: dict[int, Any] = {}  # the handlers of signals
        self.on_resize: Callable[[], None] | None = None
        """Called after the size has changed; the view then shows a new frame."""
        self.last_frame: Frame | None = None
        """What stays on the normal screen at the end; ``None`` for the frame shown last."""

    @staticmethod
    def unusable(output_fd: int = 1) -> str | None:
        """Return why the terminal cannot show a session, or ``None`` if it can."""
        if not os.isatty(output_fd):
            return "standard output is not a terminal"
        if os.environ.get("TERM", "dumb") in ("dumb", ""):
            return "the terminal cannot move its cursor (TERM=dumb)"
        return None

    def size(self) -> tuple[int, int]:
        """Return columns and rows."""
        return terminal_modes.size(self._output_fd)

    # -- enter and leave --------------------------------------------------------------------

    async def __aenter__(self) -> TerminalSession:
        self._loop = asyncio.get_running_loop()
        self._output = Output(self._output_fd)
        try:
            self._take()
            self._handle_signals()
        except BaseException:
            self._close(None)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close(self._frame if self.last_frame is None else self.last_frame)

    def _close(self, frame: Frame | None) -> None:
        self._reset_signals()
        self._give_back(frame)
        assert self._output is not None, "it was entered"
        self._output.close()
        self._output = None

    def _take(self) -> None:
        """Set the modes and switch to the alternate screen; the next frame is painted in full."""
        fd = self._output_fd
        terminal_modes.wait_for_foreground(fd)  # before the modes are read: they are the shell's
        found = termios.tcgetattr(fd)
        if self._modes is None or found != terminal_modes.own_modes(self._modes):
            self._modes = found
        self._shared.take(self._modes)
        terminal_modes.set_modes(fd, terminal_modes.own_modes(self._modes))
        self._capture_errors()
        self._painter.forget()
        self._next_paint_s = 0.0
        self._send(terminal_modes.ENTER)

    def _give_back(self, frame: Frame | None) -> None:
        """Restore the screen, with the frame on it, and the modes."""
        if self._paint_later is not None:
            self._paint_later.cancel()
            self._paint_later = None
        self._wait_for_output(wait=False)
        if self._modes is None:
            return
        assert self._output is not None, "it is closed afterwards"
        is_ours = terminal_modes.in_foreground(self._output_fd)
        start = ""
        if self._output.pending:  # a slow terminal: what is on its way is no longer of use
            self._output.pending = b""
            with suppress(termios.error):
                termios.tcflush(self._output.fd, termios.TCOFLUSH)
            start = terminal_modes.ABORT
        if self._output.send_within(_encoded(start + terminal_modes.LEAVE), _LEAVE_S):
            rows = frame if frame is not None and is_ours else []
            self._print(plain_rows(rows, self.size()[0], colours=self._colours))
        terminal_modes.restore_modes(self._output_fd, self._modes)
        self._modes = None
        self._shared.release()
        self._release_errors()

    def _print(self, lines: Iterable[str]) -> None:
        assert self._output is not None, "it is closed afterwards"
        left_s = _LEAVE_S
        for line in lines:
            began_s = self._loop.time()
            if left_s <= 0 or not self._output.send_within(_encoded(line + "\r\n"), left_s):
                break
            left_s -= self._loop.time() - began_s
        self._output.pending = b""

    # -- standard error ---------------------------------------------------------------------

    def _capture_errors(self) -> None:
        if self._own_error_fd is not None:
            return
        with suppress(OSError):
            ours, theirs = os.fstat(self._error_fd), os.fstat(self._output_fd)
            if os.isatty(self._error_fd) and ours.st_rdev == theirs.st_rdev:
                sys.stderr.flush()
                self._own_error_fd = os.dup(self._error_fd)
                os.dup2(self._shared.errors_fd, self._error_fd)

    def _release_errors(self) -> None:
        if self._own_error_fd is None:
            return
        with suppress(OSError):
            sys.stderr.flush()
            os.dup2(self._own_error_fd, self._error_fd)
            os.close(self._own_error_fd)
            self._own_error_fd = None
            errors = self._shared.errors()
            if errors:
                os.write(self._error_fd, errors)

    # -- signals ----------------------------------------------------------------------------

    def _handle_signals(self) -> None:
        for number, handler in (
            (signal.SIGWINCH, self._resized),
            (signal.SIGTSTP, self._stop),
            (signal.SIGCONT, self._continued),
            (signal.SIGQUIT, self._quit),
        ):
            before = signal.getsignal(number)
            if before is signal.SIG_IGN:
                continue
            try:
                self._loop.add_signal_handler(number, handler)
            except (RuntimeError, ValueError):
                return  # not in the main thread
            self._before[number] = before
        if self._shared.supervisor_fd is not None:
            self._loop.add_reader(self._shared.supervisor_fd, self._supervisor_gone)

    def _reset_signals(self) -> None:
        if self._shared.supervisor_fd is not None:
            self._loop.remove_reader(self._shared.supervisor_fd)
        for number, before in self._before.items():
            self._loop.remove_signal_handler(number)
            if before is not None:
                signal.signal(number, before)
        self._before.clear()

    def _resized(self) -> None:
        self._painter.forget()
        if self.on_resize is not None:
            self.on_resize()
        self._schedule()

    def _stop(self) -> None:
        """Give the terminal back, and stop by the default action of SIGTSTP."""
        self._give_back(None)
        self._by_default(signal.SIGTSTP)
        self._loop.add_signal_handler(signal.SIGTSTP, self._stop)
        self._continued()  # at once where nobody could continue us, so that the stop did nothing

    def _quit(self) -> None:
        self._give_back(self._frame if self.last_frame is None else self.last_frame)
        self._by_default(signal.SIGQUIT)

    def _by_default(self, number: signal.Signals) -> None:
        """Have the default action of the signal, once, even if it is sent again meanwhile."""
        signal.pthread_sigmask(signal.SIG_BLOCK, (number,))
        self._loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (number,))

    def _continued(self) -> None:
        """Take the terminal again, also after SIGSTOP, before which nothing could be restored."""
        try:
            if not self._has_own_modes():
                self._take()
        except (OSError, termios.error):  # the terminal is gone
            os.kill(os.getpid(), signal.SIGHUP)
        else:
            self._resized()

    def _has_own_modes(self) -> bool:
        """Whether the terminal is as we left it: taken, and restored by nobody."""
        if self._modes is None or self._shared.modes is None:
            return False
        fd = self._output_fd
        own = terminal_modes.own_modes(self._modes)
        return terminal_modes.in_foreground(fd) and termios.tcgetattr(fd) == own

    def _supervisor_gone(self) -> None:
        """End: the shell does not wait for us any more."""
        assert self._shared.supervisor_fd is not None, "it was readable"
        self._loop.remove_reader(self._shared.supervisor_fd)
        self._hang_up()

    def _hang_up(self) -> None:
        """End as after a hang-up, also with ``nohup``: there is nothing to show frames on."""
        is_ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        os.kill(os.getpid(), signal.SIGTERM if is_ignored else signal.SIGHUP)

    # -- frames -----------------------------------------------------------------------------

    def show(self, frame: Frame) -> None:
        """Show the frame: at most ten times a second, and only the newest if they come faster.

        Nothing is written while the terminal has not taken the frame before. Returns at once.
        """
        self._frame = frame
        self._schedule()

    def ring(self) -> None:
        """Ring the terminal's bell, unless it is slow to take what was sent before."""
        if self._modes is not None and not self._waits_for_output:
            self._send("\a")

    def _schedule(self) -> None:
        if self._paint_later is None and not self._waits_for_output and self._modes is not None:
            delay_s = self._next_paint_s - self._loop.time()
            if delay_s > 0:
                self._paint_later = self._loop.call_later(delay_s, self._paint)
            else:
                self._paint()

    def _paint(self) -> None:
        self._paint_later = None
        if self._frame is None:
            return
        if not terminal_modes.in_foreground(self._output_fd):
            self._painter.forget()
            self._paint_later = self._loop.call_later(_BACKGROUND_S, self._paint)
            return
        text = self._painter.paint(self._frame, *self.size())
        if text:
            self._next_paint_s = self._loop.time() + _INTERVAL_S
            self._send(text)

    def _send(self, text: str) -> None:
        assert self._output is not None, "it was entered"
        with suppress(OSError):  # the terminal is gone: SIGHUP says so
            if not self._output.send(_encoded(text)):
                self._wait_for_output(wait=True)

    def _wait_for_output(self, *, wait: bool) -> None:
        if wait == self._waits_for_output or self._output is None:
            return
        self._waits_for_output = wait
        if wait:
            self._loop.add_writer(self._output.fd, self._output_ready)
        else:
            self._loop.remove_writer(self._output.fd)

    def _output_ready(self) -> None:
        assert self._output is not None, "the writer is removed before"
        try:
            done = self._output.flush()
        except OSError:
            self._output.pending, done = b"", True
        if done:
            self._wait_for_output(wait=False)
            self._schedule()

    # -- keys -------------------------------------------------------------------------------

    async def keys(self) -> AsyncIterator[Key]:
        """Yield the keys as they are pressed.

        Each byte is read when the next key is asked for, so those after the last key remain for the
        shell. When the terminal is gone this process is sent SIGHUP, which the kernel does for
        some processes only; without a terminal to read there are no keys.
        """
        if not os.isatty(self._input_fd):
            await asyncio.Event().wait()
        while True:
            timeout_s = self._decoder.timeout_s
            if not _has_input(self._input_fd) and not await self._input_within(timeout_s):
                found = self._decoder.time_out()
            else:
                try:
                    data = os.read(self._input_fd, 1)
                except BlockingIOError:
                    continue  # another program was quicker
                except OSError:
                    data = b""
                if not data:
                    self._hang_up()
                    return
                found = self._decoder.feed(data)
            for key in found:
                if key == REPAINT:
                    self._resized()
                else:
                    yield key

    async def _input_within(self, timeout_s: float | None) -> bool:
        """Wait for input; return whether there is some."""
        ready = asyncio.Event()
        self._loop.add_reader(self._input_fd, ready.set)
        try:
            async with asyncio.timeout(timeout_s):
                await ready.wait()
        except TimeoutError:
            return False
        finally:
            self._loop.remove_reader(self._input_fd)
        return True


def _has_input(fd: int) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))


def _encoded(text: str) -> bytes:
    return text.encode(getattr(sys.stdout, "encoding", None) or "utf-8", "replace")
