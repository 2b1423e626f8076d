"""Subscriptions: one thread a store that waits for the bell and tells each callback."""

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
"""Whoever waits for the bell reads the store this often without it."""
AGAIN_S = 0.05
"""A read that says ``more`` and does not move on waits for a writer: it is repeated after this."""

Callback = Callable[[Delta], None]


class Subscriptions:
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
            if self._thread is None:
                self._start()
            # Each thread has its own: one that is ending must not tell the callbacks of the next.
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
        """Drop all callbacks and end the thread; with ``empty``, only if these are still none."""
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
        """Start over, in the child of a fork: the thread, and who held the guard, are not here."""
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
        poll = select.poll()  # not select(): our descriptors may be numbered above 1023
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
        """Where the reader stands afterwards, and whether that is as far as it can."""
        while True:
            try:
                delta = self._since(cursor)
            except JobctlError as error:
                _log().warning("cannot read the store: %s", error)
                return cursor, True
            except Exception:
                _log().exception("cannot read the store")  # a defect, but no end to subscriptions
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
    import logging  # most processes have no subscribers, and these seldom have trouble

    return logging.getLogger("jobctl.store")
