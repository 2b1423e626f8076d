"""A world of job sets for the star property: a source, a hub of it, readers, and the model.

The model knows none of the rules: it is the whole list of what ever happened, replayed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from jobctl.core import transitions as jobs
from jobctl.core.cursor import ZERO, Cursor
from jobctl.core.filters import EVERYTHING, Filter
from jobctl.core.job import Job
from jobctl.core.jobset import Delta, JobSet
from tests.strategies import T0

MAX_TOMBSTONES = 1

Held = dict[str, tuple[Any, ...]]
"""What one holds: revision, the fields that filters look at, and message by id."""


def _filterable(job: Job) -> tuple[Any, ...]:
    return job.type, job.session_id, job.shown_stage, job.labels


def held(jobs: Iterable[Job]) -> Held:
    """The jobs as plain values."""
    return {job.id: (job.revision, *_filterable(job), job.message) for job in jobs}


class History:
    """The model of one epoch: every change, in order."""

    def __init__(self) -> None:
        self._events: list[tuple[int, str, Job | None]] = []
        self.exact = True
        """The source saw each change by itself, so it knows which fields changed when."""

    def add(self, revision: int, id: str, job: Job | None) -> None:
        self._events.append((revision, id, job))

    def state(self, through: int, filter: Filter) -> Held:
        """What one who knows all up to a revision holds, under a filter."""
        now: dict[str, Job] = {}
        for revision, id, job in self._events:
            if revision > through:
                break
            now.pop(id, None)
            if job is not None:
                now[id] = job
        return held(job for job in now.values() if filter.matches(job))

    def deletions(self) -> list[int]:
        """The revisions of all deletions."""
        return [revision for revision, _, job in self._events if job is None]

    def touched(self, id: str, after: int, *, exactly: bool) -> bool:
        """Whether one who knew the job at a revision may have to drop it since.

        It was deleted, or a field that filters look at changed; or, not ``exactly``, anything did.
        """
        last: tuple[Any, ...] | None = None
        for revision, other, job in self._events:
            if other == id:
                fields = None if job is None else _filterable(job)
                if revision > after and (not exactly or (last is not None and fields != last)):
                    return True
                last = fields
        return False


class Answer(NamedTuple):
    """A delta on its way, and what its server promised with it."""

    delta: Delta
    filter: Filter
    asked: int
    head: int


class Reader:
    """A replica under a filter, with what a session remembers of it."""

    def __init__(self, filter: Filter, *, pages_gone: bool) -> None:
        self.filter = self.held_under = filter
        self.pages_gone = pages_gone
        self.gone_after = 0
        self.set = JobSet()
        self.snapshot_start = 0
        self.synced = False
        self.ahead = 0
        """The newest head that it saw a page of; short of it, it lacks what was deleted by then."""
        self.through_hub = False
        self.pipe: list[Answer] = []
        self.asked = self.answered = 0

    @property
    def cursor(self) -> Cursor:
        """What it asks with: its tag is of the filter that the held jobs passed."""
        return self.set.cursor._replace(tag=self.held_under.tag)


class World:
    """All of them, and every step that there is; `check` and `settle` say what holds."""

    def __init__(self, *filters: Filter) -> None:
        self.epochs = 0
        self.histories: dict[str, History] = {}
        self._begin_epoch()
        self.hub_reads(afresh=True)
        self.readers = [
            Reader(filter, pages_gone=number % 2 == 0) for number, filter in enumerate(filters)
        ]

    def _begin_epoch(self) -> None:
        self.epochs += 1
        self.history = self.histories[f"e{self.epochs}"] = History()
        self.source = JobSet(f"e{self.epochs}", max_tombstones=MAX_TOMBSTONES)
        self.head = 0

    def _record(self, id: str, job: Job | None) -> None:
        self.head += 1
        if job is None:
            self.source.delete(id, self.head)
        else:
            job = job.replace(revision=self.head)
            self.source.put(job)
        self.history.add(self.head, id, job)

    # -- the source and the hub ---------------------------------------------------------------

    def write(self, id: str, shape: dict[str, Any]) -> None:
        """A job appears, or changes in any of its fields."""
        self._record(id, jobs.create("etl", now=T0, id=id).replace(**shape))

    def report(self, id: str, message: str) -> None:
        """A change of a field that no filter looks at."""
        old = self.source.get(id)
        if old is not None:
            self._record(id, old.replace(message=message))

    def remove(self, id: str) -> None:
        """A deletion."""
        if self.source.get(id) is not None:
            self._record(id, None)

    def burn(self) -> None:
        """A revision goes with a crash."""
        self.head += 1

    def restart(self) -> None:
        """The source comes back from what was kept of it, under the same epoch."""
        delta = self.source.since(ZERO, tombstones=True)
        self.source = JobSet(max_tombstones=MAX_TOMBSTONES)
        assert self.source.apply(delta)
        self.history.exact = False

    def restore(self) -> None:
        """The jobs are those of a while ago, and so the revisions mean nothing any more."""
        kept = list(self.source)[:2]
        self._begin_epoch()
        for job in kept:
            self._record(job.id, job)

    def hub_reads(self, *, afresh: bool = False) -> None:
        """The hub catches up, or starts again."""
        if afresh:
            self.hub = JobSet(max_tombstones=MAX_TOMBSTONES)
        assert self.hub.apply(self.source.since(self.hub.cursor, tombstones=True))

    # -- the readers --------------------------------------------------------------------------

    def subscribe(self, reader: Reader, filter: Filter) -> None:
        """Another filter: what is held stays until the answer says otherwise."""
        reader.filter = filter
        reader.gone_after = 0
        reader.pipe.clear()

    def cross_over(self, reader: Reader) -> None:
        """From the source to the hub, or back, with the cursor alone."""
        reader.through_hub = not reader.through_hub
        reader.snapshot_start = reader.gone_after = 0
        reader.pipe.clear()

    def ask(self, reader: Reader, limit: int | None) -> None:
        """Ask from where the reader stands; the answer sets out."""
        server = self.source
        if reader.through_hub:
            server = self.hub
            if reader.set.epoch != server.epoch or reader.set.revision > server.revision:
                self.hub_reads()  # one fresh look before a reset
        delta = server.since(
            reader.cursor,
            reader.filter,
            limit=limit,
            snapshot_start=reader.snapshot_start,
            gone_after=reader.gone_after if reader.pages_gone else None,
        )
        self._check_shape(reader, delta, limit)
        reader.asked += 1
        answer = Answer(delta, reader.filter, reader.asked, server.revision)
        reader.pipe.append(answer)

    def pull(self, reader: Reader, limit: int | None) -> None:
        """Ask, and take the answer."""
        self.ask(reader, limit)
        self._take(reader, reader.pipe.pop())

    def deliver(self, reader: Reader, place: int, copies: int) -> None:
        """One of the answers on the way arrives, is lost, or arrives twice."""
        if reader.pipe:
            answer = reader.pipe.pop(place % len(reader.pipe))
            for _ in range(copies):
                self._take(reader, answer)

    def _take(self, reader: Reader, answer: Answer) -> None:
        delta, before = answer.delta, reader.set.cursor
        # The answer to another question, and a reset that was overtaken, never get this far: a
        # connection keeps its order. Everything else is for `apply` to judge.
        if answer.filter != reader.filter or (delta.since == 0 and answer.asked < reader.answered):
            return
        if not reader.set.apply(delta):
            assert (delta.epoch, delta.since) != (before.epoch, before.revision)
            assert reader.set.cursor == before
            return
        reader.held_under = reader.filter
        reader.snapshot_start, reader.synced = delta.snapshot_start, not delta.more
        reader.gone_after = delta.gone_after
        reader.answered = max(reader.answered, answer.asked)
        if before.epoch != delta.epoch:
            reader.ahead = 0
        if delta.more:
            reader.ahead = max(reader.ahead, answer.head)
        assert reader.set.revision == delta.through
        if delta.since:
            assert reader.set.revision >= before.revision, "I1: a revision went back"

    # -- what holds ---------------------------------------------------------------------------

    def _check_shape(self, reader: Reader, delta: Delta, limit: int | None) -> None:
        changes = [*delta.jobs, *delta.gone]
        if delta.through == delta.since and delta.more:  # what is gone needs pages of its own
            assert delta.gone
            assert not delta.jobs
            assert all(item.revision == delta.through for item in delta.gone)
        else:
            assert all(delta.since < change.revision <= delta.through for change in changes)
        assert [job.revision for job in delta.jobs] == sorted(job.revision for job in delta.jobs)
        assert len({change.id for change in changes}) == len(changes)
        assert all(reader.filter.matches(job) for job in delta.jobs)
        assert all(reader.filter.may_hold(item.id) for item in delta.gone)
        if delta.since == 0:
            assert not delta.gone, "nothing is gone for one who holds nothing"
        history = self.histories[delta.epoch]
        exactly = history.exact and not reader.through_hub
        known = max(delta.since, reader.snapshot_start)
        for item in delta.gone:
            assert history.touched(item.id, known, exactly=exactly), "gone for no reason"
        if (
            delta.since == 0
            and 0 < reader.set.revision
            and reader.set.epoch == delta.epoch
            and reader.filter == reader.held_under
            # Without pages for them, three deletions are too many to name.
            and (limit != 20 or reader.pages_gone)
        ):
            dropped = history.deletions()[:-MAX_TOMBSTONES]
            assert dropped, "a reset without a reason"
            assert max(reader.set.revision, reader.snapshot_start) < max(dropped)

    def check(self) -> None:
        """I2: after a delta through r, the reader holds the model at r, deletions included."""
        assert held(self.source) == self.history.state(self.head, EVERYTHING)
        for reader in self.readers:
            if reader.synced and reader.set.revision >= reader.ahead:
                history = self.histories[reader.set.epoch]
                expected = history.state(reader.set.revision, reader.held_under)
                assert held(reader.set) == expected

    def settle(self) -> None:
        """I3: the faults stop, and in few steps everybody is where the source is."""
        self.hub_reads()
        for reader in self.readers:
            for _ in range(20):
                self.pull(reader, 900)
                if reader.synced:
                    break
            assert reader.synced
            assert held(reader.set) == self.history.state(self.head, reader.filter)
