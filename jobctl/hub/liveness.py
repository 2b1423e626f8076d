"""Pings quiet connections, aborts silent ones, and measures how late the event loop is."""

from __future__ import annotations

import asyncio
import logging

from jobctl.hub.access import AccessPolicy
from jobctl.hub.clients import Clients
from jobctl.hub.http import HttpApi
from jobctl.hub.log_limit import LastingProblem

__all__ = ["LIVENESS_TIMEOUT_S", "Liveness"]

LIVENESS_TIMEOUT_S = 18.0
"""A connection without a sign of life for this long is aborted; with the sweep, within 20 s."""

_SWEEP_S = 2.0
_PING_AFTER_S = 6.0

_log = logging.getLogger("jobctl.hub")


class Liveness:
    """Looks at all connections every two seconds, while `run` runs."""

    def __init__(self, clients: Clients, http: HttpApi, access: AccessPolicy) -> None:
        self._loop = asyncio.get_running_loop()
        self._clients = clients
        self._access = access
        self._tokens_problem = LastingProblem(_log, "the token file can be read again")
        self._http = http
        self._last_sweep_s, self._loop_delay_s = self._loop.time(), 0.0

    def loop_delay_s(self) -> float:
        """Return by how many seconds the event loop was or is late."""
        return max(self._loop_delay_s, self._loop.time() - self._last_sweep_s - _SWEEP_S)

    async def run(self) -> None:
        """Look, until cancelled.

        If this task itself runs late, all connections get more time: the silence was ours.
        """
        self._last_sweep_s = self._loop.time()
        clients = self._clients
        sends_positions = False
        while True:
            await asyncio.sleep(_SWEEP_S)
            now_s = self._loop.time()
            late_s = self._loop_delay_s = max(0.0, now_s - self._last_sweep_s - _SWEEP_S)
            clients.counts.loop_lag.add(late_s)
            we_slept = late_s > _SWEEP_S
            self._last_sweep_s = now_s
            self._http.sweep(now_s, LIVENESS_TIMEOUT_S)
            sends_positions = not sends_positions
            if sends_positions and clients.hub.queue_position_updates():
                clients.sender.pump_soon()
            clients.record_served()
            if problem := self._access.refresh_tokens():
                self._tokens_problem.report(f"no token is accepted: {problem}")
            else:
                self._tokens_problem.end()
            clients.close_ended_grants()
            self._http.close_ended_grants()
            for connection in list(clients.open):
                if we_slept:
                    connection.last_seen_s = now_s
                elif connection.silent_s() >= LIVENESS_TIMEOUT_S:
                    _log.info("silent", extra=clients.log_fields(connection.session_id))
                    connection.abort()
                else:
                    connection.ping_if_quiet(_PING_AFTER_S)
