"""What the hub reports of itself: health, clients, and the values of its metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from jobctl._clock import now_ms
from jobctl.core.filters import Filter
from jobctl.core.pipeline import BUILT_IN_ONLY, Pipelines
from jobctl.core.protocol import Dialect
from jobctl.core.schedule import Overdue
from jobctl.errors import StoreError
from jobctl.hub.access import AccessRefused
from jobctl.hub.admission import AdmissionControl
from jobctl.hub.authentication import Refusals
from jobctl.hub.clients import Clients
from jobctl.hub.metrics import (
    CONTENT_TYPE,
    OPENMETRICS_TYPE,
    Exporter,
    TypeMetrics,
    prefers_openmetrics,
)
from jobctl.hub.type_status import TypeStatus

__all__ = ["HubStatus"]

_MAX_LOOP_DELAY_S = 1.0  # `/healthz` reports a longer delay of the event loop
_MAX_READ_S = 5.0  # `/healthz` reports a longer read of the store


def _fields_of(filter: Filter) -> dict[str, list[str]]:
    """Return the keys that a session asked for, if it did, as a member of its row."""
    return {} if filter.fields is None else {"fields": sorted(filter.fields)}


class HubStatus:
    """The state of one hub, as HTTP and the metrics read it.

    ``http_connections`` returns the number of open HTTP connections, and ``loop_delay_s`` by how
    many seconds the event loop is late. ``pipelines`` have the types that settings name.
    """

    def __init__(
        self,
        where: str,
        clients: Clients,
        admission: AdmissionControl,
        refusals: Refusals,
        *,
        http_connections: Callable[[], int],
        loop_delay_s: Callable[[], float],
        pipelines: Pipelines = BUILT_IN_ONLY,
    ) -> None:
        self._where = where
        self._clients = clients
        self._feed = clients.feed
        self._admission = admission
        self._refusals = refusals
        self._http_connections = http_connections
        self._loop_delay_s = loop_delay_s
        self._bad_files = 0
        self.hub = clients.hub
        self.counts = clients.counts
        self._types = TypeStatus(pipelines)
        self._exporter = Exporter(self)

    def record_refusal(self, refused: AccessRefused, peer: str) -> None:
        """Count and log a refused request."""
        self._refusals.record(refused, peer)

    async def refresh(self) -> None:
        """Update the hub's replica from the store.

        While there are sessions, it is up to date anyway.
        """
        if self._feed.active and self.hub.loaded:
            return
        dead = await self._feed.dead()  # before the read, which then has everything that they wrote
        if not await self._feed.read_now():
            raise StoreError(self._feed.last_error or f"{self._where} cannot be read now")
        self.hub.set_dead_owners(dead)

    def failing_part(self) -> str:
        """Return the failing part and its problem (``store: …``), or an empty string."""
        if self._feed.failed.done():
            return f"task: it has died: {self._feed.failed.exception()}"
        if self._feed.last_error:
            return f"store: {self._feed.last_error}"
        if (read_s := self._feed.reading_s()) > _MAX_READ_S:
            return f"store: a read has taken {read_s:.0f} s so far"
        late_s = self._loop_delay_s()
        return f"loop: {late_s:.1f} s late" if late_s > _MAX_LOOP_DELAY_S else ""

    def clients(self) -> list[dict[str, Any]]:
        """Return the sessions as JSON objects, oldest first."""
        rows = []
        for id, connection in self._clients.by_session.items():
            session = self.hub.sessions.get(id)
            if session is None:
                continue
            session_progress = self.hub.session_progress(id)
            rows.append(
                {
                    "id": id,
                    "peer": connection.peer,
                    "dialect": session.dialect.value,
                    "filter": session.filter.to_wire(),
                    **_fields_of(session.filter),
                    "openedAt": connection.opened_at,
                    "sent": session_progress.sent,
                    "acked": session_progress.acked,
                    "lagRevisions": session_progress.lag_revisions,
                    "lagJobs": session_progress.lag_jobs,
                    "stalled": not session.writable,
                    "compressed": connection.deflates,
                    "bytes": connection.sent_bytes,
                }
            )
        return rows

    async def metrics(self, accept: str) -> tuple[bytes, str]:
        """Return the metrics in the format for this ``Accept`` header, and their content type."""
        with suppress(StoreError, OSError):
            self._bad_files = len(await self._feed.bad())
        await self._follow_types()
        self.counts.rings, self.counts.reads = self._feed.rings, self._feed.reads
        if prefers_openmetrics(accept):
            return self._exporter.openmetrics(), OPENMETRICS_TYPE
        return self._exporter.text(), CONTENT_TYPE

    async def overdue(self) -> list[Overdue]:
        """Return the types that have not succeeded in time."""
        await self._follow_types()
        return self._types.overdue(now_ms(), self.hub.dead)

    async def _follow_types(self) -> None:
        if self.hub.loaded:  # else the first load would look as if all jobs had ended just now
            await self._types.follow(self.hub.replica)

    def types(self) -> Iterable[TypeMetrics]:
        """Return the values of each type that settings name."""
        return self._types.metrics(now_ms(), self.hub.dead)

    def connections(self) -> dict[str, int]:
        """Return the number of connections by state."""
        sessions = len(self._clients.by_session)
        return {
            "opening": len(self._admission.pending) + len(self._clients.open) - sessions,
            "session": sessions,
            "http": self._http_connections(),
        }

    def sessions(self) -> dict[str, int]:
        """Return the number of sessions by dialect."""
        found = Counter(session.dialect.value for session in self.hub.sessions.values())
        return {dialect.value: found[dialect.value] for dialect in Dialect}

    def jobs(self) -> dict[str, int]:
        """Return the number of jobs by state."""
        found = Counter("active" if job.active else job.shown_stage for job in self.hub.replica)
        return {state: found[state] for state in ("active", "completed", "failed", "cancelled")}

    def lags(self) -> list[int]:
        """Return for each session how many revisions it lags behind."""
        return [self.hub.session_progress(id).lag_revisions for id in self.hub.sessions]

    def quarantined(self) -> int:
        """Return the number of files in quarantine at the last read."""
        return self._bad_files

    def revision(self) -> int:
        """Return the newest revision of the replica."""
        return self.hub.replica.revision
