"""The sending loop: writes what the hub returns to the connections, encoded once for all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping

from jobctl.hub.connection import HubConnection, deflated_frame, text_frame
from jobctl.hub.metrics import Counts
from jobctl.hub.sessions import Hub

__all__ = ["Sender"]


class Sender:
    """Writes the pages of the hub's sessions to ``connections``, which are by session id.

    ``on_error`` is called with sessions that cannot be served, and why; ``on_defect`` with an error
    that concerns all.
    """

    def __init__(
        self,
        hub: Hub,
        connections: Mapping[int, HubConnection],
        counts: Counts,
        *,
        on_error: Callable[[Iterable[int], Exception], None],
        on_defect: Callable[[Exception], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._hub = hub
        self._connections = connections
        self._counts = counts
        self._on_error = on_error
        self._on_defect = on_defect
        self._handle: asyncio.Handle | None = None

    def pump(self) -> None:
        """Write the next page to every session that is ready for it."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        wrote = False
        for outgoing in self._hub.pump():
            if outgoing.error is not None:
                self._on_error(outgoing.sessions, outgoing.error)
                continue
            wrote = True
            count = len(outgoing.sessions)
            self._counts.deltas += len(outgoing.messages) * count
            made = outgoing.made
            if "plain" not in made:
                made["plain"] = b"".join(map(text_frame, outgoing.messages))
            plain = made["plain"]
            self._counts.plain_bytes += len(plain) * count
            for id in outgoing.sessions:
                try:
                    connection = self._connections[id]
                    frames = plain
                    if connection.deflates:
                        # Compressed once for all: the frame depends on no earlier message.
                        if "deflated" not in made:
                            made["deflated"] = b"".join(map(deflated_frame, outgoing.messages))
                        frames = made["deflated"]
                    connection.write_page(frames)
                    self._counts.bytes += len(frames)
                except Exception as error:
                    self._on_error((id,), error)
        if wrote:
            self.pump_soon()  # for sessions with more pages, after other tasks have run

    def pump_soon(self) -> None:
        """Call `pump_or_fail` after the tasks that are ready now."""
        if self._handle is None:
            self._handle = self._loop.call_soon(self.pump_or_fail)

    def pump_or_fail(self) -> None:
        """Call `pump`, and report its errors as a defect."""
        try:
            self.pump()
        except Exception as error:
            self._on_defect(error)
