"""Schedules over one store, a hub and its clients: the rules, and what must hold after each.

Hypothesis draws schedules of writes, kills, foreign edits, restores, compactions, lost and repeated
rings, stalls, cuts and restarts, and shrinks those that break an invariant of FAULTS.md, section 3.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from jobctl.core.cursor import ZERO, Cursor
from jobctl.core.filters import EVERYTHING, Filter
from jobctl.core.jobset import Delta, JobSet
from jobctl.core.protocol import Dialect
from jobctl.hub.sessions import Hub
from jobctl.stores import refresh
from tests.hub.world import PlainClient, V1Client
from tests.model.kit import Disk, Essences, essence

ids = st.sampled_from(["a1", "a2", "a3", "b1", "b2"])
stages = st.sampled_from(["pending", "extract", "generate", "completed", "failed"])
changes = st.fixed_dictionaries(
    {"stage": stages},
    optional={
        "type": st.sampled_from(["etl", "other"]),
        "title": st.sampled_from(["", "short", "long " * 60]),
    },
)
filters = st.sampled_from(
    [
        EVERYTHING,
        Filter(ids=frozenset({"a1", "b1"})),
        Filter(types=frozenset({"etl"})),
        Filter(stages=frozenset({"extract"})),
        Filter(active=True),
        Filter(types=frozenset({"other"}), active=True),
    ]
)
cursors = st.sampled_from([ZERO, Cursor("foreign", 1), Cursor("e1", 2**53 - 1)])
slots = st.integers(0, 2)


class AnySchedule(RuleBasedStateMachine):
    """One store, a hub on it, three clients that come and go."""

    kind = "memory"

    def __init__(self) -> None:
        super().__init__()
        self.disk = Disk(self.kind)
        self.clients: dict[int, V1Client | PlainClient] = {}
        self.late: Delta | None = None
        self.history: dict[tuple[str, int], Essences] = {}
        self._start_hub()

    def teardown(self) -> None:
        self.faults_stop()
        self.disk.close()

    def _start_hub(self) -> None:
        self.hub = Hub(max_page=600)
        self.hub.replica = JobSet(max_tombstones=2)
        self.epoch = ""

    # -- writers ----------------------------------------------------------------------------

    @rule(id=ids, fields=changes)
    def create(self, id: str, fields: dict[str, Any]) -> None:
        self.disk.create(id, **fields)
        self._remember()

    @rule(id=ids, fields=changes)
    def update(self, id: str, fields: dict[str, Any]) -> None:
        self.disk.update(id, **fields)
        self._remember()

    @rule(id=ids)
    def finish(self, id: str) -> None:
        self.disk.update(id, stage="completed")
        self._remember()

    @rule(id=ids)
    def remove(self, id: str) -> None:
        self.disk.remove(id)
        self._remember()

    @rule()
    def compact(self) -> None:
        self.disk.compact()

    def _remember(self) -> None:
        """What the jobs were at a revision, while nobody works behind the stores' back."""
        if self.disk.calm:
            at = self.disk.writer.since(ZERO)
            self.history[at.epoch, at.through] = dict(self.disk.jobs)

    # -- the hub ----------------------------------------------------------------------------

    @rule()
    def ring(self) -> None:
        """The hub hears the bell and reads: one answer is always taken."""
        delta = self.disk.hub_store.since(self.hub.cursor)
        self.late = delta
        before = self.hub.cursor
        assert self.hub.feed(delta)
        if delta.since:
            assert self.hub.cursor.revision >= before.revision

    @rule()
    def ring_twice_or_late(self) -> None:
        """An answer that comes again or too late does no harm."""
        if self.late is not None and self.late.since != 0:
            before = self.hub.cursor, {job.id: job for job in self.hub.replica}
            if not self.hub.feed(self.late):
                assert (self.hub.cursor, {job.id: job for job in self.hub.replica}) == before

    @rule()
    def restart_hub(self) -> None:
        """Every client is cut off, and keeps its cursor."""
        self._start_hub()
        if self.kind == "directory":
            self.disk.hub_store.close()
            self.disk.hub_store = type(self.disk.writer)(self.disk.path, adopt=True)
        self.late = None

    # -- clients ----------------------------------------------------------------------------

    @rule(slot=slots, filter=filters, cursor=cursors, plain=st.booleans())
    def connect(self, slot: int, filter: Filter, cursor: Cursor, plain: bool) -> None:
        self.hub.close(slot)
        dialect = Dialect.PLAIN if plain else Dialect.V1
        self.clients[slot] = (PlainClient if plain else V1Client)(filter)
        self.hub.open(slot, dialect, cursor, filter, digest=True, details=True)

    @rule(slot=slots)
    def stall(self, slot: int) -> None:
        self.hub.stall(slot)

    @rule(slot=slots)
    def recover(self, slot: int) -> None:
        self.hub.recover(slot)

    @rule(slot=slots)
    def cut(self, slot: int) -> None:
        self.hub.close(slot)

    @rule(slot=slots)
    def resume(self, slot: int) -> None:
        client = self.clients.get(slot)
        if client is None or slot in self.hub.sessions:
            return
        if isinstance(client, PlainClient):
            self.connect(slot=slot, filter=client.filter, cursor=ZERO, plain=True)
        else:
            self.hub.open(slot, Dialect.V1, client.cursor, client.filter, digest=True, details=True)

    @rule()
    def pump(self) -> None:
        """One turn of the hub: each page is checked as it is taken (I1, and I2 below)."""
        if self.hub.replica.epoch != self.epoch:
            self.epoch = self.hub.replica.epoch
            for client in self.clients.values():
                if isinstance(client, PlainClient):
                    client.seen.clear()  # it cannot know: two epochs' revisions do not compare
        for sending in self.hub.pump():
            if sending.error is not None:
                raise sending.error
            for slot in sending.sessions:
                client = self.clients[slot]
                for message in sending.messages:
                    client.take(message)
                if isinstance(client, V1Client) and not client.deltas[-1].more:
                    self._check_synced(client)

    def _check_synced(self, client: V1Client) -> None:
        """I2: after a delta through r the client holds what the jobs were at r."""
        assert client.set.revision == self.hub.replica.revision
        held = {job.id: essence(job) for job in client.set}
        assert held == self._of(self.hub.replica, client.filter)
        known = self.history.get((client.set.epoch, client.set.revision))
        if known is not None and client.filter == EVERYTHING:
            assert held == known

    @staticmethod
    def _of(jobs: JobSet, filter: Filter) -> Essences:
        return {job.id: essence(job) for job in jobs if filter.matches(job)}

    # -- the end of all faults --------------------------------------------------------------

    @rule()
    def faults_stop(self) -> None:
        """I3, I7: once nothing goes wrong any more, every client holds what the store holds."""
        while refresh(self.disk.hub_store):
            pass  # damage is older than the grace here, so nothing stays unsettled
        self.ring()
        self.disk.calm = True
        assert self._of(self.hub.replica, EVERYTHING) == self.disk.jobs
        for slot in self.clients:
            self.resume(slot)
            self.hub.recover(slot)
        for _ in range(60):
            self.pump()
        assert list(self.hub.pump()) == []
        for client in self.clients.values():
            want = self._of(self.hub.replica, client.filter)
            if isinstance(client, V1Client):
                assert {job.id: essence(job) for job in client.set} == want
            else:
                self._check_plain(client, want)

    def _check_plain(self, client: PlainClient, want: Essences) -> None:
        """It lists every active job as it is; what ended is there as it ended, or not at all.

        What was removed has ended for it, unless it began anew: the shell tells it of what was
        removed in between (hub/last_served.py), and there is no shell here.
        """
        ended = ("completed", "failed")
        for id, stage in client.stages.items():
            if id in want:
                assert (want[id][1], want[id][3]) == (stage, client.jobs[id].get("title"))
            else:
                assert stage in ended or len(client.inits) > 1
        assert {id for id, job in want.items() if job[1] not in ended} <= set(client.stages)
