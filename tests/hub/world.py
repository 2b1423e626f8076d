"""A hub without sockets: a store of one set, and clients that take every message by the rules."""

from __future__ import annotations

import json
from typing import Any

from jobctl.core.codec import parse_wire
from jobctl.core.cursor import ZERO, Cursor
from jobctl.core.filters import EVERYTHING, Filter
from jobctl.core.job import Job
from jobctl.core.jobset import MAX_TOMBSTONES, REMOVED, Delta, JobSet
from jobctl.core.protocol import MAX_FROM_HUB, MAX_PAGE, BadFiles, Dialect, parse_from_hub
from jobctl.hub.session import EndedSince
from jobctl.hub.sessions import Hub, Outgoing

PLAIN = Dialect.PLAIN


def subscribe_message(cursor: Cursor, filter: Filter) -> str:
    """What a client sends to change its cursor and filter."""
    return json.dumps({"type": "jobs:subscribe", "since": str(cursor), "filter": filter.to_wire()})


def make_job(id: str, revision: int, **fields: Any) -> Job:
    """A job as a store holds it; ``fields`` as on the wire; the id tells when it was created."""
    at = f"2025-01-01T00:00:00.{int(id.strip('abcdefghijklmnopqrstuvwxyz-') or 0) % 1000:03d}Z"
    base = {"type": "etl", "stage": "pending", "createdAt": at, "updatedAt": at}
    return parse_wire({**base, "id": id, "revision": revision, **fields})


class V1Client:
    """A replica that moves by what it is sent, and fails the test if that does not follow on."""

    def __init__(self, filter: Filter) -> None:
        self.filter = filter
        self.set = JobSet()
        self.deltas: list[Delta] = []
        self.bad: list[BadFiles] = []
        self.messages: list[bytes] = []

    @property
    def cursor(self) -> Cursor:
        return Cursor(self.set.epoch, self.set.revision, self.filter.tag)

    @property
    def stages(self) -> dict[str, str]:
        return {job.id: job.stage for job in self.set}

    def take(self, message: bytes) -> None:
        assert len(message) <= MAX_FROM_HUB
        delta = parse_from_hub(message)
        if isinstance(delta, BadFiles):
            self.bad.append(delta)
            return
        assert isinstance(delta, Delta)
        revisions = [job.revision for job in delta.jobs]
        assert revisions == sorted(set(revisions)), "a page is in ascending revision"
        assert all(delta.since < revision <= delta.through for revision in revisions)
        assert self.set.apply(delta), "it follows from where the client stands"
        if delta.digest is not None:
            assert delta.digest == self.set.digest(), "it holds what it should"
        self.deltas.append(delta)
        self.messages.append(message)


class PlainClient:
    """A client of the original program: it knows no cursor, and believes all it is told.

    Its store merges: a key that a newer version lacks would stay (Solid 1.9, ``setState``).
    """

    def __init__(self, filter: Filter) -> None:
        self.filter = filter
        self.jobs: dict[str, dict[str, Any]] = {}
        self.seen: dict[str, int] = {}
        self.inits: list[list[str]] = []
        self.updates: list[str] = []
        self.messages: list[bytes] = []

    @property
    def stages(self) -> dict[str, str]:
        return {id: job["stage"] for id, job in self.jobs.items()}

    def take(self, message: bytes) -> None:
        assert len(message) <= MAX_FROM_HUB
        value = json.loads(message)
        self.messages.append(message)
        if value["type"] == "jobs:init":
            self.inits.append([job["id"] for job in value["jobs"]])
            for job in value["jobs"]:
                assert job["revision"] >= self.seen.get(job["id"], 0), "no job goes back"
                self.seen[job["id"]] = job["revision"]
                self.jobs[job["id"]] = self.jobs.get(job["id"], {}) | job
        else:
            assert value["type"] == "jobs:update"
            job = value["job"]
            seen = self.seen.get(job["id"], 0)
            assert job["revision"] >= seen, "no job goes back"
            assert job["revision"] > seen or job["id"] not in self.jobs, "no job is repeated"
            self.seen[job["id"]] = job["revision"]
            self.updates.append(job["id"])
            self.jobs[job["id"]] = self.jobs.get(job["id"], {}) | job


class World:
    """A store, a hub on it and clients; nothing moves but by a call."""

    def __init__(
        self,
        epoch: str = "e1",
        *,
        max_page: int = MAX_PAGE,
        max_init: int | None = None,
        max_tombstones: int = MAX_TOMBSTONES,
    ) -> None:
        self.store = JobSet(epoch, max_tombstones=max_tombstones)
        self.hub = Hub(max_page=max_page, max_init=max_init or max_page)
        self.hub.replica = JobSet(max_tombstones=max_tombstones)
        self.clients: dict[int, Any] = {}

    def put(self, id: str, **fields: Any) -> None:
        """Record a version of the job and tell the hub of it, as a store that saw each change."""
        self.store.put(make_job(id, self.store.revision + 1, **fields))
        self.feed()

    def delete(self, id: str, why: str = REMOVED) -> None:
        self.store.delete(id, self.store.revision + 1, why)
        self.feed()

    def feed(self) -> None:
        delta = self.store.since(self.hub.cursor, tombstones=True)
        assert self.hub.feed(delta._replace(merged=frozenset()))

    def begin_epoch(self, epoch: str) -> None:
        """The directory is restored from a copy: the same jobs under another counter."""
        old = sorted(self.store, key=lambda job: job.revision)
        self.store = JobSet(epoch)
        for revision, job in enumerate(old, 1):
            self.store.put(job.replace(revision=revision))
        for client in self.clients.values():
            if isinstance(client, PlainClient):
                client.seen.clear()  # it cannot know: two epochs' revisions do not compare
        self.feed()

    def connect(
        self,
        id: int,
        cursor: Cursor = ZERO,
        filter: Filter = EVERYTHING,
        dialect: Dialect = Dialect.V1,
        *,
        client: Any = None,
        details: bool = True,
        ended: EndedSince | None = None,
        bad_files: bool = False,
    ) -> Any:
        """A new session for a new client, or for one that comes back."""
        made = client or (V1Client if dialect is Dialect.V1 else PlainClient)(filter)
        self.clients[id] = made
        self.hub.open(
            id, dialect, cursor, filter,
            digest=True, details=details, ended=ended, bad_files=bad_files,
        )  # fmt: skip
        return made

    def resume(self, id: int, *, details: bool = True) -> None:
        """The client of this session is cut off and comes back with its cursor."""
        client = self.clients[id]
        self.hub.close(id)
        self.connect(id, client.cursor, client.filter, client=client, details=details)

    def pump_once(self) -> list[Outgoing]:
        """One turn; the clients take what they are sent, and a broken one is closed."""
        outgoings = list(self.hub.pump())
        for outgoing in outgoings:
            for id in outgoing.sessions:
                if outgoing.error is not None:
                    self.hub.close(id)
                for message in outgoing.messages:
                    self.clients[id].take(message)
        return outgoings

    def pump(self) -> list[Outgoing]:
        """Turns until there is nothing to say."""
        outgoings: list[Outgoing] = []
        while turn := self.pump_once():
            outgoings += turn
            assert len(outgoings) < 10_000, "it comes to an end"
        return outgoings

    def expected(self, filter: Filter = EVERYTHING) -> dict[str, str]:
        return {job.id: job.stage for job in self.store if filter.matches(job)}
