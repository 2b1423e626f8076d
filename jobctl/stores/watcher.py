"""Subscriptions: one thread a store that waits for the bell and tells each callback."""

from __future__ import annotations

import logging
import select
import socket
import threading
from collections.abc import Callable

from jobctl.bell import Listener
from jobctl.cursor import Cursor
from jobctl.errors import JobctlError
from jobctl.jobset import Delta

__all__ = ["POLL_S", "Watcher"]

POLL_S = 1.0
"""Whoever waits for the bell reads the store this often without it."""

_log = logging.getLogger("jobctl.store")

Callback = Callable[[Delta], None]


class Watcher:
    """Callbacks on a store's changes. The thread lives while there is a callback.

    ``head`` gives the cursor of now; ``since`` is the store's read; ``listen`` its bell.
    """

    def __init__(
        self,
        head: Callable[[], Cursor],
        since: Callable[[Cursor], Delta],
        listen: Callable[[], Listener],
    ) -> None:
        self._head, self._since, self._listen = head, since, listen
        self._guard = threading.Lock()
        self._callbacks: dict[object, Callback] = {}
        self._stop: socket.socket | None = None  # closing it ends the thread
        self._thread: threading.Thread | None = None

    def add(self, callback: Callback) -> Callable[[], None]:
        """Call back from the present revision on; returns what takes it back."""
        key = object()
        with self._guard:
            self._callbacks[key] = callback
            if self._thread is None:
                self._stop, stopped = socket.socketpair()
                self._thread = threading.Thread(
                    target=self._run,
                    args=(self._head(), self._listen(), stopped),
                    name="jobctl-watcher",
                    daemon=True,
                )
                self._thread.start()

        def remove() -> None:
            with self._guard:
                self._callbacks.pop(key, None)
                last = not self._callbacks
            if last:
                self.close()

        return remove

    def close(self) -> None:
        """Drop all callbacks and end the thread."""
        with self._guard:
            self._callbacks.clear()
            thread, stop = self._thread, self._stop
            self._thread = self._stop = None
        if stop is not None:
            stop.close()
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _run(self, cursor: Cursor, listener: Listener, stopped: socket.socket) -> None:
        try:
            while True:
                ready, _, _ = select.select([listener.fileno(), stopped.fileno()], [], [], POLL_S)
                if stopped.fileno() in ready:
                    break
                listener.drain()
                cursor = self._tell(cursor)
        finally:
            listener.close()
            stopped.close()

    def _tell(self, cursor: Cursor) -> Cursor:
        try:
            delta = self._since(cursor)
        except JobctlError as error:
            _log.warning("cannot read the store: %s", error)
            return cursor
        if delta:
            for callback in list(self._callbacks.values()):
                try:
                    callback(delta)
                except Exception:
                    _log.exception("a subscriber raised; the others go on")
        return delta.cursor()
