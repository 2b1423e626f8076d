"""Subscriptions: one thread per store waits for the bell and calls the callbacks."""

from __future__ import annotations

import select
import threading
from collections.abc import Callable

from jobctl.core.jobset import Delta
from jobctl.errors import JobctlError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging
    import socket

    from jobctl.core.cursor import Cursor
    from jobctl.stores.bell import Listener

__all__ = ["AGAIN_S", "POLL_S", "Subscriptions"]

POLL_S = 1.0
"""Seconds between reads of the store without a ring of the bell."""
AGAIN_S = 0.05
"""A read that says ``more`` and does not move on waits for a writer: it is repeated after this."""

Callback = Callable[[Delta], None]


class Subscriptions:
    """Callbacks for a store's changes. The thread runs while there is a callback.

    ``head`` returns the current cursor, ``since`` is the store's read, ``listen`` opens its bell.
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
        """Call ``callback`` for changes from now on; return a function that removes it."""
        key = object()
        with self._guard:
            if self._thread is None:
                self._start()
            # Each thread has its own table: a thread that is ending must not call new callbacks.
            callbacks = self._callbacks
            callbacks[key] = callback

        def remove() -> None:
            with self._guard:
                callbacks.pop(key, None)
                ending = not callbacks and callbacks is self._callbacks
            if ending:
                self.close(callbacks)

        return remove

    def close(self, empty: dict[object, Callback] | None = None) -> None:
        """Remove all callbacks and end the thread.

        With ``empty``, only if those are still empty.
        """
        with self._guard:
            if empty is not None and (empty or empty is not self._callbacks):
                return  # somebody was added, or another thread closed, in between
            thread, stop = self._thread, self._stop
            self._thread = self._stop = None
            self._callbacks.clear()
            self._callbacks = {}
        if stop is not None:
            stop.close()
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def forget(self) -> None:
        """Start anew in a forked child, which has neither the thread nor the guard's holder."""
        self._guard = threading.Lock()
        self._callbacks = {}
        self._thread = self._stop = None

    def _start(self) -> None:
        import socket

        cursor, listener = self._head(), self._listen()
        self._stop, stopped = socket.socketpair()
        self._thread = threading.Thread(
            target=self._run,
            args=(cursor, listener, stopped, self._callbacks),
            name="jobctl-watcher",
            daemon=True,
        )
        self._thread.start()

    def _run(
        self,
        cursor: Cursor,
        listener: Listener,
        stopped: socket.socket,
        callbacks: dict[object, Callback],
    ) -> None:
        poll = select.poll()  # not select(): it cannot handle descriptors above 1023
        poll.register(listener.fileno(), select.POLLIN)
        poll.register(stopped.fileno(), select.POLLIN)
        try:
            wait_s = POLL_S
            while True:
                if any(fd == stopped.fileno() for fd, _ in poll.poll(wait_s * 1000)):
                    break
                listener.drain()
                cursor, whole = self._notify(cursor, callbacks)
                wait_s = POLL_S if whole else AGAIN_S
        finally:
            listener.close()
            stopped.close()

    def _notify(self, cursor: Cursor, callbacks: dict[object, Callback]) -> tuple[Cursor, bool]:
        """Call the callbacks; return the new cursor, and whether everything was read."""
        while True:
            try:
                delta = self._since(cursor)
            except JobctlError as error:
                _log().warning("cannot read the store: %s", error)
                return cursor, True
            except Exception:
                _log().exception("cannot read the store")  # a defect, but subscriptions go on
                return cursor, True
            moved = delta.cursor() != cursor
            if delta.jobs or delta.gone or moved:
                for callback in list(callbacks.values()):
                    try:
                        callback(delta)
                    except Exception:
                        _log().exception("a subscriber raised; the others go on")
            cursor = delta.cursor()
            if not (delta.more and moved):
                return cursor, not delta.more


def _log() -> logging.Logger:
    import logging  # most processes have no subscribers

    return logging.getLogger("jobctl.store")
