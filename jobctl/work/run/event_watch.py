"""Tells at once that the file of ``$JOBCTL_EVENTS`` has changed, by inotify(7) where there is one.

A thread waits for changes and reads them, so that a writer that truncates the file (``>``) loses
nothing while the store is slow.
"""

from __future__ import annotations

import os
import select
import struct
import threading
from collections.abc import Callable
from contextlib import suppress

__all__ = ["ChangeThread", "Inotify"]

_MODIFY, _CLOSE_WRITE = 0x2, 0x8
_MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x40, 0x80, 0x100, 0x200
_MASK = _MODIFY | _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE
_HEADER = struct.Struct("iIII")  # watch, mask, cookie, length of the name
_PERIOD_S = 0.05  # between two reads where there is no inotify
_PAUSE_S = 0.01  # between two reads, however much is written


class Inotify:
    """Watches a directory whose only file is that of the events. OSError if that cannot be."""

    def __init__(self, directory: str) -> None:
        try:
            import ctypes

            libc = ctypes.CDLL(None, use_errno=True)
            init, add = libc.inotify_init1, libc.inotify_add_watch
        except (ImportError, OSError, AttributeError) as error:
            raise OSError("no inotify") from error
        fd = init(os.O_NONBLOCK | os.O_CLOEXEC)
        if fd < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        self.fd = fd
        if add(fd, os.fsencode(directory), _MASK) < 0:
            number = ctypes.get_errno()
            os.close(fd)
            raise OSError(number, "inotify_add_watch")
        self._written = False  # since the file was last closed by a writer

    def drain(self) -> tuple[bool, int]:
        """Return whether there were events, and how often a writer closed the file meanwhile.

        Only writers that have written count.
        """
        some, writers = False, 0
        while data := self._read():
            some = True
            offset = 0
            while offset < len(data):
                _, mask, _, length = _HEADER.unpack_from(data, offset)
                offset += _HEADER.size + length
                if mask & _CLOSE_WRITE and self._written:
                    writers, self._written = writers + 1, False
                elif mask & _MODIFY:
                    self._written = True
        return some, writers

    def _read(self) -> bytes:
        try:
            return os.read(self.fd, 64 * 1024)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        """Stop watching."""
        os.close(self.fd)


class ChangeThread:
    """Calls ``read`` after each change, from a thread, until `stop`.

    ``fd`` returns the descriptor that is readable after a change, or ``None``: then ``read`` is
    called every 50 ms. OSError or RuntimeError if there can be no thread.
    """

    def __init__(self, fd: Callable[[], int | None], read: Callable[[], None]) -> None:
        self._fd, self._read = fd, read
        self._ending = threading.Event()
        self._wake_read, self._wake = os.pipe()
        self._thread = threading.Thread(target=self._run, name="jobctl-events", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:
            self._close()
            raise

    def _run(self) -> None:
        while not self._ending.wait(_PAUSE_S):
            poll = select.poll()
            poll.register(self._wake_read, select.POLLIN)
            fd = self._fd()
            if fd is not None:
                poll.register(fd, select.POLLIN)
            poll.poll(None if fd is not None else _PERIOD_S * 1000)
            if not self._ending.is_set():
                self._read()

    def stop(self) -> None:
        """End the thread; does nothing the second time."""
        if self._ending.is_set():
            return
        self._ending.set()
        with suppress(OSError):
            os.write(self._wake, b"!")
        self._thread.join()
        self._close()

    def _close(self) -> None:
        os.close(self._wake)
        os.close(self._wake_read)
