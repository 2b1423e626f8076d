"""One session: its place in the replica, and all that decides what it is sent. Values only."""

from __future__ import annotations

from typing import NamedTuple

from jobctl.core.cursor import Cursor
from jobctl.core.filters import EVERYTHING, Filter
from jobctl.core.job import Job
from jobctl.core.newest import Key
from jobctl.core.protocol import Dialect

__all__ = ["Kind", "Position", "Session", "SessionProgress"]


class EndedSince(NamedTuple):
    """Which ended jobs a plain session gets when it begins.

    Those that changed after ``revision``; or, if that is ``None``, those that ended at ``time_ms``
    (milliseconds since 1970) or later.
    """

    revision: int | None = None
    time_ms: int = 0

    def selects(self, job: Job) -> bool:
        """Whether the session gets this ended job."""
        if self.revision is not None:
            return job.revision > self.revision
        ended_ms = job.ended_ms()
        return ended_ms is not None and ended_ms >= self.time_ms

    def is_over(self, job: Job) -> bool:
        """Whether no job with an older revision than this one's can be selected."""
        return self.revision is not None and job.revision <= self.revision


class Position(NamedTuple):
    """How far a session has been served.

    The client has everything up to ``sent``. Nothing up to ``examined`` concerns it, so the next
    search starts there. ``snapshot_start`` is the revision at which the snapshot that is being
    paged started, or 0. ``gone_after`` is not 0 while the client gets a long list of what is gone
    (see `JobSet.since`). ``must_send`` says that the client must get a message next, even an empty
    delta.

    A plain session that is still getting its first jobs lacks the active ones created before
    ``before``, and then those that ended lately, by ``ended``.
    """

    epoch: str
    sent: int
    examined: int
    snapshot_start: int = 0
    must_send: bool = True
    before: Key | None = None
    ended: EndedSince | None = None
    gone_after: int = 0

    @property
    def unfinished(self) -> bool:
        """Whether more of a plain snapshot is to be sent."""
        return self.before is not None or self.ended is not None


class Kind(NamedTuple):
    """All that decides what a session is sent. Only sessions of equal kind share messages.

    ``max_bytes`` is the client's own limit for a message, or ``None``. ``can`` is what the next
    delta says of the client's rights, as in `delta_message`.
    """

    position: Position
    dialect: Dialect
    filter: Filter
    digest: bool
    details: bool
    max_bytes: int | None = None
    can: str = ""


class Session:
    """One connected client. ``acked`` is the newest revision that it acknowledged.

    ``details`` says whether it may see command lines (see redaction.py). ``max_bytes`` is the limit
    for a message that it named, or ``None``. ``held`` says that its cursor is ahead of the replica,
    so it waits for a new read of the store. ``bad_files`` says that it is told of files that are no
    jobs. ``owners_version`` and ``bad_version`` are the versions of the list of dead owners, and of
    these files, that were sent to it. ``sight`` is the filter of what the client may see, and
    ``filter`` selects nothing else. ``can`` is what its first delta says of its rights, until
    that is sent.
    """

    __slots__ = (
        "acked",
        "bad_files",
        "bad_version",
        "can",
        "details",
        "dialect",
        "digest",
        "filter",
        "held",
        "id",
        "max_bytes",
        "owners_version",
        "position",
        "sight",
        "writable",
    )  # fmt: skip

    def __init__(self, id: int, dialect: Dialect, filter: Filter, position: Position) -> None:
        self.id = id
        self.dialect = dialect
        self.filter = filter
        self.position = position
        self.writable = True
        self.digest = False
        self.max_bytes: int | None = None
        self.details = False
        self.held = False
        self.owners_version = self.bad_version = 0
        self.bad_files = False
        self.acked = 0
        self.sight = EVERYTHING
        self.can = ""

    @property
    def kind(self) -> Kind:
        """All that decides what it is sent next."""
        return Kind(
            self.position,
            self.dialect,
            self.filter,
            self.digest,
            self.details,
            self.max_bytes,
            self.can,
        )

    @property
    def proves(self) -> bool:
        """Whether its deltas include the digest of what the client holds."""
        return self.digest and self.dialect is Dialect.V1

    @property
    def cursor(self) -> Cursor:
        """What was sent to the client, as a cursor of the hub's replica."""
        return Cursor(self.position.epoch, self.position.sent, self.filter.tag)


class SessionProgress(NamedTuple):
    """The revisions sent to and acknowledged by a session, and how far it lags behind."""

    sent: int
    acked: int
    lag_revisions: int
    lag_jobs: int
